//! Budgets against what recorders recorded: percentiles that no column has, shares, scopes, failures, and absence of data.

use super::*;
use crate::budget::{Budget, Condition, Metric, Scope, Subject};
use crate::units::Span;

fn budget(scope: Scope, conditions: &[(&str, &str)]) -> Budget {
    let conditions =
        conditions.iter().map(|(key, text)| Condition::parse(key, text).unwrap().unwrap()).collect();
    Budget { name: None, scope, conditions, abort_on_fail: true, grace: Span::ZERO }
}

fn fleet(name: &str) -> Scope {
    Scope { fleet: Some(name.into()), ..Scope::default() }
}

fn phase(name: &str) -> Scope {
    Scope { phase: Some(name.into()), ..Scope::default() }
}

/// 1 000 readings of meters in 1 ms, 2 ms, … 1 000 ms within the measured phase; 900 of pumps answered in 10 ms, 30 shed, 10 lost
/// and 60 timed out; 5 of meters in the warm-up.
fn samples() -> Vec<(usize, Sample)> {
    let layout = layout();
    let mut samples = Vec::new();
    for nth in 0..1_000_u64 {
        let at = Tick(2 * SECOND + nth * MS);
        samples.push((0, sample(&layout, 0, at, (nth + 1) * MS, Outcome::Ok)));
        let outcome = match nth {
            0..900 => Outcome::Ok,
            900..930 => Outcome::Shed,
            930..940 => Outcome::Lost,
            _ => Outcome::Timeout,
        };
        samples.push((0, sample(&layout, 1, at, 10 * MS, outcome)));
    }
    for nth in 0..5_u64 {
        samples.push((0, sample(&layout, 0, Tick(SECOND + nth * MS), MS, Outcome::Ok)));
    }
    samples.sort_by_key(|(_, sample)| sample.completed);
    samples
}

#[test]
fn conditions_are_judged_by_what_was_recorded() {
    let out = tempfile::tempdir().unwrap();
    let (_, totals, _) = run_of(out.path(), &samples(), 1);
    let none = "no data: ";
    for (scope, key, text, met, measured) in [
        (fleet("meters"), "p50", "<=501ms", true, "500 ms"),
        (fleet("meters"), "p50", "<500ms", false, "500.2 ms"),
        (fleet("meters"), "p97_5", "<976ms", true, "975 ms"),
        (fleet("meters"), "p99", "<992ms", true, "990 ms"),
        (fleet("meters"), "p99_1", "<5s", false, "no data: too few samples for p99.1 (1,000, needs 1,112)"),
        (fleet("meters"), "service_p50_ms", "<251", true, "250 ms"),
        (fleet("meters"), "max", ">=1s", true, "1.0003 s"),
        (fleet("meters"), "error_rate", "<=0.1%", true, "0 %"),
        (fleet("meters"), "within_budget", ">=50", true, "50"),
        (fleet("meters"), "within_budget_rate", "<=5%", true, "5 %"),
        (Scope::default(), "within_budget_rate", "<=5%", true, "5 %"),
        (fleet("pumps"), "within_budget_rate", "<5%", false, "no data: no reading had a latency budget"),
        (fleet("pumps"), "p50", "<11ms", true, "10.0 ms"),
        (fleet("pumps"), "p95", "<60s", false, "at least 5.00 s"),
        (fleet("pumps"), "p95", ">4s", true, "at least 5.00 s"),
        (fleet("pumps"), "ok_p99", "<11ms", false, "no data: too few samples for p99 (900, needs 1,000)"),
        (fleet("pumps"), "error_rate", "<=10%", true, "10 %"),
        (fleet("pumps"), "error_rate", "<10%", false, "10 %"),
        (fleet("pumps"), "shed_rate", "<=3%", true, "3 %"),
        (fleet("pumps"), "timeout_rate", "<=6%", true, "6 %"),
        (fleet("pumps"), "lost_rate", "<=1%", true, "1 %"),
        (fleet("pumps"), "dropped_rate", "<=0%", true, "0 %"),
        (fleet("pumps"), "shortfall", "<=1%", true, "1 %"),
        (fleet("pumps"), "failed_rate", "<=10%", true, "10 %"),
        (fleet("pumps"), "shed", "<30", false, "30"),
        (fleet("pumps"), "ok_rate", ">=90%", true, "90 %"),
        (Scope::default(), "planned", ">=2000", true, "2,000"),
        (Scope { protocol: Some("mqtt".into()), ..Scope::default() }, "planned", "<=1000", true, "1,000"),
        (phase("warm-up"), "planned", "<=5", true, "5"),
        (phase("steady"), "planned", ">=2_000", true, "2,000"),
        (
            Scope { subject: Subject::Connections, ..Scope::default() },
            "connect_error_rate",
            "<=0%",
            false,
            "no data: nothing came due",
        ),
        (
            Scope { fault: Some("cut".into()), ..Scope::default() },
            "recovered",
            "true",
            false,
            "no data: it was never on",
        ),
        (fleet("meters"), "found_rate", ">1%", false, "no data: nothing ended"),
        (fleet("meters"), "censored_floor", ">1s", false, "no data: nothing failed"),
    ] {
        let results = judge(&totals, &[budget(scope, &[(key, text)])], None);
        let [result] = results.as_slice() else { panic!("{results:?}") };
        let said = match (&result.measured, &result.reason) {
            (Some(measured), None) => measured.clone(),
            (None, Some(reason)) => format!("{none}{reason}"),
            other => panic!("{other:?}"),
        };
        assert_eq!((result.met, said.as_str()), (met, measured), "{} {}", result.scope, result.demand);
        assert!(result.value.is_some() || !result.met, "no data is never met");
    }
}

