//! What is known about a run: histograms per worker, their collection by interval, and the files of a run.
//!
//! A worker's [`Recorder`] hands a slice to the [`Collector`] at every interval's end; the collector appends it to the
//! run's files and to the [`Totals`], and follows what faults did to the service. Everything after a run starts from the
//! files: [`Report::load`].

mod anomaly;
mod budget;
mod cell;
mod chronicle;
mod collector;
mod counter;
mod delivery;
mod demand;
mod detection;
mod directory;
mod distribution;
mod event;
mod fault;
mod figures;
mod finding;
mod hand;
mod hlog;
mod host;
mod interval;
mod level;
mod manifest;
mod merge;
mod millis;
mod outage;
mod pause;
mod pulse;
mod recorder;
mod recovery;
mod report;
mod shard;
mod store;
mod table;
mod total;

pub use anomaly::{AnomalyRow, read_anomalies};
pub use budget::judge;
pub use cell::Percentile;
pub use collector::{Collector, recorders};
pub use delivery::{Expectation, FleetDelivery, Offender};
pub use demand::Demand;
pub use detection::{Detections, FleetDetection, Found, Score};
pub use directory::{EventTable, RunDirectory, RunFiles, replace_text};
pub use distribution::{Distributions, read_distributions};
pub use event::merge_events;
pub use figures::Figures;
pub use interval::{IntervalReport, Progress};
pub use manifest::{
    BudgetResult, Calibration, ClockFacts, Host, Manifest, ManifestError, MergedShard, PacerFacts, PacingLag,
    RunState, SCHEMA, ScenarioText, ShardFacts, StartFacts, WorkerUse, load_manifest,
};
pub use merge::{MergeError, merge};
pub use millis::{Millis, NotMillis};
pub use outage::{Outage, Recovery, read_outages};
pub use pause::OwnPause;
pub use recorder::Recorder;
pub use recovery::RecoveryRule;
pub use report::{LoadError, Report};
pub use shard::{RecordEnd, ShardError, ShardFile, ShardHeader};
pub use table::{SummaryRow, TableError, read_summary};
pub use total::{ALL, Readings, Totals};

#[cfg(test)]
mod tests;
