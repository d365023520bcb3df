//! Broken scenarios: what each message says, where it points, and what it tells the author to do.

use std::fmt::Write as _;

use proptest::prelude::*;

use crate::language::Environment;
use crate::scenario::{Override, Overrides, Plan, Scenario, ScenarioError};
use crate::units::Span;

const SOUND: &str = r#"[scenario]
name = "table"
seed = 7

[run]
warm_up = "1s"

[[phase]]
name = "steady"
duration = "10s"

[[phase]]
name = "burst"
duration = "5s"
load = 3

[fleet.meters]
protocol = "http"
devices = 10
rate = "2/s"

[fleet.pumps]
protocol = "mqtt"
devices = 5
rate = "1/s"
mqtt = { qos = 2 }
close = "ack"
backoff = { first = "1s", max = "10s" }
signal = { kind = "walk", step = 0.5 }
anomalies = { spikes = 0.1 }

[fleet.users]
protocol = "ws"
devices = 5
model = "closed"
think = "1s"

[[fault]]
name = "slow"
kind = "latency"
start = "2s"
duration = "3s"
delay = { mean = "100ms", law = "normal", jitter = "20ms" }
share = 0.5
fleets = ["meters"]

[[fault]]
name = "lossy"
kind = "loss"
start = "2s"
duration = "1s"
every = "2s"
loss = { share = 0.02, burst = 4 }

[[fault]]
name = "pause"
kind = "exec"
start = "4s"
begin = "true"
"#;

pub(super) fn problems(text: &str, overrides: &Overrides) -> Vec<String> {
    let error = match Scenario::parse("x.toml", text, overrides) {
        Ok(_) => return Vec::new(),
        Err(ScenarioError::Faulty(faults)) => faults.to_string(),
        Err(other) => return vec![other.to_string()],
    };
    error
        .lines()
        .filter(|line| !line.contains(" | "))
        .map(|line| line.replace("x.toml:", "").trim_start().to_owned())
        .collect()
}

/// Cases, apart by blank lines: `-` lines of the sound scenario, the `+` lines that replace them, and the `>` lines
/// that must then be reported, no more and no fewer.
const CASES: &str = include_str!("broken.txt");

/// The lines of `case` marked by `mark`.
fn marked(case: &str, mark: char) -> Vec<&str> {
    case.lines().filter_map(|line| line.strip_prefix(mark)).map(|line| line.trim_start_matches(' ')).collect()
}

#[test]
fn every_fault_is_reported_with_its_line_key_and_remedy() {
    assert_eq!(problems(SOUND, &Overrides::default()), [""; 0]);
    let cases: Vec<&str> = CASES.split("\n\n").filter(|case| case.starts_with('-')).collect();
    assert!(cases.len() >= 60, "{}", cases.len());
    let mut misfits = String::new();
    for case in cases {
        let (from, to) = (marked(case, '-').join("\n"), marked(case, '+').join("\n"));
        assert!(SOUND.contains(&from), "{from}");
        let expected = marked(case, '>');
        assert!(!expected.is_empty(), "{case}");
        let found = problems(&SOUND.replacen(&from, &to, 1), &Overrides::default());
        if found != expected {
            let _ = write!(misfits, "{case}\nfound:\n{}\n\n", found.join("\n"));
        }
    }
    assert!(misfits.is_empty(), "{misfits}");
}

#[test]
fn all_faults_of_a_file_are_reported_in_the_order_of_the_text() {
    let text = SOUND
        .replace("seed = 7", "seed = -7")
        .replace("load = 3", "lode = 3")
        .replace("devices = 10", "devices = 0")
        .replace("qos = 2", "qos = \"two\"")
        .replace("think = \"1s\"", "think = \"a while\"");
    let lines: Vec<String> = problems(&text, &Overrides::default())
        .iter()
        .map(|problem| problem.split(": ").take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        lines,
        [
            "3:8 scenario.seed",
            "15:1 phase.burst.lode",
            "19:11 fleet.meters.devices",
            "26:16 fleet.pumps.mqtt.qos",
            "36:9 fleet.users.think"
        ]
    );
}

#[test]
fn what_is_missing_altogether_is_named() {
    assert_eq!(
        problems("", &Overrides::default()),
        [
            "scenario.name: is missing; write 1 to 64 of a-z, 0-9 and - in double quotes (names the scenario and the directory of its results)",
            "phase: there is no phase; add a phase: [[phase]] with name = \"steady\" and duration = \"30s\"",
            "fleet: there is no fleet; add a fleet: [fleet.meters] with protocol = \"http\", devices = 10 and rate = \"1/s\"",
        ]
    );
}

