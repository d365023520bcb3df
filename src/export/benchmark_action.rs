//! `customSmallerIsBetter` and `customBiggerIsBetter` of github-action-benchmark: an array of
//! `{name, unit, value, range?, extra?}`, which the action refuses if it is empty.
//!
//! Source: <https://github.com/benchmark-action/github-action-benchmark>, its README and `src/extract.ts`.

use serde::Serialize;

use super::measure::{
    error_rate, group_place, interval, measured, percentiles, place, shortfall, significant,
};
use crate::compare::{Cell, Comparison};
use crate::results::{Report, SummaryRow};

/// Digits of values: more would only make the charts' labels long.
const DIGITS: i32 = 6;

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

/// There is nothing to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing was measured, and github-action-benchmark refuses an empty list")]
pub struct Nothing;

/// Of which less is better: percentiles in milliseconds, error rate and shortfall in per cent.
///
/// # Errors
/// If nothing was measured.
pub fn run_smaller(report: &Report) -> Result<String, Nothing> {
    let entries = measured(report).flat_map(|row| {
        let times = percentiles(&row.figures).map(|(quantile, percentile)| {
            let bound = if percentile.censored { "\nat least: it lies among failed readings" } else { "" };
            entry(row, &quantile.to_string(), "ms", percentile.ns as f64 / 1e6, bound)
        });
        let rates = [("error rate", error_rate(&row.figures)), ("shortfall", shortfall(&row.figures))];
        let rates = rates.map(|(figure, share)| entry(row, figure, "%", share * 100.0, ""));
        times.chain(rates).collect::<Vec<_>>()
    });
    list(entries.collect())
}

/// Of which more is better: readings answered ok per second.
///
/// # Errors
/// If nothing was measured.
pub fn run_bigger(report: &Report) -> Result<String, Nothing> {
    list(measured(report).map(|row| entry(row, "throughput", "1/s", row.figures.rate_per_s, "")).collect())
}

/// The candidate's figures, all of which are better if smaller, with half the width of the 95 % interval of the change.
///
/// # Errors
/// If nothing was compared.
pub fn comparison(comparison: &Comparison) -> Result<String, Nothing> {
    let pairs = comparison.design.pairs;
    list(comparison.cells.iter().filter_map(|cell| compared(cell, pairs)).collect())
}

fn compared(cell: &Cell, pairs: u32) -> Option<Entry> {
    let (unit, scale) = if cell.figure.quantile().is_some() { ("ms", 1.0) } else { ("%", 100.0) };
    let half = interval(cell).map(|[low, high]| significant((high - low) / 2.0 * scale, 3));
    let verdict = cell.verdict.map_or("not judged", |said| said.verdict.name());
    Some(Entry {
        name: format!("{} {}", group_place(&cell.group), cell.figure.name()),
        unit,
        value: significant(cell.candidate? * scale, DIGITS),
        range: half.map(|half| format!("± {half}")),
        extra: format!("{pairs} pairs\n{verdict}"),
    })
}

fn entry(row: &SummaryRow, figure: &str, unit: &'static str, value: f64, remark: &str) -> Entry {
    let figures = &row.figures;
    Entry {
        name: format!("{} {figure}", place(&row.phase, &row.fleet)),
        unit,
        value: significant(value, DIGITS),
        range: None,
        extra: format!("{} readings, {} failed{remark}", figures.planned, figures.failed()),
    }
}

