//! What jitter in the back-off does to a reconnect storm: in the plan, in the engine, and in the files of whole runs.
//!
//! How fast a storm is over is the machine's doing as well, so what a run must show are lower bounds, counts and orders; how the
//! waits lie is a statement about the plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use serde_json::Value;
use squall::record::{Kind, Sample};
use squall::scenario::Plan;

use crate::bundled::drive_at_reference;
use crate::delivery::report;
use crate::skip;
use crate::support::plan;

/// Devices of the storm, and their first wait, seconds.
const DEVICES: f64 = 400.0;
const FIRST: f64 = 1.0;

/// When they are all cut off, seconds.
const CUT: f64 = 2.0;

/// A plan of such a storm with this much jitter.
fn cut(jitter: f64) -> Arc<Plan> {
    plan(&format!(
        r#"
        [scenario]
        name = "storm"
        [run]
        warm_up = "0s"
        connect_rate = "1000/s"
        connect_timeout = "60s"
        [[phase]]
        name = "whole"
        duration = "9s"
        [fleet.meters]
        protocol = "mqtt"
        devices = {DEVICES}
        rate = "1/10s"
        timeout = "60s"
        backoff = {{ first = "{FIRST}s", max = "30s", jitter = {jitter} }}
        [[fault]]
        name = "storm"
        kind = "disconnect"
        start = "{CUT}s"
        "#
    ))
}

/// Each device's first wait by the plan, nanoseconds.
fn waits(plan: &Plan) -> Vec<u64> {
    (0..plan.devices()).map(|global| plan.device(global).backoff(0).as_ns()).collect()
}

#[test]
fn waits_without_jitter_are_all_the_same_and_with_it_uniform() {
    let first = (FIRST * 1e9) as u64;
    assert!(waits(&cut(0.0)).iter().all(|wait| *wait == first));
    let drawn = waits(&cut(1.0));
    assert!(drawn.iter().all(|wait| *wait <= first));
    // Ten bins, each with a binomial's scatter.
    let (share, sigma) = (DEVICES / 10.0, (DEVICES * 0.1 * 0.9).sqrt());
    for bin in 0..10 {
        let range = first / 10 * bin..first / 10 * (bin + 1);
        let count = drawn.iter().filter(|wait| range.contains(wait)).count() as f64;
        assert!((count - share).abs() <= 5.0 * sigma, "{count} of {DEVICES} waits are in tenth {bin}");
    }
}

/// Lets a storm come over the engine; the wait by the plan of each device, and how long after the cut it was due again, nanoseconds.
/// None if the machine could not even connect them all before.
fn weather(plan: &Arc<Plan>) -> Option<Vec<(u64, u64)>> {
    let (waits, book) = (waits(plan), drive_at_reference(plan, 1));
    let instant = plan.measuring_starts().plus_ns((CUT * 1e9) as u64);
    let connects = book.samples.iter().filter(|sample: &&Sample| sample.kind == Kind::Connect);
    let (again, first): (Vec<&Sample>, Vec<&Sample>) =
        connects.partition(|sample| sample.intended >= instant);
    if first.iter().any(|sample| sample.completed >= instant) {
        return None;
    }
    let mut due: BTreeMap<usize, u64> = BTreeMap::new();
    for sample in again {
        let before = due.insert(sample.device as usize, sample.intended.since(instant));
        assert_eq!(before, None, "everybody comes back once");
    }
    assert_eq!(due.len(), DEVICES as usize, "everybody comes back");
    Some(due.into_iter().map(|(device, due)| (waits[device], due)).collect())
}

#[test]
fn devices_come_back_after_their_own_waits() {
    let weather = |jitter| thread::spawn(move || (0..4).find_map(|_| weather(&cut(jitter))));
    let [Some(sharp), Some(calm)] = [0.0, 1.0].map(weather).map(|run| run.join().unwrap()) else {
        return skip::disturbed(&format!(
            "the machine is too busy to connect {DEVICES} devices in two seconds"
        ));
    };
    for (wait, due) in sharp.iter().chain(&calm) {
        assert!(due >= wait, "due {due} ns after the cut, though it waits for {wait} ns");
    }
    // Of any two devices, the one that waits longer is due later. A machine that stands still once amid the cut may turn round a
    // quarter of the pairs; were the waits not the devices' own, it would be half of them.
    let pairs = calm.iter().enumerate().flat_map(|(n, one)| calm[..n].iter().map(move |two| (one, two)));
    let (in_order, all) = pairs.fold((0_u64, 0_u64), |(in_order, all), (one, two)| {
        (in_order + u64::from((one.0 < two.0) == (one.1 < two.1)), all + 1)
    });
    assert!(in_order * 10 > all * 6, "{in_order} of {all} pairs come back in the order of their waits");
}

/// What the files say of the shipped storm with this much jitter.
fn storm(jitter: &str) -> Value {
    let (report, _) = report(
        "reconnect-storm",
        &[
            "--set",
            &format!("fleet.meters.devices={DEVICES}"),
            "--set",
            &format!("fleet.meters.backoff={{ first = \"{FIRST}s\", max = \"30s\", jitter = {jitter} }}"),
            "--set",
            "run.connect_timeout=60s",
            "--set",
            "phase.before.duration=2s",
            "--set",
            "phase.after.duration=8s",
            "--set",
            "fault.storm.start=2s",
            "--set",
            "run.interval=250ms",
        ],
    );
    report["faults"][0].clone()
}

#[test]
fn the_files_of_a_storm_show_who_came_back_and_not_before_its_wait() {
    let of = |jitter| thread::spawn(move || storm(jitter));
    let [sharp, calm] = [of("0"), of("1")].map(|run| run.join().unwrap());
    // The first wait of each device, and the one that only a hundredth is longer than: uniform, with a binomial's scatter.
    for (storm, least) in [(sharp, FIRST), (calm, 0.9 * FIRST)] {
        assert_eq!(storm["reconnected"].as_f64(), Some(DEVICES), "{storm}");
        let (peak, nearly_all) =
            (&storm["peak_reconnects_per_s"], storm["reconnected_99_after_s"].as_f64().unwrap());
        assert!(nearly_all >= least, "{storm}");
        // At their peak they came no slower than on average.
        let most = peak.as_f64().unwrap();
        assert!(most * (nearly_all + 0.25) >= 0.99 * DEVICES, "{storm}");
    }
}
