//! The outputs for CI, through the built binary, each read as its consumer reads it; and the commands that the manual shows.
//!
//! The readers are Python's `lxml`, `jsonschema`, `prometheus_client` and `pyyaml`. Where one is not installed its part is skipped,
//! and says so.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;
use squall::compare::Comparison;
use squall::export::{bencher, benchmark_action, comment, junit, openmetrics};

use crate::program::{self, text, told};
use crate::skip;

const SCENARIO: &str = r#"
[scenario]
name = "small"
[run]
connect_rate = "1000/s"
warm_up = "200ms"
drain = "2s"
interval = "500ms"
[[phase]]
name = "steady"
duration = "1s"
[fleet.alpha]
protocol = "http"
devices = 10
rate = "100/s"
expects = "exactly-once"
[fleet.beta]
protocol = "mqtt"
devices = 10
rate = "100/s"
"#;

fn desk() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.toml"), SCENARIO).unwrap();
    folder
}

fn squall(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = program::squall(folder, arguments);
    command.env_remove("GITHUB_STEP_SUMMARY");
    command
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path.as_ref())
        .unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

/// The only run made in `folder`, as the command line names it.
fn only_run(folder: &Path) -> PathBuf {
    program::only_run(&folder.join("results")).strip_prefix(folder).unwrap().to_owned()
}

/// Has Python read `kind=file` each.
fn read_by_python(folder: &Path, files: &[&str]) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/export_readers.py");
    for file in files {
        let Ok(output) = Command::new("python3").current_dir(folder).arg(script).arg(file).output() else {
            return skip::missing("there is no python3");
        };
        match output.status.code() {
            Some(0) => {}
            Some(77) => skip::missing(&format!("{file}: {}", text(&output.stderr).trim())),
            _ => panic!("{}", told(&output)),
        }
    }
}

/// `OpenMetrics` by its grammar: families declared before their samples and never again, labels quoted, `# EOF` at the end.
fn assert_openmetrics(text: &str) {
    let (body, end) = text.split_at(text.len() - "# EOF\n".len());
    assert_eq!(end, "# EOF\n");
    let (mut family, mut declared, mut series) = (String::new(), Vec::new(), Vec::new());
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<_> = comment.splitn(3, ' ').collect();
            assert_eq!(words.len(), 3, "{line}");
            if words[0] == "TYPE" {
                assert!(words[2] == "gauge" && !declared.contains(&words[1].to_owned()), "{line}");
                family = words[1].to_owned();
                declared.push(family.clone());
            }
            assert!(["TYPE", "UNIT", "HELP"].contains(&words[0]) && words[1] == family, "{line}");
            assert!(words[0] != "UNIT" || family.ends_with(&format!("_{}", words[2])), "{line}");
            continue;
        }
        let (labelled, value) = line.rsplit_once(' ').unwrap();
        let labels = labelled.strip_prefix(&family).unwrap_or_else(|| panic!("{line} is not of {family}"));
        assert!(labels.starts_with('{') && labels.ends_with("\"}"), "{line}");
        assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
        assert!(!series.contains(&labelled), "{line} stands twice");
        series.push(labelled);
    }
    assert!(!series.is_empty());
}

const OUTPUTS: [&str; 11] = [
    "--junit=out/junit.xml",
    "--format=github-summary=out/summary.md",
    "--format=pr-comment=out/pr-comment.md",
    "--format=bencher=out/bmf.json",
    "--format=benchmark-smaller=out/smaller.json",
    "--format=benchmark-bigger=out/bigger.json",
    "--format=openmetrics=out/metrics.txt",
    "--format=hgrm=out/tags",
    "--format=hgrm=out/all.hgrm",
    "--format=junit=out/again.xml",
    "--github",
];
const TEXTS: [&str; 9] = [
    "junit.xml",
    "summary.md",
    "pr-comment.md",
    "bmf.json",
    "smaller.json",
    "bigger.json",
    "metrics.txt",
    "all.hgrm",
    "tags/alpha.http.steady.response.hgrm",
];
const READERS: [&str; 5] = [
    "junit=out/junit.xml",
    "bencher=out/bmf.json",
    "benchmark-action=out/smaller.json",
    "benchmark-action=out/bigger.json",
    "openmetrics=out/metrics.txt",
];

