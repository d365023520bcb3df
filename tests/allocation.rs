//! The hot path allocates nothing per reading: counted over whole runs, in a binary of its own because the count is the
//! process's.
//!
//! A longer run may allocate for its further intervals, never for its further readings. WebSocket is left out: the
//! library under it makes every message a reference-counted buffer of its own.
#![cfg(test)]

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use squall::clock::{Monotonic, WallTime};
use squall::engine::{self, Control, Setup};
use squall::protocol::Endpoint;
use squall::record::{Protocol, RunToken, Shard};
use squall::results::{self, RunDirectory};
use squall::scenario::{Overrides, Plan, Scenario};
use squall::units::Span;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SCENARIO: &str = r#"
[scenario]
name = "allocation"
[run]
warm_up = "0s"
drain = "1s"
[[phase]]
name = "steady"
duration = "1s"
[fleet.closed]
protocol = "http"
devices = 4
model = "closed"
payload = { size = "2KiB" }
trace = 0.5
[fleet.open]
protocol = "mqtt"
devices = 20
rate = "100/s"
arrival = "poisson"
close = "ack"
mqtt = { qos = 1 }
trace = { share = 0.5, field = "traceparent" }
"#;

/// Answers every request with the same response; takes requests of up to 16 KiB that come in one piece or several.
fn answer_http(mut stream: TcpStream) {
    let mut buffer = [0_u8; 16 * 1024];
    let mut filled = 0;
    while let Ok(n @ 1..) = stream.read(&mut buffer[filled..]) {
        filled += n;
        let Some(head) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        // The payload is one JSON object without a nested one.
        if filled > head + 4 && buffer[filled - 1] == b'}' {
            filled = 0;
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
    }
}

/// Accepts every CONNECT, and acknowledges every PUBLISH at `QoS` 1.
fn answer_mqtt(mut stream: TcpStream) {
    let mut buffer = [0_u8; 16 * 1024];
    let mut filled = 0;
    while let Ok(n @ 1..) = stream.read(&mut buffer[filled..]) {
        filled += n;
        let mut start = 0;
        while let Some(size) = packet(&buffer[start..filled]) {
            let body = &buffer[start..start + size];
            let answer = match body[0] >> 4 {
                1 => [0x20, 2, 0, 0],
                3 => {
                    // Everything sent here is shorter than 16 KiB: the length takes one byte or two.
                    let digits = if body[1] & 0x80 == 0 { 1 } else { 2 };
                    let at = 1
                        + digits
                        + 2
                        + usize::from(u16::from_be_bytes([body[1 + digits], body[2 + digits]]));
                    [0x40, 2, body[at], body[at + 1]]
                }
                _ => return,
            };
            if stream.write_all(&answer).is_err() {
                return;
            }
            start += size;
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
    }
}

/// The size of the first packet, if it is there whole.
fn packet(bytes: &[u8]) -> Option<usize> {
    let (low, high) = (usize::from(*bytes.get(1)?), usize::from(*bytes.get(2)?));
    let size = if low & 0x80 == 0 { 2 + low } else { 3 + (low & 0x7f) + (high << 7) };
    (bytes.len() >= size).then_some(size)
}

fn serve(answer: fn(TcpStream)) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    port
}

/// Drives the scenario for `seconds` with everything recorded and written, and gives its readings and allocations.
fn run(seconds: u64, endpoints: &[Endpoint], out: &Path) -> (u64, usize) {
    let span = format!("{seconds}s").parse::<Span>().unwrap();
    let overrides = Overrides { duration: Some(span), ..Overrides::default() };
    let plan = Arc::new(Plan::new(Scenario::parse("allocation.toml", SCENARIO, &overrides).unwrap()));
    let layout = Arc::new(plan.layout().clone());
    let started = WallTime::now();
    let directory = RunDirectory::create(out, "allocation", &seconds.to_string(), started).unwrap();
    let mut files = directory.start_files(&layout, started).unwrap();
    let (recorders, collector) = results::recorders(&layout, 1);
    let setup = Setup {
        plan,
        shard: Shard::WHOLE,
        endpoints: Arc::new(endpoints.to_vec()),
        clock: Monotonic::start(),
        epoch_ns: 0,
        token: RunToken::UNSET,
        token_is_drawn: true,
        control: Control::new(),
        switches: squall::record::SwitchLog::default(),
    };
    let region = Region::new(GLOBAL);
    let totals = thread::scope(|scope| {
        let collecting = scope.spawn(|| collector.run(&mut files, |_| {}));
        engine::run(&setup, recorders).unwrap();
        collecting.join().unwrap()
    });
    let change = region.change();
    let readings = totals.readings(None);
    assert_eq!(readings.ok(), readings.planned(), "every reading is answered");
    (readings.ok(), change.allocations + change.reallocations)
}

#[test]
fn a_longer_run_allocates_for_its_intervals_and_not_for_its_readings() {
    let endpoint = |protocol, url: String| Endpoint::resolve(protocol, &url).unwrap();
    let endpoints = [
        endpoint(Protocol::named("http"), format!("http://127.0.0.1:{}", serve(answer_http))),
        endpoint(Protocol::named("mqtt"), format!("mqtt://127.0.0.1:{}", serve(answer_mqtt))),
    ];
    let out = tempfile::tempdir().unwrap();
    let (few, for_few) = run(1, &endpoints, out.path());
    let (many, for_many) = run(4, &endpoints, out.path());
    let (readings, allocations) = (many - few, for_many.saturating_sub(for_few));
    println!("{few} readings, {for_few} allocations; {many} readings, {for_many} allocations");
    assert!(readings > 5_000, "too few to tell: {readings}");
    assert!(
        (allocations as u64) * 20 < readings,
        "{allocations} more allocations for {readings} more readings"
    );
}
