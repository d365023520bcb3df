//! Judgements of made-up runs: which law breaks, what cannot be judged, and that every fault has words of its
//! own.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::json;

use super::super::answer::{Answers, fingerprint};
use super::super::check::Check;
use super::super::judge::{Case, LabJudgement, LabVerdict, Standing};
use super::super::progress::{LabProgress, Progress};
use super::super::{LABS, Lab, Screen, wording};
use super::plan;
use crate::budget::{Scope, Subject};
use crate::display::Style;
use crate::results::{
    Detections, Figures, LabFacts, Manifest, Millis, Outage, Report, StoredRun, SummaryRow,
};

/// What differs between made-up runs of the lab `outage`.
#[derive(Clone, Copy)]
struct Made {
    state: &'static str,
    by_hand: u32,
    /// Of the only activation.
    recovery: &'static str,
    drained_s: Option<f64>,
    shed: u64,
    /// Of 10 000 readings.
    within_budget: u64,
    lag_ms: u64,
    /// How much longer than it costs an inference took, microseconds.
    overrun_us: u64,
}

/// A run in which all is well.
const GOOD: Made = Made {
    state: "complete",
    by_hand: 0,
    recovery: "recovered",
    drained_s: Some(0.5),
    shed: 1_000,
    within_budget: 8_900,
    lag_ms: 1,
    overrun_us: 90,
};

fn manifest(made: Made) -> Manifest {
    serde_json::from_value(json!({
        "schema": 1, "tool_version": "0", "label": "", "run_id": "r", "state": made.state, "seed": "1",
        "plan_digest": "", "scenario": { "name": "lab-outage", "text": "", "overrides": [] }, "started": "", "ended": null,
        "host": { "name": "", "kernel": "", "cores": 1, "cpu_model": null, "memory_bytes": null },
        "clock": { "resolution_ns": 1 }, "pacer": { "kind": "timerfd", "slack_ns": 0 }, "workers": 1, "targets": {},
        "pacing_lag": null, "validity": null, "budgets": [], "exit_code": 0, "faults_by_hand": made.by_hand,
        "reference": { "queue_capacity": 20_000, "workers": 1, "phases": [
            { "phase": "after", "inferences": 1_000, "overrun_ns": made.overrun_us * 1_000_000 },
        ] },
    }))
    .unwrap()
}

fn activation(made: Made) -> Outage {
    serde_json::from_value(json!({
        "fault": "stall", "layer": "service", "kind": "stall", "turn": 0, "planned_s": 8.0, "start_s": 8.0, "end_s": 11.0,
        "instant": false, "devices": 0, "acted": null, "state": made.recovery, "recovered_after_s": null, "p99_before_ms": 9.0,
        "worst_p99_ms": 3000.0, "worst_p99_censored": false, "worst_at_s": 11.0, "ok": 9000, "shed": made.shed, "error": 0,
        "timeout": 0, "lost": 0, "dropped": 0, "duplicated": 0, "reordered": 0, "first_ok_after_s": 0.1, "backlog_before": 1,
        "peak_backlog": 1000, "backlog_drained_after_s": made.drained_s, "reconnected": 0, "peak_reconnects_per_s": null,
        "reconnected_99_after_s": null, "remark": "",
    }))
    .unwrap()
}

fn report(made: Made) -> Report {
    let row = SummaryRow {
        duration_s: 30.0,
        phase: "after".into(),
        fleet: "meters".into(),
        protocol: "ws".into(),
        kind: "reading".into(),
        figures: Figures {
            planned: 10_000,
            ok: 10_000 - made.shed,
            shed: made.shed,
            within_budget: Some(made.within_budget),
            pacing_lag_p99_ms: Some(Millis(made.lag_ms * 1_000_000)),
            ..Figures::default()
        },
    };
    Report {
        run: manifest(made),
        directory: PathBuf::from("lab/outage/runs/r"),
        summary: vec![row],
        detection: Detections::default(),
        faults: vec![activation(made)],
        failures: Vec::new(),
        delivery: Vec::new(),
        rebuilt: None,
    }
}

