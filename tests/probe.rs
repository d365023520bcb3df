//! What the service says of itself to those who run it: health, probes and metrics.

use std::collections::BTreeSet;
use std::thread;

use serde_json::Value;
use squall::reference::{Config, Server};
use squall::service::{CostKind, Features, Health, Inference, Queue, Setup};
use squall::units::Span;

use crate::program::{ask, wait_until};

fn serve(setup: Setup) -> Server {
    Server::start(&Config { setup: Setup { faults: true, ..setup }, ..Config::default() }).unwrap()
}

/// The status and the body of an answer.
fn asked(server: &Server, method: &str, path: &str, body: &str) -> (u16, String) {
    let answer = ask(server.http_addr(), method, path, body);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

fn read(server: &Server, device: &str, seq: u64) -> u16 {
    let body = format!(r#"{{"device":"{device}","seq":{seq},"value":1}}"#);
    asked(server, "POST", "/v1/readings", &body).0
}

#[test]
fn a_full_queue_that_has_drained_is_full_no_longer_though_nobody_comes() {
    let server = serve(Setup { queue: Queue { capacity: 1, ..Queue::default() }, ..Setup::default() });
    asked(&server, "POST", "/v1/faults", r#"{"operation":"start","name":"still","kind":"stall"}"#);
    let address = server.http_addr();
    let body = r#"{"device":"d","seq":1,"value":1}"#;
    let waiting = thread::spawn(move || ask(address, "POST", "/v1/readings", body));
    wait_until("one waits", || asked(&server, "GET", "/v1/realtime", "").1.contains(r#""depth":1"#));
    assert_eq!(read(&server, "d", 2), 503);
    let health = || asked(&server, "GET", "/health", "");
    wait_until("it has been full for a second", || health().1.contains("the queue has been full for"));
    let (status, told) = asked(&server, "GET", "/ready", "");
    assert!(status == 503 && told.contains("full for") && told.contains("`still`"), "{told}");
    assert_eq!(asked(&server, "GET", "/live", ""), (200, r#"{"status":"live"}"#.to_owned()));
    asked(&server, "POST", "/v1/faults", r#"{"operation":"stop-all"}"#);
    assert!(waiting.join().unwrap().contains("200 OK"));
    let (status, told) = health();
    assert!(status == 200 && !told.contains("full for"), "{told}");
    assert!(told.contains("50 % of the readings") && told.contains(r#""status":"degraded""#), "{told}");
    assert_eq!(asked(&server, "GET", "/ready", ""), (200, r#"{"reasons":[],"status":"ready"}"#.to_owned()));
    server.stop();
}

#[test]
fn what_is_too_slow_or_too_often_wrong_degrades_the_service_by_its_settings() {
    let slow = Inference { cost: Span::from_ms(150), labour: CostKind::Wait, ..Inference::default() };
    let rate = "100/s".parse().unwrap();
    let server =
        serve(Setup { inference: slow, health: Health { rate, ..Health::default() }, ..Setup::default() });
    for seq in 0..2 {
        assert_eq!(read(&server, &format!("d-{seq}"), seq), 200);
    }
    assert_eq!(asked(&server, "POST", "/v1/readings", "{}").0, 400);
    wait_until("it is said", || {
        let (status, told) = asked(&server, "GET", "/health", "");
        status == 200
            && ["the p99 of the last 10 s", "the workers could do", "was no reading"]
                .iter()
                .all(|reason| told.contains(reason))
    });
    server.stop();
    let patient = Health { p99: Span::from_ms(10_000), bad: 1.0, ..Health::default() };
    let server = serve(Setup { inference: slow, health: patient, ..Setup::default() });
    assert_eq!(read(&server, "d", 1), 200);
    // So long that what there is to be seen has been seen.
    wait_until("it has looked", || asked(&server, "GET", "/health", "").1.contains(r#""p99_ms":1"#));
    let told: Value = serde_json::from_str(&asked(&server, "GET", "/health", "").1).unwrap();
    assert_eq!(
        (&told["status"], &told["reasons"]),
        (&"degraded".into(), &Value::Array(vec![told["reasons"][0].clone()]))
    );
    assert!(told["reasons"][0].as_str().unwrap().contains("the workers could do"), "{told}");
    server.stop();
}

/// The names under which Prometheus keeps what the service tells.
fn names(metrics: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let endings: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["", "_bucket", "_sum", "_count"],
            _ => &[""],
        };
        names.extend(endings.iter().map(|ending| format!("{name}{ending}")));
    }
    names
}

fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                match inner {
                    Value::String(text) if key == "expr" || key == "query" => found.push(text.clone()),
                    _ => expressions(inner, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

/// What the dashboard `file` asks for of squall and its process, less what `metrics` has.
pub(crate) fn unknown(file: &str, metrics: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("contrib/grafana/{file}")).unwrap();
    let mut asked_for = Vec::new();
    expressions(&serde_json::from_str(&text).unwrap(), &mut asked_for);
    assert!(asked_for.len() > 15, "{asked_for:?}");
    let mut used = BTreeSet::new();
    for expression in &asked_for {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        used.extend(
            words
                .filter(|word| word.starts_with("squall_") || word.starts_with("process_"))
                .map(str::to_owned),
        );
    }
    assert!(used.len() > 11, "{used:?}");
    used.difference(&names(metrics)).cloned().collect()
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let server = serve(Setup::default());
    let known = asked(&server, "GET", "/metrics", "").1;
    server.stop();
    let unknown = unknown("squall-service.json", &known);
    assert!(unknown.is_empty(), "{unknown:?} of {known}");
}

#[test]
fn more_devices_make_no_more_series() {
    let server =
        serve(Setup { features: Features { devices: 10_000, ..Features::default() }, ..Setup::default() });
    let series =
        || asked(&server, "GET", "/metrics", "").1.lines().filter(|line| !line.starts_with('#')).count();
    for seq in 0..3 {
        read(&server, &format!("first-{seq}"), seq);
    }
    let before = series();
    for seq in 0..50 {
        read(&server, &format!("other-{seq}"), seq);
    }
    assert_eq!(series(), before);
    assert!(before < 700, "{before}");
    server.stop();
}
