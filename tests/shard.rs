//! Shards of one plan and their merge: the engine's part by what is sent, the rest through the built binary.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::support::BUNDLED;
use hdrhistogram::Histogram;
use serde_json::Value;
use squall::clock::{Monotonic, WallTime};
use squall::engine::Control;
use squall::protocol::Endpoint;
use squall::record::Shard;
use squall::reference::{Config, Server};
use squall::results::{Manifest, SummaryRow, load_manifest, read_outages, read_summary};

use crate::hlog_reader::{assert_others_agree, sums};
use crate::program::{self, only_run, told};
use crate::support::{Book, drive_shard, plan};

/// 33 devices, so that shards are of different sizes; one fault of devices, one of commands.
const SCENARIO: &str = r#"
[scenario]
name = "apart"
seed = 3
[run]
connect_rate = "1000/s"
warm_up = "500ms"
drain = "2s"
interval = "500ms"
[[phase]]
name = "steady"
duration = "2s"
[fleet.alpha]
protocol = "http"
devices = 10
rate = "10/s"
[fleet.beta]
protocol = "ws"
devices = 11
rate = "10/s"
[fleet.gamma]
protocol = "mqtt"
devices = 12
rate = "10/s"
arrival = "poisson"
[[fault]]
name = "slow-link"
kind = "latency"
start = "500ms"
duration = "500ms"
share = 0.5
delay = "20ms"
[[fault]]
name = "once"
kind = "exec"
start = "700ms"
begin = "echo done >> once.txt"
"#;

fn server() -> Server {
    Server::start(&Config::default()).unwrap()
}

fn urls(server: &Server) -> [String; 3] {
    let (http, mqtt) = (server.http_addr(), server.mqtt_addr());
    [
        format!("http=http://{http}/v1/readings"),
        format!("ws=ws://{http}/v1/stream"),
        format!("mqtt=mqtt://{mqtt}"),
    ]
}

/// What was sent: fleet, device, number and intended start.
fn sent(book: &Book) -> BTreeSet<(u16, u32, u64, u64)> {
    book.readings().map(|s| (s.fleet.0, s.device, s.seq, s.intended.0)).collect()
}

#[test]
fn shards_send_what_the_whole_plan_would_whatever_their_workers() {
    let text = SCENARIO.split("[[fault]]\nname = \"once\"").next().unwrap();
    let plan = plan(&text.replace("2s\"\n[fleet", "1s\"\n[fleet"));
    let server = server();
    let endpoints: Vec<Endpoint> = BUNDLED
        .into_iter()
        .zip(urls(&server))
        .map(|(protocol, url)| Endpoint::resolve(protocol, url.split_once('=').unwrap().1).unwrap())
        .collect();
    let drive = |shard, workers| {
        drive_shard(&plan, shard, endpoints.clone(), workers, Monotonic::start(), &Control::new()).1
    };
    let whole = drive(Shard::WHOLE, 1);
    let (mut together, mut hit) = (BTreeSet::new(), 0);
    for (number, workers) in [(1, 2), (2, 1), (3, 2)] {
        let book = drive(Shard::new(number, 3).unwrap(), workers);
        let own = sent(&book);
        assert!(own.is_disjoint(&together), "a reading is sent by one shard");
        together.extend(own);
        hit += book.switches.iter().filter(|switch| switch.on).map(|switch| switch.devices).sum::<u32>();
    }
    server.stop();
    assert_eq!(together, sent(&whole));
    assert_eq!(hit, plan.layout().faults[0].devices, "the share of a fault is that of the whole fleet");
}

/// A folder with the scenario, and a target that outlives its runs.
struct Desk {
    folder: tempfile::TempDir,
    server: Server,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s.toml"), SCENARIO).unwrap();
        Self { folder, server: server() }
    }

    fn squall(&self, arguments: &[&str]) -> Command {
        let mut command = program::squall(self.folder.path(), arguments);
        for name in ["JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID"] {
            command.env_remove(name);
        }
        command
    }

    /// Begins a run against the common target, with its files under `out`.
    fn begin(&self, out: &str, arguments: &[&str]) -> Child {
        let mut command = self.squall(&["run", "s.toml", "--quiet", "--out", out]);
        for url in urls(&self.server) {
            command.args(["--target", &url]);
        }
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn merge(&self, out: &str, runs: &[&Path], arguments: &[&str]) -> Output {
        self.squall(&["merge", "--out", out]).args(runs).args(arguments).output().unwrap()
    }

    /// The directory of the only run under `out`.
    fn run(&self, out: &str) -> PathBuf {
        only_run(&self.folder.path().join(out))
    }
}

