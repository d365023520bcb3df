//! JUnit XML, for the test views of CI systems.
//!
//! There is no standard; what is written stays within the schema of Jenkins's xUnit plugin (`junit-10.xsd`), the strictest
//! that is in use. GitLab shows neither the names of suites, nor properties, nor the attribute `message`, so that facts stand in
//! the names of cases or the text of elements too.

use std::fmt::Write as _;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as Document, TestCase, TestCaseStatus, TestSuite};

use super::finding::{self, facts, gates};
use super::format::{Format, Writer};
use super::measure::{group_place, measured, percentiles};
use crate::compare::{Cell, Comparison, Decision, Support};
use crate::display::{Style, failure};
use crate::record;
use crate::results::{FleetDelivery, FleetTarget, Report, RunState, SummaryRow};

/// As screens show figures, without colour.
const STYLE: Style = Style { colour: false, ascii: false };

pub(super) const FORMAT: Format = Format {
    name: "junit",
    about: "JUnit XML, for the test views of GitLab, Jenkins and others",
    run: Writer::Text(|report| Ok(run(report))),
    comparison: Writer::Text(|compared| Ok(comparison(compared))),
};

/// A run: a suite for the run itself and one per fleet, with a case per budget, per promise of delivery and per phase.
pub fn run(report: &Report) -> String {
    let manifest = &report.run;
    let scenario = &manifest.scenario.name;
    let length = report.summary.iter().find(|row| row.is_headline()).map_or(0.0, |row| row.duration_s);
    let mut whole = Suite::new(scenario, &format!("{scenario}: run"), length);
    whole.add("the run ended as planned", 0.0, ended(report));
    whole.add("the measurement is valid", 0.0, validity(report));
    whole.add("the service answered", 0.0, service(report));
    budgets(report, "all", &mut whole);
    phases(report, "all", &mut whole);
    let mut suites = vec![whole];
    let mut fleets: Vec<&str> = report.delivery.iter().map(|fleet| fleet.fleet.as_str()).collect();
    fleets.extend(report.summary.iter().map(|row| row.fleet.as_str()));
    fleets.extend(manifest.budgets.iter().map(|budget| budget.fleet.as_str()));
    fleets.sort_unstable();
    fleets.dedup();
    for fleet in fleets.into_iter().filter(|fleet| *fleet != "all") {
        let mut suite = Suite::new(&format!("{scenario}.{fleet}"), &format!("{scenario}: {fleet}"), length);
        budgets(report, fleet, &mut suite);
        for audit in report.delivery.iter().filter(|audit| audit.fleet == fleet) {
            promise(report, audit, &mut suite);
        }
        phases(report, fleet, &mut suite);
        suites.push(suite);
    }
    document(scenario, suites, length, Some((&manifest.started, &manifest.host.name)))
}

fn ended(report: &Report) -> CaseResult {
    match finding::untimely(report) {
        None if report.run.state == RunState::Aborted => CaseResult::Skipped(
            "a budget ended the run early, which says nothing: the measurement is invalid".to_owned(),
        ),
        None => {
            let run = format!("run {} in {}", report.run.run_id, report.directory.display());
            let fleets = report.run.fleets.iter().map(FleetTarget::sentence);
            CaseResult::Passed([run].into_iter().chain(fleets).collect::<Vec<_>>().join("\n"))
        }
        Some(text) => CaseResult::Error("incomplete", text),
    }
}

fn validity(report: &Report) -> CaseResult {
    let Some(validity) = &report.run.validity else {
        return CaseResult::Error("not judged", "the run was not judged".to_owned());
    };
    let text = [&[validity.verdict.name().to_owned()], validity.reasons.as_slice()].concat().join("\n");
    if validity.verdict == record::Judgement::Invalid {
        CaseResult::Error("invalid", text)
    } else {
        CaseResult::Passed(text)
    }
}

