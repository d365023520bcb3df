//! The books of the service add up whatever goes wrong: what it received is what got a verdict, was shed, crashed, failed on
//! purpose or was no reading.

use serde_json::{Value, json};
use squall::reference::Server;
use squall::service::{Overflow, Queue, Setup, Workers};

use super::client::{Device, Http};
use super::{Control, serve, wait_for, waits};

/// The sum of all samples of a family in what `/metrics` says.
fn sum(metrics: &str, name: &str) -> u64 {
    let of = |line: &str| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with(['{', ' ']).then(|| rest.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
    };
    metrics.lines().filter_map(of).sum()
}

/// What was received, and what became of it, once nothing is under way.
fn books(control: &mut Control<'_>) -> (u64, [u64; 4]) {
    let mut metrics = String::new();
    wait_for("nothing is under way", || {
        metrics = control.http.ask("GET", "/metrics", "").text;
        sum(&metrics, "squall_readings_under_way") == 0
    });
    let ends = ["verdicts", "readings_shed", "readings_failed", "readings_bad"];
    let ends = ends.map(|name| sum(&metrics, &format!("squall_{name}_total")));
    (sum(&metrics, "squall_readings_received_total"), ends)
}

/// Every kind of fault, with parameters under which it strikes some of what comes.
fn faults() -> [(&'static str, Value); 13] {
    [
        ("slow", json!({"factor": 2})),
        ("crash", json!({"workers": 1})),
        ("stall", json!({})),
        ("errors", json!({"chance": 0.5})),
        ("overload", json!({"chance": 0.5, "retry_after_ms": 1})),
        ("cache-flush", json!({})),
        ("cache-off", json!({})),
        ("queue-shrink", json!({"capacity": 1})),
        ("verdict-drop", json!({"chance": 0.5})),
        ("verdict-delay", json!({"delay_ms": 5})),
        ("verdict-duplicate", json!({"chance": 0.5})),
        ("puback-withheld", json!({})),
        ("refuse", json!({})),
    ]
}

/// Devices of every protocol, which are connected before anything goes wrong.
fn devices(server: &Server) -> Vec<Device> {
    Device::PROTOCOLS.iter().map(|protocol| Device::new(protocol, server)).collect()
}

#[test]
fn the_books_add_up_under_every_fault() {
    for overflow in [Overflow::DropLowest, Overflow::DropOldest, Overflow::Block] {
        let queue = Queue { capacity: 4, overflow, ..Queue::default() };
        let workers = Workers { count: 2, ..Workers::default() };
        let server = serve(Setup { queue, workers, inference: waits(1), ..Setup::default() });
        let mut control = Control::of(&server);
        let mut sent = 0;
        for (kind, parameters) in faults() {
            // One whose response never came takes no further request.
            let mut devices = devices(&server);
            // That they are connected shows once they have been answered.
            for device in &mut devices {
                device.send("first", 0);
                assert_eq!(device.hear(1).answers.len(), 1);
                sent += 1;
            }
            control.start("it", kind, &parameters);
            for seq in 0..12 {
                for (number, device) in devices.iter_mut().enumerate() {
                    let waits_for_responses = number == 0;
                    if seq == 0 || !waits_for_responses {
                        device.send(&format!("{kind}-{number}"), seq);
                        sent += 1;
                    }
                }
            }
            if kind == "crash" {
                control.start("it", kind, &parameters);
            }
            let seen = |control: &mut Control<'_>| {
                let metrics = control.http.ask("GET", "/metrics", "").text;
                sum(&metrics, "squall_readings_received_total")
            };
            if overflow != Overflow::Block {
                wait_for(&format!("all have come in under {kind}"), || seen(&mut control) == sent);
            }
            control.post(&json!({"operation": "stop-all"}));
            wait_for(&format!("all have come in after {kind}"), || seen(&mut control) == sent);
            let (received, ends) = books(&mut control);
            assert_eq!(received, ends.iter().sum::<u64>(), "{kind} with {}: {ends:?}", overflow.name());
        }
        let mut http = Http::new(&server);
        assert_eq!(http.ask("POST", "/v1/readings", "{").status, 400);
        assert_eq!(
            http.ask("POST", "/v1/readings", r#"[{"device":"d"},{"device":"d","seq":1,"value":1}]"#).status,
            200
        );
        let (received, ends) = books(&mut control);
        assert_eq!((received, ends[3]), (sent + 3, 2), "dead letters are in the books");
        assert_eq!(received, ends.iter().sum::<u64>());
        server.stop();
    }
}

#[test]
fn readings_that_crashed_are_counted() {
    let workers = Workers { count: 1, ..Workers::default() };
    let server = serve(Setup { workers, inference: waits(200), ..Setup::default() });
    let (mut control, mut device) = (Control::of(&server), Device::new("ws", &server));
    for seq in 0..3 {
        device.send("d", seq);
    }
    wait_for("one is worked on", || {
        control.figure("/readings/received") == 3 && control.figure("/queue/depth").as_u64() < Some(3)
    });
    control.start("bang", "crash", &json!({"workers": 1}));
    let heard = device.hear(3);
    let crashed = heard.answers.iter().filter(|answer| answer["reason"] == "crashed").count() as u64;
    let metrics = control.http.ask("GET", "/metrics", "").text;
    assert!(crashed > 0, "{heard:?}");
    assert_eq!(sum(&metrics, r#"squall_readings_shed_total{reason="crashed"}"#), crashed);
    let (received, ends) = books(&mut control);
    assert_eq!((received, ends.iter().sum::<u64>()), (3, 3));
    server.stop();
}
