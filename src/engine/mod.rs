//! Workers that drive a plan at its targets, and the judgement of the run itself.
//!
//! Thread per core: each worker is one OS thread with a current-thread tokio runtime that owns a share of the devices
//! (by global device index; in a shard, by index among the shard's devices), their sockets, its sink and its pacer. Nothing on the hot path is shared or
//! locked. The engine writes no file and prints nothing: the caller brings one [`Sink`] per worker.

mod activation;
mod answer;
mod attempt;
mod audit;
mod consumer;
mod control;
mod cpu;
mod crew;
mod delivery;
mod device;
mod dispatch;
mod drive;
mod encounter;
mod event_loop;
mod exchange;
mod fault;
mod idle;
mod isolation;
mod ledger;
mod leftover;
mod level;
mod limit;
mod open;
mod origin;
mod pattern;
mod pause;
mod policy;
mod quiescence;
mod reason;
mod reception;
mod reconnect;
mod report;
mod resend;
mod retry;
mod sensor;
mod setup;
mod share;
mod skip;
mod source;
mod stall;
mod standing;
mod task_end;
mod timer;
mod unclaimed;
mod validity;
mod worker;

use crate::clock::Monotonic;
use crate::record::Sink;

pub(crate) use consumer::{Scrutiny, scrutinies};
pub(crate) use control::FaultSwitch;
pub use control::{Control, Order};
pub(crate) use crew::Crew;
pub(crate) use level::{Fit, LAG_FLOOR_NS, Level};
pub(crate) use limit::Descriptors;
pub use report::{End, Report, WorkerReport};
pub use setup::{EngineError, Setup};
pub(crate) use source::sources;
pub(crate) use standing::Standing;
pub(crate) use validity::{Figures, FleetMet, OwnWait};

/// With less than this to the next reading a worker stays awake instead of sleeping, nanoseconds; stands in the manifest.
pub const AWAKE_NS: u64 = idle::AWAKE_NS;

/// Drives the plan with one worker thread per sink, and returns when all of them are done. A plan with devices that only listen
/// begins, by a clock of its own, once they have subscribed.
///
/// # Errors
/// If a target is missing, a worker cannot be started, or a worker dies.
pub fn run<S: Sink>(setup: &Setup, sinks: Vec<S>) -> Result<Report, EngineError> {
    let crew = Crew::assemble(setup, sinks)?;
    let moved = crew.standing().waited;
    if crew.standing().fleets.is_empty() {
        return crew.drive(setup);
    }
    let epoch_ns = setup.epoch_ns + u64::try_from(moved.as_nanos()).unwrap_or_default();
    crew.drive(&Setup { clock: Monotonic::start(), epoch_ns, ..setup.clone() })
}
