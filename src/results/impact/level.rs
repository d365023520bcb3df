//! What a recorded interval was like, and the level of the intervals before a fault.

use crate::clock::Tick;
use crate::results::files::outage::RecoveryRule;
use crate::results::record::cell::Percentile;
use crate::results::record::count::ReadingCounts;

/// One recorded interval, all fleets together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Observation {
    pub(crate) start: Tick,
    pub(crate) end: Tick,
    /// Whether it began in a warm-up or measured phase: neither while connecting nor in the drain.
    pub(crate) judged: bool,
    /// Response time of all readings that ended in it; `None` if none did.
    pub(crate) p99: Option<Percentile>,
    pub(crate) counts: ReadingCounts,
    /// Readings that had come due by its end and had not ended.
    pub(crate) backlog: u64,
    /// Connections that were set up in it.
    pub(crate) connected: u64,
}

impl Observation {
    pub(crate) fn length_ns(&self) -> u64 {
        self.end.since(self.start)
    }
}

/// How the service was before an activation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Level {
    /// Median of the intervals' p99, nanoseconds; `None` if there were none.
    pub(crate) p99_ns: Option<u64>,
    /// The largest of them: what was usual now and then is not a sign of a fault.
    worst_p99_ns: u64,
    /// The largest share of the readings of an interval that failed.
    pub(crate) failed_share: f64,
    /// Median of the backlog at their ends.
    pub(crate) backlog: u64,
}

impl Level {
    pub(crate) fn of<'a>(intervals: impl Iterator<Item = &'a Observation> + Clone) -> Self {
        let share =
            |o: &Observation| o.counts.outcomes.failed() as f64 / o.counts.outcomes.ended().max(1) as f64;
        Self {
            p99_ns: median(intervals.clone().filter_map(|o| o.p99).map(|p99| p99.ns).collect()),
            worst_p99_ns: intervals.clone().filter_map(|o| o.p99).map(|p99| p99.ns).max().unwrap_or(0),
            failed_share: intervals.clone().map(share).fold(0.0, f64::max),
            backlog: median(intervals.map(|o| o.backlog).collect()).unwrap_or(0),
        }
    }

    /// Whether an interval is as good as those before the fault; `None` without a level to compare with.
    pub(crate) fn is_kept_in(&self, o: &Observation, rule: &RecoveryRule) -> Option<bool> {
        let most_ns = rule.most_ns(self.p99_ns?).max(self.worst_p99_ns);
        let quick = match o.p99 {
            Some(p99) => p99.ns <= most_ns,
            // Nothing ended: good news only if nothing was waiting either.
            None => o.backlog <= self.backlog.saturating_add(1),
        };
        // One part in 10⁹ for the rounding of the share itself.
        let tolerated = self.failed_share * o.counts.outcomes.ended() as f64 * (1.0 + 1e-9);
        Some(quick && o.counts.outcomes.failed() as f64 <= tolerated)
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
