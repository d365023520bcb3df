//! Peers with a script: small servers for HTTP, WebSocket and MQTT that do to a connection what a test tells them, and keep count.
//!
//! Blocking, with a thread for each connection: for tests of a few dozen devices.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use squall::record::Protocol;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// What a server does with each of its connections, which it has just accepted.
pub(crate) type Serve = fn(TcpStream) -> io::Result<()>;

/// A server on a free port of the loopback, which serves as long as the process lives, each connection on a thread of its own; gives
/// the port. What a connection comes to is not looked at: a client that leaves ends it.
pub(crate) fn start<R: Send + 'static>(serve: impl Fn(TcpStream) -> R + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    port
}

/// What a peer does with its connections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Script {
    /// It ends a connection on which nothing came for so long.
    pub(crate) idle: Option<Duration>,
    /// It ends a connection after so many readings, the last one included.
    pub(crate) most: Option<u64>,
    /// Whether that last reading is answered before.
    pub(crate) answers_last: bool,
    /// How it ends connections.
    pub(crate) farewell: Farewell,
    /// It ends a connection before anything was asked of it.
    pub(crate) shut: bool,
    /// Every MQTT subscriber is sent a message that names no reading.
    pub(crate) greets: bool,
}

/// How a peer ends a connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Farewell {
    /// As the protocol asks: FIN over HTTP and MQTT, a closing frame with code 1001 and FIN over WebSocket.
    Orderly,
    /// With a reset.
    Reset,
}

impl Script {
    /// Answers everything for as long as it is asked.
    pub(crate) const ANSWER: Self = Self {
        idle: None,
        most: None,
        answers_last: true,
        farewell: Farewell::Orderly,
        shut: false,
        greets: false,
    };
}

/// What a peer has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Connections.
    pub(crate) connections: AtomicU64,
    /// Readings.
    pub(crate) readings: AtomicU64,
    /// The body of each MQTT CONNECT.
    pub(crate) connects: Mutex<Vec<Vec<u8>>>,
}

/// A peer on a free port of the loopback, which serves for as long as the process lives.
pub(crate) struct Peer {
    pub(crate) addr: SocketAddr,
    pub(crate) seen: Arc<Seen>,
}

impl Peer {
    /// Starts a peer that speaks `protocol`.
    pub(crate) fn start(protocol: Protocol, script: Script) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), protocol, script)
    }

    /// Starts one at an address that was free a moment ago.
    pub(crate) fn start_at(addr: SocketAddr, protocol: Protocol, script: Script) -> Self {
        let listener = TcpListener::bind(addr).unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::<Seen>::default();
        let book = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let book = Arc::clone(&book);
                thread::spawn(move || {
                    book.connections.fetch_add(1, Ordering::SeqCst);
                    let mut line = Line { script, seen: &book, taken: 0 };
                    // A device that leaves, or is left, ends its line.
                    let _ = line.serve(protocol, stream);
                });
            }
        });
        Self { addr, seen }
    }

    /// What `--target` takes.
    pub(crate) fn target(&self, protocol: Protocol) -> String {
        format!("{protocol}={protocol}://{}/", self.addr).trim_end_matches('/').to_owned()
    }

    pub(crate) fn connections(&self) -> u64 {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn readings(&self) -> u64 {
        self.seen.readings.load(Ordering::SeqCst)
    }
}

/// What is to be done after a reading.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Next {
    Answer,
    AnswerAndLeave,
    Leave,
}

/// One connection.
struct Line<'a> {
    script: Script,
    seen: &'a Seen,
    taken: u64,
}

