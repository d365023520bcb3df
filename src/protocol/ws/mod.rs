//! WebSocket: one message per reading, pipelined, answered by messages that name the reading or come in its turn.

mod driver;
mod failure;
mod handshake;
mod raw;
mod settings;
#[cfg(test)]
mod tests;
mod upgrade;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, coding::CloseCode};
use tokio_tungstenite::tungstenite::{self, Bytes};

pub(super) use self::driver::WsDriver;
use self::failure::{failure, goodbye};
use self::settings::{WsMode, WsSettings};
use super::correlator::{Correlator, Match};
use super::fault_injector::Codec;
use super::keep_alive::KeepAlive;
use super::note::Notes;
use super::pipeline::Pipeline;
use super::{Endpoint, Event, Failure, Identity, Message, Settings, fault_injector};
use crate::fault::{Action, MessageKind};
use crate::net::{Decision, Link, MessageFaults};

/// Bytes read at once, and what every session holds for that; the default of 128 KiB would be 1.3 GB for 10 000 devices.
const READ_BUFFER: usize = 4 * 1024;

/// Largest message to send, bytes, with room for a few control frames. No second one is taken while one is blocked.
const MAX_WRITE: usize = 16 * 1024 * 1024 + 1024;

/// Largest message to receive, bytes. An answer is a few hundred.
const MAX_READ: usize = 256 * 1024;

/// Pings that are answered before the server reads; then nothing more is read, so that what it does not read has a bound.
const MOST_PONGS: u16 = 256;

/// All that can be done to a pong: nobody waits for more than its coming.
const LOSS: fn(&Action) -> bool = |act| *act == Action::Drop;

