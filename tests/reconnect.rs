//! Squall's own pauses, through the built binary against peers with a script: what follows the end of a connection, whose waiting it
//! is, and what a device announces.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::support::BUNDLED;
use squall::clock::{Monotonic, Tick};
use squall::engine::Control;
use squall::protocol::Endpoint;
use squall::record::{Judgement, Kind, Outcome, Protocol};
use squall::results::{Figures, Millis, load_manifest, read_summary};

use crate::peer::{Farewell, Peer, Script};
use crate::support::{drive, plan};

/// What a run left.
struct Run {
    _folder: tempfile::TempDir,
    directory: PathBuf,
}

impl Run {
    /// A run of `fleets` for `seconds`, at these peers.
    fn of(seconds: u32, fleets: &str, targets: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pauses.toml");
        let text = format!(
            "[scenario]\nname = \"pauses\"\n[run]\nwarm_up = \"0s\"\ndrain = \"20s\"\ninterval = \"500ms\"\nconnect_rate = \"1000/s\"\n\
             connect_timeout = \"20s\"\n[[phase]]\nname = \"whole\"\nduration = \"{seconds}s\"\n{fleets}"
        );
        std::fs::write(&path, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_squall"))
            .current_dir(folder.path())
            .args(["run", "pauses.toml", "--quiet"])
            .args(targets.iter().flat_map(|target| ["--target", target]))
            .output()
            .unwrap();
        let only = |path: &Path| std::fs::read_dir(path).ok()?.next()?.ok().map(|entry| entry.path());
        let directory = only(&folder.path().join("results")).and_then(|path| only(&path));
        let directory = directory.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        Self { _folder: folder, directory }
    }

    /// The figures of a fleet, over all phases that it has rows in.
    fn figures(&self, fleet: &str, kind: &str) -> Vec<Figures> {
        let rows = read_summary(&self.directory).unwrap();
        rows.into_iter().filter(|row| row.fleet == fleet && row.kind == kind).map(|row| row.figures).collect()
    }

    fn readings(&self, fleet: &str) -> Figures {
        let mut rows = self.figures(fleet, "reading");
        assert_eq!(rows.len(), 1, "{fleet} has readings in one phase");
        rows.remove(0)
    }

    fn connects(&self, fleet: &str) -> u64 {
        self.figures(fleet, "connect").iter().map(|figures| figures.planned).sum()
    }

    /// What a column of the intervals adds up to for the readings of a fleet.
    fn interval_sum(&self, fleet: &str, column: &str) -> u64 {
        let mut table = csv::Reader::from_path(self.directory.join("intervals.csv")).unwrap();
        let rows = table.deserialize::<BTreeMap<String, String>>().map(Result::unwrap);
        let own = rows.filter(|row| row["fleet"] == fleet && row["kind"] == "reading");
        own.map(|row| row[column].parse::<u64>().unwrap()).sum()
    }

    /// When everything had ended, seconds since the run began.
    fn ended_s(&self) -> f64 {
        let mut table = csv::Reader::from_path(self.directory.join("events.csv")).unwrap();
        let mut rows = table.deserialize::<BTreeMap<String, String>>().map(Result::unwrap);
        rows.find(|row| row["event"] == "end").expect("an end")["t_s"].parse().unwrap()
    }

    /// What the run says of pauses.
    fn pauses(&self) -> (Judgement, Vec<String>) {
        let validity = load_manifest(&self.directory).unwrap().validity.unwrap();
        let told = validity.reasons.into_iter().filter(|reason| reason.contains("reconnect pauses"));
        (validity.verdict, told.collect())
    }
}

/// A fleet for each protocol, named after it, whose readings a scripted peer closes.
fn fleets(devices: u32, rate: &str, more: &str) -> String {
    let fleet = |protocol: &str, close: &str| {
        format!(
            "[fleet.{protocol}]\nprotocol = \"{protocol}\"\ndevices = {devices}\nrate = \"{rate}\"\narrival = {{ jitter = 0 }}\n\
             timeout = \"60s\"\nbacklog = 4096\n{close}\n{more}\n"
        )
    };
    fleet("http", "")
        + &fleet("ws", "close = \"reply\"\nws = { correlate = \"order\" }")
        + &fleet("mqtt", "close = \"ack\"")
}

/// A peer for each protocol with this script, and what to call them by.
fn peers(script: Script) -> (Vec<Peer>, Vec<String>) {
    let peers: Vec<Peer> = BUNDLED.iter().map(|protocol| Peer::start(*protocol, script)).collect();
    let targets = BUNDLED.iter().zip(&peers).map(|(protocol, peer)| peer.target(*protocol));
    let targets = targets.collect();
    (peers, targets)
}

fn ms(time: Option<Millis>) -> f64 {
    time.map_or(0.0, |time| time.as_ns() as f64 / 1e6)
}

/// Devices that report more seldom than the peer keeps an idle connection. A pause would last for longer than the run.
#[test]
fn a_sender_whose_idle_connection_is_closed_connects_again_when_it_has_something_to_say() {
    const DEVICES: u64 = 10;
    let idle = Script { idle: Some(Duration::from_millis(200)), ..Script::ANSWER };
    for (what, script) in [
        ("closed when idle", idle),
        ("reset when idle", Script { farewell: Farewell::Reset, ..idle }),
        ("closed after every reading", Script { most: Some(1), ..Script::ANSWER }),
    ] {
        let fleets =
            fleets(DEVICES as u32, "1/s", "backoff = { first = \"40s\", max = \"40s\", jitter = 0 }");
        // A machine that stands still may have a reading and the end of its connection cross: that is what happened then.
        let crossed = |run: &Run| {
            BUNDLED.iter().any(|protocol| {
                let figures = run.readings(protocol.name());
                figures.error_closed + figures.error_reset > 0
            })
        };
        let mut runs = (0..4).map(|_| {
            let (peers, targets) = peers(script);
            (Run::of(5, &fleets, &targets), peers)
        });
        let (run, peers) =
            runs.find(|(run, _)| !crossed(run)).expect("no reading crosses the end of its connection");
        for (protocol, peer) in BUNDLED.iter().zip(&peers) {
            let (name, figures) = (protocol.name(), run.readings(protocol.name()));
            assert!(figures.planned >= 4 * DEVICES, "{name} {what}: {figures:?}");
            assert_eq!(figures.ok, figures.planned, "{name} {what}: {figures:?}");
            assert!(peer.readings() >= figures.planned, "{name} {what}: {}", peer.readings());
            assert_eq!(run.interval_sum(name, "ok"), figures.planned, "{name} {what}");
            assert!(ms(figures.max_ms) < 10_000.0, "{name} {what}: {figures:?}");
            assert_eq!(figures.own_wait_p99_ms, Some(Millis(0)), "{name} {what}: {figures:?}");
            let connects = run.connects(name);
            assert!(connects > DEVICES, "{name} {what}: its connections are closed");
            assert!(connects <= figures.planned + DEVICES, "{name} {what}: {connects} {figures:?}");
        }
        assert_eq!(run.pauses().1, Vec::<String>::new(), "{what}");
    }
}

#[test]
fn a_device_that_is_kicked_out_in_mid_use_pauses_and_the_pause_is_its_own() {
    const DEVICES: u64 = 4;
    for farewell in [Farewell::Orderly, Farewell::Reset] {
        let script = Script { most: Some(4), answers_last: false, farewell, ..Script::ANSWER };
        let (_peers, targets) = peers(script);
        let backoff = "backoff = { first = \"1s\", max = \"8s\", jitter = 0 }\nin_flight = 1";
        let fleets = fleets(DEVICES as u32, "10/s", backoff).replacen("in_flight = 1", "", 1);
        let run = Run::of(3, &fleets, &targets);
        for protocol in BUNDLED {
            let (name, figures) = (protocol.name(), run.readings(protocol.name()));
            assert!(figures.ok > 0 && figures.error_closed + figures.error_reset > 0, "{name}: {figures:?}");
            let connects = run.connects(name);
            assert!(connects > DEVICES, "{name} {farewell:?}: {connects}");
            // A second lies between any two; without the pause all would be over in three.
            let most = DEVICES as f64 * (run.ended_s() + 1.0);
            assert!(connects as f64 <= most, "{name} {farewell:?}: {connects}, {most}");
            let (own, service, all) = (
                ms(figures.own_wait_p99_ms),
                ms(figures.service_wait_p99_ms),
                ms(figures.backlog_wait_p99_ms),
            );
            assert!(own >= 900.0 && all >= own * 0.99, "{name} {farewell:?}: {own} of {all} ms");
            assert!(service < own, "{name} {farewell:?}: {service} ms, own {own} ms");
        }
        let (verdict, told) = run.pauses();
        assert!(verdict >= Judgement::Suspect, "{verdict}");
        for protocol in BUNDLED {
            let named = format!("of fleet {protocol} ");
            let told = |reason: &String| reason.contains(&named) && reason.contains("(first = 1s)");
            assert!(run.pauses().1.iter().any(told), "{protocol}: {:?}", run.pauses().1);
        }
        assert_eq!(told.len(), 3, "{told:?}");
    }
}

#[test]
fn a_listener_pauses_for_longer_while_it_hears_nothing() {
    const DEVICES: u64 = 3;
    let subscribers = format!(
        "[fleet.sender]\nprotocol = \"http\"\ndevices = 1\nrate = \"5/s\"\n\
         [fleet.listener]\nprotocol = \"mqtt\"\ndevices = {DEVICES}\nmodel = \"subscriber\"\n\
         mqtt = {{ subscribe = \"all\", keep_alive = \"0s\" }}\nbackoff = {{ first = \"200ms\", max = \"30s\", jitter = 0 }}\n"
    );
    let connects = |greets: bool| {
        let idle = Some(Duration::from_millis(100));
        let broker = Peer::start(Protocol::named("mqtt"), Script { idle, greets, ..Script::ANSWER });
        let sender = Peer::start(Protocol::named("http"), Script::ANSWER);
        let targets = [broker.target(Protocol::named("mqtt")), sender.target(Protocol::named("http"))];
        let run = Run::of(7, &subscribers, &targets);
        assert_eq!(run.connects("listener"), broker.connections().min(run.connects("listener")));
        run.connects("listener")
    };
    let (deaf, hearing) = (connects(false), connects(true));
    // 0.2, 0.4, 0.8, 1.6 and 3.2 s, and a sixth pause that is longer than the rest of the run.
    assert!(deaf > DEVICES && deaf <= DEVICES * 7, "{deaf}");
    assert!(
        hearing > deaf,
        "whoever hears something is not away for long: {hearing}, and {deaf} that do not"
    );
}

#[test]
fn a_door_that_is_shut_at_once_is_not_stormed() {
    const DEVICES: u64 = 3;
    let peer = Peer::start(Protocol::named("http"), Script { shut: true, ..Script::ANSWER });
    let fleet = format!(
        "[fleet.http]\nprotocol = \"http\"\ndevices = {DEVICES}\nrate = \"20/s\"\nbacklog = 4096\n\
         backoff = {{ first = \"500ms\", max = \"30s\", jitter = 0 }}\n"
    );
    let run = Run::of(3, &fleet, &[peer.target(Protocol::named("http"))]);
    let connects = run.connects("http");
    // Three seconds and a drain of twenty hold 0.5, 1, 2, 4 and 8 s; the first connection may end before anything is due.
    assert!(connects > DEVICES && connects <= DEVICES * 8, "{connects}");
    assert_eq!(run.readings("http").ok, 0);
}

#[test]
fn an_mqtt_device_announces_the_keep_alive_it_was_given() {
    let broker = Peer::start(Protocol::named("mqtt"), Script::ANSWER);
    let periods = [("a", "30s", 30), ("b", "0s", 0), ("c", "1s", 1), ("d", "7s", 7), ("e", "65535s", 65_535)];
    let fleet = |(name, period, _): &(&str, &str, u16)| {
        format!(
            "[fleet.{name}]\nprotocol = \"mqtt\"\ndevices = 1\nrate = \"5/s\"\nclose = \"ack\"\nmqtt = {{ keep_alive = \"{period}\" }}\n"
        )
    };
    let usual = "[fleet.f]\nprotocol = \"mqtt\"\ndevices = 1\nrate = \"5/s\"\nclose = \"ack\"\n";
    let fleets: String = periods.iter().map(fleet).collect::<String>() + usual;
    Run::of(1, &fleets, &[broker.target(Protocol::named("mqtt"))]);
    let connects = broker.seen.connects.lock().unwrap();
    let announced: BTreeMap<char, u16> = connects
        .iter()
        .map(|body| {
            // Protocol name, level and flags take eight bytes; after the keep-alive comes the client identifier.
            assert_eq!(&body[..7], b"\x00\x04MQTT\x04");
            (char::from(body[12]), u16::from_be_bytes([body[8], body[9]]))
        })
        .collect();
    let mut expected: BTreeMap<char, u16> =
        periods.iter().map(|(name, _, seconds)| (name.chars().next().unwrap(), *seconds)).collect();
    expected.insert('f', 30);
    assert_eq!(announced, expected);
}

/// Nobody answers at first: pauses are the service's until the first device is back, and ours from then on.
#[test]
fn pauses_after_refused_attempts_are_the_services_until_the_fleet_is_back() {
    let plan = plan(
        r#"
        [scenario]
        name = "refused"
        [run]
        warm_up = "0s"
        drain = "60s"
        connect_rate = "1000/s"
        [[phase]]
        name = "whole"
        duration = "5s"
        [fleet.meters]
        protocol = "http"
        devices = 20
        rate = "2/s"
        timeout = "60s"
        backlog = 4096
        backoff = { first = "400ms", max = "60s", jitter = 0.8 }
        "#,
    );
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = Endpoint::resolve(Protocol::named("http"), &format!("http://{addr}/")).unwrap();
    let late = thread::spawn(move || {
        thread::sleep(Duration::from_secs(3));
        Peer::start_at(addr, Protocol::named("http"), Script::ANSWER)
    });
    let (_, book) = drive(&plan, vec![endpoint], 1, Monotonic::start(), &Control::new());
    late.join().unwrap();
    let connects = || book.samples.iter().filter(|sample| sample.kind == Kind::Connect);
    assert!(connects().any(|sample| sample.outcome != Outcome::Ok), "nobody answers at first");
    let back: Tick = connects().filter(|s| s.outcome == Outcome::Ok).map(|s| s.completed).min().unwrap();
    let (mut own, mut service) = (0, 0);
    for sample in book.readings() {
        let after = sample.completed.since(back);
        assert!(sample.own_wait_ns <= after, "{after} ns after the first was back: {sample:?}");
        assert_eq!(sample.plan_wait_ns, 0);
        let wait = sample.backlog_wait_ns().unwrap();
        assert_eq!(sample.own_wait_ns + sample.service_wait_ns().unwrap(), wait, "{sample:?}");
        own += u64::from(sample.own_wait_ns > 0);
        service += u64::from(sample.intended < back && sample.service_wait_ns() >= Some(1_000_000));
    }
    assert!(own > 0 && service > 0, "{own} readings waited by our own rule and {service} for the service");
}
