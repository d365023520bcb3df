//! `faults.csv`: one row per activation of a fault, with what it did to the service and when that had recovered.

use std::fs::File;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::directory::RunDirectory;
use super::table::TableError;

const NAME: &str = "faults.csv";

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

/// Declares [`Outage`]: the names of its fields are the columns, in their order. Columns are only ever appended.
macro_rules! outage {
    ($($(#[$doc:meta])* $name:ident: $kind:ty,)*) => {
        /// A row of `faults.csv`: one activation of a fault. Counts are of readings of all fleets, from the interval in which
        /// it began to the one that proved the recovery, or to the end of the run. Times `…_after_s` count from its end, or
        /// from its start if it is but an instant; they are empty where it did not happen.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub struct Outage {
            $($(#[$doc])* pub $name: $kind,)*
        }

        const COLUMNS: &[&str] = &["run_id", $(stringify!($name)),*];
    };
}

outage! {
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

impl Outage {
    /// Readings that ended otherwise than ok.
    pub fn failed(&self) -> u64 {
        self.shed + self.error + self.timeout + self.lost + self.dropped
    }
}

/// Writes `faults.csv` anew whenever there is something to add: rows stand in the order in which activations begin, and
/// activations end in another. Readers see the old file or the new one, never half of one.
#[derive(Debug)]
pub(super) struct OutageTable {
    directory: RunDirectory,
}

impl OutageTable {
    pub(super) fn start(directory: &RunDirectory) -> io::Result<Self> {
        let table = Self { directory: directory.clone() };
        table.write(&[])?;
        Ok(table)
    }

    pub(super) fn write(&self, rows: &[Outage]) -> io::Result<()> {
        self.directory.replace(NAME, |file| {
            let mut table = csv::WriterBuilder::new().has_headers(false).from_writer(file);
            table.write_record(COLUMNS)?;
            for row in rows {
                table.serialize((self.directory.run_id(), row))?;
            }
            table.flush()
        })
    }
}

/// Reads `faults.csv` of the run in `directory`; a run from before there was one had no faults. Columns are found by name.
///
/// # Errors
/// If it cannot be read, is no CSV, or a cell does not hold a value of its column.
pub fn read_outages(directory: &Path) -> Result<Vec<Outage>, TableError> {
    let file = directory.join(NAME);
    let path = file.display().to_string();
    let file = match File::open(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.map_err(|source| TableError::Io { path: path.clone(), source })?,
    };
    let rows: Result<_, _> = csv::Reader::from_reader(file).deserialize().collect();
    rows.map_err(|source| TableError::Csv { path, source })
}
