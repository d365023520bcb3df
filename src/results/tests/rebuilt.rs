//! The figures of a killed run must cover the same span for all fleets, wherever its files were cut.

use super::*;
use crate::results::Report;

/// A manifest that the run of this name has left running.
fn running(run_id: &str) -> String {
    serde_json::json!({
        "schema": 1, "tool_version": "0.1.0", "label": "a", "run_id": run_id, "state": "running", "seed": "1",
        "plan_digest": "ab", "scenario": {"name": "trial", "text": "", "overrides": []},
        "started": "2026-09-21T14:13:20Z", "ended": null, "host": Host::here(),
        "clock": {"resolution_ns": 30}, "pacer": {"kind": "timerfd", "slack_ns": 0, "awake_ns": 50_000},
        "workers": 1, "targets": {}, "worker_use": [], "pacing_lag": null, "calibration": null,
        "validity": null, "failures": [], "budgets": [], "exit_code": null, "fleets": [], "files": {},
    })
    .to_string()
}

/// Readings of all fleets together, those of each of the two, and how many response times there are of them.
fn counted(directory: &Path) -> (u64, u64, u64, String) {
    let report = Report::load(directory).unwrap();
    let planned = |fleet: &str| {
        let rows = report.summary.iter().filter(|row| row.fleet == fleet);
        rows.map(|row| row.figures.planned).sum::<u64>()
    };
    (planned("all"), planned("meters"), planned("pumps"), report.rebuilt.unwrap())
}

#[test]
fn a_log_of_before_what_ended_ok_had_lines_is_read_without_them() {
    let out = tempfile::tempdir().unwrap();
    let layout = layout();
    let samples: Vec<_> = (0..60)
        .map(|nth| (0, sample(&layout, 0, Tick(2 * SECOND + nth * SECOND / 10), MS, Outcome::Ok)))
        .collect();
    let (directory, ..) = run_of(out.path(), &samples, 1);
    let directory = directory.path();
    let run_id = directory.file_name().unwrap().to_str().unwrap();
    std::fs::write(directory.join("run.json"), running(run_id)).unwrap();
    std::fs::remove_file(directory.join("summary.csv")).unwrap();
    let path = directory.join("latency.hlog");
    let log = std::fs::read_to_string(&path).unwrap();
    let earlier = log.lines().filter(|line| !line.contains(".ok,") && !line.contains(".censored,"));
    let earlier: String = earlier.flat_map(|line| [line, "\n"]).collect();
    assert!(earlier.len() < log.len());
    std::fs::write(&path, earlier).unwrap();
    let report = Report::load(directory).unwrap();
    let told = report.rebuilt.unwrap();
    assert!(told.contains("and the times of what ended ok alone are lost"), "{told}");
    let fleet = report.summary.iter().find(|row| row.fleet == "meters").unwrap();
    assert_eq!((fleet.figures.planned, fleet.figures.ok_p99_ms), (60, None));
    let history = History::load(directory).unwrap();
    assert!(history.curves.ok.is_none() && history.curves.response.is_some_and(|times| times.len() == 60));
}

#[test]
fn an_interval_that_is_cut_anywhere_is_left_out_for_all_fleets() {
    let out = tempfile::tempdir().unwrap();
    let layout = layout();
    // Ten readings in each of the six seconds of the measured phase, alternately of the two fleets.
    let at = |nth: u64| {
        let intended = Tick(2 * SECOND + nth * SECOND / 10);
        (0, sample(&layout, (nth % 2) as u16, intended, MS, Outcome::Ok))
    };
    let samples: Vec<_> = (0..60).map(at).collect();
    // On a busy machine a worker may hand over two intervals as one: such a run is of no use here.
    let punctual = |(directory, _, reports): (RunDirectory, Totals, Vec<IntervalReport>)| {
        reports.iter().all(|report| report.merged_slices + report.late_slices == 0).then_some(directory)
    };
    let directory = (0..50).find_map(|_| punctual(run_of(out.path(), &samples, 1))).unwrap();
    let directory = directory.path();
    let run_id = directory.file_name().unwrap().to_str().unwrap();
    std::fs::write(directory.join("run.json"), running(run_id)).unwrap();
    std::fs::remove_file(directory.join("summary.csv")).unwrap_or_default();
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    let (rows, log) = (read("intervals.csv"), read("latency.hlog"));
    let last_line = |text: &str| text.len() - text.trim_end().rfind('\n').unwrap() - 1;
    let (row, line) = (last_line(&rows), last_line(&log));
    let cases = [
        ("nothing", 0, 0, 60),
        ("the end of the last line alone", 1, 0, 50),
        ("the middle of the last row", 40, 0, 50),
        ("in the name of the run", row - 3, 0, 50),
        ("a whole row", row, 0, 50),
        ("a row and the middle of the one before", row + 40, 0, 50),
        ("the middle of the log's last line", 0, 9, 50),
        ("most of the log's last line", 0, line - 3, 50),
        ("both", 40, 9, 50),
    ];
    for (case, less_rows, less_log, expected) in cases {
        std::fs::write(directory.join("intervals.csv"), &rows[..rows.len() - less_rows]).unwrap();
        std::fs::write(directory.join("latency.hlog"), &log[..log.len() - less_log]).unwrap();
        let (all, meters, pumps, told) = counted(directory);
        assert_eq!((all, meters, pumps), (expected, expected / 2, expected / 2), "{case}: {told}");
        let reached = if expected == 60 {
            "go to 8.00 s; "
        } else {
            "go to 7.00 s; the interval after that was cut off"
        };
        assert!(told.contains(reached), "{case}: {told}");
        // What ended ok has lines of its own, so that its times are not lost.
        assert!(told.ends_with("the delivery audit, waits and stages are lost"), "{told}");
        let rows = Report::load(directory).unwrap().summary;
        assert!(rows.iter().all(|row| row.is_headline() || row.figures.ok_p99_ms == row.figures.p99_ms));
    }
}
