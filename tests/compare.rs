//! `squall compare` through the built binary, on made-up runs: copies of one real run with figures of their own, so that
//! nothing depends on how fast the machine is. And every exit code there is.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::program::{self, only_run, signal, text, told, under_way};

const SCENARIO: &str = r#"
[scenario]
name = "small"
[run]
connect_rate = "1000/s"
warm_up = "0s"
drain = "2s"
interval = "200ms"
[[phase]]
name = "steady"
duration = "400ms"
[fleet.alpha]
protocol = "http"
devices = 10
rate = "20/s"
"#;

/// The built binary, in `folder` and without what the user keeps.
pub(crate) fn squall(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = program::squall(folder, arguments);
    command.env("SQUALL_PROFILE", "").env_remove("GITHUB_STEP_SUMMARY");
    command
}

pub(crate) fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A folder with one real run in it, and made-up ones.
struct Desk {
    folder: tempfile::TempDir,
    real: PathBuf,
}

/// What a made-up run measured: factors on p50, p95, p99 and p99.9, a scatter, and the share of readings that fail.
#[derive(Clone, Copy)]
struct Made {
    factors: [f64; 4],
    scatter: f64,
    failing: f64,
}

/// Beyond what six pairs decide.
const WILD: Made = Made { scatter: 0.25, ..CALM };
const CALM: Made = Made { factors: [1.0; 4], scatter: 0.002, failing: 0.0 };

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s.toml"), SCENARIO).unwrap();
        // A machine busy with other tests may rightly call it invalid: the copies say for themselves what they are.
        let ran = squall(folder.path(), &["run", "s.toml", "--quiet", "--out", "real"]).output().unwrap();
        assert!(matches!(ran.status.code(), Some(0 | 12)), "{}", told(&ran));
        Self { real: only_run(&folder.path().join("real")), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn squall(&self, arguments: &[&str]) -> Output {
        squall(self.folder.path(), arguments).output().unwrap()
    }

    /// `count` runs of a build in the folder `side`, and their names from the desk.
    fn runs(&self, side: &str, count: usize, made: Made) -> Vec<String> {
        (0..count).map(|index| self.run(side, index, made)).collect()
    }

    fn run(&self, side: &str, index: usize, made: Made) -> String {
        let name = format!("{side}/small/{side}-{index}");
        let place = self.path(&name);
        std::fs::create_dir_all(&place).unwrap();
        for entry in std::fs::read_dir(&self.real).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), place.join(entry.file_name())).unwrap();
        }
        self.edit(&name, |manifest| {
            manifest["run_id"] = format!("{side}-{index}").into();
            manifest["label"] = side.into();
            // What it measured is made up below.
            manifest.as_object_mut().unwrap().remove("files");
            manifest["validity"] = serde_json::json!({"verdict": "valid", "reasons": []});
        });
        measured(&place.join("summary.csv"), index, made);
        name
    }

    /// Changes the manifest of the run `name`.
    fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let path = self.path(name).join("run.json");
        let mut manifest = json(&path);
        change(&mut manifest);
        std::fs::write(path, manifest.to_string()).unwrap();
    }

    fn compare(&self, arguments: &[&str], base: &[String], candidate: &[String]) -> Output {
        let mut command = squall(self.folder.path(), &["compare"]);
        command.args(arguments).args(base).arg("--").args(candidate).output().unwrap()
    }
}

/// Writes what the `index`-th run measured over its summary.
fn measured(summary: &Path, index: usize, made: Made) {
    const PLANNED: u64 = 20_000;
    let mut table = csv::Reader::from_path(summary).unwrap();
    let header = table.headers().unwrap().clone();
    let failing = (PLANNED as f64 * made.failing) as u64;
    let figure = |column: &str| -> Option<String> {
        let time = |k: usize, ms: f64| {
            // A pattern in which no two figures and no two runs go together.
            let wave = (made.scatter * ((index * 7 + k * 3) as f64 + made.factors[k]).sin()).exp();
            Some(format!("{:.6}", ms * made.factors[k] * wave))
        };
        match column {
            "planned" | "sent" => Some(PLANNED.to_string()),
            "ok" => Some((PLANNED - failing).to_string()),
            "error" | "error_status" => Some(failing.to_string()),
            "shed" | "timeout" | "lost" | "dropped" | "censored" => Some("0".into()),
            "censored_floor_ms" => Some(String::new()),
            "p50_ms" => time(0, 2.0),
            "p95_ms" => time(1, 5.0),
            "p99_ms" => time(2, 9.0),
            "p99_9_ms" => time(3, 20.0),
            _ => None,
        }
    };
    let mut written = csv::Writer::from_writer(Vec::new());
    written.write_record(&header).unwrap();
    for record in table.records() {
        let record = record.unwrap();
        let is_reading = header.iter().zip(&record).any(|pair| pair == ("kind", "reading"));
        let cells = header.iter().zip(&record);
        let cells = cells
            .map(|(column, cell)| figure(column).filter(|_| is_reading).unwrap_or_else(|| cell.to_owned()));
        written.write_record(cells.collect::<Vec<_>>()).unwrap();
    }
    std::fs::write(summary, written.into_inner().unwrap()).unwrap();
}

