//! A client's connection as the endpoints see it, with TLS or without.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Context;

use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::net::MaybeTls;

/// A client's connection, handshake over.
pub(in crate::reference) type Wire = MaybeTls<TcpStream, TlsStream<TcpStream>>;

impl Wire {
    /// The TCP connection.
    pub(in crate::reference) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Whose ends it has: this one first.
    ///
    /// # Errors
    /// If the connection is gone.
    pub(in crate::reference) fn ends(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.tcp().local_addr()?, self.tcp().peer_addr()?))
    }

    /// Says TLS' goodbye, as far as the socket takes it at once; what is plain needs none.
    pub(in crate::reference) fn say_goodbye(&mut self, cx: &mut Context<'_>) {
        if let Self::Tls(stream) = self {
            let _ = Pin::new(&mut **stream).poll_shutdown(cx);
        }
    }
}
