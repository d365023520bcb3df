//! The summary of a run that did not live to write one, from `intervals.csv` and `latency.hlog` as far as they go.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use hdrhistogram::Histogram;

use super::distribution::{Distributions, read_distributions};
use super::figures::Figures;
use super::manifest::Manifest;
use super::millis::Millis;
use super::table::{ALL, SummaryRow, TableError, is_measured};
use crate::record::Kind;
use crate::units::Quantile;

/// What only the memory of the run had.
const GONE: &str = "its own judgement, budgets, the delivery audit, waits, stages, and the times of what ended ok alone are lost";

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
    let intervals = read_intervals(directory, run)?;
    let distributions = read_distributions(directory)?;
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
    let told = format!(
        "the run did not come to its end: these figures are rebuilt from intervals.csv and latency.hlog, which go to {reached:.1} s; {GONE}"
    );
    Ok((rows, told))
}

/// Reads the rows up to the first that is cut short, which only the last can be.
fn read_intervals(directory: &Path, run: &Manifest) -> Result<Vec<IntervalRow>, TableError> {
    let file = directory.join("intervals.csv");
    let path = file.display().to_string();
    let mut table = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(File::open(&file).map_err(|source| TableError::Io { path: path.clone(), source })?);
    let fault = |source| TableError::Csv { path: path.clone(), source };
    let header = table.headers().map_err(fault)?.clone();
    let mut rows = Vec::new();
    let mut torn = None;
    for (index, record) in table.records().enumerate() {
        if let Some(error) = torn {
            return Err(error);
        }
        let record = record.map_err(fault)?;
        let cell = |column: &str| record.get(header.iter().position(|name| name == column)?);
        let broken = |column: &str| TableError::Cell {
            path: path.clone(),
            record: index + 1,
            column: column.to_owned(),
        };
        if cell("run_id").is_some_and(|id| record.len() == header.len() && id != run.run_id) {
            return Err(broken("run_id"));
        }
        match row(cell).filter(|_| record.len() == header.len()) {
            Some(row) => rows.push(row),
            None => torn = Some(broken("the row")),
        }
    }
    Ok(rows)
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
    let tag = |times: &str| Some(format!("{}.{}.{}.{times}", row.fleet, row.protocol, row.phase));
    let response = if row.is_headline() {
        None
    } else {
        tag(if row.kind == Kind::Connect.name() { "connect" } else { "response" })
    };
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
    let full = |times: &str| distributions.get(&tag(times)).filter(|times| !times.is_empty());
    let service =
        full("service").map(|times| (at(times, Quantile::P50), at(times, Quantile::P99), times.max()));
    let pacing = full("pacing-lag").map(|times| (at(times, Quantile::P50), at(times, Quantile::P99)));
    if let Some((p50, p99, max)) = service {
        (figures.service_p50_ms, figures.service_p99_ms, figures.service_max_ms) =
            (p50, p99, Some(Millis(max)));
    }
    if let Some((p50, p99)) = pacing {
        (figures.pacing_lag_p50_ms, figures.pacing_lag_p99_ms) = (p50, p99);
    }
}