fn comparison(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", told(output)))
}

fn cell<'c>(comparison: &'c Value, figure: &str) -> &'c Value {
    let cells = comparison["cells"].as_array().unwrap();
    cells.iter().find(|cell| cell["figure"] == figure).unwrap_or_else(|| panic!("no {figure}"))
}

#[test]
fn runs_in_pairs_come_to_a_verdict_and_an_exit_code() {
    let desk = Desk::new();
    let tail = |factor: f64| Made { factors: [1.0, 1.0, factor, 1.0], ..CALM };
    let broken = Made { factors: [0.5; 4], failing: 0.2, ..CALM };
    let base = desk.runs("base", 6, CALM);
    let sides =
        [("same", CALM), ("slow", tail(1.2)), ("quick", tail(0.8)), ("wild", WILD), ("broken", broken)];
    let sides = sides.map(|(name, made)| desk.runs(name, 6, made));
    let [same, slow, quick, wild, broken] = &sides;
    let paired: &[&str] = &["--paired"];
    for (arguments, candidate, verdict, code, said) in [
        (paired, same, "no difference", 0, ": no judged figure differs by more than its threshold"),
        (paired, slow, "regression", 10, "p99 of all fleets: +20."),
        (paired, quick, "improvement", 0, "p99 of all fleets: -"),
        (paired, wild, "inconclusive", 0, "judged figures are open; "),
        (paired, broken, "regression", 10, "error rate of all fleets: +20.00 points"),
        (&["--paired", "--on-inconclusive", "fail"], wild, "inconclusive", 11, "cannot tell yet"),
        (&["--paired", "--on-inconclusive", "fail"], same, "no difference", 0, ""),
        (&["--paired", "--threshold", "p99=30%"], slow, "no difference", 0, ""),
        (&["--paired", "--alpha", "0.01"], slow, "inconclusive", 0, "at least 8 are needed"),
        (&[], slow, "regression (advisory)", 0, "advisory: the runs are not paired"),
        (&["--gate-unpaired"], slow, "regression", 10, "6 and 6 runs"),
        (&["--gate-unpaired"], same, "no difference", 0, ""),
    ] {
        let output = desk.compare(arguments, &base, candidate);
        let (shown, case) =
            (text(&output.stdout), format!("{arguments:?} {}: {}", candidate[0], told(&output)));
        assert_eq!(output.status.code(), Some(code), "{case}");
        let line = shown.lines().nth(1).unwrap_or_default();
        assert!(line.starts_with(&format!("{verdict}:")), "{case}");
        // The table wraps sentences.
        assert!(shown.split_whitespace().collect::<Vec<_>>().join(" ").contains(said.trim()), "{case}");
        let arguments = [&["--json"], arguments].concat();
        let (once, twice) =
            (desk.compare(&arguments, &base, candidate), desk.compare(&arguments, &base, candidate));
        assert_eq!((once.status.code(), &once.stdout), (Some(code), &twice.stdout), "{case}");
        assert_eq!(once.stderr, b"", "{case}");
        let word = verdict.trim_end_matches(" (advisory)").replace(' ', "_");
        assert_eq!(comparison(&once)["verdict"], *word, "{case}");
    }
    let slow = comparison(&desk.compare(&["--paired", "--json"], &base, slow));
    // By hand: the same factor in every pair but for the scatter, and the least p of 6 sign flips.
    let effect = cell(&slow, "p99")["effect"].as_f64().unwrap();
    assert!((effect - 1.2_f64.ln()).abs() < 0.002, "{effect}");
    assert_eq!(cell(&slow, "p99")["p_adjusted"], 2.0 / 64.0);
    assert_eq!(cell(&slow, "p99_9")["support"], "shown", "20 of 20 000 samples lie beyond it");
    let broken = comparison(&desk.compare(&["--paired", "--json"], &base, broken));
    assert_eq!(cell(&broken, "error_rate")["verdict"]["verdict"], "regression");
    assert_eq!(cell(&broken, "p50")["verdict"]["withdrawn"], "fails_more", "{}", cell(&broken, "p50"));
}

