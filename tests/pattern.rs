//! Fan-in, fan-out, point to point and shared subscriptions: what is due to whom, counted from the files of runs.

use serde_json::Value;

use crate::program::{Desk, told};

/// The report of a run of `scenario`, which one worker drives.
fn report(scenario: &str) -> Value {
    let output = Desk::with(scenario).run(&["run", "s.toml", "--quiet", "--json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", told(&output)))
}

/// Counts of the row of `fleet` and `kind` by their keys.
fn counts<const N: usize>(report: &Value, fleet: &str, kind: &str, keys: [&str; N]) -> [u64; N] {
    let rows = report["summary"].as_array().unwrap();
    let own = rows.iter().find(|row| row["fleet"] == fleet && row["kind"] == kind);
    let row = own.unwrap_or_else(|| panic!("no {kind} of {fleet} in {rows:?}"));
    keys.map(|key| row[key].as_u64().unwrap_or_else(|| panic!("no {key} in {row}")))
}

/// How uneven the parts of a shared subscription were.
fn imbalance(report: &Value, fleet: &str) -> Option<f64> {
    let audits = report["delivery"].as_array().unwrap();
    audits.iter().find(|audit| audit["fleet"] == fleet).unwrap()["imbalance"].as_f64()
}

const ENDED: [&str; 4] = ["planned", "ok", "lost", "duplicated"];

/// Ten to five hundred, and five hundred to a group of ten, at quality of service `qos`.
fn crowds(qos: u8) {
    let report = report(&format!(
        r#"
[scenario]
name = "crowds"
[run]
warm_up = "0s"
drain = "60s"
connect_timeout = "60s"
[[phase]]
name = "whole"
duration = "2s"
[fleet.few]
protocol = "mqtt"
devices = 10
rate = "1/s"
timeout = "60s"
close = "ack"
mqtt = {{ topic = "few/{{{{device}}}}", qos = {qos} }}
[fleet.watchers]
protocol = "mqtt"
model = "subscriber"
pattern = "fan-out"
from = "few"
devices = 500
timeout = "60s"
mqtt = {{ subscribe = "few/+", qos = {qos} }}
[fleet.many]
protocol = "mqtt"
devices = 500
rate = "1/s"
timeout = "60s"
close = "ack"
mqtt = {{ topic = "many/{{{{device}}}}", qos = {qos} }}
[fleet.crew]
protocol = "mqtt"
model = "subscriber"
pattern = "shared"
from = "many"
devices = 10
timeout = "60s"
mqtt = {{ subscribe = "$share/crew/many/+", qos = {qos} }}
"#
    ));
    let [few] = counts(&report, "few", "reading", ["ok"]);
    let [many] = counts(&report, "many", "reading", ["ok"]);
    assert!(few >= 10 && many >= 500, "{few} {many}");
    assert_eq!(counts(&report, "watchers", "delivery", ENDED), [500 * few, 500 * few, 0, 0]);
    assert_eq!(counts(&report, "crew", "delivery", ENDED), [many, many, 0, 0]);
    // The bundled service takes the members of a group in turn.
    let even = many as f64 / 10.0;
    assert!(
        imbalance(&report, "crew").is_some_and(|found| (found - even.ceil() / even).abs() < 1e-3),
        "{many} {report}"
    );
    assert_eq!(imbalance(&report, "watchers"), None);
}

#[test]
fn all_of_a_crowd_hear_everything_and_a_group_everything_once_at_least_once() {
    crowds(1);
}

#[test]
fn all_of_a_crowd_hear_everything_and_a_group_everything_once_exactly_once() {
    crowds(2);
}

#[test]
fn what_nobody_hears_was_due_all_the_same() {
    let fleet = |name: &str, devices: u8, pattern: &str| {
        format!(
            "[fleet.{name}]\nprotocol = \"mqtt\"\nmodel = \"subscriber\"\npattern = \"{pattern}\"\nfrom = \"meters\"\n\
             devices = {devices}\ntimeout = \"2s\"\nmqtt = {{ qos = 0 }}\n"
        )
    };
    let report = report(&format!(
        r#"
[scenario]
name = "deaf"
[run]
warm_up = "0s"
drain = "60s"
connect_timeout = "60s"
[[phase]]
name = "whole"
duration = "2s"
[fleet.meters]
protocol = "mqtt"
devices = 4
rate = "10/s"
timeout = "60s"
close = "ack"
{}{}{}{}
[[fault]]
name = "deaf"
kind = "message-drop"
message = "publish"
nth = 2
start = "0s"
duration = "2s"
fleets = ["desk", "wall", "pairs", "crew"]
"#,
        fleet("desk", 1, "fan-in"),
        fleet("wall", 3, "fan-out"),
        fleet("pairs", 4, "point-to-point"),
        fleet("crew", 2, "shared"),
    ));
    let [sent] = counts(&report, "meters", "reading", ["ok"]);
    for (fleet, each) in [("desk", 1), ("wall", 3), ("pairs", 1), ("crew", 1)] {
        let [planned, ok, lost, duplicated] = counts(&report, fleet, "delivery", ENDED);
        assert_eq!((planned, duplicated), (each * sent, 0), "{fleet} of {sent}");
        assert_eq!(ok + lost, planned, "{fleet}");
        assert!(lost > planned / 4 && ok > planned / 4, "{fleet}: {lost} of {planned}");
    }
}

#[test]
fn a_pattern_that_cannot_be_is_refused_with_all_that_is_wrong() {
    let output = Desk::with(
        r#"
[scenario]
name = "odd"
[[phase]]
name = "whole"
duration = "2s"
[fleet.meters]
protocol = "mqtt"
devices = 4
rate = "1/s"
pattern = "fan-out"
[fleet.desks]
protocol = "mqtt"
model = "subscriber"
devices = 3
pattern = "fan-in"
[fleet.pairs]
protocol = "mqtt"
model = "subscriber"
devices = 3
pattern = "point-to-point"
from = "meters"
[fleet.crew]
protocol = "mqtt"
model = "subscriber"
devices = 3
pattern = "shared"
join = "1s"
mqtt = { subscribe = "devices/+/readings" }
[fleet.lost]
protocol = "mqtt"
model = "subscriber"
devices = 3
pattern = "fan-out"
from = "nobody"
[fleet.screens]
protocol = "sse"
model = "subscriber"
devices = 3
pattern = "fan-out"
"#,
    )
    .run(&["check", "s.toml"]);
    let said = told(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for wanted in [
        "fleet.meters.pattern: is for fleets that hear",
        "fleet.desks.pattern: all readings come to one device by fan-in",
        "fleet.pairs.pattern: `meters` has 4 devices and this fleet 3",
        "fleet.crew.join: does not go with a shared subscription",
        "subscribe: is no shared subscription",
        "fleet.lost.from: there is no fleet `nobody` that sends over MQTT",
        "fleet.screens.pattern: needs topics",
    ] {
        assert!(said.contains(wanted), "{wanted} in {said}");
    }
}
