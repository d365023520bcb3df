//! `squall ab` and `squall calibrate --aa` through the built binary. Which verdict equal builds get on a busy machine is
//! chance: what is asserted is how comparisons are made, kept and judged again, and what a build that fails gets.
#![cfg(unix)]

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::compare::{json, squall};
use crate::program::{is_measured, signal, text, told, wait_until};
use crate::skip;
use crate::support::take_request;

const SQUALL: &str = env!("CARGO_BIN_EXE_squall");

/// The model takes its time: so much that a machine busy with other tests seldom sends too late for it to be measured.
const SCENARIO: &str = r#"
[scenario]
name = "small"
seed = 5
[run]
connect_rate = "1000/s"
warm_up = "0s"
drain = "2s"
interval = "200ms"
[[phase]]
name = "steady"
duration = "600ms"
[fleet.alpha]
protocol = "http"
devices = 60
rate = "8/s"
"#;
const SECOND: &str = r#"
[fleet.beta]
protocol = "mqtt"
devices = 10
rate = "10/s"
"#;
const SERVICE: &str = r#"
[reference]
cache = 0
workers = { mode = "async", in_flight = 1000 }
inference = { cost = "60ms", labour = "wait" }
"#;

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn with(scenario: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s.toml"), scenario.concat()).unwrap();
        Self { folder }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        squall(self.folder.path(), arguments)
    }

    fn squall(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The directory of the last comparison under `out`.
    fn comparison(&self, out: &str) -> PathBuf {
        let mut all = folders(&self.path(out).join("small"));
        all.pop().unwrap_or_else(|| panic!("no comparison under {out}"))
    }

    /// Has `squall` make a comparison. A machine that is too busy to measure is given two more chances; after that there is
    /// none, which is said.
    fn measured(&self, arguments: &[&str]) -> Option<Output> {
        for attempt in 1..=3 {
            let output = self.squall(arguments);
            if !text(&output.stderr).contains("too many pairs could not be measured") {
                return Some(output);
            }
            assert_eq!(output.status.code(), Some(12), "{}", told(&output));
            assert_eq!(json(&self.comparison("results").join("ab.json"))["state"], "failed");
            println!("attempt {attempt}: {}", told(&output));
        }
        skip::disturbed("this machine is too busy to measure");
        None
    }
}

/// The folders in `place`, sorted; none if it is not there.
fn folders(place: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place).into_iter().flatten();
    let mut all: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    all.sort();
    all
}

/// The command of a build, with this before it.
fn serve(before: &str) -> String {
    format!("{before}exec '{SQUALL}' serve --http-port {{port}} --mqtt-port {{port2}} --config s.toml")
}

/// Waits until nothing is left of these builds, each in a process group of its own: who was killed takes a moment to die.
fn assert_gone(builds: &[u32]) {
    wait_until("no build is left running", || {
        let all = Command::new("ps").args(["-A", "-o", "pgid=,stat="]).output().unwrap();
        let all = text(&all.stdout);
        let lives = |line: &str| {
            let mut words = line.split_whitespace();
            let group = words.next().and_then(|group| group.parse().ok());
            // A dead one that nobody has asked about is dead all the same.
            group.is_some_and(|group| builds.contains(&group)) && !words.any(|state| state.starts_with('Z'))
        };
        !all.lines().any(lives)
    });
}

/// The processes that wrote their numbers to `pids`; each of them was in a group of its own.
fn recorded(desk: &Desk) -> Vec<u32> {
    let text = std::fs::read_to_string(desk.path("pids")).unwrap_or_default();
    text.split_whitespace().map(|process| process.parse().unwrap()).collect()
}

fn pairs(record: &Value) -> Vec<&Value> {
    record["pairs"].as_array().unwrap().iter().filter(|pair| pair["discarded"].is_null()).collect()
}

