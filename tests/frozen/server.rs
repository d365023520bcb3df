//! A server that answers one reading per millisecond and connection, and freezes once. Thread per connection; it shares
//! no code with the tool.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use squall::clock::{Monotonic, Tick};
use squall::record::Protocol;
use tokio_tungstenite::tungstenite::{Message, accept};

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
    protocol: Protocol,
    addr: SocketAddr,
}

impl Server {
    /// Listens on a free port; its threads end with the test process.
    pub(super) fn start(protocol: Protocol, law: Law, clock: Monotonic) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                thread::spawn(move || match protocol.name() {
                    "http" => serve_http(stream, law, clock),
                    "ws" => serve_ws(stream, law, clock),
                    "tcp" => serve_tcp(stream, law, clock),
                    _ => serve_mqtt(stream, law, clock),
                });
            }
        });
        Self { protocol, addr }
    }

    pub(super) fn url(&self) -> String {
        match self.protocol.name() {
            "http" => format!("http://{}/readings", self.addr),
            "ws" => format!("ws://{}/readings", self.addr),
            protocol => format!("{protocol}://{}", self.addr),
        }
    }
}

fn answer_when_due(law: Law, clock: Monotonic) {
    let due = law.answer_at(clock.now());
    thread::sleep(Duration::from_nanos(due.since(clock.now())));
}

fn serve_http(stream: TcpStream, law: Law, clock: Monotonic) {
    let mut input = BufReader::new(stream.try_clone().unwrap());
    let mut output = stream;
    while take_request(&mut input).unwrap() {
        answer_when_due(law, clock);
        output.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
    }
}

fn serve_ws(stream: TcpStream, law: Law, clock: Monotonic) {
    let mut socket = accept(stream).unwrap();
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

fn serve_tcp(stream: TcpStream, law: Law, clock: Monotonic) {
    let mut output = stream.try_clone().unwrap();
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        answer_when_due(law, clock);
        output.write_all((line + "\n").as_bytes()).unwrap();
    }
}

fn serve_mqtt(mut stream: TcpStream, law: Law, clock: Monotonic) {
    while let Some((kind, body)) = mqtt_packet(&mut stream) {
        match kind >> 4 {
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
fn mqtt_packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
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
