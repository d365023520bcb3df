//! A stream in memory whose other end the suite holds: it says what can be read, and sees what is written and asked for.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::super::session::Carrier;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::protocol) enum Ending {
    /// The peer sends FIN.
    Orderly,
    /// The peer sends RST.
    Reset,
}

#[derive(Debug)]
struct State {
    incoming: VecDeque<u8>,
    ending: Option<Ending>,
    /// Written by the session and not taken yet.
    written: Vec<u8>,
    /// Bytes that it can still write.
    room: usize,
    /// Reads and writes so far.
    polls: usize,
    /// Its last read found nothing: it is woken when something comes.
    waits: bool,
}

/// Either end: the session reads and writes, the suite calls the methods.
#[derive(Debug, Clone)]
pub(crate) struct Wire(Rc<RefCell<State>>);

impl Wire {
    pub(super) fn new() -> Self {
        Self(Rc::new(RefCell::new(State {
            incoming: VecDeque::new(),
            ending: None,
            written: Vec::new(),
            room: usize::MAX,
            polls: 0,
            waits: false,
        })))
    }

    fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }

    /// Lets `bytes` come.
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.incoming.extend(bytes);
        state.waits &= bytes.is_empty();
    }

    /// Ends the connection behind what is still to be read.
    pub(super) fn end(&self, ending: Ending) {
        let mut state = self.state();
        state.ending = Some(ending);
        state.waits = false;
    }

    /// Takes what the session wrote.
    pub(super) fn take_written(&self) -> Vec<u8> {
        std::mem::take(&mut self.state().written)
    }

    /// From now on the session can write this much.
    pub(super) fn set_room(&self, bytes: usize) {
        self.state().room = bytes;
    }

    /// Reads and writes since the last call.
    pub(super) fn take_polls(&self) -> usize {
        std::mem::take(&mut self.state().polls)
    }

    /// Whether the session has read everything and will be woken when more comes.
    pub(super) fn is_awaited(&self) -> bool {
        let state = self.state();
        state.waits && state.incoming.is_empty()
    }

    /// Bytes that have come and were not read.
    pub(super) fn unread(&self) -> usize {
        self.state().incoming.len()
    }

    /// Whether the session has let go of its end.
    pub(super) fn is_dropped(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        state.polls += 1;
        if state.incoming.is_empty() {
            return match state.ending {
                Some(Ending::Orderly) => Poll::Ready(Ok(())),
                Some(Ending::Reset) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                None => {
                    state.waits = true;
                    Poll::Pending
                }
            };
        }
        let size = state.incoming.len().min(buf.remaining());
        let (first, second) = state.incoming.as_slices();
        let split = size.min(first.len());
        buf.put_slice(&first[..split]);
        buf.put_slice(&second[..size - split]);
        state.incoming.drain(..size);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        state.polls += 1;
        if state.ending == Some(Ending::Reset) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let size = bytes.len().min(state.room);
        if size == 0 && !bytes.is_empty() {
            return Poll::Pending;
        }
        state.room -= size;
        state.written.extend_from_slice(&bytes[..size]);
        Poll::Ready(Ok(size))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Carrier for Wire {}
