//! One connection passed on to another, byte by byte, with everything that happens to either.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::link::Link;

/// Bytes held in each direction while the other side does not take them.
const BUFFER: usize = 16 * 1024;

/// A client's connection and the link it is passed on to.
///
/// The end of one side's bytes becomes the end of what the other side reads (half-close), and a reset becomes a reset.
#[derive(Debug)]
pub(crate) struct Relay {
    client: Option<TcpStream>,
    link: Link,
    up: Lane,
    down: Lane,
}

/// Bytes passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Passed {
    /// From the client.
    pub up: u64,
    /// To the client.
    pub down: u64,
}

impl Relay {
    /// Passes on what comes over `client`.
    pub(crate) fn new(client: TcpStream, link: Link) -> Self {
        Self { client: Some(client), link, up: Lane::new(), down: Lane::new() }
    }

    /// Bytes passed on so far.
    pub(crate) const fn passed(&self) -> Passed {
        Passed { up: self.up.passed, down: self.down.passed }
    }

    /// Copies until both sides have ended; ready when there is nothing left to do. To be polled by one task, which the
    /// faults of the link have to wake.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { client, link, up, down } = self;
        let Some(socket) = client else { return Poll::Ready(()) };
        let up = up.poll(cx, socket, link);
        let down = down.poll(cx, link, socket);
        match (up, down) {
            (Poll::Ready(Err(Side::Source)), _) | (_, Poll::Ready(Err(Side::Sink))) => {
                // The client is gone, and its peer is to know.
                link.abort();
                *client = None;
                Poll::Ready(())
            }
            (_, Poll::Ready(Err(Side::Source))) | (Poll::Ready(Err(Side::Sink)), _) => {
                // If it fails the client is gone as well.
                let _ = socket.set_zero_linger();
                *client = None;
                Poll::Ready(())
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => {
                *client = None;
                Poll::Ready(())
            }
            _ => Poll::Pending,
        }
    }
}

/// Which end of a lane failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Sink,
}

/// One direction.
#[derive(Debug)]
struct Lane {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// The source has ended.
    drained: bool,
    /// The sink knows.
    done: bool,
    passed: u64,
}

impl Lane {
    fn new() -> Self {
        Self { buffer: vec![0; BUFFER].into(), start: 0, end: 0, drained: false, done: false, passed: 0 }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut (impl AsyncRead + Unpin),
        sink: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<(), Side>> {
        while !self.done {
            // A sink that is shaped sends on what it holds whenever it is polled.
            if let Poll::Ready(Err(error)) = Pin::new(&mut *sink).poll_flush(cx) {
                return self.failed(&error);
            }
            if let Some(rest @ [_, ..]) = self.buffer.get(self.start..self.end) {
                match ready!(Pin::new(&mut *sink).poll_write(cx, rest)) {
                    Ok(0) => return Poll::Ready(Err(Side::Sink)),
                    Ok(size) => {
                        self.start += size;
                        self.passed += size as u64;
                    }
                    Err(error) => return self.failed(&error),
                }
            } else if self.drained {
                if ready!(Pin::new(&mut *sink).poll_shutdown(cx)).is_err() {
                    return Poll::Ready(Err(Side::Sink));
                }
                self.done = true;
            } else {
                let mut buf = ReadBuf::new(&mut self.buffer);
                let read = ready!(Pin::new(&mut *source).poll_read(cx, &mut buf));
                (self.start, self.end) = (0, buf.filled().len());
                self.drained = self.end == 0;
                if read.is_err() {
                    return Poll::Ready(Err(Side::Source));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// A sink that takes nothing more, and was not reset, may still have things to say the other way.
    fn failed(&mut self, error: &io::Error) -> Poll<Result<(), Side>> {
        if error.kind() == io::ErrorKind::BrokenPipe {
            self.done = true;
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(Err(Side::Sink))
    }
}