#[test]
fn sides_that_are_swapped_say_the_opposite_exactly() {
    let desk = Desk::new();
    let base = desk.runs("base", 7, CALM);
    for (name, made) in [
        ("slow", Made { factors: [1.1, 1.0, 1.3, 0.7], scatter: 0.01, failing: 0.0 }),
        ("failing", Made { factors: [1.0; 4], scatter: 0.03, failing: 0.05 }),
    ] {
        let candidate = desk.runs(name, 7, made);
        for arguments in [&["--paired", "--json"][..], &["--json"]] {
            let there = comparison(&desk.compare(arguments, &base, &candidate));
            let back = comparison(&desk.compare(arguments, &candidate, &base));
            let opposite = |verdict: &Value| match verdict.as_str() {
                Some("regression") => Value::from("improvement"),
                Some("improvement") => Value::from("regression"),
                _ => verdict.clone(),
            };
            assert_eq!(there["base"], back["candidate"]);
            let (left, right) = (there["cells"].as_array().unwrap(), back["cells"].as_array().unwrap());
            assert_eq!(left.len(), right.len());
            for (left, right) in left.iter().zip(right) {
                let case = format!("{name} {arguments:?}\n{left}\n{right}");
                for same in ["group", "figure", "support", "p_adjusted", "threshold", "spread"] {
                    assert_eq!(left[same], right[same], "{same}: {case}");
                }
                assert_eq!(left["base"], right["candidate"], "{case}");
                assert_eq!(left["effect"].as_f64(), right["effect"].as_f64().map(|effect| -effect), "{case}");
                for interval in ["ci90", "ci95"] {
                    let of = |cell: &Value, end: usize| cell[interval][end].as_f64();
                    assert_eq!(of(left, 0), of(right, 1).map(|end| -end), "{case}");
                    assert_eq!(of(left, 1), of(right, 0).map(|end| -end), "{case}");
                }
                let verdict = |cell: &Value| cell["verdict"]["verdict"].clone();
                assert_eq!(verdict(left), opposite(&verdict(right)), "{case}");
            }
        }
    }
}

impl Desk {
    /// The record of a comparison in pairs: main ones of these two sides, and fresh ones.
    fn record(&self, looks: &[usize], confirming: bool, main: [&[String]; 2], fresh: [&[String]; 2]) {
        let run = json(&self.real.join("run.json"));
        let build = |label: &str| serde_json::json!({"label": label, "command": null, "targets": []});
        let pairs = |stage: &'static str, sides: [&[String]; 2]| {
            let zip = sides[0].iter().zip(sides[1]).enumerate();
            let pairs = zip.map(move |(index, (a, b))| {
                serde_json::json!({
                    "number": index + 1, "stage": stage, "seed": "1", "base_first": index % 2 == 0, "a": a, "b": b,
                    "discarded": null,
                })
            });
            pairs.collect::<Vec<_>>()
        };
        // A pair that does not count is not even read.
        let discarded = serde_json::json!({
            "number": 1, "stage": "main", "seed": "1", "base_first": true, "a": "gone", "b": "gone", "discarded": "invalid",
        });
        let pairs = [vec![discarded], pairs("main", main), pairs("confirmation", fresh)].concat();
        let record = serde_json::json!({
            "schema": 1, "tool_version": "0.1.0", "scenario": "small", "state": "complete",
            "started": run["started"], "ended": null, "host": run["host"], "a": build("a"), "b": build("b"),
            "order": "abba", "seed": "7", "alpha": if looks.len() > 1 { 0.0294 } else { 0.05 },
            "thresholds": {"p50": 0.02, "p95": 0.03, "p99": 0.05, "p99_9": 0.1, "share": 0.001, "floor_ms": 0.02},
            "looks": looks, "confirming": confirming, "pairs": pairs,
        });
        std::fs::write(self.path("ab.json"), record.to_string()).unwrap();
    }
}

