//! A device's connection, with TLS or without.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Link, TlsLink};

/// What codecs speak over: a stream of plain bytes that no codec has to flush. What is plain pays nothing for what is not.
#[derive(Debug)]
pub(crate) enum Connection {
    /// As it is.
    Plain(Link),
    /// Encrypted.
    Tls(Box<TlsLink>),
}

impl Connection {
    /// See [`Link::abort`].
    pub(crate) fn abort(&mut self) {
        match self {
            Self::Plain(link) => link.abort(),
            Self::Tls(link) => link.abort(),
        }
    }

    /// See [`Link::look`].
    pub(crate) fn look(&mut self) {
        match self {
            Self::Plain(link) => link.look(),
            Self::Tls(link) => link.look(),
        }
    }

    /// Bytes that went over the network each way since the last call: encrypted ones, where there is TLS.
    pub(crate) fn take_traffic(&mut self) -> (u64, u64) {
        match self {
            Self::Plain(link) => link.take_traffic(),
            Self::Tls(link) => link.take_traffic(),
        }
    }

    /// Whether the peer may still refuse the device, which takes itself for connected.
    pub(crate) fn awaits_admission(&self) -> bool {
        matches!(self, Self::Tls(link) if link.awaits_admission())
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(link) => Pin::new(link).poll_read(cx, buf),
            Self::Tls(link) => Pin::new(&mut **link).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(link) => Pin::new(link).poll_write(cx, buf),
            Self::Tls(link) => Pin::new(&mut **link).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(link) => Pin::new(link).poll_write_vectored(cx, bufs),
            Self::Tls(link) => Pin::new(&mut **link).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(link) => link.is_write_vectored(),
            Self::Tls(link) => link.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(link) => Pin::new(link).poll_flush(cx),
            Self::Tls(link) => Pin::new(&mut **link).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(link) => Pin::new(link).poll_shutdown(cx),
            Self::Tls(link) => Pin::new(&mut **link).poll_shutdown(cx),
        }
    }
}
