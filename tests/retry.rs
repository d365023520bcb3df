//! Devices that retry, end to end: services that fail by a known rule, budgets, what services ask for, and one effect per reading.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use squall::clock::Monotonic;
use squall::engine::Control;
use squall::protocol::Endpoint;
use squall::record::{Outcome, Protocol, Sample, Shard};
use squall::reference::{Config, Server};
use squall::scenario::Plan;
use squall::service::{Delivery, Setup};

use crate::peer::start;
use crate::program::{ask, wait_until};
use crate::support::{Book, drive_shard, plan, take_body};

const MS: u64 = 1_000_000;

/// What the service says to attempt number so and so at reading number so and so of a device.
type Rule = fn(u64, u64) -> &'static str;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
const BROKEN: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";

/// The port of an HTTP service that answers by `rule`.
fn service(rule: Rule) -> u16 {
    let attempts = Arc::new(Mutex::new(HashMap::new()));
    start(move |connection| serve(connection, rule, &attempts))
}

fn serve(connection: TcpStream, rule: Rule, attempts: &Mutex<HashMap<(String, u64), u64>>) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut out = connection.try_clone()?;
    let mut input = BufReader::new(connection);
    while let Some(body) = take_body(&mut input)? {
        let reading: Value = serde_json::from_slice(&body)?;
        let (device, seq) =
            (reading["device"].as_str().unwrap().to_owned(), reading["seq"].as_u64().unwrap());
        let number = {
            let mut attempts = attempts.lock().unwrap();
            let number = attempts.entry((device, seq)).or_insert(0);
            *number += 1;
            *number
        };
        out.write_all(rule(seq, number).as_bytes())?;
    }
    Ok(())
}

/// A plan of one fleet that retries as `retry` says, with time enough for a machine that stands still for a while.
fn retrying(retry: &str) -> Arc<Plan> {
    plan(&format!(
        r#"
        [scenario]
        name = "retry"
        seed = 7
        [run]
        warm_up = "0s"
        drain = "60s"
        interval = "200ms"
        connect_rate = "1000/s"
        connect_timeout = "60s"
        [[phase]]
        name = "whole"
        duration = "1s"
        [fleet.meters]
        protocol = "http"
        devices = 12
        rate = "10/s"
        timeout = "60s"
        backlog = 4096
        retry = {retry}
        "#
    ))
}

/// Drives the plan at a service that answers by `rule`.
fn run(plan: &Arc<Plan>, rule: Rule, workers: usize, shard: Shard) -> Book {
    let url = format!("http://127.0.0.1:{}/", service(rule));
    let endpoints = vec![Endpoint::resolve(Protocol::named("http"), &url).unwrap()];
    let (_, book) = drive_shard(plan, shard, endpoints, workers, Monotonic::start(), &Control::new());
    check(&book);
    book
}

/// The identities of the account.
fn check(book: &Book) {
    assert_eq!(book.planned, book.readings().count() as u64);
    let attempts: u64 = book.readings().map(|sample| u64::from(sample.attempts)).sum();
    assert_eq!(attempts, book.sent + book.retries_sent);
    // Attempts to connect have reasons, too.
    let failed = book.samples.iter().filter(|sample| sample.outcome != Outcome::Ok).count();
    assert_eq!(book.reasons.len(), failed);
}

/// How each reading ended, and after how many attempts, by device and number.
fn endings(book: &Book) -> BTreeMap<(u32, u64), (Outcome, u8)> {
    let of = |sample: &Sample| ((sample.device, sample.seq), (sample.outcome, sample.attempts));
    book.readings().map(of).collect()
}

/// Fails the first one, two or three attempts at a reading, or none, by its number.
fn stubborn(seq: u64, number: u64) -> &'static str {
    if number > seq % 4 { OK } else { BUSY }
}

