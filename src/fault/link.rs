//! One device's connection as a stream of bytes.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

/// A TCP connection with `TCP_NODELAY`, seen by the codecs as plain bytes.
///
/// Every byte of every protocol passes through here in both directions, so a network fault needs no other seam.
/// Bytes accepted by a write travel on by themselves: no codec has to flush a `Link`.
#[derive(Debug)]
pub struct Link {
    socket: TcpStream,
}

impl Link {
    /// Connects to `addr`, from the local address `source` if one is given.
    ///
    /// Waits as long as the operating system does; a caller who wants less drops the future.
    ///
    /// # Errors
    /// Whatever the operating system says: refused, unreachable, no port or descriptor left. A connection that reached
    /// itself (TCP's simultaneous open, possible when nothing listens on a port of the ephemeral range) is refused.
    pub async fn dial(addr: SocketAddr, source: Option<IpAddr>) -> io::Result<Self> {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let socket = socket.connect(addr).await?;
        if socket.local_addr()? == addr {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                "nothing listens: connected to itself",
            ));
        }
        socket.set_nodelay(true)?;
        Ok(Self { socket })
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap().block_on(future)
    }

    #[test]
    fn bytes_pass_in_both_directions_and_nagle_is_off() {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut link = Link::dial(listener.local_addr().unwrap(), None).await.unwrap();
            let (mut peer, _) = listener.accept().await.unwrap();
            assert!(link.socket.nodelay().unwrap());
            link.write_all(b"up").await.unwrap();
            peer.write_all(b"down").await.unwrap();
            let (mut up, mut down) = ([0; 2], [0; 4]);
            peer.read_exact(&mut up).await.unwrap();
            link.read_exact(&mut down).await.unwrap();
            assert_eq!((&up, &down), (b"up", b"down"));
            link.shutdown().await.unwrap();
            assert_eq!(peer.read(&mut up).await.unwrap(), 0);
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_source_address_is_the_one_asked_for() {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 77));
            let _link = Link::dial(listener.local_addr().unwrap(), Some(source)).await.unwrap();
            assert_eq!(listener.accept().await.unwrap().1.ip(), source);
        });
    }

    #[test]
    fn a_port_without_listener_refuses() {
        block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let addr = listener.local_addr().unwrap();
            drop(listener);
            assert_eq!(Link::dial(addr, None).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        });
    }
}
