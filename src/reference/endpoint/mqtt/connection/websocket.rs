//! MQTT over WebSocket (MQTT 5 §6): the upgrade, and the bytes of MQTT in binary messages.

use std::io::Cursor;
use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use httparse::{EMPTY_HEADER, Request, Status};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::reference::endpoint::mqtt::codec::LARGEST_PACKET;

/// Longest head of an upgrade, bytes.
const LONGEST_HEAD: usize = 8 * 1024;

/// Largest frame taken, bytes: a packet and what may come before it.
const LARGEST_FRAME: u64 = 2 * LARGEST_PACKET as u64;

/// Where MQTT is spoken.
const PATH: &str = "/mqtt";

/// The code of an ordinary end, of one for what is not taken, and of one for what is no WebSocket.
const NORMAL: u16 = 1000;
const UNSUPPORTED: u16 = 1003;
const BROKEN: u16 = 1002;

/// How the first bytes of a connection that is to be upgraded begin: those of no MQTT packet that may come first.
pub(super) fn begins_upgrade(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'G')
}

/// What an upgrade has come to.
#[derive(Debug)]
pub(super) enum Upgrade {
    /// More bytes are needed.
    Cut,
    /// It is granted, and took so many bytes.
    Granted(WebSocket, usize),
    /// It is refused; the answer is still to be written.
    Refused(WebSocket),
}

/// The WebSocket of one connection.
#[derive(Debug, Default)]
pub(super) struct WebSocket {
    /// What has come of a frame that is not complete.
    input: Vec<u8>,
    /// What is to be written.
    output: Vec<u8>,
    written: usize,
    /// Whether a message has begun whose last frame is still to come.
    is_within: bool,
    is_closed: bool,
}

/// The WebSocket is over: the client has ended it, or does not speak it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Over;

impl WebSocket {
    /// Reads the request for an upgrade at the beginning of `bytes`.
    pub(super) fn upgrade(bytes: &[u8]) -> Upgrade {
        let mut fields = [EMPTY_HEADER; 64];
        let mut request = Request::new(&mut fields);
        match request.parse(bytes) {
            Ok(Status::Complete(size)) => match answer(&request) {
                Ok(answer) => Upgrade::Granted(Self { output: answer.into(), ..Self::default() }, size),
                Err(status) => Upgrade::Refused(Self::refusal(status)),
            },
            Ok(Status::Partial) if bytes.len() <= LONGEST_HEAD => Upgrade::Cut,
            Ok(Status::Partial) => Upgrade::Refused(Self::refusal("431 Request Header Fields Too Large")),
            Err(_) => Upgrade::Refused(Self::refusal("400 Bad Request")),
        }
    }

    fn refusal(status: &str) -> Self {
        let text = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        Self { output: text.into(), is_closed: true, ..Self::default() }
    }

    /// Takes in what has come and appends the bytes of MQTT in it to `plain`.
    ///
    /// # Errors
    /// If the WebSocket is over. What had come before counts.
    pub(super) fn take(&mut self, bytes: &[u8], plain: &mut Vec<u8>) -> Result<(), Over> {
        let mut input = std::mem::take(&mut self.input);
        input.extend_from_slice(bytes);
        let mut used = 0;
        let result = loop {
            match self.frame(input.get(used..).unwrap_or_default(), plain) {
                Ok(0) => break Ok(()),
                Ok(size) => used += size,
                Err(code) => {
                    self.close(code);
                    break Err(Over);
                }
            }
        };
        input.drain(..used);
        input.shrink_to_fit();
        self.input = input;
        result
    }

