//! TLS over real sockets against rustls' own server side, one step at a time.

mod admission;
mod failure;
mod memory;
mod pki;
mod record;
mod resumption;

use std::io::{Cursor, Read as _, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use self::pki::Pki;
use super::super::tests::block_on;
use super::super::{Connection, Link};
use super::*;

/// The server's side of one connection, moved by the test.
struct Peer {
    tls: ServerConnection,
    socket: TcpStream,
    heard: Vec<u8>,
}

impl Peer {
    /// What the server has to say, encrypted.
    fn waiting(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    async fn flush(&mut self) {
        let bytes = self.waiting();
        let _ = self.socket.write_all(&bytes).await;
    }

    /// Takes in what comes until the handshake is over. An error is told to the client.
    async fn shake_hands(&mut self) -> Result<(), rustls::Error> {
        while self.tls.is_handshaking() {
            self.flush().await;
            if self.take_in().await? == 0 {
                return Ok(());
            }
        }
        self.flush().await;
        Ok(())
    }

    async fn take_in(&mut self) -> Result<usize, rustls::Error> {
        let mut bytes = vec![0; 32 * 1024];
        let count = self.socket.read(&mut bytes).await.unwrap_or(0);
        let mut rest = Cursor::new(&bytes[..count]);
        while rest.position() < count as u64 {
            self.tls.read_tls(&mut rest).unwrap();
            if let Err(error) = self.tls.process_new_packets() {
                self.flush().await;
                return Err(error);
            }
            // An end of the stream, or nothing more for now.
            let _ = self.tls.reader().read_to_end(&mut self.heard);
        }
        Ok(count)
    }

    /// Reads until `count` bytes of messages have come.
    async fn hear(&mut self, count: usize) -> Vec<u8> {
        while self.heard.len() < count && self.take_in().await.unwrap() > 0 {}
        std::mem::take(&mut self.heard)
    }

    async fn say(&mut self, message: &[u8]) {
        self.tls.set_buffer_limit(None);
        self.tls.writer().write_all(message).unwrap();
        self.flush().await;
    }
}

/// Both ends of one attempt to shake hands.
async fn meet(
    server: &Arc<ServerConfig>,
    device: &DeviceTls,
) -> (std::io::Result<Connection>, Peer, Result<(), rustls::Error>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = async {
        let link = Link::dial(address, None, None).await.unwrap();
        Connection::shake_hands(link, device).await
    };
    let server = async {
        let (socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut peer =
            Peer { tls: ServerConnection::new(Arc::clone(server)).unwrap(), socket, heard: Vec::new() };
        let passed = peer.shake_hands().await;
        (peer, passed)
    };
    let (client, (peer, passed)) = tokio::join!(client, server);
    (client, peer, passed)
}

/// The same, where both sides are content.
async fn connected(server: &Arc<ServerConfig>, device: &DeviceTls) -> (Connection, Peer) {
    let (client, peer, passed) = meet(server, device).await;
    passed.unwrap();
    (client.unwrap(), peer)
}

/// One look at what has come, without waiting: messages, or `None`.
fn glance(stream: &mut Connection) -> Option<std::io::Result<Vec<u8>>> {
    let mut bytes = vec![0; 32 * 1024];
    let mut buf = ReadBuf::new(&mut bytes);
    let mut cx = Context::from_waker(Waker::noop());
    stream.look();
    match Pin::new(stream).poll_read(&mut cx, &mut buf) {
        Poll::Ready(Ok(())) => Some(Ok(buf.filled().to_vec())),
        Poll::Ready(Err(error)) => Some(Err(error)),
        Poll::Pending => None,
    }
}

fn trusting(pki: &Pki) -> TlsSettings {
    TlsSettings { authorities: Some(authorities(pki.ca.pem().as_bytes()).unwrap()), ..TlsSettings::default() }
}

fn device(pki: &Pki) -> DeviceTls {
    FleetTls::new(&trusting(pki), "localhost").unwrap().device(None)
}

#[test]
fn messages_pass_both_ways_whatever_their_length_and_the_version() {
    let pki = Pki::new();
    for versions in [TlsVersions::Both, TlsVersions::Only12, TlsVersions::Only13] {
        block_on(async {
            let settings = TlsSettings { versions, ..trusting(&pki) };
            let device = FleetTls::new(&settings, "localhost").unwrap().device(None);
            let (mut client, mut peer) = connected(&pki.server(), &device).await;
            for length in [1, 120, 16 * 1024, 16 * 1024 + 1, 300_000] {
                let message: Vec<u8> = (0..length).map(|at| at as u8).collect();
                let mut heard = vec![0; length];
                let (sent, taken) = tokio::join!(client.write_all(&message), peer.hear(length));
                sent.unwrap();
                assert_eq!(taken, message);
                let (read, ()) = tokio::join!(client.read_exact(&mut heard), peer.say(&message));
                read.unwrap();
                assert_eq!(heard, message);
            }
            assert!(client.take_traffic().0 > 300_000);
            let (left, ()) = tokio::join!(client.shutdown(), async {
                peer.hear(1).await;
            });
            left.unwrap();
            assert_eq!(peer.tls.reader().read(&mut [0]).unwrap(), 0, "the goodbye was said");
        });
    }
}

#[test]
fn a_name_and_an_address_can_be_asked_for_and_sni_takes_their_place() {
    let pki = Pki::new();
    let reaches = |host: &str, sni: Option<&str>| {
        let settings = TlsSettings { server_name: sni.map(str::to_owned), ..trusting(&pki) };
        let device = FleetTls::new(&settings, host).unwrap().device(None);
        block_on(async { meet(&pki.server(), &device).await.0.is_ok() })
    };
    assert!(
        reaches("localhost", None) && reaches("127.0.0.1", None) && reaches("10.0.0.1", Some("localhost"))
    );
    assert!(!reaches("127.0.0.2", None) && !reaches("localhost", Some("other")));
    let refusal = FleetTls::new(&trusting(&pki), "no name").unwrap_err();
    assert!(refusal.contains("`no name`") && refusal.contains("sni"), "{refusal}");
}

#[test]
fn an_insecure_fleet_accepts_any_certificate_and_no_other_does() {
    let (pki, other) = (Pki::new(), Pki::new());
    for (insecure, accepted) in [(true, true), (false, false)] {
        let settings = TlsSettings { insecure, ..trusting(&other) };
        let device = FleetTls::new(&settings, "elsewhere").unwrap().device(None);
        assert_eq!(block_on(async { meet(&pki.server(), &device).await.0.is_ok() }), accepted);
    }
}
