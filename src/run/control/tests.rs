//! The control of faults at work: real shell commands, a small control API, and clients at its socket.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::clock::{Course, Tick};
use crate::fault::{Command, Effect, Schedule, ServiceFault};
use crate::protocol::Endpoint;
use crate::record::{FaultId, PhaseInfo, PhaseRole, Protocol, RunToken, SwitchEvent};
use crate::units::Span;

const MS: u64 = 1_000_000;

/// A run's surroundings.
struct Fixture {
    folder: TempDir,
    /// Where its door is.
    place: TempDir,
    clock: Monotonic,
    layout: Arc<Layout>,
    control: Control,
    switches: SwitchLog,
    shown: Arc<Mutex<Vec<String>>>,
}

/// Phases of these names, each until so many milliseconds.
fn layout(phases: &[(&str, u64)]) -> Arc<Layout> {
    let mut start = Tick::ZERO;
    let phases = phases.iter().map(|(name, until)| {
        let end = Tick(until * MS);
        let role = PhaseRole::Measured;
        PhaseInfo { name: (*name).into(), role, start: std::mem::replace(&mut start, end), end }
    });
    let phases = phases.collect();
    Arc::new(Layout {
        phases,
        fleets: Vec::new(),
        interval_ns: MS,
        faults: Vec::new(),
        course: Course::default(),
    })
}

impl Fixture {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            place: tempfile::tempdir().unwrap(),
            clock: Monotonic::start(),
            layout: layout(&[("whole", 60_000)]),
            control: Control::new(),
            switches: SwitchLog::default(),
            shown: Arc::default(),
        }
    }

    fn operator(&self, faults: Vec<Fault>, service: Option<FaultClient>) -> ControlThread {
        let shown = Arc::clone(&self.shown);
        ControlThread::start(Config {
            leads: true,
            faults: faults.into_iter().map(Arc::new).collect(),
            seed: Seed(1),
            clock: self.clock,
            is_shard: false,
            layout: Arc::clone(&self.layout),
            control: self.control.clone(),
            switches: self.switches.clone(),
            run_id: "a-run".into(),
            scenario: "s".into(),
            directory: self.folder.path().to_owned(),
            privacy: Privacy::default(),
            service,
            places: vec![self.place.path().to_owned()],
            screen: Box::new(move |text| shown.lock().unwrap().push(text.to_owned())),
        })
        .unwrap()
    }

    /// `text` with the folder in place of `@`.
    fn script(&self, text: &str) -> String {
        text.replace('@', &self.folder.path().display().to_string())
    }

    fn exec(&self, begin: &str, end: Option<&str>, start_ms: Option<u64>, length_ms: u64) -> Fault {
        let command = Command {
            begin: self.script(begin).into(),
            end: end.map(|end| self.script(end).into()),
            timeout: Span::from_ms(60_000),
        };
        fault("pause", Effect::Command(command), start_ms, length_ms)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    fn wait_for(&self, name: &str) {
        wait_until(name, || self.folder.path().join(name).exists());
    }

    fn switches(&self) -> Vec<SwitchEvent> {
        self.switches.take_before(Tick::FAR)
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap().join("\n")
    }

    fn client(&self) -> BufReader<UnixStream> {
        let place = [self.place.path().to_owned()];
        let mut open = Vec::new();
        wait_until("the door", || {
            open = listener::connect_all(&place);
            !open.is_empty()
        });
        let stream = open.remove(0);
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        BufReader::new(stream)
    }
}

