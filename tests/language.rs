//! The language of scenarios from outside: `check`, `schema` and `new` through the built binary.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::{program, skip};

const SOUND: &str = r#"
[scenario]
name = "sound"
about = "two fleets"
[run]
warm_up = "1s"
[[phase]]
name = "steady"
duration = "10s"
[[phase]]
name = "rush"
duration = "4s"
load = { shape = "ramp", to = 3 }
[fleet.meters]
protocol = "http"
devices = 10
rate = "2/s"
behaviour = { preset = "thundering-herd", at = "5s" }
[fleet.people]
protocol = "ws"
devices = 5
model = "closed"
think = "1s"
"#;

fn squall(folder: &Path, arguments: &[&str]) -> Output {
    program::squall(folder, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn shipped() -> Vec<std::path::PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

#[test]
fn check_shows_the_plan_in_closed_form() {
    let folder = folder(&[("s.toml", SOUND)]);
    let checked = squall(folder.path(), &["check", "s.toml", "--json"]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    let plans: Vec<Value> = serde_json::from_slice(&checked.stdout).unwrap();
    let plan = &plans[0];
    // 20/s for 10 s, then from 20/s to 60/s in 4 s.
    assert!((plan["readings"].as_f64().unwrap() - 360.0).abs() < 1e-6, "{plan}");
    assert!((plan["mean_rate"].as_f64().unwrap() - 360.0 / 14.0).abs() < 1e-6);
    // The last second of the ramp: from 50/s to 60/s.
    assert!((plan["peak_rate"].as_f64().unwrap() - 55.0).abs() < 1e-6, "{}", plan["peak_rate"]);
    assert_eq!(plan["phases"][1]["total"].as_f64(), Some(20.0));
    assert_eq!(plan["phases"][2]["readings"][1], Value::Null, "a closed fleet's number is the service's");
    assert_eq!(plan["descriptors"]["alone"].as_u64(), Some(15 + 64));
    let event = &plan["events"][0];
    assert_eq!((event["what"].as_str(), event["devices"].as_u64()), (Some("cut"), Some(10)));
    let area: f64 =
        plan["chart"].as_array().unwrap().iter().map(|point| point["rate"].as_f64().unwrap()).sum();
    // The chart covers warm-up too: 15 s in equal columns.
    assert!((area * 15.0 / 64.0 - 380.0).abs() < 1e-6, "{area}");

    let shown = text(&squall(folder.path(), &["check", "s.toml"]).stdout);
    for line in [
        "s.toml: valid",
        "sound, 15 devices, 16 s, seed 1",
        "meters http       10  constant         20/s   response     74 B",
        "people ws          5    closed  as answered    verdict     91 B",
        "measured                     360        25.7",
        "A  meters is cut off at 7 s, 10 devices, until 7 s",
        "note: `people` sends when it is answered: how much, only a run can tell",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert!(shown.lines().all(|line| line.chars().count() <= 110), "{shown}");
    assert!(!folder.path().join("results").exists(), "nothing is run");
}

#[test]
fn check_counts_the_bundled_system_only_where_it_can_be_the_target() {
    let fleet = |keys: &str| format!("[fleet.a]\ndevices = 5\nrate = \"1/s\"\n{keys}\n");
    let (http, tcp) =
        (fleet("protocol = \"http\""), fleet("protocol = \"tcp\"\ntcp = { correlate = \"order\" }"));
    let own_path = fleet("protocol = \"http\"\nhttp = { path = \"/x\" }");
    for (text, counted) in [
        (http.clone(), true),
        (tcp.clone(), false),
        (own_path, false),
        (format!("[target]\nhttp = \"http://127.0.0.1:8080\"\n{http}"), false),
        (format!("[target]\ntcp = \"tcp://127.0.0.1:4000\"\n{tcp}"), false),
    ] {
        let head = "[scenario]\nname = \"s\"\n[[phase]]\nname = \"p\"\nduration = \"2s\"\n";
        let folder = folder(&[("s.toml", &format!("{head}{text}"))]);
        let shown = self::text(&squall(folder.path(), &["check", "s.toml"]).stdout);
        let lines: Vec<_> = shown
            .lines()
            .filter(|line| line.starts_with("memory") || line.starts_with("descriptors"))
            .collect();
        assert_eq!(lines.len(), 2, "{shown}");
        let is_counted = |line: &&str| line.contains("with the bundled reference system");
        assert_eq!(
            lines.iter().filter(|line| is_counted(line)).count(),
            if counted { 2 } else { 0 },
            "{shown}"
        );
    }
}

#[test]
fn what_the_bundled_system_cannot_understand_is_said_before_anything_is_sent() {
    let channel = "payload = \"json\"\nchannel = { temperature = \"walk\" }";
    for (keys, said) in [
        (channel, "fleet `meters` has no channel `value`, which the bundled reference system reads"),
        ("http = { path = \"/x\" }", "fleet `meters` has a path or method of its own"),
    ] {
        let scenario = SOUND.replace("devices = 10", &format!("devices = 10\n{keys}"));
        let folder = folder(&[("s.toml", &scenario)]);
        let run = squall(folder.path(), &["run", "s.toml"]);
        assert_eq!(run.status.code(), Some(2));
        assert!(text(&run.stderr).contains(said), "{}", text(&run.stderr));
        let checked = squall(folder.path(), &["check", "s.toml"]);
        assert_eq!(checked.status.code(), Some(0));
        assert!(text(&checked.stdout).contains(&format!("note: {said}")), "{}", text(&checked.stdout));
    }
}

#[test]
fn check_takes_the_same_overrides_as_run_and_their_digests_agree() {
    let folder = folder(&[("s.toml", SOUND)]);
    let digest = |arguments: &[&str]| {
        let checked = squall(folder.path(), &[&["check", "s.toml", "--json"], arguments].concat());
        let plans: Vec<Value> = serde_json::from_slice(&checked.stdout).unwrap();
        (plans[0]["plan_digest"].clone(), plans[0]["readings"].as_f64().unwrap())
    };
    let (base, _) = digest(&[]);
    assert_ne!(base, digest(&["--seed", "7"]).0);
    let (other, readings) = digest(&["--set", "fleet.meters.rate=4/s"]);
    assert!(other != base && (readings - 720.0).abs() < 1e-6, "{readings}");
    assert!((digest(&["--duration", "7s"]).1 - 180.0).abs() < 1e-3);
}

#[test]
fn check_reports_every_fault_of_every_file_and_shows_the_sound_ones() {
    let broken = SOUND.replace("devices = 10", "device = 10").replace("to = 3", "too = 3");
    let folder = folder(&[("good.toml", SOUND), ("bad.toml", &broken), ("worse.toml", "[scenario\n")]);
    let files = ["check", "bad.toml", "good.toml", "worse.toml", "missing.toml"];
    let checked = squall(folder.path(), &files);
    assert_eq!(checked.status.code(), Some(2));
    assert!(text(&checked.stdout).contains("good.toml: valid"));
    let said = text(&checked.stderr);
    for part in [
        "error: bad.toml:13:26: phase.rush.load.too: unknown key; did you mean `to`?",
        "   13 | load = { shape = \"ramp\", too = 3 }\n      |                          ^^^",
        "bad.toml:16:1: fleet.meters.device: unknown key; did you mean `devices`?",
        "error: worse.toml:1:10: unclosed table",
        "error: cannot read missing.toml: No such file or directory",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let checked = squall(folder.path(), &[&files[..], &["--json"]].concat());
    assert_eq!(checked.status.code(), Some(2));
    let found: Vec<Value> = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(found.len(), 4);
    let first = &found[0]["problems"][0];
    assert_eq!((first["line"].as_u64(), first["column"].as_u64()), (Some(13), Some(26)));
    assert_eq!(first["key"], "phase.rush.load.too");
    assert_eq!(found[1]["scenario"], "sound");
}

#[test]
fn the_schema_takes_every_shipped_scenario_and_refuses_what_check_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let schema = squall(dir.path(), &["schema"]).stdout;
    std::fs::write(dir.path().join("schema.json"), &schema).unwrap();
    let broken = [
        ("a.toml", SOUND.replace("devices = 10", "device = 10")),
        ("b.toml", SOUND.replace("\"thundering-herd\", at", "\"sleepy\", at")),
        ("c.toml", SOUND.replace("load = { shape = \"ramp\", to = 3 }", "load = { shape = \"ramp\" }")),
        ("d.toml", SOUND.replace("rate = \"2/s\"", "rate = 2")),
        ("e.toml", SOUND.replace("protocol = \"http\"", "protocol = \"https\"")),
        ("f.toml", SOUND.replace("[run]", "[runs]")),
        ("g.toml", SOUND.replace("duration = \"10s\"\n", "")),
        ("h.toml", SOUND.replace("shape = \"ramp\", to = 3", "shape = \"steps\", to = 3")),
    ];
    for (name, content) in &broken {
        std::fs::write(dir.path().join(name), content).unwrap();
        assert_eq!(squall(dir.path(), &["check", name]).status.code(), Some(2), "{name}");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema_readers.py");
    let validate = |files: Vec<&Path>| {
        Command::new("python3").arg(&script).arg(dir.path().join("schema.json")).args(files).output()
    };
    let sound = shipped();
    let Ok(checked) = validate(sound.iter().map(std::path::PathBuf::as_path).collect()) else {
        return skip::missing("there is no python3");
    };
    if checked.status.code() == Some(77) {
        return skip::missing(&text(&checked.stderr));
    }
    assert!(checked.status.success(), "{}", text(&checked.stdout));
    for (name, _) in &broken {
        let refused = validate(vec![&dir.path().join(name)]).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{name}: {}", text(&refused.stdout));
    }
}

#[test]
fn new_writes_a_scenario_that_check_takes_and_overwrites_nothing() {
    let folder = folder(&[]);
    let listed = text(&squall(folder.path(), &["new"]).stdout);
    for path in shipped() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(listed.contains(&format!("\n  {name} ")), "{name} is not listed:\n{listed}");
    }
    for (purpose, name) in [("to begin with", "quickstart"), ("a service of your own", "external-mqtt")] {
        let (_, group) = listed.split_once(&format!("\n\n{purpose}\n")).unwrap();
        let group = group.split("\n\n").next().unwrap();
        assert!(group.lines().any(|line| line.trim_start().starts_with(name)), "{purpose}:\n{group}");
    }
    let made = squall(folder.path(), &["new", "burst", "My Storm.toml"]);
    assert_eq!(text(&made.stdout), "My Storm.toml is yours to change; next: squall check My Storm.toml\n");
    let checked = squall(folder.path(), &["check", "My Storm.toml", "--json"]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    let plans: Vec<Value> = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(plans[0]["scenario"], "my-storm");
    assert!(squall(folder.path(), &["new", "replay"]).status.success());
    let replayed = squall(folder.path(), &["check", "replay.toml"]);
    assert_eq!(replayed.status.code(), Some(0), "its recording is there too: {}", text(&replayed.stderr));
    for (arguments, code, message) in [
        (vec!["new", "burst", "My Storm.toml"], 1, "it is there already; give another name, or move it away"),
        (vec!["new", "storm"], 2, "unknown situation `storm`; did you mean `reconnect-storm`?"),
        (vec!["new", "brust"], 2, "unknown situation `brust`; did you mean `burst`?"),
        (vec!["new", "apocalypse"], 2, "unknown situation `apocalypse`; known are: quickstart"),
        (vec!["new", "burst", "replay.toml/x.toml"], 1, "cannot write replay.toml/x.toml"),
    ] {
        let refused = squall(folder.path(), &arguments);
        assert_eq!(refused.status.code(), Some(code), "{arguments:?}");
        assert!(text(&refused.stderr).contains(message), "{}", text(&refused.stderr));
    }
}

/// The figures are held to measured results, and the arithmetic to scenarios worked by hand, beside the code.
#[test]
fn machines_are_counted_on_paper_where_that_is_asked_for() {
    let text = "[scenario]\nname = \"s\"\n[[phase]]\nname = \"p\"\nduration = \"10s\"\n\
                [fleet.a]\nprotocol = \"http\"\ndevices = 1000\nrate = \"500/s\"\n";
    let folder = folder(&[("s.toml", text)]);
    let checked = squall(folder.path(), &["check", "s.toml", "--json", "--nodes"]);
    let value: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let nodes = value[0]["nodes"].as_array().unwrap();
    let of = |key: &str| nodes.iter().map(|node| node[key].as_u64().unwrap()).collect::<Vec<_>>();
    let (shards, devices) = (of("shards"), of("devices_each"));
    assert_eq!(of("cores"), [8, 32, 96]);
    // Half a million readings/s are more than eight cores take.
    assert!(shards.is_sorted_by(|one, other| one >= other) && shards[0] > 1, "{shards:?}");
    for (shards, each) in shards.into_iter().zip(devices) {
        assert!(shards * each >= 1_000 && shards * (each - 1) < 1_000, "{shards} of {each}");
    }
    let printed = program::printed(folder.path(), 200, &["check", "s.toml", "--nodes", "8"]);
    let line = printed.lines().find(|line| line.starts_with("8 cores: ")).unwrap();
    assert!(line.contains("decides (machines needed: ") && !printed.contains("32 cores"), "{printed}");
}
