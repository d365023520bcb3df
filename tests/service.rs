//! What each part of the reference system promises, over its endpoints: policies, cache, single flight, repeats, quotas, alerts.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use squall::clock::Monotonic;
use squall::reference::{Config, Server, Status};
use squall::service::{
    Admission, Alerts, Cache, CostKind, Delivery, Discipline, Features, Inference, Overflow, Queue, Quota,
    Semantic, Setup, Window, WindowKind, WorkerMode, Workers,
};
use squall::units::Span;

use crate::client::{Client, wait_for};

/// What its readings are sent by.
trait Sender {
    fn reading(&mut self, device: &str, seq: u64, value: f64, priority: &str) -> (u16, Value);
}

impl Sender for Client {
    fn reading(&mut self, device: &str, seq: u64, value: f64, priority: &str) -> (u16, Value) {
        let body = format!(r#"{{"device":"{device}","seq":{seq},"value":{value},"priority":"{priority}"}}"#);
        self.ask("POST", "/v1/readings", &body)
    }
}

fn serve(setup: Setup) -> Server {
    Server::start(&Config { setup, ..Config::default() }).unwrap()
}

/// What `/v1/realtime` says at a pointer.
fn figure(server: &Server, pointer: &str) -> Value {
    Client::new(server.http_addr()).ask("GET", "/v1/realtime", "").1.pointer(pointer).cloned().unwrap()
}

/// No cache, and an inference that takes `ms` of time but no processor.
fn slow(ms: u64) -> Setup {
    Setup {
        inference: Inference { cost: Span::from_ms(ms), labour: CostKind::Wait, ..Inference::default() },
        cache: Cache { capacity: 0, ..Cache::default() },
        ..Setup::default()
    }
}

fn operate(server: &Server, operation: &str) -> Value {
    let body = format!(r#"{{"operation":"{operation}"}}"#);
    Client::new(server.http_addr()).ask("POST", "/v1/realtime", &body).1
}

/// Clients that send one reading each, so many of each priority, while the service is paused, until it is `full`; outcomes by
/// priority: verdicts and sheds.
fn crowd(
    server: &Server,
    senders: &[(&str, usize)],
    full: impl Fn() -> bool,
) -> BTreeMap<String, (usize, usize)> {
    operate(server, "pause");
    let address = server.http_addr();
    let clients: Vec<_> = senders
        .iter()
        .flat_map(|(priority, count)| (0..*count).map(move |n| ((*priority).to_owned(), n)))
        .map(|(priority, n)| {
            thread::spawn(move || {
                let (status, _) = Client::new(address).reading(&format!("{priority}-{n}"), 1, 1.0, &priority);
                (priority, status)
            })
        })
        .collect();
    wait_for("they wait", full);
    operate(server, "start");
    let mut outcomes = BTreeMap::new();
    for client in clients {
        let (priority, status) = client.join().unwrap();
        let (ok, shed) = outcomes.entry(priority).or_insert((0, 0));
        match status {
            200 => *ok += 1,
            503 => *shed += 1,
            other => panic!("status {other}"),
        }
    }
    outcomes
}

#[test]
fn critical_readings_get_through_and_low_ones_pay_as_the_policy_says() {
    for (overflow, low_is_shed) in [(Overflow::DropLowest, true), (Overflow::Block, false)] {
        let queue = Queue { capacity: 6, overflow, ..Queue::default() };
        let server = serve(Setup { queue, ..slow(20) });
        // Whoever must wait for room has not come in yet.
        let full = || {
            let all_are_in = figure(&server, "/readings/received").as_u64() >= Some(20);
            let all_wait = figure(&server, "/connections/http").as_u64() > Some(20);
            all_are_in || overflow == Overflow::Block && all_wait
        };
        let outcomes = crowd(&server, &[("low", 16), ("critical", 4)], full);
        assert_eq!(outcomes["critical"], (4, 0), "{}", overflow.name());
        assert_eq!(outcomes["low"].1 > 0, low_is_shed, "{}: {outcomes:?}", overflow.name());
        assert_eq!(outcomes["low"].0 + outcomes["low"].1, 16, "nothing is without an answer");
        server.stop();
    }
}

#[test]
fn work_that_is_no_longer_worth_it_is_not_done() {
    let queue = Queue { deadline: Some(Span::from_ms(50)), ..Queue::default() };
    let server = serve(Setup { queue, ..slow(1) });
    let outcomes = crowd(&server, &[("medium", 12)], || {
        let all_wait = figure(&server, "/queue/depth") == 12;
        if all_wait {
            thread::sleep(Duration::from_millis(60));
        }
        all_wait
    });
    assert_eq!(outcomes["medium"], (0, 12), "all have waited for longer than that");
    // One that comes alone does not wait, unless the machine stands still just then.
    let mut client = Client::new(server.http_addr());
    assert!((0..100).any(|seq| client.reading("in-time", seq, 1.0, "medium").0 == 200));
    server.stop();
}

#[test]
fn one_inference_serves_all_who_wait_for_it_and_a_flush_costs_one_more() {
    let workers = Workers { count: 2, mode: WorkerMode::Async, ..Workers::default() };
    let server = serve(Setup { workers, cache: Cache::default(), ..slow(300) });
    for round in 1..=2 {
        // Devices that are new all have the same vector.
        let senders = [("critical", 8), ("low", 8)];
        let outcomes = crowd(&server, &senders, || figure(&server, "/queue/depth") == 16);
        assert_eq!((outcomes["critical"], outcomes["low"]), ((8, 0), (8, 0)));
        assert_eq!(figure(&server, "/cache/missed"), round, "one inference for sixteen readings");
        let forgotten =
            Client::new(server.http_addr()).ask("POST", "/v1/cache", r#"{"operation":"flush"}"#).1;
        assert_eq!(forgotten["forgotten"], 1);
        for priority in ["critical", "low"] {
            for n in 0..8 {
                let body = format!(r#"{{"operation":"device","device":"{priority}-{n}"}}"#);
                Client::new(server.http_addr()).ask("POST", "/v1/cache", &body);
            }
        }
    }
    // Who comes to a worker after the inference is over is served from the cache.
    let [coalesced, hit] =
        ["coalesced", "exact"].map(|key| figure(&server, &format!("/cache/{key}")).as_u64());
    assert!(coalesced > Some(0) && coalesced.unwrap() + hit.unwrap() >= 30, "{coalesced:?} {hit:?}");
    server.stop();
}

#[test]
fn hits_are_what_the_service_says_they_are_and_no_score_crosses_a_version() {
    let semantic = Some(Semantic { vectors: 64, epsilon: 0.5 });
    let cache = Cache { semantic, audit: true, ..Cache::default() };
    let server = serve(Setup { cache, ..Setup::default() });
    let mut client = Client::new(server.http_addr());
    let mut counted: BTreeMap<String, u64> = BTreeMap::new();
    let mut noise = 7_u64;
    for seq in 0..2_000 {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let value = 20.0 + (noise >> 40) as f64 / 1e7;
        let (_, verdict) = client.reading(&format!("d-{}", seq % 5), seq, value, "low");
        assert_eq!(verdict["model"], 1);
        *counted.entry(verdict["cache"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    for (tier, key) in [("exact", "exact"), ("semantic", "semantic"), ("miss", "missed")] {
        let said = figure(&server, &format!("/cache/{key}")).as_u64().unwrap();
        assert_eq!(said, counted.get(tier).copied().unwrap_or(0), "{tier} of {counted:?}");
    }
    assert!(counted["exact"] > 10 && counted["semantic"] > 100, "{counted:?}");
    assert_eq!(figure(&server, "/cache/audited"), counted["semantic"]);
    let raised = client.ask("POST", "/v1/cache", r#"{"operation":"version","model":"histograms"}"#).1;
    assert_eq!(raised["version"], 2);
    let (_, verdict) = client.reading("d-0", 10_000, 20.0, "low");
    assert_eq!(
        (&verdict["model"], &verdict["cache"]),
        (&2.into(), &"miss".into()),
        "nothing of version 1 is served"
    );
    server.stop();
}

#[test]
fn stages_add_up_to_the_time_in_the_service() {
    let inference = Inference { cost: Span::from_ms(2), ..Inference::default() };
    let server =
        serve(Setup { inference, cache: Cache { capacity: 0, ..Cache::default() }, ..Setup::default() });
    let mut client = Client::new(server.http_addr());
    for seq in 0..50 {
        let (_, verdict) = client.reading("d", seq, 1.0, "low");
        let stages = verdict["stages"].as_object().unwrap();
        let total = stages["total_ns"].as_f64().unwrap();
        let sum: f64 = stages.values().map(|time| time.as_f64().unwrap()).sum::<f64>() - total;
        assert!((sum - total).abs() <= 0.05 * total + 20_000.0, "{stages:?}");
        assert!(stages["inference_ns"].as_f64().unwrap() >= 2e6, "{stages:?}");
    }
    server.stop();
}

#[test]
fn a_reading_that_comes_twice_has_one_effect_and_the_same_verdict() {
    let delivery = Delivery { idempotent: true, ..Delivery::default() };
    let server = serve(Setup { delivery, ..Setup::default() });
    let mut client = Client::new(server.http_addr());
    let mut last = Value::Null;
    for seq in 0..40 {
        let value = if seq == 39 { 500.0 } else { 20.0 + (seq % 3) as f64 * 0.1 };
        last = client.reading("d", seq, value, "low").1;
    }
    assert_eq!(last["anomaly"], true);
    let again = client.reading("d", 39, 500.0, "low").1;
    assert_eq!(
        (&again["duplicate"], &again["score"], &again["level"], &again["model"]),
        (&true.into(), &last["score"], &last["level"], &last["model"])
    );
    // Which model judged a reading does not change when that is replaced.
    client.ask("POST", "/v1/cache", r#"{"operation":"version"}"#);
    assert_eq!(client.reading("d", 39, 500.0, "low").1["model"], 1);
    assert_eq!(client.reading("d", 2, 20.2, "low").1["model"], 2, "what was said is forgotten");
    assert_eq!(figure(&server, "/alerts/raised"), 1, "nobody is alerted twice");
    assert_eq!(figure(&server, "/readings/duplicates"), 3);
    server.stop();
}

#[test]
fn a_second_run_against_one_service_is_not_judged_by_the_first() {
    let server = serve(Setup::default());
    let mut client = Client::new(server.http_addr());
    for level in [20.0, 80.0] {
        for seq in 0..60 {
            client.reading("d", seq, level + (seq % 3) as f64 * 0.1, "low");
        }
    }
    assert_eq!(figure(&server, "/alerts/raised"), 0);
    client.reading("d", 60, 20.0, "low");
    assert_eq!(figure(&server, "/alerts/raised"), 1, "within a run the same leap is an anomaly");
    server.stop();
}

#[test]
fn a_noisy_device_gets_its_quota_and_others_do_not_notice() {
    let quota = Quota { rate: "1/s".parse().unwrap(), burst: 5 };
    let admission = Admission { device: Some(quota), ..Admission::default() };
    let server = serve(Setup { admission, ..Setup::default() });
    let mut client = Client::new(server.http_addr());
    let clock = Monotonic::start();
    let statuses: Vec<u16> = (0..200).map(|seq| client.reading("noisy", seq, 1.0, "low").0).collect();
    let most = 5.0 + clock.now().as_secs_f64();
    let passed = statuses.iter().filter(|status| **status == 200).count();
    assert!(passed >= 5 && passed as f64 <= most, "{passed} of at most {most}");
    assert!(statuses.iter().all(|status| [200, 429].contains(status)));
    assert_eq!(client.reading("quiet", 0, 1.0, "low").0, 200);
    server.stop();
}

#[test]
fn a_list_is_answered_in_its_order_whatever_happens_to_its_parts() {
    let server = serve(Setup::default());
    let list = r#"[{"device":"a","seq":1,"value":1},{"device":"b"},{"device":"a","seq":2,"value":1,"priority":"critical"}]"#;
    let (status, answers) = Client::new(server.http_addr()).ask("POST", "/v1/readings", list);
    let told: Vec<(&str, u64)> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| (answer["type"].as_str().unwrap(), answer["seq"].as_u64().unwrap_or(0)))
        .collect();
    assert_eq!((status, told), (200, vec![("verdict", 1), ("error", 0), ("verdict", 2)]));
    let (_, letters) = Client::new(server.http_addr()).ask("GET", "/v1/dead-letters", "");
    assert_eq!(
        (&letters[0]["protocol"], &letters[0]["beginning"]),
        (&"http".into(), &r#"{"device":"b"}"#.into())
    );
    server.stop();
}

#[test]
fn a_crashed_worker_is_answered_for_and_comes_back() {
    let crashing = |restart_ms| {
        let workers = Workers { restart: Span::from_ms(restart_ms), ..Workers::default() };
        let server = serve(Setup { workers, faults: true, ..Setup::default() });
        let mut client = Client::new(server.http_addr());
        assert_eq!(client.ask("POST", "/v1/faults", r#"{"operation":"crash-worker"}"#).0, 200);
        let (status, answer) = client.reading("d", 0, 1.0, "low");
        assert_eq!((status, &answer["reason"]), (503, &"crashed".into()));
        (server, client)
    };
    let (server, _) = crashing(600_000);
    // The answer is on its way before the worker has quite gone.
    wait_for("its only worker is gone", || server.health().status == Status::Unhealthy);
    // Stopping would wait for it.
    std::mem::forget(server);
    let (server, mut client) = crashing(200);
    // It waits in the queue until the worker is back.
    assert_eq!(client.reading("d", 1, 1.0, "low").0, 200);
    server.stop();
    let server = serve(Setup::default());
    let refused =
        Client::new(server.http_addr()).ask("POST", "/v1/faults", r#"{"operation":"crash-worker"}"#);
    assert_eq!(refused.0, 403, "not unless it was asked for");
    server.stop();
}

#[test]
fn paused_readings_wait_and_stopped_ones_are_refused() {
    let server = serve(Setup {
        queue: Queue { discipline: Discipline::Fifo, ..Queue::default() },
        ..Setup::default()
    });
    let address = server.http_addr();
    assert_eq!(operate(&server, "pause")["operation"], "paused");
    let waiting = thread::spawn(move || Client::new(address).reading("d", 0, 1.0, "low").0);
    wait_for("it waits", || figure(&server, "/queue/low") == 1);
    operate(&server, "start");
    assert_eq!(waiting.join().unwrap(), 200);
    operate(&server, "stop");
    let (status, answer) = Client::new(address).reading("d", 1, 1.0, "low");
    assert_eq!((status, &answer["reason"]), (503, &"stopped".into()));
    server.stop();
}

#[test]
fn alerts_reach_pollers_and_streams_and_windows_close_in_event_time() {
    let window = Window {
        kind: WindowKind::Tumbling,
        length: Span::from_ms(1_000),
        slide: Span::ZERO,
        gap: Span::ZERO,
        lateness: Span::ZERO,
        history: 2,
    };
    let setup = Setup {
        features: Features { window: Some(window), ..Features::default() },
        alerts: Alerts::default(),
        ..Setup::default()
    };
    let server = serve(setup);
    let address = server.http_addr();
    let poller = thread::spawn(move || Client::new(address).ask("GET", "/v1/alerts?wait_ms=20000", "").1);
    let mut events = TcpStream::connect(address).unwrap();
    events.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    events.write_all(b"GET /v1/alerts/stream HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    wait_for("both listen", || figure(&server, "/alerts/subscribers") == 2);
    let mut client = Client::new(address);
    for seq in 0..40_u64 {
        let value = if seq == 39 { 500.0 } else { 20.0 + (seq % 3) as f64 * 0.1 };
        let body =
            format!(r#"{{"device":"d 1","seq":{seq},"value":{value},"intended_ns":{}}}"#, seq * 100_000_000);
        client.ask("POST", "/v1/readings", &body);
    }
    assert_eq!(poller.join().unwrap()["alerts"][0]["device"], "d 1");
    let mut heard = String::new();
    let mut stream = BufReader::new(events);
    while !heard.contains("data: {\"type\":\"alert\"") {
        assert!(stream.read_line(&mut heard).unwrap() > 0, "{heard}");
    }
    assert!(heard.contains("text/event-stream") && heard.contains("id: 1\n"), "{heard}");
    let device = client.ask("GET", "/v1/devices/d%201", "").1;
    assert_eq!((&device["windows_closed"], &device["window"]["count"]), (&3.into(), &10.into()), "{device}");
    assert_eq!(client.ask("GET", "/v1/devices/nobody", "").0, 404);
    server.stop();
}

#[test]
fn closed_windows_are_listed_and_pushed_and_told_once() {
    let window = Window {
        kind: WindowKind::Tumbling,
        length: Span::from_ms(1_000),
        slide: Span::ZERO,
        gap: Span::ZERO,
        lateness: Span::ZERO,
        history: 3,
    };
    let server = serve(Setup {
        features: Features { window: Some(window), ..Features::default() },
        ..Setup::default()
    });
    let address = server.http_addr();
    let mut client = Client::new(address);
    let mut send = |device: &str, second: u64| {
        let body = format!(
            r#"{{"device":"{device}","seq":{second},"value":{second},"intended_ns":{}}}"#,
            second * 1_000_000_000
        );
        assert_eq!(client.ask("POST", "/v1/readings", &body).0, 200);
    };
    let poller = thread::spawn(move || Client::new(address).ask("GET", "/v1/windows?wait_ms=20000", "").1);
    let mut events = TcpStream::connect(address).unwrap();
    events.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    events.write_all(b"GET /v1/windows/stream?device=b&since=0 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    // The first reading of each device closes nothing, every further one the window of the one before.
    (0..3).for_each(|second| ["a", "b"].iter().for_each(|device| send(device, second)));
    assert_eq!(poller.join().unwrap()["windows"][0]["type"], "window");
    let list = |query: &str| {
        let page = Client::new(address).ask("GET", &format!("/v1/windows{query}"), "").1;
        let ids = page["windows"].as_array().unwrap().iter().map(|window| window["id"].as_u64().unwrap());
        (ids.collect::<Vec<_>>(), page["last"].as_u64().unwrap(), page["forgotten"].as_u64().unwrap())
    };
    wait_for("four are closed", || list("?since=99").1 == 4);
    for (query, expected) in [
        ("", (vec![2, 3, 4], 4, 1)),
        ("?since=2", (vec![3, 4], 4, 0)),
        ("?since=1&limit=2", (vec![2, 3], 3, 0)),
        ("?since=1&device=a", (vec![3], 4, 0)),
        ("?since=4", (vec![], 4, 0)),
    ] {
        assert_eq!(list(query), expected, "{query}");
    }
    let mut heard = String::new();
    let mut stream = BufReader::new(events);
    while !heard.contains("id: 4\n") || !heard.ends_with("\n\n") {
        assert!(stream.read_line(&mut heard).unwrap() > 0, "{heard}");
    }
    let numbers: Vec<&str> = heard.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(numbers, ["2", "4"], "{heard}");
    assert!(
        heard.contains("event: window") && heard.contains(r#""device":"b","start_ns":1000000000,"#),
        "{heard}"
    );
    server.stop();
}

#[test]
fn only_the_classes_of_devices_that_were_started_are_taken() {
    let server = serve(Setup::default());
    let mut client = Client::new(server.http_addr());
    let operate = |client: &mut Client, body: &str| client.ask("POST", "/v1/realtime", body);
    let (status, told) = operate(&mut client, r#"{"operation":"start","topics":["pump","meters-0"]}"#);
    assert_eq!((status, &told["topics"]), (200, &serde_json::json!(["pump", "meters-0"])));
    for (device, expected) in [("pump-1", 200), ("meters-017", 200), ("meters-17", 503), ("a-pump", 503)] {
        let (status, answer) = client.reading(device, 1, 1.0, "low");
        assert_eq!(status, expected, "{device}: {answer}");
        assert!(status == 200 || answer["reason"] == "stopped", "{answer}");
    }
    for body in [
        r#"{"operation":"start","topics":[]}"#,
        r#"{"operation":"start","topics":[""]}"#,
        r#"{"operation":"start","topics":"pump"}"#,
        r#"{"operation":"stop","topics":["pump"]}"#,
        r#"{"operation":"start","device":"pump-1"}"#,
    ] {
        assert_eq!(operate(&mut client, body).0, 400, "{body}");
    }
    let (_, told) = operate(&mut client, r#"{"operation":"start"}"#);
    assert_eq!((&told["topics"], client.reading("meters-17", 2, 1.0, "low").0), (&Value::Null, 200));
    server.stop();
}

#[test]
fn a_list_of_a_thousand_readings_fits_however_long_they_are() {
    let server = serve(Setup::default());
    let mut client = Client::new(server.http_addr());
    let reading = |seq: usize| {
        let device = "\\ud83d\\ude00".repeat(128);
        let intended = u64::MAX;
        format!(
            r#"{{"device":"{device}","seq":{seq},"value":-1.7976931348623157e+299,"priority":"critical","intended_ns":{intended},"run":"k3x9q2ab"}}"#
        )
    };
    let list = |count: usize| format!("[{}]", (0..count).map(reading).collect::<Vec<_>>().join(", "));
    let (status, answers) = client.ask("POST", "/v1/readings", &list(1_000));
    let answers = answers.as_array().unwrap();
    assert_eq!((status, answers.len()), (200, 1_000));
    assert!(answers.iter().all(|answer| answer["type"] == "verdict"), "{:?}", answers[0]);
    assert_eq!(client.ask("POST", "/v1/readings", &list(1_001)).0, 413, "more are too many");
    let padded = format!(r#"{{"device":"d","seq":1,"value":1,"x":"{}"}}"#, "x".repeat(65_536));
    assert_eq!(Client::new(server.http_addr()).ask("POST", "/v1/readings", &padded).0, 413, "one is no list");
    server.stop();
}

#[test]
fn numbers_are_taken_as_json_writes_them_up_to_what_is_stated() {
    let server = serve(Setup { faults: true, ..Setup::default() });
    let mut client = Client::new(server.http_addr());
    for (method, path, body, expected) in [
        ("POST", "/v1/readings", r#"{"device":"d","seq":47593.0,"value":1,"intended_ns":1e3}"#, 200),
        ("POST", "/v1/readings", r#"{"device":"d","seq":1.5,"value":1}"#, 400),
        ("POST", "/v1/readings", r#"{"device":"d","seq":1,"value":1e300}"#, 200),
        ("POST", "/v1/readings", r#"{"device":"d","seq":1,"value":-1.1e300}"#, 400),
        ("GET", "/v1/alerts?limit=1000&wait_ms=0&after=3.0", "", 200),
        ("GET", "/v1/alerts?limit=1001", "", 400),
        ("GET", "/v1/alerts?limit=0", "", 400),
        ("GET", "/v1/alerts?wait_ms=60001", "", 400),
        ("POST", "/v1/faults", r#"{"operation":"queue","capacity":9.0}"#, 200),
        ("POST", "/v1/faults", r#"{"operation":"queue","capacity":1000001}"#, 400),
        ("POST", "/v1/faults", r#"{"operation":"crash-worker","factor":null}"#, 400),
        (
            "POST",
            "/v1/faults",
            r#"{"operation":"start","name":"a","kind":"errors","chance":0,"seed":7.0}"#,
            200,
        ),
        ("POST", "/v1/cache", r#"{"operation":"flush","device":"d"}"#, 400),
        ("POST", "/v1/cache", r#"{"operation":"warm","keys":["0 8 0 0 0 0"]}"#, 200),
        ("POST", "/v1/cache", r#"{"operation":"warm","keys":["0 8 +1 0 0 0"]}"#, 400),
    ] {
        let (status, answer) = client.ask(method, path, body);
        assert_eq!(status, expected, "{path} {body}: {answer}");
    }
    let many = format!(r#"{{"operation":"warm","keys":[{}]}}"#, vec![r#""0 8 0 0 0 0""#; 2_001].join(","));
    assert_eq!(client.ask("POST", "/v1/cache", &many).0, 400);
    let longest = "é".repeat(128);
    assert_eq!(client.reading(&longest, 1, 1.0, "low").0, 200);
    assert_eq!(client.reading(&format!("{longest}é"), 1, 1.0, "low").0, 400);
    server.stop();
}

#[test]
fn web_sockets_are_told_that_the_service_stops() {
    use tokio_tungstenite::tungstenite::{Message, client};
    for path in ["/v1/alerts/ws", "/v1/stream"] {
        let server = serve(Setup::default());
        let mut sockets: Vec<_> = (0..20)
            .map(|_| {
                let stream = TcpStream::connect(server.http_addr()).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                client(format!("ws://{}{path}", server.http_addr()), stream).unwrap().0
            })
            .collect();
        wait_for("all are open", || figure(&server, "/connections/ws") == 20);
        let stopping = thread::spawn(move || server.stop());
        for socket in &mut sockets {
            let Ok(Message::Close(Some(close))) = socket.read() else { panic!("{path}: no farewell") };
            assert_eq!(u16::from(close.code), 1_001, "{path}");
        }
        stopping.join().unwrap();
    }
}
