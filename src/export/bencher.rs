//! Bencher Metric Format, as `bencher run --adapter json` takes it: `{benchmark: {measure: {value, lower_value, upper_value}}}`.
//!
//! Source: <https://bencher.dev/docs/reference/bencher-metric-format/>. Bencher's own measure of latency is in nanoseconds, so
//! are these; thresholds hang on measures, so every percentile is one.

use std::collections::BTreeMap;

use serde::Serialize;

use super::format::{Format, Nothing, Writer};
use super::measure::{error_rate, group_place, interval, percentiles, place, shortfall, slug, tracked};
use crate::compare::{Cell, Comparison};
use crate::results::Report;

const NS_PER_MS: f64 = 1e6;

pub(super) const FORMAT: Format = Format {
    name: "bencher",
    about: "Bencher Metric Format",
    run: Writer::Text(run),
    comparison: Writer::Text(|compared| Ok(comparison(compared))),
};

/// A figure, and the interval it lies in where one is known.
#[derive(Debug, Serialize)]
struct Metric {
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lower_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upper_value: Option<f64>,
}

type Benchmarks = BTreeMap<String, BTreeMap<String, Metric>>;

/// The measured phases of a run, unless it is invalid, by `scenario/phase/fleet`, and `scenario/all`: percentiles in nanoseconds, `throughput` in
/// readings answered ok per second, `error-rate` and `shortfall` as shares.
///
/// # Errors
/// If nothing was measured, or the measurement is invalid: Bencher refuses an empty object.
pub fn run(report: &Report) -> Result<String, Nothing> {
    let mut benchmarks = Benchmarks::new();
    for row in tracked(report) {
        let figures = &row.figures;
        let measures =
            benchmarks.entry(name(&report.run.scenario.name, &place(&row.phase, &row.fleet))).or_default();
        for (quantile, percentile) in percentiles(figures) {
            let measure = format!("latency-{}", quantile.to_string().replace('.', "-"));
            measures.insert(measure, plain(percentile.ns as f64));
        }
        measures.insert("throughput".to_owned(), plain(figures.rate_per_s));
        measures.insert("error-rate".to_owned(), plain(error_rate(figures)));
        measures.insert("shortfall".to_owned(), plain(shortfall(figures)));
    }
    if benchmarks.is_empty() { Err(Nothing) } else { Ok(super::json(&benchmarks)) }
}

/// The candidate of a comparison under the same names, with the 95 % interval of its change against the base.
pub fn comparison(comparison: &Comparison) -> String {
    let mut benchmarks = Benchmarks::new();
    for cell in &comparison.cells {
        let Some(metric) = candidate(cell) else { continue };
        let measures = benchmarks.entry(name(&comparison.scenario, &group_place(&cell.group))).or_default();
        let prefix = if cell.figure.quantile().is_some() { "latency-" } else { "" };
        measures.insert(format!("{prefix}{}", slug(cell.figure)), metric);
    }
    super::json(&benchmarks)
}

fn name(scenario: &str, place: &str) -> String {
    format!("{scenario}/{place}")
}

fn plain(value: f64) -> Metric {
    Metric { value, lower_value: None, upper_value: None }
}

fn candidate(cell: &Cell) -> Option<Metric> {
    let unit = if cell.figure.quantile().is_some() { NS_PER_MS } else { 1.0 };
    let ends = interval(cell);
    let end = |index: usize| ends.and_then(|ends| ends.get(index).map(|end| end * unit));
    let value = cell.candidate.filter(|value| value.is_finite())? * unit;
    Some(Metric { value, lower_value: end(0), upper_value: end(1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::specimen;

    /// A line per measure.
    fn lines(text: &str) -> String {
        let benchmarks: serde_json::Value = serde_json::from_str(text).unwrap();
        let mut lines = Vec::new();
        for (name, measures) in benchmarks.as_object().unwrap() {
            for (measure, metric) in measures.as_object().unwrap() {
                lines.push(format!("{name} {measure} {metric}"));
            }
        }
        lines.join("\n")
    }

    #[test]
    fn percentiles_are_nanoseconds_and_only_those_that_samples_carry() {
        insta::assert_snapshot!(lines(&run(&specimen::report()).unwrap()), @r#"
quickstart/all error-rate {"value":0.0007385524372230429}
quickstart/all latency-p50 {"value":412000.0}
quickstart/all latency-p90 {"value":700000.0}
quickstart/all latency-p95 {"value":900000.0}
quickstart/all latency-p99 {"value":1243000.0}
quickstart/all latency-p99-9 {"value":5003800000.0}
quickstart/all latency-p99-99 {"value":8000000.0}
quickstart/all shortfall {"value":0.0}
quickstart/all throughput {"value":4510.0}
quickstart/steady/meters error-rate {"value":0.0}
quickstart/steady/meters latency-p50 {"value":412000.0}
quickstart/steady/meters latency-p90 {"value":700000.0}
quickstart/steady/meters latency-p95 {"value":900000.0}
quickstart/steady/meters latency-p99 {"value":1243000.0}
quickstart/steady/meters latency-p99-9 {"value":3108000.0}
quickstart/steady/meters latency-p99-99 {"value":8000000.0}
quickstart/steady/meters shortfall {"value":0.0}
quickstart/steady/meters throughput {"value":4113.333333333333}
quickstart/steady/pumps error-rate {"value":0.008333333333333333}
quickstart/steady/pumps latency-p50 {"value":412000.0}
quickstart/steady/pumps latency-p90 {"value":700000.0}
quickstart/steady/pumps latency-p95 {"value":900000.0}
quickstart/steady/pumps latency-p99 {"value":1243000.0}
quickstart/steady/pumps latency-p99-9 {"value":5003800000.0}
quickstart/steady/pumps shortfall {"value":0.0}
quickstart/steady/pumps throughput {"value":396.6666666666667}
"#);
    }

    #[test]
    fn a_comparison_gives_the_candidate_with_the_interval_of_its_change() {
        insta::assert_snapshot!(lines(&comparison(&specimen::comparison())), @r#"
quickstart/all latency-p50 {"lower_value":346008.9172442966,"upper_value":374826.9853509614,"value":360000.0}
quickstart/steady/meters error-rate {"lower_value":0.001,"upper_value":0.005,"value":0.003}
quickstart/steady/meters latency-p50 {"lower_value":396796.4184750828,"upper_value":429844.4286337982,"value":413000.0}
quickstart/steady/meters latency-p99 {"lower_value":1341150.479677504,"upper_value":1452850.9704407074,"value":1396000.0}
quickstart/steady/meters latency-p99-9 {"lower_value":9126886.13044643,"upper_value":9887037.713254562,"value":9500000.0}
quickstart/steady/pumps latency-p95 {"lower_value":874274.8180199444,"upper_value":947090.6039548834,"value":910000.0}
"#);
    }
}
