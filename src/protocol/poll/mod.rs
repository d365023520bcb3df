//! Polling: a request for what has happened since, again and again over one connection, and a list of events in each reply.
//!
//! A [`Poller`] asks when it is told to ([`Pace::OnCall`]) or as soon as it has been answered ([`Pace::AtOnce`]); the second is long
//! polling, whose server holds a request until there is something to tell.

mod driver;
mod list;
mod position;
mod raw;
mod settings;
#[cfg(test)]
pub(super) mod tests;

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

pub(super) use self::driver::{FACTS, POLLING, PollDriver};
use self::position::Position;
pub(super) use self::settings::{
    CORRELATE, HEADERS, LIST, NUMBER, PATH, PollSettings, SINCE, polling, query,
};
use super::buffer::{Inbox, Outbox};
use super::compression::Coding;
use super::correlator::Correlator;
use super::fault_injector::{Codec, OwnedMessage};
use super::http::{self, HttpSettings, Reader, Template};
use super::note::Notes;
use super::{Endpoint, Event, Failure, Identity, Message, SessionState, Settings};
use crate::net::Connection;

/// Largest reply, bytes.
const LARGEST: usize = 256 * 1024;

/// Replies with what happened before a device was there that it passes over, at most.
const MOST_PASSED: usize = 100;

/// Turns in a row that may come while a request is unanswered.
const MOST_SKIPPED: u8 = 10;

/// When the next request goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Whenever [`keep_alive`](super::Session::keep_alive) is called.
    OnCall,
    /// At once. A call for a keep-alive finds out whether the server has answered since the last.
    AtOnce,
}

/// A device that polls. See [`Session`](super::Session) for what the methods promise.
#[derive(Debug)]
pub(super) struct Poller<S = Connection> {
    stream: S,
    pace: Pace,
    template: Template,
    /// What is asked for, but for what changes.
    target: Box<str>,
    settings: PollSettings,
    outbox: Outbox,
    inbox: Inbox,
    reader: Reader,
    correlator: Correlator,
    position: Position,
    /// Events of the last reply that are still to be told.
    events: VecDeque<Event>,
    notes: Notes,
    is_asking: bool,
    /// It has told that the next request goes out.
    is_about_to_ask: bool,
    /// Requests that have not been counted yet.
    asked: u32,
    /// Calls that came while the same request was unanswered.
    skipped: u8,
    /// The last reply was the last of this connection.
    is_ending: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Poller<S> {
    /// Passes over what happened before the device was there, unless it comes back or the server would hold the request.
    pub(super) async fn open(
        stream: S,
        endpoint: &Endpoint,
        settings: &Settings,
        identity: &Identity,
        pace: Pace,
    ) -> Result<Self, Failure> {
        let own: PollSettings = settings.own.get();
        let resumed = identity.resume.as_ref().and_then(SessionState::get::<Position>);
        let mut poller = Self {
            stream,
            pace,
            template: template(endpoint, identity)?,
            target: identity.address.as_deref().unwrap_or(endpoint.target()).into(),
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            reader: Reader::keeping(LARGEST),
            correlator: Correlator::new(settings, &identity.device),
            position: resumed.cloned().unwrap_or_default(),
            events: VecDeque::new(),
            notes: Notes::default(),
            is_asking: false,
            is_about_to_ask: false,
            asked: 0,
            skipped: 0,
            is_ending: false,
            settings: own,
        };
        let holds = pace == Pace::AtOnce && poller.settings.hold.is_none();
        if resumed.is_none() && !holds {
            poller.pass_over().await?;
        }
        Ok(poller)
    }

    async fn pass_over(&mut self) -> Result<(), Failure> {
        for _ in 0..MOST_PASSED {
            let before = self.position.highest();
            poll_fn(|cx| Poll::Ready(self.ask(cx, None))).await?;
            poll_fn(|cx| self.poll_reply(cx)).await?;
            self.take_reply(false)?;
            if self.is_ending || self.settings.since.is_none() || self.position.highest() == before {
                break;
            }
        }
        Ok(())
    }

    /// Sends the next request, with `hold` in its query.
    fn ask(&mut self, cx: &mut Context<'_>, hold: Option<&str>) -> Result<(), Failure> {
        let since = self.settings.since.as_deref().zip(self.position.highest());
        let mut target = self.target.to_string();
        let mut add = |part: fmt::Arguments<'_>| {
            // Writing to a string cannot fail.
            let _ = write!(target, "{}{part}", if target.contains('?') { '&' } else { '?' });
        };
        if let Some((name, number)) = since {
            add(format_args!("{name}={number}"));
        }
        if let Some(hold) = hold {
            add(format_args!("{hold}"));
        }
        let since = since.map(|(_, number)| number);
        let known = self.position.tag.as_ref().filter(|(told, _)| *told == since).map(|(_, tag)| &**tag);
        let Self { template, outbox, stream, .. } = self;
        let message = Message { address: Some(&target), ..Message::new(0, b"") };
        let composed = outbox.compose(stream, cx, |out| {
            template.encode(&message, out)?;
            if let Some(tag) = known {
                // Behind the last field, before the empty line.
                out.truncate(out.len() - 2);
                out.extend_from_slice(format!("If-None-Match: {tag}\r\n\r\n").as_bytes());
            }
            Ok::<_, Failure>(())
        })?;
        (self.is_asking, self.is_about_to_ask, self.skipped) = (true, false, 0);
        self.asked += 1;
        match composed {
            Poll::Ready(Err(error)) => Err(Failure::io(&error)),
            _ => Ok(()),
        }
    }