#[test]
fn results_hold_numbers_beside_words() {
    let out = tempfile::tempdir().unwrap();
    let (_, totals, _) = run_of(out.path(), &samples(), 1);
    let named =
        Budget { name: Some("quick".into()), ..budget(fleet("pumps"), &[("p95", "<1s"), ("shed", "<=30")]) };
    let results = judge(&totals, &[named], None);
    let [p95, shed] = results.as_slice() else { panic!("{results:?}") };
    assert_eq!((p95.bound, p95.unit.as_str(), p95.at_least), (Some(1_000.0), "ms", true));
    assert_eq!((shed.bound, shed.value, shed.unit.as_str()), (Some(30.0), Some(30.0), "count"));
    let row = totals.readings(Some(FleetId(1))).response(Quantile::P95).unwrap();
    assert_eq!(p95.value, Some(row.ns as f64 / 1e6), "to three digits, as in the other files");
    assert_eq!(p95.sentence(), "quick (pumps): p95 < 1s, measured at least 5.00 s");
    let text = serde_json::to_string(&results).unwrap();
    assert_eq!(serde_json::from_str::<Vec<BudgetResult>>(&text).unwrap(), results);
    let older = r#"{"demand":"p99 < 1s","fleet":"all","measured":null,"met":false}"#;
    assert_eq!(
        serde_json::from_str::<BudgetResult>(older).unwrap().sentence(),
        "all: p99 < 1s, measured no data"
    );
}

#[test]
fn every_column_of_a_summary_can_be_demanded() {
    // These say something of an interval only, or what a tail is made of, not how long it is.
    let others = ["fault", "open", "overdue"];
    let demanded = |column: &&&str| !others.contains(*column) && !column.starts_with("tail_");
    for column in Figures::COLUMNS.iter().filter(demanded) {
        assert!(matches!(Metric::parse(column), Some(Ok(_))), "{column}");
    }
}

/// The measured phase in two.
fn two_phases() -> Arc<Layout> {
    let mut layout = (*layout()).clone();
    layout.phases[2].end = Tick(5 * SECOND);
    let late = PhaseInfo {
        name: "late".into(),
        start: Tick(5 * SECOND),
        end: Tick(8 * SECOND),
        ..layout.phases[2].clone()
    };
    layout.phases.push(late);
    Arc::new(layout)
}

