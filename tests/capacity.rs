//! `squall capacity` through the built binary: what a search leaves, what it refuses, and how it is interrupted. Whether its answer is
//! right is shown against queueing theory in `src/capacity/tests/`, over simulated queues.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::compare::json;
use crate::program::{Desk, signal, text, told, wait_until};

const SQUALL: &str = env!("CARGO_BIN_EXE_squall");

/// One worker that does 50 readings a second; a load of 1 is 40 of them.
const SCENARIO: &str = r#"
[scenario]
name = "small"
[reference]
workers = 1
inference = { cost = "20ms", labour = "wait" }
cache = 0
[run]
connect_rate = "1000/s"
warm_up = "0s"
drain = "200ms"
interval = "200ms"
[[phase]]
name = "steady"
duration = "2s"
[fleet.meters]
protocol = "http"
devices = 20
rate = "2/s"
"#;

fn folder(desk: &Desk) -> Option<PathBuf> {
    let entries = std::fs::read_dir(desk.path("results/small")).ok()?;
    entries.map(|entry| entry.unwrap().path()).find(|path| path.join("capacity.json").is_file())
}

fn trials(record: &Value) -> &[Value] {
    record["trials"].as_array().map_or(&[], Vec::as_slice)
}

/// The rows of a table, by column.
fn rows(table: &Path) -> Vec<Vec<(String, String)>> {
    let text = std::fs::read_to_string(table).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let columns = lines.next().unwrap();
    lines.map(|cells| columns.iter().cloned().zip(cells).collect()).collect()
}

fn cell<'r>(row: &'r [(String, String)], column: &str) -> &'r str {
    row.iter().find(|(name, _)| name == column).map(|(_, cell)| cell.as_str()).unwrap_or_default()
}

fn assert_is(output: &Output, code: i32, said: &[&str]) {
    assert_eq!(output.status.code(), Some(code), "{}", told(output));
    // Lines end where a terminal of this width has its edge.
    let flat = told(output).replace('\n', " ");
    let flat = flat.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    for said in said {
        assert!(flat.contains(said), "{said}: {}", told(output));
    }
}

#[test]
fn a_search_leaves_ordinary_runs_and_an_answer_that_can_be_told_again() {
    let desk = Desk::with(SCENARIO);
    let asked = [
        "capacity",
        "s.toml",
        "--budget",
        "p50<100ms",
        "--probes",
        "4",
        "--precision",
        "90%",
        "--html",
        "c.html",
    ];
    let output = desk.run(&[&asked[..], &["--lowest", "0.5", "--highest", "20"]].concat());
    assert_is(&output, 0, &["capacity: ", "every probe had a bundled reference system of its own"]);
    let folder = folder(&desk).unwrap();
    let (record, rows) = (json(&folder.join("capacity.json")), rows(&folder.join("capacity.csv")));
    assert_eq!(
        (record["state"].as_str(), record["service"]["kind"].as_str()),
        (Some("complete"), Some("bundled"))
    );
    assert!(!rows.is_empty() && rows.len() == trials(&record).len(), "{rows:?}");
    let mut digests = Vec::new();
    for (row, trial) in rows.iter().zip(trials(&record)) {
        // Each probe is a run like any other, of the plan at its load, and can be made again by what stands in its manifest.
        let run = folder.join(cell(row, "run"));
        let manifest = json(&run.join("run.json"));
        let factor: f64 = cell(row, "factor").parse().unwrap();
        let load = manifest["scenario"]["overrides"].as_array().unwrap().iter();
        let load = load.filter_map(Value::as_str).find_map(|word| word.strip_prefix("--load ")).unwrap();
        assert!((load.parse::<f64>().unwrap() / factor - 1.0).abs() < 1e-5, "{load} for {factor}");
        assert_eq!(manifest["budgets"][0]["demand"], "p50 < 100ms");
        assert_eq!(manifest["plan_digest"], trial["plan_digest"]);
        digests.push(trial["plan_digest"].as_str().unwrap().to_owned());
        let report = desk.run(&["report", run.to_str().unwrap(), "--json"]);
        let report: Value = serde_json::from_slice(&report.stdout).unwrap();
        let all = report["summary"].as_array().unwrap().iter().find(|row| row["protocol"] == "all").unwrap();
        let offered = all["planned"].as_f64().unwrap() / all["duration_s"].as_f64().unwrap();
        assert!((offered - cell(row, "offered_per_s").parse::<f64>().unwrap()).abs() < 1e-2, "{all}");
        let most: f64 = cell(row, "goodput_per_s").parse().unwrap();
        assert!(
            most <= offered * 1.2 + 2.0 && most <= 60.0,
            "{most} of {offered}: no more than the worker can do"
        );
    }
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), rows.len(), "every load has a plan of its own");
    // Where it lies is told as it was given.
    let again = desk.run(&["report", folder.strip_prefix(desk.path("")).unwrap().to_str().unwrap()]);
    assert_eq!(text(&again.stdout), text(&output.stdout), "the stored search says the same");
    let page = std::fs::read_to_string(desk.path("c.html")).unwrap();
    assert!(page.contains("Every probe") && page.matches("<svg").count() >= 2);
    let refused = desk.run(&["report", folder.to_str().unwrap(), "--junit", "x.xml"]);
    assert_is(&refused, 2, &["--junit is of a run", "give one of the runs in it"]);
}

