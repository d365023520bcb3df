//! Compressed messages, by the peer's and by our own making.

use super::super::super::compression;
use super::*;

/// A message from the peer: compressed, with the first reserved bit.
fn packed(opcode: u8, plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    assert!(compression::deflate(plain, &mut packed));
    long_frame(0xc0 | opcode, &packed)
}

fn verdict(seq: u64, more: usize) -> Vec<u8> {
    format!(r#"{{"type":"verdict","device":"d","seq":{seq},"more":"{}"}}"#, "x".repeat(more)).into_bytes()
}

#[test]
fn messages_are_read_compressed_plain_and_in_pieces_however_cut() {
    let mut whole = Vec::new();
    assert!(compression::deflate(&verdict(3, 90), &mut whole));
    let (head, tail) = whole.split_at(20);
    let bytes = [
        packed(1, &verdict(1, 2_000)),
        frame(0x81, &verdict(2, 0)),
        frame(0x41, head),
        frame(0x89, b"p"),
        frame(0x80, tail),
        packed(2, &verdict(4, 0)),
        packed(1, b""),
        packed(1, &verdict(5, 20_000)),
    ]
    .concat();
    for cuts in (0..bytes.len()).map(|at| vec![at]).chain([(0..bytes.len()).collect()]) {
        let mut session = session(Script::new().cut(&bytes, &cuts), &limited(64 << 20, true));
        assert_eq!(outcome(&mut session), ((1..=5).map(ok).collect(), None), "{cuts:?}");
        assert_eq!(session.stray(), 1);
    }
}

#[test]
fn what_is_no_compressed_message_is_refused() {
    let table = [
        (false, packed(1, b"{}"), "compression was not agreed on"),
        (true, frame(0xc9, b""), "does not begin a message"),
        (true, [frame(0x41, b"a"), frame(0xc0, b"b")].concat(), "does not begin a message"),
        (true, frame(0xc1, &[0xff, 0xff]), "malformed"),
        (true, packed(1, b"\xff"), "not UTF-8"),
        (true, packed(1, &[b' '; 1_001]), "more than 1000B (max_message)"),
        (true, packed(2, &vec![0; 4 << 20]), "more than 1000B (max_message)"),
    ];
    for (deflate, bytes, words) in table {
        let most = if bytes.len() > 1_000 { 1 << 20 } else { 1_000 };
        let settings = limited(most, deflate);
        let (events, failure) = outcome(&mut session(Script::new().data(&bytes), &settings));
        let failure = failure.unwrap();
        assert_eq!((events, failure.kind), (vec![], ErrorKind::Protocol));
        let words = words.replace("1000B", &crate::units::ByteSize(most as u64).to_string());
        assert!(failure.reason.sentence.contains(&words), "{failure}");
    }
}

#[test]
fn readings_are_compressed_each_by_itself() {
    let mut session = session(Script::new(), &limited(64 << 20, true));
    let reading = br#"{"seq":1,"value":21.5,"value":21.5,"value":21.5,"value":21.5,"value":21.5}"#;
    for payload in [&reading[..], b"", reading] {
        session.send(&mut context(), &message(1, payload)).unwrap();
        let mut written = session.stream.take_written();
        assert_eq!((written[0], usize::from(written[1] & 0x7f)), (0xc1, written.len() - 6));
        assert!(written.len() < payload.len() + 8);
        let mask: [u8; 4] = written[2..6].try_into().unwrap();
        written[6..].iter_mut().zip(mask.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
        let mut plain = Vec::new();
        compression::inflate(&written[6..], 1_000, &mut plain).unwrap();
        assert_eq!(plain, payload);
    }
    session.keep_alive(&mut context()).unwrap();
    session.keep_alive(&mut context()).unwrap();
    assert_eq!(session.stream.written()[0], 0x89);
}
