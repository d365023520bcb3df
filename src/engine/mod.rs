//! Workers that drive a plan at its targets, and the judgement of the run itself.
//!
//! Thread per core: each worker is one OS thread with a current-thread tokio runtime that owns a share of the devices
//! (by global device index; in a shard, by index among the shard's devices), their sockets, its sink and its pacer. Nothing on the hot path is shared or
//! locked. The engine writes no file and prints nothing: the caller brings one [`Sink`] per worker.

mod activation;
mod audit;
mod control;
mod cpu;
mod delivery;
mod device;
mod dispatch;
mod drive;
mod event_loop;
mod exchange;
mod fault;
mod idle;
mod ledger;
mod level;
mod limit;
mod open;
mod pause;
mod policy;
mod reason;
mod reconnect;
mod report;
mod sensor;
mod setup;
mod share;
mod source;
mod stall;
mod timer;
mod validity;
mod worker;

use std::thread;

use crate::clock::stolen_time;
use crate::record::Sink;

pub(crate) use control::FaultSwitch;
pub use control::{Control, Order};
pub(crate) use level::{LAG_FLOOR_NS, Level};
pub(crate) use limit::Descriptors;
pub use report::{End, Report, WorkerReport};
pub use setup::{EngineError, Setup};
pub(crate) use source::sources;
pub(crate) use validity::{Figures, OwnWait};

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
            move || event_loop::work(&setup, share::Share { index, count, shard: setup.shard }, router, sink);
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
