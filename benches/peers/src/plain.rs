//! A single-threaded epoll loop that answers what a codec finds in a connection's bytes: as little as a target can do.

use std::io::{self, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::tls::{self, Tls};

/// Turns received bytes into bytes to send. One per connection.
pub trait Codec: Default {
    /// Takes whole messages from `input`, appends the answers to `output`, and tells how many bytes it took; `None` ends
    /// the connection.
    fn answer(&mut self, input: &[u8], output: &mut Vec<u8>) -> Option<usize>;
}

struct Connection<C> {
    stream: TcpStream,
    codec: C,
    tls: Option<Tls>,
    /// What was received and is not a whole message yet.
    rest: Vec<u8>,
    /// What the socket did not take.
    unsent: Vec<u8>,
}

const LISTENER: Token = Token(usize::MAX - 1);

/// Serves on a free port of 127.0.0.1, which it prints, until it is killed; over TLS if the command line names the file for the
/// certificate of its authority.
///
/// # Errors
/// If the port or the event queue cannot be had.
pub fn serve<C: Codec>() -> io::Result<()> {
    let tls = std::env::args_os().nth(1).map(|ca| tls::server(ca.as_ref())).transpose()?;
    let mut listener = TcpListener::bind("127.0.0.1:0".parse().expect("an address"))?;
    println!("{}", listener.local_addr()?.port());
    io::stdout().flush()?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut connections: Vec<Option<Connection<C>>> = Vec::new();
    let mut free = Vec::new();
    let mut room = Room { input: vec![0; 64 * 1024], ..Room::default() };
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let slot = free.pop().unwrap_or_else(|| {
                        connections.push(None);
                        connections.len() - 1
                    });
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(slot), interest)?;
                    let (codec, tls) = (C::default(), tls.as_ref().map(Tls::new).transpose()?);
                    connections[slot] =
                        Some(Connection { stream, codec, tls, rest: Vec::new(), unsent: Vec::new() });
                }
                continue;
            }
            let slot = event.token().0;
            let Some(connection) = connections.get_mut(slot).and_then(Option::as_mut) else { continue };
            if !turn(connection, &mut room) {
                connections[slot] = None;
                free.push(slot);
            }
        }
    }
}

/// What all connections use in turn.
#[derive(Default)]
struct Room {
    input: Vec<u8>,
    /// Of TLS, what the input says and what the output becomes.
    clear: Vec<u8>,
    cipher: Vec<u8>,
    output: Vec<u8>,
}

/// One event of a connection; false when it is over.
fn turn<C: Codec>(connection: &mut Connection<C>, room: &mut Room) -> bool {
    let Room { input, clear, cipher, output } = room;
    if !connection.unsent.is_empty() && !send(&mut connection.stream, &mut connection.unsent, &[]) {
        return false;
    }
    loop {
        let n = match connection.stream.read(input) {
            Ok(0) => return false,
            Ok(n) => n,
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        };
        output.clear();
        let Connection { stream, codec, tls, rest, unsent } = &mut *connection;
        let answered = match tls {
            None => answer(codec, rest, &input[..n], output),
            Some(tls) => {
                clear.clear();
                tls.take(&input[..n], clear).is_ok() && answer(codec, rest, clear, output)
            }
        };
        if !answered {
            return false;
        }
        if let Some(tls) = tls {
            cipher.clear();
            if tls.put(output, cipher).is_err() {
                return false;
            }
            std::mem::swap(cipher, output);
        }
        if !output.is_empty() && !send(stream, unsent, output) {
            return false;
        }
        // An edge-triggered socket that gave less than was asked for has no more.
        if n < input.len() {
            return true;
        }
    }
}

/// Answers what has come; false if it ends the connection.
fn answer<C: Codec>(codec: &mut C, rest: &mut Vec<u8>, input: &[u8], output: &mut Vec<u8>) -> bool {
    if rest.is_empty() {
        let Some(taken) = codec.answer(input, output) else { return false };
        rest.extend_from_slice(&input[taken..]);
    } else {
        rest.extend_from_slice(input);
        let Some(taken) = codec.answer(rest, output) else { return false };
        rest.drain(..taken);
    }
    true
}

/// Sends what was left and then `more`; keeps what the socket does not take.
fn send(stream: &mut TcpStream, unsent: &mut Vec<u8>, more: &[u8]) -> bool {
    if unsent.is_empty() {
        match stream.write(more) {
            Ok(n) => unsent.extend_from_slice(&more[n..]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => unsent.extend_from_slice(more),
            Err(_) => return false,
        }
        return true;
    }
    unsent.extend_from_slice(more);
    match stream.write(unsent) {
        Ok(n) => {
            unsent.drain(..n);
            true
        }
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}
