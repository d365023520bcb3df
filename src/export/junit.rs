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
use crate::display::figure::{count, rate, time};
use crate::display::{Style, failure};
use crate::record;
use crate::results::{FleetDelivery, FleetTarget, PlanAlteration, Report, RunState, SummaryRow};
use crate::units::plural;

/// As screens show figures, without colour.
const STYLE: Style = Style::PLAIN;

pub(super) const FORMAT: Format = Format {
    name: "junit",
    about: "JUnit XML, for the test views of GitLab, Jenkins and others",
    run: Writer::Text(|report| Ok(run(report))),
    comparison: Writer::Text(|compared| Ok(comparison(compared))),
};

/// A run: a suite for the run itself and one per fleet, with a case per budget, per promise of delivery and per phase. All of the
/// run's time is in its own suite, since its fleets share it and readers add up what suites and cases took.
pub fn run(report: &Report) -> String {
    let manifest = &report.run;
    let scenario = &manifest.scenario.name;
    let length = report.headline().map_or(0.0, |row| row.duration_s);
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
        let mut suite = Suite::new(&format!("{scenario}.{fleet}"), &format!("{scenario}: {fleet}"), 0.0);
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
    let insecure = report.run.fleets.iter().filter_map(FleetTarget::insecurity);
    let altered = report.run.plan_altered.iter().map(PlanAlteration::sentence);
    let warnings = failure::warning(report).into_iter().chain(altered).chain(insecure);
    let lines = warnings.chain([said]).chain(reasons);
    let text = lines.collect::<Vec<_>>().join("\n");
    if report.run.is_invalid() {
        CaseResult::Skipped(format!("not judged, the measurement is invalid: {text}"))
    } else if let Some(unanswered) = finding::unanswered(report) {
        CaseResult::Failed("unanswered", format!("{unanswered}\n{text}"))
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
        let text = match reason.filter(|sum| !passed && sum.is_failure()) {
            Some(reason) => format!("{text}\n{}", reason.sentence()),
            None => text,
        };
        let result = match (passed, budget.unjudged && !report.run.is_invalid()) {
            (true, _) => CaseResult::Passed(text),
            (false, true) => CaseResult::Skipped(format!("not judged: {text}")),
            (false, false) => broken(report, "budget", text),
        };
        suite.add(&format!("budget {} {}", budget.subject(), budget.demand), 0.0, result);
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
    let result = match (audit.kept, audit.unkept()) {
        (None, None) => return,
        (_, None) => CaseResult::Passed(audit.findings().unwrap_or_default()),
        (None, Some(untested)) if report.run.exit_code != finding::BUDGET => CaseResult::Skipped(untested),
        (_, Some(unkept)) => broken(report, "delivery", format!("{}: {unkept}", audit.fleet)),
    };
    suite.add(&format!("delivery {}", audit.fleet), 0.0, result);
}

fn phases(report: &Report, fleet: &str, suite: &mut Suite) {
    for row in measured(report).filter(|row| row.fleet == fleet) {
        let place = [row.phase.as_str(), &row.fleet, &row.protocol].join(" ");
        let name = format!("figures {}", if row.is_headline() { "all" } else { &place });
        let seconds = if row.is_headline() { row.duration_s } else { 0.0 };
        suite.add(&name, seconds, CaseResult::Passed(headline(row)));
    }
}

fn headline(row: &SummaryRow) -> String {
    let figures = &row.figures;
    let mut lines = vec![
        format!(
            "planned {}, ok {}, failed {}",
            count(figures.planned, STYLE),
            count(figures.ok, STYLE),
            count(figures.failed(), STYLE)
        ),
        format!("throughput {}", rate(figures.rate_per_s, STYLE)),
    ];
    lines.extend(percentiles(figures).map(|(quantile, percentile)| {
        let bound = if percentile.censored { "at least " } else { "" };
        format!("{quantile} {bound}{}", time(percentile.ns, STYLE))
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
        "{}: {} against {}, {}",
        comparison.verdict.name(),
        comparison.candidate.label,
        comparison.base.label,
        plural(comparison.design.pairs.into(), "pair")
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
        _ if !comparison.unanswered.is_empty() => CaseResult::Failed("unanswered", text),
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

    fn add(&mut self, name: &str, seconds: f64, result: CaseResult) {
        let mut case = TestCase::new(one_line(name), result.status());
        case.set_classname(self.class.as_str()).set_time(duration(seconds));
        if let CaseResult::Passed(text) = result
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
mod tests;
