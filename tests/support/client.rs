//! A client of the bundled service over HTTP that keeps its connection, and waiting for what is to come of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use squall::clock::Monotonic;

pub(crate) struct Client {
    pub(crate) stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, body: &str) {
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        self.stream.get_mut().write_all((head + body).as_bytes()).unwrap();
    }

    /// The status of the answer, and its body.
    pub(crate) fn text(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.send(method, path, body);
        self.receive()
    }

    fn receive(&mut self) -> (u16, String) {
        let (mut status, mut length) = (0, 0);
        for line in self.stream.by_ref().lines() {
            let line = line.unwrap().to_lowercase();
            if line.is_empty() {
                break;
            }
            if line.starts_with("http/1.1 ") {
                status = line[9..12].parse().unwrap();
            }
            if let Some(size) = line.strip_prefix("content-length: ") {
                length = size.parse().unwrap();
            }
        }
        let mut text = vec![0; length];
        self.stream.read_exact(&mut text).unwrap();
        (status, String::from_utf8(text).unwrap())
    }

    /// The same, with the body as JSON; null where it is none.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        self.send(method, path, body);
        self.answer()
    }

    /// The answer to what was sent.
    pub(crate) fn answer(&mut self) -> (u16, Value) {
        let (status, text) = self.receive();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

/// Waits for what must come to be.
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let clock = Monotonic::start();
    while !is_so() {
        assert!(clock.now().as_secs_f64() < 60.0, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
