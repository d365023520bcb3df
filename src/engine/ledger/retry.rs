//! The part of a device's book that holds the readings to be sent again.

use std::collections::VecDeque;

use super::outstanding::Outstanding;
use crate::clock::Tick;
use crate::engine::pause::WaitTotals;
use crate::fleet::Reading;
use crate::record::{AuditFinding, Outcome, PhaseId, Reason};

/// Ended readings of which it is remembered that further answers are due to the device's own retries.
const MOST_SPARE: usize = 64;

/// A reading whose last attempt failed and that is to be sent again.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Resting {
    pub(super) open: Outstanding,
    pub(super) next: NextAttempt,
    /// What the device had waited before, less what of that the reading shares in.
    before: WaitTotals,
}

/// When a reading is to be sent again, and how its last attempt ended.
#[derive(Debug, Clone)]
pub(in crate::engine) struct NextAttempt {
    pub(in crate::engine) at: Tick,
    pub(in crate::engine) outcome: Outcome,
    pub(in crate::engine) reason: Reason,
}

/// What an answer to a reading that is to be sent again means.
#[derive(Debug)]
pub(super) enum EarlyAnswer {
    /// It ends the reading.
    Ends(Outstanding),
    Finding(AuditFinding),
}

impl Resting {
    /// Its phase, and the number of the attempt that is due.
    pub(in crate::engine) fn due(&self) -> (PhaseId, u8) {
        (self.open.phase, self.open.attempts.made.saturating_add(1))
    }

    pub(in crate::engine) const fn reading(&self) -> &Reading {
        &self.open.reading
    }

    pub(super) const fn intended(&self) -> Tick {
        self.open.reading.intended
    }

    /// The reading with a further attempt begun at `actual`, by a device that was able to send from `unblocked` on. From then, or from
    /// when the attempt was due if that is later, the generator was late. `so_far`: what the device has waited.
    pub(super) fn begun(self, unblocked: Tick, actual: Tick, so_far: WaitTotals) -> Outstanding {
        let Self { mut open, next, before } = self;
        open.eligible = next.at.max(unblocked).min(actual);
        open.actual = actual;
        open.waited = so_far.since(before).within(open.eligible.since(open.reading.intended));
        open.attempts.made = open.attempts.made.saturating_add(1);
        open.attempts.unanswered = open.attempts.unanswered.saturating_add(1);
        open
    }
}

/// What a device has to remember to send readings again.
#[derive(Debug)]
pub(super) struct RetryBook {
    /// An attempt unanswered for this long has timed out, nanoseconds.
    attempt_ns: u64,
    /// At most as many as may be in flight, which counts them.
    pub(super) resting: Vec<Resting>,
    /// Ended readings, and how many of the attempts at each nothing has answered.
    spare: VecDeque<(u64, u8)>,
}

impl RetryBook {
    pub(super) const fn new(attempt_ns: u64) -> Self {
        Self { attempt_ns, resting: Vec::new(), spare: VecDeque::new() }
    }

    /// When `open` times out: an attempt but the first, at its reading's deadline at the latest.
    pub(super) fn expiry(&self, open: &Outstanding, timeout_ns: u64) -> Tick {
        let own = open.actual.plus_ns(self.attempt_ns);
        match open.attempts.made {
            // A repeat is no attempt: it has the time of a reading.
            0 => open.actual.plus_ns(timeout_ns),
            1 => own,
            _ => own.min(open.reading.intended.plus_ns(timeout_ns)),
        }
    }

    /// Keeps `open`, whose attempt failed, until `next`. `answered`: by an answer; `so_far`: what the device has waited.
    pub(super) fn rest(
        &mut self,
        mut open: Outstanding,
        answered: bool,
        next: NextAttempt,
        so_far: WaitTotals,
    ) {
        open.attempts.unanswered -= u8::from(answered && open.attempts.unanswered > 0);
        let before = so_far.since(open.waited);
        self.resting.push(Resting { open, next, before });
    }

    /// Takes the reading that is to be sent again first of those due at `now`.
    pub(super) fn take_due(&mut self, now: Tick) -> Option<Resting> {
        let due = self.resting.iter().enumerate().filter(|(_, resting)| resting.next.at <= now);
        let (place, _) = due.min_by_key(|(_, resting)| (resting.next.at, resting.open.reading.seq))?;
        Some(self.resting.swap_remove(place))
    }

    /// Takes a reading whose deadline has passed at `now`; `all`: whether it has or not.
    pub(super) fn take_over(&mut self, now: Tick, timeout_ns: u64, all: bool) -> Option<Resting> {
        let over = |resting: &Resting| all || resting.intended().plus_ns(timeout_ns) <= now;
        let place = self.resting.iter().position(over)?;
        Some(self.resting.swap_remove(place))
    }

    /// Takes in an answer to the reading `seq`, if that is to be sent again: it answers an earlier attempt. One that is `ok` ends the
    /// reading; another is one more failure of an attempt that has failed already.
    pub(super) fn hear(&mut self, seq: u64, ok: bool) -> Option<EarlyAnswer> {
        let place = self.resting.iter().position(|resting| resting.open.reading.seq == seq)?;
        let attempts = &mut self.resting[place].open.attempts;
        if attempts.unanswered == 0 {
            return Some(EarlyAnswer::Finding(AuditFinding::Duplicated));
        }
        if ok {
            return Some(EarlyAnswer::Ends(self.resting.swap_remove(place).open));
        }
        attempts.unanswered -= 1;
        Some(EarlyAnswer::Finding(AuditFinding::Resent))
    }

    /// Notes that so many attempts at the reading `seq`, which has ended, may still be answered.
    pub(super) fn expect_spare(&mut self, seq: u64, unanswered: u8) {
        if unanswered == 0 {
            return;
        }
        if self.spare.len() == MOST_SPARE {
            self.spare.pop_front();
        }
        self.spare.push_back((seq, unanswered));
    }

    /// What an answer to the reading `seq` is, which has ended, where the history takes it for `finding`.
    pub(super) fn found(&mut self, seq: u64, finding: AuditFinding) -> AuditFinding {
        let Some(place) = self.spare.iter().position(|(ended, _)| *ended == seq) else { return finding };
        let (_, left) = &mut self.spare[place];
        *left -= 1;
        if *left == 0 {
            self.spare.remove(place);
        }
        if finding == AuditFinding::Duplicated { AuditFinding::Resent } else { finding }
    }
}

#[cfg(test)]
mod tests;
