//! `anomalies.csv`: one row per reading in which a seeded anomaly shows, written while the run lasts and read afterwards.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::table::TableError;
use crate::clock::Tick;
use crate::record::{AnomalyKind, Arm, Layout};
use crate::results::record::anomaly::{AnomalyRecord, AnomalyRows};

const COLUMNS: [&str; 12] = [
    "run_id", "t_s", "phase", "fleet", "device", "seq", "kind", "episode", "onset", "outcome", "flagged",
    "arm",
];

/// Appends rows to `anomalies.csv`.
#[derive(Debug)]
pub(crate) struct AnomalyTable<W: Write> {
    run_id: String,
    rows: csv::Writer<W>,
}

impl<W: Write> AnomalyTable<W> {
    pub(crate) fn start(file: W, run_id: &str) -> io::Result<Self> {
        let mut rows = csv::Writer::from_writer(file);
        rows.write_record(COLUMNS)?;
        rows.flush()?;
        Ok(Self { run_id: run_id.to_owned(), rows })
    }

    /// Appends `rows` in the order of time, so that the file does not depend on which worker was asked first.
    pub(crate) fn append(&mut self, layout: &Layout, rows: &mut AnomalyRows) -> io::Result<()> {
        let mut sorted = std::mem::take(&mut rows.entries);
        sorted.sort_by(|a, b| {
            let place = |row: &AnomalyRecord| (row.intended, row.fleet, row.seq);
            place(a).cmp(&place(b)).then_with(|| rows.device(a).cmp(rows.device(b)))
        });
        for row in &sorted {
            self.rows.write_record([
                self.run_id.as_str(),
                &seconds(row.intended),
                &layout.phase(row.phase).name,
                &layout.fleet(row.fleet).name,
                rows.device(row),
                &row.seq.to_string(),
                row.mark.kind.name(),
                &row.mark.episode.to_string(),
                truth(row.mark.onset),
                row.outcome.name(),
                row.flagged.map_or("", truth),
                row.arm.map_or("", Arm::name),
            ])?;
        }
        rows.entries = sorted;
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.rows.flush()
    }
}

/// Seconds to the microsecond, cut off rather than rounded, in whole numbers: no digit is lost however long the run.
fn seconds(at: Tick) -> String {
    format!("{}.{:06}", at.0 / 1_000_000_000, at.0 % 1_000_000_000 / 1_000)
}

fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// A row of `anomalies.csv`: a reading in which a seeded anomaly shows, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct AnomalyRow {
    /// Its intended start, seconds since the run began, to the microsecond.
    pub t_s: f64,
    /// Phase in which that lies.
    pub phase: String,
    /// Fleet of its device.
    pub fleet: String,
    /// Its device.
    pub device: String,
    /// Its number within the device.
    pub seq: u64,
    /// The anomaly that shows in it.
    pub kind: AnomalyKind,
    /// Number of the anomaly within the device, from 1.
    pub episode: u32,
    /// Whether this reading is the anomaly's first.
    pub onset: bool,
    /// How it ended, as [`Outcome::name`] says it.
    pub outcome: String,
    /// Whether the service flagged it; `None` without a judgement.
    pub flagged: Option<bool>,
    /// Which of two models judged it; `None` where the service does not say.
    pub arm: Option<Arm>,
}

/// Reads `anomalies.csv` of the run in `directory`, row by row. Columns are found by name; a last line that a killed run
/// did not finish is passed over.
///
/// # Errors
/// If the file is missing; and, row by row, if it is not CSV or a cell does not hold a value of its column.
pub fn read_anomalies(
    directory: &Path,
) -> Result<impl Iterator<Item = Result<AnomalyRow, TableError>> + use<>, TableError> {
    let file = directory.join("anomalies.csv");
    let path = file.display().to_string();
    let complete = File::open(&file).and_then(complete_lines);
    let mut table =
        csv::Reader::from_reader(complete.map_err(|source| TableError::Io { path: path.clone(), source })?);
    let fault = |path: &str, source| TableError::Csv { path: path.to_owned(), source };
    let header = table.headers().map_err(|source| fault(&path, source))?.clone();
    Ok(table.into_records().enumerate().map(move |(index, record)| {
        let record = record.map_err(|source| fault(&path, source))?;
        row(&header, &record).map_err(|column| TableError::Cell {
            path: path.clone(),
            record: index + 1,
            column: column.to_owned(),
        })
    }))
}

/// `file` up to its last line's end.
pub(crate) fn complete_lines(mut file: File) -> io::Result<io::Take<File>> {
    const STEP: u64 = 4_096;
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut chunk = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(STEP);
        file.seek(SeekFrom::Start(start))?;
        chunk.clear();
        Read::by_ref(&mut file).take(end - start).read_to_end(&mut chunk)?;
        if let Some(last) = chunk.iter().rposition(|&byte| byte == b'\n') {
            end = start + last as u64 + 1;
            break;
        }
        end = start;
    }
    file.rewind()?;
    Ok(file.take(end))
}

/// The row, or the name of a column that is missing or holds no such value.
fn row(header: &csv::StringRecord, record: &csv::StringRecord) -> Result<AnomalyRow, &'static str> {
    let cell = |column: &'static str| {
        let place = header.iter().position(|name| name == column).ok_or(column)?;
        record.get(place).ok_or(column)
    };
    let known = |column: &'static str, value: Option<bool>| value.ok_or(column);
    let flagged = cell("flagged")?;
    // Runs of earlier versions do not have it.
    let arm = cell("arm").unwrap_or_default();
    let kind = cell("kind")?;
    Ok(AnomalyRow {
        t_s: cell("t_s")?.parse().map_err(|_| "t_s")?,
        phase: cell("phase")?.to_owned(),
        fleet: cell("fleet")?.to_owned(),
        device: cell("device")?.to_owned(),
        seq: cell("seq")?.parse().map_err(|_| "seq")?,
        kind: AnomalyKind::ALL.into_iter().find(|known| known.name() == kind).ok_or("kind")?,
        episode: cell("episode")?.parse().map_err(|_| "episode")?,
        onset: known("onset", cell("onset")?.parse().ok())?,
        outcome: cell("outcome")?.to_owned(),
        flagged: match flagged {
            "" => None,
            text => Some(known("flagged", text.parse().ok())?),
        },
        arm: match arm {
            "" => None,
            text => Some(Arm::ALL.into_iter().find(|known| known.name() == text).ok_or("arm")?),
        },
    })
}