    /// Ready when the reply to the request is there as a whole.
    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            let is_whole = self.reader.advance(&mut self.inbox)?;
            if self.reader.length() > LARGEST as u64 {
                let beyond = "the reply to a poll is larger than 256 KiB; ask for less at once";
                return Poll::Ready(Err(Failure::protocol(beyond).final_if(true)));
            }
            if is_whole {
                return Poll::Ready(Ok(()));
            }
            let has_ended = ready!(self.poll_bytes(cx))?;
            if has_ended {
                if self.reader.end() {
                    return Poll::Ready(Ok(()));
                }
                return Poll::Ready(Err(Failure::closed(if self.reader.is_idle(self.inbox.unread()) {
                    "the server closed the connection without a response"
                } else {
                    "the server closed the connection in the middle of its response"
                })));
            }
        }
    }

    /// Writes what is left and reads on; true at the end of the stream.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Failure>> {
        if let Poll::Ready(Err(error)) = self.outbox.poll_write(&mut self.stream, cx) {
            return Poll::Ready(Err(Failure::io(&error)));
        }
        let read = ready!(self.inbox.poll_read(&mut self.stream, cx));
        Poll::Ready(read.map(|bytes| bytes == 0).map_err(|error| Failure::io(&error)))
    }

    /// Takes in a whole reply; its events are to be told if `is_news`.
    fn take_reply(&mut self, is_news: bool) -> Result<(), Failure> {
        let since = self.settings.since.as_ref().and_then(|_| self.position.highest());
        let tag = self.reader.take_tag();
        let reply = self.reader.reply();
        self.notes.received(reply.length);
        let asks = "the request for events";
        let listed = match reply.status {
            204 | 304 => Vec::new(),
            200..=299 if reply.coding != Coding::Identity => {
                let compressed = "the server compresses its reply to a poll, which was not asked for";
                return Err(Failure::protocol(compressed));
            }
            200..=299 => {
                // One that was refused in between has not been heard.
                self.position.tag = tag
                    .and_then(|tag| String::from_utf8(tag.into()).ok())
                    .filter(|tag| http::valid_header("if-none-match", tag))
                    .map(|tag| (since, tag.into()));
                list::events(reply.body, &self.settings.list, self.settings.number.as_deref())?
            }
            status if is_news && self.pace == Pace::OnCall => {
                // The next turn comes by itself.
                let failure = http::refused(asks, status, reply.coding, reply.body);
                self.notes.remark("refused", failure.reason.sentence);
                Vec::new()
            }
            status => return Err(http::refused(asks, status, reply.coding, reply.body)),
        };
        self.is_ending = !reply.persistent || !self.outbox.is_empty();
        self.is_asking = false;
        self.reader.next();
        if is_news {
            self.events.extend((self.pace == Pace::AtOnce).then_some(Event::Replied));
            self.tell(&listed);
        }
        listed.iter().filter_map(|(number, _)| *number).for_each(|number| self.position.take(number));
        Ok(())
    }

    /// Whoever asks for what came after the last number is told nothing twice, unless the service repeats itself. Other lists overlap,
    /// and what was in an earlier one is passed over.
    fn tell(&mut self, listed: &[list::Listed]) {
        let Self { settings, position, correlator, notes, events, .. } = self;
        let is_known =
            |number: &Option<u64>| settings.since.is_none() && number.is_some_and(|it| position.has(it));
        let news = listed.iter().filter(|(number, _)| !is_known(number));
        events.extend(news.filter_map(|(_, event)| correlator.hear(event, notes)));
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + fmt::Debug> Codec for Poller<S> {
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
        self.is_about_to_ask || !self.events.is_empty() || !self.inbox.unread().is_empty()
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Failure>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(Ok(event));
            }
            if self.is_ending {
                return Poll::Ready(Err(Failure::closed(
                    "the server ended the connection after its response",
                )));
            }
            if self.is_asking {
                ready!(self.poll_reply(cx))?;
                self.take_reply(true)?;
            } else if self.pace == Pace::AtOnce && !self.is_about_to_ask {
                self.is_about_to_ask = true;
                return Poll::Ready(Ok(Event::Asks));
            } else if self.pace == Pace::AtOnce {
                let hold = self.settings.hold.clone();
                self.ask(cx, hold.as_deref())?;
            } else if !self.inbox.unread().is_empty() {
                return Poll::Ready(Err(http::unasked(self.inbox.unread())));
            } else if ready!(self.poll_bytes(cx))? {
                return Poll::Ready(Err(Failure::closed("the server closed the idle connection")));
            }
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.stream).poll_shutdown(cx).map(drop)
    }

    fn keep_alive(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        if !self.is_asking {
            return if self.pace == Pace::OnCall && !self.is_ending { self.ask(cx, None) } else { Ok(()) };
        }
        self.skipped = self.skipped.saturating_add(1);
        if self.pace == Pace::OnCall {
            self.notes.remark("late", "a poll was unanswered when the next was due, which was left out");
        }
        let most = if self.pace == Pace::OnCall { MOST_SKIPPED } else { 2 };
        if self.skipped < most {
            return Ok(());
        }
        Err(Failure::closed(match self.pace {
            Pace::OnCall => "the server left a poll unanswered for ten turns",
            Pace::AtOnce => "the server left a poll unanswered for as long as `patience` allows",
        }))
    }

    fn take_requests(&mut self) -> u64 {
        std::mem::take(&mut self.asked).into()
    }

    /// What was heard is not heard again on the next connection.
    fn suspend(self, _: Vec<OwnedMessage>, untold: Vec<Event>) -> Option<SessionState> {
        drop(untold);
        Some(SessionState::new(self.position, std::time::Duration::ZERO))
    }
}

/// The requests of one device.
fn template(endpoint: &Endpoint, identity: &Identity) -> Result<Template, Failure> {
    let mut identity = Identity { method: "GET".to_owned(), ..identity.clone() };
    if !identity.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
        identity.headers.push(("Accept".to_owned(), "application/json".to_owned()));
    }
    Template::new(endpoint, &HttpSettings::default(), &identity)
}