impl Desk {
    /// That the recorded comparison comes to this exit code and verdict by these looks, and says this.
    fn assert_judged(&self, name: &str, code: i32, verdict: &str, looked: &[u64], said: &str) {
        let output = self.squall(&["compare", ".", "--json"]);
        assert_eq!(output.status.code(), Some(code), "{name}: {}", told(&output));
        let comparison = comparison(&output);
        assert_eq!(comparison["verdict"], verdict, "{name}: {}", told(&output));
        let looks = comparison["looks"].as_array().unwrap().iter();
        assert_eq!(looks.map(|look| look["pairs"].as_u64().unwrap()).collect::<Vec<_>>(), looked, "{name}");
        let reasons = comparison["reasons"].to_string();
        assert!(reasons.contains(said), "{name}: {reasons}");
    }
}

#[test]
fn a_stored_regression_stands_by_its_fresh_pairs() {
    let desk = Desk::new();
    let slow = Made { factors: [1.0, 1.0, 1.3, 1.0], ..CALM };
    let sides = [("base", CALM), ("slow", slow), ("fresh", CALM), ("again", slow), ("calm", CALM)];
    let [base, slow, fresh, again, calm] = sides.map(|(name, made)| desk.runs(name, 6, made));
    for (name, candidate, confirming, second, count, code, verdict, said) in [
        ("yes", &slow, true, &again, 6, 10, "regression", "confirmed by 6 fresh pairs"),
        (
            "no",
            &slow,
            true,
            &calm,
            6,
            0,
            "inconclusive",
            "not confirmed: 6 fresh pairs did not show it again",
        ),
        ("not yet", &slow, true, &again, 3, 0, "regression", "not confirmed yet: 3 of 6 fresh pairs"),
        ("not asked", &slow, false, &again, 0, 10, "regression", "p99 of all fleets: +30."),
        ("no claim", &calm, true, &again, 6, 0, "no_difference", ""),
    ] {
        desk.record(&[6], confirming, [&base, candidate], [&fresh[..count], &second[..count]]);
        desk.assert_judged(name, code, verdict, &[6], said);
    }
}

#[test]
fn a_stored_comparison_is_judged_look_by_look() {
    let desk = Desk::new();
    let slow = Made { factors: [1.0, 1.0, 1.3, 1.0], ..CALM };
    let sides = [("base", CALM), ("slow", slow), ("wild", WILD), ("calm", CALM)];
    let [base, slow, wild, calm] = sides.map(|(name, made)| desk.runs(name, 8, made));
    for (name, looks, candidate, pairs, verdict, looked, said) in [
        ("both looks", &[6, 8][..], &wild, 8, "inconclusive", &[6, 8][..], ""),
        ("only a difference ends it early", &[6, 8], &calm, 8, "no_difference", &[6, 8], ""),
        ("cut after the first", &[6, 8], &wild, 7, "inconclusive", &[6], "7 of 8 pairs were run"),
        // What so few pairs say does not count.
        ("cut before it", &[8], &slow, 6, "regression", &[], "6 of 8 pairs were run"),
    ] {
        desk.record(looks, false, [&base[..pairs], &candidate[..pairs]], [&[], &[]]);
        desk.assert_judged(name, 0, verdict, looked, said);
    }
    desk.record(&[6], false, [&base, &base], [&[], &[]]);
    assert_eq!(desk.squall(&["compare", "."]).status.code(), Some(12));
    for (text, said) in [
        ("{", "ab.json is not a record of a comparison"),
        ("{\"schema\": 9}", "ab.json has schema 9; this squall reads up to 1"),
    ] {
        std::fs::write(desk.path("ab.json"), text).unwrap();
        let output = desk.squall(&["compare", "."]);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(told(&output).contains(said), "{}", told(&output));
    }
}

