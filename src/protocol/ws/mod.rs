//! WebSocket: one message per reading, pipelined, answered by messages that name the reading or come in its turn.

mod carrier;
mod driver;
mod extension;
mod frame;
mod goodbye;
mod raw;
mod reader;
mod settings;
#[cfg(test)]
mod tests;
mod upgrade;

use std::fmt;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

pub(super) use self::carrier::WsBytes;
pub(super) use self::driver::WsDriver;
use self::frame::Opcode;
use self::reader::Reader;
use self::settings::{WsMode, WsSettings};
use self::upgrade::Opened;
use super::buffer::{Inbox, Outbox};
use super::compression;
use super::correlator::Correlator;
use super::fault_injector::Codec;
use super::keep_alive::KeepAlive;
use super::note::Notes;
use super::pipeline::Pipeline;
use super::{Endpoint, Event, Failure, Identity, Message, Settings, fault_injector};
use crate::fault::{Action, MessageKind};
use crate::net::{Connection, Decision, MessageFaults};

/// All that can be done to a pong: nobody waits for more than its coming.
const LOSS: fn(&Action) -> bool = |act| *act == Action::Drop;

/// A WebSocket session. See [`Session`](super::Session) for what the methods promise.
#[derive(Debug)]
pub(super) struct Ws<S = Connection> {
    stream: S,
    inbox: Inbox,
    outbox: Outbox,
    reader: Reader,
    hearing: Hearing,
    mode: WsMode,
    /// Messages may be compressed.
    deflate: bool,
    /// What the last ping carried that is still to be answered.
    ping: Option<Box<[u8]>>,
    leaving: Leaving,
    /// It hears others, and its request has not been counted yet.
    has_asked: bool,
}

/// What becomes of messages.
#[derive(Debug)]
struct Hearing {
    correlator: Correlator,
    pipeline: Pipeline,
    keep_alive: KeepAlive,
    message_faults: Option<MessageFaults>,
}

/// What a frame calls for.
enum Call {
    Nothing,
    Tell(Event),
    Answer(Box<[u8]>),
    /// With the code to answer, if there is one.
    Leave(Failure, Box<[u8]>),
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

impl<S: AsyncRead + AsyncWrite + Unpin> Ws<S> {
    /// Upgrades `stream` and takes it over.
    pub(super) async fn open(
        mut stream: S,
        endpoint: &Endpoint,
        settings: &Settings,
        identity: &Identity,
    ) -> Result<Self, Failure> {
        let own = settings.own.get::<WsSettings>();
        let opened = upgrade::open(&mut stream, endpoint, identity, own.deflate).await?;
        let mut session = Self::over(stream, opened, settings, identity);
        if own.deflate && !session.deflate {
            session.hearing.pipeline.notes.remark(
                "no permessage-deflate",
                "the server did not take up permessage-deflate, and messages travel uncompressed",
            );
        }
        Ok(session)
    }

    /// A session whose upgrade is over.
    #[cfg(any(test, fuzzing, feature = "internals"))]
    pub(super) fn past_upgrade(stream: S, settings: &Settings, identity: &Identity) -> Self {
        let deflate = settings.own.get::<WsSettings>().deflate;
        Self::over(stream, Opened { inbox: Inbox::default(), deflate }, settings, identity)
    }

    fn over(stream: S, opened: Opened, settings: &Settings, identity: &Identity) -> Self {
        let own = settings.own.get::<WsSettings>();
        let Opened { inbox, deflate } = opened;
        Self {
            stream,
            inbox,
            outbox: Outbox::default(),
            reader: Reader::new(own.max_message, deflate),
            hearing: Hearing {
                correlator: Correlator::new(settings, &identity.device),
                pipeline: Pipeline::new(settings),
                keep_alive: KeepAlive::default(),
                message_faults: fault_injector::message_faults(identity),
            },
            mode: own.mode,
            deflate,
            ping: None,
            leaving: Leaving::No,
            has_asked: matches!(settings.hearing, super::Hearing::Others(_)),
        }
    }

