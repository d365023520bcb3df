//! What comes back: how an event of a session is booked, and when.

use super::delivery::Delivery;
use super::device::{Device, Held};
use super::ledger::{Closing, Settled};
use super::retry::AttemptEnd;
use super::worker::{Stage, Worker};
use crate::clock::Tick;
use crate::protocol::{Answer, Event, RetryAfter, Session};
use crate::record::{AuditFinding, Close, Outcome, Reason, Sink, Stray};

/// Readings of one device that may hang on its admission; further ones count as sent at once.
const MOST_HELD: usize = 256;

/// Books one event that was decoded at `at`.
pub(super) fn take_in<S: Sink>(
    worker: &Worker<S>,
    device: &Device,
    session: &mut dyn Session,
    event: Event,
    at: Tick,
) {
    match event {
        // Before the run begins its clock is another.
        Event::Replied => return device.replied.set((worker.stage() != Stage::Standing).then_some(at)),
        Event::Asks => return worker.asks_again(device, at),
        _ => {}
    }
    if let Event::Heard { sender, seq, named } = event {
        if worker.stage() == Stage::Standing {
            let heard = (1, Some("a reading heard before the run began"));
            return worker.unmatched(device, Stray::Unasked, heard, at);
        }
        worker.answered_by(device, named);
        device.answered.set(device.answered.get() + 1);
        let subscriber = worker.global(device);
        return worker.hear(device, Delivery { sender, seq, subscriber, by: device.fleet, at });
    }
    if let Event::Closed { seq, answer, stages, flagged, arm, named } = event {
        let outcome = match answer {
            Answer::Ok => Outcome::Ok,
            Answer::Shed => Outcome::Shed,
            Answer::Error(kind) => Outcome::Error(kind),
        };
        if !(outcome == Outcome::Ok && is_held(worker, device, session, (seq, at))) {
            let closing = Closing { outcome, stages, flagged, arm };
            let asked = if outcome == Outcome::Ok { None } else { session.retry_after(seq) };
            let explain = || (outcome != Outcome::Ok).then(|| session.explain(seq, answer));
            if close(worker, device, (seq, closing, asked), at, explain) {
                worker.answered_by(device, named);
            }
        }
    }
    let can_send = session.ready() && device.ledger.borrow().has_room();
    if can_send && !device.can_send.replace(can_send) {
        device.ledger.borrow_mut().unblock(at);
    }
    device.can_send.set(can_send);
}

/// Whether reading `seq`, sent at `at`, counts as that only once the server can no longer refuse the device; then it is noted.
fn is_held<S: Sink>(
    worker: &Worker<S>,
    device: &Device,
    session: &mut dyn Session,
    (seq, at): (u64, Tick),
) -> bool {
    let by_sending = worker.settings[usize::from(device.fleet.0)].close == Close::Sent;
    if !by_sending || !device.awaits_admission() || !session.awaits_admission() {
        return false;
    }
    match &mut *device.attempt.borrow_mut() {
        Some(attempt) if attempt.held.len() < MOST_HELD => {
            let open = device.ledger.borrow_mut().set_aside(seq);
            attempt.held.push(Held { open, seq, at });
            true
        }
        _ => false,
    }
}

/// Books that the server can no longer refuse the device, and what hung on that; true if anything did.
pub(super) fn admit<S: Sink>(worker: &Worker<S>, device: &Device) -> bool {
    if !device.awaits_admission() {
        return false;
    }
    let held = device.take_held();
    worker.settle_admission(device);
    let any = !held.is_empty();
    for Held { open, seq, at } in held {
        if let Some(open) = open {
            device.ledger.borrow_mut().put_back(open);
        }
        close(worker, device, (seq, Outcome::Ok.into(), None), at, || None);
    }
    any
}

/// Books the end of reading `seq`, or of an attempt at it, at `at`; true if it was the first. `explain` says why, if it did not end
/// ok; the service may have asked to be left alone for a while.
fn close<S: Sink>(
    worker: &Worker<S>,
    device: &Device,
    (seq, closing, asked): (u64, Closing, Option<RetryAfter>),
    at: Tick,
    explain: impl FnOnce() -> Option<Reason>,
) -> bool {
    let not_before = asked.map(|asked| worker.instant_of(asked, at));
    let end = AttemptEnd { seq, outcome: closing.outcome, at, answered: true, not_before };
    if let Some(next) = worker.next_attempt(device, &end) {
        device.answered.set(device.answered.get() + 1);
        device.policy.note_activity(at);
        if let Some(reason) = explain() {
            worker.send_again(device, &end, next, reason);
        }
        return true;
    }
    let settled = device.ledger.borrow_mut().close(seq, closing, at);
    match settled {
        Settled::Closed { sample, reordered } => {
            device.answered.set(device.answered.get() + 1);
            device.policy.note_activity(at);
            if reordered {
                worker.finding(device, AuditFinding::Reordered, sample.phase, seq);
            }
            worker.settle(device, &sample, explain().as_ref());
            return true;
        }
        Settled::AuditFinding(finding) => {
            worker.finding(device, finding, worker.layout().phase_at(at), seq);
        }
        Settled::Stray => {
            let first = format!("an answer to reading {seq}, which was never sent");
            worker.unmatched(device, Stray::Unasked, (1, Some(&first)), at);
        }
    }
    false
}
