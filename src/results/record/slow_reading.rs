//! The slowest readings of each phase and fleet, so that they can be looked up one by one.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::clock::Tick;
use crate::record::{FleetId, Layout, Outcome, PhaseId, Sample, Stages};

/// Readings kept of each phase and fleet.
pub(crate) const MOST_SLOW: usize = 20;

/// A slow reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlowReading {
    pub(crate) device: u32,
    pub(crate) seq: u64,
    pub(crate) intended: Tick,
    /// Completed − intended start.
    pub(crate) response_ns: u64,
    pub(crate) backlog_wait_ns: Option<u64>,
    pub(crate) pacing_lag_ns: Option<u64>,
    pub(crate) service_ns: Option<u64>,
    pub(crate) stages: Option<Stages>,
    pub(crate) outcome: Outcome,
}

/// What decides between readings, the slower one being the greater: of those that took equally long the one that was due first,
/// then the one of the first device.
type Rank = (u64, Reverse<(Tick, u32, u64)>);

impl SlowReading {
    fn of(sample: &Sample) -> Self {
        Self {
            device: sample.device,
            seq: sample.seq,
            intended: sample.intended,
            response_ns: sample.response_time_ns(),
            backlog_wait_ns: sample.backlog_wait_ns(),
            pacing_lag_ns: sample.pacing_lag_ns(),
            service_ns: sample.service_time_ns(),
            stages: sample.stages,
            outcome: sample.outcome,
        }
    }

    const fn rank(&self) -> Rank {
        (self.response_ns, Reverse((self.intended, self.device, self.seq)))
    }
}

/// The slowest of one phase and fleet, the slowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SlowList {
    phase: PhaseId,
    fleet: FleetId,
    readings: Vec<SlowReading>,
}

impl SlowList {
    /// Takes a reading in if it is among the slowest, and gives the rank that the next one has to pass.
    fn offer(&mut self, reading: SlowReading) -> Option<Rank> {
        let place = self.readings.partition_point(|kept| kept.rank() > reading.rank());
        if place < MOST_SLOW {
            self.readings.truncate(MOST_SLOW - 1);
            self.readings.insert(place, reading);
        }
        self.readings.get(MOST_SLOW - 1).map(SlowReading::rank)
    }
}

/// The slowest readings, [`MOST_SLOW`] of each phase and fleet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SlowReadings {
    /// Those without readings are memory to be used again.
    lists: Vec<SlowList>,
}

impl SlowReadings {
    fn list(&mut self, phase: PhaseId, fleet: FleetId) -> &mut SlowList {
        let own = |list: &SlowList| (list.phase, list.fleet) == (phase, fleet) && !list.readings.is_empty();
        let place = self.lists.iter().position(own);
        let place = place.or_else(|| self.lists.iter().position(|list| list.readings.is_empty()));
        let place = place.unwrap_or_else(|| {
            self.lists.push(SlowList { phase, fleet, readings: Vec::with_capacity(MOST_SLOW) });
            self.lists.len() - 1
        });
        let list = &mut self.lists[place];
        (list.phase, list.fleet) = (phase, fleet);
        list
    }

    /// Adds all of another worker's, interval's or shard's that are among the slowest.
    pub(crate) fn add(&mut self, other: &Self) {
        for list in other.lists.iter().filter(|list| !list.readings.is_empty()) {
            let mine = self.list(list.phase, list.fleet);
            list.readings.iter().for_each(|reading| _ = mine.offer(reading.clone()));
        }
    }

    /// All of them, by phase and fleet, the slowest first.
    pub(crate) fn sorted(&self) -> impl Iterator<Item = (PhaseId, FleetId, &SlowReading)> {
        let mut lists: Vec<_> = self.lists.iter().collect();
        lists.sort_by_key(|list| (list.phase, list.fleet));
        lists
            .into_iter()
            .flat_map(|list| list.readings.iter().map(move |reading| (list.phase, list.fleet, reading)))
    }

    /// Forgets everything but the memory it stands in.
    pub(crate) fn reset(&mut self) {
        self.lists.iter_mut().for_each(|list| list.readings.clear());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lists.iter().all(|list| list.readings.is_empty())
    }

    /// Whether it is of phases and fleets of `layout`, and no larger than it may be.
    pub(crate) fn fit(&self, layout: &Layout) -> bool {
        let (phases, fleets) = (layout.phases.len(), layout.fleets.len());
        let fits = |list: &SlowList| {
            usize::from(list.phase.0) < phases
                && usize::from(list.fleet.0) < fleets
                && list.readings.len() <= MOST_SLOW
        };
        self.lists.len() <= phases * fleets && self.lists.iter().all(fits)
    }
}

/// What a worker knows of the slowest readings so far: nearly every reading is passed over by one comparison.
#[derive(Debug)]
pub(crate) struct SlowFloor {
    fleets: usize,
    /// By phase and fleet, what a reading has to pass to be among the slowest of this worker.
    ranks: Vec<Rank>,
}

