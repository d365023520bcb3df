//! Faults that the operator of a run switches, through the built binary: commands, service faults, and switching by hand.
#![cfg(unix)]

use std::io::{BufRead, BufReader};

use squall::results::{RunState, load_manifest};

use crate::program::{Desk, events, signal, told, wait_until};

const RUN: &str = r#"
[scenario]
name = "small"
seed = 3
[run]
connect_rate = "1000/s"
warm_up = "200ms"
drain = "2s"
interval = "500ms"
[[phase]]
name = "steady"
duration = "DURATION"
[fleet.alpha]
protocol = "http"
devices = 4
rate = "10/s"
"#;

const PAUSE: &str = r#"
[[fault]]
name = "pause"
kind = "exec"
start = "500ms"
duration = "LENGTH"
begin = "BEGIN"
end = "echo mended; touch ended"
timeout = "60s"
"#;

/// A run of `duration` with these faults.
fn desk(duration: &str, faults: &str) -> Desk {
    Desk::with(&(RUN.replace("DURATION", duration) + faults))
}

/// What lies where doors are.
fn doors(desk: &Desk) -> Vec<String> {
    let entries = std::fs::read_dir(desk.path("doors")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

fn wait_for(desk: &Desk, name: &str) {
    wait_until(name, || desk.path(name).exists());
}

fn pause(length: &str, begin: &str) -> String {
    PAUSE.replace("LENGTH", length).replace("BEGIN", begin)
}

#[test]
fn a_command_is_run_and_undone_at_its_instants_and_its_output_kept() {
    let desk = desk("2s", &pause("500ms", "echo froze $SQUALL_FAULT $SQUALL_TURN; touch begun"));
    let output = desk.run(&["run", "s.toml"]);
    assert!(matches!(output.status.code(), Some(0 | 12)), "{}", told(&output));
    assert!(desk.path("begun").exists() && desk.path("ended").exists());
    let run = desk.only_run();
    let kept = |name: &str| std::fs::read_to_string(run.join("commands").join(name)).unwrap();
    assert_eq!(kept("pause-0-begin.log"), "froze pause 0\n");
    assert_eq!(kept("pause-0-end.log"), "mended\n");
    let events = events(&run);
    assert!(events.contains(",fault_on,pause,") && events.contains("begin: froze pause 0"), "{events}");
    assert!(events.contains(",fault_off,pause,") && events.contains("end: mended"), "{events}");
    assert_eq!(doors(&desk), Vec::<String>::new());
}

#[test]
fn an_interrupted_run_undoes_what_is_on() {
    let desk = desk("60s", &pause("50s", "touch begun"));
    let child = desk.begin(&["run", "s.toml"]);
    wait_for(&desk, "begun");
    signal(child.id(), "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", told(&output));
    assert!(desk.path("ended").exists());
    let events = events(&desk.only_run());
    assert!(
        events.contains(",fault_off,pause,") && events.contains("the run ended; end: mended"),
        "{events}"
    );
}

#[test]
fn two_interrupts_cut_what_begins_and_still_undo_it() {
    let desk = desk("60s", &pause("50s", "touch begun; sleep 50"));
    let child = desk.begin(&["run", "s.toml"]);
    wait_for(&desk, "begun");
    signal(child.id(), "INT");
    signal(child.id(), "TERM");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", told(&output));
    assert!(desk.path("ended").exists());
    assert!(told(&output).contains("trouble with faults:\n  fault `pause` at"), "{}", told(&output));
}

#[test]
fn a_run_that_fails_undoes_what_is_on() {
    // The run's files vanish under it, and nothing can take their place.
    let vanish = "until rm -rf $SQUALL_RUN_DIR && : > $SQUALL_RUN_DIR; do :; done";
    let desk = desk("60s", &pause("50s", &format!("touch begun; {vanish}")));
    let output = desk.run(&["run", "s.toml"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(desk.path("begun").exists() && desk.path("ended").exists());
    assert_eq!(doors(&desk), Vec::<String>::new());
}

#[test]
fn a_killed_run_leaves_readable_files_and_its_door_is_taken_away() {
    let desk = desk("60s", &pause("50s", "touch begun"));
    let mut child = desk.begin(&["run", "s.toml"]);
    wait_for(&desk, "begun");
    let run = desk.only_run();
    wait_until("the fault is noted", || events(&run).contains("fault_on"));
    child.kill().unwrap();
    child.wait().unwrap();
    let manifest = load_manifest(&run).unwrap();
    assert_eq!(manifest.state, RunState::Running);
    // Whoever looks at a run knows from its beginning how long it will be, and what is to happen.
    let plan = manifest.plan.unwrap();
    let phases: Vec<_> = plan.phases.iter().map(|phase| (phase.name.as_str(), phase.length_s)).collect();
    assert_eq!(phases, [("connect", 1.0), ("warm-up", 0.2), ("steady", 60.0)]);
    assert_eq!((plan.end_s, plan.drain_s, plan.interval_s), (61.2, 2.0, 0.5));
    assert!((plan.phases[2].rate_per_s - 40.0).abs() < 1.0, "{plan:?}");
    assert_eq!(
        (plan.faults[0].name.as_str(), plan.faults[0].windows_s.as_slice()),
        ("pause", &[(1.7, 51.7)][..])
    );
    assert_eq!(doors(&desk).len(), 1, "{:?}", doors(&desk));
    // Other runs may be on on this machine, in places that all look at.
    let list = desk.run(&["fault", "list", "--run", "small"]);
    assert!(matches!(list.status.code(), Some(1 | 2)), "{}", told(&list));
    assert!(told(&list).contains("no running test"), "{}", told(&list));
    assert_eq!(doors(&desk), Vec::<String>::new());
}

#[test]
fn people_see_and_switch_the_faults_of_a_run() {
    let by_hand = r#"
[[fault]]
name = "freeze"
kind = "exec"
begin = "echo frozen"
end = "touch ended"
[[fault]]
name = "brake"
kind = "slow-worker"
factor = 2
[[fault]]
name = "cut"
kind = "partition"
"#;
    let desk = desk("60s", by_hand);
    let child = desk.begin(&["run", "s.toml"]);
    let mut list = Vec::new();
    wait_until("the run lists its faults", || {
        let output = desk.run(&["fault", "list", "--json", "--run", "small"]);
        list = output.stdout;
        output.status.success()
    });
    let list: serde_json::Value = serde_json::from_slice(&list).unwrap();
    assert_eq!(list["faults"].as_array().unwrap().len(), 3);
    assert_eq!(list["run"]["scenario"], "small");
    let id = list["run"]["id"].as_str().unwrap();
    let say = |arguments: &[&str]| {
        // Other runs may be on on this machine, in places that all look at.
        let ours: &[&str] = if arguments.contains(&"--run") { &[] } else { &["--run", "small"] };
        let output = desk.run(&[&["fault"], arguments, ours].concat());
        (output.status.code().unwrap(), told(&output).trim().to_owned())
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let output = desk.squall(&["fault", "stop-all"]).current_dir(elsewhere.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(told(&output).contains(id), "{}", told(&output));
    assert_eq!(say(&["start", "freeze"]), (0, "freeze is on (begin: frozen)".into()));
    assert_eq!(say(&["start", "brake", "--for", "1m", "--run", id]), (0, "brake is on".into()));
    assert_eq!(
        say(&["start", "cut", "--run", list["run"]["directory"].as_str().unwrap()]),
        (0, "cut is on".into())
    );
    let (code, error) = say(&["start", "cut"]);
    assert!(code == 2 && error.contains("`cut` is already on, by hand"), "{error}");
    assert_eq!(say(&["start", "x"]).0, 2);
    assert_eq!(say(&["stop", "cut"]), (0, "cut is off".into()));
    assert_eq!(say(&["stop-all"]), (0, "freeze is off\nbrake is off".into()));
    assert!(desk.path("ended").exists());
    assert_eq!(say(&["list", "--run", "another"]).0, 2);
    let (_, table) = say(&["list"]);
    assert_eq!(table.matches(" off ").count(), 3, "{table}");
    signal(child.id(), "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", told(&output));
    assert!(told(&output).contains("by hand: fault `brake` goes on at"), "{}", told(&output));
    let run = desk.only_run();
    assert_eq!(load_manifest(&run).unwrap().faults_by_hand, 6);
    let events = events(&run);
    for fault in ["freeze", "brake", "cut"] {
        for event in ["fault_on", "fault_off"] {
            assert!(events.contains(&format!(",{event},{fault},\"by hand")), "{event} {fault}: {events}");
        }
    }
}

#[test]
fn a_service_that_does_not_let_itself_be_broken_is_refused_before_the_run() {
    let brake = "[[fault]]\nname = \"brake\"\nkind = \"slow-worker\"\nfactor = 2\nstart = \"500ms\"\n";
    let desk = desk("2s", brake);
    for (flag, refused) in [(None, true), (Some("--faults"), false)] {
        let arguments = ["serve", "--http-port", "0", "--mqtt-port", "0"];
        let arguments: Vec<&str> = arguments.into_iter().chain(flag).collect();
        let mut service = desk.begin(&arguments);
        let mut printed = BufReader::new(service.stdout.take().unwrap()).lines();
        let url = printed.find_map(|line| {
            let line = line.unwrap();
            line.split_whitespace().find(|word| word.starts_with("http://")).map(ToOwned::to_owned)
        });
        let target = format!("http={}", url.unwrap());
        let output = desk.run(&["run", "s.toml", "--target", &target]);
        service.kill().unwrap();
        service.wait().unwrap();
        if refused {
            assert_eq!(output.status.code(), Some(1), "{}", told(&output));
            assert!(told(&output).contains("squall serve --faults"), "{}", told(&output));
            assert!(!desk.path("results").exists());
        } else {
            assert!(matches!(output.status.code(), Some(0 | 12)), "{}", told(&output));
            let events = events(&desk.only_run());
            assert!(events.contains(",fault_on,brake,\"planned"), "{events}");
        }
    }
}
