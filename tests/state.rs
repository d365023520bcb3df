//! What outlives a crash: verdicts after it are those of a service that never crashed, and alerts are told once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use squall::reference::{Config, Server};
use squall::service::{Cache, CostKind, Inference, Setup, State, Workers};
use squall::units::Span;

use crate::client::{Client, wait_for};
use crate::program::squall;

/// `squall serve`, as a process of its own.
struct Service {
    process: Child,
    http: SocketAddr,
    /// What it said when it started.
    told: String,
}

impl Service {
    fn start(folder: &Path, settings: &[&str]) -> Self {
        let mut arguments = vec!["serve", "--http-port", "0", "--mqtt-port", "0", "--faults"];
        arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        let mut process =
            squall(folder, &arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut told = String::new();
        for line in BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok) {
            told += &(line + "\n");
            if told.ends_with("Ctrl-C stops it.\n") {
                break;
            }
        }
        let Some(url) = told.split_whitespace().find_map(|word| word.strip_prefix("http://")) else {
            let mut error = String::new();
            process.stderr.take().unwrap().read_to_string(&mut error).unwrap();
            panic!("it does not start: {told}{error}");
        };
        let http = url.split('/').next().unwrap().parse().unwrap();
        Self { process, http, told }
    }

    /// kill −9.
    fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end();
    }
}

const DEVICES: u64 = 5;

/// A number that looks drawn by lot.
fn lot(of: u64) -> u64 {
    let mut word = of.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word ^= word >> 29;
    word = word.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word ^ word >> 32
}

/// Reading `nth` of all: devices take turns, each with a level and a noise of its own and a leap now and then.
fn reading(nth: u64) -> Value {
    let (device, seq) = (nth % DEVICES, nth / DEVICES + 1);
    let noise = (lot(nth) % 1_000) as f64 / 1_000.0;
    let leap = if lot(nth + 1_000_000).is_multiple_of(67) { 40.0 } else { 0.0 };
    let value = 10.0 * device as f64 + noise * (device + 1) as f64 + leap;
    json!({"device": format!("m-{device}"), "seq": seq, "value": value, "run": "k3x9q2ab", "intended_ns": nth * 1_000_000})
}

/// The verdicts on readings of these numbers, all but their times.
fn verdicts(client: &mut Client, from: u64, to: u64) -> Vec<Value> {
    let mut found = Vec::new();
    // Together as many as devices: none has two under way.
    for first in (from..to).step_by(DEVICES as usize) {
        let list: Vec<Value> = (first..to.min(first + DEVICES)).map(reading).collect();
        let (status, answers) = client.ask("POST", "/v1/readings", &json!(list).to_string());
        assert_eq!(status, 200, "{answers}");
        for mut verdict in answers.as_array().unwrap().clone() {
            assert_eq!(verdict["type"], "verdict", "{verdict}");
            verdict.as_object_mut().unwrap().remove("stages");
            found.push(verdict);
        }
    }
    found
}

/// That these verdicts are the same; where workers race, but for where their scores came from.
fn assert_same(found: &[Value], expected: &[Value], settings: &[&str], when: &str) {
    let races = settings.iter().any(|setting| setting.starts_with("workers=3") || setting.contains("async"));
    let word = |verdict: &Value| {
        let mut verdict = verdict.clone();
        if races {
            verdict.as_object_mut().unwrap().remove("cache");
        }
        verdict
    };
    assert_eq!(found.len(), expected.len());
    let differ = found.iter().zip(expected).find(|(found, expected)| word(found) != word(expected));
    assert!(differ.is_none(), "{settings:?}, {when}: {differ:?}");
}

fn windows(client: &mut Client) -> Vec<Value> {
    (0..DEVICES).map(|device| client.ask("GET", &format!("/v1/devices/m-{device}"), "").1).collect()
}

