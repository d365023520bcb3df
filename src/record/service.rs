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
    pub const fn since(self, earlier: Self) -> Self {
        let (hits, before) = (self.hits, earlier.hits);
        Self {
            received: self.received.saturating_sub(earlier.received),
            verdicts: self.verdicts.saturating_sub(earlier.verdicts),
            shed: self.shed.saturating_sub(earlier.shed),
            inferences: self.inferences.saturating_sub(earlier.inferences),
            hits: CacheHits {
                exact: hits.exact.saturating_sub(before.exact),
                stale: hits.stale.saturating_sub(before.stale),
                semantic: hits.semantic.saturating_sub(before.semantic),
                shared: hits.shared.saturating_sub(before.shared),
            },
            coalesced: self.coalesced.saturating_sub(earlier.coalesced),
            queue_peak: self.queue_peak,
        }
    }

    /// This stretch of time and `next` as one.
    #[must_use]
    pub fn and(self, next: Self) -> Self {
        let (hits, more) = (self.hits, next.hits);
        Self {
            received: self.received + next.received,
            verdicts: self.verdicts + next.verdicts,
            shed: self.shed + next.shed,
            inferences: self.inferences + next.inferences,
            hits: CacheHits {
                exact: hits.exact + more.exact,
                stale: hits.stale + more.stale,
                semantic: hits.semantic + more.semantic,
                shared: hits.shared + more.shared,
            },
            coalesced: self.coalesced + next.coalesced,
            queue_peak: self.queue_peak.max(next.queue_peak),
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
