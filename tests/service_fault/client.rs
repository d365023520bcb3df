//! Devices that speak to the reference system over each protocol, one reading at a time, written by hand on purpose.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use squall::reference::Server;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};

/// So long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn reading(device: &str, seq: u64) -> String {
    format!(r#"{{"device":"{device}","seq":{seq},"value":1.5}}"#)
}

/// What an HTTP request was answered with.
#[derive(Debug, Default)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) retry_after: Option<u64>,
    pub(super) text: String,
}

impl Response {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }
}

/// An HTTP client that keeps its connection.
pub(super) struct Http(BufReader<TcpStream>);

impl Http {
    pub(super) fn new(server: &Server) -> Self {
        Self(BufReader::new(connect(server.http_addr())))
    }

    pub(super) fn send(&mut self, method: &str, path: &str, body: &str) -> io::Result<()> {
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        self.0.get_mut().write_all((head + body).as_bytes())
    }

    pub(super) fn receive(&mut self) -> io::Result<Response> {
        let (mut response, mut length) = (Response::default(), 0);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_lowercase();
            match line.split_once(": ") {
                None if line.is_empty() => break,
                None => response.status = line[9..12].parse().unwrap(),
                Some(("content-length", size)) => length = size.parse().unwrap(),
                Some(("retry-after", seconds)) => response.retry_after = Some(seconds.parse().unwrap()),
                Some(_) => {}
            }
        }
        let mut text = vec![0; length];
        self.0.read_exact(&mut text)?;
        response.text = String::from_utf8(text).unwrap();
        Ok(response)
    }

    pub(super) fn try_ask(&mut self, method: &str, path: &str, body: &str) -> io::Result<Response> {
        self.send(method, path, body)?;
        self.receive()
    }

    pub(super) fn ask(&mut self, method: &str, path: &str, body: &str) -> Response {
        self.try_ask(method, path, body).unwrap()
    }

    pub(super) fn send_reading(&mut self, device: &str, seq: u64) {
        self.send("POST", "/v1/readings", &reading(device, seq)).unwrap();
    }

    /// Asserts that nothing comes for a moment.
    pub(super) fn hears_nothing(&mut self) {
        self.0.get_mut().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let heard = loop {
            match self.0.fill_buf().map(<[u8]>::len).map_err(|error| error.kind()) {
                Err(ErrorKind::Interrupted) => {}
                heard => break heard,
            }
        };
        assert!(matches!(heard, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{heard:?}");
        self.0.get_mut().set_read_timeout(Some(PATIENCE)).unwrap();
    }
}

/// A WebSocket client.
pub(super) struct Ws(WebSocket<TcpStream>);

impl Ws {
    pub(super) fn new(server: &Server) -> Self {
        let address = server.http_addr();
        Self(client(format!("ws://{address}/v1/stream"), connect(address)).unwrap().0)
    }

    pub(super) fn send_reading(&mut self, device: &str, seq: u64) {
        self.0.send(Message::text(reading(device, seq))).unwrap();
    }

    /// The next message; a process that was halted goes on waiting.
    fn read(&mut self) -> Message {
        loop {
            match self.0.read() {
                Err(Error::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
                read => return read.unwrap(),
            }
        }
    }

    pub(super) fn next(&mut self) -> Value {
        match self.read() {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// All that is on its way.
    pub(super) fn rest(&mut self) -> Vec<Value> {
        self.0.send(Message::Ping("?".into())).unwrap();
        let mut rest = Vec::new();
        loop {
            match self.read() {
                Message::Text(text) => rest.push(serde_json::from_str(&text).unwrap()),
                Message::Pong(_) => return rest,
                other => panic!("{other:?}"),
            }
        }
    }
}

/// What an MQTT client hears.
#[derive(Debug, PartialEq)]
pub(super) enum Packet {
    Message(Value),
    Puback(u16),
    Pubrec(u16),
    Pingresp,
}

/// An MQTT client, subscribed to the verdicts of all devices with `QoS` 0.
pub(super) struct Mqtt(TcpStream);

impl Mqtt {
    pub(super) fn new(server: &Server, name: &str) -> Self {
        let mut mqtt = Self(connect(server.mqtt_addr()));
        mqtt.packet(0x10, &[b"\0\x04MQTT\x04\x02\0\0", &text(name)]);
        assert_eq!(mqtt.read(), (0x20, vec![0, 0]));
        mqtt.packet(0x82, &[&[0, 1], &text("devices/+/verdicts"), &[0]]);
        assert_eq!(mqtt.read(), (0x90, vec![0, 1, 0]));
        mqtt
    }

    fn packet(&mut self, first: u8, parts: &[&[u8]]) {
        let body = parts.concat();
        let mut packet = vec![first];
        let mut length = body.len();
        while length >= 0x80 {
            packet.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        packet.push(length as u8);
        self.0.write_all(&[packet, body].concat()).unwrap();
    }

    fn read(&mut self) -> (u8, Vec<u8>) {
        let (mut byte, mut length, mut shift) = ([0], 0, 0);
        self.0.read_exact(&mut byte).unwrap();
        let first = byte[0];
        loop {
            self.0.read_exact(&mut byte).unwrap();
            length |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (first, body)
    }

    pub(super) fn publish(&mut self, device: &str, seq: u64, qos: u8, pid: u16) {
        let (topic, pid) = (text(&format!("devices/{device}/readings")), pid.to_be_bytes());
        let pid: &[u8] = if qos > 0 { &pid } else { &[] };
        self.packet(0x30 | qos << 1, &[&topic, pid, reading(device, seq).as_bytes()]);
    }

    pub(super) fn next(&mut self) -> Packet {
        let (first, body) = self.read();
        let pid = || u16::from_be_bytes([body[0], body[1]]);
        match first {
            0x30 => {
                let topic = usize::from(pid());
                Packet::Message(serde_json::from_slice(&body[2 + topic..]).unwrap())
            }
            0x40 => Packet::Puback(pid()),
            0x50 => Packet::Pubrec(pid()),
            0xd0 => Packet::Pingresp,
            other => panic!("{other:x}"),
        }
    }

    /// All that is on its way.
    pub(super) fn rest(&mut self) -> Vec<Packet> {
        self.packet(0xc0, &[]);
        let packets = std::iter::from_fn(|| Some(self.next()).filter(|packet| *packet != Packet::Pingresp));
        packets.collect()
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

/// A device of any protocol.
pub(super) enum Device {
    Http(Http),
    Ws(Box<Ws>),
    Mqtt(Mqtt),
}

/// What came of a reading.
#[derive(Debug, PartialEq)]
pub(super) struct Heard {
    pub(super) answers: Vec<Value>,
    /// Only over HTTP.
    pub(super) status: Option<(u16, Option<u64>)>,
}

impl Device {
    pub(super) const PROTOCOLS: [&str; 3] = ["http", "ws", "mqtt"];

    pub(super) fn new(protocol: &str, server: &Server) -> Self {
        match protocol {
            "http" => Self::Http(Http::new(server)),
            "ws" => Self::Ws(Box::new(Ws::new(server))),
            _ => Self::Mqtt(Mqtt::new(server, "device")),
        }
    }

    pub(super) fn send(&mut self, device: &str, seq: u64) {
        match self {
            Self::Http(http) => http.send_reading(device, seq),
            Self::Ws(ws) => ws.send_reading(device, seq),
            Self::Mqtt(mqtt) => mqtt.publish(device, seq, 0, 0),
        }
    }

    /// The next `count` answers, and that no more come.
    pub(super) fn hear(&mut self, count: usize) -> Heard {
        let (mut answers, mut status) = (Vec::new(), None);
        match self {
            Self::Http(http) if count == 0 => http.hears_nothing(),
            Self::Http(http) => {
                let response = http.receive().unwrap();
                answers.push(response.json());
                status = Some((response.status, response.retry_after));
            }
            Self::Ws(ws) => {
                answers.extend((0..count).map(|_| ws.next()));
                answers.append(&mut ws.rest());
            }
            Self::Mqtt(mqtt) => {
                let first: Vec<Packet> = (0..count).map(|_| mqtt.next()).collect();
                let message = |packet| match packet {
                    Packet::Message(value) => value,
                    other => panic!("{other:?}"),
                };
                answers.extend(first.into_iter().chain(mqtt.rest()).map(message));
            }
        }
        Heard { answers, status }
    }
}
