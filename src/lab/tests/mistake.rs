//! Wrong mendings of every lab: a run of it as its author mends it, spoiled in one way after the other. Each is told
//! in words of its own: which law, by how much, what to look at, and what to type next.

use std::collections::{BTreeMap, BTreeSet};

use hdrhistogram::Histogram;

use super::super::answer::Answers;
use super::super::judge::{Case, LabJudgement, Standing};
use super::super::progress::Progress;
use super::super::{LABS, Lab, LabVerdict, Screen, Variant, wording};
use super::plan;
use super::recorded::place;
use crate::display::Style;
use crate::record::ServiceCounts;
use crate::results::{Figures, Millis, Recovery, Report, RunState, StoredRun, read_distributions};

/// How many mistakes of a lab must differ in what is said of them.
const DIFFERENT: usize = 10;

/// The distributions of a run, by their tags.
type Log = BTreeMap<Option<String>, Histogram<u64>>;

/// What is done to a run, to a degree.
type Spoil = fn(&mut Report, f64);

const SPOILS: [(Spoil, &[f64]); 13] = [
    (
        |report, share| rows(report, |own| own.within_budget = scaled(own.within_budget, share)),
        &[0.0, 0.3, 0.7],
    ),
    (|report, share| rows(report, |own| refuse(own, share)), &[0.05, 0.4, 0.9]),
    (|report, share| rows(report, |own| lose(own, share)), &[0.03, 0.2, 0.8]),
    (|report, share| rows(report, |own| own.duplicated = part(own.ok, share)), &[0.001, 0.1, 0.5]),
    (|report, share| rows(report, |own| own.sent = part(own.sent, share)), &[0.4, 0.9, 2.0]),
    (|report, share| rows(report, |own| own.attempts = Some(part(own.sent, share))), &[3.0, 9.0]),
    (|report, share| rows(report, |own| own.ok = part(own.ok, share)), &[0.3, 1.5, 4.0]),
    (|report, ms| rows(report, |own| own.stage_queue_p50_ms = Some(Millis((ms * 1e6) as u64))), &[9.0, 90.0]),
    (
        |report, share| rows(report, |own| own.anomalies_found = scaled(own.anomalies_found, share)),
        &[0.0, 0.4, 0.6],
    ),
    (
        |report, share| rows(report, |own| own.false_alarms = scaled(own.judged_normal, share)),
        &[0.02, 0.2, 0.6],
    ),
    (drain, &[1.5, 7.5, f64::INFINITY]),
    (
        |report, times| counts(report, |own| own.inferences = part(own.inferences, times)),
        &[20.0, 90.0, 400.0],
    ),
    (|report, share| counts(report, |own| forget(own, share)), &[0.0, 0.1, 0.3, 0.5, 0.7, 0.9]),
];

/// How many times longer what is timed of a fleet takes.
const SLOWER: [f64; 8] = [0.01, 0.1, 0.3, 0.6, 2.0, 5.0, 20.0, 100.0];

fn part(count: u64, share: f64) -> u64 {
    (count as f64 * share) as u64
}

fn scaled(count: Option<u64>, share: f64) -> Option<u64> {
    count.map(|count| part(count, share))
}

fn rows(report: &mut Report, change: impl Fn(&mut Figures)) {
    report.summary.iter_mut().for_each(|row| change(&mut row.figures));
}

fn counts(report: &mut Report, change: impl Fn(&mut ServiceCounts)) {
    let phases = report.run.reference.iter_mut().flat_map(|facts| &mut facts.phases);
    phases.for_each(|phase| change(&mut phase.counts));
}

fn refuse(own: &mut Figures, share: f64) {
    let refused = part(own.ok, share);
    (own.ok, own.shed) = (own.ok - refused, own.shed + refused);
    own.within_budget = own.within_budget.map(|timely| timely.min(own.ok));
}

fn lose(own: &mut Figures, share: f64) {
    let lost = part(own.ok, share);
    (own.ok, own.lost) = (own.ok - lost, own.lost + lost);
    own.within_budget = own.within_budget.map(|timely| timely.min(own.ok));
}

fn forget(own: &mut ServiceCounts, share: f64) {
    own.hits.exact = part(own.hits.exact, share);
    own.coalesced = part(own.coalesced, share);
}

/// The backlog of every fault is gone after so many seconds, or never.
fn drain(report: &mut Report, seconds: f64) {
    for fault in &mut report.faults {
        fault.backlog_drained_after_s = Some(seconds).filter(|seconds| seconds.is_finite());
        fault.state = Recovery::NotRecovered;
    }
}

