//! Which failed attempt another follows, and when. Pure; the caller brings the time and the draw.

use std::cell::Cell;

use super::ledger::Ledger;
use crate::clock::Tick;
use crate::record::{Outcome, PhaseId};
use crate::scenario::{FailedAttempt, RetryPolicy};

/// What the devices of one fleet on one worker do about attempts that fail.
#[derive(Debug)]
pub(super) struct Retries {
    policy: RetryPolicy,
    budget: Option<RetryBudget>,
}

impl Retries {
    /// By `policy`, for the `devices` that this worker has of a fleet of `all`.
    pub(super) fn new(policy: RetryPolicy, devices: usize, all: u32) -> Self {
        Self { policy, budget: policy.budget.map(|share| RetryBudget::new(share, devices, all)) }
    }

    /// Notes that the first attempt at a reading was sent.
    pub(super) fn earn(&self) {
        if let Some(budget) = &self.budget {
            budget.earn();
        }
    }

    /// Whether the budget allows a retry; then it has paid for it.
    fn pay(&self) -> bool {
        self.budget.as_ref().is_none_or(RetryBudget::pay)
    }
}

/// A token bucket: every first attempt earns a share of a retry. A fleet's devices on one worker have one of their own, so that
/// workers and shards share nothing: together they never allow more than one bucket for all would.
#[derive(Debug)]
struct RetryBudget {
    /// Millionths of a retry.
    left: Cell<u64>,
    most: u64,
    earned: u64,
}

impl RetryBudget {
    /// One retry.
    const ONE: u64 = 1_000_000;

    /// What a fleet's bucket holds at least, full: retries.
    const LEAST: f64 = 10.0;

    /// The part of a fleet's bucket for `devices` of `all`. It holds what one reading of every device earns, 10 retries at least,
    /// and is full at first; each part holds at least one.
    fn new(share: f64, devices: usize, all: u32) -> Self {
        let whole = (share * f64::from(all)).max(Self::LEAST);
        let part = (whole * devices as f64 / f64::from(all.max(1))).max(1.0);
        let millionths = |retries: f64| (retries * Self::ONE as f64).round() as u64;
        let most = if share > 0.0 { millionths(part) } else { 0 };
        Self { left: Cell::new(most), most, earned: millionths(share) }
    }

    fn earn(&self) {
        self.left.set((self.left.get() + self.earned).min(self.most));
    }

    fn pay(&self) -> bool {
        let left = self.left.get().checked_sub(Self::ONE);
        self.left.set(left.unwrap_or(self.left.get()));
        left.is_some()
    }
}

/// The end of an attempt at a reading in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttemptEnd {
    pub(super) seq: u64,
    pub(super) outcome: Outcome,
    pub(super) at: Tick,
    /// An answer ended it.
    pub(super) answered: bool,
    /// The instant before which the service wants no other, where it names one.
    pub(super) not_before: Option<Tick>,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sequel {
    /// Another, at this instant.
    Next(Tick),
    /// None, only because the budget is used up; the reading is of this phase.
    Denied(PhaseId),
    /// None: the reading ends.
    Nothing,
}

impl Retries {
    /// What follows `end`, of a reading in flight in `ledger`. `draw` gives a number of [0, 1) for the wait after an attempt of this
    /// number.
    pub(super) fn sequel(&self, ledger: &Ledger, end: &AttemptEnd, draw: impl FnOnce(u8) -> f64) -> Sequel {
        let Some((phase, intended, number)) = ledger.attempt(end.seq) else { return Sequel::Nothing };
        let AttemptEnd { outcome, at, not_before, .. } = *end;
        let failed = FailedAttempt { number, intended, outcome, at, not_before };
        match self.policy.next(&failed, || draw(number)) {
            None => Sequel::Nothing,
            Some(next) if self.pay() => Sequel::Next(next),
            Some(_) => Sequel::Denied(phase),
        }
    }
}

#[cfg(test)]
mod tests;
