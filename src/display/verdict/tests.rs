//! What the report at the end of a run says, where, and when.

use std::collections::BTreeMap;

use super::*;
use crate::record::{CacheHits, Outcomes, ServiceCounts, Validity};
use crate::results::{
    BudgetResult, ClockFacts, Column, DetectionCount, Detections, Expectation, Figures, FirstViolation,
    FleetDelivery, Host, Manifest, PacerFacts, RecoveryRule, SCHEMA, ScenarioText, Score, ServiceFacts,
    ServicePhase, Stretch, SummaryRow,
};

const RICH: Style = Style { colour: false, ascii: false };

fn manifest(verdict: Judgement, reasons: &[&str]) -> Manifest {
    Manifest {
        schema: SCHEMA,
        tool_version: "0.1.0".into(),
        label: "main".into(),
        run_id: "2026-11-20T21-41-15Z-main".into(),
        state: RunState::Complete,
        seed: "7".into(),
        plan_digest: "ab".into(),
        plan: None,
        run_token: None,
        scenario: ScenarioText { name: "quickstart".into(), text: String::new(), overrides: Vec::new() },
        started: String::new(),
        ended: None,
        host: Host {
            name: String::new(),
            kernel: String::new(),
            cores: 2,
            cpu_model: None,
            memory_bytes: None,
        },
        clock: ClockFacts { resolution_ns: 30, moved_ns: None },
        pacer: PacerFacts { kind: "timerfd".into(), slack_ns: 0, awake_ns: 50_000 },
        workers: 2,
        targets: BTreeMap::new(),
        source_ips: Vec::new(),
        worker_use: Vec::new(),
        pacing_lag: None,
        calibration: None,
        validity: Some(Validity {
            verdict,
            reasons: reasons.iter().map(ToString::to_string).collect(),
            ..Validity::new()
        }),
        budgets: Vec::new(),
        anomaly_rows_omitted: 0,
        plan_altered: Vec::new(),
        faults_by_hand: 0,
        recovery: RecoveryRule::default(),
        fault_spells_omitted: 0,
        switches_omitted: 0,
        delivery: Vec::new(),
        failures: Vec::new(),
        refused: None,
        silences: Vec::new(),
        encounters: Vec::new(),
        shard: None,
        start_at: None,
        merged: Vec::new(),
        subscribers: Vec::new(),
        lab: None,
        exit_code: None,
        reference: None,
        fleets: Vec::new(),
        files: BTreeMap::new(),
    }
}

fn row(keys: [&str; 4], duration_s: f64, figures: Figures) -> SummaryRow {
    let [phase, fleet, protocol, kind] = keys.map(str::to_owned);
    SummaryRow { duration_s, phase, fleet, protocol, kind, figures }
}

fn quick(planned: u64, seconds: f64, slower: u64) -> Figures {
    let us = |us: u64| Some(Millis(us * slower * 1_000));
    Figures {
        planned,
        sent: planned,
        ok: planned,
        rate_per_s: planned as f64 / seconds,
        p50_ms: us(412),
        p99_ms: us(1_243),
        p99_9_ms: us(3_108),
        max_ms: us(8_211),
        service_p99_ms: us(1_199),
        ..Figures::default()
    }
}

fn troubled() -> Figures {
    Figures {
        ok: 11_900,
        timeout: 60,
        error: 40,
        error_reset: 40,
        late: 3,
        within_budget: Some(11_899),
        censored: 100,
        censored_floor_ms: Some(Millis(5_000_000_000)),
        p99_9_ms: Some(Millis(5_003_800_000)),
        max_ms: Some(Millis(5_003_800_000)),
        rate_per_s: 11_900.0 / 30.0,
        ..quick(12_000, 30.0, 2)
    }
}

