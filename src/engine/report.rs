//! The engine's report on a run that has ended.

use std::time::Duration;

use super::stall::StallStats;
use crate::clock::{PacerKind, Throttling, Tick};
use crate::record::{Encounters, FleetId};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The whole plan was driven and drained.
    Complete,
    /// It was ended early, drained, and all it began is accounted for.
    Interrupted,
    /// It was cut off at once: what was open is lost.
    Aborted,
}

/// One worker's report on itself.
#[derive(Debug, Clone)]
pub struct WorkerReport {
    /// How the worker's part ended.
    pub end: End,
    /// When its last reading was settled.
    pub finished: Tick,
    /// Processor time its thread used; `None` where the system does not tell.
    pub cpu: Option<Duration>,
    /// From its start to its end.
    pub wall: Duration,
    /// How much of it the thread was awake only because the next reading was due too soon to sleep; about as much of its
    /// processor time was not work.
    pub waited: Duration,
    /// The share of the measured phases that it worked, 0 to 1; `None` where the system does not tell.
    pub busy: Option<f64>,
    /// The share of them that it was ready to run and had no processor, because another process used its core.
    pub starved: Option<f64>,
    /// When its main loop stood still from the first measured phase on.
    pub stalls: StallStats,
    /// How long after the end of the plan it had released all that was due in it.
    pub overrun: Duration,
    /// What its pacer woke by.
    pub pacer: PacerKind,
    /// Deliveries that could not be passed to the worker of the device that sent the reading.
    pub undelivered: u64,
    /// What its devices met of other runs, by fleet.
    pub encounters: Vec<Encounters>,
    /// For how much of the time measured none of its devices of a fleet had a connection because every attempt failed, by fleet,
    /// nanoseconds; `None` where none was made.
    pub away_ns: Vec<Option<u64>>,
}

/// The engine's report on a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// How the run ended: the worst end of any worker.
    pub end: End,
    /// When the last reading was settled.
    pub finished: Tick,
    /// One report per worker.
    pub workers: Vec<WorkerReport>,
    /// When the machine itself, or this process as a whole, stood still from the first measured phase on.
    pub standstills: StallStats,
    /// How a quota of processor time held this process up in the measured phases; `None` where there is none.
    pub throttling: Option<Throttling>,
    /// Processor time of all cores together that the hypervisor gave to others meanwhile; `None` where the system does not
    /// tell.
    pub stolen: Option<Duration>,
}

impl Report {
    /// For how much of the time measured no device of a fleet had a connection because every attempt failed, nanoseconds.
    pub(crate) fn away_ns(&self, fleet: FleetId) -> u64 {
        let away = |worker: &WorkerReport| worker.away_ns.get(usize::from(fleet.0)).copied().flatten();
        self.workers.iter().filter_map(away).min().unwrap_or(0)
    }

    /// What the devices of a fleet met of other runs.
    pub(crate) fn encounters(&self, fleet: FleetId) -> Encounters {
        let mut sum = Encounters::default();
        let met = self.workers.iter().filter_map(|worker| worker.encounters.get(usize::from(fleet.0)));
        met.for_each(|met| sum.add(*met));
        sum
    }
}
