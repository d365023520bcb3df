//! Faults of the reference system on purpose, over its endpoints: every kind on every protocol where it applies, that undoing
//! restores, that nothing stays, and that nothing leaks.

mod books;
mod client;

use std::cell::Cell;
use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use squall::reference::{Config, Server, Status};
use squall::service::{Cache, CostKind, Inference, Queue, Setup, Workers};
use squall::units::Span;

use self::client::{Device, Heard, Http, Mqtt, Packet, Ws};

fn serve(setup: Setup) -> Server {
    Server::start(&Config { setup: Setup { faults: true, ..setup }, ..Config::default() }).unwrap()
}

/// An inference that takes `ms` of time but no processor.
fn waits(ms: u64) -> Inference {
    Inference { cost: Span::from_ms(ms), labour: CostKind::Wait, ..Inference::default() }
}

/// The control API, with a connection of its own.
struct Control<'s> {
    server: &'s Server,
    http: Http,
}

impl<'s> Control<'s> {
    fn of(server: &'s Server) -> Self {
        Self { server, http: Http::new(server) }
    }

    fn post(&mut self, command: &Value) -> (u16, Value) {
        let response = self.http.ask("POST", "/v1/faults", &command.to_string());
        (response.status, response.json())
    }

    /// Switches a fault on.
    fn start(&mut self, name: &str, kind: &str, parameters: &Value) -> Value {
        let mut command = json!({"operation": "start", "name": name, "kind": kind, "seed": 1});
        command.as_object_mut().unwrap().extend(parameters.as_object().unwrap().clone());
        let (status, told) = self.post(&command);
        assert_eq!((status, &told["name"], &told["kind"]), (200, &name.into(), &kind.into()), "{told}");
        told
    }

    /// Switches a fault off; how often it acted.
    fn stop(&mut self, name: &str) -> u64 {
        let (status, told) = self.post(&json!({"operation": "stop", "name": name}));
        assert_eq!((status, &told["name"]), (200, &name.into()), "{told}");
        told["acted"].as_u64().unwrap()
    }

    fn list(&mut self) -> Vec<Value> {
        self.http.ask("GET", "/v1/faults", "").json().as_array().unwrap().clone()
    }

    fn acted(&mut self, name: &str) -> u64 {
        let list = self.list();
        let fault = list.iter().find(|fault| fault["name"] == name);
        fault.unwrap()["acted"].as_u64().unwrap()
    }

    fn figure(&mut self, pointer: &str) -> Value {
        self.http.ask("GET", "/v1/realtime", "").json().pointer(pointer).cloned().unwrap()
    }

    fn health(&mut self) -> (u16, Value) {
        let response = self.http.ask("GET", "/health", "");
        (response.status, response.json())
    }
}

/// Waits for what must come to be.
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("never: {what}");
}

fn is_verdict(heard: &Heard, seq: u64) -> bool {
    heard.answers.len() == 1 && heard.answers[0]["type"] == "verdict" && heard.answers[0]["seq"] == seq
}

/// What one reading hears while a fault is on, how often that acted on it, and what HTTP says.
struct Case {
    kind: &'static str,
    parameters: Value,
    types: [&'static [&'static str]; 3],
    acted: [u64; 3],
    status: (u16, Option<u64>),
}

fn cases() -> Vec<Case> {
    const ONE: &[&str] = &["verdict"];
    let case = |kind, parameters, types, acted, status| Case { kind, parameters, types, acted, status };
    vec![
        case("errors", json!({"chance": 1}), [&["error"]; 3], [1; 3], (500, None)),
        case("errors", json!({"chance": 0}), [ONE; 3], [0; 3], (200, None)),
        case(
            "overload",
            json!({"chance": 1, "retry_after_ms": 1_500}),
            [&["shed"]; 3],
            [1; 3],
            (429, Some(2)),
        ),
        case("verdict-delay", json!({"delay_ms": 50}), [ONE; 3], [1; 3], (200, None)),
        case(
            "verdict-duplicate",
            json!({"chance": 1}),
            [ONE, &["verdict"; 2], &["verdict"; 2]],
            [0, 1, 1],
            (200, None),
        ),
        case("verdict-drop", json!({"chance": 1}), [&[]; 3], [1; 3], (0, None)),
    ]
}