/// How the service did, and why readings and connections failed.
fn service(report: &Report) -> CaseResult {
    let said = failure::service(report, STYLE).map(|(text, _)| text);
    let said = said.unwrap_or_else(|| "no reading came due".to_owned());
    let reasons = failure::failures(report, STYLE).into_iter().map(|(_, text)| text);
    let lines = failure::warning(report).into_iter().chain([said]).chain(reasons);
    let text = lines.collect::<Vec<_>>().join("\n");
    if report.run.is_invalid() {
        CaseResult::Skipped(format!("not judged, the measurement is invalid: {text}"))
    } else if report.unguarded_failures().is_some() {
        CaseResult::Skipped(text)
    } else {
        CaseResult::Passed(text)
    }
}

fn budgets(report: &Report, fleet: &str, suite: &mut Suite) {
    for budget in report.run.budgets.iter().filter(|budget| budget.fleet == fleet) {
        let text = budget.sentence();
        let passed = budget.met && !report.run.is_invalid();
        let reason = report.reasons().into_iter().find(|sum| fleet == "all" || sum.fleet == fleet);
        let text = match reason.filter(|sum| !passed && !sum.is_unmatched()) {
            Some(reason) => format!("{text}\n{}", reason.sentence()),
            None => text,
        };
        let told = if passed { CaseResult::Passed(text) } else { broken(report, "budget", text) };
        suite.add(&format!("budget {} {}", budget.subject(), budget.demand), 0.0, told);
    }
}

/// Figures that cannot be trusted break nothing.
fn broken(report: &Report, word: &'static str, text: String) -> CaseResult {
    if report.run.is_invalid() {
        CaseResult::Skipped(format!("not judged, the measurement is invalid: {text}"))
    } else {
        CaseResult::Failed(word, text)
    }
}

fn promise(report: &Report, audit: &FleetDelivery, suite: &mut Suite) {
    let told = match (audit.kept, audit.broken()) {
        (None, _) => return,
        (Some(true), _) => CaseResult::Passed(audit.findings().unwrap_or_default()),
        (Some(false), told) => {
            broken(report, "delivery", format!("{}: {}", audit.fleet, told.unwrap_or_default()))
        }
    };
    suite.add(&format!("delivery {}", audit.fleet), 0.0, told);
}

fn phases(report: &Report, fleet: &str, suite: &mut Suite) {
    for row in measured(report).filter(|row| row.fleet == fleet) {
        let place = [row.phase.as_str(), &row.fleet, &row.protocol].join(" ");
        let name = format!("figures {}", if row.is_headline() { "all" } else { &place });
        suite.add(&name, row.duration_s, CaseResult::Passed(headline(row)));
    }
}

fn headline(row: &SummaryRow) -> String {
    let figures = &row.figures;
    let mut lines = vec![
        format!("planned {}, ok {}, failed {}", figures.planned, figures.ok, figures.failed()),
        format!("throughput {:.1}/s", figures.rate_per_s),
    ];
    lines.extend(percentiles(figures).map(|(quantile, percentile)| {
        let bound = if percentile.censored { "at least " } else { "" };
        format!("{quantile} {bound}{:.3} ms", percentile.ns as f64 / 1e6)
    }));
    lines.join("\n")
}

/// A comparison: a suite for the verdict, and one per group with a case per figure.
pub fn comparison(comparison: &Comparison) -> String {
    let scenario = &comparison.scenario;
    let mut whole = Suite::new(scenario, &format!("{scenario}: comparison"), 0.0);
    whole.add("comparison", 0.0, overall(comparison));
    let mut suites = vec![whole];
    for cells in comparison.cells.chunk_by(|a, b| a.group == b.group) {
        let Some(first) = cells.first() else { continue };
        let place = group_place(&first.group);
        let mut suite = Suite::new(
            &format!("{scenario}.{}", place.replace('/', ".")),
            &format!("{scenario}: {place}"),
            0.0,
        );
        for cell in cells {
            suite.add(&format!("{place} {}", cell.figure.name()), 0.0, judged(cell, comparison));
        }
        suites.push(suite);
    }
    document(scenario, suites, 0.0, None)
}

