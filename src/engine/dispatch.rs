//! Sending: which reading goes out next, and when the plan holds it back.

use std::task::Context;

use super::device::Device;
use super::exchange;
use super::ledger::{Ledger, Resting};
use super::pause::Hold;
use super::timer::Alarm;
use super::worker::Worker;
use crate::clock::Tick;
use crate::fleet::Reading;
use crate::protocol::{Failure, Message, Session};
use crate::record::{Kind, PhaseId, Retry, Sink, Traced, Traffic};

/// Sends the next waiting reading if the session, the in-flight limit and the plan allow it, and tells when. `now` decides what
/// the plan allows; the stamp of what is sent is taken anew.
pub(super) fn send_next<S: Sink>(
    worker: &Worker<S>,
    device: &Device,
    session: &mut dyn Session,
    cx: &mut Context<'_>,
    now: Tick,
) -> Result<Option<Tick>, Failure> {
    if !session.ready() {
        device.can_send.set(false);
        return Ok(None);
    }
    let (has_room, waits) = {
        let ledger = device.ledger.borrow();
        (ledger.has_room(), ledger.has_waiting() || device.repeat.borrow().is_some())
    };
    if !waits {
        device.can_send.set(has_room);
        return Ok(None);
    }
    if has_room && let Some(repeat) = device.repeat.take() {
        let (phase, reading) = *repeat;
        return hand_over(worker, device, session, cx, Sending::Repeat { phase, reading });
    }
    let due = device.ledger.borrow_mut().take_due(now);
    if let Some(resting) = due {
        return hand_over(worker, device, session, cx, Sending::Again(resting));
    }
    if held_back(worker, device, now) {
        return Ok(None);
    }
    {
        let ledger = device.ledger.borrow();
        let Some((phase, reading)) = ledger.front() else {
            device.can_send.set(has_room);
            return Ok(None);
        };
        if device.plan.borrow().repeats(reading.seq) {
            *device.repeat.borrow_mut() = Some(Box::new((phase, reading.clone())));
        }
    }
    hand_over(worker, device, session, cx, Sending::Next)
}

/// Whether the next reading was stored through an outage and must still wait. If not, it is taken.
fn held_back<S: Sink>(worker: &Worker<S>, device: &Device, now: Tick) -> bool {
    let (front, has_room) = {
        let ledger = device.ledger.borrow();
        (ledger.next_intended(), ledger.has_room())
    };
    let Some(allowed) = front.and_then(|intended| device.policy.flush_at(intended)) else { return false };
    if now < allowed {
        device.can_send.set(false);
        worker.hold(device, Hold::Plan, now);
        worker.wake_at(allowed, device, Alarm::Flush);
        return true;
    }
    worker.hold(device, Hold::Service, allowed);
    if has_room {
        device.ledger.borrow_mut().unblock(allowed);
        device.policy.flushed(allowed, now);
    }
    false
}

/// A reading about to be sent.
enum Sending {
    /// What waits first in the backlog: there it stays until it goes, since to move it costs.
    Next,
    /// A further attempt at one that failed.
    Again(Resting),
    /// A duplicate of one that is under way or has ended.
    Repeat { phase: PhaseId, reading: Reading },
}

impl Sending {
    fn reading<'s>(&'s self, ledger: &'s Ledger) -> Option<&'s Reading> {
        match self {
            Self::Next => ledger.front().map(|(_, reading)| reading),
            Self::Again(resting) => Some(resting.reading()),
            Self::Repeat { reading, .. } => Some(reading),
        }
    }
}

/// Encodes a reading and hands it to the transport, just after the instant it gives. Whoever asks for it looks after the time-outs.
fn hand_over<S: Sink>(
    worker: &Worker<S>,
    device: &Device,
    session: &mut dyn Session,
    cx: &mut Context<'_>,
    sending: Sending,
) -> Result<Option<Tick>, Failure> {
    let (mut payload, mut address) = (worker.payload.borrow_mut(), worker.address.borrow_mut());
    payload.clear();
    let (seq, addressed, trace) = {
        let (plan, ledger) = (device.plan.borrow(), device.ledger.borrow());
        let Some(reading) = sending.reading(&ledger) else { return Ok(None) };
        let skew_ns =
            if device.has_reading_faults { worker.faults.skew_ns(device, reading.intended) } else { 0 };
        plan.device.encode_skewed(reading, worker.run.get(), skew_ns, &mut payload);
        if device.has_reading_faults {
            worker.faults.damage(&worker.plan, device, reading, &mut payload);
        }
        let (fleet, run) = (worker.plan.fleet(device.fleet), worker.run.get());
        let addressed = exchange::address(fleet, &plan.device, reading, run, &mut address);
        (reading.seq, addressed, exchange::trace(fleet, &plan.device, Traced::Reading(reading.seq), run))
    };
    let actual = worker.clock.now();
    worker.idle.sent(actual);
    let counted = start(worker, device, sending, actual);
    let address = if addressed { std::str::from_utf8(&address).ok() } else { None };
    let message = Message { seq, payload: &payload, address, trace };
    let sent = session.send(cx, &message);
    worker.carried(device, Traffic { payload_sent: payload.len() as u64, ..Traffic::default() });
    if let Some(attempt) = counted {
        worker.count(device, attempt);
    }
    device.can_send.set(session.ready() && device.ledger.borrow().has_room());
    sent.map(|()| Some(actual))
}

/// An attempt at a reading of this phase, and its number.
type Attempt = (PhaseId, u8);

/// Books what is about to be handed to the transport at `actual`; `None` if it is no further attempt at a reading.
fn start<S: Sink>(worker: &Worker<S>, device: &Device, sending: Sending, actual: Tick) -> Option<Attempt> {
    let mut ledger = device.ledger.borrow_mut();
    match sending {
        Sending::Next => {
            let (phase, again) = ledger.start_next(actual, worker.waited(device, actual))?;
            (!again).then_some((phase, 1))
        }
        Sending::Again(resting) => {
            let due = resting.due();
            ledger.start_again(resting, actual, worker.waited(device, actual));
            Some(due)
        }
        Sending::Repeat { phase, reading } => {
            ledger.start_repeat(phase, reading, actual);
            None
        }
    }
}

impl<S: Sink> Worker<S> {
    fn count(&self, device: &Device, (phase, number): Attempt) {
        let mut sink = self.sink.borrow_mut();
        if number > 1 {
            return sink.retry(phase, device.fleet, Retry::Sent { number });
        }
        sink.sent(phase, device.fleet, Kind::Reading);
        if let Some(retries) = self.retries(device) {
            retries.earn();
        }
    }
}

/// Has the device woken when the first reading in flight, if there is one, reaches its time-out.
pub(super) fn arm_expiry<S: Sink>(worker: &Worker<S>, device: &Device) {
    let next = device.ledger.borrow().next_expiry();
    if let Some(at) = next {
        worker.wake_at(at, device, Alarm::Expiry);
    }
}
