//! When readings ended ok, closely enough to tell how soon after an instant the first one did.

use serde::{Deserialize, Serialize};

use crate::clock::Tick;
use crate::record::Layout;

/// Stretches per interval.
const PER_INTERVAL: u64 = 64;
/// Stretches a worker keeps per slice; what comes after them prolongs the last one.
const MOST: usize = 128;
/// Stretches kept of all workers together; further ones are left out, which can only make a first reading look later.
const MOST_MERGED: usize = 64 * MOST;

/// Stretches in which readings ended ok, each shorter than a 64th of an interval: its first and its last one.
///
/// A silence is seen exactly, to the nanosecond. In between, an instant is followed by an ok reading no later than
/// [`OkTimeline::after`] says, and less than a 64th of an interval earlier, unless the collector was so far behind that a slice
/// grew beyond two intervals.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct OkTimeline {
    stretches: Vec<(Tick, Tick)>,
    /// Length of a stretch, nanoseconds; 0: nothing is kept, because nobody will ask.
    step_ns: u64,
}

impl OkTimeline {
    pub(crate) fn new(layout: &Layout) -> Self {
        if layout.faults.is_empty() {
            return Self::default();
        }
        let step_ns = (layout.interval_ns / PER_INTERVAL).max(1);
        Self { stretches: Vec::with_capacity(MOST), step_ns }
    }

    /// A reading ended ok.
    pub(crate) fn beat(&mut self, at: Tick) {
        if self.step_ns == 0 {
            return;
        }
        let full = self.stretches.len() >= MOST;
        match self.stretches.last_mut() {
            Some((first, last)) if full || at < first.plus_ns(self.step_ns) => {
                *first = (*first).min(at);
                *last = (*last).max(at);
            }
            _ => self.stretches.push((at, at)),
        }
    }

    /// Adds all of another worker's.
    pub(crate) fn add(&mut self, other: &Self) {
        let room = MOST_MERGED.saturating_sub(self.stretches.len());
        self.stretches.extend(other.stretches.iter().take(room));
    }

    /// The first ok reading at or after `at`, or an upper bound to it.
    pub(crate) fn after(&self, at: Tick) -> Option<Tick> {
        let bound = |&(first, last): &(Tick, Tick)| {
            if first >= at { Some(first) } else { Some(last).filter(|last| *last >= at) }
        };
        self.stretches.iter().filter_map(bound).min()
    }

    pub(crate) fn reset(&mut self) {
        self.stretches.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timeline(step_ns: u64, beats: &[u64]) -> OkTimeline {
        let mut timeline = OkTimeline { stretches: Vec::new(), step_ns };
        for at in beats {
            timeline.beat(Tick(*at));
        }
        timeline
    }

    #[test]
    fn the_end_of_a_silence_is_exact() {
        let timeline = timeline(10, &[1, 2, 9, 10, 57, 58, 59]);
        for (at, first) in [(0, Some(1)), (11, Some(57)), (30, Some(57)), (57, Some(57)), (60, None)] {
            assert_eq!(timeline.after(Tick(at)), first.map(Tick), "{at}");
        }
    }

    proptest! {
        #[test]
        fn the_first_is_never_told_too_early_and_less_than_a_step_too_late(
            mut beats in prop::collection::vec(0_u64..1_000, 0..100), at in 0_u64..1_000, workers in 1_usize..3,
        ) {
            beats.sort_unstable();
            let mut merged = OkTimeline::default();
            for worker in 0..workers {
                let own: Vec<_> = beats.iter().copied().skip(worker).step_by(workers).collect();
                merged.add(&timeline(16, &own));
            }
            let exact = beats.iter().copied().find(|beat| *beat >= at);
            let found = merged.after(Tick(at)).map(|tick| tick.0);
            prop_assert_eq!(found.is_some(), exact.is_some());
            if let (Some(found), Some(exact)) = (found, exact) {
                prop_assert!(exact <= found && found < exact + 16, "{} {}", exact, found);
            }
        }

        #[test]
        fn its_memory_is_bounded(beats in 0_u64..10_000) {
            let all: Vec<_> = (0..beats).map(|n| n * 100).collect();
            let timeline = timeline(10, &all);
            prop_assert!(timeline.stretches.len() <= MOST);
            prop_assert_eq!(timeline.after(Tick(0)).is_some(), beats > 0);
        }
    }
}