#[test]
fn an_interrupt_ends_a_search_with_what_is_known() {
    let desk = Desk::with(SCENARIO);
    let start = format!("exec '{SQUALL}' serve --http-port {{port}} --mqtt-port {{port2}} --config s.toml");
    let mut child = desk.begin(&["capacity", "s.toml", "--budget", "p50<100ms", "--start", &start]);
    let recorded = || folder(&desk).map(|folder| json(&folder.join("capacity.json")));
    let mut early = false;
    wait_until("two probes are made", || {
        early = child.try_wait().unwrap().is_some();
        early || recorded().is_some_and(|record| trials(&record).len() >= 2)
    });
    assert!(!early, "{}", told(&child.wait_with_output().unwrap()));
    assert_eq!(recorded().unwrap()["state"], "running", "it can be read at any time");
    signal(child.id(), "INT");
    let output = child.wait_with_output().unwrap();
    assert_is(&output, 130, &["interrupted: this is what was known by then", "one service took all probes"]);
    let record = recorded().unwrap();
    assert_eq!(
        (record["state"].as_str(), record["service"]["kind"].as_str()),
        (Some("interrupted"), Some("started"))
    );
    let second = &trials(&record)[1]["recovery"];
    assert_eq!(second["how"], "its own counters: nothing waits in its queue");
    assert_eq!(second["is_recovered"], true, "{second}");
}

#[test]
fn what_cannot_be_searched_is_said_before_anything_is_sent() {
    let closed = SCENARIO.replace("rate = \"2/s\"", "model = \"closed\"");
    let other = SCENARIO.replace("protocol = \"http\"", "protocol = \"http\"\nhttp = { path = \"/x\" }");
    for (scenario, arguments, said) in [
        (
            SCENARIO,
            &[][..],
            "s.toml demands nothing, and a capacity is the highest load at which its budgets hold",
        ),
        (
            SCENARIO,
            &["--budget", "p99.9<1s"],
            "for a longer probe give --probe-length or --duration, for a higher load --lowest",
        ),
        (
            SCENARIO,
            &["--budget", "p50<1s", "--lowest", "2", "--highest", "2"],
            "the highest load factor, 2, is not above the lowest, 2",
        ),
        (
            SCENARIO,
            &["--budget", "p50<1s", "--highest", "9999", "--set", "fleet.meters.rate=20/s"],
            "the highest load, --highest 9999, cannot be",
        ),
        (
            &closed,
            &["--budget", "p50<1s", "--precision", "2%"],
            "`meters` has 20 devices: one of them is more than the 2 % asked for",
        ),
        (&other, &["--budget", "p50<1s"], "give a target with --target http=URL"),
        (SCENARIO, &["--budget", "p50<1s", "--ready", "127.0.0.1:1"], "give --start CMD, or leave them out"),
        (
            SCENARIO,
            &["--budget", "p50<1s", "--target", "mqtt=mqtt://127.0.0.1:1"],
            "no fleet of the scenario speaks mqtt",
        ),
    ] {
        let desk = Desk::with(scenario);
        let output = desk.run(&[&["capacity", "s.toml"], arguments].concat());
        assert_is(&output, 2, &[said]);
        assert!(!desk.path("results").exists(), "{arguments:?}");
    }
}