impl Line<'_> {
    fn serve(&mut self, protocol: Protocol, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(self.script.idle)?;
        let input = BufReader::new(stream.try_clone()?);
        match protocol.name() {
            _ if self.script.shut => leave(&stream, self.script.farewell, &[]),
            "http" => self.http(input, stream),
            "ws" => self.ws(input, stream),
            _ => self.mqtt(input, stream),
        }
    }

    fn take(&mut self) -> Next {
        self.taken += 1;
        self.seen.readings.fetch_add(1, Ordering::SeqCst);
        match self.script.most.is_some_and(|most| self.taken >= most) {
            true if self.script.answers_last => Next::AnswerAndLeave,
            true => Next::Leave,
            false => Next::Answer,
        }
    }

    fn http(&mut self, mut input: BufReader<TcpStream>, mut stream: TcpStream) -> io::Result<()> {
        let farewell = self.script.farewell;
        loop {
            match crate::support::take_request(&mut input) {
                Ok(true) => {}
                Ok(false) => return leave(&stream, farewell, &[]),
                Err(error) => return Err(error),
            }
            let next = self.take();
            if next != Next::Leave {
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
            }
            if next != Next::Answer {
                return leave(&stream, farewell, &[]);
            }
        }
    }

    fn ws(&mut self, mut input: BufReader<TcpStream>, mut stream: TcpStream) -> io::Result<()> {
        const GOING_AWAY: &[u8] = &[0x88, 2, 0x03, 0xe9];
        let farewell = self.script.farewell;
        let mut key = String::new();
        loop {
            let mut line = String::new();
            input.read_line(&mut line)?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("sec-websocket-key:") {
                key = line[line.len() - value.len()..].trim().to_owned();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let accept = derive_accept_key(key.as_bytes());
        write!(
            stream,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        )?;
        loop {
            let Ok((kind, payload)) = frame(&mut input) else { return leave(&stream, farewell, GOING_AWAY) };
            match kind {
                8 => return Ok(()),
                9 => stream.write_all(&[0x8a, 0])?,
                1 | 2 => {
                    let next = self.take();
                    if next != Next::Leave {
                        stream.write_all(&echo(&payload))?;
                    }
                    if next != Next::Answer {
                        return leave(&stream, farewell, GOING_AWAY);
                    }
                }
                _ => {}
            }
        }
    }

    fn mqtt(&mut self, mut input: BufReader<TcpStream>, mut stream: TcpStream) -> io::Result<()> {
        let farewell = self.script.farewell;
        loop {
            let Ok((kind, body)) = packet(&mut input) else { return leave(&stream, farewell, &[]) };
            match kind >> 4 {
                1 => {
                    self.seen.connects.lock().unwrap().push(body);
                    stream.write_all(&[0x20, 2, 0, 0])?;
                }
                3 => {
                    let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
                    let next = self.take();
                    if next != Next::Leave {
                        stream.write_all(&[0x40, 2, body[2 + topic], body[3 + topic]])?;
                    }
                    if next != Next::Answer {
                        return leave(&stream, farewell, &[]);
                    }
                }
                8 => {
                    stream.write_all(&[0x90, 3, body[0], body[1], 1])?;
                    if self.script.greets {
                        stream.write_all(b"\x30\x06\x00\x01thi!")?;
                    }
                }
                12 => stream.write_all(&[0xd0, 0])?,
                14 => return Ok(()),
                _ => {}
            }
        }
    }
}

/// Ends a connection; `last` is what the protocol says before an orderly end.
fn leave(mut stream: &TcpStream, farewell: Farewell, last: &[u8]) -> io::Result<()> {
    match farewell {
        Farewell::Orderly => {
            stream.write_all(last)?;
            stream.shutdown(Shutdown::Write)?;
            // Who closes with bytes unread resets.
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            io::copy(&mut stream, &mut io::sink()).map(drop)
        }
        Farewell::Reset => {
            socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
            stream.shutdown(Shutdown::Read)
        }
    }
}

/// A text frame of a server.
pub(crate) fn echo(payload: &[u8]) -> Vec<u8> {
    let mut reply = vec![0x81];
    if let Ok(short @ ..126) = u8::try_from(payload.len()) {
        reply.push(short);
    } else {
        reply.push(126);
        reply.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
    }
    reply.extend_from_slice(payload);
    reply
}

/// The opcode of the next WebSocket frame of a client, and its payload.
pub(crate) fn frame(input: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let [first, second] = take(input)?;
    let length = match second & 0x7f {
        126 => usize::from(u16::from_be_bytes(take(input)?)),
        127 => usize::try_from(u64::from_be_bytes(take(input)?)).unwrap(),
        short => usize::from(short),
    };
    let mask: [u8; 4] = take(input)?;
    let mut payload = vec![0; length];
    input.read_exact(&mut payload)?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok((first & 0x0f, payload))
}

/// The first byte of the next MQTT packet, and its body.
pub(crate) fn packet(input: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let [kind] = take(input)?;
    let (mut length, mut shift) = (0, 0);
    loop {
        let [byte] = take(input)?;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    Ok((kind, body))
}

pub(crate) fn take<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes).map(|()| bytes)
}

/// A PUBLISH at `QoS` 0; `topic` with its length before it.
pub(crate) fn publish(topic: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x30];
    let mut length = topic.len() + payload.len();
    while length > 127 {
        packet.push((length & 127 | 128) as u8);
        length >>= 7;
    }
    packet.push(length as u8);
    packet.extend_from_slice(topic);
    packet.extend_from_slice(payload);
    packet
}
