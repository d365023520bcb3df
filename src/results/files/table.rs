//! `intervals.csv` and `summary.csv`: RFC 4180, header always, empty cell = no data.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::results::files::figures::Figures;

/// The columns of `intervals.csv` before those of [`Figures`].
const INTERVAL_KEYS: [&str; 7] = ["run_id", "t_start_s", "interval_s", "phase", "fleet", "protocol", "kind"];
/// The columns of `summary.csv` before those of [`Figures`].
const SUMMARY_KEYS: [&str; 6] = ["run_id", "duration_s", "phase", "fleet", "protocol", "kind"];

/// The word that stands for every phase, fleet or protocol in the headline row.
pub(crate) const ALL: &str = "all";

/// A row of `summary.csv`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SummaryRow {
    /// How long its phase lasted, seconds; measured phases together in the headline row.
    pub duration_s: f64,
    /// Phase, or `all`: every measured one.
    pub phase: String,
    /// Fleet, or `all`.
    pub fleet: String,
    /// Protocol, or `all`.
    pub protocol: String,
    /// `reading`, `connect`, `tls` or `delivery`.
    pub kind: String,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Phases that are not measured; a scenario cannot give one of its own such a name.
const UNMEASURED: [&str; 2] = ["connect", "warm-up"];

/// Whether the phase of this name is a measured one.
pub(crate) fn is_measured(phase: &str) -> bool {
    !UNMEASURED.contains(&phase)
}

impl SummaryRow {
    /// Whether this is the headline: the readings of all fleets in all measured phases.
    pub fn is_headline(&self) -> bool {
        self.protocol == ALL
    }

    /// Whether it has the readings of one fleet in one measured phase.
    pub fn is_measured(&self) -> bool {
        self.kind == "reading" && !self.is_headline() && is_measured(&self.phase)
    }

    /// Whether it has the deliveries to one fleet in one measured phase.
    pub(crate) fn is_of_deliveries(&self) -> bool {
        self.kind == "delivery" && is_measured(&self.phase)
    }
}

/// What identifies a row of `intervals.csv`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IntervalKey<'a> {
    pub(crate) start_s: f64,
    pub(crate) length_s: f64,
    pub(crate) phase: &'a str,
    pub(crate) fleet: &'a str,
    pub(crate) protocol: &'a str,
    pub(crate) kind: &'a str,
}

/// Appends rows to `intervals.csv`.
#[derive(Debug)]
pub(crate) struct IntervalTable<W: Write> {
    run_id: String,
    rows: csv::Writer<W>,
}

impl<W: Write> IntervalTable<W> {
    pub(crate) fn start(file: W, run_id: &str) -> io::Result<Self> {
        let mut rows = csv::Writer::from_writer(file);
        rows.write_record(INTERVAL_KEYS.iter().chain(Figures::COLUMNS))?;
        rows.flush()?;
        Ok(Self { run_id: run_id.to_owned(), rows })
    }

    pub(crate) fn append(&mut self, key: IntervalKey<'_>, figures: &Figures) -> io::Result<()> {
        let (start, length) = (format!("{:.3}", key.start_s), format!("{:.3}", key.length_s));
        let keys = [&self.run_id, start.as_str(), &length, key.phase, key.fleet, key.protocol, key.kind];
        let figures = figures.write();
        self.rows.write_record(keys.into_iter().chain(figures.iter().map(String::as_str)))?;
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.rows.flush()
    }
}

/// Writes all of `summary.csv` to `file`.
pub(crate) fn write_summary(file: File, run_id: &str, rows: &[SummaryRow]) -> io::Result<()> {
    let mut table = csv::Writer::from_writer(file);
    table.write_record(SUMMARY_KEYS.iter().chain(Figures::COLUMNS))?;
    for row in rows {
        let duration = format!("{:.3}", row.duration_s);
        let keys = [run_id, &duration, &row.phase, &row.fleet, &row.protocol, &row.kind];
        let figures = row.figures.write();
        table.write_record(keys.into_iter().chain(figures.iter().map(String::as_str)))?;
    }
    table.flush()?;
    table.into_inner().map_err(csv::IntoInnerError::into_error)?.sync_all()
}

/// Why a table of a run could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is not CSV.
    #[error("{path} is not a table: {source}")]
    Csv {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: csv::Error,
    },
    /// A line is none of its format.
    #[error("{path}:{line}: the line is not one of an HdrHistogram interval log")]
    Line {
        /// The file.
        path: String,
        /// The line, counted from 1.
        line: usize,
    },
    /// A cell holds no value of its column.
    #[error("{path}, record {record}: column `{column}` is missing or holds no such value")]
    Cell {
        /// The file.
        path: String,
        /// The record, counted from 1 without the header.
        record: usize,
        /// The column.
        column: String,
    },
}

/// Reads `summary.csv` of the run in `directory`. Columns are found by name; unknown ones are passed over.
///
/// # Errors
/// If the file is missing, is not CSV, or a cell does not hold a value of its column.
pub fn read_summary(directory: &Path) -> Result<Vec<SummaryRow>, TableError> {
    let file = directory.join("summary.csv");
    let path = file.display().to_string();
    let mut table = csv::Reader::from_reader(
        File::open(&file).map_err(|source| TableError::Io { path: path.clone(), source })?,
    );
    let fault = |source| TableError::Csv { path: path.clone(), source };
    let header = table.headers().map_err(fault)?.clone();
    let mut rows = Vec::new();
    for (index, record) in table.records().enumerate() {
        let record = record.map_err(fault)?;
        let cell = |column: &str| record.get(header.iter().position(|name| name == column)?);
        let missing = |column: &str| TableError::Cell {
            path: path.clone(),
            record: index + 1,
            column: column.to_owned(),
        };
        let text = |column: &str| cell(column).map(str::to_owned).ok_or_else(|| missing(column));
        rows.push(SummaryRow {
            duration_s: text("duration_s")?.parse().map_err(|_| missing("duration_s"))?,
            phase: text("phase")?,
            fleet: text("fleet")?,
            protocol: text("protocol")?,
            kind: text("kind")?,
            figures: Figures::read(cell).map_err(missing)?,
        });
    }
    Ok(rows)
}
