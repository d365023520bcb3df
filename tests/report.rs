//! The report of a run on the terminal, through the built binary: it fits, and every number is that of the files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use squall::results::{Millis, SummaryRow, read_summary};

use crate::program::{cells, only_run, printed, squall, text};

const SCENARIO: &str = r#"
[scenario]
name = "told"
[run]
connect_rate = "1000/s"
warm_up = "200ms"
drain = "2s"
interval = "200ms"
[[phase]]
name = "calm"
duration = "2s"
[[phase]]
name = "storm"
duration = "2s"
load = 2
[fleet.alpha]
protocol = "http"
devices = 20
rate = "20/s"
[fleet.beta]
protocol = "mqtt"
devices = 20
rate = "20/s"
[fleet.gamma]
protocol = "ws"
devices = 20
rate = "20/s"
[[fault]]
name = "cut"
kind = "partition"
fleets = "beta"
start = "1200ms"
duration = "300ms"
[[budget]]
name = "hopeless"
p50 = "<1ns"
[[budget]]
name = "easy"
p99 = "<60s"
"#;

fn run() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.toml"), SCENARIO).unwrap();
    printed(folder.path(), 100, &["run", "s.toml", "-q"]);
    let run = only_run(&folder.path().join("results"));
    (folder, run)
}

/// A count as it is printed: grouped, `-` where there is none.
fn count(text: &str) -> u64 {
    if text == "-" { 0 } else { text.replace(',', "").parse().unwrap_or_else(|_| panic!("{text}")) }
}

/// A time as it is printed, nanoseconds; `None` where it is not stated.
fn time(text: &str) -> Option<f64> {
    let (number, unit) = text.trim_start_matches(['~', '>']).split_once(' ')?;
    let one = match unit {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => panic!("{text}"),
    };
    Some(number.parse::<f64>().unwrap() * one)
}

/// Whether `text` states `time`, to three digits.
fn says(text: &str, stated: Option<Millis>) -> bool {
    match (time(text), stated.map(|ms| ms.as_ns() as f64)) {
        (Some(shown), Some(ns)) => (shown - ns).abs() <= ns * 0.005_1,
        // Without enough samples a percentile is not shown.
        (shown, _) => shown.is_none(),
    }
}

#[test]
fn every_number_of_the_table_is_that_of_the_summary() {
    let (folder, run) = run();
    let text = printed(folder.path(), 160, &["report", run.to_str().unwrap(), "-v", "--plain"]);
    let rows = read_summary(&run).unwrap();
    let mut phase = String::new();
    let (mut compared, mut tails) = (0, 0);
    for line in text.lines() {
        if !line.starts_with(' ') {
            phase = line.split(", ").next().unwrap().to_owned();
            phase = line.strip_prefix("connections, ").map_or(phase, str::to_owned);
        }
        let cells = cells(line);
        let Some(row) = rows.iter().find(|row| is_of(row, cells.first().copied(), &phase)) else { continue };
        let figures = &row.figures;
        if cells.len() == 9 {
            let counts = [figures.planned, figures.ok, figures.failed()];
            assert_eq!([1, 2, 3].map(|place| count(cells[place])), counts, "{line}");
            let times =
                [figures.p50_ms, figures.p99_ms, figures.p99_9_ms, figures.max_ms, figures.service_p99_ms];
            for (text, stated) in cells[4..].iter().zip(times) {
                assert!(says(text, stated), "{line}: {text} {stated:?}");
            }
            compared += 1;
        } else if cells.len() == 7 && cells[0].ends_with("slowest 1 %") {
            let parts = [
                figures.tail_wait_ms,
                figures.tail_network_ms,
                figures.tail_queue_ms,
                figures.tail_cache_ms,
                figures.tail_inference_ms,
                figures.tail_other_ms,
            ];
            assert!(cells[1..].iter().zip(parts).all(|(text, stated)| says(text, stated)), "{line}");
            tails += 1;
        }
    }
    // Three fleets connect, warm up, and are measured twice; and all together.
    assert_eq!(compared, 13, "{text}");
    let told = |row: &&SummaryRow| row.is_measured() && row.figures.tail_readings.is_some_and(|n| n >= 10);
    assert_eq!(tails, rows.iter().filter(told).count(), "{text}");
}

/// Whether a row of the report is of `row`, by its name and the phase above it.
fn is_of(row: &SummaryRow, name: Option<&str>, phase: &str) -> bool {
    let Some(name) = name else { return false };
    let name = name.split(',').next().unwrap_or_default();
    if name == "all fleets" {
        return row.is_headline();
    }
    name == format!("{} {}", row.fleet, row.protocol) && phase == row.phase
}

#[test]
fn no_line_is_wider_than_the_screen_and_the_judgements_come_last() {
    let (folder, run) = run();
    let run = run.to_str().unwrap();
    for columns in [60, 80, 120, 160] {
        for flags in [&[][..], &["-v"], &["--plain"]] {
            let text = printed(folder.path(), columns, &[&["report", run], flags].concat());
            // Paths and addresses stay whole, so that they can be copied.
            let is_whole = |line: &str| line.contains("told/") || line.contains("://");
            let wide = |line: &&str| line.chars().count() > columns && !is_whole(line);
            assert_eq!(text.lines().find(wide), None, "{columns} {flags:?}");
            let place = |word: &str| {
                text.lines()
                    .position(|line| line.starts_with(word))
                    .unwrap_or_else(|| panic!("{word}\n{text}"))
            };
            let order = [
                "phases ",
                "p99 ",
                "response time",
                "faults ",
                "files ",
                "budget ",
                "service ",
                "measurement ",
            ];
            // Whoever looks at the end sees what matters; on a narrow screen the chart gives way.
            let order = order.iter().filter(|word| columns > 60 || !word.starts_with('p'));
            let places: Vec<_> = order.map(|word| place(word)).collect();
            assert!(places.is_sorted(), "{places:?}\n{text}");
        }
    }
}

