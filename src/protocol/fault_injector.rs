//! Where message faults act on readings and verdicts: between a session's codec and whoever drives it.

use std::collections::VecDeque;
use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use super::hold_queue::HoldQueue;
use super::note::{self, Notes, Unmatched};
use super::session::Carrier;
use super::verdict::Reply;
use super::{Answer, Event, Failure, Identity, Message, RetryAfter, Session, SessionState, Settings};
use crate::clock::Tick;
use crate::fault::{Action, MessageKind};
use crate::net::{Decision, MessageFaults};
use crate::record::{Close, Reason, TraceContext, Traffic};

/// How long the answer to a duplicate may take where nothing else can be sent before, nanoseconds: nobody else watches it.
const PATIENCE_NS: u64 = 10_000_000_000;

/// What a protocol's folder implements: a session over bytes, on which message faults act from without. See [`Session`] for
/// what the methods promise.
pub(super) trait Codec: fmt::Debug {
    /// What carries its bytes.
    type Carrier;

    /// A reading has to be answered before the next can be sent.
    const SERIAL: bool;

    fn stream_mut(&mut self) -> &mut Self::Carrier;

    fn notes_mut(&mut self) -> &mut Notes;

    fn ready(&self) -> bool;

    fn send(&mut self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<(), Failure>;

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Failure>>;

    fn has_more(&self) -> bool;

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Whether a connection carries one reading only, and so no duplicate.
    fn is_used_once(&self) -> bool {
        false
    }

    fn survives_timeout(&self) -> bool {
        true
    }

    fn half_answered(&self) -> Option<&'static str> {
        None
    }

    fn keep_alive(&mut self, _: &mut Context<'_>) -> Result<(), Failure> {
        Ok(())
    }

    fn keep_alive_period(&self) -> Option<Duration> {
        None
    }

    fn is_resumed(&self) -> bool {
        false
    }

    /// How often it has asked for what others send since the last call.
    fn take_requests(&mut self) -> u64 {
        0
    }

    /// `unsent`: readings it does not know of; `untold`: events it told that went no further.
    fn suspend(self, _unsent: Vec<OwnedMessage>, _untold: Vec<Event>) -> Option<SessionState>
    where
        Self: Sized,
    {
        None
    }
}

/// A session whose readings and verdicts can be tampered with. Holds nothing while nothing is held up.
#[derive(Debug)]
pub(super) struct FaultInjector<C> {
    pub(super) codec: C,
    message_faults: Option<MessageFaults>,
    held: Option<Box<Held>>,
    /// Handing a reading over closes it: no message does.
    closes_when_sent: bool,
    /// A connection carries more than one reading, and so a duplicate.
    repeatable: bool,
}

/// A reading of the injector's own.
pub(super) struct OwnedMessage {
    pub(super) seq: u64,
    pub(super) payload: Box<[u8]>,
    pub(super) address: Option<Box<str>>,
    pub(super) trace: Option<TraceContext>,
    /// It has been sent already.
    pub(super) copy: bool,
}

impl OwnedMessage {
    pub(super) fn of(message: &Message<'_>, copy: bool) -> Self {
        let &Message { seq, payload, address, trace } = message;
        Self { seq, payload: payload.into(), address: address.map(Into::into), trace, copy }
    }

    pub(super) fn message(&self) -> Message<'_> {
        let (seq, trace) = (self.seq, self.trace);
        Message { seq, payload: &self.payload, address: self.address.as_deref(), trace }
    }
}

/// What tampering keeps of one connection.
#[derive(Default)]
struct Held {
    readings: HoldQueue<OwnedMessage>,
    verdicts: HoldQueue<Event>,
    /// Readings that have been closed before they go out: the codec will close them once more.
    closed: VecDeque<u64>,
    /// The connection has ended, though not everything it brought has been told.
    failure: Option<Failure>,
    /// The session was not ready when it last told something, or has not been since.
    stalled: bool,
    /// Until when a duplicate has to be answered.
    patience: Option<Tick>,
}

impl Held {
    fn is_empty(&self) -> bool {
        self.readings.is_empty()
            && self.verdicts.is_empty()
            && self.closed.is_empty()
            && self.failure.is_none()
            && !self.stalled
            && self.patience.is_none()
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("readings", &self.readings)
            .field("verdicts", &self.verdicts)
            .finish_non_exhaustive()
    }
}

impl<C: Codec> FaultInjector<C> {
    /// For the connection that `codec` runs over, which `identity` begins now.
    pub(super) fn new(codec: C, settings: &Settings, identity: &Identity) -> Self {
        Self {
            message_faults: message_faults(identity),
            held: None,
            closes_when_sent: settings.close == Close::Sent,
            repeatable: !codec.is_used_once(),
            codec,
        }
    }

    fn has_room(&self) -> bool {
        self.codec.ready()
            && self.held.as_ref().is_none_or(|held| {
                // What is to go out already comes before anything new.
                let untold = self.closes_when_sent && held.verdicts.is_full();
                held.failure.is_none() && !held.readings.blocks() && !held.readings.is_pressing() && !untold
            })
    }

