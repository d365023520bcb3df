//! WebSocket: one text message per reading, pipelined, answered by messages that name the reading.

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, coding::CloseCode};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::handed::Handed;
use super::pulse::Pulse;
use super::verdict::{self, Reply};
use super::{Endpoint, Event, Failure, Settings};
use crate::fault::Link;
use crate::record::{Close, ErrorKind};

/// Bytes read at once, and what every session holds for that; the default of 128 KiB would be 1.3 GB for 10 000 devices.
const READ_BUFFER: usize = 4 * 1024;

/// Largest message to send, bytes, with room for a few control frames. No second one is taken while one is blocked.
const MAX_WRITE: usize = 16 * 1024 * 1024 + 1024;

/// Largest message to receive, bytes. An answer is a few hundred.
const MAX_READ: usize = 256 * 1024;

/// A WebSocket session. See [`Session`](super::Session) for what the methods promise.
#[derive(Debug)]
pub struct Ws<S = Link> {
    socket: WebSocketStream<S>,
    device: Box<str>,
    close: Close,
    handed: Handed,
    /// Bytes wait for the socket.
    blocked: bool,
    /// Whoever sends was last told that the session is not ready.
    stalled: bool,
    pulse: Pulse,
    leaving: Leaving,
    stray: u64,
}

/// How far the goodbye has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    /// The closing frame is being written.
    Writing,
    /// The server's closing frame and the end of the stream are awaited.
    Waiting,
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE)
        .max_message_size(Some(MAX_READ))
        .max_frame_size(Some(MAX_READ))
}

impl<S: AsyncRead + AsyncWrite + Unpin> Ws<S> {
    /// Upgrades `stream` and takes it over.
    pub(super) async fn open(
        stream: S,
        endpoint: &Endpoint,
        settings: &Settings,
        device: &str,
    ) -> Result<Self, Failure> {
        match client_async_with_config(endpoint.url(), stream, Some(config())).await {
            Ok((socket, _)) => Ok(Self::over(socket, settings, device)),
            Err(error) => Err(failure(error)),
        }
    }

    fn over(socket: WebSocketStream<S>, settings: &Settings, device: &str) -> Self {
        Self {
            socket,
            device: device.into(),
            close: settings.close,
            handed: Handed::default(),
            blocked: false,
            stalled: false,
            pulse: Pulse::default(),
            leaving: Leaving::No,
            stray: 0,
        }
    }

    pub(super) fn ready(&self) -> bool {
        !self.blocked && !self.handed.is_full()
    }

    pub(super) const fn stray(&self) -> u64 {
        self.stray
    }

    pub(super) fn send(&mut self, cx: &mut Context<'_>, seq: u64, payload: &[u8]) -> Result<(), Failure> {
        if !self.ready() {
            return Err(Failure::not_ready());
        }
        // JSON is text; an encoding that is not UTF-8 can only travel as binary.
        let message = match std::str::from_utf8(payload) {
            Ok(text) => Message::text(text),
            Err(_) => Message::Binary(Bytes::copy_from_slice(payload)),
        };
        self.write(cx, message)?;
        self.pulse.spoke();
        if self.close == Close::Sent {
            self.handed.push(seq);
        }
        self.stalled = !self.ready();
        Ok(())
    }

    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Failure>> {
        loop {
            if let Some(event) = self.pending_event() {
                return Poll::Ready(Ok(event));
            }
            // Reading also writes the pongs that earlier reading called for.
            match Pin::new(&mut self.socket).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => {
                    if let Some(event) = self.receive(cx, &message)? {
                        self.stalled = !self.ready();
                        return Poll::Ready(Ok(event));
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(failure(error))),
                Poll::Ready(None) => return Poll::Ready(Err(failure(Error::ConnectionClosed))),
                Poll::Pending if !self.blocked => return Poll::Pending,
                Poll::Pending => {
                    self.flush(cx)?;
                    if self.blocked {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    pub(super) fn keep_alive(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        if self.pulse.beat()? && !self.blocked {
            self.write(cx, Message::Ping(Bytes::new()))?;
            self.pulse.pinged();
            self.stalled = !self.ready();
        }
        Ok(())
    }

    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.leaving == Leaving::No {
            self.leaving = Leaving::Writing;
            let goodbye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            if self.write(cx, Message::Close(Some(goodbye))).is_err() {
                return Poll::Ready(());
            }
        }
        loop {
            if self.leaving == Leaving::Writing {
                if self.flush(cx).is_err() {
                    return Poll::Ready(());
                }
                if !self.blocked {
                    self.leaving = Leaving::Waiting;
                }
            }
            // The server answers with its own closing frame and then ends the connection (RFC 6455 §7.1.1).
            match Pin::new(&mut self.socket).poll_next(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn pending_event(&mut self) -> Option<Event> {
        let event = self.handed.pop(self.blocked);
        if event.is_some() || (self.stalled && self.ready()) {
            self.stalled = !self.ready();
            return event.or(Some(Event::Writable));
        }
        None
    }

    fn receive(&mut self, cx: &mut Context<'_>, message: &Message) -> Result<Option<Event>, Failure> {
        let answer = match message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
            Message::Pong(_) => {
                self.pulse.answered();
                return Ok(None);
            }
            Message::Close(frame) => {
                // Answer the goodbye as far as the socket takes it; the connection is over either way.
                let _ = self.flush(cx);
                return Err(goodbye(frame.as_ref()));
            }
            Message::Ping(_) | Message::Frame(_) => return Ok(None),
        };
        if self.close == Close::Sent {
            return Ok(None);
        }
        let Some(Reply { seq, answer, stages, flagged }) = verdict::read(answer, &self.device) else {
            self.stray += 1;
            return Ok(None);
        };
        Ok(Some(Event::Closed { seq, answer, stages, flagged }))
    }

    fn write(&mut self, cx: &mut Context<'_>, message: Message) -> Result<(), Failure> {
        Pin::new(&mut self.socket).start_send(message).map_err(failure)?;
        self.flush(cx)
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        match Pin::new(&mut self.socket).poll_flush(cx) {
            Poll::Ready(Ok(())) => self.blocked = false,
            Poll::Ready(Err(error)) => return Err(failure(error)),
            Poll::Pending => self.blocked = true,
        }
        Ok(())
    }
}

fn goodbye(frame: Option<&CloseFrame>) -> Failure {
    match frame {
        Some(CloseFrame { code, reason }) if reason.is_empty() => {
            Failure::closed(format!("the server closed the WebSocket with code {code}"))
        }
        Some(CloseFrame { code, reason }) => {
            Failure::closed(format!("the server closed the WebSocket with code {code}: {reason}"))
        }
        None => Failure::closed("the server closed the WebSocket"),
    }
}

fn failure(error: Error) -> Failure {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => Failure::closed("the WebSocket is closed"),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete) => {
            Failure::closed("the server closed the connection without a closing handshake")
        }
        Error::Io(error) => Failure::io(&error),
        Error::Http(response) => {
            Failure::protocol(format!("the server answered the upgrade with status {}", response.status()))
        }
        Error::WriteBufferFull(_) => Failure::new(ErrorKind::Resource, "the reading is larger than 16 MiB"),
        other => Failure::protocol(other.to_string()),
    }
}
