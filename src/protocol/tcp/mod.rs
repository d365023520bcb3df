//! Messages over plain TCP, a line or a length each: pipelined, answered by messages that name the reading or come in its turn.
//!
//! What loggers, gateways, NMEA 0183 multiplexers and Graphite receivers speak. There is no handshake and no ping: a quiet
//! connection stays open and says nothing.

mod driver;
mod framing;
mod raw;
mod settings;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

pub(super) use self::driver::TcpDriver;
use self::framing::Framing;
use super::buffer::{Inbox, Outbox};
use super::correlator::{Correlator, Match};
use super::fault_injector::Codec;
use super::note::Notes;
use super::pipeline::Pipeline;
use super::{Event, Failure, Identity, Message, Settings};
use crate::net::Connection;

/// A session of messages over TCP. See [`Session`](super::Session) for what the methods promise.
#[derive(Debug)]
pub(super) struct Tcp<S = Connection> {
    stream: S,
    framing: Framing,
    outbox: Outbox,
    inbox: Inbox,
    correlator: Correlator,
    pipeline: Pipeline,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Tcp<S> {
    pub(super) fn new(stream: S, settings: &Settings, identity: &Identity) -> Self {
        Self {
            stream,
            framing: settings.own.get(),
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            correlator: Correlator::new(settings, &identity.device),
            pipeline: Pipeline::new(settings),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + fmt::Debug> Codec for Tcp<S> {
    type Carrier = S;
    const SERIAL: bool = false;

    fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    fn notes_mut(&mut self) -> &mut Notes {
        &mut self.pipeline.notes
    }

    fn ready(&self) -> bool {
        self.pipeline.is_open()
    }

    fn has_more(&self) -> bool {
        !self.inbox.unread().is_empty()
    }

    fn send(&mut self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<(), Failure> {
        if !self.ready() {
            return Err(Failure::not_ready());
        }
        let Self { stream, framing, outbox, .. } = self;
        let composed = outbox.compose(stream, cx, |out| framing.encode(message.payload, out))?;
        self.wrote(composed)?;
        self.pipeline.sent(message.seq);
        self.pipeline.note_readiness(self.ready());
        Ok(())
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Failure>> {
        loop {
            if let Some(event) = self.pipeline.pending(true) {
                return Poll::Ready(Ok(event));
            }
            if let Some(Received(matched)) = self.receive()? {
                if let Some(event) = self.pipeline.answered(matched) {
                    self.pipeline.note_readiness(self.ready());
                    return Poll::Ready(Ok(event));
                }
                continue;
            }
            // First what the peer had to say: a connection that breaks under the next reading says less.
            match self.inbox.poll_read(&mut self.stream, cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.ended())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Failure::io(&error))),
                Poll::Pending if !self.pipeline.is_blocked() => return Poll::Pending,
                Poll::Pending => {
                    let written = self.outbox.poll_write(&mut self.stream, cx);
                    self.wrote(written)?;
                    if self.pipeline.is_blocked() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if ready!(self.outbox.poll_write(&mut self.stream, cx)).is_err() {
            return Poll::Ready(());
        }
        Pin::new(&mut self.stream).poll_shutdown(cx).map(drop)
    }

    /// Whether replies still find their readings after one did not come.
    fn survives_timeout(&self) -> bool {
        !self.pipeline.is_in_order()
    }

    fn half_answered(&self) -> Option<&'static str> {
        (!self.inbox.unread().is_empty()).then_some("a message had begun and did not end")
    }
}

/// A whole message, by what it answers; `None`: nothing of ours.
struct Received(Option<Match>);

impl<S: AsyncRead + AsyncWrite + Unpin> Tcp<S> {
    /// Takes the first message that is whole, and gives what it answers. `None` if there is none.
    fn receive(&mut self) -> Result<Option<Received>, Failure> {
        let unread = self.inbox.unread();
        if unread.is_empty() {
            return Ok(None);
        }
        if self.correlator.is_deaf() {
            let all = unread.len();
            self.pipeline.notes.received(all as u64);
            self.inbox.consume(all);
            return Ok(None);
        }
        let Some((place, whole)) = self.framing.first(unread)? else { return Ok(None) };
        let message = unread.get(place).unwrap_or_default();
        let matched = self.correlator.read(message);
        self.pipeline.notes.received(message.len() as u64);
        self.pipeline.note(matched.as_ref(), message);
        self.inbox.consume(whole);
        Ok(Some(Received(matched)))
    }

    /// The socket has taken everything, or not yet, or never will.
    fn wrote(&mut self, written: Poll<io::Result<()>>) -> Result<(), Failure> {
        if let Poll::Ready(Err(error)) = written {
            return Err(Failure::io(&error));
        }
        self.pipeline.wrote(written.is_ready());
        Ok(())
    }

    /// The peer has ended the connection.
    fn ended(&self) -> Failure {
        Failure::closed(if self.inbox.unread().is_empty() {
            "the server closed the connection"
        } else {
            "the server closed the connection in the middle of a message"
        })
    }
}