fn overall(comparison: &Comparison) -> CaseResult {
    let mut text = format!(
        "{}: {} against {}, {} pairs",
        comparison.verdict.name(),
        comparison.candidate.label,
        comparison.base.label,
        comparison.design.pairs
    );
    for reason in &comparison.reasons {
        let _ = write!(text, "\n{reason}");
    }
    if let Some(fresh) = &comparison.confirmation {
        let _ =
            write!(text, "\nconfirmation by {} fresh pairs: {}", fresh.design.pairs, fresh.verdict.name());
    }
    match comparison.verdict {
        Decision::Regression if comparison.gates => CaseResult::Failed("regression", text),
        Decision::Regression => CaseResult::Skipped(format!("advisory: {text}")),
        Decision::Inconclusive => CaseResult::Skipped(text),
        Decision::Improvement | Decision::NoDifference => CaseResult::Passed(text),
    }
}

fn judged(cell: &Cell, comparison: &Comparison) -> CaseResult {
    let facts = facts(cell, comparison.design.pairs);
    let Some(said) = cell.verdict else {
        let why = match cell.support {
            Support::Censored => "it lies among failed readings, so that the error rate judges",
            Support::None => "there are too few samples",
            Support::Judged | Support::Shown => "it is shown only",
        };
        return CaseResult::Skipped(format!("not judged: {why}; {facts}"));
    };
    let text = format!("{}: {facts}", said.verdict.name());
    match said.verdict {
        Decision::Regression if gates(comparison) => CaseResult::Failed("regression", text),
        Decision::Regression if !comparison.gates => CaseResult::Skipped(format!("advisory: {text}")),
        Decision::Regression => CaseResult::Skipped(format!("not confirmed: {text}")),
        Decision::Inconclusive => CaseResult::Skipped(text),
        Decision::Improvement | Decision::NoDifference => CaseResult::Passed(text),
    }
}

/// How a case ended: what kind of trouble, and the facts.
enum CaseResult {
    Passed(String),
    Failed(&'static str, String),
    Error(&'static str, String),
    Skipped(String),
}

impl CaseResult {
    fn status(&self) -> TestCaseStatus {
        let unsound = |kind, word: &str, text: &str| {
            let mut status = TestCaseStatus::non_success(kind);
            status.set_type(word).set_message(one_line(text)).set_description(clean(text));
            status
        };
        match self {
            Self::Passed(_) => TestCaseStatus::success(),
            Self::Failed(word, text) => unsound(NonSuccessKind::Failure, word, text),
            Self::Error(word, text) => unsound(NonSuccessKind::Error, word, text),
            Self::Skipped(text) => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(one_line(text)).set_description(clean(text));
                status
            }
        }
    }
}

/// In an attribute, readers turn line breaks into spaces or not, as they like.
fn one_line(text: &str) -> String {
    clean(text).lines().collect::<Vec<_>>().join("; ")
}

/// Without the two characters that XML forbids and quick-junit lets pass.
fn clean(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "")
}

struct Suite {
    class: String,
    cases: TestSuite,
}

impl Suite {
    fn new(class: &str, name: &str, seconds: f64) -> Self {
        let mut cases = TestSuite::new(one_line(name));
        cases.set_time(duration(seconds));
        Self { class: one_line(class), cases }
    }