#[test]
fn every_protocol_hears_what_the_fault_says_and_undoing_restores() {
    let server = serve(Setup::default());
    let mut control = Control::of(&server);
    for (place, protocol) in Device::PROTOCOLS.into_iter().enumerate() {
        for Case { kind, parameters, types, acted, status, .. } in cases() {
            let mut device = Device::new(protocol, &server);
            control.start("it", kind, &parameters);
            device.send("d", 7);
            if kind == "verdict-drop" {
                wait_for("the verdict vanishes", || control.acted("it") == 1);
            }
            let heard = device.hear(types[place].len());
            let told: Vec<&str> =
                heard.answers.iter().map(|answer| answer["type"].as_str().unwrap()).collect();
            assert_eq!(told, types[place], "{kind} over {protocol}");
            for answer in &heard.answers {
                assert_eq!(
                    (&answer["device"], &answer["seq"]),
                    (&"d".into(), &7.into()),
                    "{kind} {protocol}"
                );
                match kind {
                    "errors" if told == ["error"] => assert_eq!(answer["reason"], "injected"),
                    "overload" => {
                        assert_eq!(
                            (&answer["reason"], &answer["retry_after_ms"]),
                            (&"overload".into(), &1_500.into())
                        );
                    }
                    "verdict-delay" => assert!(answer["stages"]["reply_ns"].as_u64().unwrap() >= 50_000_000),
                    _ => {}
                }
            }
            if heard.status.is_some() {
                assert_eq!(heard.status, Some(status), "{kind}");
            }
            assert_eq!(control.stop("it"), acted[place], "{kind} over {protocol}");
            if protocol == "http" {
                // A response that never came still is the next one due.
                device = Device::new(protocol, &server);
            }
            device.send("d", 8);
            let heard = device.hear(1);
            assert!(is_verdict(&heard, 8), "{kind} over {protocol} is undone: {heard:?}");
        }
    }
    assert_eq!(control.figure("/operation"), "running");
    server.stop();
}

#[test]
fn draws_are_seeded_and_each_act_is_counted() {
    let struck = |protocol: &str, seed: u64| -> Vec<u64> {
        let server = serve(Setup::default());
        let (mut control, mut device) = (Control::of(&server), Device::new(protocol, &server));
        control.start("half", "errors", &json!({"chance": 0.5, "seed": seed}));
        let mut struck = Vec::new();
        for seq in 0..40 {
            device.send("d", seq);
            if device.hear(1).answers[0]["type"] == "error" {
                struck.push(seq);
            }
        }
        assert_eq!(control.stop("half"), struck.len() as u64);
        assert_eq!(control.figure("/readings/verdicts"), 40 - struck.len());
        server.stop();
        struck
    };
    let first = struck("http", 1);
    assert!((5..=35).contains(&first.len()), "{first:?}");
    assert_eq!(struck("ws", 1), first);
    assert_eq!(struck("mqtt", 1), first);
    assert_ne!(struck("http", 2), first);
}

#[test]
fn factors_multiply_delays_add_and_both_end() {
    let server = serve(Setup { inference: waits(1), ..Setup::default() });
    let mut control = Control::of(&server);
    let mut device = Device::new("ws", &server);
    // Every reading is a miss.
    control.start("no-cache", "cache-off", &json!({}));
    let seq = Cell::new(0_u64);
    let mut stage = |name: &str| {
        seq.set(seq.get() + 1);
        device.send("d", seq.get());
        device.hear(1).answers[0]["stages"][name].as_u64().unwrap()
    };
    control.start("a", "slow", &json!({"factor": 5}));
    assert!(stage("inference_ns") >= 5_000_000);
    control.start("b", "slow", &json!({"factor": 8}));
    assert!(stage("inference_ns") >= 40_000_000);
    assert_eq!((control.stop("a"), control.stop("b")), (2, 1));
    // A machine that stands still makes some of them as slow, but not all.
    assert!((0..200).any(|_| stage("inference_ns") < 40_000_000), "the factors are gone");
    control.start("c", "verdict-delay", &json!({"delay_ms": 30}));
    control.start("d", "verdict-delay", &json!({"delay_ms": 40}));
    assert!(stage("reply_ns") >= 70_000_000);
    assert_eq!((control.stop("c"), control.stop("d")), (1, 1));
    assert!((0..200).any(|_| stage("reply_ns") < 70_000_000), "the delays are gone");
    let (_, told) = control.post(&json!({"operation": "stop-all"}));
    assert_eq!((&told["stopped"][0]["name"], &told["acted"]), (&"no-cache".into(), &seq.get().into()));
    server.stop();
    let server = serve(Setup::default());
    let told = Control::of(&server).start("a", "slow", &json!({"factor": 5}));
    assert!(told["note"].as_str().unwrap().contains("inference.cost"), "{told}");
    server.stop();
}