/// A run in a folder of its own, which writes all there is.
fn run_with_every_output() -> (tempfile::TempDir, Output) {
    let folder = desk();
    let step = folder.path().join("step.md");
    std::fs::write(&step, "before\n").unwrap();
    let arguments =
        [&["run", "s.toml", "--quiet", "--json", "--label", "a|b\n::error::c"], OUTPUTS.as_slice()].concat();
    let ran = squall(folder.path(), &arguments).env("GITHUB_STEP_SUMMARY", &step).output().unwrap();
    (folder, ran)
}

#[test]
fn one_run_writes_every_output_and_each_reader_takes_its_own() {
    // A machine busy with other tests may rightly call a run invalid, and then no tool that follows figures is given any.
    let Some((folder, ran)) = (0..5).map(|_| run_with_every_output()).find(|(folder, ran)| {
        assert!(matches!(ran.status.code(), Some(0 | 12)), "{}", told(ran));
        let followed = folder.path().join("out/bmf.json").exists();
        assert_eq!(followed, ran.status.code() == Some(0), "{}", told(ran));
        followed
    }) else {
        skip::disturbed("on a machine that is so busy every run is invalid");
        return;
    };
    let step = folder.path().join("step.md");
    assert!(serde_json::from_slice::<serde_json::Value>(&ran.stdout).is_ok(), "annotations go elsewhere");
    assert_eq!(ran.status.code() == Some(12), text(&ran.stderr).contains("::error title="), "{}", told(&ran));

    let out = folder.path().join("out");
    assert_openmetrics(&read(out.join("metrics.txt")));
    read_by_python(folder.path(), &READERS);
    let xml = read(out.join("junit.xml"));
    assert!(
        xml.contains("name=\"delivery alpha\"") && xml.contains("name=\"figures steady beta mqtt\""),
        "{xml}"
    );
    assert_eq!(xml, read(out.join("again.xml")));
    let summary = read(out.join("summary.md"));
    assert!(summary.starts_with("## ") && summary.contains("a\\|b ::error::c"), "{summary}");
    assert_eq!(read(&step), format!("before\n{summary}"));
    let comment = read(out.join("pr-comment.md"));
    assert_eq!(comment, format!("<!-- squall:run:small -->\n{summary}"));
    let bmf: serde_json::Value = serde_json::from_str(&read(out.join("bmf.json"))).unwrap();
    let p50 = bmf["small/steady/alpha"]["latency-p50"]["value"].as_f64().unwrap();
    assert!((1e3..60e9).contains(&p50), "nanoseconds: {bmf}");
    assert!(bmf["small/all"]["throughput"]["value"].as_f64().unwrap() > 0.0, "{bmf}");

    // The stored run says the same, to the byte.
    let fresh: Vec<_> = TEXTS.map(|name| read(out.join(name))).into();
    std::fs::remove_dir_all(&out).unwrap();
    let run = only_run(folder.path());
    let arguments = [&["report", run.to_str().unwrap(), "--json"], OUTPUTS.as_slice()].concat();
    let reported = squall(folder.path(), &arguments).env("GITHUB_STEP_SUMMARY", &step).output().unwrap();
    assert_eq!(reported.status.code(), Some(0), "{}", told(&reported));
    assert_eq!(text(&reported.stdout), text(&ran.stdout));
    assert_eq!(TEXTS.map(|name| read(out.join(name))).to_vec(), fresh);
    assert_eq!(read(&step), format!("before\n{summary}{summary}"));

    outputs_that_cannot_be_written_are_told(folder.path(), run.to_str().unwrap());
}

/// By the stored run at `run`: what lacks, what is left out, and with which exit code.
fn outputs_that_cannot_be_written_are_told(folder: &Path, run: &str) {
    let plain = squall(folder, &["report", run, "--github"]).output().unwrap();
    assert_eq!(plain.status.code(), Some(0), "{}", told(&plain));
    assert!(text(&plain.stderr).contains("note: GITHUB_STEP_SUMMARY is not set"), "{}", told(&plain));
    assert!(text(&plain.stdout).starts_with("small, "), "{}", told(&plain));

    let lost = squall(folder, &["report", run, "--github", "--junit", "late.xml"])
        .env("GITHUB_STEP_SUMMARY", folder.join("nowhere/step.md"))
        .output()
        .unwrap();
    assert_eq!(lost.status.code(), Some(1));
    assert!(text(&lost.stderr).contains("nowhere/step.md (GITHUB_STEP_SUMMARY)"), "{}", told(&lost));
    assert!(folder.join("late.xml").exists(), "the others are written all the same");

    // Nobody reads the screen, as after `| head`: that is not a failure, and files are written all the same.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let unread = squall(folder, &["report", run, "--junit", "unread.xml"]).stdout(writer).output().unwrap();
    assert_eq!(unread.status.code(), Some(0), "{}", told(&unread));
    assert!(unread.stderr.is_empty(), "{}", told(&unread));
    assert_eq!(read(folder.join("unread.xml")), read(folder.join("late.xml")));

    std::fs::remove_file(folder.join(run).join("summary.csv")).unwrap();
    let cut = squall(folder, &["report", run]).output().unwrap();
    assert!(cut.status.code() == Some(1) && text(&cut.stderr).contains("summary.csv"), "{}", told(&cut));
}

