//! The TCP session against scripted peers.

pub(super) mod peer;

use std::io;

use proptest::prelude::*;

use super::super::harness::script::{Script, context, outcome};
use super::super::{Answer, Correlation, OwnSettings};
use super::framing::MOST_REPLY;
use super::*;
use crate::record::{Close, ErrorKind};

const LINES: Framing = Framing::Line { crlf: false };
const BOTH: [Framing; 2] = [LINES, Framing::Length];

fn settings(close: Close, pointer: Option<&str>, framing: Framing) -> Settings {
    let correlation = pointer.map_or(Correlation::Order, |pointer| Correlation::Pointer(pointer.into()));
    Settings { close, correlation, own: OwnSettings::of(framing), ..Settings::default() }
}

fn session(stream: Script, settings: &Settings) -> Tcp<Script> {
    Tcp::new(stream, settings, &Identity::of("d"))
}

fn by_pointer(stream: Script, framing: Framing) -> Tcp<Script> {
    session(stream, &settings(Close::Reply, Some("/id"), framing))
}

fn by_order(stream: Script, framing: Framing) -> Tcp<Script> {
    session(stream, &settings(Close::Reply, None, framing))
}

fn message(seq: u64, payload: &[u8]) -> Message<'_> {
    Message::new(seq, payload)
}

/// What the peer sends to say `texts`.
fn framed(framing: Framing, texts: &[&[u8]]) -> Vec<u8> {
    let frame = |text: &&[u8]| match framing {
        Framing::Line { crlf: false } => [*text, b"\n"].concat(),
        Framing::Line { crlf: true } => [*text, b"\r\n"].concat(),
        Framing::Length => [&(text.len() as u32).to_be_bytes(), *text].concat(),
    };
    texts.iter().flat_map(frame).collect()
}

fn ok(seq: u64) -> Event {
    Event::Closed { seq, answer: Answer::Ok, stages: None, flagged: None, arm: None, named: false }
}