#[test]
fn runs_that_are_no_evidence_are_refused_by_name() {
    let desk = Desk::new();
    let (base, candidate) = (desk.runs("base", 2, CALM), desk.runs("candidate", 2, CALM));
    let spoil = |name: &str, change: &dyn Fn(&mut Value)| {
        let run = desk.runs(name, 1, CALM);
        desk.edit(&run[0], change);
        run
    };
    let plan = spoil("plan", &|run| run["plan_digest"] = "cd".repeat(32).into());
    let running = spoil("running", &|run| run["state"] = "running".into());
    let stopped = spoil("stopped", &|run| run["state"] = "interrupted".into());
    let unjudged = spoil("unjudged", &|run| run["validity"] = Value::Null);
    let by_hand = spoil("byhand", &|run| run["faults_by_hand"] = 2.into());
    let altered = spoil("altered", &|run| {
        run["plan_altered"] = serde_json::json!([{"phase": "steady", "at_s": 3.1, "left_out_s": 2.0}]);
    });
    let invalid = spoil("invalid", &|run| {
        run["validity"] = serde_json::json!({"verdict": "invalid", "reasons": ["too slow a generator"]});
    });
    let later = spoil("later", &|run| run["schema"] = 999.into());
    let garbled = spoil("garbled", &|_| ());
    std::fs::write(desk.path(&garbled[0]).join("run.json"), "{").unwrap();
    let cut = spoil("cut", &|_| ());
    std::fs::remove_file(desk.path(&cut[0]).join("summary.csv")).unwrap();
    std::fs::create_dir(desk.path("empty")).unwrap();
    let (one, nowhere, empty) = (base[..1].to_vec(), vec!["nowhere".to_owned()], vec!["empty".to_owned()]);
    let none: &[&str] = &[];
    for (arguments, left, right, code, said) in [
        (none, &one, &plan, 12, "base-0 and plan-0 ran different plans ("),
        (&["--paired"], &one, &plan, 12, "run both with the same scenario, seed and overrides"),
        (none, &one, &running, 12, "running-0 is not finished: only complete runs are compared"),
        (none, &stopped, &one, 12, "stopped-0 is interrupted: only complete runs are compared"),
        (none, &one, &unjudged, 12, "unjudged-0 is not judged"),
        (none, &one, &by_hand, 12, "in byhand-0 faults were switched by hand"),
        (
            none,
            &one,
            &altered,
            12,
            "the plan of altered-0 was altered: phase `steady` was ended by hand at 3.10 s",
        ),
        (none, &one, &invalid, 12, "invalid-0 is invalid (too slow a generator)"),
        (none, &one, &one, 12, "base-0 is given twice"),
        (&["--paired"], &base, &one, 2, "--paired: 2 runs of the base and 1 of the candidate are not pairs"),
        (&["--paired", "--gate-unpaired"], &base, &candidate, 2, "cannot be used with"),
        (none, &one, &later, 2, "schema 999"),
        (none, &one, &garbled, 2, "garbled-0/run.json"),
        (none, &one, &cut, 2, "cut-0/summary.csv"),
        (none, &nowhere, &one, 2, "cannot read nowhere: "),
        (none, &one, &empty, 2, "empty is not a run and has none in it"),
        (&["--alpha", "0.7"], &one, &candidate, 2, "a probability from 0.0001 to 0.2"),
        (&["--threshold", "p98=3%"], &one, &candidate, 2, "`p98` is not a figure"),
    ] {
        let output = desk.compare(arguments, left, right);
        assert_eq!(output.status.code(), Some(code), "{said}: {}", told(&output));
        assert!(text(&output.stderr).contains(said), "{said}: {}", told(&output));
        assert_eq!(text(&output.stdout), "", "{said}");
    }
    for (arguments, said) in [
        (&["compare"][..], "required"),
        (&["compare", "base"], "there is nothing to compare with"),
        (&["compare", "--trials", "5", "base", "candidate"], "cannot be used with"),
        (&["compare", "--trials", "0", "--self-test"], "--trials"),
        (&["compare", "--self-test", "base"], "cannot be used with"),
    ] {
        let output = desk.squall(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(text(&output.stderr).contains(said), "{arguments:?}: {}", told(&output));
    }
}

#[test]
fn one_run_of_each_is_described_and_folders_are_searched() {
    let desk = Desk::new();
    let slow = Made { factors: [3.0; 4], ..CALM };
    let (base, candidate) = (desk.runs("base", 3, CALM), desk.runs("candidate", 3, slow));
    // With one of each, the `--` may be left out.
    for arguments in
        [vec!["compare", &base[0], &candidate[0]], vec!["compare", &base[0], "--", &candidate[0]]]
    {
        let output = desk.squall(&arguments);
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        assert!(shown.contains("one run each") && shown.contains("described, not judged"), "{shown}");
        assert!(shown.contains("2.00 ms") && shown.contains("6.0"), "{shown}");
        assert!(!shown.contains("regression"), "{shown}");
    }
    let gated = desk.compare(&["--gate-unpaired"], &base[..1], &candidate[..1]);
    assert_eq!(gated.status.code(), Some(0), "a single run never gates: {}", told(&gated));
    let names = |runs: [&str; 3]| Value::from(runs.to_vec());
    for (left, right) in [("base", "candidate"), ("base/small", "candidate/small")] {
        let output = desk.squall(&["compare", "--json", left, "--", right]);
        let comparison = comparison(&output);
        assert_eq!(comparison["base"]["runs"], names(["base-0", "base-1", "base-2"]));
        assert_eq!(comparison["candidate"]["runs"], names(["candidate-0", "candidate-1", "candidate-2"]));
        assert_eq!(comparison["design"]["pairing"], "unpaired");
    }
}

#[test]
fn suspect_runs_are_evidence_and_are_counted() {
    let desk = Desk::new();
    let (base, candidate) = (desk.runs("base", 1, CALM), desk.runs("candidate", 1, CALM));
    desk.edit(&candidate[0], |run| {
        run["validity"] = serde_json::json!({"verdict": "suspect", "reasons": ["busy"]});
    });
    let output = desk.compare(&[], &base, &candidate);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(text(&output.stdout).contains("1 of 2 runs judged suspect"), "{}", told(&output));
}

#[test]
fn the_rules_are_put_to_the_test_with_controls_that_must_fail_them() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = |trials| ["compare", "--self-test", "--trials", trials];
    let table = squall(folder.path(), &arguments("3")).output().unwrap();
    let shown = text(&table.stdout);
    assert!(shown.starts_with("3 simulated comparisons per row, seed 1"), "{}", told(&table));
    assert_eq!(shown.lines().filter(|line| line.contains("after the other")).count(), 2, "{shown}");
    let printed = squall(folder.path(), &[&arguments("50")[..], &["--json"]].concat()).output().unwrap();
    let test = comparison(&printed);
    let rows = test["rows"].as_array().unwrap();
    // So few trials may fail a row by chance: then it says so.
    let met = rows.iter().all(|row| row["met"] == true);
    let fails = shown.lines().any(|line| line.ends_with("FAILS"));
    for (output, met) in [(&printed, met), (&table, !fails)] {
        assert_eq!(output.status.code(), Some(i32::from(!met)), "{}", told(output));
        assert_eq!(met, output.stderr.is_empty(), "{}", told(output));
    }
    let controls = rows.iter().filter(|row| row["name"].as_str().unwrap().contains("after the other"));
    for row in controls.clone() {
        assert!(row["rates"]["red"].as_f64().unwrap() > 0.0, "{row}");
    }
    assert_eq!((controls.count(), &test["trials"]), (2, &50.into()));
}

