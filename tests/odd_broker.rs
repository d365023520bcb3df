//! Brokers with manners of their own, through the built binary: what a run says of them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::interop_device::mosquitto;
use crate::odd_broker_peer::{Broker, Manners};

const SCENARIO: &str = r#"
[scenario]
name = "manners"
seed = 1

[run]
connect_timeout = "4s"
drain = "2s"

[[phase]]
name = "steady"
duration = "1s"

[fleet.meters]
protocol = "mqtt"
devices = 4
rate = "10/s"
timeout = "1s"
close = "delivery"
mqtt = { subscribers = "screens" }

[fleet.screens]
protocol = "mqtt"
devices = 2
model = "subscriber"
mqtt = { subscribe = "devices/+/readings", qos = 1 }
"#;

/// What a run said, on standard error, and its manifest.
fn run(scenario: &str, broker: &Broker, arguments: &[&str]) -> (String, Value) {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("s.toml");
    fs::write(&file, scenario).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_squall"))
        .arg("run")
        .arg(&file)
        .args(["--target", &broker.target(), "--out"])
        .arg(out.path().join("results"))
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8(run.stderr).unwrap() + &String::from_utf8(run.stdout).unwrap();
    let (_, manifest) = directory(out.path()).unwrap_or_else(|| panic!("{said}"));
    (said, manifest)
}

/// The directory of the only run below `out`, and its manifest.
fn directory(out: &Path) -> Option<(PathBuf, Value)> {
    let mut runs = fs::read_dir(out.join("results/manners")).ok()?.map_while(Result::ok);
    let directory = runs.find(|entry| entry.path().is_dir())?.path();
    let manifest = fs::read(directory.join("run.json")).ok()?;
    Some((directory, serde_json::from_slice(&manifest).ok()?))
}