#[test]
fn a_comparison_of_two_builds_is_kept_whole_and_judged_again_alike() {
    let desk = Desk::with(&[SCENARIO, SECOND, SERVICE]);
    let build = serve("echo $$ >> pids; ");
    let asked = ["ab", "s.toml", "--a", &build, "--b", &build, "--a-label", "main", "--b-label", "my fix"];
    let Some(output) = desk.measured(&[&asked[..], &["-n", "6", "--no-confirm", "--json"]].concat()) else {
        return;
    };
    let folder = desk.comparison("results");
    assert!(recorded(&desk).len() >= 12, "each run has a fresh process");
    assert_gone(&recorded(&desk));
    made_in_pairs(&folder);

    let comparison: Value = serde_json::from_slice(&output.stdout).unwrap();
    let regression = comparison["verdict"] == "regression";
    assert_eq!(output.status.code(), Some(if regression { 10 } else { 0 }), "{}", told(&output));
    assert_eq!(
        (&comparison["base"]["label"], &comparison["candidate"]["label"]),
        (&"main".into(), &"my fix".into())
    );
    assert_eq!(comparison["design"]["pairs"], 6);
    assert_eq!(comparison["gates"], true);
    assert_eq!(std::fs::read_to_string(folder.join("comparison.json")).unwrap(), text(&output.stdout));

    let stored = folder.to_str().unwrap();
    for _ in 0..2 {
        let again = desk.squall(&["compare", stored, "--json"]);
        assert_eq!((again.status.code(), text(&again.stdout)), (output.status.code(), text(&output.stdout)));
    }
    let table = desk.squall(&["compare", stored]);
    assert_eq!(table.status.code(), output.status.code(), "{}", told(&table));
    let title = text(&table.stdout).lines().next().unwrap_or_default().to_owned();
    assert_eq!(title, "small, my fix against main, 6 pairs");

    // Judged by other rules, without a new run.
    let tolerant = desk.squall(&["compare", stored, "--json", "--threshold", "p50=900%", "--alpha", "0.2"]);
    let tolerant: Value = serde_json::from_slice(&tolerant.stdout).unwrap();
    let p50 = tolerant["cells"].as_array().unwrap().iter().find(|cell| cell["figure"] == "p50").unwrap();
    assert!((p50["threshold"].as_f64().unwrap() - 10_f64.ln()).abs() < 1e-9, "{p50}");
    assert_eq!(tolerant["design"]["alpha"], 0.2);
}

/// That the comparison in `folder` was made of six balanced pairs of equal plans, and what each process printed is kept.
fn made_in_pairs(folder: &Path) {
    let record = json(&folder.join("ab.json"));
    assert_eq!(record["state"], "complete");
    assert!(record["ended"].is_string() && record["host"]["cores"].as_u64() > Some(0), "{record}");
    assert_eq!((&record["a"]["label"], &record["b"]["label"]), (&"main".into(), &"my fix".into()));
    let pairs = pairs(&record);
    assert_eq!(pairs.len(), 6);
    let firsts = pairs.iter().filter(|pair| pair["base_first"] == true).count();
    assert_eq!(firsts, 3, "each build runs first as often as the other");
    let (mut seeds, mut digests) = (Vec::new(), Vec::new());
    for (index, pair) in pairs.iter().enumerate() {
        assert_eq!((&pair["number"], &pair["stage"]), (&(index + 1).into(), &"main".into()));
        let run = |side: &str| json(&folder.join(pair[side].as_str().unwrap()).join("run.json"));
        let (a, b) = (run("a"), run("b"));
        assert_eq!((&a["seed"], &b["seed"]), (&pair["seed"], &pair["seed"]));
        assert_eq!(a["plan_digest"], b["plan_digest"], "one plan for both");
        let [a, b] = [a, b].map(|run| run["started"].as_str().unwrap().to_owned());
        assert_eq!(a < b, pair["base_first"] == true, "{a} {b}");
        seeds.push(pair["seed"].as_str().unwrap());
        digests.push(run("a")["plan_digest"].as_str().unwrap().to_owned());
    }
    seeds.sort_unstable();
    seeds.dedup();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!((seeds.len(), digests.len()), (6, 6), "each pair has a plan of its own");

    let runs = folders(&folder.join("runs/small")).len();
    let logs = folder.join("logs");
    let mut names: Vec<_> = std::fs::read_dir(&logs).unwrap().map(|log| log.unwrap().file_name()).collect();
    names.sort();
    let names: Vec<_> = names.iter().map(|name| name.to_str().unwrap()).collect();
    let of = |end: &str| names.iter().filter(|name| name.ends_with(end)).count();
    assert_eq!((of("-build.log"), of("-run.json"), of("-run.log")), (runs, runs, runs), "{names:?}");
    for name in names.iter().filter(|name| name.ends_with("-build.log")) {
        let printed = std::fs::read_to_string(logs.join(name)).unwrap();
        assert!(printed.contains("http://127.0.0.1:"), "{name}: {printed}");
    }
    for name in names.iter().filter(|name| name.ends_with("-run.json")) {
        assert_eq!(json(&logs.join(name))["run"]["state"], "complete", "{name}");
    }
    assert!(!names.iter().any(|name| name.ends_with(".partial")), "{names:?}");
}