#[test]
fn a_crash_answers_each_reading_under_way_once_and_workers_come_back() {
    let workers = Workers { count: 3, restart: Span::from_ms(20), ..Workers::default() };
    // Nobody waits for another's inference.
    let cache = Cache { capacity: 0, single_flight: false, ..Cache::default() };
    let server = serve(Setup { workers, cache, inference: waits(3_000), ..Setup::default() });
    let mut control = Control::of(&server);
    wait_for("workers", || control.figure("/workers") == 3);
    let mut device = Device::new("ws", &server);
    for seq in 0..6 {
        device.send(&format!("d-{seq}"), seq);
    }
    wait_for("readings under way", || {
        control.figure("/readings/received") == 6 && control.figure("/queue/depth").as_u64().unwrap() <= 5
    });
    let told = control.start("bang", "crash", &json!({"workers": 99}));
    assert_eq!(told["acted"], 3, "there are no more");
    assert!(control.list().is_empty(), "it is over at once");
    let heard = device.hear(6);
    let mut answered: Vec<u64> = heard.answers.iter().map(|answer| answer["seq"].as_u64().unwrap()).collect();
    answered.sort_unstable();
    assert_eq!(answered, [0, 1, 2, 3, 4, 5], "each once");
    let crashed = heard.answers.iter().filter(|answer| answer["reason"] == "crashed").count();
    assert!((1..=3).contains(&crashed), "what a worker had at hand, and no more: {heard:?}");
    wait_for("workers are back", || control.figure("/workers") == 3);
    assert_eq!(control.stop("bang"), 3, "what happened at an instant can be asked about");
    assert_eq!(control.post(&json!({"operation": "stop", "name": "bang"})).0, 404, "once");
    // The service as such crashes nobody who idles without starting him again.
    assert_eq!(control.start("bang", "crash", &json!({"workers": 1}))["acted"], 1);
    wait_for("it crashed", || {
        control.http.ask("GET", "/metrics", "").text.contains("squall_worker_crashes_total 4")
    });
    wait_for("it is back", || control.figure("/workers") == 3);
    server.stop();
}

#[test]
fn a_stalled_service_fills_its_queue_says_so_and_drains_it() {
    let queue = Queue { capacity: 3, ..Queue::default() };
    let server = serve(Setup { queue, ..Setup::default() });
    let (mut control, mut device) = (Control::of(&server), Device::new("ws", &server));
    control.start("one", "stall", &json!({}));
    control.start("two", "stall", &json!({}));
    for seq in 0..4 {
        device.send("d", seq);
    }
    let refused = device.hear(1).answers;
    assert_eq!((&refused[0]["seq"], &refused[0]["reason"]), (&3.into(), &"queue_full".into()));
    assert_eq!(control.stop("one"), 3, "what both do is counted for the first");
    let (status, health) = control.health();
    assert_eq!((status, &health["status"], &health["queue_depth"]), (503, &"unhealthy".into(), &3.into()));
    // Who reads the answer may have it as one that did not fail.
    for (query, expected) in
        [("unhealthy=200", 200), ("unhealthy=503", 503), ("other=1", 503), ("unhealthy=1", 400)]
    {
        let told = control.http.ask("GET", &format!("/health?{query}"), "");
        assert_eq!(told.status, expected, "{query}");
        assert_eq!(told.json()["status"] == "unhealthy", expected != 400, "{query}");
    }
    let reasons = health["reasons"].to_string();
    assert!(reasons.contains("`two` (stall)") && !reasons.contains("`one`"), "{reasons}");
    assert_eq!(server.health().status, Status::Unhealthy);
    control.stop("two");
    let drained = device.hear(3).answers;
    assert!(drained.iter().all(|answer| answer["type"] == "verdict"), "{drained:?}");
    assert!(!control.health().1["reasons"].to_string().contains("fault"));
    // What was asked for otherwise stays.
    let operate = |control: &mut Control<'_>, operation: &str| {
        control.http.ask("POST", "/v1/realtime", &json!({"operation": operation}).to_string());
    };
    operate(&mut control, "pause");
    control.start("three", "stall", &json!({}));
    control.stop("three");
    device.send("d", 9);
    wait_for("it waits", || control.figure("/queue/depth") == 1);
    operate(&mut control, "start");
    assert!(is_verdict(&device.hear(1), 9));
    server.stop();
}