#[cfg(unix)]
#[test]
fn a_run_that_waits_for_subscribers_can_be_interrupted() {
    for signal in ["-INT", "-TERM"] {
        let (broker, out) =
            (Broker::start(Manners { deaf: true, ..Manners::GOOD }), tempfile::tempdir().unwrap());
        let file = out.path().join("s.toml");
        fs::write(&file, SCENARIO).unwrap();
        let mut run = Command::new(env!("CARGO_BIN_EXE_squall"))
            .arg("run")
            .arg(&file)
            .args(["--set", "run.connect_timeout=1m", "--target", &broker.target(), "--out"])
            .arg(out.path().join("results"))
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        while broker.log.lock().unwrap().asked < 2 {
            assert!(run.try_wait().unwrap().is_none(), "it ended before anybody subscribed");
            thread::sleep(Duration::from_millis(10));
        }
        let sent = Command::new("kill").args([signal, &run.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let run = run.wait_with_output().unwrap();
        assert_eq!(run.status.code(), Some(130), "{run:?}");
        let (directory, manifest) = directory(out.path()).unwrap_or_else(|| panic!("{run:?}"));
        assert_eq!((&manifest["state"], &manifest["exit_code"]), (&"interrupted".into(), &130.into()));
        assert_eq!(manifest["subscribers"][0]["gave_up"], 2);
        let report =
            Command::new(env!("CARGO_BIN_EXE_squall")).arg("report").arg(directory).output().unwrap();
        assert!(report.status.success(), "{report:?}");
    }
}

fn lost(manifest: &Value) -> u64 {
    let rows = manifest["delivery"].as_array().unwrap();
    rows.iter().find(|row| row["fleet"] == "meters").unwrap()["lost"].as_u64().unwrap()
}

#[test]
fn sending_waits_until_subscribers_stand() {
    let slow = Manners { suback_after: Duration::from_millis(2_500), ..Manners::GOOD };
    let (said, manifest) = run(SCENARIO, &Broker::start(slow), &[]);
    assert!(said.contains("fleet screens: 2 subscribers stand after "), "{said}");
    let screens = &manifest["subscribers"][0];
    assert_eq!((&screens["subscribed"], &screens["gave_up"]), (&Value::from(2), &Value::from(0)));
    assert!(screens["waited_ms"].as_f64().unwrap() >= 2_500.0, "{screens}");
    assert_eq!(lost(&manifest), 0, "{said}");
    assert_eq!(manifest["failures"], Value::Array(Vec::new()), "{said}");
}

#[test]
fn sending_does_not_wait_for_ever_and_says_so() {
    let deaf = Manners { deaf: true, ..Manners::GOOD };
    let (said, manifest) = run(SCENARIO, &Broker::start(deaf), &["--set", "run.connect_timeout=500ms"]);
    assert!(said.contains("note: fleet screens: 2 of 2 subscribers gave up after "), "{said}");
    assert_eq!(manifest["subscribers"][0]["gave_up"], 2);
}

#[test]
fn a_lower_quality_of_service_than_asked_for_is_one_line_per_fleet() {
    let low = Manners { grants: 0, ..Manners::GOOD };
    let (said, manifest) = run(&SCENARIO.replace("qos = 1", "qos = 2"), &Broker::start(low), &[]);
    assert_eq!(said.matches("granted QoS").count(), 1, "{said}");
    assert!(said.contains("the broker granted QoS 0 of 2 (2 devices of screens)"), "{said}");
    assert_eq!(lost(&manifest), 0, "{said}");
}

/// Sessions that the broker keeps send again what was not acknowledged well.
const LASTING: &str = r#"
[scenario]
name = "manners"
seed = 1

[run]
warm_up = "0s"

[[phase]]
name = "steady"
duration = "1s"

[fleet.meters]
protocol = "mqtt"
devices = 2
rate = "10/s"
close = "ack"
timeout = "30s"
backoff = { first = "1ms", max = "2ms" }
mqtt = { qos = 2, clean_session = false }
"#;

#[test]
fn a_breach_is_named_where_every_reading_ends_ok_after_all() {
    let manners = Manners { answer: Some(0x40), relents: true, ..Manners::GOOD };
    let (said, manifest) = run(LASTING, &Broker::start(manners), &[]);
    let remark = &manifest["failures"][0];
    assert_eq!((&remark["outcome"], &remark["fleet"]), (&"remark".into(), &"meters".into()), "{said}");
    assert!(remark["count"].as_u64().unwrap() > 2, "{remark}");
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = "remark the broker answered a PUBLISH of QoS 2 with PUBACK instead of PUBREC: ";
    assert!(words.contains(sentence), "{said}");
    assert!(words.contains(" times (2 devices of meters)"), "{said}");
    assert!(words.contains("all 20 readings answered ok"), "{said}");
}

const DEATH: &str = r#"
[scenario]
name = "manners"
seed = 1

[run]
warm_up = "0s"

[[phase]]
name = "steady"
duration = "2s"

[fleet.meters]
protocol = "mqtt"
devices = 2
rate = "10/s"
close = "ack"
mqtt = { will = { topic = "gone/{{device}}", payload = "died" } }

[[fault]]
name = "death"
kind = "disconnect"
start = "1s"
ending = "died"
"#;

#[test]
fn a_device_that_dies_says_no_goodbye() {
    for (ending, goodbyes) in [("died", 2), ("fin", 4), ("reset", 2)] {
        let broker = Broker::start(Manners::GOOD);
        run(&DEATH.replace("\"died\"\n", &format!("\"{ending}\"\n")), &broker, &[]);
        let last = broker.log.lock().unwrap().last.clone();
        let found = last.iter().filter(|first| matches!(first, 0xe0)).count();
        // One more, which only looks whether anybody listens.
        assert_eq!((last.len(), found), (5, goodbyes), "{ending} {last:?}");
    }
}

#[test]
fn mosquitto_publishes_the_will_of_a_device_that_dies() {
    let Some((_broker, port, _directory)) = mosquitto("allow_anonymous true\n") else { return };
    let mut ear = TcpStream::connect(("127.0.0.1", port)).unwrap();
    ear.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    ear.write_all(b"\x10\x0e\0\x04MQTT\x04\x02\0\0\0\x02me").unwrap();
    ear.write_all(b"\x82\x0b\0\x01\0\x06gone/#\0").unwrap();
    // CONNACK and SUBACK.
    ear.read_exact(&mut [0; 4 + 5]).unwrap();
    let file = tempfile::tempdir().unwrap();
    let scenario = file.path().join("s.toml");
    fs::write(&scenario, DEATH).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_squall"))
        .arg("run")
        .arg(&scenario)
        .args(["--quiet", "--target", &format!("mqtt=mqtt://127.0.0.1:{port}"), "--out"])
        .arg(file.path())
        .output()
        .unwrap();
    assert!(matches!(run.status.code(), Some(0 | 12)), "{run:?}");
    let mut will = [0; 2 + 2 + "gone/meters-00000".len() + "died".len()];
    for _ in 0..2 {
        ear.read_exact(&mut will).unwrap();
        assert!(will.ends_with(b"died"), "{will:?}");
    }
}