#[test]
fn after_kill_9_verdicts_are_those_of_a_service_that_never_crashed() {
    const ALL: &[&str] = &[
        "delivery.idempotent=true",
        "experiment.share=0.5",
        "features.window={length=\"50ms\",kind=\"sliding\",slide=\"10ms\"}",
        "features.stuck=3",
        "alerts.need=2",
        "alerts.of=5",
        "alerts.clear=0.5",
        "alerts.quiet=\"1h\"",
    ];
    for settings in [
        &[][..],
        ALL,
        &["workers=3", "inference.cost=\"20us\"", "cache=64"],
        &["workers.mode=\"async\"", "inference={cost=\"1ms\",labour=\"wait\"}"],
        &["workers=0", "state.journal=\"4KiB\""],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let kept = [settings, &["state.directory=\"state\""]].concat();
        let (steady, crashing) =
            (Service::start(folder.path(), settings), Service::start(folder.path(), &kept));
        assert!(crashing.told.contains("state    0 devices"), "{}", crashing.told);
        let (mut before, mut same) = (Client::new(crashing.http), Client::new(steady.http));
        let mut expected = verdicts(&mut same, 0, 3_000);
        assert_same(&verdicts(&mut before, 0, 2_000), &expected[..2_000], settings, "before");
        let (status, snapshot) = before.ask("POST", "/v1/state/snapshot", "");
        assert_eq!((status, &snapshot["devices"]), (200, &DEVICES.into()), "{snapshot}");
        assert_same(&verdicts(&mut before, 2_000, 3_000), &expected[2_000..], settings, "after a snapshot");
        crashing.kill();
        for killed in 1..=2_u64 {
            let restarted = Service::start(folder.path(), &kept);
            assert!(restarted.told.contains("state    5 devices"), "{}", restarted.told);
            let mut after = Client::new(restarted.http);
            let from = 2_000 + killed * 1_000;
            if settings == ALL {
                let again = verdicts(&mut after, from - DEVICES, from);
                assert!(again.iter().all(|verdict| verdict["duplicate"] == true), "{again:?}");
                let expected = verdicts(&mut same, from - DEVICES, from);
                assert_eq!(again, expected, "repeats get what was said");
                assert_eq!(windows(&mut after), windows(&mut same));
            }
            expected = verdicts(&mut same, from, from + 1_000);
            let found = verdicts(&mut after, from, from + 1_000);
            assert_same(&found, &expected, settings, &format!("killed {killed} times"));
            assert!(expected.iter().any(|verdict| verdict["anomaly"] == true), "something leaps");
            restarted.kill();
        }
    }
}

/// Numbers of the alerts that server-sent events tell after number `after`, up to number `last`.
fn heard(http: SocketAddr, after: Option<u64>, last: u64) -> Vec<u64> {
    let mut stream = TcpStream::connect(http).unwrap();
    let after = after.map_or_else(String::new, |after| format!("Last-Event-ID: {after}\r\n"));
    write!(stream, "GET /v1/alerts/stream?after=0 HTTP/1.1\r\nHost: localhost\r\n{after}\r\n").unwrap();
    let mut ids = Vec::new();
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        assert!(!line.starts_with("event: missed"), "{ids:?}");
        if let Some(id) = line.strip_prefix("id: ") {
            ids.push(id.parse().unwrap());
            if ids.last() == Some(&last) {
                break;
            }
        }
    }
    ids
}

/// Readings of a new device that wobble a little and then leap.
fn leap(client: &mut Client, device: &str) {
    let reading = |n: u64| {
        let value = if n == 39 { 500.0 } else { 20.0 + (n % 3) as f64 * 0.1 };
        json!({"device": device, "seq": n, "value": value})
    };
    let list: Vec<Value> = (0..40).map(reading).collect();
    let (_, verdicts) = client.ask("POST", "/v1/readings", &json!(list).to_string());
    assert_eq!(verdicts[39]["anomaly"], true, "{verdicts}");
}

#[test]
fn who_comes_back_after_a_crash_hears_of_every_alert_once() {
    let folder = tempfile::tempdir().unwrap();
    // A buffer that is shorter than what there is to catch up with.
    let settings = ["state.directory=\"state\"", "alerts.buffer=4"];
    let service = Service::start(folder.path(), &settings);
    let mut client = Client::new(service.http);
    verdicts(&mut client, 0, 4_000);
    let last =
        |client: &mut Client| client.ask("GET", "/v1/alerts?limit=1000", "").1["last"].as_u64().unwrap();
    let first = last(&mut client);
    assert!(first > 20, "{first}");
    // The reader goes away in the middle.
    let mut ids = heard(service.http, None, first / 2);
    service.kill();
    let service = Service::start(folder.path(), &settings);
    let mut client = Client::new(service.http);
    let listener = {
        let (http, after) = (service.http, ids.last().copied());
        std::thread::spawn(move || heard(http, after, first + 10))
    };
    for device in 0..10 {
        leap(&mut client, &format!("n-{device}"));
    }
    wait_for("there are more alerts", || last(&mut client) >= first + 10);
    ids.extend(listener.join().unwrap());
    assert_eq!(ids, (1..=first + 10).collect::<Vec<_>>());
    let (_, page) = client.ask("GET", &format!("/v1/alerts?after={first}&limit=10"), "");
    let polled: Vec<u64> =
        page["alerts"].as_array().unwrap().iter().map(|alert| alert["id"].as_u64().unwrap()).collect();
    assert_eq!(polled, (first + 1..=first + 10).collect::<Vec<_>>());
}

