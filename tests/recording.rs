//! Recordings as scenarios replay them, through the built binary: what lies outside the measured phases, and long ones.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Output;

use crate::program;

fn squall(folder: &Path, arguments: &[&str]) -> Output {
    program::squall(folder, arguments).output().unwrap()
}

/// A folder with `s.toml`, a second of warm-up before one that is measured, and the recording `x.csv`.
fn folder(fleets: &str, recording: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let head = "[scenario]\nname = \"r\"\n[run]\nwarm_up = \"1s\"\ndrain = \"60s\"\n[[phase]]\nname = \"steady\"\nduration = \"1s\"\n";
    std::fs::write(folder.path().join("s.toml"), format!("{head}{fleets}")).unwrap();
    std::fs::write(folder.path().join("x.csv"), recording).unwrap();
    folder
}

const REPLAY: &str =
    "[fleet.replay]\nprotocol = \"http\"\ndevices = 2\narrival = { law = \"recorded\", file = \"x.csv\" }\n";
const STEADY: &str = "[fleet.steady]\nprotocol = \"http\"\ndevices = 2\nrate = \"20/s\"\n";
const SAID: &str =
    "no reading of fleet `replay` is due in the measured phases; its recording is over before they begin";

/// Check knows it, and the run says it, whether nothing at all or only this fleet is unmeasured.
#[test]
fn a_recording_that_is_over_before_anything_is_measured_is_said() {
    let (early, late) = ("time\n0\n0.1\n0.5\n", "time\n0\n0.1\n1.5\n");
    for (fleets, recording, said, word) in [
        (REPLAY.to_owned(), early, true, "invalid"),
        (format!("{REPLAY}{STEADY}"), early, true, "suspect"),
        (format!("{REPLAY}{STEADY}"), late, false, ""),
    ] {
        let folder = folder(&fleets, recording);
        let checked = squall(folder.path(), &["check", "s.toml"]);
        assert_eq!(checked.status.code(), Some(0), "{checked:?}");
        let shown =
            String::from_utf8(checked.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(shown.contains(SAID), said, "{shown}");
        let ran = squall(folder.path(), &["run", "s.toml", "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
        let validity = &report["run"]["validity"];
        let reasons = validity["reasons"].to_string();
        assert_eq!(reasons.contains(SAID), said, "{validity}");
        // Another reason may be graver, on a machine that is busy.
        let verdict = validity["verdict"].as_str().unwrap();
        assert!(verdict == word || verdict == "invalid" || !said, "{validity}");
    }
}

/// More rows than are held in memory: all of them are counted, and none is lost.
#[test]
fn a_recording_of_more_than_a_million_rows_is_replayed_whole() {
    const ROWS: u64 = 1_030_000;
    let mut recording = String::from("time\n");
    for row in 0..ROWS {
        // 2 s are passed: one row in two lies beyond.
        let _ = writeln!(recording, "{}.{:06}", row * 4 / 1_000_000, row * 4 % 1_000_000);
    }
    let folder = folder(REPLAY, &recording);
    let checked = squall(folder.path(), &["check", "s.toml", "--json"]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    let plans: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    // Those of the second that is measured.
    assert_eq!(plans[0]["readings"].as_f64(), Some(250_000.0));
}
