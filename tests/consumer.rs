//! Fleets that only hear, over every transport: what is due to them, what they hear, and what is lost, from the files of runs.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use crate::program::{Desk, told};

const ALERTS: &str = r#"
[scenario]
name = "alerts"
[run]
warm_up = "0s"
drain = "30s"
connect_timeout = "60s"
[[phase]]
name = "whole"
duration = "4s"
[fleet.sensors]
protocol = "http"
devices = 20
rate = "10/s"
timeout = "60s"
signal = { kind = "daily", level = 20, amplitude = 2, day = "10s", noise = 0.1 }
anomalies = { spikes = 0.1, size = 15, after = 5 }
[fleet.boards]
protocol = "sse"
model = "subscriber"
devices = 3
timeout = "30s"
[fleet.panels]
protocol = "mqtt"
model = "subscriber"
devices = 2
timeout = "30s"
mqtt = { subscribe = "alerts/#" }
[fleet.screens]
protocol = "ws"
model = "subscriber"
devices = 4
timeout = "30s"
ws = { path = "/v1/alerts/ws" }
[fleet.phones]
protocol = "long-poll"
model = "subscriber"
devices = 2
timeout = "30s"
[[budget]]
kind = "delivery"
lost = "<=0"
"#;

/// The report of a run of `scenario`.
fn report(scenario: &str, arguments: &[&str]) -> (Value, String) {
    let desk = Desk::with(scenario);
    let output = desk.run(&[&["run", "s.toml", "--quiet", "--json"], arguments].concat());
    let report =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", told(&output)));
    (report, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The row of `kind` of a fleet.
fn row<'r>(report: &'r Value, fleet: &str, kind: &str) -> &'r Value {
    let rows = report["summary"].as_array().unwrap();
    let own = rows.iter().find(|row| row["fleet"] == fleet && row["kind"] == kind);
    own.unwrap_or_else(|| panic!("no {kind} of {fleet} in {rows:?}"))
}

/// The row of the deliveries to a fleet.
fn deliveries<'r>(report: &'r Value, fleet: &str) -> &'r Value {
    row(report, fleet, "delivery")
}

fn count(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("no {key} in {row}"))
}

#[test]
fn an_alert_reaches_all_who_wait_for_it_over_every_transport() {
    let (report, said) = report(ALERTS, &["--workers", "2"]);
    let fleets = [("boards", 3), ("panels", 2), ("screens", 4), ("phones", 2)];
    let published: Vec<u64> = fleets
        .iter()
        .map(|(fleet, devices)| {
            let row = deliveries(&report, fleet);
            assert_eq!(count(row, "ok"), count(row, "planned"), "{said}{row}");
            assert_eq!(count(row, "planned") % devices, 0, "{row}");
            assert_eq!((count(row, "duplicated"), count(row, "reordered")), (0, 0), "{row}");
            assert!(row["p50_ms"].as_f64() > Some(0.0) && count(row, "wire_received_bytes") > 0, "{row}");
            count(row, "planned") / devices
        })
        .collect();
    assert!(published[0] > 0 && published.iter().all(|own| *own == published[0]), "{published:?}");
    // Each reply but the last of a device is followed by a request, and the time in between is told by itself.
    let (gaps, requests) = (row(&report, "phones", "gap"), count(deliveries(&report, "phones"), "requests"));
    assert!(gaps["p50_ms"].as_f64() > Some(0.0) && count(gaps, "ok") == count(gaps, "planned"), "{gaps}");
    assert!(
        (1..=requests).contains(&count(gaps, "ok")) && requests <= count(gaps, "ok") + 4,
        "{requests} {gaps}"
    );
    let rows = report["summary"].as_array().unwrap();
    let readings = |fleet: &str| rows.iter().find(|row| row["fleet"] == fleet && row["kind"] == "reading");
    assert_eq!(count(readings("all").unwrap(), "planned"), count(readings("sensors").unwrap(), "planned"));
    assert!(readings("boards").is_none(), "it sends nothing");
    assert_eq!(report["run"]["budgets"][0]["met"], Value::Bool(true), "{}", report["run"]["budgets"]);
}

/// Takes readings over HTTP and tells of each by server-sent events, in the order in which they came: every fourth not to the
/// second that listens, every fifth twice to the first. Behind the tenth the first loses its connection, and is told what it missed
/// when it says what it heard last.
#[derive(Default)]
struct Feed {
    history: Vec<String>,
    listeners: Vec<Option<TcpStream>>,
    /// Events that were told twice.
    doubled: u64,
    resumed_after: Vec<String>,
}

