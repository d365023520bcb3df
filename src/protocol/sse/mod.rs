//! Server-sent events: one request, and a response that goes on for as long as there is something to hear.

mod body;
mod driver;
mod parser;
mod raw;
mod settings;
#[cfg(test)]
mod tests;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use self::body::{Body, Framed};
pub(super) use self::driver::SseDriver;
use self::parser::Parser;
use super::buffer::Inbox;
use super::compression::Coding;
use super::correlator::Correlator;
use super::fault_injector::{Codec, OwnedMessage};
use super::http::{self, Answered, Head, HttpSettings, Template, Wording};
use super::note::Notes;
use super::{Endpoint, Event, Failure, Identity, Message, SessionState, Settings};
use crate::net::Connection;

/// What is asked for, and has to come.
const EVENT_STREAM: &str = "text/event-stream";

/// A stream of events. See [`Session`](super::Session) for what the methods promise.
#[derive(Debug)]
pub(super) struct Sse<S = Connection> {
    stream: S,
    inbox: Inbox,
    body: Body,
    parser: Parser,
    correlator: Correlator,
    notes: Notes,
    /// Its request has not been counted yet.
    has_asked: bool,
}

/// Where a stream is taken up again.
#[derive(Debug)]
struct Position {
    id: Box<[u8]>,
    retry: Option<Duration>,
}

const WORDING: Wording = Wording {
    request: "the request for events",
    unanswered: "the server closed the connection without a response",
    cut: "the server closed the connection in the middle of its response",
};

impl<S: AsyncRead + AsyncWrite + Unpin> Sse<S> {
    /// Asks for the events, and waits until the server begins to answer.
    pub(super) async fn open(
        mut stream: S,
        endpoint: &Endpoint,
        settings: &Settings,
        identity: &Identity,
    ) -> Result<Self, Failure> {
        let position = identity.resume.as_ref().and_then(SessionState::get::<Position>);
        let parser = position.map(|position| Parser::resuming(&position.id, position.retry));
        let parser = parser.unwrap_or_default();
        let request = request(endpoint, identity, parser.last_id())?;
        let (inbox, body) = http::ask(&mut stream, &request, &WORDING, answered).await?;
        let correlator = Correlator::new(settings, &identity.device);
        let notes = Notes::default();
        Ok(Self { stream, inbox, body, parser, correlator, notes, has_asked: true })
    }

    /// What the event that has just come amounts to.
    fn hear(&mut self) -> Option<Event> {
        let Self { parser, correlator, notes, .. } = self;
        let data = parser.data();
        notes.received(data.len() as u64);
        correlator.hear(data, notes)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + fmt::Debug> Codec for Sse<S> {
    type Carrier = S;
    const SERIAL: bool = false;

    fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    fn notes_mut(&mut self) -> &mut Notes {
        &mut self.notes
    }

    /// It only hears.
    fn ready(&self) -> bool {
        false
    }

    fn send(&mut self, _: &mut Context<'_>, _: &Message<'_>) -> Result<(), Failure> {
        Err(Failure::not_ready())
    }

    fn has_more(&self) -> bool {
        !self.inbox.unread().is_empty()
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Failure>> {
        loop {
            match self.body.next(self.inbox.unread())? {
                Framed::Framing(bytes) => self.inbox.consume(bytes),
                Framed::Content(bytes) => {
                    let piece = self.inbox.unread().get(..bytes).unwrap_or_default();
                    let (taken, told) = self.parser.feed(piece)?;
                    self.body.took(taken);
                    self.inbox.consume(taken);
                    if told && let Some(event) = self.hear() {
                        return Poll::Ready(Ok(event));
                    }
                }
                Framed::End => {
                    return Poll::Ready(Err(Failure::closed("the server ended the stream of events")));
                }
                Framed::Incomplete => match self.inbox.poll_read(&mut self.stream, cx) {
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(Err(Failure::closed(
                            "the server closed the connection of the stream of events",
                        )));
                    }
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Failure::io(&error))),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }

    fn take_requests(&mut self) -> u64 {
        std::mem::take(&mut self.has_asked).into()
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.stream).poll_shutdown(cx).map(drop)
    }

    fn suspend(self, _: Vec<OwnedMessage>, _: Vec<Event>) -> Option<SessionState> {
        let (id, retry) = (self.parser.last_id().into(), self.parser.retry());
        let position = Position { id, retry };
        (!position.id.is_empty() || retry.is_some())
            .then(|| SessionState::new(position, retry.unwrap_or_default()))
    }
}

/// The request of one device; `last_id`: of the last event it heard, where it had one.
fn request(endpoint: &Endpoint, identity: &Identity, last_id: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut identity = Identity { method: "GET".to_owned(), ..identity.clone() };
    let headers = &mut identity.headers;
    let mut add = |name: &str, value: &str| {
        if !headers.iter().any(|(stated, _)| stated.eq_ignore_ascii_case(name)) {
            headers.push((name.to_owned(), value.to_owned()));
        }
    };
    add("Accept", EVENT_STREAM);
    add("Cache-Control", "no-store");
    // One that no header field can carry is not taken up again.
    if let Ok(id) = str::from_utf8(last_id)
        && !id.is_empty()
        && http::valid_header("last-event-id", id)
    {
        add("Last-Event-ID", id);
    }
    let template = Template::new(endpoint, &HttpSettings::default(), &identity)?;
    let mut bytes = Vec::with_capacity(256);
    template.encode(&Message::new(0, b""), &mut bytes)?;
    Ok(bytes)
}

fn answered(head: &Head<'_>) -> Result<Answered<Body>, Failure> {
    let coding = Coding::of(head.list("content-encoding"));
    match head.status {
        101 => return Err(Failure::protocol("the server switched protocols without being asked")),
        100..=199 => return Ok(Answered::Interim),
        200 => {}
        status => return Ok(Answered::Refused(status, coding)),
    }
    let stated = head.named("content-type").next().unwrap_or_default();
    let kind = http::elements(stated, b';').next().unwrap_or_default();
    if !kind.eq_ignore_ascii_case(EVENT_STREAM.as_bytes()) {
        let kind = String::from_utf8_lossy(kind.get(..80).unwrap_or(kind)).into_owned();
        return Err(Failure::protocol(format!(
            "the server answers with content of type `{}`, and not {EVENT_STREAM}",
            kind.escape_debug()
        ))
        .final_if(true));
    }
    if coding != Coding::Identity {
        return Err(Failure::protocol("the server compresses the stream, which was not asked for"));
    }
    Ok(Answered::Granted(Body::of(head)?))
}