#[test]
fn a_cache_is_emptied_or_passed_by() {
    let server = serve(Setup::default());
    let (mut control, mut device) = (Control::of(&server), Device::new("http", &server));
    let mut count = 0;
    // Devices that are new all have the same vector.
    let mut tier = || {
        count += 1;
        device.send(&format!("d-{count}"), 0);
        device.hear(1).answers[0]["cache"].as_str().unwrap().to_owned()
    };
    assert_eq!([tier(), tier()], ["miss", "exact"]);
    control.start("off", "cache-off", &json!({}));
    assert_eq!([tier(), tier()], ["miss", "miss"]);
    assert_eq!(control.stop("off"), 2);
    assert_eq!([tier(), tier()], ["exact", "exact"], "it was passed by, not emptied");
    assert_eq!(control.start("empty", "cache-flush", &json!({}))["acted"], 1);
    assert_eq!([tier(), tier()], ["miss", "exact"]);
    control.start("off", "cache-off", &json!({}));
    control.start("empty", "cache-flush", &json!({}));
    assert_eq!(tier(), "miss");
    control.stop("off");
    assert_eq!([tier(), tier()], ["miss", "exact"], "nothing was remembered meanwhile");
    server.stop();
}

#[test]
fn a_queue_that_shrinks_keeps_what_waits() {
    let queue = Queue { capacity: 10, ..Queue::default() };
    let server = serve(Setup { queue, ..Setup::default() });
    let (mut control, mut device) = (Control::of(&server), Device::new("mqtt", &server));
    control.start("still", "stall", &json!({}));
    for seq in 0..4 {
        device.send("d", seq);
    }
    wait_for("four wait", || control.figure("/queue/depth") == 4);
    control.start("small", "queue-shrink", &json!({"capacity": 2}));
    control.start("smaller", "queue-shrink", &json!({"capacity": 1}));
    assert_eq!([control.figure("/queue/depth"), control.figure("/queue/capacity")], [4, 1]);
    device.send("d", 4);
    assert_eq!(device.hear(1).answers[0]["reason"], "queue_full");
    control.stop("smaller");
    assert_eq!(control.figure("/queue/capacity"), 2);
    assert_eq!(control.post(&json!({"operation": "queue", "capacity": 7})).0, 200);
    assert_eq!(control.figure("/queue/capacity"), 2, "the least of them");
    assert_eq!(control.stop("small"), 1);
    assert_eq!(control.figure("/queue/capacity"), 7);
    device.send("d", 5);
    wait_for("five wait", || control.figure("/queue/depth") == 5);
    control.stop("still");
    assert_eq!(device.hear(5).answers.len(), 5);
    server.stop();
}

#[test]
fn publishers_without_acknowledgement_are_still_worked_for() {
    let server = serve(Setup::default());
    let (mut control, mut mqtt) = (Control::of(&server), Mqtt::new(&server, "d"));
    control.start("mute", "puback-withheld", &json!({}));
    mqtt.publish("d", 1, 1, 11);
    assert!(matches!(mqtt.next(), Packet::Message(verdict) if verdict["seq"] == 1));
    mqtt.publish("d", 2, 2, 12);
    assert!(matches!(mqtt.next(), Packet::Message(verdict) if verdict["seq"] == 2));
    mqtt.publish("d", 2, 2, 12);
    assert_eq!(mqtt.rest(), []);
    assert_eq!(control.stop("mute"), 3);
    mqtt.publish("d", 2, 2, 12);
    assert_eq!(mqtt.rest(), [Packet::Pubrec(12)], "it was worked on: sent again, it is not new");
    mqtt.publish("d", 3, 1, 13);
    assert_eq!(mqtt.next(), Packet::Puback(13));
    assert!(matches!(mqtt.next(), Packet::Message(verdict) if verdict["seq"] == 3));
    server.stop();
}

