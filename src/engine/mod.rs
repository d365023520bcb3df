//! Workers that drive a plan at its targets, and the judgement of the run itself.
//!
//! Thread per core: each worker is one OS thread with a current-thread tokio runtime that owns a share of the devices
//! (by global device index; in a shard, by index among the shard's devices), their sockets, its sink and its pacer. Nothing on the hot path is shared or
//! locked. The engine writes no file and prints nothing: the caller brings one [`Sink`] per worker.

mod control;
mod cpu;
mod delivery;
mod device;
mod dispatch;
mod drive;
mod exchange;
mod fault;
mod idle;
mod ledger;
mod level;
mod limit;
mod open;
mod pause;
mod reason;
mod reconnect;
mod share;
mod source;
mod stall;
mod timer;
mod validity;
mod worker;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::clock::{Monotonic, PacerKind, Throttling, Tick, stolen_time};
use crate::protocol::Endpoint;
use crate::record::{Protocol, Shard, Sink, SwitchLog};
use crate::scenario::Plan;

pub(crate) use control::FaultSwitch;
pub use control::{Control, Order};
pub(crate) use level::{LAG_FLOOR_NS, Level};
pub(crate) use limit::Descriptors;
pub(crate) use source::sources;
pub(crate) use stall::StallStats;
pub(crate) use validity::{Figures, OwnWait};

/// Everything a run needs besides its sinks.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The plan to drive.
    pub plan: Arc<Plan>,
    /// The share of its devices to drive.
    pub shard: Shard,
    /// Where the fleets of each protocol connect to; every protocol in the plan must have one.
    pub endpoints: Arc<Vec<Endpoint>>,
    /// The run's clock; the plan's instants are ticks of it.
    pub clock: Monotonic,
    /// Unix time at the beginning of the run, nanoseconds: what the devices' own clocks count from.
    pub epoch_ns: u64,
    /// How the run is ended early.
    pub control: Control,
    /// Where switched faults are noted.
    pub switches: SwitchLog,
}

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

/// What one worker says of itself when it is done.
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
    /// processor time was no work.
    pub waited: Duration,
    /// The share of the measured phases that it worked, 0 to 1; `None` where the system does not tell.
    pub busy: Option<f64>,
    /// The share of them that it was ready to run and had no processor, because somebody else used its core.
    pub starved: Option<f64>,
    /// When its main loop stood still from the first measured phase on.
    pub stalls: StallStats,
    /// How long after the end of the plan it had released all that was due in it.
    pub overrun: Duration,
    /// What its pacer woke by.
    pub pacer: PacerKind,
    /// Deliveries that could not be passed to the worker of the device that sent the reading.
    pub unheard: u64,
}

/// What the engine says of a run.
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

/// Why a run could not be done.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The plan has a fleet whose protocol has no endpoint.
    #[error("no target for protocol {0}: give one with --target {0}=URL or under [target]")]
    NoTarget(Protocol),
    /// A worker could not be started, or its pacer failed.
    #[error("a worker could not run: {0}")]
    Worker(#[from] io::Error),
    /// A worker died of a bug.
    #[error("worker {0} panicked; this is a bug in squall, please report it")]
    Panicked(usize),
}

/// With less than this to the next reading a worker stays awake instead of sleeping, nanoseconds; stands in the manifest.
pub const AWAKE_NS: u64 = idle::AWAKE_NS;

/// Drives the plan with one worker thread per sink, and returns when all of them are done.
///
/// # Errors
/// If a target is missing, a worker cannot be started, or a worker dies.
pub fn run<S: Sink>(setup: &Setup, sinks: Vec<S>) -> Result<Report, EngineError> {
    for fleet in &setup.plan.layout().fleets {
        if !setup.endpoints.iter().any(|endpoint| endpoint.protocol() == fleet.protocol) {
            return Err(EngineError::NoTarget(fleet.protocol));
        }
    }
    let watch = stall::StallDetector::start(setup.clock, setup.plan.measuring_starts(), setup.plan.end())?;
    let stolen_before = stolen_time();
    let count = sinks.len();
    let mut threads = Vec::with_capacity(count);
    let routers = delivery::routers(count);
    for ((index, sink), router) in sinks.into_iter().enumerate().zip(routers) {
        let setup = setup.clone();
        let name = format!("squall-worker-{index}");
        let body =
            move || worker::work(&setup, share::Share { index, count, shard: setup.shard }, router, sink);
        threads.push(thread::Builder::new().name(name).spawn(body)?);
    }
    let mut workers = Vec::with_capacity(count);
    let mut failure = None;
    for (index, thread) in threads.into_iter().enumerate() {
        match thread.join() {
            Ok(Ok(report)) => workers.push(report),
            Ok(Err(error)) => failure = failure.or(Some(EngineError::Worker(error))),
            Err(_) => failure = failure.or(Some(EngineError::Panicked(index))),
        }
    }
    let stall::StallReport { standstills, throttling } = watch.stop();
    let stolen = stolen_time().zip(stolen_before).map(|(after, before)| after.saturating_sub(before));
    if let Some(failure) = failure {
        return Err(failure);
    }
    let end = [End::Aborted, End::Interrupted].into_iter().find(|end| workers.iter().any(|w| w.end == *end));
    let finished = workers.iter().map(|worker| worker.finished).max().unwrap_or_default();
    Ok(Report { end: end.unwrap_or(End::Complete), finished, workers, standstills, throttling, stolen })
}
