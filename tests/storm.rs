//! What jitter in the back-off does to a reconnect storm, by the files of two runs.

use serde_json::Value;

use crate::delivery::report;

/// Devices of the storm, and their first wait, seconds.
const DEVICES: f64 = 400.0;
const FIRST: f64 = 2.0;

/// Largest number of connections per second, and seconds until 99 % were back, of a storm with this much jitter.
fn storm(jitter: &str) -> (f64, f64) {
    let (report, _) = report(
        "reconnect-storm",
        &[
            "--set",
            &format!("fleet.meters.devices={DEVICES}"),
            "--set",
            &format!("fleet.meters.backoff={{ first = \"{FIRST}s\", max = \"30s\", jitter = {jitter} }}"),
            "--set",
            "phase.before.duration=3s",
            "--set",
            "phase.after.duration=5s",
            "--set",
            "fault.storm.start=3s",
            "--set",
            "run.interval=250ms",
        ],
    );
    let storm: &Value = &report["faults"][0];
    assert_eq!(storm["reconnected"].as_f64(), Some(DEVICES), "{storm}");
    (storm["peak_reconnects_per_s"].as_f64().unwrap(), storm["reconnected_99_after_s"].as_f64().unwrap())
}

#[test]
fn jitter_spreads_a_storm_over_the_first_wait() {
    let ((peak, all_back), (calm_peak, calm_back)) = (storm("0"), storm("1"));
    let interval = 0.25;
    // Without jitter everybody comes in one instant, which may fall on the edge of two intervals.
    assert!(peak >= DEVICES / interval / 2.0, "peak {peak}/s");
    assert!((FIRST - interval..=FIRST + 3.0 * interval).contains(&all_back), "{all_back} s");
    // With full jitter the waits are uniform over the first: N ÷ b per second, and a binomial's scatter within an interval.
    let rate = DEVICES / FIRST;
    let scatter = 5.0 * (rate * interval).sqrt() / interval;
    assert!((rate..=rate + scatter).contains(&calm_peak), "peak {calm_peak}/s");
    assert!((0.9 * FIRST..=FIRST + 3.0 * interval).contains(&calm_back), "{calm_back} s");
    assert!(peak > 2.0 * calm_peak, "{peak}/s and {calm_peak}/s");
}
