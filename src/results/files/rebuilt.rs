//! The summary of a run that did not live to write one, from `intervals.csv` and `latency.hlog` as far as they go.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use hdrhistogram::Histogram;

use super::distribution::{Distributions, OpenLog, read_open_log, tag_of};
use super::figures::Figures;
use super::hlog::BESIDE;
use super::manifest::Manifest;
use super::millis::Millis;
use super::table::{ALL, SummaryRow, TableError, is_measured};
use crate::record::Kind;
use crate::units::Quantile;
use crate::units::figure::instant;

/// What only the memory of the run had.
const GONE: &str = "its own judgement, budgets, the delivery audit, waits and stages are lost";
/// The same of a run whose log does not tell apart what ended ok.
const GONE_WITH_OK: &str = "its own judgement, budgets, the delivery audit, waits, stages, and the times of what ended ok alone are lost";

/// A row of `intervals.csv`.
struct IntervalRow {
    start_s: f64,
    end_s: f64,
    row: SummaryRow,
}

/// The rows that the summary would have had, and in a sentence how far they go and what they lack.
///
/// # Errors
/// If `intervals.csv` or `latency.hlog` is missing or no such file.
pub(super) fn rebuild(directory: &Path, run: &Manifest) -> Result<(Vec<SummaryRow>, String), TableError> {
    let Recorded { intervals, distributions, is_cut } = read_whole_intervals(directory, run)?;
    let reached = intervals.iter().map(|interval| interval.end_s).fold(0.0, f64::max);
    let mut spans: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    let mut rows: Vec<SummaryRow> = Vec::new();
    for IntervalRow { start_s, end_s, row } in intervals {
        let span = spans.entry(row.phase.clone()).or_insert((start_s, end_s));
        *span = (span.0.min(start_s), span.1.max(end_s));
        let same = |sum: &&mut SummaryRow| {
            (&sum.phase, &sum.fleet, &sum.kind) == (&row.phase, &row.fleet, &row.kind)
        };
        match rows.iter_mut().find(same) {
            Some(sum) => sum.figures.add_counts(&row.figures),
            None => rows.push(row),
        }
    }
    let mut headline = SummaryRow {
        duration_s: 0.0,
        phase: ALL.to_owned(),
        fleet: ALL.to_owned(),
        protocol: ALL.to_owned(),
        kind: Kind::Reading.name().to_owned(),
        figures: Figures::default(),
    };
    let measured: BTreeSet<_> = spans.keys().filter(|phase| is_measured(phase)).cloned().collect();
    headline.duration_s = measured.iter().map(|phase| spans[phase].1 - spans[phase].0).sum();
    for row in &mut rows {
        let (from, to) = spans.get(&row.phase).copied().unwrap_or_default();
        row.duration_s = to - from;
        if row.kind == headline.kind && measured.contains(&row.phase) {
            headline.figures.add_counts(&row.figures);
        }
    }
    // Rows that only told of what was open.
    rows.retain(|row| row.figures.planned + row.figures.ended() > 0);
    rows.push(headline);
    for row in &mut rows {
        complete(row, &distributions);
    }
    let cut = if is_cut {
        "; the interval after that was cut off in the middle of its rows and is left out for all fleets"
    } else {
        ""
    };
    let has_ok = distributions.keys().flatten().any(|tag| tag.rsplit('.').next() == Some("ok"));
    let gone = if has_ok { GONE } else { GONE_WITH_OK };
    let sentence = format!(
        "the run did not come to its end: these figures are rebuilt from intervals.csv and latency.hlog, which go to {}{cut}; {gone}",
        instant((reached * 1e9) as u64)
    );
    Ok((rows, sentence))
}

/// The intervals of which both files hold every row.
struct Recorded {
    intervals: Vec<IntervalRow>,
    distributions: Distributions,
    /// Whether an interval was left out that is not whole.
    is_cut: bool,
}

/// Reads both files as far as they agree, so that all fleets and all figures cover the same span.
fn read_whole_intervals(directory: &Path, run: &Manifest) -> Result<Recorded, TableError> {
    let (mut intervals, cut) = read_intervals(directory, run)?;
    let before = intervals.len();
    if let Some(Cut { start_ms: Some(start_ms) }) = cut {
        intervals.retain(|interval| interval.start_ms() < start_ms);
    }
    let last_ms = intervals.iter().map(IntervalRow::start_ms).max().unwrap_or_default();
    let mut log = read_open_log(directory, last_ms)?;
    let logged_ms = log.last_ms;
    intervals.retain(|interval| Some(interval.start_ms()) <= logged_ms);
    let is_whole = !log.is_torn && is_whole(&log, &intervals);
    if is_whole {
        let path = || directory.join("latency.hlog").display().to_string();
        log.close().ok_or_else(|| TableError::Line { path: path(), line: 0 })?;
    } else {
        intervals.retain(|interval| Some(interval.start_ms()) < logged_ms);
    }
    let is_cut = cut.is_some() || !is_whole || intervals.len() < before;
    Ok(Recorded { intervals, distributions: log.before, is_cut })
}

/// Whether the last interval of the log has the rows in `intervals` that its tags are of, and the other way round.
fn is_whole(log: &OpenLog, intervals: &[IntervalRow]) -> bool {
    let last = intervals.iter().filter(|interval| Some(interval.start_ms()) == log.last_ms);
    let rows: BTreeMap<String, bool> =
        last.map(|interval| (tag_of(&interval.row, "response"), interval.row.figures.ended() > 0)).collect();
    let is_response =
        |tag: &str| tag.rsplit('.').next().is_none_or(|times| BESIDE.iter().all(|(own, _)| *own != times));
    let mut tags = log.last.keys().flatten().filter(|tag| is_response(tag));
    tags.all(|tag| rows.contains_key(tag))
        && rows.into_iter().all(|(tag, has_ended)| !has_ended || log.last.contains_key(&Some(tag)))
}