fn report() -> Report {
    let measured = Figures {
        stage_network_p50_ms: Some(Millis(210_000)),
        stage_queue_p50_ms: Some(Millis(80_000)),
        stage_cache_p50_ms: Some(Millis(1_400)),
        stage_inference_p50_ms: Some(Millis(101_000)),
        pacing_lag_p50_ms: Some(Millis(61_000)),
        pacing_lag_p99_ms: Some(Millis(188_000)),
        ..troubled()
    };
    let mut run = manifest(Judgement::Valid, &[]);
    let budget = |demand: &str, measured: Option<&str>, met| BudgetResult {
        demand: demand.into(),
        fleet: "pumps".into(),
        measured: measured.map(str::to_owned),
        met,
        ..BudgetResult::default()
    };
    run.budgets =
        vec![budget("p99 < 250 ms", Some("2.49 ms"), true), budget("errors < 0.1 %", Some("0.83 %"), false)];
    Report {
        run,
        directory: "results/quickstart/2026-11-20T21-41-15Z-main".into(),
        summary: vec![
            row(
                ["connect", "meters", "http", "connect"],
                3.0,
                Figures { sent: 0, service_p99_ms: None, ..quick(300, 3.0, 1) },
            ),
            row(["warm-up", "meters", "http", "reading"], 5.0, quick(4_000, 5.0, 1)),
            row(["steady", "meters", "http", "reading"], 30.0, quick(1_234_000, 30.0, 1)),
            row(["steady", "pumps", "mqtt", "reading"], 30.0, troubled()),
            row(["all", "all", "all", "reading"], 30.0, measured),
        ],
        detection: Detections::default(),
        faults: Vec::new(),
        failures: Vec::new(),
        delivery: Vec::new(),
        rebuilt: None,
    }
}

/// The report of a run of which nothing over time is known.
fn shown(report: &Report, width: usize, verbose: bool, style: Style) -> String {
    verdict(report, None, View { width, verbose, style })
}

/// Forty seconds: response times and failures rise in the middle.
fn history() -> History {
    let stretch = |name: &str, start_s, end_s| Stretch { name: name.into(), start_s, end_s };
    let column = |nth: u64| {
        let bad = (20..25).contains(&nth);
        let ok = if nth == 0 { 0 } else { 400 - nth % 3 };
        Column {
            outcomes: Outcomes { planned: ok, ok, timeout: if bad { 20 } else { 0 }, ..Outcomes::default() },
            p50: (ok > 0).then_some(412_000),
            p99: (ok > 0).then_some(if bad { 5_003_800_000 } else { 1_240_000 + nth * 1_000 }),
            ..Column::default()
        }
    };
    History {
        column_s: 1.0,
        intervals: 1,
        end_s: 40.0,
        phases: vec![
            stretch("connect", 0.0, 3.0),
            stretch("warm-up", 3.0, 8.0),
            stretch("steady", 8.0, 38.0),
        ],
        columns: (0..40).map(column).collect(),
        ..History::default()
    }
}

/// A run in which all was well, with everything that a report can say of one.
fn healthy() -> Report {
    let mut report = report();
    let met =
        |demand: &str| BudgetResult { demand: demand.into(), met: true, ..report.run.budgets[0].clone() };
    report.run.budgets = vec![met("p99 < 250 ms"), met("errors < 0.1 %")];
    let ms = |ms: f64| Some(Millis((ms * 1e6) as u64));
    let figures = |planned: u64, slower| Figures {
        within_budget: Some(planned),
        stage_network_p50_ms: ms(0.21),
        stage_queue_p50_ms: ms(0.08),
        stage_cache_p50_ms: ms(0.0014),
        stage_inference_p50_ms: ms(0.101),
        tail_readings: Some(planned / 100),
        tail_wait_ms: ms(0.05),
        tail_network_ms: ms(0.4),
        tail_queue_ms: ms(1.9),
        tail_cache_ms: ms(0.002),
        tail_inference_ms: ms(0.11),
        tail_other_ms: ms(0.004),
        pacing_lag_p50_ms: ms(0.061),
        pacing_lag_p99_ms: ms(0.188),
        ..quick(planned, 15.0, slower)
    };
    let mut rows: Vec<_> = report.summary.drain(..2).collect();
    for (phase, fleet, protocol, planned) in [
        ("steady", "machines", "ws", 13_505),
        ("steady", "meters", "http", 9_022),
        ("steady", "sensors", "mqtt", 13_504),
        ("burst", "machines", "ws", 9_004),
        ("burst", "meters", "http", 5_945),
    ] {
        rows.push(row([phase, fleet, protocol, "reading"], 15.0, figures(planned, 1)));
    }
    rows.push(row(["all", "all", "all", "reading"], 30.0, figures(50_980, 1)));
    report.summary = rows;
    let counts = ServiceCounts {
        received: 50_980,
        verdicts: 50_980,
        inferences: 8_564,
        hits: CacheHits { exact: 42_416, ..CacheHits::default() },
        queue_peak: 17,
        ..ServiceCounts::default()
    };
    let phase = |name: &str, counts| ServicePhase { phase: name.into(), counts };
    let idle = ServiceCounts::default();
    report.run.reference = Some(ServiceFacts {
        queue_capacity: 10_000,
        workers: 2,
        phases: vec![phase("connect", idle), phase("steady", counts), phase("burst", idle)],
    });
    report
}