#[test]
fn new_connections_are_reset_old_ones_live_and_the_way_back_stays_open() {
    let server = serve(Setup::default());
    let mut old: Vec<Device> =
        Device::PROTOCOLS.iter().map(|protocol| Device::new(protocol, &server)).collect();
    let mut unwilling = Http::new(&server);
    Control::of(&server).start("shut", "refuse", &json!({}));
    for device in &mut old {
        device.send("d", 1);
        assert!(is_verdict(&device.hear(1), 1), "who is in stays in");
    }
    let gone = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    for (method, path) in [("POST", "/v1/readings"), ("GET", "/v1/stream"), ("GET", "/metrics")] {
        let error = Http::new(&server).try_ask(method, path, "").unwrap_err();
        assert!(gone.contains(&error.kind()), "{path}: {error}");
    }
    let mut stream = std::net::TcpStream::connect(server.mqtt_addr()).unwrap();
    let reset = std::io::Read::read(&mut stream, &mut [0]).unwrap_err();
    assert!(gone.contains(&reset.kind()), "{reset}");
    let mut control = Control::of(&server);
    let (status, health) = control.health();
    assert_eq!((status, &health["status"]), (200, &"degraded".into()));
    let reset = control.http.try_ask("GET", "/v1/realtime", "").unwrap_err();
    assert!(gone.contains(&reset.kind()), "{reset}");
    assert_eq!(Control::of(&server).stop("shut"), 5);
    assert_eq!(unwilling.ask("GET", "/v1/realtime", "").status, 200);
    for protocol in Device::PROTOCOLS {
        let mut device = Device::new(protocol, &server);
        device.send("d", 2);
        assert!(is_verdict(&device.hear(1), 2), "{protocol}");
    }
    server.stop();
}

#[test]
fn a_fault_ends_by_itself_when_its_client_does_not_end_it() {
    let server = serve(Setup::default());
    let (mut control, mut device) = (Control::of(&server), Device::new("ws", &server));
    control.start("long", "queue-shrink", &json!({"capacity": 1, "for_ms": 3_600_000}));
    // Where the machine stands still between the two, the fault is over before the reading comes.
    let caught = (1..20).any(|attempt| {
        control.start("short", "stall", &json!({"for_ms": 200}));
        device.send("d", attempt);
        assert!(is_verdict(&device.hear(1), attempt), "it comes when the stall is over");
        wait_for("it is off the list", || control.list().len() == 1);
        control.stop("short") == 1
    });
    assert!(caught, "how often it acted is still known");
    let told = &control.list()[0];
    assert_eq!(
        (&told["name"], &told["for_ms"], &told["capacity"]),
        (&"long".into(), &3_600_000.into(), &1.into())
    );
    assert_eq!(control.post(&json!({"operation": "stop", "name": "short"})).0, 404);
    control.start("long", "queue-shrink", &json!({"capacity": 3, "for_ms": 20}));
    wait_for("the new one counts", || control.list().is_empty());
    assert_eq!(control.figure("/queue/capacity"), 10_000);
    server.stop();
}