impl Feed {
    fn publish(&mut self, reading: &Value) {
        let nth = self.history.len() + 1;
        let event = format!(
            "id: {nth}\ndata: {{\"about\":[{}],\"n\":\"{}\"}}\n\n",
            reading["device"], reading["seq"]
        );
        self.history.push(event.clone());
        for (place, stream) in self.listeners.iter_mut().enumerate() {
            // One that has gone hears of it when it comes back.
            let Some(stream) = stream else { continue };
            let twice = place == 0 && nth.is_multiple_of(5);
            let times = if place == 0 { 1 + usize::from(twice) } else { usize::from(!nth.is_multiple_of(4)) };
            stream.write_all(event.repeat(times).as_bytes()).unwrap();
            self.doubled += u64::from(twice);
        }
        if nth == 10
            && let Some(first) = self.listeners[0].take()
        {
            let _ = first.shutdown(Shutdown::Both);
        }
    }

    fn listen(&mut self, head: &str, stream: &TcpStream) {
        let mut stream = stream.try_clone().unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 100\n\n")
            .unwrap();
        if let Some(last) = head.lines().find_map(|line| line.strip_prefix("Last-Event-ID: ")) {
            let missed = self.history[last.parse::<usize>().unwrap()..].concat();
            stream.write_all(missed.as_bytes()).unwrap();
            self.resumed_after.push(last.to_owned());
            self.listeners[0] = Some(stream);
        } else {
            self.listeners.push(Some(stream));
        }
    }
}

fn serve(mut stream: TcpStream, feed: &Mutex<Feed>) {
    let mut bytes = Vec::new();
    loop {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
            let length = text.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let end = head + length.map_or(0, |length| length.parse::<usize>().unwrap());
            if text.starts_with("GET") {
                feed.lock().unwrap().listen(&text, &stream);
                bytes.drain(..end);
            } else if bytes.len() >= end {
                let reading = serde_json::from_slice(&bytes[head..end]).unwrap();
                bytes.drain(..end);
                feed.lock().unwrap().publish(&reading);
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            }
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(size) => bytes.extend_from_slice(&piece[..size]),
        }
    }
}

#[test]
fn what_one_hears_and_another_does_not_is_lost_and_a_stream_is_taken_up_where_it_broke() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}/", listener.local_addr().unwrap());
    let feed = Arc::new(Mutex::new(Feed::default()));
    let book = Arc::clone(&feed);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let feed = Arc::clone(&feed);
            thread::spawn(move || serve(stream, &feed));
        }
    });
    let scenario = r#"
[scenario]
name = "feed"
[run]
warm_up = "0s"
drain = "60s"
connect_timeout = "60s"
[[phase]]
name = "whole"
duration = "4s"
[fleet.sensors]
protocol = "http"
devices = 4
rate = "10/s"
timeout = "60s"
[fleet.boards]
protocol = "sse"
model = "subscriber"
devices = 2
timeout = "10s"
sse = { correlate = ["/about/0", "/n"] }
"#;
    let targets =
        ["--target".to_owned(), format!("http={target}"), "--target".to_owned(), format!("sse={target}")];
    let targets = targets.each_ref().map(String::as_str);
    let (report, said) = report(scenario, &targets);
    let row = deliveries(&report, "boards");
    let book = book.lock().unwrap();
    let published = book.history.len() as u64;
    let missed = published / 4;
    assert!(missed > 5, "{published} {said}");
    assert_eq!(count(row, "planned"), 2 * published, "{row}");
    assert_eq!((count(row, "ok"), count(row, "lost")), (2 * published - missed, missed), "{row}");
    assert_eq!((count(row, "duplicated"), count(row, "late")), (book.doubled, 0), "{row}");
    assert_eq!(book.resumed_after, ["10"]);
    let audit =
        report["delivery"].as_array().unwrap().iter().find(|audit| audit["fleet"] == "boards").unwrap();
    assert_eq!(count(audit, "lost"), missed, "{audit}");
}

#[test]
fn a_fleet_of_subscribers_does_not_come_apart_into_shards() {
    let output =
        Desk::with(ALERTS).run(&["run", "s.toml", "--shard", "1/2", "--target", "http=http://127.0.0.1:9"]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(
        told(&output).contains("--shard 1/2: fleet `boards` hears the readings of others"),
        "{}",
        told(&output)
    );
}
