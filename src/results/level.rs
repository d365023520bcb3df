//! What a recorded interval was like, and the level of the intervals before a fault.

use super::cell::Percentile;
use super::recovery::RecoveryRule;
use crate::clock::Tick;
use crate::record::Outcomes;

/// How often readings ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) ok: u64,
    pub(super) shed: u64,
    pub(super) error: u64,
    pub(super) timeout: u64,
    pub(super) lost: u64,
    pub(super) dropped: u64,
    pub(super) duplicated: u64,
    pub(super) reordered: u64,
}

impl Sums {
    pub(super) fn failed(&self) -> u64 {
        self.outcomes().failed()
    }

    pub(super) fn ended(&self) -> u64 {
        self.outcomes().ended()
    }

    /// As rates are made of them: around a fault only what has ended is known.
    pub(super) fn outcomes(&self) -> Outcomes {
        let Self { ok, shed, error, timeout, lost, dropped, .. } = *self;
        Outcomes { planned: 0, ok, shed, error, timeout, lost, dropped }.so_far(0)
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.ok += other.ok;
        self.shed += other.shed;
        self.error += other.error;
        self.timeout += other.timeout;
        self.lost += other.lost;
        self.dropped += other.dropped;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
    }
}

/// One recorded interval, all fleets together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Observation {
    pub(super) start: Tick,
    pub(super) end: Tick,
    /// Whether it began in a warm-up or measured phase: neither while connecting nor in the drain.
    pub(super) judged: bool,
    /// Response time of all readings that ended in it; `None` if none did.
    pub(super) p99: Option<Percentile>,
    pub(super) sums: Sums,
    /// Readings that had come due by its end and had not ended.
    pub(super) backlog: u64,
    /// Connections that were set up in it.
    pub(super) connected: u64,
}

impl Observation {
    pub(super) fn length_ns(&self) -> u64 {
        self.end.since(self.start)
    }
}

/// How the service was before an activation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Level {
    /// Median of the intervals' p99, nanoseconds; `None` if there were none.
    pub(super) p99_ns: Option<u64>,
    /// The largest of them: what was usual now and then is no sign of a fault.
    worst_p99_ns: u64,
    /// The largest share of the readings of an interval that failed.
    pub(super) failed_share: f64,
    /// Median of the backlog at their ends.
    pub(super) backlog: u64,
}

impl Level {
    pub(super) fn of<'a>(intervals: impl Iterator<Item = &'a Observation> + Clone) -> Self {
        let share = |o: &Observation| o.sums.failed() as f64 / o.sums.ended().max(1) as f64;
        Self {
            p99_ns: median(intervals.clone().filter_map(|o| o.p99).map(|p99| p99.ns).collect()),
            worst_p99_ns: intervals.clone().filter_map(|o| o.p99).map(|p99| p99.ns).max().unwrap_or(0),
            failed_share: intervals.clone().map(share).fold(0.0, f64::max),
            backlog: median(intervals.map(|o| o.backlog).collect()).unwrap_or(0),
        }
    }

    /// Whether an interval is as good as those before the fault; `None` without a level to compare with.
    pub(super) fn is_kept_in(&self, o: &Observation, rule: &RecoveryRule) -> Option<bool> {
        let most_ns = rule.most_ns(self.p99_ns?).max(self.worst_p99_ns);
        let quick = match o.p99 {
            Some(p99) => p99.ns <= most_ns,
            // Nothing ended: good news only if nothing was waiting either.
            None => o.backlog <= self.backlog.saturating_add(1),
        };
        // One part in 10⁹ for the rounding of the share itself.
        let tolerated = self.failed_share * o.sums.ended() as f64 * (1.0 + 1e-9);
        Some(quick && o.sums.failed() as f64 <= tolerated)
    }
}

/// The median, with the mean of the middle two of an even number.
fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *values.get(middle.checked_sub(1)?)?;
    Some(lower.midpoint(upper))
}
