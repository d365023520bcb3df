//! What a person must be told of a run or a comparison, the gravest first: the lines of annotations and the heads of pages.

use std::fmt::Write as _;

use super::measure::group_place;
use crate::compare::{self, Cell, Comparison};
use crate::display::failure;
use crate::record;
use crate::results::{FleetTarget, Report, RunState};
use crate::units::plural;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// It fails the job.
    Error,
    /// It should be looked at.
    Warning,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) weight: Weight,
    /// A few words.
    pub(super) title: String,
    /// The facts.
    pub(super) text: String,
}

fn finding(weight: Weight, title: &str, text: String) -> Finding {
    Finding { weight, title: title.to_owned(), text }
}

/// The exit code of a run whose budgets or promises were broken.
pub(super) const BUDGET: Option<u8> = Some(99);

/// What `run` is called in findings.
fn subject(report: &Report) -> &str {
    &report.run.scenario.name
}

/// How the run ended, if not as planned; and that it was for nothing. What an invalid run got, and whether a budget ended it, is
/// none of the service's doing.
pub(super) fn untimely(report: &Report) -> Option<String> {
    if let Some(refused) = &report.run.refused {
        return Some(refused.clone());
    }
    let text = match report.run.state {
        RunState::Complete | RunState::Aborted if report.run.is_invalid() => None,
        RunState::Complete => return unanswered(report),
        RunState::Running => Some("the run was not finished"),
        RunState::Interrupted => Some("the run was interrupted"),
        RunState::Aborted => Some("a budget ended the run early"),
        RunState::Failed => Some("the run ended by an error"),
    };
    text.map(str::to_owned)
}

/// That nothing was answered of a run that ended as planned, or of a fleet in it.
pub(super) fn unanswered(report: &Report) -> Option<String> {
    let figures = report.headline().map(|row| &row.figures);
    if figures.is_some_and(|figures| figures.planned > 0 && figures.ok == 0) {
        return Some("no reading of the measured phases was answered ok".to_owned());
    }
    let silences: Vec<_> = report.run.silences.iter().map(|silence| silence.reason.as_str()).collect();
    (!silences.is_empty()).then(|| silences.join("; "))
}

/// Budgets that were not met, an invalid or doubtful measurement, broken promises.
pub(super) fn of_run(report: &Report) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(untimely(report).map(|text| finding(Weight::Error, "run incomplete", text)));
    if let Some(validity) = &report.run.validity {
        let reasons = |empty: &str| {
            if validity.reasons.is_empty() { empty.to_owned() } else { validity.reasons.join("; ") }
        };
        match validity.verdict {
            record::Judgement::Valid => {}
            record::Judgement::Suspect => findings.push(finding(
                Weight::Warning,
                "measurement suspect",
                format!("{}: {}", subject(report), reasons(validity.doubt())),
            )),
            record::Judgement::Invalid => findings.push(finding(
                Weight::Error,
                "measurement invalid",
                format!("{}: {}", subject(report), reasons("the generator was the bottleneck")),
            )),
        }
    }
    for budget in report.run.budgets.iter().filter(|budget| !budget.met) {
        // Figures that cannot be trusted fail no budget, nor do those that a run was not given the time for.
        let (weight, title) = if report.run.is_invalid() || budget.unjudged {
            (Weight::Warning, "budget not judged")
        } else {
            (Weight::Error, "budget failed")
        };
        findings.push(finding(weight, title, format!("{} {}", subject(report), budget.sentence())));
    }
    findings.extend(
        failure::warning(report)
            .map(|text| finding(Weight::Warning, "readings failed", format!("{}: {text}", subject(report)))),
    );
    findings.extend(report.run.plan_altered.iter().map(|altered| {
        let text = format!("{}: {}: not comparable with other runs", subject(report), altered.sentence());
        finding(Weight::Warning, "plan altered", text)
    }));
    let insecure = report.run.fleets.iter().filter_map(FleetTarget::insecurity);
    findings.extend(
        insecure.map(|text| {
            finding(Weight::Warning, "target not verified", format!("{}: {text}", subject(report)))
        }),
    );
    let weight = if report.run.exit_code == BUDGET { Weight::Error } else { Weight::Warning };
    for fleet in report.unkept_promises() {
        let unkept = fleet.unkept().unwrap_or_default();
        let text = format!("{} {}: {unkept}", subject(report), fleet.fleet);
        let broken = fleet.kept == Some(false);
        let title = if broken { "promise of delivery broken" } else { "promise of delivery not tested" };
        findings.push(finding(weight, title, text));
    }
    findings.sort_by_key(|finding| finding.weight);
    findings
}

/// Whether a regressive cell fails the job: the whole must be a regression, and must be asked to decide.
pub(super) fn gates(comparison: &Comparison) -> bool {
    comparison.gates && comparison.verdict == compare::Decision::Regression
}

/// Cells that became worse, and a comparison that could not tell.
pub(super) fn of_comparison(comparison: &Comparison) -> Vec<Finding> {
    let weight = if gates(comparison) { Weight::Error } else { Weight::Warning };
    let worse = |cell: &&Cell| cell.verdict.is_some_and(|said| said.verdict == compare::Decision::Regression);
    let mut findings: Vec<_> = comparison
        .cells
        .iter()
        .filter(worse)
        .map(|cell| {
            let text = format!(
                "{} {} {}",
                comparison.scenario,
                group_place(&cell.group),
                facts(cell, comparison.design.pairs)
            );
            finding(weight, "regression", text)
        })
        .collect();
    if findings.is_empty() && comparison.verdict == compare::Decision::Regression {
        findings.push(finding(weight, "regression", reasons(comparison)));
    }
    for unanswered in &comparison.unanswered {
        let text = format!("{}: {}", comparison.scenario, unanswered.sentence());
        findings.push(finding(Weight::Error, "not answered", text));
    }
    if comparison.verdict == compare::Decision::Inconclusive && comparison.unanswered.is_empty() {
        findings.push(finding(Weight::Warning, "inconclusive", reasons(comparison)));
    }
    findings
}