/// One case for every exit code of `--help`.
#[test]
fn every_exit_code_is_had_by_what_it_stands_for() {
    let desk = Desk::new();
    let slow = Made { factors: [1.5; 4], ..CALM };
    desk.runs("base", 6, CALM);
    desk.runs("slow", 6, slow);
    desk.runs("wild", 6, WILD);
    for (code, arguments) in [
        (0, &["compare", "base", "--", "slow"][..]),
        (1, &["report", "nowhere"]),
        (2, &["compare", "base"]),
        (10, &["compare", "--paired", "base", "--", "slow"]),
        (11, &["compare", "--paired", "--on-inconclusive=fail", "base", "--", "wild"]),
        (12, &["compare", "base", "--", "base"]),
    ] {
        let output = desk.squall(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", told(&output));
    }
    let budget = "[[budget]]\np50 = \"<1ns\"\n";
    std::fs::write(desk.path("budget.toml"), budget).unwrap();
    let failed = desk.squall(&["run", "s.toml", "--quiet", "--out", "gated", "--budget", "budget.toml"]);
    // A machine busy with other tests may rightly call the run invalid, which comes first.
    let invalid = text(&failed.stdout).contains("\nmeasurement  invalid: ");
    assert_eq!(failed.status.code(), Some(if invalid { 12 } else { 99 }), "{}", told(&failed));

    let arguments = ["run", "s.toml", "--quiet", "--out", "cut", "--duration", "300s"];
    let mut command = squall(desk.folder.path(), &arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    under_way(&desk.path("cut/small"));
    signal(child.id(), "INT");
    let cut = child.wait_with_output().unwrap();
    assert_eq!(cut.status.code(), Some(130), "{}", told(&cut));
}