fn fault(name: &str, effect: Effect, start_ms: Option<u64>, length_ms: u64) -> Fault {
    let schedule = start_ms.map(|start| Schedule {
        start: Tick(start * MS),
        duration_ns: length_ms * MS,
        every_ns: 0,
        times: 1,
    });
    Fault {
        name: name.into(),
        kind: "a-kind",
        schedule,
        fleets: Vec::new(),
        share: 1.0,
        ramp_ns: 0,
        new_only: false,
        effect,
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{what} did not come about");
}

/// Occurrence, on, when the plan wanted it in milliseconds, and the remark.
fn told(switches: &[SwitchEvent]) -> Vec<(u32, bool, Option<u64>, Option<&str>)> {
    let told = |switch: &SwitchEvent| {
        assert_eq!((switch.fault, switch.devices), (FaultId(0), 0));
        (switch.occurrence, switch.on, switch.planned.map(|at| at.0 / MS))
    };
    switches.iter().map(told).zip(switches).map(|((a, b, c), s)| (a, b, c, s.remark.as_deref())).collect()
}

fn ask(client: &mut BufReader<UnixStream>, line: &str) -> protocol::Reply {
    client.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    let mut reply = String::new();
    client.read_line(&mut reply).unwrap();
    serde_json::from_str(&reply).unwrap_or_else(|error| panic!("{error}: {reply:?}"))
}

#[test]
fn a_command_begins_and_ends_at_its_instants_and_knows_where_it_is() {
    let fixture = Fixture::new();
    let begin = "echo one; echo $SQUALL_RUN_DIR $SQUALL_FAULT $SQUALL_TURN >&2";
    let pause = fixture.exec(begin, Some("touch @/ended"), Some(50), 100);
    let operator = fixture.operator(vec![pause], None);
    fixture.wait_for("ended");
    assert_eq!(operator.finish(), Summary::default());
    let folder = fixture.folder.path().display();
    let said = format!("{folder} pause 0");
    let switches = fixture.switches();
    let remark = format!("begin: {said}");
    assert_eq!(told(&switches), [(0, true, Some(50), Some(&*remark)), (0, false, Some(150), None)]);
    assert!(switches[0].at >= Tick(50 * MS) && switches[1].at >= Tick(150 * MS), "{switches:?}");
    assert_eq!(fixture.read("commands/pause-0-begin.log"), format!("one\n{said}\n"));
    assert_eq!(fixture.read("commands/pause-0-end.log"), "");
}

#[test]
fn what_is_on_at_the_end_of_the_run_is_undone_also_after_a_panic() {
    for panics in [false, true] {
        let fixture = Fixture::new();
        let pause = fixture.exec("touch @/begun", Some("touch @/ended"), Some(0), 30_000);
        let operator = fixture.operator(vec![pause], None);
        fixture.wait_for("begun");
        if panics {
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let _operator = operator;
                panic!("as a worker might");
            }));
            assert!(caught.is_err());
        } else {
            operator.finish();
        }
        assert!(fixture.folder.path().join("ended").exists());
        let switches = fixture.switches();
        assert_eq!(
            told(&switches),
            [(0, true, Some(0), None), (0, false, Some(30_000), Some("the run ended"))]
        );
        assert_eq!(fs::read_dir(fixture.place.path()).unwrap().count(), 0, "the door is still there");
    }
}

#[test]
fn an_interrupt_undoes_at_once_and_nothing_begins_any_more() {
    let in_time = || {
        let fixture = Fixture::new();
        let first = fixture.exec("touch @/begun", Some("touch @/ended"), Some(0), 30_000);
        let later = Fault { name: "later".into(), ..fixture.exec("touch @/later", None, Some(2_000), 10) };
        let operator = fixture.operator(vec![first, later], None);
        fixture.wait_for("begun");
        fixture.control.give(Order::Finish);
        // A machine that stood still may have let the other begin before the order.
        let in_time = fixture.clock.now() < Tick(1_500 * MS);
        fixture.wait_for("ended");
        while fixture.clock.now() < Tick(2_100 * MS) {
            thread::sleep(Duration::from_millis(20));
        }
        operator.finish();
        assert!(!in_time || !fixture.folder.path().join("later").exists());
        in_time
    };
    assert!((0..10).any(|_| in_time()), "the first begins too late");
}

#[test]
fn a_second_interrupt_cuts_what_begins_and_leaves_nothing_undone() {
    let fixture = Fixture::new();
    let pause = fixture.exec("touch @/begun; sleep 50", Some("touch @/ended"), Some(0), 30_000);
    let operator = fixture.operator(vec![pause], None);
    fixture.wait_for("begun");
    fixture.control.give(Order::Finish);
    fixture.control.give(Order::Abort);
    let account = operator.finish();
    assert!(fixture.folder.path().join("ended").exists());
    assert!(account.troubles[0].ends_with("begin: killed, because the run was cut off"), "{account:?}");
    // With the switch that it was part of, or with the next one if that was logged by then.
    let remarks: Vec<String> = fixture.switches().into_iter().filter_map(|switch| switch.remark).collect();
    assert!(remarks.join("; ").contains("begin: killed, because the run was cut off"), "{remarks:?}");
}

