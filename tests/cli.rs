//! The program as people meet it: the built binary, its messages, exit codes and files.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use squall::results::{Detections, RunState, SummaryRow, load_manifest, read_anomalies, read_summary};

use crate::program::Desk;
#[cfg(unix)]
use crate::program::signal;

const SCENARIO: &str = r#"
[scenario]
name = "small"
seed = 3
[run]
connect_rate = "1000/s"
warm_up = "500ms"
drain = "60s"
interval = "500ms"
connect_timeout = "60s"
[[phase]]
name = "steady"
duration = "2s"
[fleet.alpha]
protocol = "http"
devices = 10
rate = "10/s"
timeout = "60s"
backlog = 1000
[fleet.beta]
protocol = "ws"
devices = 10
rate = "10/s"
timeout = "60s"
backlog = 1000
[fleet.gamma]
protocol = "mqtt"
devices = 10
rate = "10/s"
timeout = "60s"
backlog = 1000
"#;

/// The directories of all runs made on this desk.
fn runs(desk: &Desk) -> Vec<PathBuf> {
    let list = |path: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(path)
            .map_or(Vec::new(), |entries| entries.map(|entry| entry.unwrap().path()).collect())
    };
    list(&desk.path("results")).iter().flat_map(|scenario| list(scenario)).collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// That a run went through. On a machine busy with other tests it may rightly judge itself invalid, and say so.
fn assert_ran(output: &Output) {
    assert!(matches!(output.status.code(), Some(0 | 12)), "{}{}", stdout(output), stderr(output));
}

/// Counts that must add up, as the columns of a table name them.
const COUNTS: [&str; 16] = [
    "planned",
    "sent",
    "ok",
    "shed",
    "error",
    "timeout",
    "lost",
    "dropped",
    "duplicated",
    "reordered",
    "late",
    "within_budget",
    "anomalies",
    "anomalies_found",
    "judged_normal",
    "false_alarms",
];

/// A row of a CSV file by column.
type Row = std::collections::HashMap<String, String>;

fn assert_files_add_up(run: &Path) {
    let mut summary = csv::Reader::from_path(run.join("summary.csv")).unwrap();
    let mut intervals = csv::Reader::from_path(run.join("intervals.csv")).unwrap();
    let rows: Vec<Row> = summary.deserialize().map(Result::unwrap).collect();
    let parts: Vec<Row> = intervals.deserialize().map(Result::unwrap).collect();
    assert!(rows.len() > 1 && parts.len() > rows.len());
    let count = |row: &Row, column: &str| row[column].parse::<u64>().unwrap_or(0);
    for row in &rows {
        let outcomes = ["ok", "shed", "error", "timeout", "lost", "dropped"];
        let ended: u64 = outcomes.iter().map(|column| count(row, column)).sum();
        assert_eq!(count(row, "planned"), ended, "{row:?}");
        if row["fleet"] == "all" {
            continue;
        }
        let same = |part: &&Row| {
            ["phase", "fleet", "protocol", "kind"].iter().all(|column| part[*column] == row[*column])
        };
        for column in COUNTS {
            let sum: u64 = parts.iter().filter(same).map(|part| count(part, column)).sum();
            assert_eq!(count(row, column), sum, "{column} of {row:?}");
        }
    }
}

fn headline(run: &Path) -> SummaryRow {
    read_summary(run).unwrap().into_iter().find(SummaryRow::is_headline).expect("a headline row")
}

#[test]
fn a_run_against_the_bundled_reference_leaves_complete_files_that_add_up() {
    let desk = Desk::with(SCENARIO);
    let output = desk.run(&["run", "s.toml", "--label", "first try", "--set", "fleet.alpha.rate=20/s"]);
    assert_ran(&output);
    let run = desk.only_run();
    let manifest = load_manifest(&run).unwrap();
    assert_eq!(manifest.state, RunState::Complete);
    assert_eq!(manifest.exit_code.map(i32::from), output.status.code());
    assert_eq!(manifest.scenario.text, SCENARIO);
    assert!(
        manifest.scenario.overrides.iter().any(|given| given.contains("fleet.alpha.rate=20/s")),
        "{manifest:?}"
    );
    assert!(manifest.run_id.ends_with("-first-try"), "{}", manifest.run_id);
    assert_files_add_up(&run);
    let headline = headline(&run);
    assert_eq!(headline.figures.ok, headline.figures.planned);
    assert!(headline.figures.planned > 500, "{}", headline.figures.planned);
    for file in [
        "run.json",
        "summary.csv",
        "intervals.csv",
        "latency.hlog",
        "events.csv",
        "anomalies.csv",
        "faults.csv",
    ] {
        assert!(run.join(file).metadata().unwrap().len() > 0, "{file} is empty");
    }
    assert!(
        std::fs::read_dir(&run).unwrap().all(|file| !file
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains("partial"))
    );
}