/// A service in this process that takes `work` for every reading and fails one in `failing` at once; 0 for none.
fn stub(failing: u64, work: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http=http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve_stub(&stream.unwrap(), failing, work));
        }
    });
    url
}

/// Answers the requests of one connection until it ends.
fn serve_stub(mut stream: &TcpStream, failing: u64, work: Duration) {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let mut input = BufReader::new(stream.try_clone().unwrap());
    while take_request(&mut input).unwrap_or(false) {
        let fails = failing > 0 && ASKED.fetch_add(1, Ordering::Relaxed).is_multiple_of(failing);
        let answer: &[u8] = if fails {
            b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
        } else {
            thread::sleep(work);
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        };
        if stream.write_all(answer).is_err() {
            return;
        }
    }
}

#[test]
fn a_build_that_fails_fast_is_never_called_better() {
    let desk = Desk::with(&[SCENARIO]);
    let (healthy, failing) = (stub(0, Duration::from_millis(60)), stub(5, Duration::from_millis(20)));
    let asked =
        ["ab", "s.toml", "--a-url", &healthy, "--b-url", &failing, "-n", "6", "--no-confirm", "--json"];
    let Some(output) = desk.measured(&[&asked[..], &["--quiet"]].concat()) else {
        return;
    };
    assert_eq!(output.status.code(), Some(10), "{}", told(&output));
    let there: Value = serde_json::from_slice(&output.stdout).unwrap();
    fails_more(&there, "regression");
    assert_eq!(there["verdict"], "regression");
    let folder = desk.comparison("results");
    let record = json(&folder.join("ab.json"));
    assert_eq!(
        (&record["a"]["command"], &record["b"]["targets"][0]),
        (&Value::Null, &failing.as_str().into())
    );

    // The same runs the other way round: the failing build is the base, and is not quicker for it.
    let runs = |side: &str| -> Vec<String> {
        let runs = pairs(&record).into_iter().map(|pair| folder.join(pair[side].as_str().unwrap()));
        runs.map(|run| run.to_str().unwrap().to_owned()).collect()
    };
    let mut back = desk.command(&["compare", "--paired", "--json"]);
    let back = back.args(runs("b")).arg("--").args(runs("a")).output().unwrap();
    assert_eq!(back.status.code(), Some(0), "{}", told(&back));
    let back: Value = serde_json::from_slice(&back.stdout).unwrap();
    fails_more(&back, "improvement");
    assert_eq!(back["verdict"], "inconclusive", "it fails less and is slower");
}

