//! `run.json`: what was run, by which tool, where, how it ended, and whether its figures can be trusted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::demand::Demand;
use super::failure::ReasonSum;
use super::fleet::{FleetTarget, SubscriberFacts};
use super::lab::LabFacts;
use super::outage::RecoveryRule;
use super::plan::{PlanAlteration, PlanFacts};
use super::seal::Seals;
use super::service::ServiceFacts;
use super::silence::Silence;
use super::table::ALL;
use crate::budget::Metric;
use crate::record::{Encounters, Judgement, Kind, RunToken, Shard, Validity};
use crate::results::record::delivery::FleetDelivery;

/// The version of the run directory's files. Columns and keys may be added under the same version.
pub(crate) const SCHEMA: u32 = 1;

/// Most reasons for failures in a manifest.
pub(crate) const MOST_REASONS: usize = 50;

/// The manifest of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of squall.
    pub tool_version: String,
    /// What the user calls the build under test; may be empty.
    pub label: String,
    /// The run's name in its files.
    pub run_id: String,
    /// How far the run got.
    pub state: RunState,
    /// The seed, as text: JSON numbers hold only 53 bits.
    pub seed: String,
    /// Digest of the expanded plan; runs are comparable only if theirs agree.
    pub plan_digest: String,
    /// What is planned, written when the run begins; `None` in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanFacts>,
    /// What the run was called in its devices' messages; `None` in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_token: Option<RunToken>,
    /// What was run.
    pub scenario: ScenarioText,
    /// Calendar time of the run's beginning, RFC 3339.
    pub started: String,
    /// Calendar time of its end, RFC 3339.
    pub ended: Option<String>,
    /// The machine that generated the load.
    pub host: Host,
    /// The clock that stamped it.
    pub clock: ClockFacts,
    /// The pacer that woke it.
    pub pacer: PacerFacts,
    /// Worker threads.
    pub workers: u32,
    /// Address driven, by protocol.
    pub targets: BTreeMap<String, String>,
    /// Local addresses that connections came from, by turns; empty where the system chose.
    #[serde(default)]
    pub source_ips: Vec<String>,
    /// What the worker threads used of their time, in their order; empty until they have ended.
    #[serde(default)]
    pub worker_use: Vec<WorkerUse>,
    /// How late the generator itself woke in the measured phases.
    pub pacing_lag: Option<PacingLag>,
    /// How the run compares with what the machine was calibrated to; `None` without a profile, and for targets elsewhere.
    #[serde(default)]
    pub calibration: Option<Calibration>,
    /// Whether the measurement can be trusted.
    pub validity: Option<Validity>,
    /// What the scenario demanded and what it got.
    pub budgets: Vec<BudgetResult>,
    /// Marked readings that `anomalies.csv` leaves out because an interval had too many.
    #[serde(default)]
    pub anomaly_rows_omitted: u64,
    /// What was left out of the plan while the run was on, in the order of time; `plan` is without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plan_altered: Vec<PlanAlteration>,
    /// How often a fault was switched on or off by hand while the run was on.
    #[serde(default)]
    pub faults_by_hand: u32,
    /// When the service counts as recovered from a fault.
    #[serde(default)]
    pub recovery: RecoveryRule,
    /// Activations of faults that `faults.csv` leaves out because there were too many.
    #[serde(default)]
    pub fault_spells_omitted: u64,
    /// Switches of faults that could not be noted because too many were waiting.
    #[serde(default)]
    pub switches_omitted: u64,
    /// The delivery audit of every fleet, and whether what it expects was kept; empty until the run has ended.
    #[serde(default)]
    pub delivery: Vec<FleetDelivery>,
    /// Why readings and connections failed, most frequent reasons first, at most 50; `failures.csv` has all.
    #[serde(default)]
    pub failures: Vec<ReasonSum>,
    /// That every device of a fleet was refused for good, which ended the run, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Fleets that the service left without an answer, or without a connection for most of the time, where neither the plan nor a
    /// fault explains it: such a run has failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silences: Vec<Silence>,
    /// What fleets met that was, or may have been, another run's; those that met nothing are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encounters: Vec<FleetEncounters>,
    /// What it drove of the plan, where it was one of several shards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<ShardFacts>,
    /// When it was to begin, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<StartFacts>,
    /// The shards it was merged from, by their numbers; empty for a run that was driven.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<MergedShard>,
    /// How the fleets of subscribers stood when the run began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscribers: Vec<SubscriberFacts>,
    /// The exercise it was made for, and what was predicted; `None` for all other runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lab: Option<LabFacts>,
    /// The exit code of the command.
    pub exit_code: Option<u8>,
    /// What the bundled service counted of its own work, where it was the target; `None` until the run has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<ServiceFacts>,
    /// What every fleet sends, and where; empty in runs of earlier versions.
    #[serde(default)]
    pub fleets: Vec<FleetTarget>,
    /// What every other file of the run holds; empty until the run has ended, and in runs of earlier versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: Seals,
}

