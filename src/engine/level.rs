//! The parts of a percentile of the response time, and whether the generator shaped it.

use crate::units::Quantile;

/// Pacing lag below this never matters, nanoseconds: it is the scheduling noise of an ordinary operating system.
pub(crate) const LAG_FLOOR_NS: u64 = 1_000_000;

/// A percentile, and what of it was whose; nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    /// Which percentile.
    pub quantile: Quantile,
    /// Pacing lag there.
    pub lag_ns: u64,
    /// Service time there, with as many of the longest left out as the generator may have stamped late; 0 where nothing was
    /// answered.
    pub service_ns: u64,
    /// Response time at the percentile with twice as much beyond it, with as many left out. What lies between it and
    /// the pacing lag is a lower bound of what the service and its backlog took, since at most as much as lies beyond this
    /// percentile was later than the lag there.
    pub response_ns: u64,
}

/// What became of a percentile, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// The generator cannot have shaped it.
    Holds,
    /// The generator may show in it.
    Touched,
    /// It is the generator's.
    Lost,
}

impl Level {
    /// The quantile at which [`Level::response_ns`] is taken.
    pub(crate) fn of_response(quantile: Quantile) -> Quantile {
        Quantile::of((2.0 * quantile.fraction() - 1.0).max(0.0))
    }

    /// What the service took at the least, as the generator saw it.
    pub(crate) fn own_ns(&self) -> u64 {
        self.service_ns.max(self.response_ns.saturating_sub(self.lag_ns))
    }

    /// What became of it where the service took `own_ns`, and the generator stood still for `share` of the time, for `longest_ns` at
    /// the most.
    pub(crate) fn fit(&self, own_ns: u64, share: f64, longest_ns: u64) -> Fit {
        // Stalls that are rarer than what lies beyond the percentile do not reach it.
        let stall_ns = if share > 1.0 - self.quantile.fraction() { longest_ns } else { 0 };
        let late_ns = self.lag_ns.max(stall_ns);
        if late_ns <= LAG_FLOOR_NS.max(own_ns / 2) {
            Fit::Holds
        } else if late_ns <= (10 * LAG_FLOOR_NS).max(own_ns.saturating_mul(2)) {
            Fit::Touched
        } else {
            Fit::Lost
        }
    }
}