fn list(entries: Vec<Entry>) -> Result<String, Nothing> {
    if entries.is_empty() { Err(Nothing) } else { Ok(super::json(&entries)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::specimen;

    #[test]
    fn latencies_and_failures_are_better_small_and_throughput_is_better_big() {
        insta::assert_snapshot!(run_smaller(&specimen::report()).unwrap(), @r#"
[
  {
    "name": "steady/meters p50",
    "unit": "ms",
    "value": 0.412,
    "extra": "123400 readings, 0 failed"
  },
  {
    "name": "steady/meters p90",
    "unit": "ms",
    "value": 0.7,
    "extra": "123400 readings, 0 failed"
  },
  {
    "name": "steady/meters p95",
    "unit": "ms",
    "value": 0.9,
    "extra": "123400 readings, 0 failed"
  },
  {
    "name": "steady/meters p99",
    "unit": "ms",
    "value": 1.243,
    "extra": "123400 readings, 0 failed"
  },
  {
    "name": "steady/meters p99.9",
    "unit": "ms",
    "value": 3.108,
    "extra": "123400 readings, 0 failed"
  },
  {
    "name": "steady/meters p99.99",
    "unit": "ms",
    "value": 8.0,
    "extra": "123400 readings, 0 failed"
  },
  {
    "name": "steady/meters error rate",
    "unit": "%",
    "value": 0.0,
    "extra": "123400 readings, 0 failed"
  },
  {
    "name": "steady/meters shortfall",
    "unit": "%",
    "value": 0.0,
    "extra": "123400 readings, 0 failed"
  },
  {
    "name": "steady/pumps p50",
    "unit": "ms",
    "value": 0.412,
    "extra": "12000 readings, 100 failed"
  },
  {
    "name": "steady/pumps p90",
    "unit": "ms",
    "value": 0.7,
    "extra": "12000 readings, 100 failed"
  },
  {
    "name": "steady/pumps p95",
    "unit": "ms",
    "value": 0.9,
    "extra": "12000 readings, 100 failed"
  },
  {
    "name": "steady/pumps p99",
    "unit": "ms",
    "value": 1.243,
    "extra": "12000 readings, 100 failed"
  },
  {
    "name": "steady/pumps p99.9",
    "unit": "ms",
    "value": 5003.8,
    "extra": "12000 readings, 100 failed\nat least: it lies among failed readings"
  },
  {
    "name": "steady/pumps error rate",
    "unit": "%",
    "value": 0.833333,
    "extra": "12000 readings, 100 failed"
  },
  {
    "name": "steady/pumps shortfall",
    "unit": "%",
    "value": 0.0,
    "extra": "12000 readings, 100 failed"
  },
  {
    "name": "all p50",
    "unit": "ms",
    "value": 0.412,
    "extra": "135400 readings, 100 failed"
  },
  {
    "name": "all p90",
    "unit": "ms",
    "value": 0.7,
    "extra": "135400 readings, 100 failed"
  },
  {
    "name": "all p95",
    "unit": "ms",
    "value": 0.9,
    "extra": "135400 readings, 100 failed"
  },
  {
    "name": "all p99",
    "unit": "ms",
    "value": 1.243,
    "extra": "135400 readings, 100 failed"
  },
  {
    "name": "all p99.9",
    "unit": "ms",
    "value": 5003.8,
    "extra": "135400 readings, 100 failed\nat least: it lies among failed readings"
  },
  {
    "name": "all p99.99",
    "unit": "ms",
    "value": 8.0,
    "extra": "135400 readings, 100 failed"
  },
  {
    "name": "all error rate",
    "unit": "%",
    "value": 0.0738552,
    "extra": "135400 readings, 100 failed"
  },
  {
    "name": "all shortfall",
    "unit": "%",
    "value": 0.0,
    "extra": "135400 readings, 100 failed"
  }
]
"#);
        insta::assert_snapshot!(run_bigger(&specimen::report()).unwrap(), @r#"
[
  {
    "name": "steady/meters throughput",
    "unit": "1/s",
    "value": 4113.33,
    "extra": "123400 readings, 0 failed"
  },
  {
    "name": "steady/pumps throughput",
    "unit": "1/s",
    "value": 396.667,
    "extra": "12000 readings, 100 failed"
  },
  {
    "name": "all throughput",
    "unit": "1/s",
    "value": 4510.0,
    "extra": "135400 readings, 100 failed"
  }
]
"#);
    }

    #[test]
    fn a_comparison_states_how_far_its_figures_can_be_trusted() {
        insta::assert_snapshot!(comparison(&specimen::comparison()).unwrap(), @r#"
[
  {
    "name": "all p50",
    "unit": "ms",
    "value": 0.36,
    "range": "± 0.0144",
    "extra": "8 pairs\nimprovement"
  },
  {
    "name": "steady/meters p50",
    "unit": "ms",
    "value": 0.413,
    "range": "± 0.0165",
    "extra": "8 pairs\nno difference"
  },
  {
    "name": "steady/meters p99",
    "unit": "ms",
    "value": 1.396,
    "range": "± 0.0559",
    "extra": "8 pairs\nregression"
  },
  {
    "name": "steady/meters p99.9",
    "unit": "ms",
    "value": 9.5,
    "range": "± 0.38",
    "extra": "8 pairs\nnot judged"
  },
  {
    "name": "steady/meters error rate",
    "unit": "%",
    "value": 0.3,
    "range": "± 0.2",
    "extra": "8 pairs\ninconclusive"
  },
  {
    "name": "steady/pumps p95",
    "unit": "ms",
    "value": 0.91,
    "range": "± 0.0364",
    "extra": "8 pairs\nnot judged"
  }
]
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