/// What a fleet met of other runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetEncounters {
    /// The fleet.
    pub fleet: String,
    /// What it met.
    #[serde(flatten)]
    pub met: Encounters,
}

/// What a shard drove of its plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardFacts {
    /// Which it is of how many: `2/4`.
    pub shard: Shard,
    /// The devices it drove.
    pub devices: u32,
    /// Faults of the plan that it left to shard 1, because they happen once.
    pub faults_elsewhere: Vec<String>,
    /// Budgets that it was given and did not judge: they are of all shards together, and judged when these are merged.
    #[serde(default)]
    pub budgets: Vec<Demand>,
    /// Whether a broken promise of delivery fails the run.
    #[serde(default)]
    pub demand_delivery: bool,
}

/// When a run was to begin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartFacts {
    /// The instant that was asked for, RFC 3339.
    pub at: String,
    /// How much later it began by the wall clock, milliseconds; `None` until it has.
    pub late_ms: Option<f64>,
}

/// One of the shards that a run was merged from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MergedShard {
    /// The run's name.
    pub run_id: String,
    /// Which it is of how many.
    pub shard: Shard,
    /// The machine that generated its load.
    pub host: Host,
    /// Version of squall that ran it.
    pub tool_version: String,
    /// How far it got.
    pub state: RunState,
    /// Calendar time of its beginning by its own clock, RFC 3339.
    pub began: String,
    /// How much later than the first shard it began, by their own wall clocks, milliseconds.
    pub after_first_ms: f64,
    /// [`ClockFacts::moved_ns`] in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_moved_ms: Option<f64>,
    /// Whether its measurement can be trusted; `None` if it did not live to judge.
    pub validity: Option<Validity>,
}

/// How far a run got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Under way, or killed.
    Running,
    /// Ended as planned; all files are complete.
    Complete,
    /// Ended early by the user; all files are complete up to then.
    Interrupted,
    /// Ended early by an error.
    Failed,
    /// Ended early because a budget with `abort_on_fail` failed; all files are complete up to then.
    Aborted,
}

impl RunState {
    /// As people read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "not finished",
            Self::Complete => "complete",
            Self::Interrupted => "interrupted",
            Self::Aborted => "ended by a budget",
            Self::Failed => "ended by an error",
        }
    }
}

/// The scenario as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioText {
    /// Its name.
    pub name: String,
    /// The document, verbatim.
    pub text: String,
    /// Overrides from the command line, `key=value`, in order.
    pub overrides: Vec<String>,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its own name.
    pub name: String,
    /// Operating system and release.
    pub kernel: String,
    /// Processors this process may use.
    pub cores: u32,
    /// Model of the first processor, where the system tells.
    pub cpu_model: Option<String>,
    /// Memory, bytes, where the system tells.
    pub memory_bytes: Option<u64>,
}

/// Facts on the monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockFacts {
    /// The smallest step seen, nanoseconds.
    pub resolution_ns: u64,
    /// By how much more than the monotonic clock the wall clock advanced from the beginning of the plan's time to the end of the run,
    /// nanoseconds; negative if it was put back. `None` until the run has ended, and in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_ns: Option<i64>,
}

/// Facts on the pacer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacerFacts {
    /// Its mechanism.
    pub kind: String,
    /// How long due readings may be held back to be sent together, nanoseconds.
    pub slack_ns: u64,
    /// With less than this to the next reading a worker stays awake instead of sleeping, nanoseconds.
    #[serde(default)]
    pub awake_ns: u64,
}

/// What one worker thread used of its time, connecting and draining included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerUse {
    /// From its beginning to its end, seconds.
    pub wall_s: f64,
    /// Processor time, seconds; `None` where the system does not tell.
    pub cpu_s: Option<f64>,
    /// Time it was awake only because the next reading was due too soon to sleep, seconds: processor time that was not work.
    pub waited_s: f64,
    /// The share of the measured phases that it was ready to run and had no processor; `None` where the system does not tell.
    #[serde(default)]
    pub starved_share: Option<f64>,
}

