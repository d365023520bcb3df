//! A connection that can be reset instead of closed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::reference::tls::Wire;

/// Says whether a connection is to be reset at its end.
#[derive(Debug, Clone, Default)]
pub(super) struct ResetFlag(Arc<AtomicBool>);

impl ResetFlag {
    /// Has the connection reset (RST) when it ends.
    pub(super) fn reset(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection, with a reset flag if it came while new ones are refused.
#[derive(Debug)]
pub(super) struct ResettableStream {
    stream: Wire,
    reset_flag: Option<ResetFlag>,
}

impl ResettableStream {
    pub(super) const fn new(stream: Wire, reset_flag: Option<ResetFlag>) -> Self {
        Self { stream, reset_flag }
    }
}

impl Drop for ResettableStream {
    fn drop(&mut self) {
        if self.reset_flag.as_ref().is_some_and(|reset_flag| reset_flag.0.load(Ordering::Relaxed)) {
            reset(self.stream.tcp());
        }
    }
}

/// Has a connection reset (RST) when it is dropped.
pub(super) fn reset(stream: &TcpStream) {
    // A connection that cannot be reset is closed.
    let _ = stream.set_zero_linger();
}

impl AsyncRead for ResettableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for ResettableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