    /// Takes the frame at the beginning of `bytes`; gives its size, 0 if it is incomplete.
    ///
    /// # Errors
    /// The code by which the WebSocket is closed.
    fn frame(&mut self, bytes: &[u8], plain: &mut Vec<u8>) -> Result<usize, u16> {
        let mut cursor = Cursor::new(bytes);
        let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|_| BROKEN)? else {
            return Ok(0);
        };
        let Some(mask) = header.mask.filter(|_| !(header.rsv1 || header.rsv2 || header.rsv3)) else {
            return Err(BROKEN);
        };
        if length > LARGEST_FRAME {
            return Err(UNSUPPORTED);
        }
        let (start, length) = (cursor.position() as usize, length as usize);
        let Some(payload) = bytes.get(start..start + length) else { return Ok(0) };
        let unmasked = payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key);
        match header.opcode {
            OpCode::Data(Data::Binary) if !self.is_within => {
                self.is_within = !header.is_final;
                plain.extend(unmasked);
            }
            OpCode::Data(Data::Continue) if self.is_within => {
                self.is_within = !header.is_final;
                plain.extend(unmasked);
            }
            // [MQTT-6.0.0-1]
            OpCode::Data(Data::Text) => return Err(UNSUPPORTED),
            OpCode::Control(_) if !header.is_final || length > 125 => return Err(BROKEN),
            OpCode::Control(Control::Ping) => {
                let pong: Vec<u8> = unmasked.collect();
                self.put(OpCode::Control(Control::Pong), &pong);
            }
            OpCode::Control(Control::Pong) => {}
            OpCode::Control(Control::Close) => return Err(NORMAL),
            OpCode::Data(_) | OpCode::Control(_) => return Err(BROKEN),
        }
        Ok(start + length)
    }

    /// Adds bytes of MQTT to what is to be written, as a message of their own.
    pub(super) fn send(&mut self, plain: &[u8]) {
        self.put(OpCode::Data(Data::Binary), plain);
    }

    /// Adds a goodbye, unless it has been said.
    pub(super) fn say_goodbye(&mut self) {
        self.close(NORMAL);
    }

    fn close(&mut self, code: u16) {
        if !std::mem::replace(&mut self.is_closed, true) {
            self.put(OpCode::Control(Control::Close), &code.to_be_bytes());
        }
    }

    fn put(&mut self, opcode: OpCode, payload: &[u8]) {
        let header = FrameHeader { opcode, ..FrameHeader::default() };
        // Writing to memory does not fail.
        let _ = header.format(payload.len() as u64, &mut self.output);
        self.output.extend_from_slice(payload);
    }

    /// What is to be written next.
    pub(super) fn unwritten(&self) -> &[u8] {
        self.output.get(self.written..).unwrap_or_default()
    }

    /// Takes note that `count` bytes have been written.
    pub(super) fn wrote(&mut self, count: usize) {
        self.written += count;
        if self.written >= self.output.len() {
            self.output = Vec::new();
            self.written = 0;
        }
    }
}

/// The answer that grants an upgrade.
///
/// # Errors
/// The status that refuses it.
fn answer(request: &Request<'_, '_>) -> Result<String, &'static str> {
    let named = |name: &'static str| {
        request
            .headers
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    };
    let lists = |name, word: &str| {
        named(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    };
    let host = named("host").next().unwrap_or_default();
    if !named("origin").all(|origin| is_own(origin, host)) {
        return Err("403 Forbidden");
    }
    if request.path.is_none_or(|path| path.split('?').next() != Some(PATH)) {
        return Err("404 Not Found");
    }
    if !lists("upgrade", "websocket")
        || !lists("connection", "upgrade")
        || !lists("sec-websocket-version", "13")
    {
        return Err("426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13");
    }
    let mut keys = named("sec-websocket-key");
    let key = keys.next().filter(|key| BASE64.decode(key).is_ok_and(|bytes| bytes.len() == 16));
    let (Some(key), None) = (key, keys.next()) else { return Err("400 Bad Request") };
    // [MQTT-6.0.0-3] [MQTT-6.0.0-4]
    if !lists("sec-websocket-protocol", "mqtt") {
        return Err("400 Bad Request");
    }
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
        derive_accept_key(key)
    ))
}