/// A run seen against the profile of its machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// When the profile was measured, RFC 3339.
    pub calibrated: String,
    /// Median response time by fleet, in multiples of the floor of its protocol on the loopback.
    pub times_floor: BTreeMap<String, f64>,
    /// The floors, by protocol, milliseconds.
    pub floor_p50_ms: BTreeMap<String, f64>,
}

/// How late the generator itself woke.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PacingLag {
    /// Median, milliseconds.
    pub p50_ms: f64,
    /// 99 %, milliseconds.
    pub p99_ms: f64,
}

/// One condition of a budget, and what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own in the file")]
pub struct BudgetResult {
    /// What was demanded, as a person would say it: `p99 < 250ms`.
    pub demand: String,
    /// Of which fleet; `all` for all of them.
    pub fleet: String,
    /// What was measured, in the same form; `None` without data, which never meets a budget.
    pub measured: Option<String>,
    /// Whether it was met.
    pub met: bool,
    /// Whether that is not a judgement of the service, because the measurement is invalid, or was interrupted before it had data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unjudged: bool,
    /// What its author calls the budget.
    #[serde(default)]
    pub name: Option<String>,
    /// Of which fleets, phase or fault, as a person would say it.
    #[serde(default)]
    pub scope: String,
    /// Of which protocol, if it is narrowed to one.
    #[serde(default)]
    pub protocol: Option<String>,
    /// Of which phase; `None`: all measured ones together.
    #[serde(default)]
    pub phase: Option<String>,
    /// `reading` or `connect`.
    #[serde(default)]
    pub kind: String,
    /// Of which fault, if of one.
    #[serde(default)]
    pub fault: Option<String>,
    /// The figure, by the key scenarios have for it: `p99_9`.
    #[serde(default)]
    pub metric: String,
    /// `<`, `<=`, `>` or `>=`.
    #[serde(default)]
    pub comparison: String,
    /// The bound, in `unit`.
    #[serde(default)]
    pub bound: Option<f64>,
    /// What was measured, in `unit`; `None` without data.
    #[serde(default)]
    pub value: Option<f64>,
    /// Whether the true value is at least that.
    #[serde(default)]
    pub at_least: bool,
    /// `ms`, `share` (of 1), `count`, `per_s` or `truth` (1 or 0).
    #[serde(default)]
    pub unit: String,
    /// Why nothing was measured.
    #[serde(default)]
    pub reason: Option<String>,
    /// Whether it ended the run early.
    #[serde(default)]
    pub aborted: bool,
}

impl Manifest {
    /// Whether nothing may be concluded from its figures: the generator was the bottleneck.
    /// How far the run got, as people read it.
    pub fn ending(&self) -> &'static str {
        if self.refused.is_some() { "refused" } else { self.state.name() }
    }

    /// Whether a budget that was judged fails when too many readings of the fleet named `fleet`, which speaks `protocol`, do.
    pub fn is_watched(&self, fleet: &str, protocol: &str) -> bool {
        self.budgets.iter().any(|budget| {
            let metric = Metric::parse(&budget.metric).and_then(Result::ok);
            let of_readings = budget.kind == Kind::Reading.name() && budget.fault.is_none();
            let of_fleet = (budget.fleet == ALL || budget.fleet == fleet)
                && budget.protocol.as_ref().is_none_or(|word| word == protocol);
            of_readings && of_fleet && metric.is_some_and(Metric::counts_failures)
        })
    }

    /// Whether the measurement is invalid.
    pub fn is_invalid(&self) -> bool {
        self.validity.as_ref().is_some_and(|validity| validity.verdict == Judgement::Invalid)
    }
}

impl BudgetResult {
    /// What was demanded of what, and what was measured.
    pub fn sentence(&self) -> String {
        format!("{}: {}, measured {}", self.subject(), self.demand, self.found())
    }

    /// What the budget is called and whose figures it means; with the demand, no two different ones are alike.
    pub fn subject(&self) -> String {
        let scope = if self.scope.is_empty() { &self.fleet } else { &self.scope };
        self.name.as_ref().map_or_else(|| scope.clone(), |name| format!("{name} ({scope})"))
    }

    /// What was measured, or why nothing was.
    pub fn found(&self) -> String {
        match (&self.measured, &self.reason) {
            (Some(measured), _) => measured.clone(),
            (None, Some(reason)) => format!("no data: {reason}"),
            (None, None) => "no data".to_owned(),
        }
    }

    /// Whether it is of the same condition of the same budget.
    pub(crate) fn is_of_same(&self, other: &Self) -> bool {
        (&self.name, &self.scope, &self.demand) == (&other.name, &other.scope, &other.demand)
    }
}
