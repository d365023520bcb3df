//! Where a message begins and ends in a stream of bytes.

use std::ops::Range;

use memchr::memchr;

use super::super::Failure;

/// Largest message to receive, bytes. An answer is a few dozen.
pub(super) const MOST_REPLY: usize = 256 * 1024;

/// Bytes of a length before its message.
const PREFIX: usize = size_of::<u32>();

/// What tells one message from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Each ends with a line feed. A carriage return before it, of a peer's message too, is part of the end.
    Line {
        /// Whether lines of the device end with CR LF.
        crlf: bool,
    },
    /// Each follows its length in bytes, a 32-bit integer, big-endian.
    Length,
}

impl Default for Framing {
    fn default() -> Self {
        Self::Line { crlf: false }
    }
}

impl Framing {
    /// Bytes around a payload.
    pub(super) const fn overhead(self) -> usize {
        match self {
            Self::Line { crlf: false } => 1,
            Self::Line { crlf: true } => 2,
            Self::Length => PREFIX,
        }
    }

    /// Appends `payload` as a message.
    ///
    /// # Errors
    /// [`Failure`], if the framing cannot carry it.
    pub(super) fn encode(self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        match self {
            Self::Line { .. } if memchr(b'\n', payload).is_some() => {
                return Err(Failure::protocol(
                    "a payload with a line feed in it cannot travel as a line: use framing = \"length\"",
                ));
            }
            Self::Line { crlf } => {
                out.extend_from_slice(payload);
                out.extend_from_slice(if crlf { b"\r\n" } else { b"\n" });
            }
            Self::Length => {
                let length = u32::try_from(payload.len())
                    .map_err(|_| Failure::protocol("a payload of 4 GiB has no length of 32 bits"))?;
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(payload);
            }
        }
        Ok(())
    }

    /// Where the first message in `bytes` stands, and how many bytes it takes with its frame; `None` while it is incomplete.
    ///
    /// # Errors
    /// [`Failure`], if it is longer than [`MOST_REPLY`].
    pub(super) fn first(self, bytes: &[u8]) -> Result<Option<(Range<usize>, usize)>, Failure> {
        match self {
            Self::Line { .. } => {
                let end = memchr(b'\n', bytes);
                if end.unwrap_or(bytes.len()) > MOST_REPLY {
                    let message = format!("the server sent a line of more than {MOST_REPLY} bytes");
                    return Err(Failure::protocol(message));
                }
                Ok(end.map(|end| {
                    let text = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
                    (0..text.len(), end + 1)
                }))
            }
            Self::Length => {
                let Some(prefix) = bytes.first_chunk::<PREFIX>() else { return Ok(None) };
                let length = u32::from_be_bytes(*prefix) as usize;
                if length > MOST_REPLY {
                    let message = format!(
                        "the server announced a message of {length} bytes, and no reply has more than {MOST_REPLY}"
                    );
                    return Err(Failure::protocol(message));
                }
                let end = PREFIX + length;
                Ok((bytes.len() >= end).then_some((PREFIX..end, end)))
            }
        }
    }
}
