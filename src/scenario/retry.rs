//! When a device sends a reading again whose attempt failed. Pure: the caller brings the time and the draw.

use crate::clock::Tick;
use crate::record::Outcome;
use crate::units::Span;

/// What the devices of a fleet do about readings that fail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Attempts at a reading, the first included, 1 to [`RetryPolicy::MOST_ATTEMPTS`].
    pub attempts: u8,
    /// How an attempt must end for another to follow.
    pub on: RetryCauses,
    /// Wait before the second attempt.
    pub first: Span,
    /// How many times longer each further wait is, 1 or more.
    pub factor: f64,
    /// No wait is longer, but for what the service asks for.
    pub max: Span,
    /// Share of each wait, 0 to 1, that is drawn at random.
    pub jitter: f64,
    /// Retries of the fleet as a share of its first attempts, 0 to 1; `None`: without limit.
    pub budget: Option<f64>,
    /// Whether a wait is at least as long as the service asks for.
    pub honour_retry_after: bool,
    /// An attempt unanswered for this long has timed out; at most `deadline`.
    pub timeout: Span,
    /// The fleet's time-out: no attempt but the first begins, or goes on, when so much has passed since the intended start.
    pub deadline: Span,
}

/// How an attempt must end for another to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryCauses {
    /// The service said no.
    pub shed: bool,
    /// It was not answered in time.
    pub timeout: bool,
    /// It failed otherwise.
    pub error: bool,
}

impl RetryCauses {
    /// Whether an attempt that ended as `outcome` is one.
    const fn include(self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Shed => self.shed,
            Outcome::Timeout => self.timeout,
            Outcome::Error(_) => self.error,
            // What was never sent, or is open when the run ends, is not the device's to send again.
            Outcome::Ok | Outcome::Lost | Outcome::Dropped => false,
        }
    }
}

/// An attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FailedAttempt {
    /// Which of its reading, from 1.
    pub(crate) number: u8,
    /// When its reading was due.
    pub(crate) intended: Tick,
    /// How it ended, and when.
    pub(crate) outcome: Outcome,
    pub(crate) at: Tick,
    /// The instant before which the service wants no other, where it names one.
    pub(crate) not_before: Option<Tick>,
}

impl RetryPolicy {
    /// No policy has more attempts.
    pub const MOST_ATTEMPTS: u8 = 100;

    /// When the next attempt is due, were there no budget; `None`: there is none. `draw` gives a number of [0, 1).
    pub(crate) fn next(&self, failed: &FailedAttempt, draw: impl FnOnce() -> f64) -> Option<Tick> {
        if failed.number >= self.attempts || !self.on.include(failed.outcome) {
            return None;
        }
        let due = failed.at + self.wait(failed.number, draw()).as_duration();
        let not_before = failed.not_before.filter(|_| self.honour_retry_after).unwrap_or_default();
        let due = due.max(not_before);
        (due < self.deadline_of(failed.intended)).then_some(due)
    }

    /// When the reading that was due at `intended` is given up.
    pub(crate) fn deadline_of(&self, intended: Tick) -> Tick {
        intended.plus_ns(self.deadline.as_ns())
    }

    /// The wait after attempt `number` (from 1): `min(first × factorⁿ⁻¹, max)`, less a part of it by `draw`.
    fn wait(&self, number: u8, draw: f64) -> Span {
        let grown = self.first.as_secs_f64() * self.factor.powi(i32::from(number) - 1);
        Span::from_secs_f64(grown.min(self.max.as_secs_f64()) * (1.0 - self.jitter * draw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ErrorKind;

    const MS: u64 = 1_000_000;
    const RESET: Outcome = Outcome::Error(ErrorKind::Reset);

    fn policy() -> RetryPolicy {
        RetryPolicy {
            attempts: 5,
            on: RetryCauses { shed: true, timeout: true, error: true },
            first: Span::from_ms(200),
            factor: 2.0,
            max: Span::from_ms(1_000),
            jitter: 0.0,
            budget: None,
            honour_retry_after: true,
            timeout: Span::from_ms(1_000),
            deadline: Span::from_ms(5_000),
        }
    }

    /// When the next attempt is due after attempt `number`, which ended at `at_ms`, of a reading due at 0, in milliseconds.
    fn next(
        policy: &RetryPolicy,
        number: u8,
        (at_ms, outcome): (u64, Outcome),
        asked_ms: Option<u64>,
    ) -> Option<u64> {
        let (intended, at) = (Tick::ZERO, Tick(at_ms * MS));
        let not_before = asked_ms.map(|ms| Tick(ms * MS));
        let failed = FailedAttempt { number, intended, outcome, at, not_before };
        policy.next(&failed, || 0.5).map(|at| at.0 / MS)
    }

    #[test]
    fn waits_grow_to_the_longest_and_end_with_the_attempts_and_the_deadline() {
        let plain = policy();
        for (number, at, due) in [
            (1, 10, Some(210)),
            (2, 210, Some(610)),
            (3, 610, Some(1_410)),
            (4, 1_410, Some(2_410)),
            (5, 2_410, None),
            // The next would be due at the deadline, or after it.
            (4, 3_999, Some(4_999)),
            (4, 4_000, None),
            (1, 60_000, None),
        ] {
            assert_eq!(next(&plain, number, (at, RESET), None), due, "{number} {at}");
        }
        let all = RetryPolicy { jitter: 1.0, ..policy() };
        let some = RetryPolicy { jitter: 0.5, ..policy() };
        assert_eq!(next(&all, 2, (0, RESET), None), Some(200));
        assert_eq!(next(&some, 2, (0, RESET), None), Some(300));
        let once = RetryPolicy { attempts: 1, ..policy() };
        assert_eq!(next(&once, 1, (0, RESET), None), None);
        let steep = RetryPolicy { attempts: 100, factor: 100.0, ..policy() };
        assert_eq!(next(&steep, 99, (0, RESET), None), Some(1_000));
    }

    #[test]
    fn only_what_is_stated_is_tried_again() {
        let none = RetryCauses { shed: false, timeout: false, error: false };
        for (on, outcome, again) in [
            (RetryCauses { shed: true, ..none }, Outcome::Shed, true),
            (RetryCauses { shed: true, ..none }, Outcome::Timeout, false),
            (RetryCauses { timeout: true, ..none }, Outcome::Timeout, true),
            (RetryCauses { timeout: true, ..none }, RESET, false),
            (RetryCauses { error: true, ..none }, RESET, true),
            (RetryCauses { error: true, ..none }, Outcome::Shed, false),
            (policy().on, Outcome::Lost, false),
            (policy().on, Outcome::Dropped, false),
            (policy().on, Outcome::Ok, false),
        ] {
            let policy = RetryPolicy { on, ..policy() };
            assert_eq!(next(&policy, 1, (0, outcome), None).is_some(), again, "{on:?} {outcome:?}");
        }
    }

    #[test]
    fn what_the_service_asks_for_lengthens_a_wait_and_never_shortens_it() {
        let deaf = RetryPolicy { honour_retry_after: false, ..policy() };
        for (policy, asked, due) in [
            (policy(), Some(2_000), Some(2_000)),
            (policy(), Some(4_999), Some(4_999)),
            (policy(), Some(5_000), None),
            (policy(), Some(50), Some(200)),
            (policy(), Some(0), Some(200)),
            (deaf, Some(2_000), Some(200)),
        ] {
            assert_eq!(next(&policy, 1, (0, Outcome::Shed), asked), due, "{asked:?}");
        }
    }
}