/// On a machine busy with other tests a run may rightly judge itself invalid.
fn assert_ran(output: &Output) {
    assert!(matches!(output.status.code(), Some(0 | 12)), "{}", told(output));
}

/// Planned readings by phase and fleet, the headline among them.
fn planned(rows: &[SummaryRow]) -> BTreeMap<(String, String), u64> {
    let rows = rows.iter().filter(|row| row.kind == "reading");
    rows.map(|row| ((row.phase.clone(), row.fleet.clone()), row.figures.planned)).collect()
}

/// Adds the histograms of several logs, by tag.
fn added(runs: &[PathBuf]) -> BTreeMap<String, Histogram<u64>> {
    let mut all: BTreeMap<String, Histogram<u64>> = BTreeMap::new();
    for run in runs {
        for (tag, histogram) in sums(&std::fs::read(run.join("latency.hlog")).unwrap()) {
            match all.get_mut(&tag) {
                Some(sum) => sum.add(&histogram).unwrap(),
                None => _ = all.insert(tag, histogram),
            }
        }
    }
    all
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Changes the text of a file in a run.
fn change(run: &Path, file: &str, change: impl FnOnce(String) -> String) {
    let path = run.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let changed = change(text.clone());
    assert_ne!(text, changed, "{file}");
    std::fs::write(path, changed).unwrap();
}

#[test]
fn four_shards_are_merged_into_the_run_of_the_whole_plan() {
    let desk = Desk::new();
    let names = ["1/4", "2/4", "3/4", "4/4"].map(|shard| (shard, shard.replace('/', "of")));
    let mut children: Vec<Child> =
        names.iter().map(|(shard, out)| desk.begin(out, &["--shard", shard, "--workers", "1"])).collect();
    children.push(desk.begin("whole", &[]));
    for child in children {
        assert_ran(&child.wait_with_output().unwrap());
    }
    let runs: Vec<PathBuf> = names.iter().map(|(_, out)| desk.run(out)).collect();
    let whole = desk.run("whole");
    // In any order.
    let paths: Vec<&Path> = runs.iter().rev().map(PathBuf::as_path).collect();
    let output = desk.merge("merged", &paths, &[]);
    assert_ran(&output);
    for word in ["4 of 4 shards", " by their wall clocks"] {
        assert!(told(&output).contains(word), "{}", told(&output));
    }
    let merged = desk.run("merged");
    let (manifest, plain) = (load_manifest(&merged).unwrap(), load_manifest(&whole).unwrap());
    assert_eq!(manifest.plan_digest, plain.plan_digest);
    assert_merged(&manifest, &runs);

    let rows = read_summary(&merged).unwrap();
    assert_eq!(planned(&rows), planned(&read_summary(&whole).unwrap()));
    assert_eq!(added(&runs), sums(&std::fs::read(merged.join("latency.hlog")).unwrap()));
    assert_others_agree(&merged);
    assert_events(&merged);
    let once = std::fs::read_to_string(desk.folder.path().join("once.txt")).unwrap();
    assert_eq!(once.lines().count(), 2, "once by the shards, once by the whole run: {once}");
    refuses_what_does_not_belong_together(&desk, &runs, &whole, &merged);
}

fn assert_merged(manifest: &Manifest, runs: &[PathBuf]) {
    assert!(manifest.shard.is_none());
    let shards: Vec<String> = manifest.merged.iter().map(|part| part.shard.to_string()).collect();
    assert_eq!(shards, ["1/4", "2/4", "3/4", "4/4"]);
    let parts: Vec<Manifest> = runs.iter().map(|run| load_manifest(run).unwrap()).collect();
    assert!(!manifest.fleets.is_empty());
    assert_eq!(manifest.fleets, parts[0].fleets, "all shards sent to the same places");
    let devices: Vec<u32> = parts.iter().map(|part| part.shard.as_ref().unwrap().devices).collect();
    assert_eq!(devices, [9, 8, 8, 8]);
    let elsewhere = |part: &Manifest| part.shard.as_ref().unwrap().faults_elsewhere.clone();
    assert!(elsewhere(&parts[0]).is_empty());
    assert!(parts[1..].iter().all(|part| elsewhere(part) == ["once"]));
    assert!(parts.iter().all(|part| part.plan_digest == manifest.plan_digest));
    assert_eq!(manifest.workers, 4);
    assert!(
        manifest.validity.as_ref().unwrap().verdict
            >= parts.iter().filter_map(|p| p.validity.as_ref()).map(|v| v.verdict).max().unwrap()
    );
}

/// Phases once, the devices of a fault added up, the command once.
fn assert_events(merged: &Path) {
    let events = std::fs::read_to_string(merged.join("events.csv")).unwrap();
    let rows = |what: &str| events.lines().filter(|line| line.contains(what)).count();
    assert_eq!(
        (rows(",phase_start,steady,measured"), rows("fault_on,slow-link"), rows("fault_on,once")),
        (1, 4, 1),
        "{events}"
    );
    assert!(events.contains("shard 1: ") && events.contains(",end,,shard 4: drained"), "{events}");
    let outages = read_outages(merged).unwrap();
    let devices: Vec<(String, u32)> = outages.iter().map(|o| (o.fault.clone(), o.devices)).collect();
    assert_eq!(devices, [("slow-link".to_owned(), 17), ("once".to_owned(), 0)]);
}

/// A change to one file of the fourth shard or to both, and what becomes of it.
type Forgery = (&'static str, String, String, i32, &'static str);

fn forgeries(digest: &str) -> [Forgery; 6] {
    [
        ("run.json", "\"seed\": \"3\"".into(), "\"seed\": \"4\"".into(), 12, "has seed 4 instead of 3"),
        (
            "both",
            digest.to_owned(),
            digest.replace(|c: char| c.is_ascii_digit(), "0"),
            12,
            "drove another plan (the digests differ)",
        ),
        ("run.json", digest.to_owned(), "0".into(), 2, "run.json and shard.ndjson are not of the same run"),
        ("both", "4/4".into(), "4/5".into(), 12, "is one of 5 shards instead of 4"),
        (
            "shard.ndjson",
            "\"interval_ns\":500000000".into(),
            "\"interval_ns\":250000000".into(),
            12,
            "has recording intervals of another length",
        ),
        (
            "shard.ndjson",
            "\"squall_shard\":1".into(),
            "\"squall_shard\":2".into(),
            2,
            "has form 2; this squall reads form 1",
        ),
    ]
}

fn refuses_what_does_not_belong_together(desk: &Desk, runs: &[PathBuf], whole: &Path, merged: &Path) {
    let other = desk.folder.path().join("other");
    let fresh = || {
        let _ = std::fs::remove_dir_all(&other);
        copy(&runs[3], &other);
    };
    let first: Vec<&Path> = runs[..3].iter().map(PathBuf::as_path).collect();
    let refused = |extra: &[&Path], flags: &[&str], code: i32, words: &[&str]| {
        let output = desk.merge("refused", &[&first, extra].concat(), flags);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", told(&output));
        for word in words {
            assert!(told(&output).contains(word), "{word}: {}", told(&output));
        }
        assert!(!desk.folder.path().join("refused").exists(), "nothing is left behind");
    };
    refused(&[], &[], 12, &["shard 4 of 4 is missing; --allow-missing merges the others"]);
    refused(&[&runs[0]], &[], 12, &["shard 1 is there more than once: ", "shard 4 of 4 is missing"]);
    refused(&[&runs[0]], &["--allow-missing"], 12, &["shard 1 is there more than once: "]);
    refused(
        &[whole],
        &[],
        2,
        &["is not a shard: it drove the whole plan; shards are made by squall run --shard K/N"],
    );
    refused(&[merged], &[], 2, &["was merged itself; name the runs that it was merged from"]);
    refused(&[desk.folder.path()], &[], 2, &["is not a run: cannot read"]);
    for (file, from, to, code, word) in forgeries(&load_manifest(whole).unwrap().plan_digest) {
        fresh();
        let files = if file == "both" { &["run.json", "shard.ndjson"][..] } else { &[file] };
        for file in files {
            change(&other, file, |text| text.replace(&from, &to));
        }
        refused(&[&other], &[], code, &[word]);
    }
    fresh();
    std::fs::remove_file(other.join("shard.ndjson")).unwrap();
    refused(&[&other], &[], 2, &["shard.ndjson is missing"]);
    let changed = "events.csv is not the file that this run wrote";
    let restore = "restore it from a copy, or run the shard again";
    for (file, keep, flags, code, words) in [
        ("events.csv", 2, &[][..], 1, &[changed][..]),
        ("events.csv", 2, &["--allow-incomplete"], 1, &[changed]),
        ("shard.ndjson", 3, &[], 12, &["is complete, but its shard.ndjson was cut short", restore]),
        ("shard.ndjson", 3, &["--allow-incomplete"], 12, &[restore]),
    ] {
        fresh();
        change(&other, file, |text| text.lines().take(keep).flat_map(|line| [line, "\n"]).collect());
        refused(&[&other], flags, code, words);
    }
    fresh();
    std::fs::remove_file(other.join("events.csv")).unwrap();
    refused(&[&other], &[], 1, &["cannot read", "events.csv"]);
    fresh();
    change(&other, "run.json", |text| text.replace("\"state\": \"complete\"", "\"state\": \"interrupted\""));
    refused(
        &[&other],
        &[],
        12,
        &["(shard 4/4) was interrupted; --allow-incomplete merges it as far as it got"],
    );
    refuses_what_began_apart(desk, &first, &other, fresh);
    takes_what_there_is(desk, &first, &other, fresh);
}

/// By the clocks as they stood at the beginning, and by those that were set right before the end.
fn refuses_what_began_apart(desk: &Desk, first: &[&Path], other: &Path, fresh: impl Fn()) {
    const LATER_NS: u64 = 600_000_000_000;
    let merge = |flags: &[&str]| desk.merge("apart", &[first, &[other]].concat(), flags);
    let began = |text: String| {
        let (header, rest) = text.split_once('\n').unwrap();
        let mut header: Value = serde_json::from_str(header).unwrap();
        header["began_ns"] = (header["began_ns"].as_u64().unwrap() + LATER_NS).into();
        format!("{header}\n{rest}")
    };
    let moved = |text: String| {
        let mut run: Value = serde_json::from_str(&text).unwrap();
        let own = run["clock"]["moved_ns"].as_i64().unwrap();
        assert!(own.unsigned_abs() < 2_000_000_000, "the clock of this machine was set by {own} ns");
        run["clock"]["moved_ns"] = LATER_NS.into();
        run.to_string()
    };
    for (file, alter) in [("shard.ndjson", &began as &dyn Fn(String) -> String), ("run.json", &moved)] {
        fresh();
        change(other, file, alter);
        let output = merge(&["--max-skew", "1m30s"]);
        assert_eq!(output.status.code(), Some(12), "{}", told(&output));
        for word in ["shard 4 began 60", " s after shard ", "further than the 1m30s of --max-skew"] {
            assert!(told(&output).contains(word), "{file}: {word}: {}", told(&output));
        }
    }
    // Told to bear it, the merge says so.
    let output = merge(&["--max-skew", "1h", "--json"]);
    assert_ran(&output);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let reasons = report["run"]["validity"]["reasons"].to_string();
    assert!(reasons.contains("set right in the meantime, more than an interval"), "{reasons}");
    assert_eq!(report["run"]["merged"][3]["clock_moved_ms"], 600_000.0);
}

/// What is missing or was killed is left out only when asked, and is said.
fn takes_what_there_is(desk: &Desk, first: &[&Path], other: &Path, fresh: impl Fn()) {
    let output = desk.merge("three", first, &["--allow-missing", "--json", "--label", "three"]);
    assert_ran(&output);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let reasons = report["run"]["validity"]["reasons"].to_string();
    assert!(reasons.contains("shard 4 of 4 is missing"), "{reasons}");
    assert_eq!((&report["run"]["label"], &report["run"]["state"]), (&"three".into(), &"complete".into()));

    fresh();
    change(other, "run.json", |text| text.replace("\"state\": \"complete\"", "\"state\": \"running\""));
    change(other, "shard.ndjson", |text| text[..text.len() * 2 / 3].trim_end().to_owned());
    let all: Vec<&Path> = first.iter().copied().chain([other]).collect();
    let output = desk.merge("killed", &all, &[]);
    assert_eq!(output.status.code(), Some(12), "{}", told(&output));
    assert!(
        told(&output).contains("(shard 4/4) was killed in the middle of a line, or is still on"),
        "{}",
        told(&output)
    );
    let output = desk.merge("killed", &all, &["--allow-incomplete"]);
    assert_ran(&output);
    assert!(
        told(&output).contains("interrupted") && told(&output).contains("shard 4 was killed"),
        "{}",
        told(&output)
    );
    let manifest = load_manifest(&desk.run("killed")).unwrap();
    assert_ne!(manifest.validity.unwrap().verdict, squall::record::Judgement::Valid);
}

#[test]
fn a_shard_needs_a_target_that_all_share_and_a_start_to_come() {
    let desk = Desk::new();
    let now_ns = WallTime::now().epoch_ns();
    let at = |seconds: u64| {
        WallTime::from_epoch(Duration::from_nanos(now_ns) + Duration::from_secs(seconds)).to_string()
    };
    for (arguments, variables, word) in [
        (&["--shard", "1/2"][..], &[][..], "all shards need one target"),
        (&["--shard", "3/2"], &[], "write K/N with K from 1 to N"),
        (&["--shard", "env/2"], &[], "neither JOB_COMPLETION_INDEX"),
        (&["--shard", "env/2"], &[("JOB_COMPLETION_INDEX", "2")], "is `2`, which is none of the 2 shards"),
        (&["--start-at", "soon"], &[], "write an RFC 3339 instant"),
        (&["--start-at", "2020-01-01T00:00:00Z"], &[], "s ago; name an instant to come"),
        (&["--start-at", &at(100_000)], &[], "is more than a day away"),
        (&["--start-at", &at(60), "--set", "run.align=10s"], &[], "both say when to begin"),
        (
            &["--shard", "1/40", "--target", "http=http://127.0.0.1:9/"],
            &[],
            "the scenario has only 33 devices",
        ),
    ] {
        let output = desk
            .squall(&["run", "s.toml", "--quiet"])
            .args(arguments)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", told(&output));
        assert!(told(&output).contains(word), "{word}: {}", told(&output));
    }
    assert!(!desk.folder.path().join("results").exists());
}

#[test]
fn a_shard_of_the_environment_begins_when_it_is_told() {
    let desk = Desk::new();
    // Far enough for a busy machine to be ready by then.
    let at = WallTime::from_epoch(Duration::from_nanos(WallTime::now().epoch_ns()) + Duration::from_secs(30));
    let mut command = desk.squall(&["run", "s.toml", "--out", "out", "--shard", "env/2"]);
    for url in urls(&desk.server) {
        command.args(["--target", &url]);
    }
    let output =
        command.args(["--start-at", &at.to_string()]).env("JOB_COMPLETION_INDEX", "1").output().unwrap();
    assert_ran(&output);
    assert!(told(&output).contains("shard 2/2, 16 devices"), "{}", told(&output));
    assert!(told(&output).contains("note: only shard 1 switches once"), "{}", told(&output));
    let run = desk.run("out");
    assert!(run.file_name().unwrap().to_string_lossy().ends_with("Z-2of2"), "{}", run.display());
    let start = load_manifest(&run).unwrap().start_at.unwrap();
    assert_eq!(start.at, at.to_string());
    assert!(start.late_ms.unwrap() >= 0.0, "never early: {start:?}");
    assert!(!desk.folder.path().join("once.txt").exists(), "shard 1 alone runs commands");
}

/// What the shards together keep to or not, and no shard alone: 660 readings are due, and a fault hits 17 devices.
const GATE: &str = r#"
[[budget]]
name = "all of it"
planned = ">=600"
[[budget]]
fault = "slow-link"
devices = ">=17"
[[budget]]
name = "hopeless"
p50 = "<1ns"
abort_on_fail = true
"#;

#[test]
fn budgets_are_judged_of_all_shards_together() {
    let desk = Desk::new();
    std::fs::write(desk.folder.path().join("gate.toml"), GATE).unwrap();
    let parts = ["1/2", "2/2"].map(|shard| {
        (shard, desk.begin(&shard.replace('/', "of"), &["--shard", shard, "--budget", "gate.toml"]))
    });
    for (shard, child) in parts {
        let output = child.wait_with_output().unwrap();
        assert_ran(&output);
        assert!(
            told(&output).contains("3 of all shards together; squall merge judges them"),
            "{}",
            told(&output)
        );
        let manifest = load_manifest(&desk.run(&shard.replace('/', "of"))).unwrap();
        assert!(manifest.budgets.is_empty(), "{shard}: {:?}", manifest.budgets);
        assert_eq!(manifest.state, squall::results::RunState::Complete, "its share ends no shard early");
    }
    let runs = [desk.run("1of2"), desk.run("2of2")];
    let output = desk.merge("merged", &[&runs[0], &runs[1]], &[]);
    assert!(matches!(output.status.code(), Some(99 | 12)), "{}", told(&output));
    let manifest = load_manifest(&desk.run("merged")).unwrap();
    let met: Vec<_> = manifest.budgets.iter().map(|budget| (budget.demand.as_str(), budget.met)).collect();
    assert_eq!(met, [("planned >= 600", true), ("devices >= 17", true), ("p50 < 1ns", false)]);
    assert!(told(&output).contains("hopeless (all fleets): p50 < 1ns, measured "), "{}", told(&output));

    change(&runs[1], "run.json", |text| text.replace("\">=600\"", "\">=500\""));
    let output = desk.merge("refused", &[&runs[0], &runs[1]], &[]);
    assert_eq!(output.status.code(), Some(12), "{}", told(&output));
    assert!(told(&output).contains("was given other budgets to keep to"), "{}", told(&output));
}