#[test]
fn who_asks_for_alerts_that_are_not_kept_is_told_how_many() {
    let mut setup = Setup::default();
    setup.alerts.history = 3;
    let server = Server::start(&Config { setup, ..Config::default() }).unwrap();
    let mut client = Client::new(server.http_addr());
    verdicts(&mut client, 0, 4_000);
    let (_, all) = client.ask("GET", "/v1/alerts", "");
    let last = all["last"].as_u64().unwrap();
    assert_eq!(
        (&all["forgotten"], all["alerts"].as_array().unwrap().len()),
        (&0.into(), 3),
        "nothing was asked for"
    );
    let (_, page) = client.ask("GET", "/v1/alerts?after=2&wait_ms=60000", "");
    assert_eq!(page["forgotten"], last - 3 - 2);
    let mut stream = TcpStream::connect(server.http_addr()).unwrap();
    write!(stream, "GET /v1/alerts/stream?after=2 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    let told = lines.skip_while(|line| line != "event: missed").nth(1).unwrap();
    assert_eq!(told, format!("data: {{\"count\":{},\"first\":3,\"last\":{}}}", last - 5, last - 3));
    server.stop();
}

fn start(directory: &Path) -> Result<Server, String> {
    let setup = Setup { state: Some(State::at(directory)), ..Setup::default() };
    Server::start(&Config { setup, ..Config::default() }).map_err(|error| error.to_string())
}

#[test]
fn state_that_cannot_be_used_is_refused_by_name_and_a_torn_tail_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("state");
    let server = start(&directory).unwrap();
    verdicts(&mut Client::new(server.http_addr()), 0, 100);
    let twice = start(&directory).unwrap_err();
    assert!(twice.contains("another running instance's"), "{twice}");
    server.stop();
    let file = directory.join("state-00000001.log");
    let whole = std::fs::read(&file).unwrap();
    let torn = whole.len() - 7;
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    for (name, bytes, expected) in [
        ("damaged", damaged.as_slice(), "damaged at byte"),
        ("foreign", b"squall state 9\n", "a state of format 9, where this squall reads format 1"),
        ("no state", b"to be or not to be", "not a state of squall"),
        ("cut", &whole[..20], "cut off before the end of its snapshot"),
        ("empty", b"", "cut off before the end of its snapshot"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let fault = start(&directory).unwrap_err();
        let is_named = fault.contains(&file.display().to_string());
        assert!(is_named && fault.contains(expected) && fault.contains("move "), "{name}: {fault}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "{name}: it is left as it was");
    }
    std::fs::write(&file, &whole[..torn]).unwrap();
    let server = start(&directory).unwrap();
    let restored = Client::new(server.http_addr()).ask("GET", "/v1/state", "").1["restored"].clone();
    assert_eq!((&restored["devices"], &restored["readings"]), (&5.into(), &99.into()), "{restored}");
    assert!(
        restored["dropped_bytes"].as_u64().unwrap() > 0 && server.restored().unwrap().contains("by half")
    );
    server.stop();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let fault = start(&folder.path().join("file")).unwrap_err();
    assert!(fault.contains("file") && fault.contains("name a directory"), "{fault}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_is_said_and_readings_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).unwrap();
    let mut client = Client::new(server.http_addr());
    verdicts(&mut client, 0, 100);
    // The next snapshot finds no room.
    let next = folder.path().join("state-00000002.part");
    std::os::unix::fs::symlink("/dev/full", &next).unwrap();
    let (status, refusal) = client.ask("POST", "/v1/state/snapshot", "");
    assert_eq!(status, 507, "{refusal}");
    verdicts(&mut client, 100, 200);
    let (_, health) = client.ask("GET", "/health", "");
    let reason =
        health["reasons"].as_array().unwrap().iter().find_map(|reason| reason.as_str()).unwrap().to_owned();
    assert!(health["status"] == "degraded" && reason.contains("state-00000002.part"), "{health}");
    assert!(reason.contains("No space left"), "{reason}");
    let (_, metrics) = client.text("GET", "/metrics", "");
    assert!(
        metrics.contains("squall_state_up 0\n") && metrics.contains("squall_state_failures_total 1\n"),
        "{metrics}"
    );
    std::fs::remove_file(&next).unwrap();
    let (status, snapshot) = client.ask("POST", "/v1/state/snapshot", "");
    assert_eq!((status, &snapshot["generation"]), (200, &2.into()), "{snapshot}");
    assert_eq!(client.ask("GET", "/health", "").1["reasons"], json!([]));
    server.stop();
    let restored = start(folder.path()).unwrap().restored().unwrap();
    assert!(restored.starts_with("5 devices, 0 readings"), "{restored}");
}

#[test]
fn a_journal_is_followed_by_a_snapshot_before_it_grows_long() {
    let folder = tempfile::tempdir().unwrap();
    let state = State { journal: 20_000, ..State::at(folder.path()) };
    let setup = Setup { state: Some(state), ..Setup::default() };
    let server = Server::start(&Config { setup, ..Config::default() }).unwrap();
    let mut client = Client::new(server.http_addr());
    verdicts(&mut client, 0, 5_000);
    wait_for("snapshots", || client.ask("GET", "/v1/state", "").1["snapshots"].as_u64() > Some(2));
    server.stop();
    let sizes: u64 =
        std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(sizes < 200_000, "{sizes}");
}

#[test]
fn a_snapshot_is_in_the_audit() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).unwrap();
    let mut client = Client::new(server.http_addr());
    assert_eq!(client.ask("POST", "/v1/state/snapshot", "").0, 200);
    let (_, audit) = client.ask("GET", "/v1/audit", "");
    assert_eq!(audit["actions"][0]["what"], "POST /v1/state/snapshot", "{audit}");
    server.stop();
}

/// A verdict without its times, and without where its score came from.
fn word(mut verdict: Value) -> Value {
    verdict.as_object_mut().unwrap().retain(|key, _| !["stages", "cache"].contains(&key.as_str()));
    verdict
}

/// Noise that leaps at every twentieth reading from the 240th on.
fn leaping(nth: u64) -> Value {
    let value = (lot(nth) % 1_000) as f64 / 1_000.0 + if leaps(nth) { 40.0 } else { 0.0 };
    json!({"device": "m", "seq": nth, "value": value})
}

fn leaps(nth: u64) -> bool {
    nth >= 240 && nth.is_multiple_of(20)
}

/// The verdicts of a service that takes its time, and loses its worker at every leap; and how often a reading was lost with it.
fn verdicts_through_crashes(server: &Server) -> (Vec<Value>, u64) {
    let (mut client, mut control) = (Client::new(server.http_addr()), Client::new(server.http_addr()));
    let (mut sent, mut crashed, mut found) = (0_u64, 0, Vec::new());
    for nth in 0..320 {
        // Each is sent until it has a verdict.
        for attempt in 0.. {
            client.send("POST", "/v1/readings", &leaping(nth).to_string());
            sent += 1;
            if leaps(nth) && attempt == 0 {
                wait_for("the reading is under way", || {
                    let (_, now) = control.ask("GET", "/v1/realtime", "");
                    now["queue"]["depth"] == 0 && now["readings"]["received"] == sent
                });
                let order = r#"{"operation":"start","name":"bang","kind":"crash","workers":1}"#;
                control.ask("POST", "/v1/faults", order);
                control.ask("POST", "/v1/faults", r#"{"operation":"stop","name":"bang"}"#);
            }
            let (_, answer) = client.answer();
            if answer["type"] == "verdict" {
                found.push(word(answer));
                break;
            }
            assert_eq!(answer["reason"], "crashed", "{answer}");
            crashed += 1;
        }
    }
    (found, crashed)
}

#[test]
fn a_reading_that_a_crashed_worker_had_begun_leaves_no_trace() {
    let steady = Server::start(&Config::default()).unwrap();
    let mut client = Client::new(steady.http_addr());
    let expected: Vec<Value> =
        (0..320).map(|nth| word(client.ask("POST", "/v1/readings", &leaping(nth).to_string()).1)).collect();
    steady.stop();
    assert!(expected.iter().any(|verdict| verdict["anomaly"] == true));
    let folder = tempfile::tempdir().unwrap();
    for state in [State::default(), State::at(folder.path())] {
        let setup = Setup {
            workers: Workers { restart: Span::from_ms(5), ..Workers::default() },
            cache: Cache { capacity: 0, single_flight: false, ..Cache::default() },
            inference: Inference { cost: Span::from_ms(20), labour: CostKind::Wait, ..Inference::default() },
            faults: true,
            state: Some(state.clone()),
            ..Setup::default()
        };
        let server = Server::start(&Config { setup, ..Config::default() }).unwrap();
        let (found, crashed) = verdicts_through_crashes(&server);
        server.stop();
        assert!(crashed > 0, "none was lost");
        assert_eq!(found, expected, "{state:?}");
    }
}