#[test]
fn a_fault_in_an_override_names_the_override() {
    for (set, expected) in [
        (
            "fleet.meters.rate=-5/s",
            "--set fleet.meters.rate: `-5/s` is not a valid rate; write for example \"10/s\", \"6/m\" or \"1/30s\"",
        ),
        ("fleet.meter.rate=5/s", "--set fleet.meter.rate: there is no fleet `meter`; did you mean `meters`?"),
        ("phase.rush.load=2", "--set phase.rush.load: there is no phase `rush`; there are: steady, burst"),
        (
            "phase.burst=2",
            "--set phase.burst: a key is missing after the name; write for example phase.steady.load=2",
        ),
        ("fleet.meters.colour=red", "--set fleet.meters.colour: unknown key; known here: "),
        ("runs.drain=1s", "--set runs.drain: runs: unknown section; did you mean [run]?"),
        (
            "scenario.seed.x=1",
            "--set scenario.seed.x: `seed` is a whole number, not a table; write for example run.warm_up=0s",
        ),
        (
            "run.drain=5",
            "--set run.drain: expected a span of time with its unit; did you mean \"5s\"? write a span from \"0s\" to \"10m\", in double quotes",
        ),
    ] {
        let overrides = Overrides { set: vec![Override::parse(set).unwrap()], ..Overrides::default() };
        let found = problems(SOUND, &overrides);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{set}: {found:?}");
    }
}

#[test]
fn an_override_below_a_key_in_its_short_form_keeps_what_stands_there() {
    for (addition, set) in [
        ("[reference]\nqueue = 500\n", "reference.queue.deadline=150ms"),
        ("[reference]\nworkers = 3\n", "reference.workers.count=4"),
        ("", "reference.queue.deadline=150ms"),
        ("", "fault.lossy.loss.burst=5"),
    ] {
        let overrides = Overrides { set: vec![Override::parse(set).unwrap()], ..Overrides::default() };
        assert_eq!(problems(&format!("{SOUND}\n{addition}"), &overrides), [""; 0], "{set}");
    }
    let set = Override::parse("reference.queue.deadline=150ms").unwrap();
    let overrides = Overrides { set: vec![set], ..Overrides::default() };
    let digest = |text: &str, overrides: &Overrides| {
        format!("{:?}", Scenario::parse("x.toml", &format!("{SOUND}\n{text}"), overrides).unwrap().reference)
    };
    assert_eq!(
        digest("[reference]\nqueue = 500\n", &overrides),
        digest("[reference.queue]\ncapacity = 500\ndeadline = \"150ms\"\n", &Overrides::default())
    );
}

#[test]
fn a_duration_too_short_for_the_phases_is_refused() {
    let overrides = Overrides { duration: Some(Span::from_ns(10)), ..Overrides::default() };
    assert_eq!(
        problems(SOUND, &overrides),
        [
            "--duration 10ns: phase `steady` would last 6ns; a phase lasts from 1ms to 720h",
            "--duration 10ns: phase `burst` would last 4ns; a phase lasts from 1ms to 720h",
        ]
    );
}

#[test]
fn unreadable_files_say_why_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let binary = dir.path().join("binary.toml");
    std::fs::write(&binary, [b'a', 0xff, 0xfe]).unwrap();
    let large = dir.path().join("large.toml");
    std::fs::write(&large, vec![b'#'; (1 << 20) + 1]).unwrap();
    for (path, expected) in [
        (dir.path().join("nope.toml"), "No such file or directory; give the path of a scenario file"),
        (dir.path().to_owned(), "Is a directory; give the path of a scenario file"),
        (
            binary,
            "line 1 is not UTF-8: it has the byte 0xFF, in Latin-1 `ÿ`; is the file Latin-1 or Windows-1252?",
        ),
        (large, "is larger than 1 MiB"),
    ] {
        let error = Scenario::load(&path, &Overrides::default()).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_missing_file_of_another_sort_is_asked_for_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nope.toml");
    let scenario = Scenario::parse("s.toml", SOUND, &Overrides::default()).unwrap();
    let budgets = crate::scenario::load_budgets(&path, &scenario, Overrides::default().environment);
    let faults = crate::scenario::load_faults(&path);
    for (error, expected) in [
        (budgets.unwrap_err(), "give the path of a budget file, which holds [[budget]] tables"),
        (faults.unwrap_err(), "give the path of a file with [[fault]] tables"),
    ] {
        assert!(error.to_string().ends_with(expected), "{error}");
    }
}

/// A text of keys, values and marks as they occur in scenarios, in no sensible order.
fn jumbled() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "[scenario]",
        "[run]",
        "[[phase]]",
        "[fleet.a]",
        "[fleet]",
        "[target]",
        "[phase]",
        "name",
        "rate",
        "load",
        "devices",
        "protocol",
        "signal",
        "backoff",
        "model",
        "jitter",
        "=",
        ".",
        ",",
        "{",
        "}",
        "[",
        "]",
        "\n",
        "\n",
        "\"http\"",
        "\"1/s\"",
        "\"5s\"",
        "\"closed\"",
        "behaviour",
        "arrival",
        "law",
        "channel",
        "payload",
        "size",
        "template",
        "loads",
        "mqtt",
        "http",
        "headers",
        "\"poisson\"",
        "\"sleepy\"",
        "\"{{seq}}\"",
        "\"${HOME}\"",
        "\"${\"",
        "\"2KiB\"",
        "1",
        "-1",
        "1e999",
        "nan",
        "true",
        "\"",
        "'",
        "#",
        "1979-05-27",
        "0xffffffffffffffffffff",
        "\u{feff}",
        "é",
        "\t",
        "\r\n",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.join(" "))
}