/// What is longer than a histogram reaches may be as long as it likes.
#[test]
fn what_was_clipped_keeps_under_no_ceiling() {
    let out = tempfile::tempdir().unwrap();
    let layout = layout();
    let samples: Vec<_> = (0..40)
        .map(|nth| {
            let response_ns = if nth % 2 == 0 { 400 * SECOND } else { MS };
            (0, sample(&layout, 0, Tick(2 * SECOND + nth * MS), response_ns, Outcome::Ok))
        })
        .collect();
    let (_, totals, _) = run_of(out.path(), &samples, 1);
    for (key, met, at_least) in [
        ("p75", false, true),
        ("ok_p75", false, true),
        ("service_p75", false, true),
        ("backlog_wait_p75", false, true),
        ("max", false, true),
        ("mean", false, true),
        ("service_max", false, true),
        ("p25", true, false),
        ("min", true, false),
    ] {
        let results = judge(&totals, &[budget(Scope::default(), &[(key, "<90s")])], None);
        assert_eq!((results[0].met, results[0].at_least), (met, at_least), "{key}: {:?}", results[0]);
    }
}

/// The first budget that the reports of a run with these budgets say has failed, and when.
fn failed_early(budgets: &[Budget]) -> Option<(u64, BudgetResult)> {
    failed_early_in(&layout(), budgets)
}

fn failed_early_in(layout: &Arc<Layout>, budgets: &[Budget]) -> Option<(u64, BudgetResult)> {
    let out = tempfile::tempdir().unwrap();
    let started = WallTime::from_epoch(Duration::from_secs(1_790_000_000));
    let directory = RunDirectory::create(out.path(), "trial", "a", started).unwrap();
    let mut files = directory.start_files(layout, started).unwrap();
    let (mut recorders, collector) = recorders(layout, 1);
    let mut recorder = recorders.pop().unwrap();
    let mut failed = Vec::new();
    // The recorder waits for every interval's report: the collector then never merges intervals.
    let (tell, told) = std::sync::mpsc::sync_channel::<()>(16);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for second in 0..10_u64 {
                if second >= 1 {
                    for nth in 0..20 {
                        let at = Tick(second * SECOND + nth * MS);
                        // From the fourth second on nothing ends well.
                        let outcome = if second < 4 { Outcome::Ok } else { Outcome::Shed };
                        offer(&mut recorder, &sample(layout, 0, at, MS, outcome));
                    }
                }
                recorder.rotate(Tick((second + 1) * SECOND));
                told.recv().unwrap();
            }
            recorder.finish(Tick(10 * SECOND));
        });
        collector.with_budgets(budgets).run(&mut files, |report| {
            failed.extend(report.budget_failed.clone().map(|result| (report.end.0 / SECOND, result)));
            let _ = tell.try_send(());
        });
    });
    assert!(failed.len() <= 1, "said once: {failed:?}");
    failed.pop()
}

#[test]
fn a_budget_that_may_end_the_run_is_judged_at_every_interval_of_the_measured_phases() {
    let shed = || budget(Scope::default(), &[("shed", "<1")]);
    // Two seconds of 20 ok each, then shed ones: 20 of 60 at the end of the fifth second.
    let (at, result) = failed_early(&[shed()]).unwrap();
    assert_eq!((at, result.met, result.aborted, result.measured.as_deref()), (5, false, true, Some("20")));
    let layout = two_phases();
    let late =
        |grace_ms| Budget { grace: Span::from_ms(grace_ms), ..budget(phase("late"), &[("shed", "<1")]) };
    // The second of two phases begins at 5 s.
    assert_eq!(failed_early_in(&layout, &[late(0)]).map(|(at, _)| at), Some(6));
    assert_eq!(failed_early_in(&layout, &[late(1_500)]).map(|(at, _)| at), Some(7));
    let grace = Budget { grace: Span::from_ms(4_500), ..shed() };
    assert_eq!(failed_early(&[grace]).map(|(at, _)| at), Some(7), "4.5 s into phases that begin at 2 s");
    assert_eq!(failed_early(&[budget(phase("warm-up"), &[("p50", "<1ns")])]).map(|(at, _)| at), Some(3));
    for idle in [
        Budget { abort_on_fail: false, ..shed() },
        budget(Scope::default(), &[("ok", ">1000")]),
        budget(fleet("pumps"), &[("p50", "<1ns")]),
        budget(Scope::default(), &[("p99_9", "<1ns")]),
        budget(Scope::default(), &[("shed", "<1000")]),
        budget(Scope { fault: Some("cut".into()), ..Scope::default() }, &[("worst_p99", "<1ns")]),
    ] {
        assert_eq!(failed_early(&[idle]), None, "neither without data nor what can still grow");
    }
}

