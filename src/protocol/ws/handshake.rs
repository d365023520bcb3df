//! The handshake that turns a connection into a WebSocket.
//!
//! The library writes the request and judges the answer, but not over the connection itself: it takes an answer that trickles
//! in, as through a slow network, for an attack. So the answer is gathered here and handed to it whole.

use std::io::{self, Read, Write};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::HandshakeError;
use tokio_tungstenite::tungstenite::handshake::client::{ClientHandshake, Request};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::super::Failure;
use super::failure::failure;

/// The longest answer, bytes, which is also the library's limit; and the most header fields it reads.
const MAX_ANSWER: usize = 64 * 1024;
const MAX_FIELDS: usize = 124;

/// Bytes read at once.
const CHUNK: usize = 1024;

/// What the library reads and has written.
#[derive(Debug, Default)]
struct Memory {
    answer: Vec<u8>,
    read: usize,
    request: Vec<u8>,
}

impl Read for Memory {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut unread = self.answer.get(self.read..).unwrap_or_default();
        let size = Read::read(&mut unread, buf)?;
        self.read += size;
        if size == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(size) }
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut self.request, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends `request` over `stream` and waits for the server to agree.
///
/// # Errors
/// If the connection ends or the server does not agree.
pub(super) async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    request: Request,
    config: WebSocketConfig,
) -> Result<WebSocketStream<S>, Failure> {
    let started = ClientHandshake::start(Memory::default(), request, Some(config)).map_err(failure)?;
    let mut waiting = match started.handshake() {
        Err(HandshakeError::Interrupted(waiting)) => waiting,
        Err(HandshakeError::Failure(error)) => return Err(failure(error)),
        Ok(_) => return Err(Failure::protocol("the upgrade was answered before it was sent")),
    };
    let memory = waiting.get_mut().get_mut();
    stream.write_all(&memory.request).await.map_err(|error| Failure::io(&error))?;
    stream.flush().await.map_err(|error| Failure::io(&error))?;
    let head = gather(&mut stream, &mut memory.answer).await?;
    let rest = memory.answer.get(head..).unwrap_or_default().to_vec();
    match waiting.handshake() {
        Ok(_) => Ok(WebSocketStream::from_partially_read(stream, rest, Role::Client, Some(config)).await),
        Err(HandshakeError::Failure(error)) => Err(failure(error)),
        Err(HandshakeError::Interrupted(_)) => {
            Err(Failure::protocol("the answer to the upgrade is malformed"))
        }
    }
}

/// Reads the head of the answer, or as much of it as shows that it is malformed; gives its length.
async fn gather<S: AsyncRead + Unpin>(stream: &mut S, answer: &mut Vec<u8>) -> Result<usize, Failure> {
    loop {
        let before = answer.len();
        if before >= MAX_ANSWER {
            return Err(Failure::protocol(format!(
                "the server's answer to the upgrade is longer than {MAX_ANSWER} bytes"
            )));
        }
        answer.reserve(CHUNK);
        if stream.read_buf(answer).await.map_err(|error| Failure::io(&error))? == 0 {
            return Err(failure(Error::Protocol(ProtocolError::HandshakeIncomplete)));
        }
        // Nothing is over before a line is.
        if answer.get(before..).is_some_and(|fresh| fresh.contains(&b'\n')) {
            let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
            match httparse::Response::new(&mut fields).parse(answer) {
                Ok(httparse::Status::Complete(head)) => return Ok(head),
                Ok(httparse::Status::Partial) => {}
                Err(_) => return Ok(answer.len()),
            }
        }
    }
}