#[test]
fn seeded_anomalies_reach_the_files_and_the_report_scores_them() {
    let anomalies = "rate = \"10/s\"\nanomalies = { spikes = 0.1, size = 50 }";
    let desk = Desk::with(&SCENARIO.replace("rate = \"10/s\"", anomalies));
    let output = desk.run(&["run", "s.toml", "--quiet"]);
    assert_ran(&output);
    let run = desk.only_run();
    assert_files_add_up(&run);
    let rows: Vec<_> = read_anomalies(&run).unwrap().map(Result::unwrap).collect();
    let measured = rows.iter().filter(|row| row.phase == "steady").count() as u64;
    let headline = headline(&run);
    assert!(measured > 10, "{measured}");
    assert_eq!(headline.figures.anomalies, Some(measured), "a spike begins with every row");
    let score = Detections::load(&run).unwrap().all;
    assert_eq!(score.spike.found, headline.figures.anomalies_found.unwrap());
    assert_eq!(Some(score.judged_normal), headline.figures.judged_normal);
    assert_eq!(stdout(&output).contains("\ndetection  spikes"), score.spike.seeded > 0);
    assert!(score.spike.seeded > 0, "the bundled service judges: {score:?}");
}

#[test]
fn the_report_can_be_had_as_json() {
    let desk = Desk::with(SCENARIO);
    let output = desk.run(&["run", "s.toml", "--json", "--quiet", "--duration", "1s"]);
    assert_ran(&output);
    assert_eq!(stderr(&output), "", "--quiet shows nothing");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report.to_string().contains("plan_digest"));
}

#[test]
fn bad_input_gets_one_clear_message_and_its_exit_code() {
    let with = |from: &str, to: &str| SCENARIO.replace(from, to);
    // (case, scenario, what the message must say)
    let cases = [
        ("syntax", with("[[phase]]", "[[phase"), vec!["s.toml:11"]),
        ("unknown key", with("devices = 10", "device = 10"), vec!["s.toml:16", "device", "devices"]),
        ("wrong type", with("seed = 3", "seed = \"three\""), vec!["s.toml:4", "seed"]),
        (
            "zero devices",
            with(
                "devices = 10\nrate = \"10/s\"\ntimeout = \"60s\"\nbacklog = 1000\n[fleet.beta]",
                "devices = 0\nrate = \"10/s\"\ntimeout = \"60s\"\nbacklog = 1000\n[fleet.beta]",
            ),
            vec!["s.toml:16", "devices"],
        ),
        ("negative rate", with("rate = \"10/s\"", "rate = \"-10/s\""), vec!["s.toml:17", "rate", "write"]),
        ("unknown protocol", with("\"http\"", "\"coap\""), vec!["s.toml:15", "coap", "http"]),
        ("no fleet", SCENARIO.split("[fleet.alpha]").next().unwrap().to_owned(), vec!["fleet"]),
    ];
    for (name, scenario, wanted) in cases {
        let desk = Desk::with(&scenario);
        let output = desk.run(&["run", "s.toml"]);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{name}: {text}");
        for word in wanted {
            assert!(text.contains(word), "{name}: no `{word}` in\n{text}");
        }
        assert!(!text.contains("panicked"), "{name}: {text}");
        assert_eq!(runs(&desk), Vec::<PathBuf>::new(), "{name}: a run directory was made");
    }
}

