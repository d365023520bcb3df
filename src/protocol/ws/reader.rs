//! Reading messages from frames, in whatever pieces they come, by a limit of each and one of all that a worker holds.

use std::cell::Cell;

use super::super::Failure;
use super::super::buffer::Inbox;
use super::super::compression::{self, Fault};
use super::frame::{self, Header, Opcode};
use crate::record::ErrorKind;
use crate::units::ByteSize;

/// Most that the unfinished messages of all devices of a worker hold, bytes.
pub(super) const MOST_HELD: usize = 256 << 20;

/// What the buffer for messages that were compressed keeps allocated, bytes.
const INFLATED: usize = 64 * 1024;

thread_local! {
    /// Bytes of unfinished messages of this worker.
    static HELD: Cell<usize> = const { Cell::new(0) };

    /// Where compressed messages are read: one buffer for all sessions of a worker.
    static PLAIN: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes that this thread's unfinished messages hold.
#[cfg(test)]
pub(super) fn held() -> usize {
    HELD.get()
}

/// Has this thread hold `more` bytes for ever.
#[cfg(test)]
pub(super) fn hold(more: usize) {
    HELD.set(HELD.get() + more);
}

/// Reads one message after another. Holds memory only while there is a piece of one.
#[derive(Debug)]
pub(super) struct Reader {
    /// Largest message, bytes, also once it is no longer compressed.
    most: usize,
    /// Messages may be compressed.
    deflate: bool,
    partial: Option<Box<Partial>>,
}

/// A message that has not come in full.
#[derive(Debug)]
struct Partial {
    opcode: Opcode,
    packed: bool,
    /// Payload that its present frame still lacks, bytes.
    left: usize,
    /// Its present frame is the last.
    last: bool,
    bytes: Vec<u8>,
}

impl Partial {
    fn take(&mut self, piece: &[u8]) -> Result<(), Failure> {
        let held = HELD.get() + piece.len();
        if held > MOST_HELD {
            return Err(Failure::new(
                ErrorKind::Resource,
                format!(
                    "the messages that this worker's devices receive hold more than {} together: run with more workers",
                    ByteSize(MOST_HELD as u64)
                ),
            ));
        }
        HELD.set(held);
        self.bytes.extend_from_slice(piece);
        self.left -= piece.len();
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        HELD.set(HELD.get().saturating_sub(self.bytes.len()));
    }
}

impl Reader {
    pub(super) const fn new(most: usize, deflate: bool) -> Self {
        Self { most, deflate, partial: None }
    }

    /// Shows `take` the next message or control frame; `None` while it is incomplete.
    ///
    /// # Errors
    /// If the peer breaks the protocol, or a limit is reached.
    pub(super) fn read<T>(
        &mut self,
        inbox: &mut Inbox,
        take: impl FnOnce(Opcode, &[u8]) -> T,
    ) -> Result<Option<T>, Failure> {
        loop {
            if let Some(partial) = &mut self.partial
                && partial.left > 0
            {
                let piece = inbox.unread();
                let piece = piece.get(..partial.left).unwrap_or(piece);
                partial.take(piece)?;
                let size = piece.len();
                inbox.consume(size);
                if partial.left > 0 {
                    return Ok(None);
                }
            }
            if let Some(whole) = self.partial.take_if(|partial| partial.last) {
                return self.show(whole.opcode, whole.packed, &whole.bytes, take).map(Some);
            }
            let Some(header) = frame::header(inbox.unread())? else { return Ok(None) };
            let Header { opcode, size, marked, .. } = header;
            let length = self.admit(&header)?;
            let payload = inbox.unread().get(size..size + length);
            if opcode.is_control() || (header.last && self.partial.is_none() && payload.is_some()) {
                let Some(payload) = payload else { return Ok(None) };
                let shown = self.show(opcode, marked, payload, take);
                inbox.consume(size + length);
                return shown.map(Some);
            }
            inbox.consume(size);
            let partial = self.partial.get_or_insert_with(|| {
                Box::new(Partial { opcode, packed: marked, left: 0, last: false, bytes: Vec::new() })
            });
            partial.left = length;
            partial.last = header.last;
        }
    }

    /// The length of the frame's payload, if the frame may come now.
    fn admit(&self, header: &Header) -> Result<usize, Failure> {
        let begins = !header.opcode.is_control() && header.opcode != Opcode::Continuation;
        if header.marked && !(self.deflate && begins) {
            return Err(Failure::protocol(if self.deflate {
                "the server marked a frame as compressed that does not begin a message"
            } else {
                "the server sent a compressed message, and compression was not agreed on"
            }));
        }
        if begins && self.partial.is_some() {
            return Err(Failure::protocol("the server began a message within another"));
        }
        if header.opcode == Opcode::Continuation && self.partial.is_none() {
            return Err(Failure::protocol("the server continued a message that it had not begun"));
        }
        let gathered = self.partial.as_ref().filter(|_| !header.opcode.is_control());
        let room = self.most - gathered.map_or(0, |partial| partial.bytes.len());
        match usize::try_from(header.length) {
            Ok(length) if length <= room || header.opcode.is_control() => Ok(length),
            _ => Err(self.beyond()),
        }
    }

    fn show<T>(
        &self,
        opcode: Opcode,
        packed: bool,
        payload: &[u8],
        take: impl FnOnce(Opcode, &[u8]) -> T,
    ) -> Result<T, Failure> {
        let text = |payload: &[u8]| {
            if opcode == Opcode::Text && std::str::from_utf8(payload).is_err() {
                return Err(Failure::protocol("the server sent a text message that is not UTF-8"));
            }
            Ok(())
        };
        if !packed {
            text(payload)?;
            return Ok(take(opcode, payload));
        }
        let mut plain = PLAIN.take();
        plain.clear();
        let shown = match compression::inflate(payload, self.most, &mut plain) {
            Ok(()) => text(&plain).map(|()| take(opcode, &plain)),
            Err(Fault::Beyond) => Err(self.beyond()),
            Err(Fault::Malformed) => {
                Err(Failure::protocol("the server sent a compressed message that is malformed"))
            }
        };
        plain.clear();
        plain.shrink_to(INFLATED);
        PLAIN.set(plain);
        shown
    }

    fn beyond(&self) -> Failure {
        let most = ByteSize(self.most as u64);
        Failure::protocol(format!("the server sent a message of more than {most} (max_message)"))
    }
}
