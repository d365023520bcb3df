//! What a service that tells us counted of its own work.

use serde::{Deserialize, Serialize};

/// What the bundled service counted, since it started or in a stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceCounts {
    /// Readings that came in.
    pub received: u64,
    /// Verdicts given.
    pub verdicts: u64,
    /// Readings that were not worked on.
    pub shed: u64,
    /// Answers that a model computed, those that renew an aged one included.
    pub inferences: u64,
    /// How much longer than they cost inferences took, in all, nanoseconds: what the machine kept of the processor, and
    /// the inaccuracy of waits. Not known of inferences that are under way together.
    pub overrun_ns: u64,
    /// Verdicts by the tier of the cache that had the answer.
    pub hits: CacheHits,
    /// Verdicts by an inference that another reading had asked for.
    pub coalesced: u64,
    /// The most readings that waited in the queue at once.
    pub queue_peak: u64,
}

/// Verdicts whose answer was remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheHits {
    /// Of the same situation.
    pub exact: u64,
    /// Of the same situation, past its age.
    pub stale: u64,
    /// Of a similar situation.
    pub semantic: u64,
    /// By another instance.
    pub shared: u64,
}

impl CacheHits {
    /// Those of all tiers.
    pub const fn all(self) -> u64 {
        self.exact + self.stale + self.semantic + self.shared
    }
}

impl ServiceCounts {
    /// What was counted after `earlier`; the peak is this one's.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self { queue_peak: self.queue_peak, ..self.zip(earlier, u64::saturating_sub) }
    }

    /// This stretch of time and `next` as one.
    #[must_use]
    pub fn and(self, next: Self) -> Self {
        Self { queue_peak: self.queue_peak.max(next.queue_peak), ..self.zip(next, |own, more| own + more) }
    }

    /// `of` every number of this and the same of `other`.
    fn zip(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        let (own, others) = (self.hits, other.hits);
        Self {
            received: of(self.received, other.received),
            verdicts: of(self.verdicts, other.verdicts),
            shed: of(self.shed, other.shed),
            inferences: of(self.inferences, other.inferences),
            overrun_ns: of(self.overrun_ns, other.overrun_ns),
            hits: CacheHits {
                exact: of(own.exact, others.exact),
                stale: of(own.stale, others.stale),
                semantic: of(own.semantic, others.semantic),
                shared: of(own.shared, others.shared),
            },
            coalesced: of(self.coalesced, other.coalesced),
            queue_peak: of(self.queue_peak, other.queue_peak),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_add_up_and_a_peak_is_that_of_the_highest() {
        let counts = |n: u64| ServiceCounts {
            received: 10 * n,
            verdicts: 9 * n,
            shed: n,
            inferences: 2 * n,
            overrun_ns: 7 * n,
            hits: CacheHits { exact: 4 * n, stale: n, semantic: n, shared: n },
            coalesced: n,
            queue_peak: 100 / n,
        };
        let (first, last) = (counts(1), counts(3));
        let between = last.since(first);
        assert_eq!(between, ServiceCounts { queue_peak: 33, ..counts(2) });
        assert_eq!((first.and(between), last.hits.all()), (ServiceCounts { queue_peak: 100, ..last }, 21));
    }
}
