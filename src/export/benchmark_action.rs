//! `customSmallerIsBetter` and `customBiggerIsBetter` of github-action-benchmark: an array of
//! `{name, unit, value, range?, extra?}`, which the action refuses if it is empty.
//!
//! Source: <https://github.com/benchmark-action/github-action-benchmark>, its README and `src/extract.ts`.

use serde::Serialize;

use super::format::{Format, Nothing, Writer};
use super::measure::{
    error_rate, group_place, interval, percentiles, place, shortfall, significant, tracked,
};
use crate::compare::{Cell, Comparison};
use crate::results::{Report, SummaryRow};
use crate::units::figure::{count, plural};

/// Digits of values: more would only make the charts' labels long.
const DIGITS: i32 = 6;

pub(super) const SMALLER: Format = Format {
    name: "benchmark-smaller",
    about: "github-action-benchmark, `customSmallerIsBetter`",
    run: Writer::Text(run_smaller),
    comparison: Writer::Text(comparison),
};

pub(super) const BIGGER: Format = Format {
    name: "benchmark-bigger",
    about: "github-action-benchmark, `customBiggerIsBetter`; of a run only",
    run: Writer::Text(run_bigger),
    comparison: Writer::Unsuited(
        "every figure of a comparison is better if smaller: write benchmark-smaller=FILE",
    ),
};

/// A point of a chart.
#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    unit: &'static str,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    extra: String,
}

/// Of which less is better: percentiles in milliseconds, error rate and shortfall in per cent.
///
/// # Errors
/// If nothing was measured, or the measurement is invalid.
pub fn run_smaller(report: &Report) -> Result<String, Nothing> {
    let entries = tracked(report).flat_map(|row| {
        let times = percentiles(&row.figures).map(|(quantile, percentile)| {
            let bound = if percentile.censored { "\nat least: it lies among failed readings" } else { "" };
            entry(
                &report.run.scenario.name,
                row,
                &quantile.to_string(),
                "ms",
                percentile.ns as f64 / 1e6,
                bound,
            )
        });
        let rates = [("error rate", error_rate(&row.figures)), ("shortfall", shortfall(&row.figures))];
        let rates = rates
            .map(|(figure, share)| entry(&report.run.scenario.name, row, figure, "%", share * 100.0, ""));
        times.chain(rates).collect::<Vec<_>>()
    });
    list(&entries.collect::<Vec<_>>())
}

/// Of which more is better: readings answered ok per second.
///
/// # Errors
/// If nothing was measured, or the measurement is invalid.
pub fn run_bigger(report: &Report) -> Result<String, Nothing> {
    let entries: Vec<_> = tracked(report)
        .map(|row| entry(&report.run.scenario.name, row, "throughput", "1/s", row.figures.rate_per_s, ""))
        .collect();
    list(&entries)
}

/// The candidate's figures, all of which are better if smaller, with half the width of the 95 % interval of the change.
///
/// # Errors
/// If nothing was compared.
pub fn comparison(comparison: &Comparison) -> Result<String, Nothing> {
    let pairs = comparison.design.pairs;
    let entries: Vec<_> =
        comparison.cells.iter().filter_map(|cell| compared(&comparison.scenario, cell, pairs)).collect();
    list(&entries)
}

fn compared(scenario: &str, cell: &Cell, pairs: u32) -> Option<Entry> {
    let (unit, scale) = if cell.figure.quantile().is_some() { ("ms", 1.0) } else { ("%", 100.0) };
    let half = interval(cell).map(|[low, high]| significant((high - low) / 2.0 * scale, 3));
    let verdict = cell.verdict.map_or("not judged", |said| said.verdict.name());
    Some(Entry {
        name: format!("{scenario}/{} {}", group_place(&cell.group), cell.figure.name()),
        unit,
        value: significant(cell.candidate? * scale, DIGITS),
        range: half.map(|half| format!("± {half}")),
        extra: format!("{}\n{verdict}", plural(pairs.into(), "pair")),
    })
}

fn entry(
    scenario: &str,
    row: &SummaryRow,
    figure: &str,
    unit: &'static str,
    value: f64,
    remark: &str,
) -> Entry {
    let figures = &row.figures;
    Entry {
        name: format!("{scenario}/{} {figure}", place(&row.phase, &row.fleet)),
        unit,
        value: significant(value, DIGITS),
        range: None,
        extra: format!("{}, {} failed{remark}", plural(figures.planned, "reading"), count(figures.failed())),
    }
}

