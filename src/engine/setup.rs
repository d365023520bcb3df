//! The input of a run, and the reasons why it could not be done.

use std::io;
use std::sync::Arc;

use super::control::Control;
use crate::clock::Monotonic;
use crate::protocol::Endpoint;
use crate::record::{Protocol, RunToken, Shard, SwitchLog};
use crate::scenario::Plan;

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
    /// What its devices call the run, so that their messages are told from those of other runs.
    pub token: RunToken,
    /// Whether the token was drawn at random, so that no other run has it.
    pub token_is_drawn: bool,
    /// How the run is ended early.
    pub control: Control,
    /// Where switched faults are noted.
    pub switches: SwitchLog,
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
