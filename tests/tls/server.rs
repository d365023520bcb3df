//! Servers over TLS for tests.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};
use tokio_tungstenite::tungstenite;

use crate::authority::Authority;
use crate::peer::{packet, start};
use crate::support::take_request;

/// The server's side of a connection.
pub(super) type Tls = StreamOwned<ServerConnection, TcpStream>;

/// What a server does with a connection whose handshake is over.
pub(super) type Serve = fn(Tls) -> io::Result<()>;

/// What a server has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) full: u64,
    pub(super) resumed: u64,
    pub(super) refused: u64,
    /// Handshakes by the certificate that was shown, then or when the session began.
    pub(super) certificates: BTreeMap<Vec<u8>, u64>,
}

/// A server on a free port, which serves for as long as the process lives.
pub(super) struct Server {
    pub(super) port: u16,
    pub(super) seen: Arc<Mutex<Seen>>,
}

impl Server {
    /// `strict`: it demands certificates of the authority.
    pub(super) fn start(authority: &Authority, strict: bool, serve: Serve) -> Self {
        Self::with(authority, strict, serve, |_| {})
    }

    /// The same, with `change` made to how it shakes hands.
    pub(super) fn with(
        authority: &Authority,
        strict: bool,
        serve: Serve,
        change: impl FnOnce(&mut ServerConfig),
    ) -> Self {
        let mut config = ServerConfig::clone(&authority.server(strict));
        change(&mut config);
        let config = Arc::new(config);
        let seen = Arc::<Mutex<Seen>>::default();
        let book = Arc::clone(&seen);
        let port = start(move |socket| meet(socket, Arc::clone(&config), &book, serve));
        Self { port, seen }
    }
}

fn meet(mut socket: TcpStream, config: Arc<ServerConfig>, book: &Mutex<Seen>, serve: Serve) {
    let Ok(mut tls) = ServerConnection::new(config) else { return };
    if socket.set_nodelay(true).is_err() {
        return;
    }
    while tls.is_handshaking() {
        if tls.complete_io(&mut socket).is_err() {
            book.lock().unwrap().refused += 1;
            // The alert has been written; what is unread must not reset it away.
            let _ = socket.shutdown(std::net::Shutdown::Write);
            let _ = io::copy(&mut socket, &mut io::sink());
            return;
        }
    }
    {
        let mut seen = book.lock().unwrap();
        match tls.handshake_kind() {
            Some(HandshakeKind::Resumed) => seen.resumed += 1,
            _ => seen.full += 1,
        }
        if let Some(shown) = tls.peer_certificates().and_then(<[_]>::first) {
            *seen.certificates.entry(shown.to_vec()).or_default() += 1;
        }
    }
    // A device that leaves ends its connection.
    let _ = serve(StreamOwned::new(tls, socket));
}

/// Answers requests by 200.
pub(super) fn http(stream: Tls) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while take_request(&mut stream)? {
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
    }
    Ok(())
}

/// Sends each WebSocket message back.
pub(super) fn websocket(stream: Tls) -> io::Result<()> {
    let mut socket = tungstenite::accept(stream).map_err(io::Error::other)?;
    loop {
        let message = socket.read().map_err(io::Error::other)?;
        if message.is_text() {
            socket.send(message).map_err(io::Error::other)?;
        }
    }
}

/// Sends each line back.
pub(super) fn lines(stream: Tls) -> io::Result<()> {
    let (mut stream, mut line) = (BufReader::new(stream), String::new());
    while stream.read_line(&mut line)? > 0 {
        stream.get_mut().write_all(line.as_bytes())?;
        line.clear();
    }
    Ok(())
}

/// Acknowledges whatever an MQTT client says.
pub(super) fn mqtt(mut stream: Tls) -> io::Result<()> {
    loop {
        let (kind, body) = packet(&mut stream)?;
        match kind >> 4 {
            1 => stream.write_all(&[0x20, 2, 0, 0])?,
            3 => {
                let at = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                stream.write_all(&[0x40, 2, body[at], body[at + 1]])?;
            }
            _ => {}
        }
    }
}