const CONVERSATION: [&[u8]; 7] =
    [b"welcome", br#"{"id":2}"#, br#"{"id":"1"}"#, b"", br#"{"id":99}"#, br#"{"id":2}"#, b"\xff\xfe"];

fn check_conversation(framing: Framing, cuts: &[usize]) {
    let bytes = framed(framing, &CONVERSATION);
    let mut session = by_pointer(Script::new().cut(&bytes, cuts).end(), framing);
    let (events, failure) = outcome(&mut session);
    // Doubles and numbers never sent are told: who keeps the books can tell what they are.
    assert_eq!(events, [2, 1, 99, 2].map(ok), "{framing:?} {cuts:?}");
    assert_eq!(failure, Some(Failure::closed("the server closed the connection")));
    assert_eq!(session.pipeline.stray(), 3);
    let told: usize = CONVERSATION.iter().map(|text| text.len()).sum();
    assert_eq!(session.notes_mut().take_payload(), told as u64);
    let unmatched = session.notes_mut().take_unmatched().unwrap();
    assert_eq!((unmatched.count, unmatched.first.as_deref()), (3, Some("welcome")));
}

#[test]
fn a_conversation_reads_the_same_cut_at_every_byte() {
    for framing in [LINES, Framing::Line { crlf: true }, Framing::Length] {
        let size = framed(framing, &CONVERSATION).len();
        check_conversation(framing, &[]);
        for at in 1..size {
            check_conversation(framing, &[at]);
        }
        check_conversation(framing, &(0..size).collect::<Vec<_>>());
    }
}

proptest! {
    #[test]
    fn a_conversation_reads_the_same_in_random_pieces(cuts in proptest::collection::vec(any::<usize>(), 0..20)) {
        for framing in BOTH {
            check_conversation(framing, &cuts);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for framing in BOTH {
            let (_, failure) = outcome(&mut by_order(Script::new().data(&bytes).end(), framing));
            prop_assert!(failure.is_some());
        }
    }

    #[test]
    fn what_is_sent_reads_back_as_it_was(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..9)) {
        for framing in [LINES, Framing::Line { crlf: true }, Framing::Length] {
            let mut wire = Vec::new();
            for payload in &payloads {
                let before = wire.len();
                let carried = framing.encode(payload, &mut wire);
                // A carriage return at its end would be taken for a part of the line's.
                let lines = framing != Framing::Length;
                prop_assert_eq!(carried.is_err(), lines && payload.contains(&b'\n'));
                if carried.is_err() {
                    prop_assert_eq!(wire.len(), before);
                    continue;
                }
                let (place, whole) = framing.first(&wire[before..]).unwrap().unwrap();
                prop_assert_eq!(whole, wire.len() - before);
                prop_assert_eq!(whole, payload.len() + framing.overhead());
                let read = &wire[before..][place];
                let cut = lines && read.len() < payload.len();
                prop_assert_eq!(read, if cut { payload.strip_suffix(b"\r").unwrap() } else { payload });
            }
        }
    }
}

#[test]
fn a_connection_that_ends_says_how() {
    type Case<'t> = (Framing, &'t [u8], io::Result<()>, (ErrorKind, &'t str));
    let closed = |text| (ErrorKind::Closed, text);
    let table: [Case<'_>; 7] = [
        (LINES, b"", Ok(()), closed("the server closed the connection")),
        (LINES, b"{\"id\":", Ok(()), closed("the server closed the connection in the middle of a message")),
        (Framing::Length, b"", Ok(()), closed("the server closed the connection")),
        (
            Framing::Length,
            b"\0\0\0",
            Ok(()),
            closed("the server closed the connection in the middle of a message"),
        ),
        (
            Framing::Length,
            b"\0\0\0\x02{",
            Ok(()),
            closed("the server closed the connection in the middle of a message"),
        ),
        (LINES, b"", Err(io::ErrorKind::ConnectionReset.into()), (ErrorKind::Reset, "reset")),
        (LINES, b"{", Err(io::ErrorKind::ConnectionReset.into()), (ErrorKind::Reset, "reset")),
    ];
    for (framing, bytes, end, (kind, sentence)) in table {
        let script = Script::new().data(bytes);
        let script =
            end.map_or_else(|error| script.error(error.kind()), |()| Script::new().data(bytes).end());
        let (events, failure) = outcome(&mut by_pointer(script, framing));
        let failure = failure.unwrap();
        assert_eq!((events, failure.kind), (vec![], kind), "{bytes:?}");
        assert!(failure.to_string().contains(sentence), "{bytes:?}: {failure}");
    }
}

#[test]
fn a_reply_that_never_ends_is_cut_off_at_a_limit_that_is_named() {
    let long = vec![b'x'; MOST_REPLY];
    for framing in BOTH {
        let mut session = by_order(Script::new().data(&framed(framing, &[&long])), framing);
        session.send(&mut context(), &message(7, b"{}")).unwrap();
        assert_eq!(outcome(&mut session), (vec![ok(7)], None), "{framing:?}");
    }
    let longer = [&long[..], b"x"].concat();
    let table = [
        (LINES, framed(LINES, &[&longer])),
        (LINES, longer.clone()),
        (Framing::Length, (MOST_REPLY as u32 + 1).to_be_bytes().to_vec()),
        (Framing::Length, vec![0xff; 4]),
    ];
    for (framing, bytes) in table {
        let (events, failure) = outcome(&mut by_order(Script::new().data(&bytes), framing));
        let failure = failure.unwrap();
        assert_eq!((events, failure.kind), (vec![], ErrorKind::Protocol));
        assert!(failure.to_string().contains("262144"), "{failure}");
    }
}

#[test]
fn readings_are_pipelined_and_back_pressure_is_told() {
    let mut session = by_pointer(Script::new(), LINES);
    session.send(&mut context(), &message(1, b"{\"id\":1}")).unwrap();
    session.send(&mut context(), &message(2, b"{\"id\":2}")).unwrap();
    assert!(session.ready());
    session.stream.accept(3);
    session.send(&mut context(), &message(3, b"{\"id\":3}")).unwrap();
    assert!(!session.ready());
    assert_eq!(session.send(&mut context(), &message(4, b"{}")), Err(Failure::not_ready()));
    assert_eq!(outcome(&mut session), (vec![], None));
    session.stream.accept(usize::MAX);
    assert_eq!(outcome(&mut session), (vec![Event::Writable], None));
    assert_eq!(session.stream.written(), b"{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n");
}

#[test]
fn messages_are_framed_as_the_fleet_declares() {
    type Case<'t> = (Framing, &'t [u8], Option<&'t [u8]>);
    let table: [Case<'_>; 6] = [
        (LINES, b"a b", Some(b"a b\n")),
        (Framing::Line { crlf: true }, b"$GPGGA*47", Some(b"$GPGGA*47\r\n")),
        (Framing::Length, b"a\nb", Some(b"\0\0\0\x03a\nb")),
        (Framing::Length, b"", Some(b"\0\0\0\0")),
        (LINES, b"a\nb", None),
        (Framing::Line { crlf: true }, b"a\n", None),
    ];
    for (framing, payload, expected) in table {
        let mut session = by_pointer(Script::new(), framing);
        let sent = session.send(&mut context(), &message(1, payload));
        assert_eq!(session.stream.written(), expected.unwrap_or_default(), "{framing:?}");
        let refusal = sent
            .err()
            .map(|failure| (failure.kind, failure.to_string().contains("use framing = \"length\"")));
        assert_eq!(refusal, expected.is_none().then_some((ErrorKind::Protocol, true)));
    }
}

#[test]
fn replies_in_order_answer_whatever_waits_longest() {
    for framing in BOTH {
        let mut session = by_order(Script::new().data(&framed(framing, &[b"welcome"])), framing);
        assert!(!session.survives_timeout());
        assert!(by_pointer(Script::new(), framing).survives_timeout());
        assert_eq!(outcome(&mut session), (vec![], None));
        for seq in [7, 8, 9] {
            session.send(&mut context(), &message(seq, b"{}")).unwrap();
        }
        session.stream.push(&framed(framing, &[b"OK", b""]));
        assert_eq!(outcome(&mut session), (vec![ok(7), ok(8)], None));
        session.send(&mut context(), &message(3, b"{}")).unwrap();
        session.stream.push(&framed(framing, &[b"OK", b"ERR", b"OK"]));
        assert_eq!(outcome(&mut session), (vec![ok(9), ok(3)], None));
        assert_eq!(session.pipeline.stray(), 2);
    }
}

#[test]
fn fire_and_forget_closes_when_the_bytes_are_handed_over_and_hears_nothing() {
    let noise = vec![b'x'; 2 * MOST_REPLY];
    let mut session = session(Script::new().data(&noise), &settings(Close::Sent, None, LINES));
    session.send(&mut context(), &message(1, b"{}")).unwrap();
    session.stream.accept(1);
    session.send(&mut context(), &message(2, b"{}")).unwrap();
    assert_eq!(outcome(&mut session), (vec![ok(1)], None));
    session.stream.accept(usize::MAX);
    assert_eq!(outcome(&mut session), (vec![ok(2)], None));
    assert_eq!((session.pipeline.stray(), session.has_more()), (0, false));
    assert_eq!(session.notes_mut().take_payload(), noise.len() as u64);
}

#[test]
fn a_goodbye_is_the_end_of_the_stream_behind_everything_that_waits() {
    let mut session = by_pointer(Script::new().accepting(1), LINES);
    session.send(&mut context(), &message(1, b"{}")).unwrap();
    assert!(session.poll_close(&mut context()).is_pending());
    assert!(!session.stream.is_shut());
    session.stream.accept(usize::MAX);
    assert!(session.poll_close(&mut context()).is_ready());
    assert!(session.stream.is_shut());
    assert_eq!(session.stream.written(), b"{}\n");
}

#[test]
fn an_idle_session_is_small_and_says_nothing() {
    use super::super::fault_injector::FaultInjector;
    assert!(size_of::<FaultInjector<Tcp>>() <= 384, "{}", size_of::<FaultInjector<Tcp>>());
    let mut session = by_order(Script::new(), LINES);
    for _ in 0..3 {
        session.keep_alive(&mut context()).unwrap();
    }
    assert_eq!((outcome(&mut session), session.stream.written()), ((vec![], None), &b""[..]));
}