/// A WebSocket session. See [`Session`](super::Session) for what the methods promise.
#[derive(Debug)]
pub(super) struct Ws<S = Link> {
    socket: WebSocketStream<S>,
    correlator: Correlator,
    mode: WsMode,
    pipeline: Pipeline,
    keep_alive: KeepAlive,
    message_faults: Option<MessageFaults>,
    leaving: Leaving,
    /// Pings since the socket last took everything.
    pongs: u16,
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
        identity: &Identity,
    ) -> Result<Self, Failure> {
        let request = upgrade::request(endpoint, identity)?;
        let socket = handshake::upgrade(stream, request, config()).await?;
        Ok(Self::over(socket, settings, identity))
    }

    /// A session whose upgrade is over.
    #[cfg(any(test, fuzzing, feature = "internals"))]
    pub(super) async fn past_upgrade(stream: S, settings: &Settings, identity: &Identity) -> Self {
        use tokio_tungstenite::tungstenite::protocol::Role;
        Self::over(
            WebSocketStream::from_raw_socket(stream, Role::Client, Some(config())).await,
            settings,
            identity,
        )
    }

    fn over(socket: WebSocketStream<S>, settings: &Settings, identity: &Identity) -> Self {
        Self {
            socket,
            correlator: Correlator::new(settings, &identity.device),
            mode: settings.own.get::<WsSettings>().mode,
            pipeline: Pipeline::new(settings),
            keep_alive: KeepAlive::default(),
            message_faults: fault_injector::message_faults(identity),
            leaving: Leaving::No,
            pongs: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn stray(&self) -> u64 {
        self.pipeline.stray()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + fmt::Debug> Codec for Ws<S> {
    type Carrier = S;
    const SERIAL: bool = false;

    fn stream_mut(&mut self) -> &mut S {
        self.socket.get_mut()
    }

    fn ready(&self) -> bool {
        self.pipeline.is_open()
    }

    fn has_more(&self) -> bool {
        // The library does not say what it holds.
        self.leaving == Leaving::No
    }

    fn notes_mut(&mut self) -> &mut Notes {
        &mut self.pipeline.notes
    }

    fn send(&mut self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<(), Failure> {
        if !self.ready() {
            return Err(Failure::not_ready());
        }
        let payload = message.payload;
        let text = if self.mode == WsMode::Binary { None } else { std::str::from_utf8(payload).ok() };
        let frame = match text {
            Some(text) => tungstenite::Message::text(text),
            None if self.mode == WsMode::Text => {
                return Err(Failure::protocol(
                    "a payload that is not UTF-8 cannot travel as text: use binary",
                ));
            }
            None => tungstenite::Message::Binary(Bytes::copy_from_slice(payload)),
        };
        self.write(cx, frame)?;
        self.keep_alive.spoke();
        self.pipeline.sent(message.seq);
        self.pipeline.told(self.ready());
        Ok(())
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Failure>> {
        loop {
            if let Some(event) = self.pipeline.pending(true) {
                return Poll::Ready(Ok(event));
            }
            if self.pongs >= MOST_PONGS {
                self.flush(cx)?;
                if self.pipeline.is_blocked() {
                    return Poll::Pending;
                }
            }
            // Reading also writes the pongs that earlier reading called for.
            match Pin::new(&mut self.socket).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => {
                    if let Some(event) = self.receive(cx, &message)? {
                        self.pipeline.told(self.ready());
                        return Poll::Ready(Ok(event));
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(failure(error))),
                Poll::Ready(None) => return Poll::Ready(Err(failure(Error::ConnectionClosed))),
                Poll::Pending if !self.pipeline.is_blocked() => return Poll::Pending,
                Poll::Pending => {
                    self.flush(cx)?;
                    if self.pipeline.is_blocked() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    fn keep_alive(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        if self.keep_alive.beat()? && !self.pipeline.is_blocked() {
            self.write(cx, tungstenite::Message::Ping(Bytes::new()))?;
            self.keep_alive.pinged();
        }
        Ok(())
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.leaving == Leaving::No {
            self.leaving = Leaving::Writing;
            let goodbye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            if self.write(cx, tungstenite::Message::Close(Some(goodbye))).is_err() {
                return Poll::Ready(());
            }
        }
        loop {
            if self.leaving == Leaving::Writing {
                if self.flush(cx).is_err() {
                    return Poll::Ready(());
                }
                if !self.pipeline.is_blocked() {
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

    /// Whether replies still find their readings after one did not come.
    fn survives_timeout(&self) -> bool {
        !self.pipeline.is_in_order()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Ws<S> {
    fn receive(
        &mut self,
        cx: &mut Context<'_>,
        message: &tungstenite::Message,
    ) -> Result<Option<Event>, Failure> {
        use tungstenite::Message as Frame;
        let answer = match message {
            Frame::Text(text) => text.as_bytes(),
            Frame::Binary(bytes) => bytes,
            Frame::Pong(_) => {
                if self.message_faults.as_mut().is_none_or(|message_faults| {
                    message_faults.fate(MessageKind::Pingresp, LOSS) != Decision::Drop
                }) {
                    self.keep_alive.answered();
                }
                return Ok(None);
            }
            Frame::Close(frame) => {
                // Answer the goodbye as far as the socket takes it; the connection is over either way.
                let _ = self.flush(cx);
                return Err(goodbye(frame.as_ref()));
            }
            Frame::Ping(_) => {
                self.pongs = self.pongs.saturating_add(1);
                return Ok(None);
            }
            Frame::Frame(_) => return Ok(None),
        };
        self.pipeline.notes.received(answer.len() as u64);
        if self.correlator.is_deaf() {
            return Ok(None);
        }
        let matched = self.correlator.read(answer);
        match &matched {
            Some(Match::Named(reply)) => self.pipeline.notes.answered(reply.seq, reply.answer, answer),
            Some(_) => {}
            None => self.pipeline.notes.suspect(answer),
        }
        Ok(self.pipeline.answered(matched))
    }

    fn write(&mut self, cx: &mut Context<'_>, message: tungstenite::Message) -> Result<(), Failure> {
        Pin::new(&mut self.socket).start_send(message).map_err(failure)?;
        self.flush(cx)
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        match Pin::new(&mut self.socket).poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                self.pongs = 0;
                self.pipeline.wrote(true);
            }
            Poll::Ready(Err(error)) => return Err(failure(error)),
            Poll::Pending => self.pipeline.wrote(false),
        }
        Ok(())
    }
}
