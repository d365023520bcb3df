//! A stall of the bundled system against the fluid queue: backlog λS, worst response S, drain λS ÷ (μ − λ).
//!
//! A test of its own, so that nothing else takes its processor time; on a machine that others use it repeats, and says so if it had
//! to give up.

#![cfg(test)]

use std::process::Command;

use serde_json::Value;

/// Readings per second that come, those that the service can do, and how long it stands still.
const LAMBDA: f64 = 1_000.0;
const STALL: f64 = 10.0;

/// Length of a recording interval, seconds.
const INTERVAL: f64 = 0.25;

/// How often a disturbed run is repeated.
const ATTEMPTS: u32 = 3;

/// What the formula says and what the report says.
struct Row {
    what: &'static str,
    expected: f64,
    measured: f64,
}

/// The run of a scenario with these arguments.
fn report(arguments: &[&str]) -> Result<Value, String> {
    let out = tempfile::tempdir().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_squall"))
        .args(["run", "--quiet", "--json", "--out"])
        .arg(out.path())
        .args(arguments)
        .output()
        .unwrap();
    serde_json::from_slice(&run.stdout).map_err(|error| error.to_string())
}

/// What the same service can do at the most: readings per second of devices that never pause.
fn capacity() -> Result<f64, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capacity.toml");
    let shipped = include_str!("../scenarios/stall.toml");
    let reference = shipped.split("[reference]").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    let text = format!(
        "[scenario]\nname = \"capacity\"\n[run]\nwarm_up = \"1s\"\n[reference]{reference}\n[[phase]]\nname = \"full\"\n\
         duration = \"4s\"\n[fleet.meters]\nprotocol = \"ws\"\ndevices = 16\nmodel = \"closed\"\n"
    );
    std::fs::write(&path, text).unwrap();
    let report = report(&[path.to_str().unwrap()])?;
    let rows = report["summary"].as_array().ok_or("no summary")?;
    let all = rows.iter().find(|row| row["phase"] == "all").ok_or("no row of all")?;
    Ok(all["ok"].as_f64().ok_or("no count")? / 4.0)
}

fn attempt() -> Result<Vec<Row>, String> {
    let mu = capacity()?;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/stall.toml");
    let report = report(&[path, "--set", &format!("run.interval={}ms", INTERVAL * 1e3)])?;
    let stall = &report["faults"][0];
    let figure =
        |key: &str| stall[key].as_f64().ok_or_else(|| format!("{} {stall}", report["run"]["validity"]));
    let drain = LAMBDA * STALL / (mu - LAMBDA);
    println!("capacity {mu:.0} readings/s");
    let row = |what, expected, measured| Row { what, expected, measured };
    Ok(vec![
        row("length of the stall, s", STALL, figure("end_s")? - figure("start_s")?),
        row("backlog at its peak", LAMBDA * STALL, figure("peak_backlog")?),
        row("worst p99 of an interval, s", STALL, figure("worst_p99_ms")? / 1e3),
        row("backlog drained after, s", drain, figure("backlog_drained_after_s")?),
        row("recovered after, s", drain, figure("recovered_after_s")?),
    ])
}

#[test]
fn a_stall_recovers_as_the_fluid_queue_says() {
    for nth in 1..=ATTEMPTS {
        let rows = match attempt() {
            Ok(rows) => rows,
            Err(why) => {
                println!("attempt {nth}: {why}");
                continue;
            }
        };
        println!("{:<30} {:>10} {:>10}", "", "formula", "measured");
        for row in &rows {
            println!("{:<30} {:>10.2} {:>10.2}", row.what, row.expected, row.measured);
        }
        // A tenth, and what an interval cannot tell.
        let off = |row: &&Row| {
            let resolution = if row.what.contains("after") { INTERVAL } else { 0.0 };
            (row.measured - row.expected).abs() > 0.1 * row.expected + resolution
        };
        if rows.iter().find(off).is_none() {
            return;
        }
    }
    // A machine that others use proves nothing either way; one that is free fails.
    let busy = std::fs::read_to_string("/proc/loadavg").ok();
    let load: f64 = busy.and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(0.0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    assert!(load > 1.5 * cores, "not as the fluid queue says, on a machine with a load of {load}");
    println!("SKIPPED: other programs took the processors (load {load})");
}
