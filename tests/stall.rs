//! A stall of the bundled system against the fluid queue: backlog λS, worst response S, drain λS ÷ (μ − λ).

use std::process::Command;

use serde_json::Value;

use crate::alone::{Misfit, alone, measure};

/// Readings per second that come, and how long the service stands still, seconds.
const LAMBDA: f64 = 1_000.0;
const STALL: f64 = 6.0;

/// Length of a recording interval, seconds.
const INTERVAL: f64 = 0.25;

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

/// What the same service can do at the most: readings per second of devices that never pause; and what disturbed that.
fn capacity() -> Result<(f64, Option<String>), Misfit> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capacity.toml");
    let shipped = include_str!("../scenarios/stall.toml");
    let reference = shipped.split("[reference]").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    let text = format!(
        "[scenario]\nname = \"capacity\"\n[run]\nwarm_up = \"1s\"\n[reference]{reference}\n[[phase]]\nname = \"full\"\n\
         duration = \"3s\"\n[fleet.meters]\nprotocol = \"ws\"\ndevices = 16\nmodel = \"closed\"\n"
    );
    std::fs::write(&path, text).unwrap();
    let report = report(&[path.to_str().unwrap()]).map_err(|why| Misfit::new(why, None))?;
    let rows = report["summary"].as_array().unwrap();
    let all = rows.iter().find(|row| row["phase"] == "all").unwrap();
    // That it works as fast as it can is not a disturbance.
    Ok((all["ok"].as_f64().unwrap() / 3.0, judgement(&report).filter(|said| !said.contains("of its core"))))
}

/// What the machine did to a run, by its own word.
fn judgement(report: &Value) -> Option<String> {
    let validity = &report["run"]["validity"];
    (validity["verdict"] != "valid").then(|| validity.to_string())
}

fn attempt() -> Result<(), Misfit> {
    let told = |why: String| Misfit::new(why, None);
    let (before, mut disturbance) = capacity()?;
    if before < 1.5 * LAMBDA {
        // Its inferences keep a processor busy for 490 µs each.
        let why = format!("it can do {before:.0} readings/s, where a processor of its own does 2 000");
        return Err(Misfit::new("no backlog could be drained", Some(why)));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/stall.toml");
    let settings = [
        format!("run.interval={}ms", INTERVAL * 1e3),
        "phase.before.duration=5s".to_owned(),
        format!("phase.stall.duration={STALL}s"),
        "phase.after.duration=12s".to_owned(),
        "fault.standstill.start=5s".to_owned(),
        format!("fault.standstill.duration={STALL}s"),
    ];
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let report = report(&[&[path], &*settings].concat()).map_err(told)?;
    let (after, disturbed) = capacity()?;
    disturbance = disturbance.or(disturbed).or_else(|| judgement(&report));
    if (before - after).abs() > 0.05 * before {
        disturbance = Some(format!("its capacity was {before:.0}/s and then {after:.0}/s"));
    }
    let mu = f64::midpoint(before, after);
    let stall = &report["faults"][0];
    let figure = |key: &str| {
        let missing = || Misfit::new(format!("no {key} in {stall}"), disturbance.clone());
        stall[key].as_f64().ok_or_else(missing)
    };
    let drain = LAMBDA * STALL / (mu - LAMBDA);
    println!("capacity {mu:.0} readings/s");
    let row = |what, expected, measured| Row { what, expected, measured };
    let rows = [
        row("length of the stall, s", STALL, figure("end_s")? - figure("start_s")?),
        row("backlog at its peak", LAMBDA * STALL, figure("peak_backlog")?),
        row("worst p99 of an interval, s", STALL, figure("worst_p99_ms")? / 1e3),
        row("backlog drained after, s", drain, figure("backlog_drained_after_s")?),
        row("recovered after, s", drain, figure("recovered_after_s")?),
    ];
    println!("{:<30} {:>10} {:>10}", "", "formula", "measured");
    for row in &rows {
        println!("{:<30} {:>10.2} {:>10.2}", row.what, row.expected, row.measured);
    }
    // A tenth, and what an interval cannot tell.
    let off = |row: &&Row| {
        let resolution = if row.what.contains("after") { INTERVAL } else { 0.0 };
        (row.measured - row.expected).abs() > 0.1 * row.expected + resolution
    };
    let off = rows.iter().find(off);
    off.map_or(Ok(()), |row| {
        Err(Misfit::new(format!("not as the fluid queue says: {}", row.what), disturbance))
    })
}

#[test]
fn a_stall_recovers_as_the_fluid_queue_says() {
    let _alone = alone();
    measure(attempt);
}