/// That a comparison says `verdict` for the share of failures alone, whatever the response times are.
fn fails_more(comparison: &Value, verdict: &str) {
    let all = comparison["cells"].as_array().unwrap().iter();
    let cell = |figure: &str| all.clone().find(|cell| cell["figure"] == figure).unwrap();
    let (errors, p50) = (cell("error_rate"), cell("p50"));
    assert_eq!(errors["verdict"]["verdict"], verdict);
    let effect = errors["effect"].as_f64().unwrap();
    assert!((effect.abs() - 0.2).abs() < 0.02, "{errors}");
    // Three times as quick, and not to its credit: who fails fast has less to do.
    let credit = if verdict == "regression" { "improvement" } else { "regression" };
    assert!(p50["effect"].as_f64().unwrap() * effect < 0.0, "{p50}");
    assert_ne!(p50["verdict"]["verdict"], credit, "{p50}");
}

#[test]
fn what_is_asked_wrongly_is_said_before_anything_runs() {
    let desk = Desk::with(&[SCENARIO, SECOND]);
    std::fs::write(desk.path("file"), "").unwrap();
    let build = serve("");
    let (a, b) = (["--a", &build], ["--b", &build]);
    let both = [a, b].concat();
    let url = ["--b-url", "http=http://127.0.0.1:9/"];
    for (arguments, code, said) in [
        (a.to_vec(), 2, "--b"),
        ([&both[..], &url].concat(), 2, "cannot be used with"),
        ([&a[..], &url].concat(), 2, "the scenario has mqtt fleets: give --a-url and --b-url mqtt=URL too"),
        (
            [&a[..], &url, &["--b-url", "mqtt=mqtt://127.0.0.1:9", "--b-url", "ws=ws://127.0.0.1:9/"]]
                .concat(),
            2,
            "no fleet of the scenario speaks ws",
        ),
        ([&a[..], &url, &["--b-url", "http=http://127.0.0.1:8/"]].concat(), 2, "one URL for http"),
        ([&a[..], &["--b-url", "127.0.0.1:9"]].concat(), 2, "no `=` in it"),
        ([&both[..], &["-n", "5"]].concat(), 2, "5 pairs cannot show anything"),
        ([&both[..], &["-n", "9,8"]].concat(), 2, "ascending"),
        (
            [&both[..], &["-n", "6,8", "--alpha", "0.01"]].concat(),
            2,
            "--alpha does not go with several looks",
        ),
        ([&both[..], &["--a-label", "candidate"]].concat(), 2, "both builds are called `candidate`"),
        ([&both[..], &["--ready", "soon"]].concat(), 2, "write http://HOST:PORT/PATH, HOST:PORT or log:TEXT"),
        (
            [&both[..], &["--target", "ws=ws://127.0.0.1:9/"]].concat(),
            2,
            "no fleet of the scenario speaks ws",
        ),
        ([&both[..], &["--target", "http=ftp://x/"]].concat(), 2, "http"),
        (
            vec!["--a", "serve", "--b", "serve", "--target", "http=http://127.0.0.1:{port}/"],
            2,
            "it is not known where the builds listen for mqtt",
        ),
        (
            [&both[..], &["--target", "http=http://127.0.0.1:{port3}/"]].concat(),
            2,
            "has {port3} in it, which the command of `base` does not get",
        ),
        ([&both[..], &["--threshold", "p99=fast"]].concat(), 2, "`fast` is not a percentage"),
        ([&both[..], &["--set", "phase.steady.duration=soon"]].concat(), 2, "soon"),
        ([&both[..], &["--pin-target", "x"]].concat(), 2, "`x` is not a list of processors"),
        ([&both[..], &["--out", "file"]].concat(), 1, "cannot write under file"),
    ] {
        let output = desk.squall(&[&["ab", "s.toml"], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", told(&output));
        assert!(text(&output.stderr).contains(said), "{arguments:?}: {}", told(&output));
        assert!(!desk.path("results").exists(), "{arguments:?}");
    }
    let output = desk.squall(&[&["ab", "nowhere.toml"], &both[..]].concat());
    assert!(output.status.code() == Some(2) && told(&output).contains("nowhere.toml"), "{}", told(&output));
}

#[test]
fn a_build_that_cannot_be_driven_ends_the_comparison_with_its_last_words() {
    let desk = Desk::with(&[SCENARIO]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("http=http://{}/", taken.local_addr().unwrap());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = format!("http=http://{closed}/");
    let dies = format!(
        "echo $$ >> pids; '{SQUALL}' serve --http-port {{port}} --mqtt-port 0 & \
         until ls results/small/*/runs/small/*/intervals.csv; do sleep 0.02; done > ls.log 2>&1; \
         kill $!; echo gave up; exit 7"
    );
    for (command, arguments, said) in [
        (
            "echo no {port} for me >&2; exit 3",
            &[][..],
            &["ended (exit status: 3) before it was ready", "for me"][..],
        ),
        ("exit 3 # {port}", &[], &["it printed nothing ("]),
        ("no-such-program-here {port}", &[], &["exit status: 127", "no-such-program-here"]),
        (
            "echo $$ >> pids; echo dozing; sleep 600; : {port}",
            &["--ready-within", "200ms"],
            &["was not ready after 0", "nothing accepts connections at http://127.0.0.1:", "dozing"],
        ),
        (
            "echo $$ >> pids; echo dozing; sleep 600; : {port}",
            &["--ready-within", "200ms", "--ready", "log:awake"],
            &["it has not printed `awake`", "dozing"],
        ),
        (
            "echo $$ >> pids; sleep 600; : {port}",
            &["--ready-within", "200ms", "--ready", "http://127.0.0.1:{port}/up"],
            &["http://127.0.0.1:", "/up does not answer with success"],
        ),
        ("sleep 600", &["--target", &taken], &["something listens at http://127.0.0.1:", "write {port}"]),
        (&dies, &["--duration", "4s"], &["ended during the run (exit status: 7)", "gave up"]),
    ] {
        let _ = std::fs::remove_dir_all(desk.path("results"));
        let asked = ["ab", "s.toml", "--a", command, "--b", command, "--quiet"];
        let output = desk.squall(&[&asked[..], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{command}: {}", told(&output));
        for said in [&["error: build `"], said].concat() {
            assert!(text(&output.stderr).contains(said), "{said}: {}", told(&output));
        }
        assert_eq!(text(&output.stdout), "");
        let record = json(&desk.comparison("results").join("ab.json"));
        assert_eq!((&record["state"], pairs(&record).len()), (&"failed".into(), 0));
    }
    assert_eq!(recorded(&desk).len(), 4);
    assert_gone(&recorded(&desk));

    let output = desk.squall(&["ab", "s.toml", "--a-url", &closed, "--b-url", &closed, "--quiet"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(text(&output.stderr).contains("was not measured: the generator ended"), "{}", told(&output));
}

#[test]
fn a_comparison_that_is_given_up_says_what_it_has_and_why_pairs_were_run_again() {
    // Of a device that sends once or twice in a run some plans have nothing to judge, however often they are run.
    let seldom =
        SCENARIO.replace("devices = 60", "devices = 1\narrival = \"poisson\"").replace("8/s", "2.5/s");
    let desk = Desk::with(&[&seldom]);
    let build = stub(0, Duration::from_millis(1));
    let asked = ["ab", "s.toml", "--a-url", &build, "--b-url", &build, "-n", "12", "--junit", "ab.xml"];
    let output = desk.squall(&asked);
    assert_eq!(output.status.code(), Some(12), "{}", told(&output));
    let (shown, way) = (text(&output.stdout), text(&output.stderr));
    assert!(way.contains("error: too many pairs could not be measured"), "{way}");
    let folder = desk.comparison("results");
    let record = json(&folder.join("ab.json"));
    assert_eq!(record["state"], "failed");
    if pairs(&record).is_empty() {
        return skip::disturbed("this machine is too busy to measure");
    }
    assert!(
        shown.contains(" of 12 pairs were run") && shown.contains("\n  error rate "),
        "{}",
        told(&output)
    );
    let given_up = record["pairs"].as_array().unwrap().len() - pairs(&record).len();
    assert!(shown.contains(&format!("{given_up} further pairs do not count")), "{}", told(&output));
    let again: Vec<_> = way.lines().filter(|line| line.contains(" is run again: ")).collect();
    assert_eq!(again.len(), given_up - 1, "the last one was not run again: {way}");
    assert!(again.iter().any(|line| line.ends_with(": there is nothing to judge")), "{way}");
    let stored = json(&folder.join("comparison.json"));
    assert_eq!((&stored["gates"], &stored["design"]["pairs"]), (&false.into(), &pairs(&record).len().into()));
    assert!(std::fs::read_to_string(desk.path("ab.xml")).unwrap().contains("<testsuite"));
    let compared = desk.squall(&["compare", folder.to_str().unwrap(), "--json"]);
    assert_eq!(text(&compared.stdout), std::fs::read_to_string(folder.join("comparison.json")).unwrap());
}

/// Runs of a comparison after which one that has no pair yet will hardly get one.
const MOST_RUNS: usize = 16;

/// Interrupts a comparison once `is_time` says so of its folder. A machine that is too busy to measure may end it before; it is
/// given two more chances, and after that it is said.
fn interrupted(arguments: &[&str], is_time: &dyn Fn(&Path) -> bool) -> Option<(Desk, PathBuf, Output)> {
    for attempt in 1..=3 {
        let desk = Desk::with(&[SCENARIO, SERVICE]);
        let mut child =
            desk.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let found =
            || folders(&desk.path("results/small")).pop().filter(|folder| folder.join("ab.json").exists());
        // So many runs without what is waited for: none of them could be measured.
        let runs = |folder: &Path| folders(&folder.join("runs/small")).len();
        let mut busy = false;
        wait_until("it is time", || {
            let time = found().is_some_and(|folder| is_time(&folder));
            busy = !time
                && (child.try_wait().unwrap().is_some() || found().is_some_and(|at| runs(&at) > MOST_RUNS));
            time || busy
        });
        if !busy {
            let folder = found().unwrap();
            assert_eq!(json(&folder.join("ab.json"))["state"], "running", "it can be read at any time");
            signal(child.id(), "INT");
            return Some((desk, folder, child.wait_with_output().unwrap()));
        }
        let ended = child.try_wait().unwrap().is_some();
        if !ended {
            signal(child.id(), "INT");
        }
        let output = child.wait_with_output().unwrap();
        let busy = text(&output.stderr).contains("too many pairs could not be measured");
        assert!(busy || !ended, "{}", told(&output));
        println!("attempt {attempt}: {}", told(&output));
    }
    skip::disturbed("this machine is too busy to measure");
    None
}

#[test]
fn an_interrupt_ends_the_comparison_and_every_build() {
    // In the middle of a run, before a build is ready, and after a pair.
    let slow = "echo $$ >> pids; sleep 600; : {port}";
    let build = serve("echo $$ >> pids; ");
    let in_a_run = |folder: &Path| {
        let runs = folders(&folder.join("runs/small"));
        runs.iter().any(|run| is_measured(run))
    };
    let begun =
        |folder: &Path| std::fs::metadata(folder.join("../../../pids")).is_ok_and(|pids| pids.len() > 1);
    let after_a_pair = |folder: &Path| !pairs(&json(&folder.join("ab.json"))).is_empty();
    for (command, arguments, is_time, has_pairs) in [
        (&build[..], &["--duration", "300s"][..], &in_a_run as &dyn Fn(&Path) -> bool, false),
        (slow, &["--ready-within", "10m"], &begun, false),
        (&build, &["-n", "1000", "--ready", "log:http://"], &after_a_pair, true),
    ] {
        let asked = ["ab", "s.toml", "--a", command, "--b", command, "--quiet"];
        let Some((desk, folder, output)) = interrupted(&[&asked[..], arguments].concat(), is_time) else {
            continue;
        };
        assert_eq!(output.status.code(), Some(130), "{arguments:?}: {}", told(&output));
        let builds = recorded(&desk);
        assert!(!builds.is_empty());
        assert_gone(&builds);
        let record = json(&folder.join("ab.json"));
        assert_eq!((&record["state"], !pairs(&record).is_empty()), (&"interrupted".into(), has_pairs));
        assert!(!folder.join("comparison.json").exists());
        if arguments.contains(&"300s") {
            let run = json(&folders(&folder.join("runs/small"))[0].join("run.json"));
            assert_eq!(run["state"], "interrupted");
        }
        let again = desk.squall(&["compare", folder.to_str().unwrap()]);
        let said = if has_pairs { "of 1,000 pairs were run" } else { "there is no run of the base" };
        assert_eq!(again.status.code(), Some(if has_pairs { 0 } else { 12 }), "{}", told(&again));
        assert!(told(&again).contains(said), "{}", told(&again));
        assert_eq!(text(&output.stdout).contains(said), has_pairs, "{}", told(&output));
    }
}

#[test]
fn the_noise_of_a_machine_is_kept_and_tells_what_can_be_seen() {
    let desk = Desk::with(&[SCENARIO, SERVICE]);
    let calibrate = ["calibrate", "--aa", "s.toml", "--profile", "noise/here.json", "-n", "6"];
    let Some(output) = desk.measured(&[&calibrate[..], &["--ready", "127.0.0.1:{port}"]].concat()) else {
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(text(&output.stdout).starts_with("small, again against a, 6 pairs\n"), "{}", told(&output));
    let kept = json(&desk.path("noise/here.json"));
    assert_eq!((&kept["scenario"], &kept["pairs"]), (&"small".into(), &6.into()));
    let p50 = kept["cells"].as_array().unwrap().iter().find(|cell| cell["figure"] == "p50").unwrap();
    assert!(p50["spread"].as_f64().unwrap() > 0.0 && p50["group"]["fleet"] == "all", "{p50}");
    assert_eq!(std::fs::read_dir(desk.path("noise")).unwrap().count(), 1, "nothing else is left there");
    let promise = text(&output.stderr);
    let promise = promise.lines().find(|line| line.contains("nine times out of ten")).unwrap();
    assert!(
        promise.starts_with("6 pairs show changes of all fleets nine times out of ten at p50 from "),
        "{promise}"
    );
    let ab = json(&desk.comparison("results").join("ab.json"));
    assert!(ab["a"]["command"].as_str().is_some_and(|command| command.contains("serve")), "{ab}");

    // What is promised is said before anything runs: this build never does.
    std::fs::write(desk.path("other.toml"), [SCENARIO, SECOND].concat()).unwrap();
    std::fs::write(desk.path("garbled.json"), "{}").unwrap();
    for (scenario, profile, said) in [
        ("s.toml", "noise/here.json", promise),
        (
            "other.toml",
            "noise/here.json",
            "here.json is not used: it was measured with another plan of `small`",
        ),
        ("s.toml", "garbled.json", "garbled.json is not used: it is not a noise profile"),
        ("s.toml", "nowhere.json", "note: no noise profile in nowhere.json"),
    ] {
        let fails = "exit 3 # {port} {port2}";
        let asked = ["ab", scenario, "--a", fails, "--b", fails, "-n", "6", "--noise", profile];
        let output = desk.squall(&asked);
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert!(text(&output.stderr).contains(said), "{said}: {}", told(&output));
    }
    let lost = desk.squall(&["calibrate", "--aa", "s.toml", "-n", "6"]);
    assert_eq!(lost.status.code(), Some(2), "{}", told(&lost));
    assert!(told(&lost).contains("no place to keep the noise profile"), "{}", told(&lost));
}