/// Whether an `Origin` is of this address itself. Pages of browsers name another: any page could else reach a service on its
/// machine. Some clients that are no browsers name the address they connect to; by a name it proves nothing, for names can be
/// made to lead anywhere.
fn is_own(origin: &[u8], host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let literal = host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok();
    let is_local = host.split(':').next() == Some("localhost");
    let origin = std::str::from_utf8(origin).ok().and_then(|origin| origin.split_once("://"));
    (literal || is_local) && origin.is_some_and(|(_, authority)| authority == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
                        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                        Sec-WebSocket-Protocol: chat, mqtt\r\n\r\n";

    #[test]
    fn an_upgrade_is_granted_to_whoever_asks_for_mqtt_and_is_no_page() {
        for cut in 0..GOOD.len() {
            assert!(matches!(WebSocket::upgrade(&GOOD.as_bytes()[..cut]), Upgrade::Cut), "{cut}");
        }
        let Upgrade::Granted(socket, size) = WebSocket::upgrade(&[GOOD.as_bytes(), b"more"].concat()) else {
            panic!()
        };
        assert_eq!(size, GOOD.len());
        // The key and its answer of RFC 6455 §1.3.
        let said = String::from_utf8_lossy(socket.unwritten()).into_owned();
        assert!(said.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{said}");
        for (what, instead, status) in [
            ("/mqtt", "/other", "404"),
            ("websocket", "h2c", "426"),
            ("13", "12", "426"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", "400"),
            ("chat, mqtt", "chat", "400"),
            ("Host: h", "Host: h\r\nOrigin: http://evil.example", "403"),
            ("Host: h", "Host: h\r\nOrigin: http://h", "403"),
            ("Host: h", "Host: 127.0.0.1:1883\r\nOrigin: http://127.0.0.1:8080", "403"),
            ("GET /mqtt HTTP/1.1", "GET  /mqtt", "400"),
        ] {
            let Upgrade::Refused(socket) = WebSocket::upgrade(GOOD.replace(what, instead).as_bytes()) else {
                panic!("{what}")
            };
            assert!(socket.unwritten().starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{what}");
        }
        let own = "Host: 127.0.0.1:1883\r\nOrigin: https://127.0.0.1:1883";
        let own = WebSocket::upgrade(GOOD.replace("Host: h", own).as_bytes());
        assert!(matches!(own, Upgrade::Granted(..)), "{own:?}");
        let endless = format!("GET /mqtt HTTP/1.1\r\nX: {}", "x".repeat(LONGEST_HEAD));
        assert!(matches!(WebSocket::upgrade(endless.as_bytes()), Upgrade::Refused(_)));
    }

    #[test]
    fn bytes_come_out_of_frames_however_they_are_cut_and_what_is_none_ends_it() {
        let masked = |first: u8, payload: &[u8]| {
            let key = [1, 2, 3, 4];
            let body = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
            [&[first, 0x80 | payload.len() as u8][..], &key, &body.collect::<Vec<_>>()].concat()
        };
        let frames =
            [masked(0x02, b"ab"), masked(0x89, b"hi"), masked(0x80, b"c"), masked(0x82, b"d")].concat();
        for split in 0..=frames.len() {
            let (mut socket, mut plain) = (WebSocket::default(), Vec::new());
            for piece in [&frames[..split], &frames[split..]] {
                assert_eq!(socket.take(piece, &mut plain), Ok(()));
            }
            assert_eq!((&plain[..], socket.unwritten()), (&b"abcd"[..], &b"\x8a\x02hi"[..]));
            assert!(socket.input.is_empty());
        }
        for (bytes, code) in [
            (masked(0x81, b"text"), UNSUPPORTED),
            (masked(0x88, b""), NORMAL),
            (masked(0x80, b"x"), BROKEN),
            (masked(0xc2, b"x"), BROKEN),
            (masked(0x09, b"x"), BROKEN),
            (b"\x82\x01x".to_vec(), BROKEN),
            (b"\x82\xff\0\0\0\x01\0\0\0\0\0\0\0\0".to_vec(), UNSUPPORTED),
        ] {
            let mut socket = WebSocket::default();
            assert_eq!(socket.take(&bytes, &mut Vec::new()), Err(Over), "{bytes:x?}");
            let [high, low] = code.to_be_bytes();
            assert_eq!(socket.unwritten(), [0x88, 2, high, low], "{bytes:x?}");
            socket.say_goodbye();
            assert_eq!(socket.unwritten().len(), 4, "a goodbye is said once");
        }
    }
}
