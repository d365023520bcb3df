//! HTTP/1.1: one request per reading, one at a time, over one persistent connection or one each.

mod ask;
mod driver;
mod head;
mod listener;
mod raw;
mod request;
mod response;
mod settings;
mod syntax;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

pub(super) use self::ask::{Answered, Wording, ask, refused};
pub(super) use self::driver::{HttpDriver, NAME};
use self::response::{MAX_KEPT, Reply};
pub use self::settings::HttpSettings;
use super::buffer::{Inbox, Outbox};
use super::compression::{self, Coding};
use super::fault_injector::Codec;
use super::note::Notes;
use super::{Answer, Endpoint, Event, Failure, Identity, Message, Settings, verdict};
use crate::net::Connection;
use crate::record::{ErrorKind, Reason};

pub(super) use self::head::{Head, elements, read as read_head};
pub(super) use self::listener::ListenerExchange;
pub(super) use self::request::{Template, check_header, check_target};
pub(super) use self::response::{Reader, Transfer, chunk_end, chunk_size, content_length};
pub(super) use self::settings::{headers, path};
pub(crate) use self::syntax::valid_header;
pub(super) use self::syntax::{TRACEPARENT, is_token, misfits, misheaded, misplaced, reserved_header};

/// An HTTP/1.1 session. See [`Session`](super::Session) for what the methods promise.
#[derive(Debug)]
pub(super) struct Http<S = Connection> {
    stream: S,
    template: Template,
    settings: HttpSettings,
    device: Box<str>,
    outbox: Outbox,
    inbox: Inbox,
    reader: Reader,
    outstanding: Option<u64>,
    notes: Notes,
    /// The last response was the last of this connection.
    ending: bool,
    /// Why the request could not be written. Boxed: it is rare.
    broken: Option<Box<Failure>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http<S> {
    pub(super) fn new(
        stream: S,
        endpoint: &Endpoint,
        settings: &Settings,
        identity: &Identity,
    ) -> Result<Self, Failure> {
        let settings: HttpSettings = settings.own.get();
        let template = Template::new(endpoint, &settings, identity)?;
        Ok(Self {
            stream,
            reader: Reader::new(template.is_head()),
            template,
            settings,
            device: identity.device.as_str().into(),
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            outstanding: None,
            notes: Notes::default(),
            ending: false,
            broken: None,
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + fmt::Debug> Codec for Http<S> {
    type Carrier = S;
    const SERIAL: bool = true;

    fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    fn notes_mut(&mut self) -> &mut Notes {
        &mut self.notes
    }

    fn ready(&self) -> bool {
        // Bytes already here would be taken for the response to the next request.
        self.outstanding.is_none() && !self.ending && self.broken.is_none() && self.inbox.unread().is_empty()
    }

    fn has_more(&self) -> bool {
        self.ending || !self.inbox.unread().is_empty()
    }

    fn send(&mut self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<(), Failure> {
        if !self.ready() {
            return Err(Failure::not_ready());
        }
        let Self { template, outbox, stream, .. } = self;
        let composed = outbox.compose(stream, cx, |out| template.encode(message, out))?;
        self.outstanding = Some(message.seq);
        if let Poll::Ready(Err(error)) = composed {
            self.broken = Some(Box::new(Failure::io(&error)));
        }
        Ok(())
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Failure>> {
        loop {
            if self.ending {
                return Poll::Ready(Err(Failure::closed(if self.settings.fresh {
                    "the connection has served its one reading"
                } else {
                    "the server ended the connection after its response"
                })));
            }
            if let Some(seq) = self.outstanding {
                if self.reader.advance(&mut self.inbox)? {
                    return Poll::Ready(Ok(self.close(seq)));
                }
            } else if !self.idle_bytes().is_empty() {
                return Poll::Ready(Err(unasked(self.inbox.unread())));
            }
            self.write(cx);
            match self.inbox.poll_read(&mut self.stream, cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(self.ended()),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(self.take_broken().unwrap_or_else(|| Failure::io(&error))));
                }
                Poll::Pending => {
                    return self.take_broken().map_or(Poll::Pending, |broken| Poll::Ready(Err(broken)));
                }
            }
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.stream).poll_shutdown(cx).map(drop)
    }

    fn is_used_once(&self) -> bool {
        self.settings.fresh
    }

    /// The reply that is missing would be taken for that of the next request.
    fn survives_timeout(&self) -> bool {
        false
    }

    fn half_answered(&self) -> Option<&'static str> {
        self.reader.half_read(self.inbox.unread())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http<S> {
    /// A server may answer and close before it has read the whole request. Its response then says more than the broken
    /// pipe does, so an error is kept until reading has shown that there is none.
    fn write(&mut self, cx: &mut Context<'_>) {
        if self.broken.is_none()
            && !self.outbox.is_empty()
            && let Poll::Ready(Err(error)) = self.outbox.poll_write(&mut self.stream, cx)
        {
            self.broken = Some(Box::new(Failure::io(&error)));
        }
    }

    fn take_broken(&mut self) -> Option<Failure> {
        self.broken.take().map(|broken| *broken)
    }

    fn close(&mut self, seq: u64) -> Event {
        let asked = self.reader.take_retry_after();
        let reply = self.reader.reply();
        let Reply { status, persistent, length, .. } = reply;
        self.notes.received(length);
        let well = self.settings.ok.contains(status);
        let nothing = verdict::Reply::ok(seq);
        let (answer, said) = if well {
            match self.plain(&reply) {
                Ok(body) => (Answer::Ok, verdict::judgement(&body, &self.device, seq)),
                Err(failure) => {
                    self.notes.failed(seq, *failure.reason);
                    (Answer::Error(failure.kind), nothing)
                }
            }
        } else {
            let body = compression::legible(reply.body, reply.coding, length);
            self.notes.refused(seq, Reason::of_status(status).with_sample(&body), asked);
            let shed = self.settings.shed.contains(status);
            (if shed { Answer::Shed } else { Answer::Error(ErrorKind::Status) }, nothing)
        };
        // What is left of a request that was answered early would be taken for the next one.
        self.ending = self.settings.fresh || !persistent || !self.outbox.is_empty();
        self.outstanding = None;
        self.reader.next();
        self.idle_bytes();
        verdict::Reply { answer, named: false, ..said }.into()
    }

    /// The beginning of the body, no longer compressed where that was asked for.
    fn plain<'a>(&self, reply: &Reply<'a>) -> Result<Cow<'a, [u8]>, Failure> {
        if !(self.settings.gzip_replies && reply.coding == Coding::Gzip) || reply.length == 0 {
            return Ok(Cow::Borrowed(reply.body));
        }
        let whole = reply.body.len() as u64 == reply.length;
        let mut plain = Vec::new();
        match compression::gunzip(reply.body, whole, MAX_KEPT, &mut plain) {
            Ok(()) => Ok(Cow::Owned(plain)),
            Err(_) => Err(Failure::protocol("the reply's body says that it is gzip, and is not")),
        }
    }

    /// What has come beyond the last response, but for line ends, which some servers write after a body.
    fn idle_bytes(&mut self) -> &[u8] {
        let blank = self.inbox.unread().iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.inbox.consume(blank);
        self.inbox.unread()
    }

    fn ended(&mut self) -> Result<Event, Failure> {
        if let Some(seq) = self.outstanding
            && self.reader.end()
        {
            return Ok(self.close(seq));
        }
        Err(self.take_broken().unwrap_or_else(|| {
            Failure::closed(match self.outstanding {
                None => "the server closed the idle connection",
                Some(_) if self.reader.is_idle(self.inbox.unread()) => {
                    "the server closed the connection without a response"
                }
                Some(_) => "the server closed the connection in the middle of its response",
            })
        }))
    }
}

/// Bytes without a request: a 408 is how servers announce that they close an idle connection (RFC 9110 §15.5.9).
pub(super) fn unasked(bytes: &[u8]) -> Failure {
    if bytes.starts_with(b"HTTP/1.1 408") {
        Failure::closed("the server closed the idle connection with status 408")
    } else {
        Failure::protocol("the server sent bytes that answer no request")
    }
}