#[test]
fn what_failed_early_stays_failed() {
    let out = tempfile::tempdir().unwrap();
    let (_, totals, _) = run_of(out.path(), &samples(), 1);
    let budgets = [budget(fleet("meters"), &[("error_rate", "<1%"), ("p50", "<5s")])];
    let early = judge(&totals, &budgets, None).remove(0);
    assert!(early.met);
    let early = BudgetResult { met: false, aborted: true, ..early };
    let results = judge(&totals, &budgets, Some(&early));
    assert_eq!((results[0].met, results[0].aborted, results[1].met), (false, true, true));
}

#[test]
fn a_budget_that_the_generator_may_have_broken_makes_the_measurement_invalid() {
    use crate::record::{Cause, Judgement, Validity};
    let budget = |metric: &str, met: bool, kind: &str| BudgetResult {
        metric: metric.to_owned(),
        met,
        value: Some(1.0),
        kind: kind.to_owned(),
        ..BudgetResult::default()
    };
    let up_to_p95 = Some(["p50", "p90", "p95"].map(str::to_owned).to_vec());
    // (metric, met, kind, covers) → invalid
    for (metric, met, kind, covers, invalid) in [
        ("p99", false, "reading", &up_to_p95, true),
        ("ok_p99", false, "reading", &up_to_p95, true),
        ("service_p97_5", false, "reading", &up_to_p95, true),
        ("p99_99", false, "reading", &up_to_p95, true),
        ("p99", true, "reading", &up_to_p95, false),
        ("p99", false, "connect", &up_to_p95, false),
        ("p95", false, "reading", &up_to_p95, false),
        ("p93_7", false, "reading", &up_to_p95, false),
        ("pacing_lag_p99", false, "reading", &up_to_p95, false),
        ("error_rate", false, "reading", &up_to_p95, false),
        ("p99", false, "reading", &None, false),
        ("p50", false, "reading", &Some(Vec::new()), true),
    ] {
        let mut budgets = [budget(metric, met, kind), budget("ok", true, "reading")];
        let mut validity = Validity { covers: covers.clone(), ..Validity::new() };
        validity.add(Judgement::Suspect, Cause::Lag, "why".into());
        confine(&mut validity, &mut budgets);
        assert_eq!(validity.verdict == Judgement::Invalid, invalid, "{metric} {met} {kind} {covers:?}");
        assert_eq!(validity.reasons.len(), 1 + usize::from(invalid), "{:?}", validity.reasons);
        assert!(budgets.iter().all(|budget| budget.unjudged == invalid), "{budgets:?}");
    }
}

#[test]
fn what_was_still_to_come_when_the_run_ended_itself_is_not_judged() {
    let out = tempfile::tempdir().unwrap();
    let (_, totals, _) = run_of(out.path(), &[], 1);
    let budgets = [budget(phase("warm-up"), &[("p50", "<1s")]), budget(phase("steady"), &[("p50", "<1s")])];
    for (ended, unjudged) in [(1, [true, true]), (2, [false, true]), (8, [false, false])] {
        let mut results = judge(&totals, &budgets, None);
        left_out(&mut results, &layout(), Tick(ended * SECOND));
        let found: Vec<_> = results.iter().map(|result| result.unjudged).collect();
        assert_eq!(found, unjudged, "{ended} s: {results:?}");
    }
}
