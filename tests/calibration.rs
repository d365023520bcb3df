//! Calibration through the built binary, and what later runs make of it. It drives the machine to its limits.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::alone::alone;

fn squall(arguments: &[&str], profile: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command.args(arguments).env("SQUALL_PROFILE", profile).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.output().unwrap()
}

fn smoke(profile: &Path, out: &Path) -> (Value, String) {
    let done = squall(
        &["run", "-v", "scenarios/ci-smoke.toml", "--duration", "2s", "--out", &out.display().to_string()],
        profile,
    );
    let run = fs::read_dir(out.join("ci-smoke")).unwrap().next().unwrap().unwrap().path();
    let manifest = fs::read_to_string(run.join("run.json")).unwrap();
    let said = [done.stdout, done.stderr].concat();
    (serde_json::from_str(&manifest).unwrap(), String::from_utf8(said).unwrap())
}

#[test]
fn a_calibrated_machine_is_quoted_and_a_profile_of_another_is_not() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("deep/profile.json");
    let done = squall(&["calibrate", "--quick", "--quiet"], &profile);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let table = String::from_utf8(done.stdout).unwrap();
    let text = fs::read_to_string(&profile).unwrap();
    let stored: Value = serde_json::from_str(&text).unwrap();
    assert!(stored["clock_resolution_ns"].as_u64().unwrap() > 0);
    assert_eq!(stored["pacing"].as_array().unwrap().len(), 2);
    for protocol in ["http", "ws", "mqtt"] {
        let driver = &stored["drivers"][protocol];
        assert!(table.contains(protocol), "{table}");
        assert!(driver["floor_p50_ns"].as_u64().unwrap() > 1_000, "{driver}");
        assert!(driver["closed_loop_per_second"].as_f64().unwrap() > 0.0, "{driver}");
        assert!((500..100_000).contains(&driver["bytes_per_device"].as_u64().unwrap()), "{driver}");
    }
    let shown = squall(&["calibrate", "--show"], &profile);
    assert!(String::from_utf8(shown.stdout).unwrap().contains("calibrated 20"));

    let (manifest, said) = smoke(&profile, &folder.path().join("quoted"));
    let times = manifest["calibration"]["times_floor"].as_object().unwrap();
    assert!(times.len() == 3 && times.values().all(|times| times.as_f64().unwrap() > 0.0), "{times:?}");
    assert!(said.contains("of this machine's floor"), "{said}");

    let mut other = stored;
    other["host"]["cores"] = 4_096.into();
    fs::write(&profile, other.to_string()).unwrap();
    let (manifest, said) = smoke(&profile, &folder.path().join("not"));
    assert_eq!(manifest["calibration"], Value::Null);
    assert!(said.contains("is not used: it is of another machine"), "{said}");
}

#[test]
fn a_machine_that_was_not_calibrated_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let done = squall(&["calibrate", "--show"], &folder.path().join("none.json"));
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8(done.stderr).unwrap().contains("run `squall calibrate` first"));
    let done = squall(&["calibrate", "--show"], Path::new(""));
    assert_eq!(done.status.code(), Some(2));
}
