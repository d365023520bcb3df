//! What is known about a run: histograms per worker, their collection by interval, and the files of a run.
//!
//! | folder | what |
//! |---|---|
//! | `record` | what a worker records; its [`Recorder`] hands an interval's part over |
//! | `files` | the files of a run: what each holds, how it is written, and how it is read back |
//! | `impact` | what faults did to the service: the level before, the activation, the recovery |
//! | `collect` | the [`Collector`]: from the workers' parts to files, [`Totals`] and reports; budgets |
//! | `merge` | the records of shards go once more through `collect` |
//!
//! A folder imports only from those above it. Everything after a run starts from the files: [`Report::load`].

mod collect;
mod files;
mod impact;
mod merge;
mod record;

pub(crate) use collect::budget::{confine, cut_short, judge, left_out};
pub(crate) use collect::collector::Collector;
pub use collect::collector::recorders;
pub use collect::interval::{IntervalReport, Progress};
pub use collect::metric_board::MetricBoard;
pub(crate) use collect::pause::OwnPause;
pub(crate) use collect::refusal::Refused;
pub(crate) use collect::run_files::RunFiles;
pub(crate) use collect::stored::StoredRun;
pub(crate) use collect::total::{Readings, Totals};
#[cfg(test)]
pub(crate) use files::anomaly::AnomalyRow;
pub use files::anomaly::read_anomalies;
pub(crate) use files::demand::Demand;
#[cfg(test)]
pub(crate) use files::detection::DetectionCount;
pub use files::detection::{ArmDetection, Detections, Score};
pub use files::directory::RunDirectory;
pub(crate) use files::directory::{is_abandoned, replace_text};
pub use files::distribution::read_distributions;
pub(crate) use files::distribution::read_total;
pub(crate) use files::event::EventTable;
pub use files::failure::Failure;
pub(crate) use files::failure::ReasonSum;
pub use files::figures::Figures;
pub(crate) use files::fleet::{FleetTarget, SubscriberFacts};
pub(crate) use files::follow::{Follower, Present};
pub(crate) use files::history::{Column, FleetTail, History, LazyHistory, Mark};
#[cfg(test)]
pub(crate) use files::history::{Curves, Stretch};
pub(crate) use files::history_log::{ROWS_PER_DECADE, row_of};
pub use files::lab::LabFacts;
#[cfg(test)]
pub(crate) use files::manifest::PacingLag;
pub use files::manifest::{BudgetResult, Manifest, RunState};
pub(crate) use files::manifest::{
    Calibration, ClockFacts, FleetEncounters, Host, MergedShard, PacerFacts, SCHEMA, ScenarioText,
    ShardFacts, StartFacts, WorkerUse,
};
#[cfg(test)]
pub(crate) use files::manifest_store::ManifestError;
pub use files::manifest_store::load_manifest;
pub use files::millis::Millis;
pub(crate) use files::outage::RecoveryRule;
pub use files::outage::read_outages;
pub(crate) use files::outage::{Outage, Recovery};
pub(crate) use files::plan::{PlanAlteration, PlanFacts};
pub(crate) use files::promise::Standing;
pub(crate) use files::report::LoadError;
pub use files::report::{Report, UnguardedFailures};
pub(crate) use files::seal::{Seals, verify, verify_file};
pub(crate) use files::service::{ServiceFacts, ServicePhase};
pub(crate) use files::shard::{RecordEnd, ShardFile, ShardHeader};
pub use files::silence::Silence;
pub(crate) use files::skew::StartSkew;
pub(crate) use files::table::ALL;
pub use files::table::{SummaryRow, read_summary};
pub(crate) use files::table::{TableError, is_measured};
pub(crate) use files::tail::Reach;
pub(crate) use files::target::{TargetCurve, TargetKind, TargetRow, TargetTable};
pub(crate) use files::times::Times;
pub(crate) use files::watched::{FleetPulse, Watched};
pub(crate) use merge::event::{EventError, merge_events};
pub(crate) use merge::{MergeError, merge};
pub(crate) use record::cell::Percentile;
pub(crate) use record::delivery::FleetDelivery;
#[cfg(test)]
pub(crate) use record::delivery::{Expectation, FirstViolation};
pub(crate) use record::privacy::Privacy;
pub use record::recorder::Recorder;

#[cfg(test)]
mod tests;