#[test]
fn the_line_on_the_bundled_service_says_what_the_manifest_says() {
    let (folder, run) = run();
    let manifest = std::fs::read_to_string(run.join("run.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let phases = manifest["reference"]["phases"].as_array().unwrap();
    let names: Vec<_> = phases.iter().map(|phase| phase["phase"].as_str().unwrap()).collect();
    assert_eq!(names, ["connect", "warm-up", "calm", "storm"]);
    let sum = |key: &str| -> u64 { phases[2..].iter().map(|phase| phase[key].as_u64().unwrap()).sum() };
    let hits = |phase: &serde_json::Value| -> u64 {
        phase["hits"].as_object().unwrap().values().map(|hits| hits.as_u64().unwrap()).sum()
    };
    let (verdicts, inferences) = (sum("verdicts"), sum("inferences"));
    // Whatever got a verdict had its answer from the cache, from another's inference or from its own; those may be of two phases.
    let of_all = |key: &str| -> u64 { phases.iter().map(|phase| phase[key].as_u64().unwrap()).sum() };
    let all = of_all("verdicts");
    let own = all - phases.iter().map(hits).sum::<u64>() - of_all("coalesced");
    assert!(of_all("inferences") >= own && own > 0, "{manifest}");
    let rows = read_summary(&run).unwrap();
    let ok = |row: &&SummaryRow| row.kind == "reading" && !row.is_headline();
    let answered: u64 = rows.iter().filter(ok).map(|row| row.figures.ok).sum();
    assert!(all >= answered && all > 0, "{all} {answered}");
    let text = printed(folder.path(), 160, &["report", run.to_str().unwrap()]);
    let line = text.lines().find(|line| line.starts_with("bundled ")).unwrap();
    let found: u64 = phases[2..].iter().map(hits).sum();
    let hundredths = found * 10_000 / verdicts;
    let expected = format!("cache hits {}.{:02} %, ", hundredths / 100, hundredths % 100);
    assert!(line.contains(&expected), "{line} {expected}");
    let told = line.split(", ").find_map(|part| part.strip_suffix(" inferences")).unwrap();
    let peak = phases[2..].iter().map(|phase| phase["queue_peak"].as_u64().unwrap()).max().unwrap();
    assert_eq!(count(told), inferences);
    assert!(line.contains(&format!("queue peak {peak} of ")), "{line}");
}

#[test]
fn the_instants_of_a_fault_are_on_one_clock() {
    let (folder, run) = run();
    let text = printed(folder.path(), 160, &["report", run.to_str().unwrap()]);
    let line = text.lines().find(|line| line.starts_with("  cut ")).unwrap();
    let cells = cells(line);
    let mut table = csv::Reader::from_path(run.join("faults.csv")).unwrap();
    let row: BTreeMap<String, String> = table.deserialize().next().unwrap().unwrap();
    let at = |column: &str| row[column].parse::<f64>().ok();
    let near = |text: &str, seconds: f64| {
        (time(text).unwrap_or_else(|| panic!("{text}")) / 1e9 - seconds).abs() <= seconds * 0.005_1
    };
    assert!(near(cells[2], at("start_s").unwrap()) && near(cells[3], at("end_s").unwrap()), "{line}");
    if let Some(after) = at("recovered_after_s").filter(|_| row["state"] == "recovered") {
        assert!(near(cells[7], at("end_s").unwrap() + after), "{line}");
    }
}

#[test]
fn what_json_means_stays_what_it_was() {
    let (folder, run) = run();
    let run = run.to_str().unwrap();
    let json = printed(folder.path(), 80, &["report", run, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(
        json["run"]["plan"]["end_s"].as_f64().unwrap() > 4.0
            && json["summary"].as_array().unwrap().len() == 13
    );
    let output = squall(folder.path(), &["report", run, "--json", "-v"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn without_a_directory_the_newest_run_is_reported_and_said() {
    let (folder, run) = run();
    let copied = |to: &str| {
        let copy = folder.path().join(to);
        std::fs::create_dir_all(&copy).unwrap();
        for file in std::fs::read_dir(&run).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
        }
        copy
    };
    let reported = || squall(folder.path(), &["report", "--json"]).output().unwrap();
    copied("results/zebra/2020-01-01T00-00-00Z");
    let shown = run.strip_prefix(folder.path()).unwrap().display().to_string();
    let newest = reported();
    assert_eq!(text(&newest.stderr), format!("note: the newest run under results/: {shown}\n"));
    assert_eq!(text(&newest.stdout), printed(folder.path(), 100, &["report", &shown, "--json"]));
    let manifest = copied("results/aardvark/2999-01-01T00-00-00Z").join("run.json");
    let unfinished = std::fs::read_to_string(&manifest).unwrap().replace("\"complete\"", "\"running\"");
    std::fs::write(&manifest, unfinished).unwrap();
    let said = text(&reported().stderr);
    let note = "note: the newest run under results/: results/aardvark/2999-01-01T00-00-00Z, not finished\n";
    assert!(said.starts_with(note), "{said}");
    let empty = tempfile::tempdir().unwrap();
    let refused = squall(empty.path(), &["report"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("there is no run under results/ here"),
        "{}",
        text(&refused.stderr)
    );
}