/// Sound texts that use the whole language.
const SHIPPED: [&str; 7] = [
    include_str!("../../../scenarios/roll-out.toml"),
    include_str!("../../../scenarios/heavy-tail.toml"),
    include_str!("../../../scenarios/burst.toml"),
    include_str!("../../../scenarios/diurnal.toml"),
    include_str!("../../../scenarios/store-and-forward.toml"),
    include_str!("../../../scenarios/external-http.toml"),
    include_str!("../../../scenarios/external-mqtt.toml"),
];

/// A sound text without its comments.
fn sound() -> impl Strategy<Value = String> {
    (0..=SHIPPED.len()).prop_map(|nth| {
        let text = SHIPPED.get(nth).copied().unwrap_or(SOUND);
        text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")
    })
}

/// A sound text with some of its parts changed, lost or doubled.
fn mutated() -> impl Strategy<Value = String> {
    let with = prop::sample::select(vec![
        "", "=", "\"", "[", "0", "-", "\n", "é", ".", "{", "}}", "{{", "9", "$", "'",
    ]);
    let edit = (any::<prop::sample::Index>(), 0..12_usize, with);
    (sound(), prop::collection::vec(edit, 1..4)).prop_map(|(mut text, edits)| {
        for (from, length, with) in edits {
            let from = from.index(text.len() + 1);
            let to = (from + length).min(text.len());
            if text.is_char_boundary(from) && text.is_char_boundary(to) {
                text.replace_range(from..to, with);
            }
        }
        text
    })
}

/// Checks `text` and, if it is sound and not too large for a test, plans it.
fn survive(text: &str) {
    let variables = ["SQUALL_TOKEN", "SQUALL_MQTT_USER", "SQUALL_MQTT_PASSWORD"];
    let environment = Environment::Fixed(variables.map(|name| (name.to_owned(), "x".to_owned())).into());
    match Scenario::parse("x.toml", text, &Overrides { environment, ..Overrides::default() }) {
        Ok(scenario) if scenario.devices() <= 1_000 => assert_eq!(Plan::new(scenario).digest().len(), 64),
        Ok(_) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survive(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_jumble_makes_it_panic(text in jumbled()) {
        survive(&text);
    }

    #[test]
    fn no_mutation_makes_it_panic(text in mutated()) {
        survive(&text);
    }

    #[test]
    fn no_override_makes_it_panic(key in "[a-z]{1,8}(\\.[a-z]{1,8}){1,4}", value in "\\PC{0,20}") {
        let set = vec![Override::parse(&format!("{key}={value}")).unwrap()];
        let known = vec![Override::parse(&format!("fleet.meters.rate={value}")).unwrap()];
        for set in [set, known] {
            let _ = problems(SOUND, &Overrides { set, ..Overrides::default() });
        }
    }
}

#[test]
fn a_target_is_what_it_is_on_the_command_line_and_its_password_is_kept_nowhere() {
    use crate::protocol::Endpoint;
    use crate::record::Protocol;
    let mqtt = Protocol::named("mqtt");
    for (written, shown) in [
        ("tcp://127.0.0.1:1884", "tcp://127.0.0.1:1884"),
        ("mqtt://ann@127.0.0.1", "mqtt://127.0.0.1"),
        ("mqtt://ann:hush7@127.0.0.1", "mqtt://127.0.0.1"),
        ("mqtt://ann:${PW}@127.0.0.1:1884", "mqtt://127.0.0.1:1884"),
    ] {
        let text = SOUND.replacen("[run]", &format!("[target]\nmqtt = \"{written}\"\n\n[run]"), 1);
        let environment = Environment::Fixed([("PW".to_owned(), "hush7".to_owned())].into());
        let set = vec![format!("target.mqtt={written}").parse::<Override>().unwrap()];
        for (text, set) in [(text.as_str(), Vec::new()), (SOUND, set)] {
            let overrides = Overrides { set, environment: environment.clone(), ..Overrides::default() };
            let scenario = Scenario::parse("x.toml", text, &overrides).unwrap();
            let address = scenario.target.of(mqtt).unwrap();
            let endpoint = Endpoint::resolve_as(mqtt, address.value(), address.written()).unwrap();
            assert_eq!(endpoint.shown(), shown);
            assert_eq!(
                endpoint.password(),
                written.contains(":hush7").then_some("hush7").or(written.contains("PW").then_some("hush7"))
            );
            let kept = format!("{scenario:?} {} {endpoint:?} {endpoint}", address.written());
            assert!(!kept.contains("hush7"), "{kept}");
        }
    }
    let text = SOUND.replacen("[run]", "[target]\nmqtt = \"mqtt://ann:hush7@127.0.0.1/topic\"\n[run]", 1);
    let error = Scenario::parse("x.toml", &text, &Overrides::default()).unwrap_err().to_string();
    assert!(error.contains("has a path") && !error.contains("hush7"), "{error}");
}