    #[cfg(test)]
    pub(super) fn stray(&self) -> u64 {
        self.hearing.pipeline.stray()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + fmt::Debug> Codec for Ws<S> {
    type Carrier = S;
    const SERIAL: bool = false;

    fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    fn ready(&self) -> bool {
        self.hearing.pipeline.is_open()
    }

    fn has_more(&self) -> bool {
        self.leaving == Leaving::No && !self.inbox.unread().is_empty()
    }

    fn notes_mut(&mut self) -> &mut Notes {
        &mut self.hearing.pipeline.notes
    }

    fn send(&mut self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<(), Failure> {
        if !self.ready() {
            return Err(Failure::not_ready());
        }
        let payload = message.payload;
        let is_text = self.mode != WsMode::Binary && std::str::from_utf8(payload).is_ok();
        if !is_text && self.mode == WsMode::Text {
            return Err(Failure::protocol("a payload that is not UTF-8 cannot travel as text: use binary"));
        }
        self.write(cx, if is_text { Opcode::Text } else { Opcode::Binary }, payload)?;
        self.hearing.keep_alive.spoke();
        self.hearing.pipeline.sent(message.seq);
        let ready = self.ready();
        self.hearing.pipeline.note_readiness(ready);
        Ok(())
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Failure>> {
        loop {
            if let Some(event) = self.hearing.pipeline.pending(true) {
                return Poll::Ready(Ok(event));
            }
            let Self { reader, inbox, hearing, .. } = self;
            match reader.read(inbox, |opcode, payload| hearing.receive(opcode, payload))? {
                Some(Call::Nothing) => {}
                Some(Call::Tell(event)) => {
                    let ready = self.ready();
                    self.hearing.pipeline.note_readiness(ready);
                    return Poll::Ready(Ok(event));
                }
                Some(Call::Answer(ping)) => {
                    self.ping = Some(ping);
                    self.flush(cx)?;
                }
                Some(Call::Leave(goodbye, code)) => {
                    // Answer the goodbye as far as the socket takes it; the connection is over either way.
                    let _ = self.write(cx, Opcode::Close, &code);
                    return Poll::Ready(Err(goodbye));
                }
                None => {
                    self.flush(cx)?;
                    match self.inbox.poll_read(&mut self.stream, cx) {
                        Poll::Ready(Ok(0)) => return Poll::Ready(Err(ended())),
                        Poll::Ready(Ok(_)) => {}
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(Failure::io(&error))),
                        // What has been written in the meantime may be worth telling.
                        Poll::Pending => {
                            return self
                                .hearing
                                .pipeline
                                .pending(true)
                                .map_or(Poll::Pending, |event| Poll::Ready(Ok(event)));
                        }
                    }
                }
            }
        }
    }

    fn keep_alive(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        if self.hearing.keep_alive.beat()? && !self.hearing.pipeline.is_blocked() {
            self.write(cx, Opcode::Ping, &[])?;
            self.hearing.keep_alive.pinged();
        }
        Ok(())
    }

    fn take_requests(&mut self) -> u64 {
        std::mem::take(&mut self.has_asked).into()
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.leaving == Leaving::No {
            self.leaving = Leaving::Writing;
            if self.write(cx, Opcode::Close, &goodbye::NORMAL.to_be_bytes()).is_err() {
                return Poll::Ready(());
            }
        }
        loop {
            if self.leaving == Leaving::Writing {
                if self.flush(cx).is_err() {
                    return Poll::Ready(());
                }
                if !self.hearing.pipeline.is_blocked() {
                    self.leaving = Leaving::Waiting;
                }
            }
            // The server answers with its own closing frame and then ends the connection (RFC 6455 §7.1.1); whatever else it
            // sends concerns nobody any more.
            let unread = self.inbox.unread().len();
            self.inbox.consume(unread);
            match self.inbox.poll_read(&mut self.stream, cx) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Whether replies still find their readings after one did not come.
    fn survives_timeout(&self) -> bool {
        !self.hearing.pipeline.is_in_order()
    }
}

impl Hearing {
    fn receive(&mut self, opcode: Opcode, payload: &[u8]) -> Call {
        match opcode {
            Opcode::Ping => return Call::Answer(payload.into()),
            Opcode::Close => {
                return Call::Leave(goodbye::read(payload), payload.get(..2).unwrap_or_default().into());
            }
            Opcode::Pong => {
                if self.message_faults.as_mut().is_none_or(|message_faults| {
                    message_faults.decide(MessageKind::Pingresp, LOSS) != Decision::Drop
                }) {
                    self.keep_alive.answered();
                }
                return Call::Nothing;
            }
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {}
        }
        self.pipeline.notes.received(payload.len() as u64);
        if self.correlator.is_deaf() {
            return Call::Nothing;
        }
        let matched = self.correlator.read(payload);
        self.pipeline.note(matched.as_ref(), payload);
        self.pipeline.answered(matched).map_or(Call::Nothing, Call::Tell)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Ws<S> {
    /// Writes a frame as far as the socket takes it.
    fn write(&mut self, cx: &mut Context<'_>, opcode: Opcode, payload: &[u8]) -> Result<(), Failure> {
        let Self { outbox, stream, deflate, .. } = self;
        let deflate = *deflate && !opcode.is_control();
        let composed = outbox.compose(stream, cx, |out| {
            let mut packed = Vec::new();
            if deflate && compression::deflate(payload, &mut packed) {
                frame::encode(opcode, true, &packed, out);
            } else {
                frame::encode(opcode, false, payload, out);
            }
            Ok::<_, Failure>(())
        })?;
        self.wrote(composed)
    }

    /// Writes what waits for the socket, then the pong that is owed.
    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        if !self.outbox.is_empty() {
            let written = self.outbox.poll_write(&mut self.stream, cx);
            self.wrote(written)?;
        }
        // The latest ping is answered for all before it (RFC 6455 §5.5.3).
        if self.outbox.is_empty()
            && let Some(ping) = self.ping.take()
        {
            self.write(cx, Opcode::Pong, &ping)?;
        }
        Ok(())
    }

    fn wrote(&mut self, written: Poll<std::io::Result<()>>) -> Result<(), Failure> {
        match written {
            Poll::Ready(Ok(())) => self.hearing.pipeline.wrote(true),
            Poll::Ready(Err(error)) => return Err(Failure::io(&error)),
            Poll::Pending => self.hearing.pipeline.wrote(false),
        }
        Ok(())
    }
}

fn ended() -> Failure {
    Failure::closed("the server closed the connection without a closing handshake")
}
