//! A scripted peer for the sessions' tests: a stream whose reads are dictated and whose writes are kept.
#![cfg_attr(not(test), expect(dead_code, reason = "only tests use all of it"))]

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::fault_injector::Codec;
use super::super::{Event, Failure};

#[derive(Debug)]
enum Step {
    Data(Vec<u8>),
    Error(io::ErrorKind),
    End,
}

/// Reads what it was told, then waits for ever; takes writes up to a limit, then blocks.
#[derive(Debug)]
pub(in crate::protocol) struct Script {
    steps: VecDeque<Step>,
    written: Vec<u8>,
    room: usize,
    shut: bool,
}

impl Script {
    pub(in crate::protocol) fn new() -> Self {
        Self { steps: VecDeque::new(), written: Vec::new(), room: usize::MAX, shut: false }
    }

    pub(in crate::protocol) fn data(mut self, bytes: &[u8]) -> Self {
        self.push(bytes);
        self
    }

    /// Cuts `bytes` before each of the positions in `cuts`, one read each.
    pub(in crate::protocol) fn cut(mut self, bytes: &[u8], cuts: &[usize]) -> Self {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        for pair in cuts.windows(2) {
            self.push(&bytes[pair[0]..pair[1]]);
        }
        self
    }

    pub(in crate::protocol) fn end(mut self) -> Self {
        self.steps.push_back(Step::End);
        self
    }

    pub(in crate::protocol) fn error(mut self, kind: io::ErrorKind) -> Self {
        self.steps.push_back(Step::Error(kind));
        self
    }

    pub(in crate::protocol) fn accepting(mut self, bytes: usize) -> Self {
        self.room = bytes;
        self
    }

    pub(in crate::protocol) fn accept(&mut self, bytes: usize) {
        self.room = bytes;
    }

    pub(in crate::protocol) fn push(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.steps.push_back(Step::Data(bytes.to_vec()));
        }
    }

    pub(in crate::protocol) fn written(&self) -> &[u8] {
        &self.written
    }

    pub(in crate::protocol) fn take_written(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.written)
    }

    pub(in crate::protocol) fn is_shut(&self) -> bool {
        self.shut
    }
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.steps.pop_front() {
            None => Poll::Pending,
            Some(Step::Error(kind)) => Poll::Ready(Err(kind.into())),
            Some(Step::End) => {
                self.steps.push_front(Step::End);
                Poll::Ready(Ok(()))
            }
            Some(Step::Data(mut bytes)) => {
                let rest = bytes.split_off(bytes.len().min(buf.remaining()));
                buf.put_slice(&bytes);
                if !rest.is_empty() {
                    self.steps.push_front(Step::Data(rest));
                }
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let n = buf.len().min(self.room);
        if n == 0 {
            return Poll::Pending;
        }
        self.room -= n;
        self.written.extend_from_slice(&buf[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut = true;
        Poll::Ready(Ok(()))
    }
}

impl super::super::session::Carrier for Script {}

/// A context whose wake-ups go nowhere: scripted tests poll by hand.
pub(in crate::protocol) fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Polls to the end: the events, then the failure if there was one.
pub(in crate::protocol) fn outcome(session: &mut impl Codec) -> (Vec<Event>, Option<Failure>) {
    let mut events = Vec::new();
    loop {
        match session.poll_event(&mut context()) {
            Poll::Ready(Ok(event)) => events.push(event),
            Poll::Ready(Err(failure)) => return (events, Some(failure)),
            Poll::Pending => return (events, None),
        }
    }
}