    /// The codec, the readings it does not know of, and the events that were not told.
    pub(super) fn into_parts(self) -> (C, Vec<OwnedMessage>, Vec<Event>) {
        let held = self.held.map(|held| *held).unwrap_or_default();
        let unsent = held.readings.into_items().filter(|message| !message.copy);
        (self.codec, unsent.collect(), held.verdicts.into_items().collect())
    }

    fn due_verdict(&mut self) -> Option<Event> {
        let (held, message_faults) = (self.held.as_mut()?, self.message_faults.as_ref()?);
        if held.verdicts.is_empty() {
            return None;
        }
        held.verdicts.lift(message_faults);
        held.verdicts.take_due(message_faults.now())
    }

    /// Sends the readings that are due.
    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let (Some(held), Some(message_faults)) = (&mut self.held, &self.message_faults) else {
            return Ok(());
        };
        if held.readings.is_empty() {
            return Ok(());
        }
        held.readings.lift(message_faults);
        let now = message_faults.now();
        while self.codec.ready()
            && let Some(message) = held.readings.take_due(now)
        {
            self.codec.send(cx, &message.message())?;
            if message.copy && C::SERIAL {
                // No timer: whatever waits for its turn behind it will ask.
                held.patience = Some(message_faults.now().plus_ns(PATIENCE_NS));
            }
        }
        Ok(())
    }

    /// What becomes of an event of the codec's.
    fn apply_faults(&mut self, event: Event) -> Option<Event> {
        if matches!(event, Event::Replied | Event::Asks) {
            return Some(event);
        }
        if event == Event::Writable {
            let ready = self.has_room();
            if let Some(held) = &mut self.held {
                held.stalled = !ready;
            }
            return ready.then_some(event);
        }
        if let Some(held) = &mut self.held {
            held.patience = None;
        }
        if self.closes_when_sent
            && let Event::Closed { seq, .. } = event
        {
            let Some(held) = &mut self.held else { return Some(event) };
            let Some(place) = held.closed.iter().position(|closed| *closed == seq) else {
                return Some(event);
            };
            held.closed.remove(place);
            held.stalled = true;
            return None;
        }
        let full = self.held.as_ref().is_some_and(|held| held.verdicts.is_full());
        let decision = match &mut self.message_faults {
            Some(message_faults) if !full => message_faults.decide(MessageKind::Verdict, |_| true),
            _ => Decision::Pass,
        };
        if decision == Decision::Pass && self.held.is_none() {
            return Some(event);
        }
        let held = self.held.get_or_insert_default();
        // Its reading may have been what kept the session from being ready.
        held.stalled = true;
        match decision {
            Decision::Pass | Decision::Duplicate => held.verdicts.overtake(),
            Decision::Drop => {}
            Decision::Delay(wait_ns) => {
                let at = self
                    .message_faults
                    .as_ref()
                    .map_or(Tick::ZERO, |message_faults| message_faults.wake_after(wait_ns));
                held.verdicts.put_until(event, at);
            }
            Decision::Hold { depth, activation } => held.verdicts.put_behind(event, depth, activation),
        }
        if decision == Decision::Duplicate {
            held.verdicts.put_until(event, Tick::ZERO);
        }
        matches!(decision, Decision::Pass | Decision::Duplicate).then_some(event)
    }

    /// The connection has ended. What it had brought before is told first.
    fn end(&mut self, failure: Failure) -> Result<(), Failure> {
        match &mut self.held {
            Some(held) if !held.verdicts.is_empty() => {
                held.verdicts.lift_all();
                held.failure = Some(failure);
                Ok(())
            }
            _ => Err(failure),
        }
    }

    fn tell(&mut self, event: Event) -> Poll<Result<Event, Failure>> {
        self.note_readiness();
        Poll::Ready(Ok(event))
    }

    /// The driver of the session now knows whether it is ready.
    fn note_readiness(&mut self) {
        let ready = self.has_room();
        if let Some(held) = &mut self.held {
            held.stalled = !ready;
        }
    }

    /// There is nothing to tell, but perhaps that the session has become ready.
    fn rest(&mut self) -> Poll<Result<Event, Failure>> {
        let ready = self.has_room();
        let Some(held) = &mut self.held else { return Poll::Pending };
        if let (Some(patience), Some(message_faults)) = (held.patience, &self.message_faults)
            && patience <= message_faults.now()
        {
            return Poll::Ready(Err(Failure::closed("a duplicated request was left without a response")));
        }
        if held.stalled && ready {
            held.stalled = false;
            return Poll::Ready(Ok(Event::Writable));
        }
        if held.is_empty() {
            self.held = None;
        }
        Poll::Pending
    }
}

impl<C: Codec<Carrier: Carrier>> Session for FaultInjector<C> {
    fn ready(&self) -> bool {
        self.has_room()
    }

    fn has_more(&self) -> bool {
        let due =
            |held: &Held| self.message_faults.as_ref().is_some_and(|it| held.verdicts.has_due(it.now()));
        self.codec.has_more() || self.held.as_deref().is_some_and(due)
    }