#[test]
fn when_all_is_well_the_report_is_short_and_ends_with_the_two_judgements() {
    let history = history();
    let calm = History {
        columns: history
            .columns
            .iter()
            .map(|column| Column {
                p99: column.p50.map(|_| 1_240_000),
                outcomes: Outcomes { timeout: 0, ..column.outcomes },
                ..column.clone()
            })
            .collect(),
        ..history
    };
    let text = |width, style| verdict(&healthy(), Some(&calm), View { width, verbose: false, style });
    insta::assert_snapshot!(text(80, RICH), @r#"
quickstart · 2026-11-20T21-41-15Z-main
phases     ╵  ╵war…╵steady                           40.0 s
ok/s        ███████████████████████████████████████  up to 400/s
p50         ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁  412 µs
p99         ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄  1.24 ms

response time  planned      ok  failed     p50      p99      max  service p99
measured · 30.0 s · offered 1 699/s · ok 3 399/s · 7 further rows: -v
  all fleets    50 980  50 980       –  412 µs  1.24 ms  8.21 ms      1.20 ms
slowest 1% queue 1.90 ms (77 %) · network 400 µs (16 %)
bundled    cache hits 83.20 % · 8 564 inferences · queue peak 17 of 10 000
files      results/quickstart/2026-11-20T21-41-15Z-main
words      response: from due to answered · service: from sent
service      all 50 980 readings answered ok; all 2 budgets met
measurement  valid: the generator kept to its plan
"#);
    insta::assert_snapshot!(text(120, Style::PLAIN), @r#"
quickstart, 2026-11-20T21-41-15Z-main
phases     |conn~|warm-up  |steady                                                           40.0 s
ok/s         ##############################################################################  up to 400/s
p50          ______________________________________________________________________________  412 us
p99          ------------------------------------------------------------------------------  1.24 ms

response time  planned      ok  failed     p50      p99     p99.9      max  service p99
measured, 30.0 s, offered 1,699/s, ok 3,399/s, 7 further rows: -v
  all fleets    50,980  50,980       -  412 us  1.24 ms  ~3.11 ms  8.21 ms      1.20 ms
~ fewer than 100 samples lie beyond this percentile
slowest 1% queue 1.90 ms (77 %), network 400 us (16 %)
bundled    cache hits 83.20 %, 8,564 inferences, queue peak 17 of 10,000
files      results/quickstart/2026-11-20T21-41-15Z-main
words      response: from due to answered, service: from sent, p99: 1 in 100 is slower
service      all 50,980 readings answered ok; all 2 budgets met
measurement  valid: the generator kept to its plan
"#);
    assert!(text(80, RICH).lines().count() <= 15, "{}", text(80, RICH));
    assert!(text(80, Style::PLAIN).is_ascii());
}

#[test]
fn what_is_folded_is_what_verbose_adds() {
    let (report, history) = (healthy(), history());
    let view = View { width: 120, verbose: true, style: Style::PLAIN };
    let all = verdict(&report, Some(&history), view);
    insta::assert_snapshot!(all, @r#"
quickstart, 2026-11-20T21-41-15Z-main
phases     |conn~|warm-up  |steady                                                           40.0 s
ok/s         ##############################################################################  up to 400/s
p50          ______________________________________________________________________________  412 us
p99          ______________________________________##########______________________________  1.24 ms to 5.00 s
failed/s                                           ##########                                up to 20/s

response time   planned      ok  failed     p50       p99     p99.9      max  service p99
connections, connect
  meters http       300     300       -  412 us       n/a       n/a  8.21 ms            -
warm-up, 5.00 s, offered 800/s, ok 800/s
  meters http     4,000   4,000       -  412 us  ~1.24 ms       n/a  8.21 ms     ~1.20 ms
steady, 15.0 s, offered 2,402/s, ok 2,402/s
  machines ws    13,505  13,505       -  412 us   1.24 ms  ~3.11 ms  8.21 ms      1.20 ms
  meters http     9,022   9,022       -  412 us  ~1.24 ms       n/a  8.21 ms     ~1.20 ms
  sensors mqtt   13,504  13,504       -  412 us   1.24 ms  ~3.11 ms  8.21 ms      1.20 ms
burst, 15.0 s, offered 997/s, ok 997/s
  machines ws     9,004   9,004       -  412 us  ~1.24 ms       n/a  8.21 ms     ~1.20 ms
  meters http     5,945   5,945       -  412 us  ~1.24 ms       n/a  8.21 ms     ~1.20 ms
measured, 30.0 s, offered 1,699/s, ok 3,399/s
  all fleets     50,980  50,980       -  412 us   1.24 ms  ~3.11 ms  8.21 ms      1.20 ms

where the time goes             wait  network    queue    cache  inference    other
steady
  machines ws, median              -   210 us  80.0 us  1.40 us     101 us        -
  machines ws, slowest 1 %   50.0 us   400 us  1.90 ms  2.00 us     110 us  4.00 us
  meters http, median              -   210 us  80.0 us  1.40 us     101 us        -
  meters http, slowest 1 %   50.0 us   400 us  1.90 ms  2.00 us     110 us  4.00 us
  sensors mqtt, median             -   210 us  80.0 us  1.40 us     101 us        -
  sensors mqtt, slowest 1 %  50.0 us   400 us  1.90 ms  2.00 us     110 us  4.00 us
burst
  machines ws, median              -   210 us  80.0 us  1.40 us     101 us        -
  machines ws, slowest 1 %   50.0 us   400 us  1.90 ms  2.00 us     110 us  4.00 us
  meters http, median              -   210 us  80.0 us  1.40 us     101 us        -
  meters http, slowest 1 %   50.0 us   400 us  1.90 ms  2.00 us     110 us  4.00 us
~ fewer than 100 samples lie beyond this percentile
n/a: fewer than 10 samples lie beyond this percentile
stages p50 network 210 us, queue 80.0 us, cache 1.40 us, inference 101 us
slowest 1% queue 1.90 ms (77 %), network 400 us (16 %), inference 110 us (4 %), wait 50.0 us (2 %), other 4.00 us (0 %),
           cache 2.00 us (0 %)
bundled    50,980 verdicts, cache hits 83.20 % (exact 42,416), 8,564 inferences, queue peak 17 of 10,000
bundled    steady: 50,980 verdicts, cache hits 83.20 % (exact 42,416), 8,564 inferences, queue peak 17 of 10,000
bundled    burst: 0 verdicts, cache hits 0.00 %, 0 inferences, queue peak 0 of 10,000
generator  lag p50 61.0 us, p99 188 us (timerfd pacer)
files      results/quickstart/2026-11-20T21-41-15Z-main
words      response: from due to answered, service: from sent, p99: 1 in 100 is slower, wait: before it was sent

budget     all 2 met
budget     met pumps: p99 < 250 ms, measured 2.49 ms
budget     met pumps: errors < 0.1 %, measured 2.49 ms
service      all 50,980 readings answered ok
measurement  valid: the generator kept to its plan
"#);
}

#[test]
fn what_failed_stands_out_and_the_judgements_come_last() {
    let text = |width, style| verdict(&report(), Some(&history()), View { width, verbose: false, style });
    insta::assert_snapshot!(text(80, RICH), @r#"
quickstart · 2026-11-20T21-41-15Z-main
phases     ╵  ╵war…╵steady                           40.0 s
ok/s        ███████████████████████████████████████  up to 400/s
p50         ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁  412 µs
p99         ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁█████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁  1.24 ms to 5.00 s
failed/s                       █████                 up to 20/s

response time         ok  failed     p50      p99      max  service p99
steady · 30.0 s · offered 41 533/s · ok 41 530/s
  meters http  1 234 000       –  412 µs  1.24 ms  8.21 ms      1.20 ms
  pumps mqtt      11 900     100  824 µs  2.49 ms     >5 s      2.40 ms
    timeout: 60 · reset errors: 40 · late answers: 3 · within budget 99.15 %
measured · 30.0 s · offered 400/s · ok 397/s · 2 further rows: -v
  all fleets      11 900     100  824 µs  2.49 ms     >5 s      2.40 ms
    timeout: 60 · reset errors: 40 · late answers: 3
> at least: a failed reading counts as its time-out or more
stages p50 network 210 µs · queue 80.0 µs · cache 1.40 µs · inference 101 µs
files      results/quickstart/2026-11-20T21-41-15Z-main
words      response: from due to answered · service: from sent

budget     1 of 2 failed
budget     failed pumps: errors < 0.1 %, measured 0.83 %
service      11 900 of 12 000 readings answered ok; 0.84 % failed
measurement  valid: the generator kept to its plan
"#);
    insta::assert_snapshot!(text(120, RICH), @r#"
quickstart · 2026-11-20T21-41-15Z-main
phases     ╵conn…╵warm-up  ╵steady                                                           40.0 s
ok/s         ██████████████████████████████████████████████████████████████████████████████  up to 400/s
p50          ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁  412 µs
p99          ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁██████████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁  1.24 ms to 5.00 s
failed/s                                           ██████████                                up to 20/s

response time    planned         ok  failed     p50      p99    p99.9      max  service p99
steady · 30.0 s · offered 41 533/s · ok 41 530/s
  meters http  1 234 000  1 234 000       –  412 µs  1.24 ms  3.11 ms  8.21 ms      1.20 ms
  pumps mqtt      12 000     11 900     100  824 µs  2.49 ms    ~>5 s     >5 s      2.40 ms
    timeout: 60 · reset errors: 40 · late answers: 3 · within budget 99.15 %
measured · 30.0 s · offered 400/s · ok 397/s · 2 further rows: -v
  all fleets      12 000     11 900     100  824 µs  2.49 ms    ~>5 s     >5 s      2.40 ms
    timeout: 60 · reset errors: 40 · late answers: 3
~ fewer than 100 samples lie beyond this percentile
> at least: a failed reading counts as its time-out or more
stages p50 network 210 µs · queue 80.0 µs · cache 1.40 µs · inference 101 µs
files      results/quickstart/2026-11-20T21-41-15Z-main
words      response: from due to answered · service: from sent · p99: 1 in 100 is slower

budget     1 of 2 failed
budget     failed pumps: errors < 0.1 %, measured 0.83 %
service      11 900 of 12 000 readings answered ok; 0.84 % failed
measurement  valid: the generator kept to its plan
"#);
}

#[test]
fn a_narrow_plain_stream_gets_ascii_and_fewer_columns() {
    let text = shown(&report(), 72, true, Style::PLAIN);
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!(text, @r#"
quickstart, 2026-11-20T21-41-15Z-main

response time         ok  failed     p50       p99      max  service p99
connections, connect
  meters http        300       -  412 us       n/a  8.21 ms            -
warm-up, 5.00 s, offered 800/s, ok 800/s
  meters http      4,000       -  412 us  ~1.24 ms  8.21 ms     ~1.20 ms
steady, 30.0 s, offered 41,533/s, ok 41,530/s
  meters http  1,234,000       -  412 us   1.24 ms  8.21 ms      1.20 ms
  pumps mqtt      11,900     100  824 us   2.49 ms     >5 s      2.40 ms
    timeout: 60, reset errors: 40, late answers: 3, within budget 99.15
    %
measured, 30.0 s, offered 400/s, ok 397/s
  all fleets      11,900     100  824 us   2.49 ms     >5 s      2.40 ms
    timeout: 60, reset errors: 40, late answers: 3
~ fewer than 100 samples lie beyond this percentile
n/a: fewer than 10 samples lie beyond this percentile
> at least: a failed reading counts as its time-out or more
stages p50 network 210 us, queue 80.0 us, cache 1.40 us, inference 101
           us
generator  lag p50 61.0 us, p99 188 us (timerfd pacer)
files      results/quickstart/2026-11-20T21-41-15Z-main
words      response: from due to answered, service: from sent

budget     1 of 2 failed
budget     failed pumps: errors < 0.1 %, measured 0.83 %
budget     met pumps: p99 < 250 ms, measured 2.49 ms
service      11,900 of 12,000 readings answered ok; 0.84 % failed
measurement  valid: the generator kept to its plan
"#);
}

#[test]
fn what_was_answered_what_failed_and_the_tail_stay_however_narrow_the_screen() {
    let columns = |width| {
        let text = shown(&report(), width, true, Style::PLAIN);
        let header = text.lines().find(|line| line.starts_with("response time")).map(str::to_owned);
        header
            .unwrap()
            .split("  ")
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect()
    };
    for (width, gone) in [
        (120, &[][..]),
        (90, &["p99.9"]),
        (80, &["p99.9", "planned"]),
        (70, &["p99.9", "planned", "max"]),
        (60, &["p99.9", "planned", "max", "service p99"]),
        (44, &["p99.9", "planned", "max", "service p99", "p50"]),
    ] {
        let all = ["response time", "planned", "ok", "failed", "p50", "p99", "p99.9", "max", "service p99"];
        let left: Vec<_> = all.into_iter().filter(|name| !gone.contains(name)).collect();
        let found: Vec<String> = columns(width);
        assert_eq!(found, left, "{width}");
    }
}

#[test]
fn a_run_that_cannot_be_trusted_says_so_and_why() {
    let reason = "pacing lag p99 of 4.1 ms is more than 10 % of the measured p50 of 12 ms, so that the generator adds to what it measures";
    let mut report = report();
    report.run = manifest(Judgement::Invalid, &[reason, "the machine was saturated"]);
    report.run.state = RunState::Interrupted;
    report.summary.clear();
    insta::assert_snapshot!(shown(&report, 80, false, RICH), @r#"
quickstart · 2026-11-20T21-41-15Z-main · interrupted

nothing was measured
files      results/quickstart/2026-11-20T21-41-15Z-main
measurement  invalid: the generator was the bottleneck, not the service
  - pacing lag p99 of 4.1 ms is more than 10 % of the measured p50 of 12 ms, so
    that the generator adds to what it measures
  - the machine was saturated
"#);
}

#[test]
fn a_plan_that_was_altered_is_told_in_the_first_line_and_before_the_judgements() {
    let mut report = healthy();
    let altered = serde_json::json!({"phase": "steady", "at_s": 12.5, "left_out_s": 3.0, "faults": ["cut"]});
    report.run.plan_altered = vec![serde_json::from_value(altered).unwrap()];
    let text = shown(&report, 100, false, Style::PLAIN);
    assert!(text.lines().next().unwrap().ends_with("plan altered"), "{text}");
    let told =
        "plan       phase `steady` was ended by hand at 12.5 s, 3.00 s early (faults left out: cut): do not";
    assert!(text.contains(told) && text.find(told) < text.find("measurement"), "{text}");
}

#[test]
fn what_was_seeded_and_found_stands_beside_the_other_facts() {
    let mut report = report();
    report.detection.all = Score {
        spike: DetectionCount { seeded: 121, found: 118 },
        shift: DetectionCount { seeded: 10, found: 9 },
        judged_normal: 95_012,
        false_alarms: 114,
        ..Score::default()
    };
    report.run.anomaly_rows_omitted = 1_000;
    let text = shown(&report, 100, true, Style::PLAIN);
    let lines: Vec<_> = text.lines().skip_while(|line| !line.starts_with("generator")).take(4).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
generator  lag p50 61.0 us, p99 188 us (timerfd pacer)
detection  spikes 118 of 121 found, shifts 9 of 10 found, false alarms 0.12 % of 95,012 normal
           readings
detection  not scored: 1,000 readings with an anomaly, more than anomalies.csv holds per interval
");
}

#[test]
fn faults_and_deliveries_have_their_place_between_the_figures_and_the_budgets() {
    let mut report = report();
    report.run.fault_spells_omitted = 7;
    report.delivery = vec![FleetDelivery {
        fleet: "pumps".into(),
        expects: Expectation { no_loss: true, ..Expectation::default() },
        lost: 60,
        first_lost: Some(FirstViolation { device: "pumps-00017".into(), seq: 42, t_s: 12.5 }),
        duplicated: 0,
        first_duplicated: None,
        reordered: 0,
        first_reordered: None,
        late: 3,
        unaudited: 0,
        resent: 0,
        imbalance: None,
        untested: None,
        kept: Some(false),
    }];
    let text = shown(&report, 100, true, Style::PLAIN);
    let lines: Vec<_> = text.lines().skip_while(|line| !line.starts_with("faults")).take(14).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
faults  kind  on  off  devices  worst p99  failed  recovered  after  backlog
  7 further activations, more than faults.csv holds
  all on the clock of the run, `after` from the end of the fault; recovered = 3 s without more
  failures and p99 at most 2 x its level before, its worst, or 1 ms above
~ fewer than 100 samples lie beyond this percentile
n/a: fewer than 10 samples lie beyond this percentile
> at least: a failed reading counts as its time-out or more
stages p50 network 210 us, queue 80.0 us, cache 1.40 us, inference 101 us
generator  lag p50 61.0 us, p99 188 us (timerfd pacer)
files      results/quickstart/2026-11-20T21-41-15Z-main
words      response: from due to answered, service: from sent, p99: 1 in 100 is slower

delivery   broken pumps: 60 missing, first pumps-00017 seq 42
budget     1 of 2 failed
");
}

#[test]
fn no_line_is_wider_than_the_screen_and_colour_adds_no_width() {
    let bare = |coloured: &str| {
        let mut bare = String::new();
        for (index, part) in coloured.split('\u{1b}').enumerate() {
            bare.push_str(if index == 0 { part } else { part.split_once('m').unwrap().1 });
        }
        bare
    };
    let mut long = healthy();
    for row in &mut long.summary {
        row.fleet = format!("{}-with-a-name-as-long-as-a-name-may-be", row.fleet);
    }
    long.run.scenario.name = "a-scenario-with-a-name-as-long-as-a-name-may-be".into();
    long.directory = format!("results/{}", "x".repeat(200)).into();
    for (report, verbose) in [(report(), false), (report(), true), (healthy(), true), (long, true)] {
        for width in [40, 60, 72, 80, 100, 120, 160] {
            let text = |style| verdict(&report, Some(&history()), View { width, verbose, style });
            let is_path = |line: &&str| line.contains("results/");
            for line in text(RICH).lines().filter(|line| !is_path(line)) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
            let coloured = text(Style { colour: true, ascii: false });
            let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
            assert_eq!(trimmed(&bare(&coloured)), trimmed(&text(RICH)));
        }
    }
    let coloured = shown(&report(), 100, false, Style { colour: true, ascii: false });
    assert!(coloured.contains("\u{1b}[1;32mvalid\u{1b}[0m"), "{coloured}");
}