#[test]
fn a_wrong_command_line_gets_one_clear_message_and_exit_code_2() {
    let desk = Desk::with(SCENARIO);
    for (arguments, wanted) in [
        (vec!["run", "nope.toml"], "cannot read nope.toml"),
        (vec!["run", "s.toml", "--set", "fleet.alpha.rat=2/s"], "fleet.alpha.rat"),
        (vec!["run", "s.toml", "--target", "coap=coap://x"], "coap"),
        (vec!["run", "s.toml", "--target", "http=http://127.0.0.1:1/"], "--target ws=URL"),
        (
            vec![
                "run",
                "s.toml",
                "--target",
                "http=htp:/x",
                "--target",
                "ws=ws://x",
                "--target",
                "mqtt=mqtt://x",
            ],
            "http",
        ),
        (vec!["run", "s.toml", "--workers", "0"], "0"),
        (vec!["run", "s.toml", "--duration", "soon"], "write for example"),
        (vec!["fly"], "fly"),
    ] {
        let output = desk.run(&arguments);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(wanted), "{arguments:?}: no `{wanted}` in\n{text}");
        assert!(!text.contains("panicked"), "{text}");
        assert_eq!(runs(&desk), Vec::<PathBuf>::new(), "{arguments:?}: a run directory was made");
    }
}