#[test]
fn faults_are_bounded_checked_and_seen() {
    let server = serve(Setup::default());
    let mut control = Control::of(&server);
    for index in 0..64 {
        control.start(&format!("f-{index}"), "errors", &json!({"chance": 0}));
    }
    let command = json!({"operation": "start", "name": "f-64", "kind": "refuse"});
    let (status, told) = control.post(&command);
    assert!(status == 409 && told["reason"].as_str().unwrap().contains("64"), "{status} {told}");
    control.start("f-3", "cache-off", &json!({}));
    assert_eq!(control.list().len(), 64);
    let metrics = control.http.ask("GET", "/metrics", "").text;
    for line in [
        r#"squall_fault_active{name="f-3",kind="cache-off"} 1"#,
        r#"squall_fault_acts_total{kind="errors"} 0"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    let (status, health) = control.health();
    assert_eq!((status, &health["status"]), (200, &"degraded".into()));
    assert!(health["reasons"].to_string().contains("`f-3` (cache-off)"), "{health}");
    let (_, told) = control.post(&json!({"operation": "stop-all"}));
    assert_eq!((told["stopped"].as_array().unwrap().len(), &told["acted"]), (64, &0.into()));
    assert_eq!(control.health().1["status"], "healthy");
    for (command, named) in [
        (json!({"operation": "start", "name": "a", "kind": "slow"}), "`factor`"),
        (json!({"operation": "start", "name": "a", "kind": "slow", "factor": 0.5}), "`factor`"),
        (json!({"operation": "start", "name": "a", "kind": "slower"}), "`kind`"),
        (json!({"operation": "start", "kind": "stall"}), "`name`"),
        (json!({"operation": "stop"}), "`name`"),
        (json!({"operation": "stop", "name": "a", "kind": "stall"}), "`kind`"),
        (json!({"operation": "stop-all", "name": "a"}), "name"),
        (json!({"operation": "begin"}), "\"operation\":\"start\""),
        (json!([]), "\"operation\":\"start\""),
    ] {
        let (status, told) = control.post(&command);
        assert!(status == 400 && told["reason"].as_str().unwrap().contains(named), "{command}: {told}");
    }
    assert_eq!(control.post(&json!({"operation": "stop", "name": "nobody"})).0, 404);
    assert!(control.list().is_empty());
    server.stop();
    let server = Server::start(&Config::default()).unwrap();
    let mut http = Http::new(&server);
    assert_eq!(http.ask("POST", "/v1/faults", &command.to_string()).status, 403);
    assert_eq!(http.ask("GET", "/v1/faults", "").status, 403);
    server.stop();
    let inline = serve(Setup { workers: Workers { count: 0, ..Workers::default() }, ..Setup::default() });
    let stall = json!({"operation": "start", "name": "a", "kind": "stall"});
    assert_eq!(Control::of(&inline).post(&stall).0, 409, "there is no worker to stall");
    inline.stop();
}

#[test]
fn nothing_is_left_of_clients_that_gave_up_waiting() {
    let server = serve(Setup::default());
    let mut control = Control::of(&server);
    control.start("void", "verdict-drop", &json!({"chance": 1}));
    let mut clients: Vec<Http> = (0..40).map(|_| Http::new(control.server)).collect();
    for (seq, client) in clients.iter_mut().enumerate() {
        client.send_reading("h", seq as u64);
    }
    let list = json!([{"device": "h", "seq": 98, "value": 1}, {"device": "h", "seq": 99, "value": 1}]);
    clients.push(Http::new(control.server));
    clients[40].send("POST", "/v1/readings", &list.to_string()).unwrap();
    wait_for("all verdicts vanished", || control.acted("void") == 42);
    assert_eq!(control.figure("/connections/http"), 42);
    clients[0].hears_nothing();
    clients[40].hears_nothing();
    drop(clients);
    wait_for("their connections ended", || control.figure("/connections/http") == 1);
    // More than either lets be under way: what vanished is not.
    let (mut ws, mut mqtt) = (Ws::new(&server), Mqtt::new(&server, "m"));
    for seq in 0..600 {
        ws.send_reading("w", seq);
    }
    for seq in 0..1_500 {
        mqtt.publish("m", seq, 0, 0);
    }
    wait_for("all verdicts vanished", || control.acted("void") == 42 + 2_100);
    assert_eq!((ws.rest().len(), mqtt.rest().len()), (0, 0));
    let mut silent = Http::new(&server);
    silent.send_reading("h", 100);
    wait_for("it vanished", || control.acted("void") == 42 + 2_101);
    assert_eq!(control.stop("void"), 42 + 2_101);
    ws.send_reading("w", 600);
    assert_eq!(ws.next()["seq"], 600);
    silent.hears_nothing();
    server.stop();
    assert_eq!(silent.receive().unwrap_err().kind(), ErrorKind::UnexpectedEof, "the end is not an answer");
}
