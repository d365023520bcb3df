//! A server that answers one reading per millisecond and connection, and freezes once. Thread per connection; it shares
//! no code with the tool.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use squall::clock::{Monotonic, Tick};
use squall::record::Protocol;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept, accept_hdr};

use crate::support::take_request;

const MS: u64 = 1_000_000;

/// When an answer is given. Answers leave on the ticks of a millisecond grid, so that one reading after another takes
/// exactly 1 ms each and the errors of threads that wake late do not add up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Law {
    pub(super) freeze: Tick,
    pub(super) freeze_ns: u64,
}

impl Law {
    /// The instant at which a reading taken up at `at` is answered.
    pub(super) fn answer_at(self, at: Tick) -> Tick {
        let thaw = self.freeze.plus_ns(self.freeze_ns);
        let tick = |from: Tick| Tick((from.0 + 3 * MS / 10).next_multiple_of(MS));
        let answer = tick(at);
        if answer >= self.freeze && answer < thaw { tick(thaw) } else { answer }
    }
}

#[derive(Debug)]
pub(super) struct Server {
    url: String,
}

impl Server {
    /// Listens on a free port, over TLS where `tls` says how; its threads end with the test process.
    pub(super) fn start(
        (protocol, is_carried): (Protocol, bool),
        tls: Option<Arc<ServerConfig>>,
        law: Law,
        clock: Monotonic,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (host, secure) = if tls.is_some() { ("localhost", "s") } else { ("127.0.0.1", "") };
        let path = if matches!(protocol.name(), "http" | "ws") { "/readings" } else { "" };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                let tls = tls.clone().map(|config| ServerConnection::new(config).unwrap());
                thread::spawn(move || match tls {
                    None => serve(stream, (protocol, is_carried), law, clock),
                    Some(tls) => serve(StreamOwned::new(tls, stream), (protocol, is_carried), law, clock),
                });
            }
        });
        let carrier = if is_carried { "+ws" } else { "" };
        Self { url: format!("{protocol}{carrier}{secure}://{host}:{port}{path}") }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

fn answer_when_due(law: Law, clock: Monotonic) {
    let due = law.answer_at(clock.now());
    thread::sleep(Duration::from_nanos(due.since(clock.now())));
}

fn serve<S: Read + Write>(stream: S, (protocol, is_carried): (Protocol, bool), law: Law, clock: Monotonic) {
    match protocol.name() {
        _ if is_carried => serve_mqtt(Carried::accept(stream), law, clock),
        "http" => serve_http(stream, law, clock),
        "ws" => serve_ws(stream, law, clock),
        "tcp" => serve_tcp(stream, law, clock),
        _ => serve_mqtt(stream, law, clock),
    }
}

fn serve_http<S: Read + Write>(stream: S, law: Law, clock: Monotonic) {
    let mut stream = BufReader::new(stream);
    while take_request(&mut stream).is_ok_and(|more| more) {
        answer_when_due(law, clock);
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
    }
}

fn serve_ws<S: Read + Write>(stream: S, law: Law, clock: Monotonic) {
    let mut socket = accept(stream).unwrap_or_else(|_| panic!("no upgrade"));
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else { continue };
        let reading: serde_json::Value = serde_json::from_str(text.as_str()).unwrap();
        answer_when_due(law, clock);
        let verdict = serde_json::json!({
            "type": "verdict", "device": reading["device"], "seq": reading["seq"],
            "score": 0.0, "anomaly": false, "level": "none",
        });
        socket.send(Message::text(verdict.to_string())).unwrap();
    }
}

fn serve_tcp<S: Read + Write>(stream: S, law: Law, clock: Monotonic) {
    let (mut stream, mut line) = (BufReader::new(stream), String::new());
    while stream.read_line(&mut line).is_ok_and(|read| read > 0) {
        answer_when_due(law, clock);
        stream.get_mut().write_all(line.as_bytes()).unwrap();
        line.clear();
    }
}

/// Bytes within a WebSocket: of whatever messages, and each write a message of its own.
struct Carried<S> {
    socket: WebSocket<S>,
    unread: Vec<u8>,
}

impl<S: Read + Write> Carried<S> {
    #[expect(clippy::result_large_err, reason = "that is how the library wants to be called")]
    fn accept(stream: S) -> Self {
        let select = |_: &Request, mut response: Response| {
            response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("mqtt"));
            Ok(response)
        };
        let socket = accept_hdr(stream, select).unwrap_or_else(|_| panic!("no upgrade"));
        Self { socket, unread: Vec::new() }
    }
}

impl<S: Read + Write> Read for Carried<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.unread.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => self.unread.extend_from_slice(&bytes),
                Ok(_) => {}
                Err(_) => return Ok(0),
            }
        }
        let size = buffer.len().min(self.unread.len());
        buffer[..size].copy_from_slice(&self.unread[..size]);
        self.unread.drain(..size);
        Ok(size)
    }
}

impl<S: Read + Write> Write for Carried<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send(Message::binary(bytes.to_vec())).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn serve_mqtt<S: Read + Write>(mut stream: S, law: Law, clock: Monotonic) {
    while let Some((kind, body)) = mqtt_packet(&mut stream) {
        match kind >> 4 {
            // MQTT 5, with a receive maximum of 1.
            1 if body[6] == 5 => stream.write_all(&[0x20, 6, 0, 0, 3, 33, 0, 1]).unwrap(),
            1 => stream.write_all(&[0x20, 2, 0, 0]).unwrap(),
            3 => {
                let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let id = [body[2 + topic], body[3 + topic]];
                answer_when_due(law, clock);
                stream.write_all(&[0x40, 2, id[0], id[1]]).unwrap();
            }
            12 => stream.write_all(&[0xd0, 0]).unwrap(),
            _ => return,
        }
    }
}

/// The next packet: its first byte and its body.
fn mqtt_packet(stream: &mut impl Read) -> Option<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok()?;
    let kind = byte[0];
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        stream.read_exact(&mut byte).ok()?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((kind, body))
}