/// A row that is cut short.
struct Cut {
    /// When its interval began, in milliseconds of the run, if the row goes so far.
    start_ms: Option<u64>,
}

/// Reads the rows up to the first that is cut short, which only the last can be.
fn read_intervals(directory: &Path, run: &Manifest) -> Result<(Vec<IntervalRow>, Option<Cut>), TableError> {
    let file = directory.join("intervals.csv");
    let path = file.display().to_string();
    let unreadable = |source| TableError::Io { path: path.clone(), source };
    let mut opened = File::open(&file).map_err(unreadable)?;
    let ends_with_line = ends_with_line(&mut opened).map_err(unreadable)?;
    let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(opened);
    let fault = |source| TableError::Csv { path: path.clone(), source };
    let header = table.byte_headers().map_err(fault)?.clone();
    let mut rows: Vec<IntervalRow> = Vec::new();
    let mut torn: Option<(TableError, Cut)> = None;
    for (index, record) in table.byte_records().enumerate() {
        if let Some((error, _)) = torn {
            return Err(error);
        }
        let record = record.map_err(fault)?;
        let place = |column: &str| header.iter().position(|name| name == column.as_bytes());
        let cell = |column: &str| std::str::from_utf8(record.get(place(column)?)?).ok();
        let broken = |column: &str| TableError::Cell {
            path: path.clone(),
            record: index + 1,
            column: column.to_owned(),
        };
        let is_full = record.len() == header.len();
        if cell("run_id").is_some_and(|id| is_full && id != run.run_id) {
            return Err(broken("run_id"));
        }
        if let Some(row) = row(cell).filter(|_| is_full) {
            rows.push(row);
        } else {
            // The last cell of a row that is cut may be cut itself.
            let start = cell("t_start_s").filter(|_| place("t_start_s") < record.len().checked_sub(1));
            let start_ms = start.and_then(|seconds| seconds.parse().ok()).map(millis);
            torn = Some((broken("the row"), Cut { start_ms }));
        }
    }
    let cut = torn.map(|(_, cut)| cut);
    if cut.is_none() && !ends_with_line {
        let last = rows.pop().map(|interval| interval.start_ms());
        return Ok((rows, Some(Cut { start_ms: last })));
    }
    Ok((rows, cut))
}

/// Whether the last line has its end; the file stands at its beginning afterwards.
fn ends_with_line(file: &mut File) -> io::Result<bool> {
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    file.rewind()?;
    Ok(last == *b"\n")
}

fn millis(seconds: f64) -> u64 {
    (seconds * 1e3).round() as u64
}

impl IntervalRow {
    fn start_ms(&self) -> u64 {
        millis(self.start_s)
    }
}

fn row<'a>(cell: impl Fn(&str) -> Option<&'a str>) -> Option<IntervalRow> {
    let number = |column: &str| cell(column)?.parse::<f64>().ok().filter(|value| value.is_finite());
    let text = |column: &str| cell(column).map(str::to_owned);
    let (start_s, length_s) = (number("t_start_s")?, number("interval_s")?);
    let row = SummaryRow {
        duration_s: length_s,
        phase: text("phase")?,
        fleet: text("fleet")?,
        protocol: text("protocol")?,
        kind: text("kind")?,
        figures: Figures::read(&cell).ok()?.counts(),
    };
    Some(IntervalRow { start_s, end_s: start_s + length_s, row })
}

/// Puts in what the log knows of a row, and what follows from its counts.
fn complete(row: &mut SummaryRow, distributions: &Distributions) {
    let response = (!row.is_headline()).then(|| tag_of(row, "response"));
    // Only readings have times beside their response, and their sum over all is in no log.
    let has_parts = !row.is_headline() && row.kind == Kind::Reading.name();
    let tags = ["service", "pacing-lag", "ok"].map(|times| has_parts.then(|| Some(tag_of(row, times))));
    let [service, pacing, ok] = tags.map(|tag| distributions.get(&tag?).filter(|times| !times.is_empty()));
    let figures = &mut row.figures;
    if row.duration_s > 0.0 {
        figures.rate_per_s = figures.ok as f64 / row.duration_s;
    }
    if let Some(times) = distributions.get(&response).filter(|times| !times.is_empty()) {
        figures.set_response(times);
    }
    let at = |times: &Histogram<u64>, quantile: Quantile| {
        Some(Millis(times.value_at_quantile(quantile.fraction())))
    };
    let service = service.map(|times| (at(times, Quantile::P50), at(times, Quantile::P99), times.max()));
    let pacing = pacing.map(|times| (at(times, Quantile::P50), at(times, Quantile::P99)));
    if let Some((p50, p99, max)) = service {
        (figures.service_p50_ms, figures.service_p99_ms, figures.service_max_ms) =
            (p50, p99, Some(Millis(max)));
    }
    let ok = ok.map(|times| (at(times, Quantile::P50), at(times, Quantile::P99)));
    if let Some((p50, p99)) = ok {
        (figures.ok_p50_ms, figures.ok_p99_ms) = (p50, p99);
    }
    if let Some((p50, p99)) = pacing {
        (figures.pacing_lag_p50_ms, figures.pacing_lag_p99_ms) = (p50, p99);
    }
}