#[test]
fn outcomes_attempts_and_times_are_those_that_a_known_rule_asks_for() {
    let plan = retrying(r#"{ attempts = 3, first = "20ms", factor = 2, jitter = 0 }"#);
    let book = run(&plan, stubborn, 2, Shard::WHOLE);
    assert!(book.planned >= 100);
    for sample in book.readings() {
        let (outcome, attempts, waits_ms) = match sample.seq % 4 {
            0 => (Outcome::Ok, 1, 0),
            1 => (Outcome::Ok, 2, 20),
            2 => (Outcome::Ok, 3, 60),
            _ => (Outcome::Shed, 3, 60),
        };
        assert_eq!((sample.outcome, sample.attempts), (outcome, attempts), "{sample:?}");
        // The response time runs over all attempts and waits, the service time over the last attempt.
        let last = sample.actual.unwrap();
        assert!(last.since(sample.intended) >= waits_ms * MS, "{sample:?}");
        let service_ns = sample.service_time_ns().unwrap();
        assert_eq!(sample.response_time_ns(), service_ns + last.since(sample.intended));
        assert_eq!((sample.own_wait_ns, sample.plan_wait_ns), (0, 0));
    }
    assert_eq!(book.retries_denied, 0);
}

#[test]
fn neither_workers_nor_shards_change_what_becomes_of_a_reading() {
    let plan = retrying(r#"{ attempts = 3, first = "5ms", jitter = 1 }"#);
    let one = endings(&run(&plan, stubborn, 1, Shard::WHOLE));
    assert_eq!(one, endings(&run(&plan, stubborn, 3, Shard::WHOLE)));
    let parts = (1..=2).map(|part| endings(&run(&plan, stubborn, 1, format!("{part}/2").parse().unwrap())));
    assert_eq!(one, parts.flatten().collect());
}

#[test]
fn what_is_not_to_be_retried_ends_at_once() {
    let plan = retrying(r#"{ attempts = 5, on = "shed", first = "0s" }"#);
    let rule: Rule = |seq, number| match (seq % 2, number) {
        (0, 1) => BUSY,
        (0, _) => OK,
        _ => BROKEN,
    };
    let book = run(&plan, rule, 1, Shard::WHOLE);
    for sample in book.readings() {
        let is_even = sample.seq % 2 == 0;
        assert_eq!(sample.attempts, if is_even { 2 } else { 1 });
        assert_eq!(sample.outcome == Outcome::Ok, is_even);
    }
}

#[test]
fn a_budget_bounds_the_retries_whatever_fails() {
    for workers in [1, 2] {
        let plan = retrying(r#"{ attempts = 100, first = "0s", budget = 0.1 }"#);
        let book = run(&plan, |_, _| BUSY, workers, Shard::WHOLE);
        assert!(book.readings().all(|sample| sample.outcome == Outcome::Shed));
        let most = book.sent as f64 * 0.1 + 10.0;
        assert!(book.retries_sent as f64 <= most, "{} retries of {}", book.retries_sent, book.sent);
        assert!(book.retries_sent >= 10, "a full bucket is there to be used");
        assert_eq!(book.retries_denied, book.sent, "each reading ends for want of budget");
    }
}

#[test]
fn no_attempt_comes_before_the_service_wants_it() {
    // The clocks of these runs begin in 1970.
    const SECONDS: &str = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    const DATE: &str = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: Thu, 01 Jan 1970 00:00:03 GMT\r\nContent-Length: 0\r\n\r\n";
    let rule: Rule = |seq, number| match (seq, number) {
        (1, 1) => SECONDS,
        (2, 1) => DATE,
        _ => OK,
    };
    let retry = r#"{ attempts = 2, first = "1ms", max = "1ms" }"#;
    for (honoured, retry) in
        [(true, retry.to_owned()), (false, retry.replace('}', ", honour_retry_after = false }"))]
    {
        let book = run(&retrying(&retry), rule, 1, Shard::WHOLE);
        assert!(book.readings().all(|sample| sample.outcome == Outcome::Ok));
        let again = |seq: u64| book.readings().filter(move |sample| sample.seq == seq);
        assert!(again(1).chain(again(2)).all(|sample| sample.attempts == 2));
        if honoured {
            assert!(again(1).all(|sample| sample.response_time_ns() >= 1_000 * MS));
            assert!(again(2).all(|sample| sample.actual.unwrap().0 >= 3_000 * MS));
        } else {
            assert!(again(2).any(|sample| sample.actual.unwrap().0 < 3_000 * MS));
        }
    }
}

/// A figure of a bundled service.
fn figure(addr: SocketAddr, pointer: &str) -> u64 {
    let answer = ask(addr, "GET", "/v1/realtime", "");
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    serde_json::from_str::<Value>(body).unwrap().pointer(pointer).and_then(Value::as_u64).unwrap()
}

/// Has the service lose verdicts by chance.
fn drop_verdicts(addr: SocketAddr) {
    let order = r#"{"operation":"start","name":"mute","kind":"verdict-drop","chance":0.4,"seed":3}"#;
    let answer = ask(addr, "POST", "/v1/faults", order);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_reading_that_is_published_again_has_one_effect_and_doubles_are_not_the_services() {
    let delivery = Delivery { idempotent: true, ..Delivery::default() };
    let config = Config { setup: Setup { delivery, faults: true, ..Setup::default() }, ..Config::default() };
    let server = Server::start(&config).unwrap();
    drop_verdicts(server.http_addr());
    let plan = plan(
        r#"
        [scenario]
        name = "retry"
        seed = 7
        [run]
        warm_up = "0s"
        drain = "60s"
        connect_timeout = "60s"
        [[phase]]
        name = "whole"
        duration = "1s"
        [fleet.pumps]
        protocol = "mqtt"
        devices = 10
        rate = "10/s"
        close = "verdict"
        timeout = "60s"
        backlog = 4096
        retry = { attempts = 100, on = "timeout", first = "10ms", factor = 1, timeout = "100ms" }
        "#,
    );
    let url = format!("mqtt://{}", server.mqtt_addr());
    let endpoints = vec![Endpoint::resolve(Protocol::named("mqtt"), &url).unwrap()];
    let (_, book) = drive_shard(&plan, Shard::WHOLE, endpoints, 1, Monotonic::start(), &Control::new());
    check(&book);
    assert!(book.retries_sent > 0 && book.readings().all(|sample| sample.outcome == Outcome::Ok));
    let duplicated = squall::record::AuditFinding::Duplicated;
    assert!(!book.findings.contains(&duplicated), "what the device doubles is no duplicate of the service's");
    let http = server.http_addr();
    wait_until("every PUBLISH has come in", || figure(http, "/readings/duplicates") == book.retries_sent);
    server.stop();
}