fn judged(made: Made, answers: &str) -> LabJudgement {
    judged_by(&Lab::named("outage").unwrap().check().unwrap(), made, answers)
}

fn judged_by(check: &Check, made: Made, answers: &str) -> LabJudgement {
    let lab = Lab::named("outage").unwrap();
    let plan = plan(lab.scenario);
    let answers = Answers::read("answer.toml", answers, check).unwrap();
    let run = StoredRun::of(report(made));
    let case =
        Case { check, plan: &plan, answers: &answers, run: &run, is_given: true, before: None, first: None };
    let facts = LabFacts {
        name: lab.name.into(),
        student: None,
        prediction_sha256: fingerprint(""),
        prediction: String::new(),
    };
    case.judgement(lab, facts)
}

const RIGHT: &str = "peak = 1020\ndrain = \"7.3s\"\nwhy = \"x\"";

/// A pipe, and wide enough for any sentence.
const SCREEN: Screen = Screen { style: Style::PLAIN, width: 1_000 };

fn told(judged: &LabJudgement) -> String {
    wording::judgement(judged, Lab::named("outage").unwrap(), &Progress::default(), SCREEN)
}

#[test]
fn every_fault_is_found_and_has_words_of_its_own() {
    use LabVerdict::{Failed, Passed, Unjudged};
    let mut texts = BTreeSet::new();
    for (made, verdict, said) in [
        (GOOD, Passed, "passed, 2 of 2 predictions right"),
        (
            Made { drained_s: Some(7.5), ..GOOD },
            Failed,
            "[no] the backlog is gone one second after the standstill\n     the time from the end of the standstill until the \
             backlog was gone is 7.50 s; needed: at most 1.00 s: 7.50 times that",
        ),
        (Made { drained_s: None, recovery: "not_recovered", ..GOOD }, Failed, "the backlog was never gone"),
        (
            Made { drained_s: None, recovery: "no_level", ..GOOD },
            Unjudged,
            "[??] the backlog is gone one second",
        ),
        (
            Made { drained_s: Some(7.5), lag_ms: 51, ..GOOD },
            Unjudged,
            "the generator itself was 51.0 ms late (p99)",
        ),
        (Made { drained_s: Some(7.5), lag_ms: 49, ..GOOD }, Failed, "1 of 3 laws broken"),
        (
            Made { shed: 2_000, ..GOOD },
            Failed,
            "what the service refused is 2,000, which is 196.08 % of what piles up meanwhile (1,020); needed: at most 120 % of that, or \
             1,224",
        ),
        (
            Made { within_budget: 5_500, ..GOOD },
            Failed,
            "the share answered within 250 ms is 55 %, which is 61.68 % of the share that can be answered in time (89.17 %); needed: at least 95 % of that, or 84.71 %",
        ),
        (
            Made { state: "interrupted", ..GOOD },
            Unjudged,
            "nothing can be judged: the run is interrupted; run it to its end",
        ),
        (Made { by_hand: 1, ..GOOD }, Unjudged, "switched by hand"),
    ] {
        let judged = judged(made, RIGHT);
        let text = told(&judged);
        assert_eq!(judged.verdict, verdict, "{text}");
        assert!(text.contains(said), "{said}\n---\n{text}");
        assert!(text.contains("\nnext: "), "{text}");
        if verdict == Failed {
            assert!(text.contains("\n     look at: "), "{text}");
        }
        texts.insert(text);
    }
    // One pair differs in nothing but a lag that decides nothing.
    assert_eq!(texts.len(), 9);
}

#[test]
fn a_ceiling_that_is_kept_in_spite_of_the_lag_is_kept() {
    let judged = judged(Made { lag_ms: 500, ..GOOD }, RIGHT);
    assert_eq!(judged.verdict, LabVerdict::Passed);
    assert!(told(&judged).contains("[ok] the backlog is gone one second after the standstill"));
}

