//! Several instances of the reference system by one command, each a process of its own, behind a front.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::program::{ask, signal, wait_until};

/// `squall serve --instances N`, and what it said of itself.
struct Instances {
    child: Child,
    _out: BufReader<ChildStdout>,
    front: SocketAddr,
    /// Where each instance is, and its process.
    places: Vec<(SocketAddr, u32)>,
}

fn json(address: SocketAddr, path: &str) -> Value {
    let answer = ask(address, "GET", path, "");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

impl Instances {
    fn start(count: usize, rule: &str, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
        command.args(["serve", "--http-port", "0", "--mqtt-port", "0", "--instances", &count.to_string()]);
        command.args(["--front", rule]).args(more);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (mut front, mut places) = (None, Vec::new());
        for line in out.by_ref_lines() {
            let address =
                line.split_once("http://").and_then(|(_, rest)| rest.split('/').next()?.parse().ok());
            if line.trim_start().starts_with("instance-") {
                let process = line.rsplit_once(' ').unwrap().1.parse().unwrap();
                places.push((address.unwrap(), process));
            }
            front = front.or(address);
        }
        assert_eq!(places.len(), count);
        Self { child, _out: out, front: front.unwrap(), places }
    }

    /// A reading of a device over a connection of its own, which gets its verdict.
    fn judge(&self, device: &str, seq: u64, value: f64) {
        let body = format!(r#"{{"device":"{device}","seq":{seq},"value":{value}}}"#);
        let answer = ask(self.front, "POST", "/v1/readings", &body);
        assert!(answer.contains(r#""type":"verdict""#), "{answer}");
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
            service.judge(&format!("m-{}", reading % DEVICES), (reading / DEVICES) as u64, 20.0);
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
    for seq in 0..40 {
        service.judge("pump-1", seq, if seq == 39 { 500.0 } else { 20.0 + (seq % 3) as f64 * 0.1 });
    }
    wait_until("both have the alert, one of them from the other", || {
        let heard = service.places.iter().map(|(http, _)| ask(*http, "GET", "/v1/alerts?device=pump-1", ""));
        let heard: Vec<String> = heard.collect();
        heard.iter().all(|heard| heard.contains(r#""seq":39"#))
            && heard.iter().filter(|heard| heard.contains(r#""instance":"instance-"#)).count() == 1
    });
    // The first is asked how the service is, until it is gone.
    signal(service.places[0].1, "KILL");
    for device in 0..20 {
        service.judge(&format!("m-{device}"), 0, 20.0);
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
