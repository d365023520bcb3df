//! How well the reference system finds the anomalies of the quickstart, from the files of a run.

use std::process::{Command, Stdio};

use squall::results::{Detections, Score, read_summary};

use crate::skip;

/// Runs the quickstart; how many readings were not answered, and which of its anomalies were found.
fn quickstart() -> (u64, Score) {
    let folder = tempfile::tempdir().unwrap();
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/quickstart.toml");
    let run = Command::new(env!("CARGO_BIN_EXE_squall"))
        .current_dir(folder.path())
        .args(["run", scenario, "--duration", "28s", "--quiet"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(matches!(run.status.code(), Some(0 | 12)), "{}", String::from_utf8_lossy(&run.stderr));
    let made = std::fs::read_dir(folder.path().join("results/quickstart")).unwrap().next().unwrap().unwrap();
    let rows = read_summary(&made.path()).unwrap();
    let figures = &rows.iter().find(|row| row.is_headline()).unwrap().figures;
    (figures.planned - figures.ok, Detections::load(&made.path()).unwrap().all)
}

#[test]
fn the_reference_finds_the_quickstarts_anomalies() {
    // What is found does not depend on times; but on a machine so busy that readings go unanswered too little is judged.
    for _ in 0..3 {
        let (unanswered, score) = quickstart();
        let found = [score.spike, score.shift];
        let (seeded, found) =
            found.iter().fold((0, 0), |sum, kind| (sum.0 + kind.seeded, sum.1 + kind.found));
        let share = found as f64 / seeded as f64;
        let alarms = score.false_alarms as f64 / score.judged_normal as f64;
        println!(
            "quickstart: {found} of {seeded} seeded spikes and shifts found ({:.1} %), {} false alarms in {} normal readings ({:.3} %)",
            share * 100.0,
            score.false_alarms,
            score.judged_normal,
            alarms * 100.0
        );
        if seeded >= 50 {
            assert!(share >= 0.95, "{found} of {seeded}");
            assert!(alarms < 0.001, "{} of {}", score.false_alarms, score.judged_normal);
            return;
        }
        assert!(unanswered > 0, "{seeded} are too few to judge by, though all was answered");
    }
    skip::disturbed("the machine is too busy for a quickstart that is judged");
}