#[test]
fn a_slow_service_leaves_open_what_it_may_have_broken() {
    use LabVerdict::{Failed, Passed, Unjudged};
    for (made, verdict, said) in [
        (
            Made { within_budget: 5_500, overrun_us: 300, ..GOOD },
            Unjudged,
            "cannot be judged: the service itself took 2.30 ms for what costs 2.00 ms, since the machine did other",
        ),
        (
            Made { shed: 4_000, overrun_us: 300, ..GOOD },
            Failed,
            "what the service refused is 4,000, which is 392.16 % of what piles up meanwhile (1,020); needed: at most 120 % of that, or \
             1,224",
        ),
        (
            Made { drained_s: Some(3.5), overrun_us: 300, ..GOOD },
            Unjudged,
            "3.50 times that; cannot be judged: the",
        ),
        (
            Made { drained_s: Some(7.5), overrun_us: 300, ..GOOD },
            Failed,
            "needed: at most 1.00 s: 7.50 times that\n",
        ),
        (Made { shed: 4_000, overrun_us: 700, ..GOOD }, Unjudged, "took 2.70 ms for what costs 2.00 ms"),
        // What holds all the same holds.
        (Made { overrun_us: 400, ..GOOD }, Passed, "passed, 2 of 2 predictions right"),
    ] {
        let judged = judged(made, RIGHT);
        let text = told(&judged);
        assert_eq!(judged.verdict, verdict, "{text}");
        assert!(text.contains(said), "{said}\n---\n{text}");
    }
}

#[test]
fn lateness_decides_only_what_it_may_have_moved() {
    use Standing::{Broken, Kept, Unjudged};
    for (that, late, on_time) in [
        ("drained <= 1s", Kept, Kept),
        ("drained <= 100ms", Unjudged, Broken),
        ("drained >= 1s", Broken, Broken),
        ("drained >= 100ms", Unjudged, Kept),
        ("1s >= drained", Kept, Kept),
        ("1s <= drained", Broken, Broken),
        ("100ms >= drained", Unjudged, Broken),
        ("drained = 0.5s within 5%", Unjudged, Kept),
        ("drained = 1s within 5%", Unjudged, Broken),
        ("drained <= 3", Unjudged, Unjudged),
        // A ratio is no law on a time.
        ("drained / drained >= 2", Broken, Broken),
    ] {
        let check = format!(
            "[figure]\ndrained = {{ is = \"it\", fault = \"stall\", metric = \"backlog_drained_after\" }}\n\
             [[predict]]\nkey = \"x\"\nask = \"x\"\nunit = \"number\"\ntruth = \"1\"\n\
             [[law]]\nname = \"x\"\nthat = \"{that}\"\nsay = \"x\"\nopen = \"x\"\n"
        );
        for (lag_ms, standing) in [(500, late), (1, on_time)] {
            let check = Check::parse(&check).unwrap();
            let judged = judged_by(&check, Made { lag_ms, ..GOOD }, "x = 1\nwhy = \"x\"");
            assert_eq!(judged.laws[0].standing, standing, "{that}, {lag_ms} ms: {}", judged.laws[0].figures);
        }
    }
}

#[test]
fn deliveries_are_as_late_as_the_readings_that_cause_them() {
    let mut report = report(Made { lag_ms: 51, ..GOOD });
    let heard = SummaryRow {
        fleet: "boards".into(),
        protocol: "sse".into(),
        kind: "delivery".into(),
        figures: Figures { planned: 10, ok: 10, ..Figures::default() },
        ..report.summary[0].clone()
    };
    report.summary.push(heard);
    let boards = Some("boards".to_owned());
    let scope = Scope { fleet: boards, subject: Subject::Deliveries, ..Scope::default() };
    assert_eq!(StoredRun::of(report).lag_ns(&scope), Some(51_000_000));
}

