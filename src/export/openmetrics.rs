//! OpenMetrics text: what GitLab's metrics reports read, and every Prometheus.
//!
//! Source: <https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>. GitLab compares values as text,
//! so that they are rounded to three significant digits, and nothing that always differs (counts, times of day) is among them.

use std::fmt::Write as _;

use super::format::{Format, Writer};
use super::measure::{error_rate, measured, percentiles, shortfall, significant};
use crate::compare::{Cell, Comparison, Decision};
use crate::results::Report;

const DIGITS: i32 = 3;

pub(super) const FORMAT: Format = Format {
    name: "openmetrics",
    about: "gauges for Prometheus and GitLab's metrics reports",
    run: Writer::Text(|report| Ok(run(report))),
    comparison: Writer::Text(|compared| Ok(comparison(compared))),
};

/// A family of gauges under one name.
struct Family {
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    samples: Vec<(Vec<(&'static str, String)>, f64)>,
}

impl Family {
    const fn new(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, unit, help, samples: Vec::new() }
    }
}

/// A run: percentiles, throughput, shares of failures, budgets and validity, by scenario, phase, fleet and protocol.
pub fn run(report: &Report) -> String {
    let mut times = Family::new(
        "squall_response_time_seconds",
        "seconds",
        "Response time from the intended start, at a percentile.",
    );
    let mut rate = Family::new("squall_throughput_per_second", "", "Readings answered ok, per second.");
    let mut errors =
        Family::new("squall_error_ratio", "ratio", "Share of planned readings that were not answered ok.");
    let mut missing =
        Family::new("squall_shortfall_ratio", "ratio", "Of these, the share never sent or never answered.");
    let scenario = &report.run.scenario.name;
    for row in measured(report) {
        let labels = || {
            let places = [("phase", &row.phase), ("fleet", &row.fleet), ("protocol", &row.protocol)];
            let places = places.map(|(name, value)| (name, value.clone()));
            [("scenario", scenario.clone())].into_iter().chain(places).collect::<Vec<_>>()
        };
        for (quantile, percentile) in percentiles(&row.figures) {
            let mut labels = labels();
            labels.push(("percentile", quantile.to_string()));
            times.samples.push((labels, percentile.ns as f64 / 1e9));
        }
        rate.samples.push((labels(), row.figures.rate_per_s));
        errors.samples.push((labels(), error_rate(&row.figures)));
        missing.samples.push((labels(), shortfall(&row.figures)));
    }
    text(&[times, rate, errors, missing, failures(report), budgets(report), validity(report)])
}

/// The parts of the error ratio, by the code that names why; of measured readings.
fn failures(report: &Report) -> Family {
    let mut family = Family::new(
        "squall_failure_ratio",
        "ratio",
        "Share of planned readings that failed, by outcome and code.",
    );
    for sum in report.reasons().iter().filter(|sum| sum.kind == "reading" && sum.is_failure()) {
        let rows = measured(report).filter(|row| row.fleet == sum.fleet);
        let planned: u64 = rows.map(|row| row.figures.planned).sum();
        let labels: Vec<_> = [
            ("scenario", &report.run.scenario.name),
            ("fleet", &sum.fleet),
            ("protocol", &sum.protocol),
            ("outcome", &sum.outcome),
            ("code", &sum.code),
        ]
        .map(|(name, value)| (name, value.clone()))
        .to_vec();
        let share = sum.count as f64 / planned.max(1) as f64;
        match family.samples.iter_mut().find(|(seen, _)| *seen == labels) {
            Some((_, value)) => *value += share,
            None => family.samples.push((labels, share)),
        }
    }
    family
}

fn budgets(report: &Report) -> Family {
    let mut family = Family::new("squall_budget_met", "", "Whether a budget of the scenario was met.");
    // Of an invalid measurement no budget was judged.
    let judged = report.run.budgets.iter().filter(|budget| !report.run.is_invalid() && !budget.unjudged);
    for budget in judged {
        let labels = [
            ("scenario", report.run.scenario.name.clone()),
            ("name", budget.name.clone().unwrap_or_default()),
            ("scope", budget.scope.clone()),
            ("kind", budget.kind.clone()),
            ("fleet", budget.fleet.clone()),
            ("demand", budget.demand.clone()),
        ];
        // A label without a value is the same as none.
        let labels: Vec<_> = labels.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let met = f64::from(u8::from(budget.met));
        // A series may stand only once; of budgets that are alike the one that failed counts.
        match family.samples.iter_mut().find(|(seen, _)| *seen == labels) {
            Some((_, value)) => *value = value.min(met),
            None => family.samples.push((labels, met)),
        }
    }
    family
}

fn validity(report: &Report) -> Family {
    let mut family = Family::new(
        "squall_run_valid",
        "",
        "Whether the figures are the service's: 0 if the run is invalid.",
    );
    let invalid = report.run.validity.is_none() || report.run.is_invalid();
    let labels = vec![("scenario", report.run.scenario.name.clone())];
    family.samples.push((labels, f64::from(u8::from(!invalid))));
    family
}

/// A comparison: either side's figures, the change, and what is said of it.
pub fn comparison(comparison: &Comparison) -> String {
    let mut times =
        Family::new("squall_compared_response_time_seconds", "seconds", "Response time of a build.");
    let mut shares = Family::new("squall_compared_ratio", "ratio", "Share of planned readings, of a build.");
    let mut change =
        Family::new("squall_change_ratio", "ratio", "Change from base to candidate; above 0 is worse.");
    let mut regression = Family::new("squall_regression", "", "Whether the candidate was found to be worse.");
    for cell in &comparison.cells {
        let sides = [("base", cell.base), ("candidate", cell.candidate)];
        for (side, value) in sides.into_iter().filter_map(|(side, value)| Some((side, value?))) {
            let mut labels = labels(comparison, cell);
            labels.push(("side", side.to_owned()));
            match cell.figure.quantile() {
                Some(_) => times.samples.push((labels, value / 1e3)),
                None => shares.samples.push((labels, value)),
            }
        }
        change.samples.extend(cell.change().map(|change| (labels(comparison, cell), change)));
        regression.samples.extend(cell.verdict.map(|said| {
            (labels(comparison, cell), f64::from(u8::from(said.verdict == Decision::Regression)))
        }));
    }
    text(&[times, shares, change, regression])
}

fn labels(comparison: &Comparison, cell: &Cell) -> Vec<(&'static str, String)> {
    let group = &cell.group;
    vec![
        ("scenario", comparison.scenario.clone()),
        ("phase", group.phase.clone()),
        ("fleet", group.fleet.clone()),
        ("protocol", group.protocol.clone()),
        ("figure", cell.figure.name().to_owned()),
    ]
}

fn text(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        let Family { name, unit, help, .. } = family;
        let _ = writeln!(text, "# TYPE {name} gauge");
        if !unit.is_empty() {
            let _ = writeln!(text, "# UNIT {name} {unit}");
        }
        let _ = writeln!(text, "# HELP {name} {help}");
        for (labels, value) in &family.samples {
            let labels: Vec<_> =
                labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escape(value))).collect();
            let _ = writeln!(text, "{name}{{{}}} {}", labels.join(","), significant(*value, DIGITS));
        }
    }
    text + "# EOF\n"
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::specimen;

    #[test]
    fn a_run_is_a_list_of_gauges() {
        insta::assert_snapshot!(run(&specimen::report()), @r#"
# TYPE squall_response_time_seconds gauge
# UNIT squall_response_time_seconds seconds
# HELP squall_response_time_seconds Response time from the intended start, at a percentile.
squall_response_time_seconds{scenario="quickstart",phase="steady",fleet="meters",protocol="http",percentile="p50"} 0.000412
squall_response_time_seconds{scenario="quickstart",phase="steady",fleet="meters",protocol="http",percentile="p90"} 0.0007
squall_response_time_seconds{scenario="quickstart",phase="steady",fleet="meters",protocol="http",percentile="p95"} 0.0009
squall_response_time_seconds{scenario="quickstart",phase="steady",fleet="meters",protocol="http",percentile="p99"} 0.00124
squall_response_time_seconds{scenario="quickstart",phase="steady",fleet="meters",protocol="http",percentile="p99.9"} 0.00311
squall_response_time_seconds{scenario="quickstart",phase="steady",fleet="meters",protocol="http",percentile="p99.99"} 0.008
squall_response_time_seconds{scenario="quickstart",phase="steady",fleet="pumps",protocol="mqtt",percentile="p50"} 0.000412
squall_response_time_seconds{scenario="quickstart",phase="steady",fleet="pumps",protocol="mqtt",percentile="p90"} 0.0007
squall_response_time_seconds{scenario="quickstart",phase="steady",fleet="pumps",protocol="mqtt",percentile="p95"} 0.0009
squall_response_time_seconds{scenario="quickstart",phase="steady",fleet="pumps",protocol="mqtt",percentile="p99"} 0.00124
squall_response_time_seconds{scenario="quickstart",phase="steady",fleet="pumps",protocol="mqtt",percentile="p99.9"} 5
squall_response_time_seconds{scenario="quickstart",phase="all",fleet="all",protocol="all",percentile="p50"} 0.000412
squall_response_time_seconds{scenario="quickstart",phase="all",fleet="all",protocol="all",percentile="p90"} 0.0007
squall_response_time_seconds{scenario="quickstart",phase="all",fleet="all",protocol="all",percentile="p95"} 0.0009
squall_response_time_seconds{scenario="quickstart",phase="all",fleet="all",protocol="all",percentile="p99"} 0.00124
squall_response_time_seconds{scenario="quickstart",phase="all",fleet="all",protocol="all",percentile="p99.9"} 5
squall_response_time_seconds{scenario="quickstart",phase="all",fleet="all",protocol="all",percentile="p99.99"} 0.008
# TYPE squall_throughput_per_second gauge
# HELP squall_throughput_per_second Readings answered ok, per second.
squall_throughput_per_second{scenario="quickstart",phase="steady",fleet="meters",protocol="http"} 4110
squall_throughput_per_second{scenario="quickstart",phase="steady",fleet="pumps",protocol="mqtt"} 397
squall_throughput_per_second{scenario="quickstart",phase="all",fleet="all",protocol="all"} 4510
# TYPE squall_error_ratio gauge
# UNIT squall_error_ratio ratio
# HELP squall_error_ratio Share of planned readings that were not answered ok.
squall_error_ratio{scenario="quickstart",phase="steady",fleet="meters",protocol="http"} 0
squall_error_ratio{scenario="quickstart",phase="steady",fleet="pumps",protocol="mqtt"} 0.00833
squall_error_ratio{scenario="quickstart",phase="all",fleet="all",protocol="all"} 0.000739
# TYPE squall_shortfall_ratio gauge
# UNIT squall_shortfall_ratio ratio
# HELP squall_shortfall_ratio Of these, the share never sent or never answered.
squall_shortfall_ratio{scenario="quickstart",phase="steady",fleet="meters",protocol="http"} 0
squall_shortfall_ratio{scenario="quickstart",phase="steady",fleet="pumps",protocol="mqtt"} 0
squall_shortfall_ratio{scenario="quickstart",phase="all",fleet="all",protocol="all"} 0
# TYPE squall_budget_met gauge
# HELP squall_budget_met Whether a budget of the scenario was met.
squall_budget_met{scenario="quickstart",fleet="pumps",demand="p99 < 250 ms"} 1
squall_budget_met{scenario="quickstart",fleet="pumps",demand="errors < 0.1 %"} 0
squall_budget_met{scenario="quickstart",fleet="all",demand="p99.9 < 1 s"} 0
squall_budget_met{scenario="quickstart",scope="all fleets in calm",kind="reading",fleet="all",demand="p99 < 250 ms"} 1
squall_budget_met{scenario="quickstart",name="peak",scope="all fleets in burst",kind="reading",fleet="all",demand="p99 < 250 ms"} 0
# TYPE squall_run_valid gauge
# HELP squall_run_valid Whether the figures are the service's: 0 if the run is invalid.
squall_run_valid{scenario="quickstart"} 1
# EOF
"#);
    }

    #[test]
    fn a_comparison_states_both_sides_and_the_change() {
        insta::assert_snapshot!(comparison(&specimen::comparison()), @r#"
# TYPE squall_compared_response_time_seconds gauge
# UNIT squall_compared_response_time_seconds seconds
# HELP squall_compared_response_time_seconds Response time of a build.
squall_compared_response_time_seconds{scenario="quickstart",phase="all",fleet="all",protocol="all",figure="p50",side="base"} 0.0004
squall_compared_response_time_seconds{scenario="quickstart",phase="all",fleet="all",protocol="all",figure="p50",side="candidate"} 0.00036
squall_compared_response_time_seconds{scenario="quickstart",phase="steady",fleet="meters",protocol="http",figure="p50",side="base"} 0.000412
squall_compared_response_time_seconds{scenario="quickstart",phase="steady",fleet="meters",protocol="http",figure="p50",side="candidate"} 0.000413
squall_compared_response_time_seconds{scenario="quickstart",phase="steady",fleet="meters",protocol="http",figure="p99",side="base"} 0.00124
squall_compared_response_time_seconds{scenario="quickstart",phase="steady",fleet="meters",protocol="http",figure="p99",side="candidate"} 0.0014
squall_compared_response_time_seconds{scenario="quickstart",phase="steady",fleet="meters",protocol="http",figure="p99.9",side="base"} 0.009
squall_compared_response_time_seconds{scenario="quickstart",phase="steady",fleet="meters",protocol="http",figure="p99.9",side="candidate"} 0.0095
squall_compared_response_time_seconds{scenario="quickstart",phase="steady",fleet="pumps",protocol="http",figure="p95",side="base"} 0.0009
squall_compared_response_time_seconds{scenario="quickstart",phase="steady",fleet="pumps",protocol="http",figure="p95",side="candidate"} 0.00091
# TYPE squall_compared_ratio gauge
# UNIT squall_compared_ratio ratio
# HELP squall_compared_ratio Share of planned readings, of a build.
squall_compared_ratio{scenario="quickstart",phase="steady",fleet="meters",protocol="http",figure="error rate",side="base"} 0.001
squall_compared_ratio{scenario="quickstart",phase="steady",fleet="meters",protocol="http",figure="error rate",side="candidate"} 0.003
# TYPE squall_change_ratio gauge
# UNIT squall_change_ratio ratio
# HELP squall_change_ratio Change from base to candidate; above 0 is worse.
squall_change_ratio{scenario="quickstart",phase="all",fleet="all",protocol="all",figure="p50"} -0.0997
squall_change_ratio{scenario="quickstart",phase="steady",fleet="meters",protocol="http",figure="p50"} 0.0024
squall_change_ratio{scenario="quickstart",phase="steady",fleet="meters",protocol="http",figure="p99"} 0.123
squall_change_ratio{scenario="quickstart",phase="steady",fleet="meters",protocol="http",figure="p99.9"} 0.0555
squall_change_ratio{scenario="quickstart",phase="steady",fleet="meters",protocol="http",figure="error rate"} 0.002
squall_change_ratio{scenario="quickstart",phase="steady",fleet="pumps",protocol="http",figure="p95"} 0.0111
# TYPE squall_regression gauge
# HELP squall_regression Whether the candidate was found to be worse.
squall_regression{scenario="quickstart",phase="all",fleet="all",protocol="all",figure="p50"} 0
squall_regression{scenario="quickstart",phase="steady",fleet="meters",protocol="http",figure="p50"} 0
squall_regression{scenario="quickstart",phase="steady",fleet="meters",protocol="http",figure="p99"} 1
squall_regression{scenario="quickstart",phase="steady",fleet="meters",protocol="http",figure="error rate"} 0
# EOF
"#);
    }

    #[test]
    fn of_budgets_that_are_alike_the_one_that_failed_counts() {
        let mut report = specimen::report();
        let mut twin = report.run.budgets[0].clone();
        twin.met = false;
        report.run.budgets.insert(0, twin.clone());
        report.run.budgets.push(twin);
        let text = run(&report);
        let rows: Vec<_> =
            text.lines().filter(|line| line.contains("fleet=\"pumps\",demand=\"p99 ")).collect();
        assert_eq!(
            rows,
            ["squall_budget_met{scenario=\"quickstart\",fleet=\"pumps\",demand=\"p99 < 250 ms\"} 0"]
        );
    }

    #[test]
    fn names_stay_names() {
        assert_eq!(escape("a\\b \"c\"\nd"), "a\\\\b \\\"c\\\"\\nd");
    }
}