#[test]
fn a_world_that_does_not_play_along_gets_one_clear_message_and_exit_code_1() {
    let only_http = SCENARIO.split("[fleet.beta]").next().unwrap();
    let desk = Desk::with(only_http);
    // A port that is taken, so that nobody else can have it, and that nothing listens on.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let free = held.local_addr().unwrap();
    let output = desk.run(&["run", "s.toml", "--target", &format!("http=http://{free}/")]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains(&free.to_string()), "{}", stderr(&output));
    assert_eq!(runs(&desk), Vec::<PathBuf>::new());

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let at_taken = format!("127.0.0.1:{port}");
    let target = format!("http=http://{at_taken}/");
    for (arguments, code, words) in [
        (vec![&*at_taken], 1, "is in use; write another port"),
        (vec!["0.0.0.0:8080"], 2, "others than this machine could reach it"),
        (vec!["127.0.0.1:65535"], 2, "no port behind it for MQTT"),
        (vec!["127.0.0.1:0", "--target", &target], 2, "the run has targets of its own"),
    ] {
        let output = desk.run(&[&["run", "s.toml", "--serve-on"], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(
            stderr(&output).contains("--serve-on") && stderr(&output).contains(words),
            "{}",
            stderr(&output)
        );
    }
    for flag in ["--http-port", "--mqtt-port"] {
        let other = if flag == "--http-port" { "--mqtt-port" } else { "--http-port" };
        let output = desk.run(&["serve", flag, &port, other, "0"]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains(&port) && stderr(&output).contains(flag), "{}", stderr(&output));
    }

    std::fs::write(desk.path("occupied"), "a file where a folder is wanted").unwrap();
    let output = desk.run(&["run", "s.toml", "--out", "occupied"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("occupied") && stderr(&output).contains("--out"), "{}", stderr(&output));
}

#[test]
fn what_is_wrong_with_the_settings_of_a_service_is_said_in_the_words_that_were_typed() {
    let desk = Desk::with("[reference]\nqueue = { capacity = -1 }\n");
    for (arguments, expected, hidden) in [
        (&["--set", "queue.size=5"][..], "--set queue.size: ", "reference."),
        (&["--set", "queue={ size = 5 }"], "--set queue: queue.size: ", "reference."),
        (&["--set", "reference.queue.size=5"], "--set reference.queue.size: ", "admission"),
        (&["--set", "queue"], "--set queue: no setting; write KEY=VALUE", "reference."),
        (&["--tokens", "nope.csv"], "cannot read --tokens nope.csv: ", "reference."),
        (&["--tokens", "s.toml"], "--tokens s.toml, line 1: no column is called token", "reference."),
        (&["--token", ""], "--token: ", "reference."),
        (&["--token", "s3cret", "--token", "s3cret"], "--token: stands in the list more than once", "s3cret"),
        (&["--jwt-hs256", "nope.key"], "cannot read --jwt-hs256 nope.key: ", "reference."),
        (&["--tls-cert", "nope.pem"], "cannot read the file of --tls-cert nope.pem: ", "reference."),
        (&["--tls-client-ca", "s.toml"], "the file of --tls-client-ca s.toml ", "reference."),
        // Who wrote the key has it said by that.
        (&["--config", "s.toml"], "s.toml:2:", "--set"),
    ] {
        let output = desk.run(&[&["serve", "--http-port", "0", "--mqtt-port", "0"], arguments].concat());
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(expected) && !error.contains(hidden), "{arguments:?}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn too_few_descriptors_are_named_before_anything_is_sent() {
    let desk = Desk::with(&SCENARIO.replace("devices = 10", "devices = 500"));
    let line = format!("ulimit -n 256; exec {} run s.toml", env!("CARGO_BIN_EXE_squall"));
    let output = Command::new("sh").current_dir(desk.path("")).args(["-c", &line]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("file descriptors") && stderr(&output).contains("ulimit -n"),
        "{}",
        stderr(&output)
    );
    assert_eq!(runs(&desk), Vec::<PathBuf>::new());
}

/// Waits until the run has written at least `count` intervals.
fn await_intervals(desk: &Desk, count: usize) -> PathBuf {
    for _ in 0..1_200 {
        std::thread::sleep(Duration::from_millis(50));
        if let [run] = runs(desk).as_slice() {
            let text = std::fs::read_to_string(run.join("latency.hlog")).unwrap_or_default();
            let untagged = text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).count();
            if untagged >= count {
                return run.clone();
            }
        }
    }
    panic!("no intervals were written in 60 s");
}

#[cfg(unix)]
#[test]
fn the_first_interrupt_ends_a_run_early_with_complete_files() {
    for name in ["INT", "TERM", "HUP", "QUIT"] {
        let desk = Desk::with(SCENARIO);
        let child = desk.begin(&["run", "s.toml", "--duration", "60s"]);
        let run = await_intervals(&desk, 4);
        signal(child.id(), name);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{name}: {}", stderr(&output));
        let manifest = load_manifest(&run).unwrap();
        assert_eq!((manifest.state, manifest.exit_code), (RunState::Interrupted, Some(130)), "{name}");
        assert_files_add_up(&run);
        let headline = headline(&run);
        assert_eq!(headline.figures.ok, headline.figures.planned, "{name}: what was open is drained");
        assert!(std::fs::read_to_string(run.join("events.csv")).unwrap().contains("interrupted"));
    }
}

#[cfg(unix)]
#[test]
fn a_second_interrupt_and_a_kill_leave_files_readable_up_to_the_last_interval() {
    // The service never answers, so that the first interrupt finds much to drain.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http=http://{}/", silent.local_addr().unwrap());
    let fleet = SCENARIO.split("[fleet.beta]").next().unwrap();
    for (signals, code) in [(vec!["INT", "INT"], Some(130)), (vec!["KILL"], None)] {
        let desk = Desk::with(fleet);
        let arguments = ["run", "s.toml", "--duration", "60s", "--target", &target];
        let child = desk.squall(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let run = await_intervals(&desk, 4);
        for name in &signals {
            signal(child.id(), name);
            std::thread::sleep(Duration::from_millis(200));
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), code, "{signals:?}");
        let manifest = load_manifest(&run).unwrap();
        let state = if code.is_some() { RunState::Interrupted } else { RunState::Running };
        assert_eq!(manifest.state, state, "{signals:?}");
        if code.is_some() {
            assert_files_add_up(&run);
        } else {
            assert!(!run.join("summary.csv").exists(), "a killed run has no summary that looks complete");
            let report = desk.run(&["report", run.to_str().unwrap(), "--json"]);
            assert_eq!(report.status.code(), Some(0), "{}", stderr(&report));
            assert!(
                stderr(&report).contains("rebuilt from intervals.csv and latency.hlog"),
                "{}",
                stderr(&report)
            );
            let report: serde_json::Value = serde_json::from_str(&stdout(&report)).unwrap();
            let headline = report["summary"].as_array().unwrap().last().unwrap();
            assert_eq!(
                (&headline["phase"], report["rebuilt"].is_string()),
                (&"all".into(), true),
                "{headline}"
            );
        }
        let mut intervals = csv::Reader::from_path(run.join("intervals.csv")).unwrap();
        let rows: Vec<csv::StringRecord> = intervals.records().map(Result::unwrap).collect();
        assert!(rows.len() >= 2, "{signals:?}: {} rows", rows.len());
    }
}

/// What is done to a file of a complete run, and what `squall report` says of it then.
/// What is done to a file.
type Change<'c> = &'c dyn Fn(&str) -> String;

#[test]
fn files_that_are_not_what_the_run_left_are_refused() {
    let desk = Desk::with(SCENARIO);
    assert_ran(&desk.run(&["run", "s.toml", "--quiet", "--duration", "1s"]));
    let run = desk.only_run();
    let half = |text: &str| text[..text.len() / 2].to_owned();
    let header = |text: &str| format!("{}\n", text.lines().next().unwrap());
    let short = |text: &str| text[..=text.trim_end().rfind('\n').unwrap()].to_owned();
    let edited = |text: &str| text.replacen('1', "2", 1);
    let changes: [(&str, Change<'_>); 7] = [
        ("summary.csv", &|_| String::new()),
        ("summary.csv", &header),
        ("summary.csv", &short),
        ("summary.csv", &edited),
        ("latency.hlog", &half),
        ("intervals.csv", &half),
        ("faults.csv", &|_| "run_id,fault\n".to_owned()),
    ];
    for (name, change) in changes {
        let path = run.join(name);
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, change(&whole)).unwrap();
        let output = desk.run(&["report", run.to_str().unwrap(), "--junit", "junit.xml"]);
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}: {}", stdout(&output));
        let expected = format!("{name} is not the file that this run wrote");
        assert!(stderr(&output).contains(&expected), "{name}: {}", stderr(&output));
        assert!(!desk.path("junit.xml").exists(), "{name}");
    }
    assert_ran(&desk.run(&["report", run.to_str().unwrap()]));
}

#[cfg(unix)]
#[test]
fn a_run_whose_directory_is_gone_prints_what_it_measured() {
    let desk = Desk::with(SCENARIO);
    let child = desk.begin(&["run", "s.toml", "--duration", "60s"]);
    let run = await_intervals(&desk, 4);
    std::fs::remove_dir_all(&run).unwrap();
    signal(child.id(), "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).contains("all fleets"), "{}", stdout(&output));
    assert!(stderr(&output).contains("error: cannot write under "), "{}", stderr(&output));
}

#[cfg(unix)]
#[test]
fn a_file_that_must_not_grow_ends_a_run_with_an_error_and_what_is_written_can_be_read() {
    let desk = Desk::with(&SCENARIO.replace("interval = \"500ms\"", "interval = \"100ms\""));
    let line = format!("ulimit -f 64; exec {} run s.toml --duration 600s", env!("CARGO_BIN_EXE_squall"));
    let output = Command::new("sh").current_dir(desk.path("")).args(["-c", &line]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).contains("all fleets"), "{}", stdout(&output));
    let error = stderr(&output);
    assert!(error.contains("error: cannot write under ") && error.contains("too large"), "{error}");
    let run = desk.only_run();
    assert_eq!(load_manifest(&run).unwrap().state, RunState::Failed);
    let told = desk.run(&["report", run.to_str().unwrap()]);
    assert!(stdout(&told).contains("all fleets"), "{}{}", stdout(&told), stderr(&told));
    assert!(stderr(&told).contains("rebuilt from intervals.csv"), "{}{}", stdout(&told), stderr(&told));
}

#[cfg(unix)]
#[test]
fn serve_prints_its_addresses_and_stops_cleanly() {
    let desk = Desk::with("");
    for name in ["INT", "TERM"] {
        let mut child = desk
            .squall(&["serve", "--http-port", "0", "--mqtt-port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let said: Vec<String> = lines.by_ref().take_while(|line| !line.contains("Ctrl-C")).collect();
        for word in ["http://127.0.0.1:", "ws://127.0.0.1:", "mqtt://127.0.0.1:", "/health", "/metrics"] {
            assert!(said.iter().any(|line| line.contains(word)), "no {word} in {said:?}");
        }
        signal(child.id(), name);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn the_plan_digest_depends_on_the_seed_and_not_on_the_workers() {
    let digest = |arguments: &[&str]| {
        let desk = Desk::with(SCENARIO);
        let output = desk.run(&[&["run", "s.toml", "--quiet", "--duration", "500ms"], arguments].concat());
        assert_ran(&output);
        let manifest = load_manifest(&desk.only_run()).unwrap();
        (manifest.plan_digest, manifest.workers)
    };
    let (one, workers) = digest(&["--workers", "1"]);
    assert_eq!(workers, 1);
    assert_eq!(digest(&["--workers", "2"]), (one.clone(), 2));
    assert_ne!(digest(&["--workers", "1", "--seed", "4"]).0, one);
}

#[test]
fn help_lists_the_exit_codes_that_can_happen() {
    let desk = Desk::with("");
    let (run, comparison) = (["12  invalid", "99  a budget", "130  interrupted"], "10  regression");
    for (arguments, of_runs, of_comparisons) in [
        (vec!["--help"], true, true),
        (vec!["run", "--help"], true, false),
        (vec!["merge", "--help"], true, false),
        (vec!["new", "--help"], false, false),
        (vec!["check", "--help"], false, false),
    ] {
        let output = desk.run(&arguments);
        assert_eq!(output.status.code(), Some(0));
        let help = stdout(&output);
        assert!(help.contains("0  fine"), "{help}");
        assert!(run.iter().all(|code| help.contains(code) == of_runs), "{help}");
        assert_eq!(help.contains(comparison), of_comparisons, "{help}");
    }
}

/// What people type by mistake, and what they are told.
#[test]
fn a_slip_of_the_pen_is_answered_with_what_was_meant() {
    let desk = Desk::with(SCENARIO);
    for (arguments, expected) in [
        (vec!["chek", "s.toml"], "'check', 'schema'"),
        (vec!["run", "s.toml", "--duration", "5"], "did you mean \"5s\"?"),
        (vec!["run", "s.tml"], "`squall new quickstart` writes one"),
        (vec!["run", "s.toml", "--target", "mqt=mqtt://a"], "`mqt` is not a protocol; did you mean `mqtt`?"),
        (vec!["run", "s.toml", "--format", "juint=j.xml"], "not a valid format; did you mean `junit`?"),
        (
            vec!["proxy", "--to", "127.0.0.1:1", "--fault", "latncy"],
            "not a fault of the network; did you mean `latency`?",
        ),
    ] {
        let output = desk.run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    }
}

#[cfg(unix)]
#[test]
fn a_reader_who_has_read_enough_ends_the_output_in_silence() {
    let desk = Desk::with(SCENARIO);
    for arguments in
        [vec!["schema"], vec!["schema", "--markdown"], vec!["check", "s.toml"], vec!["new"], vec!["man"]]
    {
        let mut child = desk.begin(&arguments);
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn folders_that_outputs_need_are_made_and_said() {
    // Nobody listens there: outputs are looked at before that is found out.
    let run = ["run", "s.toml", "--target", "http=http://127.0.0.1:1", "--target"];
    let run = [run.as_slice(), &["ws=ws://127.0.0.1:1", "--target", "mqtt=mqtt://127.0.0.1:1"]].concat();
    let with = |own: &[&'static str]| run.iter().copied().chain(own.iter().copied()).collect::<Vec<_>>();
    for (arguments, folder) in [
        (with(&["--junit", "new/deep/j.xml"]), "new/deep"),
        (with(&["--html", "new/h.html"]), "new"),
        (with(&["--format", "bencher=new/b.json"]), "new"),
        (with(&["--format", "hgrm=new/tags"]), "new/tags"),
        (vec!["new", "quickstart", "new/q.toml"], "new"),
    ] {
        let desk = Desk::with(SCENARIO);
        let first = stderr(&desk.run(&arguments));
        assert!(first.contains(&format!("note: made the folder {folder}\n")), "{arguments:?}: {first}");
        assert!(desk.path(folder).is_dir(), "{arguments:?}");
        let again = stderr(&desk.run(&arguments));
        assert!(!again.contains("made the folder"), "{arguments:?}: {again}");
    }
}
