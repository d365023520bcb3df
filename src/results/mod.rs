//! What is known about a run: histograms per worker, their collection by interval, and the files of a run.
//!
//! A worker's [`Recorder`] hands a slice to the [`Collector`] at every interval's end; the collector appends it to the
//! run's files and to the [`Totals`], and follows what faults did to the service. Everything after a run starts from the
//! files: [`Report::load`].

mod anomaly;
mod budget;
mod by_hand;
mod cell;
mod collector;
mod concern;
mod counter;
mod delivery;
mod demand;
mod detection;
mod directory;
mod distribution;
mod event;
mod failure;
mod fault;
mod figures;
mod hlog;
mod host;
mod interval;
mod level;
mod manifest;
mod measurement;
mod merge;
mod millis;
mod ok_timeline;
mod outage;
mod pause;
mod pipeline;
mod recorder;
mod recovery;
mod refusal;
mod report;
mod shard;
mod store;
mod table;
mod total;

#[cfg(test)]
pub(crate) use anomaly::AnomalyRow;
pub use anomaly::read_anomalies;
pub(crate) use budget::{confine, judge};
pub(crate) use cell::Percentile;
pub(crate) use collector::Collector;
pub use collector::recorders;
pub(crate) use concern::Privacy;
pub(crate) use delivery::FleetDelivery;
#[cfg(test)]
pub(crate) use delivery::{Expectation, FirstViolation};
pub(crate) use demand::Demand;
#[cfg(test)]
pub(crate) use detection::DetectionCount;
pub use detection::{Detections, Score};
pub use directory::RunDirectory;
pub(crate) use directory::{EventTable, RunFiles, replace_text};
pub use distribution::read_distributions;
pub(crate) use event::merge_events;
pub use failure::Failure;
pub(crate) use failure::ReasonSum;
pub use figures::Figures;
pub(crate) use interval::{IntervalReport, Progress};
pub use manifest::{BudgetResult, Manifest, RunState, load_manifest};
pub(crate) use manifest::{
    Calibration, ClockFacts, FleetTarget, Host, MergedShard, PacerFacts, SCHEMA, ScenarioText, ShardFacts,
    StartFacts, WorkerUse,
};
#[cfg(test)]
pub(crate) use manifest::{ManifestError, PacingLag};
pub(crate) use merge::{MergeError, merge};
pub use millis::Millis;
pub use outage::read_outages;
pub(crate) use outage::{Outage, Recovery};
pub(crate) use pause::OwnPause;
pub use recorder::Recorder;
pub(crate) use recovery::RecoveryRule;
pub(crate) use refusal::Refused;
pub use report::Report;
pub(crate) use shard::{RecordEnd, ShardFile, ShardHeader};
#[cfg(test)]
pub(crate) use table::TableError;
pub(crate) use table::is_measured;
pub use table::{SummaryRow, read_summary};
pub(crate) use total::{ALL, Readings, Totals};

#[cfg(test)]
mod tests;