fn reasons(comparison: &Comparison) -> String {
    format!("{}: {}", comparison.scenario, comparison.reasons.join("; "))
}

/// What is known about a cell, on one line: `p99 +12.3 % [8.1, 16.7] beyond ±5.0 %, 1.243 ms to 1.396 ms, p 0.012, 8 pairs`.
pub(super) fn facts(cell: &Cell, pairs: u32) -> String {
    let mut parts = vec![format!("{} {}", cell.figure.name(), change(cell))];
    parts.push(format!("noise threshold ±{:.1} %", cell.as_share(cell.threshold) * 100.0));
    if let (Some(base), Some(candidate)) = (cell.base, cell.candidate) {
        parts.push(format!("{} to {}", level(cell, base), level(cell, candidate)));
    }
    parts.extend(cell.p_adjusted.map(|p| format!("p {p:.4}")));
    parts.push(plural(pairs.into(), "pair"));
    parts.extend(
        cell.verdict
            .and_then(|said| said.more_pairs)
            .map(|more| format!("about {} would decide", plural(more.into(), "more pair"))),
    );
    parts.join(", ")
}

/// The change and its 95 % interval, in per cent, or in points of it: `+12.3 % [8.1, 16.7]`; `no data`.
pub(super) fn change(cell: &Cell) -> String {
    let Some(change) = cell.change() else { return "no data".to_owned() };
    let (unit, digits) = if cell.figure.quantile().is_some() { ("%", 1) } else { ("points", 2) };
    let pct = |share: f64| share * 100.0;
    let mut text = format!("{:+.digits$} {unit}", pct(change));
    if let Some([low, high]) = cell.ci95 {
        let [low, high] = [low, high].map(|end| pct(cell.as_share(end)));
        let _ = write!(text, " [{low:.digits$}, {high:.digits$}]");
    }
    text
}

/// A side's figure with its unit.
pub(super) fn level(cell: &Cell, value: f64) -> String {
    if cell.figure.quantile().is_some() {
        format!("{} ms", super::measure::significant(value, 4))
    } else {
        format!("{} %", super::measure::significant(value * 100.0, 3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::specimen;

    #[test]
    fn what_fails_the_job_comes_first() {
        let findings: Vec<_> = of_run(&specimen::report())
            .into_iter()
            .map(|finding| format!("{:?} {}: {}", finding.weight, finding.title, finding.text))
            .collect();
        insta::assert_snapshot!(findings.join("\n"), @r#"
Error budget failed: quickstart pumps: errors < 0.1 %, measured 0.83 %
Error budget failed: quickstart all: p99.9 < 1 s, measured no data: 3 of 3100 samples lie beyond p99.9; 10 are needed
Error budget failed: quickstart peak (all fleets in burst): p99 < 250 ms, measured 400 ms
Error promise of delivery broken: quickstart pumps: 100 missing, first pumps-00017 seq 42
Warning measurement suspect: quickstart: the generator used 80 % of a core: give it another
"#);
    }

    #[test]
    fn an_invalid_run_fails_no_budget() {
        let mut report = specimen::report();
        report.run.exit_code = Some(12);
        if let Some(validity) = &mut report.run.validity {
            validity.verdict = record::Judgement::Invalid;
        }
        let errors: Vec<_> =
            of_run(&report).into_iter().filter(|finding| finding.weight == Weight::Error).collect();
        assert!(errors.iter().all(|finding| finding.title == "measurement invalid"), "{errors:?}");
        assert_eq!(errors.len(), 1);
    }

    #[test]
    fn a_plan_that_was_altered_is_a_warning() {
        let mut report = specimen::report();
        let altered = serde_json::json!({"phase": "calm", "at_s": 12.5, "left_out_s": 3.0});
        report.run.plan_altered = vec![serde_json::from_value(altered).unwrap()];
        let found = of_run(&report).into_iter().find(|finding| finding.title == "plan altered").unwrap();
        assert_eq!(
            (found.weight, found.text.as_str()),
            (
                Weight::Warning,
                "quickstart: phase `calm` was ended by hand at 12.5 s, 3.00 s early: not comparable with other runs"
            )
        );
    }

    #[test]
    fn a_broken_promise_that_nobody_demanded_is_a_warning() {
        let mut report = specimen::report();
        report.run.exit_code = Some(0);
        report.run.budgets.clear();
        assert!(of_run(&report).iter().all(|finding| finding.weight == Weight::Warning));
    }

    #[test]
    fn an_advisory_or_unconfirmed_regression_is_a_warning() {
        let findings = of_comparison(&specimen::comparison());
        assert_eq!((findings.len(), findings[0].weight), (1, Weight::Error));
        insta::assert_snapshot!(findings[0].text, @r#"
quickstart steady/meters p99 +12.3 % [7.9, 16.9], noise threshold ±5.1 %, 1.243 ms to 1.396 ms, p 0.0123, 8 pairs
"#);
        for comparison in [
            Comparison { gates: false, ..specimen::comparison() },
            Comparison { verdict: compare::Decision::Inconclusive, ..specimen::comparison() },
        ] {
            assert!(of_comparison(&comparison).iter().all(|finding| finding.weight == Weight::Warning));
        }
    }
}