#[test]
fn a_command_that_fails_is_shown_logged_and_listed_and_its_end_runs() {
    let fixture = Fixture::new();
    let pause = fixture.exec("echo no such pod; exit 3", Some("touch @/ended; kill -9 $$"), Some(0), 10);
    let operator = fixture.operator(vec![pause], None);
    wait_until("the end", || fixture.shown().contains("signal"));
    let account = operator.finish();
    assert!(fixture.folder.path().join("ended").exists());
    let switches = fixture.switches();
    assert_eq!(
        told(&switches),
        [
            (0, true, Some(0), Some("begin: exit status: 3: no such pod")),
            (0, false, Some(10), Some("end: signal: 9 (SIGKILL)"))
        ]
    );
    assert_eq!(account.troubles.len(), 2);
    assert!(account.list().unwrap().contains("fault `pause` at "), "{:?}", account.list());
    assert!(account.list().unwrap().contains("exit status: 3: no such pod"), "{:?}", account.list());
    assert_eq!(fixture.shown().lines().count(), 2, "{}", fixture.shown());
}

#[test]
fn what_takes_too_long_is_killed_with_all_it_started_and_then_ended() {
    let fixture = Fixture::new();
    // Whatever survived would keep its end of the pipe open, and write into it.
    let begin = "mkfifo @/pipe; (echo begun > @/pipe; sleep 50; touch @/survived) & cat @/pipe; sleep 50";
    let mut pause = fixture.exec(begin, Some("touch @/ended"), Some(0), 10);
    if let Effect::Command(command) = &mut pause.effect {
        // Time enough to begin, also where the machine stands still.
        command.timeout = Span::from_ms(4_000);
    }
    let operator = fixture.operator(vec![pause], None);
    fixture.wait_for("ended");
    operator.finish();
    let switches = fixture.switches();
    assert_eq!(switches[0].remark, None);
    assert_eq!(switches[1].remark.as_deref(), Some("begin: killed after 4s: begun"));
    assert!(switches[1].at >= Tick(4_000 * MS));
    // Had the group lived on, the shell's own children would still be of it.
    let mine = |status: &str| status.contains(&fixture.folder.path().display().to_string());
    let lives = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .any(|process| fs::read_to_string(process.path().join("cmdline")).is_ok_and(|line| mine(&line)));
    assert!(!lives);
}