#[test]
fn what_cannot_be_had_is_said_before_anything_runs() {
    let folder = desk();
    std::fs::write(folder.path().join("file"), "").unwrap();
    for (arguments, code, part) in [
        (&["--format", "xml=a"][..], 2, "write one of html, junit, github-summary,"),
        (&["--format", "junit"], 2, "write FORMAT=FILE"),
        (&["--format", "csv=a.csv"], 2, "summary.csv"),
        (&["--junit", "a.xml", "--format", "bencher=a.xml"], 2, "named for two outputs"),
        (&["--junit", "file/a.xml"], 1, "cannot write file/a.xml"),
        (&["--junit", "."], 1, "name a file"),
    ] {
        let ran = squall(folder.path(), &[&["run", "s.toml"], arguments].concat()).output().unwrap();
        assert_eq!(ran.status.code(), Some(code), "{arguments:?}: {}", told(&ran));
        assert!(text(&ran.stderr).contains(part), "{arguments:?}: {}", told(&ran));
    }
    assert!(!folder.path().join("results").exists());
    let nothing = squall(folder.path(), &["report", "nowhere"]).output().unwrap();
    assert!(nothing.status.code() == Some(1) && told(&nothing).contains("cannot read nowhere/run.json"));
}

fn comparison() -> Comparison {
    let cell = |figure: &str, effect: f64, verdict: &str| {
        json!({
            "group": {"phase": "steady", "fleet": "a\\b\"c\"\nd<e>", "protocol": "http"}, "figure": figure,
            "support": "judged", "base": 0.01, "candidate": 0.02, "effect": effect,
            "ci95": [effect - 0.05, effect + 0.05], "ci90": [effect - 0.04, effect + 0.04], "spread": 0.05,
            "p_adjusted": 0.01, "threshold": 0.05, "differences": [],
            "verdict": {"verdict": verdict, "certain": true, "more_pairs": null},
        })
    };
    let cells = ["p50", "p95", "p99", "p99_9", "error_rate", "shortfall"].iter().zip([
        "regression",
        "improvement",
        "no_difference",
        "inconclusive",
        "regression",
        "inconclusive",
    ]);
    serde_json::from_value(json!({
        "schema": 1, "scenario": "small\u{7}", "base": {"label": "", "runs": []},
        "candidate": {"label": "\u{1b}[1m]]>\u{fffe}", "runs": []},
        "design": {"pairing": "paired", "pairs": 8, "alpha": 0.05, "seed": "1", "plan_digests": [], "base_first": []},
        "verdict": "regression", "gates": true, "not_worse": false, "suspect_runs": 0, "reasons": ["a\nb"],
        "cells": cells.map(|(figure, verdict)| cell(figure, 0.01, verdict)).collect::<Vec<_>>(),
        "order_effect": null, "looks": [], "confirmation": null,
    }))
    .unwrap()
}

#[test]
fn the_outputs_of_a_comparison_are_what_their_readers_take() {
    let folder = tempfile::tempdir().unwrap();
    let comparison = comparison();
    let metrics = openmetrics::comparison(&comparison);
    assert_openmetrics(&metrics);
    for (name, text) in [
        ("junit.xml", junit::comparison(&comparison)),
        ("bmf.json", bencher::comparison(&comparison)),
        ("smaller.json", benchmark_action::comparison(&comparison).unwrap()),
        ("metrics.txt", metrics),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let files =
        ["junit=junit.xml", "bencher=bmf.json", "benchmark-action=smaller.json", "openmetrics=metrics.txt"];
    read_by_python(folder.path(), &files);
    assert!(comment::comparison(&comparison).starts_with("<!-- squall:comparison:small -->\n"));
}

#[test]
fn the_workflows_in_the_manual_are_yaml() {
    read_by_python(Path::new(env!("CARGO_MANIFEST_DIR")), &["yaml=docs/ci.md"]);
}
