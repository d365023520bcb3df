//! Several instances of the reference system by one command, each a process of its own, behind a front.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use squall::clock::Monotonic;

use crate::program::{Desk, ask, events, signal, told, wait_until};

/// `squall serve --instances N`, and what it said of itself.
struct Instances {
    child: Child,
    _out: BufReader<ChildStdout>,
    front: SocketAddr,
    mqtt: SocketAddr,
    /// Where each instance is, and its process.
    places: Vec<(SocketAddr, u32)>,
}

fn json(address: SocketAddr, path: &str) -> Value {
    let answer = ask(address, "GET", path, "");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// A reading of a device over a connection of its own, which gets its verdict.
fn judge(address: SocketAddr, device: &str, seq: u64, value: f64) {
    let body = format!(r#"{{"device":"{device}","seq":{seq},"value":{value}}}"#);
    let answer = ask(address, "POST", "/v1/readings", &body);
    assert!(answer.contains(r#""type":"verdict""#), "{answer}");
}

/// Readings that wobble a little; the last leaps, and raises an alert.
fn leap(address: SocketAddr, device: &str) {
    for seq in 0..40 {
        judge(address, device, seq, if seq == 39 { 500.0 } else { 20.0 + (seq % 3) as f64 * 0.1 });
    }
}

/// Whether an instance tells the alert of a device that leapt.
fn hears(address: SocketAddr, device: &str) -> bool {
    ask(address, "GET", &format!("/v1/alerts?device={device}"), "").contains(r#""seq":39"#)
}

impl Instances {
    fn start(count: usize, rule: &str, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
        command.args(["serve", "--http-port", "0", "--mqtt-port", "0", "--instances", &count.to_string()]);
        command.args(["--front", rule]).args(more);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (mut front, mut mqtt, mut places) = (None, None, Vec::new());
        for line in out.by_ref_lines() {
            let address =
                line.split_once("http://").and_then(|(_, rest)| rest.split('/').next()?.parse().ok());
            if line.trim_start().starts_with("instance-") {
                let process = line.rsplit_once(' ').unwrap().1.parse().unwrap();
                places.push((address.unwrap(), process));
            }
            front = front.or(address);
            mqtt = mqtt.or_else(|| line.split_once("mqtt://")?.1.parse().ok());
        }
        assert_eq!(places.len(), count);
        Self { child, _out: out, front: front.unwrap(), mqtt: mqtt.unwrap(), places }
    }

    /// Gives an order about faults to the front.
    fn order(&self, order: &str) -> Value {
        let answer = ask(self.front, "POST", "/v1/faults", order);
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    /// Devices that have a state, added up over all instances.
    fn states(&self) -> u64 {
        self.places.iter().map(|(http, _)| json(*http, "/v1/realtime")["devices"].as_u64().unwrap()).sum()
    }
}

trait Lines {
    fn by_ref_lines(&mut self) -> Vec<String>;
}

impl Lines for BufReader<ChildStdout> {
    /// What is said up to the last line of a service that has started.
    fn by_ref_lines(&mut self) -> Vec<String> {
        self.lines().map(Result::unwrap).take_while(|line| !line.starts_with("Ctrl-C")).collect()
    }
}

impl Drop for Instances {
    fn drop(&mut self) {
        signal(self.child.id(), "TERM");
        let _ = self.child.wait();
    }
}

/// Where readings of `devices`, each after the other and all of it twice, go in turn: which instances each device meets.
fn in_turn(devices: usize, instances: usize) -> BTreeMap<usize, Vec<usize>> {
    let mut met: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for reading in 0..2 * devices {
        met.entry(reading % devices).or_default().push(reading % instances);
    }
    met
}

#[test]
fn devices_that_are_not_kept_to_an_instance_begin_anew_and_are_counted() {
    const DEVICES: usize = 5;
    for (rule, is_sticky) in [("round-robin", false), ("sticky", true)] {
        let service = Instances::start(2, rule, &[]);
        for reading in 0..2 * DEVICES {
            judge(service.front, &format!("m-{}", reading % DEVICES), (reading / DEVICES) as u64, 20.0);
        }
        let met = in_turn(DEVICES, 2);
        let moved = met.values().filter(|met| met[0] != met[1]).count() as u64;
        assert_eq!(moved, DEVICES as u64, "an odd number of devices takes turns");
        let lost = if is_sticky { 0 } else { moved };
        assert_eq!(
            service.states(),
            DEVICES as u64 + lost,
            "{rule}: states begun beside one for each device"
        );
        let shares = json(service.front, "/v1/instances");
        let chosen: Vec<u64> = shares["instances"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["chosen"].as_u64().unwrap())
            .collect();
        assert_eq!(chosen.iter().sum::<u64>(), 2 * DEVICES as u64, "{shares}");
        let imbalance = *chosen.iter().max().unwrap() as f64 / DEVICES as f64;
        assert_eq!(shares["imbalance"].as_f64(), Some(imbalance), "{shares}");
        assert!(is_sticky || chosen == [5, 5], "{shares}");
        // Instances say so to one another at their next beat.
        wait_until("all that moved are counted", || {
            let counted = service
                .places
                .iter()
                .map(|(http, _)| json(*http, "/v1/connections")["moved"].as_u64().unwrap());
            counted.sum::<u64>() == lost
        });
        for device in 0..DEVICES {
            let path = format!("/v1/connections?device=m-{device}");
            wait_until("everybody knows where each is", || {
                let places = service.places.iter().map(|(http, _)| json(*http, &path)["instance"].clone());
                let places: Vec<Value> = places.collect();
                places[0] == places[1]
                    && if is_sticky {
                        places[0].is_string()
                    } else {
                        places[0] == format!("instance-{}", met[&device][1] + 1)
                    }
            });
        }
        assert!(json(service.front, "/v1/connections?device=nobody")["instance"].is_null());
    }
}

#[test]
fn alerts_cross_instances_and_who_is_gone_is_passed_over() {
    let service = Instances::start(2, "sticky", &[]);
    leap(service.front, "pump-1");
    wait_until("both have the alert, one of them from the other", || {
        let heard = service.places.iter().map(|(http, _)| ask(*http, "GET", "/v1/alerts?device=pump-1", ""));
        let heard: Vec<String> = heard.collect();
        heard.iter().all(|heard| heard.contains(r#""seq":39"#))
            && heard.iter().filter(|heard| heard.contains(r#""instance":"instance-"#)).count() == 1
    });
    ask(service.front, "POST", "/v1/broadcast", r#"{"goal":"1:0"}"#);
    wait_until("both tell what was said to one of them", || {
        let told = service.places.iter().map(|(http, _)| ask(*http, "GET", "/v1/broadcast", ""));
        let told: Vec<String> = told.collect();
        told.iter().all(|told| told.contains(r#""id":1"#) && told.contains(r#""goal":"1:0""#))
            && told.iter().filter(|told| told.contains(r#""instance":"instance-"#)).count() == 1
    });
    // The first is asked how the service is, until it is gone.
    signal(service.places[0].1, "KILL");
    let first = service.places[0].0;
    wait_until("nobody listens there any more", || std::net::TcpStream::connect(first).is_err());
    for device in 0..20 {
        judge(service.front, &format!("m-{device}"), 0, 20.0);
    }
    wait_until("it is known to be gone", || {
        let shares = json(service.front, "/v1/instances");
        shares["instances"][0]["lives"] == false && shares["instances"][1]["lives"] == true
    });
    assert_eq!(json(service.front, "/health")["status"], "healthy");
    wait_until("the others do not count on it", || {
        json(service.front, "/v1/connections")["living"].as_array().unwrap().len() == 1
    });
}

#[test]
fn who_is_not_ready_gets_nothing_new_until_it_is() {
    let service = Instances::start(2, "round-robin", &[]);
    let first = service.places[0].0;
    let shares = || json(service.front, "/v1/instances")["instances"].clone();
    let chosen = |shares: &Value| shares[0]["chosen"].as_u64().unwrap();
    ask(first, "POST", "/v1/realtime", r#"{"operation":"stop"}"#);
    wait_until("it is known not to be ready", || shares()[0]["ready"] == false);
    let before = chosen(&shares());
    for device in 0..6 {
        judge(service.front, &format!("m-{device}"), 0, 20.0);
    }
    assert_eq!(chosen(&shares()), before);
    // What one asks of the first that lives is answered by it all the same.
    assert_eq!(json(service.front, "/health")["status"], "unhealthy");
    ask(first, "POST", "/v1/realtime", r#"{"operation":"start"}"#);
    wait_until("it is ready again", || shares()[0]["ready"] == true);
    for device in 0..6 {
        judge(service.front, &format!("m-{device}"), 1, 20.0);
    }
    assert_eq!(chosen(&shares()), before + 3);
}

/// Devices of three protocols that send again what failed, and who hears the alerts; in the middle an instance is killed.
const KILLED: &str = r#"
[scenario]
name = "killed"
[run]
warm_up = "0s"
drain = "60s"
connect_timeout = "60s"
[[phase]]
name = "whole"
duration = "5s"
[fleet.posts]
protocol = "http"
devices = 8
rate = "5/s"
timeout = "60s"
retry = { attempts = 20, timeout = "20s", first = "20ms", max = "200ms", budget = 1.0 }
signal = { kind = "daily", level = 20, amplitude = 2, day = "10s", noise = 0.1 }
anomalies = { spikes = 0.2, size = 15, after = 5 }
[fleet.lines]
protocol = "ws"
devices = 8
rate = "5/s"
timeout = "60s"
retry = { attempts = 20, timeout = "20s", first = "20ms", max = "200ms", budget = 1.0 }
[fleet.sensors]
protocol = "mqtt"
devices = 8
rate = "5/s"
timeout = "60s"
retry = { attempts = 20, timeout = "20s", first = "20ms", max = "200ms", budget = 1.0 }
[fleet.boards]
protocol = "sse"
model = "subscriber"
devices = 4
timeout = "30s"
[[fault]]
name = "death"
kind = "instance-kill"
instance = 1
start = "2s"
"#;

#[test]
fn no_reading_is_lost_that_is_sent_again_when_an_instance_is_killed() {
    let service = Instances::start(2, "round-robin", &["--faults"]);
    let desk = Desk::with(KILLED);
    let (http, ws) = (
        format!("http=http://{}/v1/readings", service.front),
        format!("ws=ws://{}/v1/stream", service.front),
    );
    let (sse, mqtt) =
        (format!("sse=http://{}/v1/alerts/stream", service.front), format!("mqtt=mqtt://{}", service.mqtt));
    let targets = [&http, &ws, &sse, &mqtt].into_iter().flat_map(|target| ["--target", target]);
    let output =
        desk.run(&["run", "s.toml", "--quiet", "--json"].into_iter().chain(targets).collect::<Vec<_>>());
    let told = told(&output);
    let run = desk.only_run();
    let rows = squall::results::read_summary(&run).unwrap();
    let mut reconnects = 0;
    let of = |fleet: &str, kind: &str| {
        let row = rows.iter().find(|row| row.fleet == fleet && row.kind == kind && row.phase == "whole");
        row.unwrap_or_else(|| panic!("{fleet} {kind}: {told}")).figures.clone()
    };
    for fleet in ["posts", "lines", "sensors"] {
        let figures = of(fleet, "reading");
        assert!(figures.planned > 0 && figures.ok == figures.planned, "{fleet}: {told}");
    }
    // Who had a connection to the one that died made another, to the one that is left; the others had no need to.
    for (fleet, devices) in [("lines", 8), ("sensors", 8), ("boards", 4)] {
        let [planned, ok] = rows
            .iter()
            .filter(|row| row.fleet == fleet && row.kind == "connect")
            .fold([0; 2], |[planned, ok], row| [planned + row.figures.planned, ok + row.figures.ok]);
        assert_eq!(planned, ok, "{fleet}: {told}");
        reconnects += ok - devices;
        assert!((devices..=2 * devices).contains(&ok), "{fleet}: {ok} connections {told}");
    }
    assert!((1..20).contains(&reconnects), "{reconnects} {told}");
    assert!(events(&run).contains("death"), "{}", events(&run));
    let shares = json(service.front, "/v1/instances");
    assert_eq!(
        (&shares["instances"][0]["lives"], &shares["instances"][1]["lives"]),
        (&false.into(), &true.into())
    );
    // What the one that is left told after the other's death it told to all who listened.
    let mut intervals = csv::Reader::from_path(run.join("intervals.csv")).unwrap();
    let names = intervals.headers().unwrap().clone();
    let heard: u64 = intervals
        .records()
        .map(Result::unwrap)
        .map(|row| {
            names.iter().zip(row.iter()).map(|(name, cell)| (name.to_owned(), cell.to_owned())).collect()
        })
        .filter(|row: &BTreeMap<String, String>| row["fleet"] == "boards" && row["kind"] == "delivery")
        .filter(|row| row["t_start_s"].parse::<f64>().unwrap() >= 3.0)
        .map(|row| row["ok"].parse::<u64>().unwrap_or(0))
        .sum();
    assert!(heard > 0, "{told}");
    assert_eq!(
        service.order(r#"{"operation":"start","name":"again","kind":"instance-kill","instance":1}"#)["reason"],
        "instance 1 is gone already"
    );
}

#[test]
fn instances_that_are_cut_off_or_late_are_so_to_one_another_alone() {
    let service = Instances::start(2, "sticky", &["--faults"]);
    let [one, two] = [service.places[0].0, service.places[1].0];
    let begun = service.order(r#"{"operation":"start","name":"cut","kind":"bus-partition","instance":1}"#);
    assert_eq!((&begun["kind"], &begun["instance"]), (&"bus-partition".into(), &1.into()), "{begun}");
    leap(one, "pump-1");
    leap(two, "pump-2");
    wait_until("each tells its own", || hears(one, "pump-1") && hears(two, "pump-2"));
    wait_until("and counts on nobody else", || {
        json(two, "/v1/connections")["living"].as_array().unwrap().len() == 1
    });
    assert!(!hears(one, "pump-2") && !hears(two, "pump-1"));
    // What it had to say meanwhile is lost to others, and counted.
    let ended = service.order(r#"{"operation":"stop","name":"cut"}"#);
    assert_eq!(ended["acted"], 1, "{ended}");
    wait_until("they meet again", || {
        [one, two]
            .iter()
            .all(|place| json(*place, "/v1/connections")["living"].as_array().unwrap().len() == 2)
    });

    service.order(r#"{"operation":"start","name":"late","kind":"bus-delay","delay_ms":600}"#);
    let clock = Monotonic::start();
    leap(one, "pump-3");
    wait_until("the other hears of it", || hears(two, "pump-3"));
    assert!(clock.now().as_secs_f64() >= 0.6);
    let ended = service.order(r#"{"operation":"stop","name":"late"}"#);
    assert!(ended["acted"].as_u64().unwrap() >= 1, "{ended}");
}
