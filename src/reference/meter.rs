//! What the service has counted of its own work, for whoever runs it in the same process.

use std::sync::Arc;

use super::cache::Tier;
use super::pipeline::Pipeline;
use crate::record::{CacheHits, ServiceCounts};

/// Reads the service's counters, also while it runs.
#[derive(Debug, Clone)]
pub(crate) struct Meter(pub(super) Arc<Pipeline>);

impl Meter {
    /// What has been counted since the start, and the most that waited since the last call.
    pub(crate) fn read(&self) -> ServiceCounts {
        let metrics = &self.0.shared().metrics;
        let by = |tier| metrics.scored_by(tier);
        ServiceCounts {
            received: metrics.received.get(),
            verdicts: metrics.verdicts.get(),
            shed: metrics.shed_total(),
            inferences: metrics.inferences.get(),
            overrun_ns: metrics.overrun_ns(),
            hits: CacheHits {
                exact: by(Tier::Exact),
                stale: by(Tier::Stale),
                semantic: by(Tier::Semantic),
                shared: by(Tier::Shared),
            },
            coalesced: by(Tier::Coalesced),
            queue_peak: self.0.take_queue_peak() as u64,
        }
    }

    /// How many readings may wait, and how many workers run.
    pub(crate) fn capacity(&self) -> (u64, u64) {
        let now = self.0.snapshot();
        (now.queue_capacity as u64, now.workers as u64)
    }
}
