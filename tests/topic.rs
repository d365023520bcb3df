//! The topics of the bundled service beside alerts, over every transport: what is due to whom, held against the service's own numbers.

use std::fmt::Write as _;
use std::net::SocketAddr;

use serde_json::Value;
use squall::reference::{Config, Server};

use crate::program::{Desk, ask, told};

const LISTENERS: [(&str, u64); 4] = [("sse", 3), ("long-poll", 2), ("ws", 4), ("mqtt", 2)];

/// Two fleets with readings, two that speak to all, and one that listens to each topic over each transport.
fn scenario() -> String {
    let mut text = r#"
[scenario]
name = "topics"
[run]
warm_up = "0s"
drain = "60s"
connect_timeout = "60s"
[[phase]]
name = "whole"
duration = "2s"
[fleet.meters]
protocol = "http"
devices = 5
rate = "4/s"
timeout = "60s"
[fleet.pumps]
protocol = "mqtt"
devices = 3
rate = "4/s"
timeout = "60s"
[fleet.desks]
protocol = "http"
devices = 2
rate = "5/s"
timeout = "60s"
topic = "broadcast"
[fleet.gates]
protocol = "mqtt"
devices = 2
rate = "5/s"
timeout = "60s"
topic = "broadcast"
close = "ack"
"#
    .to_owned();
    for topic in ["verdicts", "broadcast"] {
        for (protocol, devices) in LISTENERS {
            let _ = write!(
                text,
                "[fleet.{topic}-{protocol}]\nprotocol = \"{protocol}\"\nmodel = \"subscriber\"\ndevices = {devices}\n\
                 timeout = \"60s\"\ntopic = \"{topic}\"\n"
            );
        }
    }
    text
}

fn count(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("no {key} in {row}"))
}

/// The number of the last message of a topic.
fn last(address: SocketAddr, path: &str) -> u64 {
    let answer = ask(address, "GET", path, "");
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    count(&body, "last")
}

#[test]
fn verdicts_and_broadcasts_reach_all_who_listen_over_every_transport() {
    let server = Server::start(&Config::default()).unwrap();
    let (http, mqtt) = (server.http_addr(), server.mqtt_addr());
    let targets: Vec<String> = [("http", "http"), ("sse", "http"), ("long-poll", "http"), ("ws", "ws")]
        .iter()
        .map(|(protocol, scheme)| format!("{protocol}={scheme}://{http}"))
        .chain([format!("mqtt=mqtt://{mqtt}")])
        .flat_map(|target| ["--target".to_owned(), target])
        .collect();
    let mut arguments = vec!["run", "s.toml", "--quiet", "--json", "--workers", "2"];
    arguments.extend(targets.iter().map(String::as_str));
    let output = Desk::with(&scenario()).run(&arguments);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", told(&output)));
    let rows = report["summary"].as_array().unwrap();
    let row = |fleet: &str, kind: &str| {
        let own = rows.iter().find(|row| row["fleet"] == fleet && row["kind"] == kind);
        own.unwrap_or_else(|| panic!("no {kind} of {fleet} in {rows:?}"))
    };
    let ok = |fleets: [&str; 2]| fleets.iter().map(|fleet| count(row(fleet, "reading"), "ok")).sum::<u64>();
    for (topic, senders) in [("verdicts", ["meters", "pumps"]), ("broadcast", ["desks", "gates"])] {
        // The service numbers without gaps whatever it tells.
        let numbers = last(http, &format!("/v1/{topic}"));
        assert_eq!(numbers, ok(senders), "{topic}");
        assert!(numbers > 20, "{topic} {numbers}");
        for (protocol, devices) in LISTENERS {
            let row = row(&format!("{topic}-{protocol}"), "delivery");
            assert_eq!(count(row, "planned"), devices * numbers, "{topic} {protocol} {row}");
            assert_eq!(count(row, "ok"), devices * numbers, "{topic} {protocol} {row}");
            assert_eq!((count(row, "duplicated"), count(row, "reordered")), (0, 0), "{topic} {protocol}");
        }
    }
    server.stop();
}

/// Verdicts that take longer than the phase, so that readings end and are told of in the drain alone.
const SLOW: &str = r#"
[scenario]
name = "slow"
[reference]
inference = { cost = "1500ms", labour = "wait" }
workers = { mode = "async" }
[run]
warm_up = "0s"
drain = "60s"
connect_timeout = "60s"
[[phase]]
name = "whole"
duration = "1s"
[fleet.a-boards]
protocol = "sse"
model = "subscriber"
devices = 3
timeout = "60s"
topic = "verdicts"
[fleet.meters]
protocol = "http"
devices = 5
rate = "2/s"
timeout = "60s"
"#;

#[test]
fn what_is_told_in_the_drain_is_due_there_whichever_worker_hears_it() {
    let output = Desk::with(SLOW).run(&["run", "s.toml", "--quiet", "--json", "--workers", "2"]);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", told(&output)));
    let rows = report["summary"].as_array().unwrap();
    let sum = |fleet: &str, kind: &str, key: &str| -> u64 {
        let own = rows.iter().filter(|row| row["fleet"] == fleet && row["kind"] == kind);
        own.map(|row| count(row, key)).sum()
    };
    let readings = sum("meters", "reading", "ok");
    assert!(readings >= 5 && readings == sum("meters", "reading", "planned"), "{}", told(&output));
    for key in ["planned", "ok"] {
        assert_eq!(sum("a-boards", "delivery", key), 3 * readings, "{key} {}", told(&output));
    }
}
