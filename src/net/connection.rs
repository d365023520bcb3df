//! A device's connection, with TLS or without.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::tls::TlsLayer;
use super::{DeviceTls, Link};

/// What codecs speak over: a stream of plain bytes that no codec has to flush.
#[derive(Debug)]
pub(crate) struct Connection {
    link: Link,
    /// Beside the link, not around it: a box around both would leave the memory of a link unused here.
    tls: Option<Box<TlsLayer>>,
}

impl Connection {
    /// A connection without TLS.
    pub(crate) const fn plain(link: Link) -> Self {
        Self { link, tls: None }
    }

    /// Shakes hands over `link`, as `device`.
    ///
    /// Knows no time-out: drop the future to give up.
    ///
    /// # Errors
    /// A [`TlsFailure`](super::TlsFailure) inside, if one side does not accept the other or what comes is not TLS; else what the link
    /// says.
    pub(crate) async fn shake_hands(mut link: Link, device: &DeviceTls) -> io::Result<Self> {
        let tls = Some(TlsLayer::shake_hands(&mut link, device).await?);
        Ok(Self { link, tls })
    }

    /// See [`Link::abort`].
    pub(crate) fn abort(&mut self) {
        self.link.abort();
    }

    /// See [`Link::look`].
    pub(crate) fn look(&mut self) {
        self.link.look();
    }

    /// Bytes that went over the network each way since the last call: encrypted ones, where there is TLS, those of handshakes included.
    pub(crate) fn take_traffic(&mut self) -> (u64, u64) {
        self.link.take_traffic()
    }

    /// Whether the server took up the device's last session.
    pub(crate) fn is_resumed(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_resumed())
    }

    /// Whether the peer may still refuse the device, which takes itself for connected.
    pub(crate) fn awaits_admission(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.awaits_admission())
    }

    /// Bytes of TLS' own buffers.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.held())
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { link, tls } = self.get_mut();
        match tls {
            None => Pin::new(link).poll_read(cx, buf),
            Some(tls) => tls.poll_read(link, cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Self { link, tls } = self.get_mut();
        match tls {
            None => Pin::new(link).poll_write(cx, buf),
            Some(tls) => tls.poll_write(link, cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { link, tls } = self.get_mut();
        match tls {
            None => Pin::new(link).poll_write_vectored(cx, bufs),
            Some(tls) => {
                // As tokio does where a stream has no vectored writes.
                let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| &**buf);
                tls.poll_write(link, cx, first)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_none() && self.link.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { link, tls } = self.get_mut();
        match tls {
            None => Pin::new(link).poll_flush(cx),
            Some(tls) => tls.poll_flush(link, cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { link, tls } = self.get_mut();
        match tls {
            None => Pin::new(link).poll_shutdown(cx),
            Some(tls) => tls.poll_shutdown(link, cx),
        }
    }
}