    fn send(&mut self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<(), Failure> {
        let touched = self
            .message_faults
            .as_mut()
            .is_some_and(|message_faults| message_faults.touches(MessageKind::Reading));
        if !touched && self.held.is_none() {
            return self.codec.send(cx, message);
        }
        if !self.has_room() {
            return Err(Failure::not_ready());
        }
        let able = if self.repeatable { |_: &Action| true } else { |act: &Action| *act != Action::Duplicate };
        let held = self.held.get_or_insert_default();
        let decision = match &mut self.message_faults {
            Some(message_faults) if !held.readings.is_full() => {
                message_faults.decide(MessageKind::Reading, able)
            }
            _ => Decision::Pass,
        };
        if matches!(decision, Decision::Pass | Decision::Duplicate) {
            self.codec.send(cx, message)?;
            held.readings.overtake();
        }
        if self.closes_when_sent
            && matches!(decision, Decision::Drop | Decision::Delay(_) | Decision::Hold { .. })
        {
            held.verdicts.put_until(Reply::ok(message.seq).into(), Tick::ZERO);
        }
        if self.closes_when_sent
            && matches!(decision, Decision::Duplicate | Decision::Delay(_) | Decision::Hold { .. })
        {
            held.closed.push_back(message.seq);
        }
        match (decision, &self.message_faults) {
            (Decision::Duplicate, _) => held.readings.put_until(OwnedMessage::of(message, true), Tick::ZERO),
            (Decision::Delay(wait_ns), Some(message_faults)) => {
                held.readings.put_until(OwnedMessage::of(message, false), message_faults.wake_after(wait_ns));
            }
            (Decision::Hold { depth, activation }, _) => {
                held.readings.put_behind(OwnedMessage::of(message, false), depth, activation);
            }
            _ => {}
        }
        self.flush(cx)?;
        self.note_readiness();
        Ok(())
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Failure>> {
        let touched = self
            .message_faults
            .as_mut()
            .is_some_and(|message_faults| message_faults.touches(MessageKind::Verdict));
        if !touched && self.held.is_none() {
            return self.codec.poll_event(cx);
        }
        loop {
            if let Some(event) = self.due_verdict() {
                return self.tell(event);
            }
            if let Some(held) = &mut self.held
                && let Some(failure) = &held.failure
            {
                return if held.verdicts.is_empty() {
                    Poll::Ready(Err(failure.clone()))
                } else {
                    Poll::Pending
                };
            }
            self.flush(cx)?;
            if self.held.as_ref().is_some_and(|held| held.verdicts.blocks()) {
                return Poll::Pending;
            }
            match self.codec.poll_event(cx) {
                Poll::Ready(Ok(event)) => {
                    if let Some(event) = self.apply_faults(event) {
                        return self.tell(event);
                    }
                }
                Poll::Ready(Err(failure)) => self.end(failure)?,
                Poll::Pending => return self.rest(),
            }
        }
    }

    /// Readings that are held up go out before the goodbye, as far as the codec takes them.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(held) = &mut self.held {
            while self.codec.ready()
                && let Some(message) = held.readings.take_first()
                && self.codec.send(cx, &message.message()).is_ok()
            {}
        }
        self.codec.poll_close(cx)
    }

    fn survives_timeout(&self) -> bool {
        self.codec.survives_timeout()
    }

    fn half_answered(&self) -> Option<&'static str> {
        self.codec.half_answered()
    }

    fn keep_alive(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        self.codec.keep_alive(cx)
    }

    fn keep_alive_period(&self) -> Option<Duration> {
        self.codec.keep_alive_period()
    }

    fn suspend(self: Box<Self>) -> Option<SessionState> {
        let (codec, unsent, untold) = self.into_parts();
        codec.suspend(unsent, untold)
    }

    fn is_resumed(&self) -> bool {
        self.codec.is_resumed()
    }

    fn look(&mut self) {
        self.codec.stream_mut().look();
    }

    fn awaits_admission(&mut self) -> bool {
        self.codec.stream_mut().awaits_admission()
    }

    fn abort(&mut self) {
        self.codec.stream_mut().abort();
    }

    fn explain(&mut self, seq: u64, answer: Answer) -> Reason {
        self.codec.notes_mut().explain(seq).unwrap_or_else(|| note::plain(answer))
    }

    fn retry_after(&mut self, seq: u64) -> Option<RetryAfter> {
        self.codec.notes_mut().retry_after(seq)
    }

    fn take_unmatched(&mut self) -> Option<Unmatched> {
        self.codec.notes_mut().take_unmatched()
    }

    fn take_remark(&mut self) -> Option<(u64, Reason)> {
        self.codec.notes_mut().take_remark()
    }

    fn take_traffic(&mut self) -> Traffic {
        let (wire_sent, wire_received) = self.codec.stream_mut().take_traffic();
        let payload_received = self.codec.notes_mut().take_payload();
        let requests = self.codec.take_requests();
        Traffic { wire_sent, wire_received, payload_sent: 0, payload_received, requests }
    }
}

/// What acts on the messages of a connection that `identity` begins now.
pub(super) fn message_faults(identity: &Identity) -> Option<MessageFaults> {
    identity.faults.clone().map(MessageFaults::new)
}

#[cfg(test)]
mod tests;
