//! Frames of RFC 6455 §5: headers of what servers send, and masked frames for them.

use std::cell::RefCell;

use tokio_tungstenite::tungstenite::handshake::client::generate_key;

use super::super::Failure;
use crate::seed::{Seed, Stream, variate};

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    fn of(bits: u8) -> Option<Self> {
        [Self::Continuation, Self::Text, Self::Binary, Self::Close, Self::Ping, Self::Pong]
            .into_iter()
            .find(|opcode| *opcode as u8 == bits)
    }

    pub(super) const fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// The beginning of a frame from a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The last frame of its message.
    pub(super) last: bool,
    /// The first reserved bit, which compression uses.
    pub(super) marked: bool,
    pub(super) opcode: Opcode,
    /// Bytes of payload.
    pub(super) length: u64,
    /// Bytes of the header itself.
    pub(super) size: usize,
}

/// Longest payload of a control frame, bytes.
const MAX_CONTROL: u64 = 125;

/// Reads the header at the beginning of `bytes`; `None` while it is incomplete.
///
/// # Errors
/// If no server may send it.
pub(super) fn header(bytes: &[u8]) -> Result<Option<Header>, Failure> {
    let &[first, second, ..] = bytes else { return Ok(None) };
    let Some(opcode) = Opcode::of(first & 0x0f) else {
        return Err(Failure::protocol(format!(
            "the server sent a frame of the reserved kind {}",
            first & 0x0f
        )));
    };
    if first & 0x30 != 0 {
        return Err(Failure::protocol("the server sent a frame with a reserved bit set"));
    }
    if second & 0x80 != 0 {
        return Err(Failure::protocol("the server sent a masked frame, as only clients may"));
    }
    let (length, size) = match second {
        126 => match bytes.get(2..4) {
            Some(long) => (long.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)), 4),
            None => return Ok(None),
        },
        127 => match bytes.get(2..10) {
            Some(long) => (long.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)), 10),
            None => return Ok(None),
        },
        short => (u64::from(short), 2),
    };
    let header = Header { last: first & 0x80 != 0, marked: first & 0x40 != 0, opcode, length, size };
    if opcode.is_control() && (!header.last || length > MAX_CONTROL) {
        return Err(Failure::protocol(
            "the server sent a control frame in pieces, or one of more than 125 bytes",
        ));
    }
    Ok(Some(header))
}

/// Appends a masked frame that is a message of its own; `marked` sets the bit of compression.
pub(super) fn encode(opcode: Opcode, marked: bool, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | if marked { 0x40 } else { 0 } | opcode as u8);
    match payload.len() {
        short @ 0..126 => out.push(0x80 | short as u8),
        long @ 126..0x1_0000 => {
            out.push(0xfe);
            out.extend_from_slice(&(long as u16).to_be_bytes());
        }
        longer => {
            out.push(0xff);
            out.extend_from_slice(&(longer as u64).to_be_bytes());
        }
    }
    let mask = mask();
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    let (words, rest) = out[start..].as_chunks_mut::<4>();
    let word = u32::from_ne_bytes(mask);
    for four in words {
        *four = (u32::from_ne_bytes(*four) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask) {
        *byte ^= key;
    }
}

/// A mask that the peer cannot foresee (RFC 6455 §10.3). It is not part of the plan.
fn mask() -> [u8; 4] {
    thread_local! {
        static MASKS: RefCell<Stream> = RefCell::new({
            let entropy = generate_key().bytes().fold(0_u64, |sum, byte| sum.rotate_left(5) ^ u64::from(byte));
            Seed(entropy).stream("WebSocket masks", 0)
        });
    }
    let drawn = MASKS.with_borrow_mut(variate::uniform);
    ((drawn * f64::from(u32::MAX)) as u32).to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

    use super::*;

    #[test]
    fn headers_are_read_like_an_independent_reader_reads_them() {
        for (first, second) in (0..=255_u8).flat_map(|first| (0..=255_u8).map(move |second| (first, second)))
        {
            let bytes = [first, second, 0, 0, 0, 0, 0, 1, 2, 3];
            let theirs = FrameHeader::parse(&mut std::io::Cursor::new(&bytes[..]));
            match header(&bytes) {
                Ok(Some(ours)) => {
                    let (theirs, length) = theirs.unwrap().unwrap();
                    assert_eq!((theirs.is_final, theirs.rsv1), (ours.last, ours.marked));
                    assert_eq!(u8::from(theirs.opcode), ours.opcode as u8);
                    assert_eq!(length, ours.length, "{first:x} {second:x}");
                    assert!((0..ours.size).all(|end| header(&bytes[..end]).unwrap().is_none()));
                }
                Ok(None) => panic!("{bytes:x?} is enough"),
                Err(failure) => {
                    let reserved = first & 0x30 != 0 || second & 0x80 != 0;
                    let control = first & 0x08 != 0 && (first & 0x80 == 0 || second & 0x7f > 125);
                    assert!(theirs.is_err() || reserved || control, "{first:x} {second:x}: {failure}");
                }
            }
        }
    }
}