impl SlowFloor {
    pub(crate) fn new(layout: &Layout) -> Self {
        let fleets = layout.fleets.len();
        // Nothing ranks lower.
        let least = (0, Reverse((Tick::FAR, u32::MAX, u64::MAX)));
        Self { fleets, ranks: vec![least; layout.phases.len() * fleets] }
    }

    /// Puts a reading that has ended into `slow` if it is among the slowest.
    pub(crate) fn offer(&mut self, sample: &Sample, slow: &mut SlowReadings) {
        let place = usize::from(sample.phase.0) * self.fleets + usize::from(sample.fleet.0);
        let Some(floor) = self.ranks.get_mut(place) else { return };
        if sample.response_time_ns() < floor.0 {
            return;
        }
        let reading = SlowReading::of(sample);
        if reading.rank() > *floor
            && let Some(passed) = slow.list(sample.phase, sample.fleet).offer(reading)
        {
            *floor = passed.max(*floor);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::results::tests::{self, layout};

    fn sample(phase: u16, fleet: u16, device: u32, seq: u64, response_ns: u64) -> Sample {
        let plain = tests::sample(&layout(), fleet, Tick(seq * 1_000), response_ns, Outcome::Ok);
        Sample { phase: PhaseId(phase), device, seq, ..plain }
    }

    /// What is expected: everything sorted.
    fn expected(samples: &[Sample]) -> Vec<(PhaseId, FleetId, SlowReading)> {
        let mut all: Vec<_> =
            samples.iter().map(|sample| (sample.phase, sample.fleet, SlowReading::of(sample))).collect();
        all.sort_by_key(|(phase, fleet, reading)| (*phase, *fleet, Reverse(reading.rank())));
        let mut kept: Vec<(PhaseId, FleetId, SlowReading)> = Vec::new();
        for one in all {
            let alike = kept.iter().filter(|other| (other.0, other.1) == (one.0, one.1)).count();
            if alike < MOST_SLOW {
                kept.push(one);
            }
        }
        kept
    }

    fn owned(slow: &SlowReadings) -> Vec<(PhaseId, FleetId, SlowReading)> {
        slow.sorted().map(|(phase, fleet, reading)| (phase, fleet, reading.clone())).collect()
    }

    proptest! {
        /// Few different times, so that many are equal.
        #[test]
        fn the_slowest_of_all_are_kept_however_they_are_spread_over_workers_and_intervals(
            readings in proptest::collection::vec((0..3_u16, 0..2_u16, 0..3_u32, 1..40_u64), 0..400),
            workers in 1..4_usize,
            rotation in 1..50_usize,
        ) {
            let samples: Vec<Sample> = readings
                .iter()
                .enumerate()
                .map(|(nth, (phase, fleet, device, time))| sample(*phase, *fleet, *device, nth as u64, *time))
                .collect();
            let mut whole = SlowReadings::default();
            for worker in 0..workers {
                let (mut floor, mut slow) = (SlowFloor::new(&layout()), SlowReadings::default());
                for (nth, sample) in samples.iter().filter(|one| one.device as usize % workers == worker).enumerate() {
                    floor.offer(sample, &mut slow);
                    if nth % rotation == 0 {
                        whole.add(&slow);
                        slow.reset();
                    }
                }
                whole.add(&slow);
            }
            prop_assert_eq!(owned(&whole), expected(&samples));
            prop_assert!(whole.fit(&layout()));
            let stored = serde_json::to_string(&whole).unwrap();
            prop_assert_eq!(serde_json::from_str::<SlowReadings>(&stored).unwrap(), whole);
        }
    }

    #[test]
    fn of_readings_that_took_equally_long_those_that_were_due_first_are_kept() {
        let (mut floor, mut slow) = (SlowFloor::new(&layout()), SlowReadings::default());
        for seq in (1..=50).rev() {
            floor.offer(&sample(2, 1, 0, seq, 7), &mut slow);
        }
        let seqs: Vec<u64> = slow.sorted().map(|(_, _, reading)| reading.seq).collect();
        assert_eq!(seqs, (1..=MOST_SLOW as u64).collect::<Vec<_>>());
    }

    #[test]
    fn a_record_of_another_run_does_not_fit() {
        let mut slow = SlowReadings::default();
        slow.list(PhaseId(3), FleetId(0)).offer(SlowReading::of(&sample(3, 0, 0, 1, 1)));
        assert!(!slow.fit(&layout()));
        let mut slow = SlowReadings::default();
        let list = slow.list(PhaseId(0), FleetId(0));
        list.readings = vec![SlowReading::of(&sample(0, 0, 0, 1, 1)); MOST_SLOW + 1];
        assert!(!slow.fit(&layout()));
    }
}