#[test]
fn a_phase_that_is_ended_takes_its_faults_with_it_and_brings_later_ones_earlier() {
    let fixture = Fixture { layout: layout(&[("long", 50_000), ("last", 60_000)]), ..Fixture::new() };
    let pause = fixture.exec("touch @/begun", Some("touch @/ended"), Some(0), 30_000);
    let never = Fault { name: "never".into(), ..fixture.exec("touch @/never", None, Some(40_000), 100) };
    let later = Fault { name: "later".into(), ..fixture.exec("touch @/later", None, Some(50_100), 100) };
    let operator = fixture.operator(vec![pause, never, later], None);
    fixture.wait_for("begun");
    let mut client = fixture.client();
    let mut hears = fixture.control.subscribe();
    hears.mark_unchanged();
    let ended = ask(&mut client, r#"{"operation":"end-phase"}"#).phase.unwrap();
    assert_eq!((ended.name.as_str(), ended.next.as_deref()), ("long", Some("last")));
    assert!((ended.at_s + ended.left_out_s - 50.0).abs() < 1e-6, "{ended:?}");
    assert!(hears.has_changed().unwrap(), "workers are told to look");
    assert!(ask(&mut client, r#"{"operation":"end-phase"}"#).error.is_some());
    // All that follows comes within ten seconds of it, and not after fifty.
    fixture.wait_for("later");
    assert!(fixture.clock.now() < Tick(45_000 * MS));
    operator.finish();
    assert!(fixture.folder.path().join("ended").exists() && !fixture.folder.path().join("never").exists());
    let at = |s: f64| Tick((s * 1e3).round() as u64 * MS);
    let switches: Vec<_> =
        fixture.switches().iter().map(|one| (one.fault.0, one.on, one.planned.unwrap())).collect();
    let later = at(ended.at_s).plus_ns(100 * MS);
    assert_eq!(switches[..3], [(0, true, Tick::ZERO), (0, false, at(ended.at_s)), (2, true, later)]);
    assert!(fixture.shown().contains("by hand: phase `long` ends at"), "{}", fixture.shown());
}

#[test]
fn a_command_that_leaves_something_running_is_over_all_the_same() {
    let fixture = Fixture::new();
    let begin = "sleep 600 & echo $! > @/pid; echo left";
    let pause = fixture.exec(begin, Some("kill $(cat @/pid); touch @/ended"), Some(0), 10);
    let operator = fixture.operator(vec![pause], None);
    fixture.wait_for("ended");
    assert_eq!(operator.finish(), Summary::default());
    assert_eq!(fixture.switches()[0].remark.as_deref(), Some("begin: left"));
    assert!(fixture.clock.now() < Tick(500_000 * MS));
}

/// A control API that answers with these, one after the other, each on the first connection; and what it was asked.
fn control_api(
    answers: Vec<(&'static str, &'static str)>,
) -> (FaultClient, JoinHandle<Vec<serde_json::Value>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/readings", listener.local_addr().unwrap());
    let server =
        FaultClient::at(&Endpoint::resolve(Protocol::named("http"), &url).unwrap(), RunToken::UNSET).unwrap();
    let serving = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = BufReader::new(stream);
        let mut asked = Vec::new();
        for (status, body) in answers {
            let mut length = 0;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                if let Some(value) = line.strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
            }
            let mut request = vec![0; length];
            stream.read_exact(&mut request).unwrap();
            asked.push(serde_json::from_slice(&request).unwrap());
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
        asked
    });
    (server, serving)
}

fn slow() -> Fault {
    fault("brake", Effect::Service(ServiceFault::Slow { factor: 4.0 }), Some(20), 30)
}

#[test]
fn a_service_fault_is_started_and_stopped_over_the_control_api() {
    let fixture = Fixture::new();
    let (server, api) = control_api(vec![("200 OK", "{}"), ("200 OK", r#"{"acted":12}"#)]);
    let operator = fixture.operator(vec![slow()], Some(server));
    let asked = api.join().unwrap();
    assert_eq!(operator.finish(), Summary::default());
    assert_eq!((&asked[0]["operation"], &asked[0]["name"]), (&"start".into(), &"brake".into()));
    assert_eq!((&asked[0]["kind"], &asked[0]["factor"]), (&"slow".into(), &4.0.into()));
    let for_ms = asked[0]["for_ms"].as_u64().unwrap();
    assert!((60_000..=60_030).contains(&for_ms), "{for_ms}");
    assert_eq!(asked[1], serde_json::json!({"operation": "stop", "name": "brake"}));
    let switches = fixture.switches();
    assert_eq!(told(&switches), [(0, true, Some(20), None), (0, false, Some(50), None)]);
    assert_eq!((switches[0].acted, switches[1].acted), (0, 12));
}

#[test]
fn a_service_that_will_not_be_stopped_at_first_is_asked_again() {
    let fixture = Fixture::new();
    let no = ("503 Service Unavailable", r#"{"error":"busy"}"#);
    let (server, api) = control_api(vec![no, no, no, ("200 OK", r#"{"acted":1}"#)]);
    let operator = fixture.operator(vec![slow()], Some(server));
    assert_eq!(api.join().unwrap().len(), 4);
    let account = operator.finish();
    assert_eq!(account.troubles.len(), 1);
    let switches = fixture.switches();
    assert_eq!(switches[0].remark.as_deref(), Some("cannot be started: 503 Service Unavailable: busy"));
    assert_eq!((switches[1].remark.as_deref(), switches[1].acted), (None, 1));
}

#[test]
fn a_service_that_is_gone_ends_no_run() {
    let fixture = Fixture::new();
    let (server, api) = control_api(vec![("200 OK", "{}")]);
    let operator = fixture.operator(vec![slow()], Some(server));
    api.join().unwrap();
    wait_until("the trouble", || fixture.shown().contains("cannot be stopped"));
    let account = operator.finish();
    assert!(account.list().unwrap().contains("the service ends it by itself"), "{:?}", account.list());
    assert_eq!(fixture.switches().len(), 2);
}

#[test]
fn people_switch_faults_while_the_run_is_on() {
    let fixture = Fixture::new();
    let pause = fixture.exec("echo frozen", Some("touch @/ended"), None, 0);
    let partition = fault("cut", Effect::Network(Vec::new()), Some(50_000), 1_000);
    let operator = fixture.operator(vec![pause, partition], None);
    let mut client = fixture.client();
    let list = ask(&mut client, r#"{"operation":"list"}"#);
    assert_eq!((list.run.id.as_str(), list.faults.len()), ("a-run", 2));
    assert!(list.faults.iter().all(|fault| !fault.on));
    assert_eq!(list.faults[1].next_start_s, Some(50.0));

    let started = ask(&mut client, r#"{"operation":"start","fault":"pause"}"#);
    let expected = |fault: &str, on: bool, remark: Option<&str>| protocol::SwitchResult {
        fault: fault.into(),
        on,
        well: Some(true),
        remark: remark.map(ToOwned::to_owned),
    };
    assert_eq!(started.switched, [expected("pause", true, Some("begin: frozen"))]);
    let again = ask(&mut client, r#"{"operation":"start","fault":"pause"}"#);
    assert!(again.error.unwrap().contains("already on, by hand"));
    let started = ask(&mut client, r#"{"operation":"start","fault":"cut","for_ns":30000000000}"#);
    assert_eq!(started.switched, [expected("cut", true, None)]);
    let list = ask(&mut client, r#"{"operation":"list"}"#);
    assert!(list.faults.iter().all(|fault| fault.on && fault.by_hand));
    assert!(list.faults[1].until_s.is_some_and(|until| until > 30.0));

    let stopped = ask(&mut client, r#"{"operation":"stop-all"}"#);
    assert_eq!(stopped.switched, [expected("pause", false, None), expected("cut", false, None)]);
    assert!(fixture.folder.path().join("ended").exists());
    assert!(
        ask(&mut client, r#"{"operation":"stop","fault":"pause"}"#).error.unwrap().contains("already off")
    );
    assert!(ask(&mut client, r#"{"operation":"stop","fault":"x"}"#).error.unwrap().contains("no fault `x`"));
    assert!(ask(&mut client, "rubbish").error.unwrap().starts_with("not a request"));

    assert_eq!(operator.finish().by_hand, 4);
    let switches = fixture.switches();
    let pause: Vec<SwitchEvent> = switches.into_iter().filter(|switch| switch.fault == FaultId(0)).collect();
    assert_eq!(told(&pause), [(0, true, None, Some("begin: frozen")), (0, false, None, None)]);
    assert!(fixture.shown().contains("by hand: fault `cut` goes on at"), "{}", fixture.shown());
}

#[test]
fn an_activation_by_hand_ends_by_itself_when_its_time_is_over() {
    let fixture = Fixture::new();
    let pause = fixture.exec("true", Some("touch @/ended"), None, 0);
    let operator = fixture.operator(vec![pause], None);
    let mut client = fixture.client();
    ask(&mut client, r#"{"operation":"start","fault":"pause","for_ns":100000000}"#);
    fixture.wait_for("ended");
    assert_eq!(operator.finish().by_hand, 1);
    assert_eq!(told(&fixture.switches()), [(0, true, None, None), (0, false, None, None)]);
}

#[test]
fn a_caller_who_says_too_much_is_sent_away_and_others_are_heard() {
    let fixture = Fixture::new();
    let operator = fixture.operator(vec![fixture.exec("true", None, None, 0)], None);
    // More than are attended to at the same time, and all silent.
    let silent: Vec<_> = (0..CLIENTS - 1).map(|_| fixture.client()).collect();
    let mut loud = fixture.client();
    let reply = ask(&mut loud, &"x".repeat(protocol::REQUEST_BYTES * 2));
    assert!(reply.error.unwrap().contains("at most 4096 bytes"));
    let mut rest = Vec::new();
    let _ = loud.read_to_end(&mut rest);
    assert!(rest.is_empty());
    let mut other = fixture.client();
    assert_eq!(ask(&mut other, r#"{"operation":"list"}"#).faults.len(), 1);
    drop(silent);
    operator.finish();
    let mut gone = String::new();
    assert!(matches!(other.read_line(&mut gone), Ok(0) | Err(_)));
}

#[test]
fn a_run_without_faults_can_be_found_while_it_lasts() {
    let fixture = Fixture::new();
    let operator = fixture.operator(Vec::new(), None);
    wait_until("the run can be found", || fs::read_dir(fixture.place.path()).unwrap().count() == 1);
    assert_eq!(operator.finish(), Summary::default());
    assert_eq!(fs::read_dir(fixture.place.path()).unwrap().count(), 0);
}

#[test]
fn without_a_place_for_its_door_a_run_goes_on_and_says_so() {
    let fixture = Fixture::new();
    fs::remove_dir(fixture.place.path()).unwrap();
    let operator = fixture.operator(vec![fixture.exec("touch @/begun", None, Some(0), 10)], None);
    fixture.wait_for("begun");
    operator.finish();
    let (text, place) = (fixture.shown(), fixture.place.path().display().to_string());
    assert!(text.contains("cannot be switched by hand") && text.contains(&place), "{text}");
}