fn list(entries: &[Entry]) -> Result<String, Nothing> {
    if entries.is_empty() { Err(Nothing) } else { Ok(super::json(&entries)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::specimen;

    /// A line per entry.
    fn lines(text: &str) -> String {
        let entries: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
        entries.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn latencies_and_failures_are_better_small_and_throughput_is_better_big() {
        insta::assert_snapshot!(lines(&run_smaller(&specimen::report()).unwrap()), @r#"
{"extra":"123,400 readings, 0 failed","name":"quickstart/steady/meters p50","unit":"ms","value":0.412}
{"extra":"123,400 readings, 0 failed","name":"quickstart/steady/meters p90","unit":"ms","value":0.7}
{"extra":"123,400 readings, 0 failed","name":"quickstart/steady/meters p95","unit":"ms","value":0.9}
{"extra":"123,400 readings, 0 failed","name":"quickstart/steady/meters p99","unit":"ms","value":1.243}
{"extra":"123,400 readings, 0 failed","name":"quickstart/steady/meters p99.9","unit":"ms","value":3.108}
{"extra":"123,400 readings, 0 failed","name":"quickstart/steady/meters p99.99","unit":"ms","value":8.0}
{"extra":"123,400 readings, 0 failed","name":"quickstart/steady/meters error rate","unit":"%","value":0.0}
{"extra":"123,400 readings, 0 failed","name":"quickstart/steady/meters shortfall","unit":"%","value":0.0}
{"extra":"12,000 readings, 100 failed","name":"quickstart/steady/pumps p50","unit":"ms","value":0.412}
{"extra":"12,000 readings, 100 failed","name":"quickstart/steady/pumps p90","unit":"ms","value":0.7}
{"extra":"12,000 readings, 100 failed","name":"quickstart/steady/pumps p95","unit":"ms","value":0.9}
{"extra":"12,000 readings, 100 failed","name":"quickstart/steady/pumps p99","unit":"ms","value":1.243}
{"extra":"12,000 readings, 100 failed\nat least: it lies among failed readings","name":"quickstart/steady/pumps p99.9","unit":"ms","value":5003.8}
{"extra":"12,000 readings, 100 failed","name":"quickstart/steady/pumps error rate","unit":"%","value":0.833333}
{"extra":"12,000 readings, 100 failed","name":"quickstart/steady/pumps shortfall","unit":"%","value":0.0}
{"extra":"135,400 readings, 100 failed","name":"quickstart/all p50","unit":"ms","value":0.412}
{"extra":"135,400 readings, 100 failed","name":"quickstart/all p90","unit":"ms","value":0.7}
{"extra":"135,400 readings, 100 failed","name":"quickstart/all p95","unit":"ms","value":0.9}
{"extra":"135,400 readings, 100 failed","name":"quickstart/all p99","unit":"ms","value":1.243}
{"extra":"135,400 readings, 100 failed\nat least: it lies among failed readings","name":"quickstart/all p99.9","unit":"ms","value":5003.8}
{"extra":"135,400 readings, 100 failed","name":"quickstart/all p99.99","unit":"ms","value":8.0}
{"extra":"135,400 readings, 100 failed","name":"quickstart/all error rate","unit":"%","value":0.0738552}
{"extra":"135,400 readings, 100 failed","name":"quickstart/all shortfall","unit":"%","value":0.0}
"#);
        insta::assert_snapshot!(lines(&run_bigger(&specimen::report()).unwrap()), @r#"
{"extra":"123,400 readings, 0 failed","name":"quickstart/steady/meters throughput","unit":"1/s","value":4113.33}
{"extra":"12,000 readings, 100 failed","name":"quickstart/steady/pumps throughput","unit":"1/s","value":396.667}
{"extra":"135,400 readings, 100 failed","name":"quickstart/all throughput","unit":"1/s","value":4510.0}
"#);
    }

    #[test]
    fn a_comparison_states_how_far_its_figures_can_be_trusted() {
        insta::assert_snapshot!(lines(&comparison(&specimen::comparison()).unwrap()), @r#"
{"extra":"8 pairs\nimprovement","name":"quickstart/all p50","range":"± 0.0144","unit":"ms","value":0.36}
{"extra":"8 pairs\nno difference","name":"quickstart/steady/meters p50","range":"± 0.0165","unit":"ms","value":0.413}
{"extra":"8 pairs\nregression","name":"quickstart/steady/meters p99","range":"± 0.0559","unit":"ms","value":1.396}
{"extra":"8 pairs\nnot judged","name":"quickstart/steady/meters p99.9","range":"± 0.38","unit":"ms","value":9.5}
{"extra":"8 pairs\ninconclusive","name":"quickstart/steady/meters error rate","range":"± 0.2","unit":"%","value":0.3}
{"extra":"8 pairs\nnot judged","name":"quickstart/steady/pumps p95","range":"± 0.0364","unit":"ms","value":0.91}
"#);
    }

    #[test]
    fn an_empty_list_is_refused() {
        let (mut report, mut compared) = (specimen::report(), specimen::comparison());
        report.summary.clear();
        compared.cells.clear();
        assert_eq!(run_smaller(&report), Err(Nothing));
        assert_eq!(run_bigger(&report), Err(Nothing));
        assert_eq!(comparison(&compared), Err(Nothing));
    }
}