#[test]
fn a_wrong_prediction_with_a_mended_system_passes_and_shows_the_gap() {
    let judged = judged(GOOD, "peak = 340\ndrain = \"3s\"\nwhy = \"x\"");
    assert_eq!((judged.verdict, judged.right()), (LabVerdict::Passed, 0));
    assert_eq!(judged.own_service, None, "a run without a target says nothing of one");
    let text = told(&judged);
    let said = "[!=] readings that wait when the standstill is over\n     you said 340; the formula gives 1,020\n     the formula: \
                lambda * stall, where lambda (what comes) is 340/s and stall (how long the service stands still, S) is 3.00 s\n     \
                this run: 1,000\n";
    assert!(text.contains(said), "{text}");
    assert!(text.ends_with("\nrun:  lab/outage/runs/r\nnext: squall lab start overload\n"), "{text}");
    assert!(judged.laws.iter().all(|law| law.standing == Standing::Kept));
}

#[test]
fn sentences_are_folded_below_their_marks() {
    let lab = Lab::named("outage").unwrap();
    let style = Style { colour: false, ascii: false };
    let screen = Screen { style, width: 60 };
    let text = wording::judgement(&judged(GOOD, RIGHT), lab, &Progress::default(), screen);
    assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
    assert!(
        text.contains("\n✓ the backlog is gone one second after the standstill\n  the time from the end"),
        "{text}"
    );
}

#[test]
fn the_list_says_what_is_next_and_so_does_the_judgement() {
    let passed = || LabProgress { passed: Some("runs/x".into()), ..LabProgress::default() };
    let progress = |last: Option<&str>, labs: &[(&str, LabProgress)]| Progress {
        student: None,
        last: last.map(str::to_owned),
        labs: labs.iter().map(|(name, own)| ((*name).to_owned(), own.clone())).collect(),
    };
    let all: Vec<_> = LABS.iter().map(|lab| (lab.name, passed())).collect();
    let begun = LabProgress::default();
    for (progress, marks, next) in [
        (Progress::default(), "[->] clock ", "squall lab start clock"),
        (progress(Some("clock"), &[("clock", begun.clone())]), "[->] clock ", "squall lab run clock"),
        (progress(Some("clock"), &[("clock", passed())]), "\n[->] knee ", "squall lab start knee"),
        // Who begins in the middle goes on from there, and comes back to what was left out.
        (progress(Some("outage"), &[("outage", passed())]), "[ok] outage ", "squall lab start overload"),
        (progress(Some("knee"), &[("knee", begun.clone())]), "\n[->] knee ", "squall lab run knee"),
        (progress(Some("after"), &all[1..]), "[->] clock ", "squall lab start clock"),
        (progress(Some("after"), &all), "[ok] after ", "squall lab report"),
    ] {
        let text = wording::list(&progress, SCREEN);
        assert!(text.contains(marks) && text.ends_with(&format!("\nnext: {next}\n")), "{next}\n{text}");
    }
    // The run is one of `outage` that passed.
    for (labs, next) in [
        (vec![], "squall lab start overload"),
        (vec![("overload", begun)], "squall lab run overload"),
        (vec![("overload", passed())], "squall lab start priority"),
        (all, "squall lab report"),
    ] {
        let lab = Lab::named("outage").unwrap();
        let text = wording::judgement(&judged(GOOD, RIGHT), lab, &progress(Some("outage"), &labs), SCREEN);
        assert!(text.ends_with(&format!("\nnext: {next}\n")), "{text}");
    }
}

#[test]
fn readings_are_accounted_for_by_fleet() {
    let mut report = report(Made { shed: 2_000, ..GOOD });
    let figures = &mut report.summary[0].figures;
    (figures.ok, figures.dropped, figures.lost) = (6_682, 1_300, 18);
    let lab = Lab::named("outage").unwrap();
    let (check, plan, run) = (lab.check().unwrap(), plan(lab.scenario), StoredRun::of(report));
    let answers = Answers::read("answer.toml", RIGHT, &check).unwrap();
    let case = Case {
        check: &check,
        plan: &plan,
        answers: &answers,
        run: &run,
        is_given: true,
        before: None,
        first: None,
    };
    assert_eq!(
        case.account(),
        [
            "of `meters` came 10,000: 6,682 answered (8,900 of them within 250 ms), 2,000 refused, 18 never answered, \
          1,300 never left the device (its backlog was full)"
        ]
    );
}