    fn add(&mut self, name: &str, seconds: f64, told: CaseResult) {
        let mut case = TestCase::new(one_line(name), told.status());
        case.set_classname(self.class.as_str()).set_time(duration(seconds));
        if let CaseResult::Passed(text) = told
            && !text.is_empty()
        {
            case.set_system_out(clean(&text));
        }
        self.cases.add_test_case(case);
    }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// The suites that have cases, in their order; where known with the instant and the host of their run.
fn document(name: &str, suites: Vec<Suite>, seconds: f64, origin: Option<(&str, &str)>) -> String {
    let mut document = Document::new(one_line(name));
    document.set_time(duration(seconds));
    for Suite { mut cases, .. } in suites.into_iter().filter(|suite| !suite.cases.test_cases.is_empty()) {
        if let Some((started, host)) = origin {
            // Ant's form: without fractions and zone.
            let started = started.split(['.', 'Z']).next().unwrap_or_default();
            cases.extra.insert("timestamp".into(), started.into());
            cases.extra.insert("hostname".into(), if host.is_empty() { "localhost" } else { host }.into());
        }
        document.add_test_suite(cases);
    }
    let skipped = format!(" skipped=\"{}\"", document.skipped);
    // Writing to memory does not fail. Jenkins's schema does not know this attribute of the root; the suites have their own.
    document.to_string().unwrap_or_default().replacen(&skipped, "", 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::specimen;

    #[test]
    fn a_run_has_cases_for_what_was_demanded_promised_and_measured() {
        insta::assert_snapshot!(run(&specimen::report()), @r#"
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="quickstart" tests="12" failures="4" errors="0" time="30.000">
    <testsuite name="quickstart: run" tests="7" skipped="0" errors="0" failures="2" time="30.000" timestamp="2026-11-20T21:41:15" hostname="runner-1">
        <testcase name="the run ended as planned" classname="quickstart" time="0.000">
            <system-out>run 2026-11-20T21-41-15Z-main in results/quickstart/2026-11-20T21-41-15Z-main
meters PUT http://127.0.0.1:8080/v1/orders/{{device}}
pumps ws ws://127.0.0.1:8081/live?key=${KEY}</system-out>
        </testcase>
        <testcase name="the measurement is valid" classname="quickstart" time="0.000">
            <system-out>suspect
the generator used 80 % of a core: give it another</system-out>
        </testcase>
        <testcase name="the service answered" classname="quickstart" time="0.000">
            <system-out>135 300 of 135 400 readings answered ok; 0.08 % failed</system-out>
        </testcase>
        <testcase name="budget all p99.9 &lt; 1 s" classname="quickstart" time="0.000">
            <failure message="all: p99.9 &lt; 1 s, measured no data: 3 of 3100 samples lie beyond p99.9; 10 are needed" type="budget">all: p99.9 &lt; 1 s, measured no data: 3 of 3100 samples lie beyond p99.9; 10 are needed</failure>
        </testcase>
        <testcase name="budget all fleets in calm p99 &lt; 250 ms" classname="quickstart" time="0.000">
            <system-out>all fleets in calm: p99 &lt; 250 ms, measured 240 ms</system-out>
        </testcase>
        <testcase name="budget peak (all fleets in burst) p99 &lt; 250 ms" classname="quickstart" time="0.000">
            <failure message="peak (all fleets in burst): p99 &lt; 250 ms, measured 400 ms" type="budget">peak (all fleets in burst): p99 &lt; 250 ms, measured 400 ms</failure>
        </testcase>
        <testcase name="figures all" classname="quickstart" time="30.000">
            <system-out>planned 135400, ok 135300, failed 100
throughput 4510.0/s
p50 0.412 ms
p90 0.700 ms
p95 0.900 ms
p99 1.243 ms
p99.9 at least 5003.800 ms
p99.99 8.000 ms</system-out>
        </testcase>
    </testsuite>
    <testsuite name="quickstart: meters" tests="1" skipped="0" errors="0" failures="0" time="30.000" timestamp="2026-11-20T21:41:15" hostname="runner-1">
        <testcase name="figures steady meters http" classname="quickstart.meters" time="30.000">
            <system-out>planned 123400, ok 123400, failed 0
throughput 4113.3/s
p50 0.412 ms
p90 0.700 ms
p95 0.900 ms
p99 1.243 ms
p99.9 3.108 ms
p99.99 8.000 ms</system-out>
        </testcase>
    </testsuite>
    <testsuite name="quickstart: pumps" tests="4" skipped="0" errors="0" failures="2" time="30.000" timestamp="2026-11-20T21:41:15" hostname="runner-1">
        <testcase name="budget pumps p99 &lt; 250 ms" classname="quickstart.pumps" time="0.000">
            <system-out>pumps: p99 &lt; 250 ms, measured 2.49 ms</system-out>
        </testcase>
        <testcase name="budget pumps errors &lt; 0.1 %" classname="quickstart.pumps" time="0.000">
            <failure message="pumps: errors &lt; 0.1 %, measured 0.83 %" type="budget">pumps: errors &lt; 0.1 %, measured 0.83 %</failure>
        </testcase>
        <testcase name="delivery pumps" classname="quickstart.pumps" time="0.000">
            <failure message="pumps: 100 lost, first pumps-00017 seq 42" type="delivery">pumps: 100 lost, first pumps-00017 seq 42</failure>
        </testcase>
        <testcase name="figures steady pumps mqtt" classname="quickstart.pumps" time="30.000">
            <system-out>planned 12000, ok 11900, failed 100
throughput 396.7/s
p50 0.412 ms
p90 0.700 ms
p95 0.900 ms
p99 1.243 ms
p99.9 at least 5003.800 ms</system-out>
        </testcase>
    </testsuite>
</testsuites>
"#);
    }

    #[test]
    fn a_comparison_fails_by_its_regressions_and_skips_what_it_cannot_tell() {
        insta::assert_snapshot!(comparison(&specimen::comparison()), @r#"
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="quickstart" tests="8" failures="2" errors="0" time="0.000">
    <testsuite name="quickstart: comparison" tests="1" skipped="0" errors="0" failures="1" time="0.000">
        <testcase name="comparison" classname="quickstart" time="0.000">
            <failure message="regression: a|b `c` &lt;img src=x&gt; ]]&gt; &amp; &quot;d&quot; @all; ::error::x against main, 8 pairs; steady meters p99 is 12.3 % slower; confirmation by 8 fresh pairs: regression" type="regression">regression: a|b `c` &lt;img src=x&gt; ]]&gt; &amp; &quot;d&quot; @all
::error::x against main, 8 pairs
steady meters p99 is 12.3 % slower
confirmation by 8 fresh pairs: regression</failure>
        </testcase>
    </testsuite>
    <testsuite name="quickstart: all" tests="1" skipped="0" errors="0" failures="0" time="0.000">
        <testcase name="all p50" classname="quickstart.all" time="0.000">
            <system-out>improvement: p50 -10.0 % [-13.5, -6.3], noise threshold ±5.1 %, 0.4 ms to 0.36 ms, p 0.0123, 8 pairs</system-out>
        </testcase>
    </testsuite>
    <testsuite name="quickstart: steady/meters" tests="4" skipped="2" errors="0" failures="1" time="0.000">
        <testcase name="steady/meters p50" classname="quickstart.steady.meters" time="0.000">
            <system-out>no difference: p50 +0.2 % [-3.7, 4.3], noise threshold ±5.1 %, 0.412 ms to 0.413 ms, p 0.0123, 8 pairs</system-out>
        </testcase>
        <testcase name="steady/meters p99" classname="quickstart.steady.meters" time="0.000">
            <failure message="regression: p99 +12.3 % [7.9, 16.9], noise threshold ±5.1 %, 1.243 ms to 1.396 ms, p 0.0123, 8 pairs" type="regression">regression: p99 +12.3 % [7.9, 16.9], noise threshold ±5.1 %, 1.243 ms to 1.396 ms, p 0.0123, 8 pairs</failure>
        </testcase>
        <testcase name="steady/meters p99.9" classname="quickstart.steady.meters" time="0.000">
            <skipped message="not judged: it lies among failed readings, so that the error rate judges; p99.9 +5.5 % [1.4, 9.9], noise threshold ±5.1 %, 9 ms to 9.5 ms, 8 pairs">not judged: it lies among failed readings, so that the error rate judges; p99.9 +5.5 % [1.4, 9.9], noise threshold ±5.1 %, 9 ms to 9.5 ms, 8 pairs</skipped>
        </testcase>
        <testcase name="steady/meters error rate" classname="quickstart.steady.meters" time="0.000">
            <skipped message="inconclusive: error rate +0.20 points [0.00, 0.40], noise threshold ±0.1 %, 0.1 % to 0.3 %, p 0.0123, 8 pairs, about 12 more pairs would decide">inconclusive: error rate +0.20 points [0.00, 0.40], noise threshold ±0.1 %, 0.1 % to 0.3 %, p 0.0123, 8 pairs, about 12 more pairs would decide</skipped>
        </testcase>
    </testsuite>
    <testsuite name="quickstart: steady/pumps" tests="2" skipped="2" errors="0" failures="0" time="0.000">
        <testcase name="steady/pumps p95" classname="quickstart.steady.pumps" time="0.000">
            <skipped message="not judged: it is shown only; p95 +1.1 % [-2.9, 5.2], noise threshold ±5.1 %, 0.9 ms to 0.91 ms, 8 pairs">not judged: it is shown only; p95 +1.1 % [-2.9, 5.2], noise threshold ±5.1 %, 0.9 ms to 0.91 ms, 8 pairs</skipped>
        </testcase>
        <testcase name="steady/pumps p99.9" classname="quickstart.steady.pumps" time="0.000">
            <skipped message="not judged: there are too few samples; p99.9 no data, noise threshold ±5.1 %, 8 pairs">not judged: there are too few samples; p99.9 no data, noise threshold ±5.1 %, 8 pairs</skipped>
        </testcase>
    </testsuite>
</testsuites>
"#);
    }

    #[test]
    fn an_invalid_run_is_an_error_and_no_failure() {
        let mut report = specimen::report();
        if let Some(validity) = &mut report.run.validity {
            validity.verdict = record::Judgement::Invalid;
        }
        let text = run(&report);
        assert!(text.contains("failures=\"0\" errors=\"1\""), "{text}");
        assert!(text.contains("type=\"invalid\""), "{text}");
        assert!(text.contains("not judged, the measurement is invalid: pumps: errors"), "{text}");
        // Met or not: what the generator shaped says nothing of the service.
        assert_eq!(text.matches("<skipped message=\"not judged").count(), 7, "{text}");
    }

    #[test]
    fn why_readings_failed_stands_with_the_service_and_with_the_budget_that_broke() {
        let report = specimen::failing();
        let text = run(&report);
        let reason = "HTTP 404 Not Found: 2002 readings of 30 devices of fleet pumps";
        assert!(text.contains(reason), "{text}");
        assert!(text.contains("ECONNREFUSED") && !text.contains("<script>"), "{text}");
        assert!(!text.contains("status 2"), "{text}");
    }

    #[test]
    fn failures_that_no_budget_looks_at_are_a_case_that_was_skipped() {
        let mut report = specimen::failing();
        report.run.budgets.clear();
        let text = run(&report);
        let case = text.split("<testcase").find(|case| case.contains("the service answered")).unwrap();
        assert!(case.contains("<skipped") && case.contains("no budget on failures watches"), "{case}");
    }

    #[test]
    fn a_fleet_that_was_refused_is_an_error_in_its_own_words() {
        let mut report = specimen::failing();
        report.run.state = RunState::Aborted;
        report.run.refused = Some("all 30 devices of fleet pumps were refused: CONNACK 5".into());
        let text = run(&report);
        assert!(text.contains("type=\"incomplete\">all 30 devices of fleet pumps were refused"), "{text}");
        assert!(!text.contains("a budget ended the run"), "{text}");
    }

    #[test]
    fn a_run_that_was_for_nothing_is_an_error() {
        let mut report = specimen::report();
        for row in &mut report.summary {
            row.figures.ok = 0;
        }
        let text = run(&report);
        assert!(
            text.contains("type=\"incomplete\">no reading of the measured phases was answered"),
            "{text}"
        );
    }

    #[test]
    fn what_does_not_decide_is_skipped_with_words() {
        for (comparison, word) in [
            (Comparison { gates: false, ..specimen::comparison() }, "advisory: "),
            (Comparison { verdict: Decision::NoDifference, ..specimen::comparison() }, "not confirmed: "),
        ] {
            let text = super::comparison(&comparison);
            assert!(text.contains("failures=\"0\"") && text.contains(word), "{text}");
        }
    }

    #[test]
    fn names_never_break_the_document() {
        let mut report = specimen::report();
        report.run.scenario.name = specimen::EVIL.to_owned();
        report.run.budgets[0].demand = specimen::EVIL.to_owned();
        let text = run(&report);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
        // The crate's own reader wants a zone.
        let read = Document::deserialize_from_str(&text.replace("21:41:15\"", "21:41:15Z\""));
        assert!(read.is_ok(), "{read:?}\n{text}");
    }
}
