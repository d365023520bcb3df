//! Sending a reading again whose attempt failed.

use super::device::Device;
use super::dispatch::arm_expiry;
use super::ledger::NextAttempt;
use super::retry::{AttemptEnd, Retries, Sequel};
use super::timer::Task;
use super::worker::Worker;
use crate::clock::Tick;
use crate::protocol::RetryAfter;
use crate::record::{Outcome, Reason, Retry, Sink};

impl<S: Sink> Worker<S> {
    /// What the fleet of `device` does about attempts that fail; `None`: nothing.
    pub(super) fn retries(&self, device: &Device) -> Option<&Retries> {
        self.retries.get(usize::from(device.fleet.0))?.as_ref()
    }

    /// When another attempt follows the one that failed; `None` if none does, and the reading ends.
    pub(super) fn next_attempt(&self, device: &Device, end: &AttemptEnd) -> Option<Tick> {
        let retries = self.retries(device)?;
        let draw = |number| device.plan.borrow().retry_draw(end.seq, number);
        match retries.sequel(&device.ledger.borrow(), end, draw) {
            Sequel::Next(at) => return Some(at),
            Sequel::Denied(phase) => self.sink.borrow_mut().retry(phase, device.fleet, Retry::Denied),
            Sequel::Nothing => {}
        }
        None
    }

    /// The instant that the service names, which asked at `at`.
    pub(super) fn instant_of(&self, asked: RetryAfter, at: Tick) -> Tick {
        match asked {
            RetryAfter::Wait(span) => at.plus_ns(span.as_ns()),
            RetryAfter::Date(seconds) => {
                let unix_ns = u128::from(seconds) * 1_000_000_000;
                let since_start = unix_ns.saturating_sub(self.run.get().epoch_ns.into());
                u64::try_from(since_start).map_or(Tick::FAR, Tick)
            }
        }
    }

    /// Has the reading, whose attempt failed for `reason`, sent again at `next`.
    pub(super) fn send_again(&self, device: &Device, end: &AttemptEnd, next: Tick, reason: Reason) {
        let AttemptEnd { seq, outcome, at, answered, .. } = *end;
        let Some((phase, _, number)) = device.ledger.borrow().attempt(seq) else { return };
        let index = device.plan.borrow().index;
        let due = Retry::Due { device: index, seq, number, at, reason: &reason };
        self.sink.borrow_mut().retry(phase, device.fleet, due);
        let so_far = self.waited(device, at);
        let next_attempt = NextAttempt { at: next, outcome, reason };
        device.ledger.borrow_mut().rest(seq, answered, next_attempt, so_far);
        self.schedule(next, device, Task::Wake);
        arm_expiry(self, device);
    }

    /// Has the reading sent again if its policy says so; false if it ends. No answer has ended the attempt.
    pub(super) fn retry_unanswered(
        &self,
        device: &Device,
        (seq, outcome): (u64, Outcome),
        at: Tick,
        reason: &Reason,
    ) -> bool {
        let end = AttemptEnd { seq, outcome, at, answered: false, not_before: None };
        let next = self.next_attempt(device, &end);
        if let Some(next) = next {
            self.send_again(device, &end, next, reason.clone());
        }
        next.is_some()
    }

    /// Has what times out first of all in flight sent again, if anything has timed out by `now` and its policy says so.
    pub(super) fn retry_expiring(&self, device: &Device, now: Tick) -> bool {
        if self.retries(device).is_none() {
            return false;
        }
        let expiring = device.ledger.borrow().expiring(now);
        let reason = &self.reasons(device).timeout;
        expiring.is_some_and(|seq| self.retry_unanswered(device, (seq, Outcome::Timeout), now, reason))
    }

    /// Ends the readings that were to be sent again and whose deadline has passed at `now`; `all`: whether it has or not.
    pub(super) fn end_resting(&self, device: &Device, now: Tick, all: bool) {
        loop {
            let ended = device.ledger.borrow_mut().end_resting(now, all);
            let Some((sample, reason)) = ended else { return };
            self.settle(device, &sample, Some(&reason));
        }
    }
}