fn recorded(lab: &Lab, variant: Variant) -> Report {
    StoredRun::load(&place(lab, variant)).unwrap().report
}

/// `log` with what was timed of `fleet` that many times longer.
fn slower(log: &Log, fleet: &str, times: f64) -> Log {
    let mut log = log.clone();
    let of_fleet = format!("{fleet}.");
    for (_, own) in
        log.iter_mut().filter(|(tag, _)| tag.as_ref().is_some_and(|tag| tag.starts_with(&of_fleet)))
    {
        let mut longer = Histogram::new_from(&*own);
        for step in own.iter_recorded() {
            let value = (step.value_iterated_to() as f64 * times) as u64;
            longer.saturating_record_n(value, step.count_at_value());
        }
        *own = longer;
    }
    log
}

/// All that goes wrong with `lab`.
fn mistakes(lab: &Lab) -> Vec<StoredRun> {
    let solved = || recorded(lab, Variant::Solved);
    // Laws on counts alone need no log.
    let log = read_distributions(&solved().directory).unwrap_or_default();
    let mut found = Vec::new();
    for (spoil, degrees) in SPOILS {
        found.extend(degrees.iter().map(|degree| {
            let mut report = solved();
            spoil(&mut report, *degree);
            report
        }));
    }
    let (mut stopped, mut by_hand) = (solved(), solved());
    (stopped.run.state, by_hand.run.faults_by_hand) = (RunState::Interrupted, 1);
    found.extend([stopped, by_hand]);
    let plan = plan(&solved().run.scenario.text);
    let fleets = plan.scenario().fleets.iter().flat_map(|fleet| SLOWER.map(|times| (&fleet.name, times)));
    let slow = fleets.map(|(fleet, times)| StoredRun::with(solved(), slower(&log, fleet, times)));
    let spoiled = found.into_iter().map(|report| StoredRun::with(report, log.clone()));
    let wrong = [Variant::Broken, Variant::Control].map(|variant| StoredRun::of(recorded(lab, variant)));
    wrong.into_iter().chain(spoiled).chain(slow).collect()
}

fn judged(lab: &'static Lab, run: &StoredRun, before: &StoredRun) -> LabJudgement {
    let (check, facts) = (lab.check().unwrap(), run.report.run.lab.clone().unwrap());
    let answers = Answers::read("answer.toml", &facts.prediction, &check).unwrap();
    let plan = plan(&run.report.run.scenario.text);
    let case = Case {
        check: &check,
        plan: &plan,
        answers: &answers,
        run,
        is_given: false,
        before: Some(before),
        first: None,
    };
    case.judgement(lab, facts)
}

/// Whether all is said of every law that is broken.
fn assert_helpful(judged: &LabJudgement, text: &str) {
    assert!(text.contains("\nnext: squall "), "{text}");
    for law in judged.laws.iter().filter(|law| law.standing == Standing::Broken) {
        let head =
            format!("[no] {}\n     {}\n     {}\n     look at: {}\n", law.law, law.figures, law.say, law.open);
        assert!(text.contains(&head), "{head}\n---\n{text}");
        assert!(law.figures.contains("; needed: ") || law.figures.contains(" never "), "{}", law.figures);
    }
}

#[test]
fn mistakes_of_every_lab_are_told_apart() {
    for lab in LABS {
        let (check, before) = (lab.check().unwrap(), StoredRun::of(recorded(lab, Variant::Broken)));
        let (mut texts, mut broken) = (BTreeSet::new(), BTreeSet::new());
        for run in mistakes(lab) {
            let judged = judged(lab, &run, &before);
            // What a lab does not look at spoils nothing of it.
            if judged.verdict == LabVerdict::Passed {
                continue;
            }
            let screen = Screen { style: Style::PLAIN, width: 1_000 };
            let text = wording::judgement(&judged, lab, &Progress::default(), screen);
            assert_helpful(&judged, &text);
            let laws = judged.laws.iter().filter(|law| law.standing == Standing::Broken);
            broken.extend(laws.map(|law| law.law.clone()));
            texts.insert(text);
        }
        assert!(texts.len() >= DIFFERENT, "{}: {} different\n{texts:#?}", lab.name, texts.len());
        for law in &check.laws {
            let measured =
                [&law.that.left, &law.that.right].into_iter().any(|side| !check.figures_in(side).is_empty());
            assert!(!measured || broken.contains(&law.name), "{}: nothing breaks `{}`", lab.name, law.name);
        }
    }
}
