//! `faults.csv`: one row per activation of a fault, with what it did to the service and when that had recovered.

use serde::{Deserialize, Serialize};

use std::path::Path;

use super::replaced::{read_rows, replaced_row};
use super::table::TableError;
use crate::record::Outcomes;
use crate::results::record::count::ReadingCounts;

/// Whether the service recovered from an activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// Its story is not over: the run is under way, or was killed.
    Open,
    /// It did.
    Recovered,
    /// It had not when the run ended, although there was time.
    NotRecovered,
    /// It had not when the next activation of the same fault began.
    Overlapped,
    /// The plan left less time after the activation than it takes to prove a recovery.
    RunEnded,
    /// There was no interval before it to compare with.
    NoLevel,
}

/// When a service counts as recovered from a fault; stands in the manifest.
///
/// Its level before the fault is the median of the p99 of the last intervals before the activation. It has recovered when, for a
/// while in a row, the p99 of an interval is at most max(factor × level, level + floor), or no worse than the worst of those
/// intervals, and no more than the pre-fault share of the readings that end fails. From a fault that cuts connections it has not
/// recovered before 99 % of the devices concerned are connected again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RecoveryRule {
    /// Times the level before.
    pub factor: f64,
    /// So much above the level is never too much, milliseconds.
    pub floor_ms: f64,
    /// For so long in a row, seconds of whole intervals after the end of the activation.
    pub hold_s: f64,
    /// Intervals before the activation that make the level, at most.
    pub before_intervals: u32,
}

impl Default for RecoveryRule {
    fn default() -> Self {
        Self { factor: 2.0, floor_ms: 1.0, hold_s: 3.0, before_intervals: 10 }
    }
}

impl RecoveryRule {
    pub(crate) fn most_ns(&self, level_ns: u64) -> u64 {
        let level = level_ns as f64;
        (level * self.factor).max(level + self.floor_ms * 1e6) as u64
    }

    pub(crate) fn hold_ns(&self) -> u64 {
        (self.hold_s * 1e9) as u64
    }
}

replaced_row! {
    "faults.csv":
    /// A row of `faults.csv`: one activation of a fault. Counts are of readings of all fleets, from the interval in which
    /// it began to the one that proved the recovery, or to the end of the run. Times `…_after_s` count from its end, or
    /// from its start if it is but an instant; they are empty where it did not happen.
    struct Outage {
    /// Name of the fault.
    fault: String,
    /// `network`, `message`, `device`, `service` or `command`.
    layer: String,
    /// Its kind.
    kind: String,
    /// Which of its activations, from 0.
    turn: u32,
    /// When the plan wanted it; empty if it was switched by hand.
    planned_s: Option<f64>,
    /// When it began: the first worker's instant.
    start_s: f64,
    /// When it ended: the first worker's instant; empty if it never did.
    end_s: Option<f64>,
    /// Whether it is but an instant.
    instant: bool,
    /// Devices it hit.
    devices: u32,
    /// How often it acted, where that is counted.
    acted: Option<u64>,
    /// Whether the service recovered.
    state: Recovery,
    /// Until the first of the good intervals that proved the recovery began; 0 if it never was otherwise.
    recovered_after_s: Option<f64>,
    /// Level before: median of the intervals' p99.
    p99_before_ms: Option<f64>,
    /// The largest p99 of an interval.
    worst_p99_ms: Option<f64>,
    /// Whether that is only a lower bound.
    worst_p99_censored: bool,
    /// Start of that interval.
    worst_at_s: Option<f64>,
    /// Ended ok.
    ok: u64,
    /// Refused by the service.
    shed: u64,
    /// Failed otherwise.
    error: u64,
    /// Not answered in time.
    timeout: u64,
    /// Never answered.
    lost: u64,
    /// Never sent.
    dropped: u64,
    /// Answered once more.
    duplicated: u64,
    /// Answered after a later one.
    reordered: u64,
    /// Until a reading ended ok.
    first_ok_after_s: Option<f64>,
    /// Median backlog at the ends of the intervals before.
    backlog_before: u64,
    /// The largest backlog at the end of an interval, above that.
    peak_backlog: u64,
    /// Until the end of the interval in which it was back within max(5 % of its peak, 1).
    backlog_drained_after_s: Option<f64>,
    /// Connections that were set up.
    reconnected: u64,
    /// The most in an interval, per second; empty if there were none.
    peak_reconnects_per_s: Option<f64>,
    /// Until the end of the interval in which 99 % of them had been.
    reconnected_99_after_s: Option<f64>,
    /// What went wrong, or what a command printed last.
    remark: String,
    }
}

impl Outage {
    /// When it was over, from where times `…_after_s` count: at its start if it is but an instant. `None` if it never was.
    pub(crate) fn ended_s(&self) -> Option<f64> {
        if self.instant { Some(self.start_s) } else { self.end_s }
    }

    /// How its readings ended: around a fault only what has ended is known.
    pub(crate) fn outcomes(&self) -> Outcomes {
        let Self { ok, shed, error, timeout, lost, dropped, .. } = *self;
        Outcomes { planned: 0, ok, shed, error, timeout, lost, dropped }.so_far(0)
    }

    /// The same, with what the audit found.
    pub(crate) fn counts(&self) -> ReadingCounts {
        let Self { duplicated, reordered, .. } = *self;
        ReadingCounts { outcomes: self.outcomes(), duplicated, reordered }
    }
}

/// Reads `faults.csv` of the run in `directory`.
///
/// # Errors
/// If it cannot be read, is not CSV, or a cell does not hold a value of its column.
pub fn read_outages(directory: &Path) -> Result<Vec<Outage>, TableError> {
    read_rows(directory)
}
