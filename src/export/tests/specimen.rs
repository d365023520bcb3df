//! A run with everything in it, and a comparison: what the tests of every format start from.

use serde_json::json;

pub(crate) use crate::compare::specimen::{EVIL, comparison};
use crate::record::Judgement;
use crate::results::{
    Detections, Expectation, Failure, Figures, FirstViolation, FleetDelivery, Manifest, Millis, Report,
    RunState, SummaryRow,
};

fn manifest() -> Manifest {
    // From JSON, as stored manifests are read: keys that are added later have defaults.
    serde_json::from_value(json!({
        "schema": 1, "tool_version": "0.1.0", "label": EVIL, "run_id": "2026-11-20T21-41-15Z-main",
        "state": "complete", "seed": "7", "plan_digest": "ab12",
        "scenario": {"name": "quickstart", "text": "", "overrides": []},
        "started": "2026-11-20T21:41:15.123Z", "ended": "2026-11-20T21:42:15.123Z",
        "host": {"name": "runner-1", "kernel": "Linux 6", "cores": 2, "cpu_model": null, "memory_bytes": null},
        "clock": {"resolution_ns": 30}, "pacer": {"kind": "timerfd", "slack_ns": 0}, "workers": 1,
        "targets": {"http": "http://127.0.0.1:8080"}, "pacing_lag": null,
        "fleets": [
            {"name": "meters", "protocol": "http", "method": "PUT", "target": "http://127.0.0.1:8080/v1/orders/{{device}}"},
            {"name": "pumps", "protocol": "ws", "method": null, "target": "ws://127.0.0.1:8081/live?key=${KEY}"},
        ],
        "validity": {"verdict": "suspect", "reasons": ["the generator used 80 % of a core: give it another"]},
        "budgets": [
            {"demand": "p99 < 250 ms", "fleet": "pumps", "measured": "2.49 ms", "met": true},
            {"demand": "errors < 0.1 %", "fleet": "pumps", "measured": "0.83 %", "met": false},
            {"demand": "p99.9 < 1 s", "fleet": "all", "measured": null, "met": false,
             "reason": "3 of 3100 samples lie beyond p99.9; 10 are needed"},
            {"demand": "p99 < 250 ms", "fleet": "all", "measured": "240 ms", "met": true, "scope": "all fleets in calm",
             "phase": "calm", "kind": "reading"},
            {"demand": "p99 < 250 ms", "fleet": "all", "measured": "400 ms", "met": false, "scope": "all fleets in burst",
             "phase": "burst", "kind": "reading", "name": "peak"},
        ],
        "exit_code": 99,
    }))
    .expect("a manifest")
}

fn row(keys: [&str; 4], duration_s: f64, figures: Figures) -> SummaryRow {
    let [phase, fleet, protocol, kind] = keys.map(str::to_owned);
    SummaryRow { duration_s, phase, fleet, protocol, kind, figures }
}

fn figures(planned: u64, failed: u64) -> Figures {
    let us = |us: u64| Some(Millis(us * 1_000));
    Figures {
        planned,
        sent: planned,
        ok: planned - failed,
        timeout: failed,
        rate_per_s: (planned - failed) as f64 / 30.0,
        censored: failed,
        censored_floor_ms: (failed > 0).then_some(Millis(5_000_000_000)),
        p50_ms: us(412),
        p90_ms: us(700),
        p95_ms: us(900),
        p99_ms: us(1_243),
        p99_9_ms: if failed > 0 { Some(Millis(5_003_800_000)) } else { us(3_108) },
        p99_99_ms: us(8_000),
        max_ms: us(8_211),
        service_p99_ms: us(1_199),
        ..Figures::default()
    }
}

/// A run with a fleet at ease and one in trouble.
pub(crate) fn report() -> Report {
    let first_violation = FirstViolation { device: "pumps-00017".into(), seq: 42, t_s: 12.5 };
    Report {
        run: manifest(),
        directory: "results/quickstart/2026-11-20T21-41-15Z-main".into(),
        summary: vec![
            row(["connect", "meters", "http", "connect"], 3.0, figures(300, 0)),
            row(["warm-up", "meters", "http", "reading"], 5.0, figures(4_000, 0)),
            row(["steady", "meters", "http", "reading"], 30.0, figures(123_400, 0)),
            row(["steady", "pumps", "mqtt", "reading"], 30.0, figures(12_000, 100)),
            row(["all", "all", "all", "reading"], 30.0, figures(135_400, 100)),
        ],
        detection: Detections::default(),
        faults: Vec::new(),
        failures: Vec::new(),
        delivery: vec![FleetDelivery {
            fleet: "pumps".into(),
            expects: Expectation { no_loss: true, no_duplicates: true, ordered: false },
            lost: 100,
            first_lost: Some(first_violation),
            duplicated: 0,
            first_duplicated: None,
            reordered: 2,
            first_reordered: None,
            late: 3,
            unaudited: 0,
            resent: 0,
            imbalance: None,
            untested: None,
            kept: Some(false),
        }],
        rebuilt: None,
    }
}

/// The same run, had its generator been the bottleneck: nothing was answered, and a budget ended it early.
pub(crate) fn invalid() -> Report {
    let mut report = report();
    report.run.exit_code = Some(12);
    report.run.state = RunState::Aborted;
    if let Some(validity) = &mut report.run.validity {
        validity.verdict = Judgement::Invalid;
        validity.reasons = vec!["throttled in 81 of 89 periods by a quota of 0.02 processors".into()];
    }
    for row in &mut report.summary {
        row.figures.ok = 0;
    }
    report
}

/// The same where most readings failed, for reasons in the words of a service that means harm.
pub(crate) fn failing() -> Report {
    let failure = |kind: &str, code: &str, reason: &str, count| Failure {
        phase: if kind == "connect" { "connect" } else { "steady" }.into(),
        fleet: "pumps".into(),
        protocol: "mqtt".into(),
        kind: kind.into(),
        outcome: "error".into(),
        code: code.into(),
        reason: reason.into(),
        count,
        devices: 30,
        first_s: 1.5,
        last_s: 9.0,
        first_device: "pumps-00003".into(),
        first_seq: Some(4),
        sample: "`|<script>alert(1)</script>@all #1 **no**".into(),
        attempt: (kind == "reading").then_some(1),
    };
    let mut report = report();
    report.failures = vec![
        failure("reading", "HTTP 404", "HTTP 404 Not Found", 2_002),
        failure("connect", "ECONNREFUSED", "Connection refused (ECONNREFUSED)", 60),
        Failure { outcome: "unmatched".into(), ..failure("reading", "unmatched", "messages", 59) },
    ];
    for row in report.summary.iter_mut().filter(|row| row.kind == "reading") {
        row.figures.ok = row.figures.planned / 2;
        row.figures.error = row.figures.planned - row.figures.ok;
    }
    report
}
