//! What the table at the end of a run says, and when.

use std::collections::BTreeMap;

use super::*;
use crate::record::Validity;
use crate::results::{
    BudgetResult, ClockFacts, DetectionCount, Detections, Expectation, FirstViolation, FleetDelivery, Host,
    Manifest, PacerFacts, RecoveryRule, SCHEMA, ScenarioText, Score,
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
        clock: ClockFacts { resolution_ns: 30 },
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
        faults_by_hand: 0,
        recovery: RecoveryRule::default(),
        fault_spells_omitted: 0,
        switches_omitted: 0,
        delivery: Vec::new(),
        failures: Vec::new(),
        refused: None,
        encounters: Vec::new(),
        shard: None,
        start_at: None,
        merged: Vec::new(),
        subscribers: Vec::new(),
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

#[test]
fn the_table_of_a_run_is_calm_and_complete() {
    insta::assert_snapshot!(verdict(&report(), 100, RICH), @r#"
quickstart · 2026-11-20T21-41-15Z-main
measurement  valid: the generator kept to its plan
service      11 900 of 12 000 readings answered ok; 0.84 % failed

response time    planned         ok  failed     p50       p99    p99.9      max  service p99
connections · connect
  meters http        300        300       –  412 µs       n/a      n/a  8.21 ms            –
warm-up · 5.00 s · offered 800/s · ok 800/s
  meters http      4 000      4 000       –  412 µs  ~1.24 ms      n/a  8.21 ms     ~1.20 ms
steady · 30.0 s · offered 41 533/s · ok 41 530/s
  meters http  1 234 000  1 234 000       –  412 µs   1.24 ms  3.11 ms  8.21 ms      1.20 ms
  pumps mqtt      12 000     11 900     100  824 µs   2.49 ms    ~>5 s     >5 s      2.40 ms
    timeout: 60 · reset errors: 40 · late answers: 3 · within budget 99.15 %
measured · 30.0 s · offered 400/s · ok 397/s
  all fleets      12 000     11 900     100  824 µs   2.49 ms    ~>5 s     >5 s      2.40 ms
    timeout: 60 · reset errors: 40 · late answers: 3

stages     median: network 210 µs · queue 80.0 µs · cache 1.40 µs · inference 101 µs
generator  lag p50 61.0 µs, p99 188 µs (timerfd pacer)
budget     1 of 2 failed
budget     failed pumps: errors < 0.1 %, measured 0.83 %
budget     met pumps: p99 < 250 ms, measured 2.49 ms
files      results/quickstart/2026-11-20T21-41-15Z-main
~ fewer than 100 samples lie beyond this percentile
n/a: fewer than 10 samples lie beyond this percentile
> at least: a failed reading counts as its time-out or more
"#);
}

#[test]
fn a_narrow_plain_stream_gets_ascii_and_fewer_columns() {
    let text = verdict(&report(), 72, Style::PLAIN);
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!(text, @r#"
quickstart, 2026-11-20T21-41-15Z-main
measurement  valid: the generator kept to its plan
service      11,900 of 12,000 readings answered ok; 0.84 % failed

response time    planned  failed     p50       p99      max  service p99
connections, connect
  meters http        300       -  412 us       n/a  8.21 ms            -
warm-up, 5.00 s, offered 800/s, ok 800/s
  meters http      4,000       -  412 us  ~1.24 ms  8.21 ms     ~1.20 ms
steady, 30.0 s, offered 41,533/s, ok 41,530/s
  meters http  1,234,000       -  412 us   1.24 ms  8.21 ms      1.20 ms
  pumps mqtt      12,000     100  824 us   2.49 ms     >5 s      2.40 ms
    timeout: 60, reset errors: 40, late answers: 3, within budget 99.15
    %
measured, 30.0 s, offered 400/s, ok 397/s
  all fleets      12,000     100  824 us   2.49 ms     >5 s      2.40 ms
    timeout: 60, reset errors: 40, late answers: 3

stages     median: network 210 us, queue 80.0 us, cache 1.40 us,
           inference 101 us
generator  lag p50 61.0 us, p99 188 us (timerfd pacer)
budget     1 of 2 failed
budget     failed pumps: errors < 0.1 %, measured 0.83 %
budget     met pumps: p99 < 250 ms, measured 2.49 ms
files      results/quickstart/2026-11-20T21-41-15Z-main
~ fewer than 100 samples lie beyond this percentile
n/a: fewer than 10 samples lie beyond this percentile
> at least: a failed reading counts as its time-out or more
"#);
}

#[test]
fn a_run_that_cannot_be_trusted_says_so_and_why() {
    let reason = "pacing lag p99 of 4.1 ms is more than 10 % of the measured p50 of 12 ms, so that the generator adds to what it measures";
    let mut report = report();
    report.run = manifest(Judgement::Invalid, &[reason, "the machine was saturated"]);
    report.run.state = RunState::Interrupted;
    report.summary.clear();
    insta::assert_snapshot!(verdict(&report, 80, RICH), @r#"
quickstart · 2026-11-20T21-41-15Z-main · interrupted
measurement  invalid: the generator was the bottleneck, not the service
  - pacing lag p99 of 4.1 ms is more than 10 % of the measured p50 of 12 ms, so
    that the generator adds to what it measures
  - the machine was saturated

nothing was measured

files      results/quickstart/2026-11-20T21-41-15Z-main
"#);
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
    let text = verdict(&report, 100, Style::PLAIN);
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
        untested: None,
        kept: Some(false),
    }];
    let text = verdict(&report, 100, Style::PLAIN);
    let lines: Vec<_> = text.lines().skip_while(|line| !line.starts_with("faults")).take(9).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
faults  kind  at  for  devices  worst p99  failed  recovered after  backlog
  7 further activations, more than faults.csv holds
  recovered = 3 s without more failures and p99 at most 2 x its level before, its worst, or 1 ms
  above

stages     median: network 210 us, queue 80.0 us, cache 1.40 us, inference 101 us
generator  lag p50 61.0 us, p99 188 us (timerfd pacer)
delivery   broken pumps: 60 missing, first pumps-00017 seq 42
budget     1 of 2 failed
");
}

#[test]
fn no_line_is_wider_than_the_screen_and_colour_adds_no_width() {
    for width in [60, 72, 80, 100] {
        for line in verdict(&report(), width, RICH).lines().filter(|line| !line.starts_with("files")) {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
    let coloured = verdict(&report(), 100, Style { colour: true, ascii: false });
    assert!(coloured.contains("\u{1b}[1;32mvalid\u{1b}[0m"), "{coloured}");
    let mut bare = String::new();
    for (index, part) in coloured.split('\u{1b}').enumerate() {
        bare.push_str(if index == 0 { part } else { part.split_once('m').unwrap().1 });
    }
    let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    assert_eq!(trimmed(&bare), trimmed(&verdict(&report(), 100, RICH)));
}
