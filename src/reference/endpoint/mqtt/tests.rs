//! The endpoint over real sockets, byte by byte; the client side of these tests is written by hand on purpose.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::{Hub, serve};
use crate::clock::Monotonic;
use crate::reference::config::Config;
use crate::reference::endpoint::dispatcher::{Dispatcher, Limits};
use crate::reference::metric::Metrics;
use crate::reference::pipeline::Pipeline;
use crate::reference::tls::Port;
use crate::reference::token::Keyring;
use crate::service::{Queue, Setup};

mod five;
mod lasting;

/// A running endpoint with its pipeline.
struct Scene {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    pipeline: Arc<Pipeline>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Scene {
    fn with(config: &Config) -> Self {
        let metrics = Arc::new(Metrics::default());
        let room = Pipeline::most_under_way(&config.setup);
        let (back, words) = mpsc::channel(2 * room);
        let (pipeline, _) = Pipeline::start(&config.setup, Monotonic::start(), &metrics, back).unwrap();
        let pipeline = Arc::new(pipeline);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let served = Arc::clone(&pipeline);
        let limits = Limits { connections: config.max_connections, under_way: room };
        let keyring = Keyring::new(&config.setup.admission).unwrap();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let dispatcher = Dispatcher::new(served, stopped, limits, None, Arc::default(), keyring);
                let dispatcher = Rc::new(dispatcher);
                let hub = Rc::new(Hub::new(Rc::clone(&dispatcher)));
                let clerk = Rc::clone(&hub);
                tokio::task::spawn_local(async move { dispatcher.dispatch(&clerk, words).await });
                serve(Port::new(listener, None, None), hub).await;
            });
        });
        Self { address, metrics, pipeline, stop, thread: Some(thread) }
    }

    fn new() -> Self {
        Self::with(&Config::default())
    }

    fn dial(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream }
    }

    fn connect(&self, name: &str) -> Client {
        let mut client = self.dial();
        client.send(&connect(name, 0));
        client.expect(CONNACK);
        client
    }

    fn stop(&mut self) {
        self.stop.send(true).unwrap();
        self.thread.take().unwrap().join().unwrap();
        self.pipeline.stop();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stop();
        }
    }
}

const CONNACK: &[u8] = &[0x20, 2, 0, 0];

struct Client {
    stream: TcpStream,
}

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next packet, whole.
    fn next(&mut self) -> Vec<u8> {
        let mut packet = vec![0; 2];
        self.stream.read_exact(&mut packet).unwrap();
        let (mut length, mut shift) = (usize::from(packet[1] & 0x7f), 7);
        while packet.last().unwrap() & 0x80 != 0 {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            length |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
            packet.push(byte[0]);
        }
        let start = packet.len();
        packet.resize(start + length, 0);
        self.stream.read_exact(&mut packet[start..]).unwrap();
        packet
    }

    fn expect(&mut self, packet: &[u8]) {
        let next = self.next();
        assert_eq!(next, packet, "{}", String::from_utf8_lossy(&next));
    }

    /// Asserts that the service closes the connection and says nothing more.
    fn expect_end(&mut self) {
        match self.stream.read(&mut [0; 16]) {
            Ok(0) => {}
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {}
            other => panic!("not closed: {other:?}"),
        }
    }

    fn subscribe(&mut self, filter: &str, qos: u8) {
        self.send(&subscribe(1, filter, qos));
        self.expect(&[0x90, 3, 0, 1, qos]);
    }

    /// Everything sent so far has been handled once this returns, if nothing else is due.
    fn ping(&mut self) {
        self.send(&[0xc0, 0]);
        self.expect(&[0xd0, 0]);
    }
}

fn packet(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut packet = vec![first];
    let mut length = body.len();
    while length >= 0x80 {
        packet.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    packet.push(length as u8);
    packet.extend_from_slice(&body);
    packet
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

fn connect(name: &str, keep_alive: u16) -> Vec<u8> {
    packet(0x10, &[b"\0\x04MQTT\x04\x02", &keep_alive.to_be_bytes(), &text(name)])
}

fn connect_with_will(name: &str, topic: &str, message: &str) -> Vec<u8> {
    packet(0x10, &[b"\0\x04MQTT\x04\x0e\0\0", &text(name), &text(topic), &text(message)])
}

fn subscribe(pid: u16, filter: &str, qos: u8) -> Vec<u8> {
    packet(0x82, &[&pid.to_be_bytes(), &text(filter), &[qos]])
}

fn publish(qos: u8, pid: u16, topic: &str, payload: &[u8]) -> Vec<u8> {
    let pid = pid.to_be_bytes();
    packet(0x30 | qos << 1, &[&text(topic), if qos > 0 { &pid } else { &[] }, payload])
}

fn retained(topic: &str, payload: &[u8]) -> Vec<u8> {
    packet(0x31, &[&text(topic), payload])
}

fn reading(device: &str, seq: u64) -> Vec<u8> {
    format!(r#"{{"device":"{device}","seq":{seq},"value":1.5}}"#).into_bytes()
}

#[test]
fn a_reading_is_acknowledged_and_its_verdict_comes_to_whoever_subscribed() {
    let scene = Scene::new();
    let (mut device, mut watcher) = (scene.connect("m-1"), scene.connect("watcher"));
    device.subscribe("devices/m-1/verdicts", 0);
    watcher.subscribe("devices/+/verdicts", 2);
    device.send(&publish(1, 7, "devices/m-1/readings", &reading("m-1", 42)));
    device.expect(&[0x40, 2, 0, 7]);
    let verdict = device.next();
    assert_eq!(verdict[0], 0x30, "at the subscription's QoS 0");
    let verdict = String::from_utf8_lossy(&verdict[3..]).into_owned();
    assert!(
        verdict.contains(r#"devices/m-1/verdicts{"type":"verdict","device":"m-1","seq":42,"#),
        "{verdict}"
    );
    let verdict = watcher.next();
    assert_eq!(verdict[0], 0x32, "at the verdict's own QoS 1");
    assert_eq!((scene.metrics.received.get(), scene.metrics.verdicts.get()), (1, 1));
}

#[test]
fn what_is_no_reading_gets_an_error_and_a_refused_one_is_shed() {
    let mut scene = Scene::new();
    let mut device = scene.connect("m-1");
    device.subscribe("devices/m-1/verdicts", 0);
    for (payload, expected) in [
        (&b"nonsense"[..], r#"{"type":"error","reason":"not a reading"#),
        (
            &reading("m-2", 9),
            r#"{"type":"error","device":"m-1","seq":9,"reason":"the topic is that of `m-1`, the reading says `m-2`"}"#,
        ),
    ] {
        device.send(&publish(0, 0, "devices/m-1/readings", payload));
        let answer = String::from_utf8_lossy(&device.next()).into_owned();
        assert!(answer.contains(expected), "{answer}");
    }
    assert_eq!((scene.metrics.bad.get(), scene.metrics.received.get()), (2, 2));
    scene.pipeline.stop();
    device.send(&publish(1, 1, "devices/m-1/readings", &reading("m-1", 3)));
    device.expect(&[0x40, 2, 0, 1]);
    let answer = String::from_utf8_lossy(&device.next()).into_owned();
    assert!(answer.contains(r#"{"type":"shed","device":"m-1","seq":3,"#), "{answer}");
    scene.stop();
    device.expect_end();
    assert_eq!(scene.metrics.mqtt_connections.get(), 0);
}

#[test]
fn packets_may_arrive_in_any_pieces() {
    let scene = Scene::new();
    let bytes =
        [connect("x", 0), subscribe(1, "a/#", 1), publish(1, 5, "a/b", b"hello"), vec![0xc0, 0]].concat();
    for split in 1..bytes.len() {
        let mut client = scene.dial();
        client.send(&bytes[..split]);
        thread::yield_now();
        client.send(&bytes[split..]);
        client.expect(CONNACK);
        client.expect(&[0x90, 3, 0, 1, 1]);
        client.expect(&[0x40, 2, 0, 5]);
        client.expect(&publish(1, 1, "a/b", b"hello"));
        client.expect(&[0xd0, 0]);
        client.send(&[0xe0, 0]);
        client.expect_end();
    }
    let mut client = scene.dial();
    for byte in &bytes {
        client.send(&[*byte]);
        thread::sleep(Duration::from_micros(50));
    }
    client.expect(CONNACK);
}

#[test]
fn violations_close_the_connection_and_nothing_else() {
    let scene = Scene::new();
    let mut bystander = scene.connect("bystander");
    bystander.subscribe("wills", 0);
    for (name, bytes) in [
        ("a second CONNECT", connect("x", 0)),
        ("a wildcard in a topic", publish(0, 0, "a/#", b"")),
        ("a topic that is not UTF-8", packet(0x30, &[b"\0\x01\xff"])),
        ("an empty topic", publish(0, 0, "", b"")),
        ("200 MB claimed", vec![0x30, 0x80, 0x84, 0xaf, 0x5f]),
        ("a server's packet", vec![0xd0, 0]),
        ("a bad filter", subscribe(1, "a#", 0)),
        ("an empty filter", subscribe(1, "", 0)),
        ("garbage", vec![0xff; 64]),
    ] {
        let mut client = scene.dial();
        client.send(&connect_with_will("x", "wills", name));
        client.expect(CONNACK);
        client.send(&bytes);
        client.expect_end();
        bystander.expect(&publish(0, 0, "wills", name.as_bytes()));
    }
    for (name, bytes) in [("PINGREQ first", vec![0xc0, 0]), ("HTTP", b"PUT / HTTP/1.1\r\n\r\n".to_vec())] {
        let mut client = scene.dial();
        client.send(&bytes);
        client.expect_end();
        bystander.ping();
        assert_eq!(scene.metrics.mqtt_connections.get(), 1, "{name}");
    }
}

#[test]
fn who_may_not_connect_is_told_why() {
    let scene = Scene::new();
    for (bytes, code) in [
        (packet(0x10, &[b"\0\x06MQIsdp\x03\x02\0\0", &text("old")]), 1),
        (packet(0x10, &[b"\0\x04MQTT\x06\x02\0\0\0", &text("new")]), 1),
        (packet(0x10, &[b"\0\x04MQTT\x04\x00\0\0", &text("")]), 2),
        (connect(&"x".repeat(1_025), 0), 2),
    ] {
        let mut client = scene.dial();
        client.send(&bytes);
        client.expect(&[0x20, 2, 0, code]);
        client.expect_end();
    }
    let (mut one, mut other) = (scene.connect(""), scene.connect(""));
    one.ping();
    other.ping();
    let mut lasting = scene.dial();
    lasting.send(&packet(0x10, &[b"\0\x04MQTT\x04\x00\0\0", &text("lasting")]));
    lasting.expect(CONNACK);
}

#[test]
fn an_exactly_once_message_passes_once_however_often_it_is_sent() {
    let scene = Scene::new();
    let mut client = scene.connect("x");
    client.subscribe("t", 2);
    let mut again = publish(2, 9, "t", b"once");
    client.send(&again);
    again[0] |= 0x08;
    client.send(&again);
    client.expect(&[0x50, 2, 0, 9]);
    client.expect(&publish(2, 1, "t", b"once"));
    client.expect(&[0x50, 2, 0, 9]);
    client.send(&[0x62, 2, 0, 9]);
    client.expect(&[0x70, 2, 0, 9]);
    client.send(&[0x50, 2, 0, 1]);
    client.expect(&[0x62, 2, 0, 1]);
    client.send(&[0x70, 2, 0, 1]);
    client.send(&publish(2, 9, "t", b"new"));
    client.expect(&[0x50, 2, 0, 9]);
    client.expect(&publish(2, 2, "t", b"new"));
    client.send(&[0x62, 2, 0, 77]);
    client.expect(&[0x70, 2, 0, 77]);
}

#[test]
fn retained_messages_reach_later_subscribers_until_they_are_cleared() {
    let scene = Scene::new();
    let mut sender = scene.connect("sender");
    let mut early = scene.connect("early");
    early.subscribe("r/#", 0);
    sender.send(&retained("r/a", b"kept"));
    early.expect(&publish(0, 0, "r/a", b"kept"));
    let mut late = scene.connect("late");
    late.subscribe("r/+", 1);
    late.expect(&retained("r/a", b"kept"));
    sender.send(&retained("r/a", b""));
    late.expect(&publish(0, 0, "r/a", b""));
    let mut later = scene.connect("later");
    later.subscribe("r/+", 1);
    later.ping();
}

#[test]
fn a_will_is_published_unless_the_client_says_goodbye() {
    let scene = Scene::new();
    let mut watcher = scene.connect("watcher");
    watcher.subscribe("wills", 0);
    for (farewell, will) in [(&[][..], true), (&[0xe0, 0], false)] {
        let mut client = scene.dial();
        client.send(&connect_with_will("x", "wills", "gone"));
        client.expect(CONNACK);
        client.send(farewell);
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        client.expect_end();
        if will {
            watcher.expect(&publish(0, 0, "wills", b"gone"));
        }
        watcher.ping();
    }
}

#[test]
fn a_name_belongs_to_whoever_took_it_last() {
    let scene = Scene::new();
    let mut watcher = scene.connect("watcher");
    watcher.subscribe("wills", 0);
    let mut old = scene.dial();
    old.send(&connect_with_will("name", "wills", "ousted"));
    old.expect(CONNACK);
    old.subscribe("t", 0);
    let mut new = scene.connect("name");
    old.expect_end();
    watcher.expect(&publish(0, 0, "wills", b"ousted"));
    new.subscribe("t", 0);
    new.send(&publish(0, 0, "t", b"x"));
    new.expect(&publish(0, 0, "t", b"x"));
    let mut newest = scene.connect("name");
    new.expect_end();
    newest.ping();
}

#[test]
fn who_unsubscribes_gets_nothing_more_and_acknowledgement() {
    let scene = Scene::new();
    let mut client = scene.connect("x");
    client.subscribe("a/+", 0);
    client.subscribe("a/b", 0);
    client.send(&packet(0xa2, &[&[0, 5], &text("a/+"), &text("never")]));
    client.expect(&[0xb0, 2, 0, 5]);
    client.send(&publish(0, 0, "a/b", b"1"));
    client.expect(&publish(0, 0, "a/b", b"1"));
    client.send(&publish(0, 0, "a/c", b"2"));
    client.ping();
}

#[test]
fn subscriptions_are_bounded_in_number_and_size() {
    let scene = Scene::new();
    let mut client = scene.connect("x");
    for index in 0..256 {
        client.subscribe(&format!("t/{index}"), 0);
    }
    for (filter, code) in [("one/more".to_owned(), 0x80), ("t/7".to_owned(), 1)] {
        client.send(&subscribe(1, &filter, 1));
        client.expect(&[0x90, 3, 0, 1, code]);
    }
    let mut other = scene.connect("y");
    other.send(&subscribe(1, &"x".repeat(2_000), 1));
    other.expect(&[0x90, 3, 0, 1, 0x80]);
}

#[test]
fn connections_beyond_the_bound_are_closed_at_once() {
    let scene = Scene::with(&Config { max_connections: 2, ..Config::default() });
    let (mut one, two) = (scene.connect("1"), scene.connect("2"));
    scene.dial().expect_end();
    assert_eq!(scene.metrics.connections_refused.get(), 1);
    drop(two);
    one.send(&subscribe(1, "t", 0));
    one.expect(&[0x90, 3, 0, 1, 0]);
    while scene.metrics.mqtt_connections.get() > 1 {
        one.ping();
    }
    scene.connect("3");
}

#[test]
fn a_client_that_falls_silent_is_disconnected_after_one_and_a_half_keep_alives() {
    let scene = Scene::new();
    let (mut silent, mut five, mut patient) = (scene.dial(), scene.dial(), scene.dial());
    // From before its last word: on a busy machine the client hears late that it was heard.
    let clock = Monotonic::start();
    silent.send(&connect("silent", 1));
    silent.expect(CONNACK);
    five.send(&packet(0x10, &[b"\0\x04MQTT\x05\x02\0\x01\0", &text("five")]));
    five.next();
    patient.send(&connect("patient", 60));
    patient.expect(CONNACK);
    silent.expect_end();
    assert!(clock.now().as_secs_f64() >= 1.49, "after {}", clock.now());
    five.expect(&[0xe0, 1, 0x8d]);
    five.expect_end();
    patient.ping();
}

#[test]
fn a_subscriber_that_does_not_read_loses_messages_and_holds_up_nobody() {
    let scene = Scene::new();
    let mut stuck = scene.connect("stuck");
    stuck.subscribe("flood", 1);
    let mut sender = scene.connect("sender");
    let payload = vec![b'x'; 16 * 1024];
    for pid in 1..=2_000 {
        sender.send(&publish(1, pid, "flood", &payload));
        sender.expect(&[0x40, 2, (pid >> 8) as u8, pid as u8]);
    }
    assert!(scene.metrics.mqtt_dropped.get() > 0);
    let mut last = 0;
    for _ in 0..100 {
        let message = stuck.next();
        let pid = u16::from_be_bytes([message[11], message[12]]);
        assert_eq!(pid, last + 1, "what is delivered is in order");
        last = pid;
    }
    sender.ping();
}

/// Room for 100 000 readings.
fn roomy() -> Setup {
    Setup { queue: Queue { capacity: 100_000, ..Queue::default() }, ..Setup::default() }
}

#[test]
fn a_connection_with_too_much_under_way_is_not_read_until_its_verdicts_come() {
    let scene = Scene::with(&Config { setup: roomy(), ..Config::default() });
    let mut device = scene.connect("d");
    device.subscribe("devices/d/verdicts", 0);
    let mut reader = Client { stream: device.stream.try_clone().unwrap() };
    let count = 20_000_u64;
    let writer = thread::spawn(move || {
        for seq in 0..count {
            device.send(&publish(0, 0, "devices/d/readings", &reading("d", seq)));
        }
        device
    });
    for seq in 0..count {
        let verdict = String::from_utf8_lossy(&reader.next()).into_owned();
        assert!(verdict.contains(&format!(r#""type":"verdict","device":"d","seq":{seq},"#)), "{verdict}");
    }
    writer.join().unwrap();
    assert_eq!(scene.metrics.mqtt_dropped.get(), 0);
}

#[test]
fn random_bytes_after_a_greeting_never_bring_the_service_down() {
    use rand::Rng;
    let scene = Scene::new();
    let mut random = crate::seed::Seed(7).stream("garbage", 0);
    for _ in 0..200 {
        let mut client = scene.connect("garbage");
        let mut bytes = [0; 64];
        random.fill_bytes(&mut bytes);
        // A service that has closed already is as good as one that closes later.
        let _ = client.stream.write_all(&bytes);
        let _ = client.stream.shutdown(std::net::Shutdown::Write);
        let _ = client.stream.read_to_end(&mut Vec::new());
    }
    scene.connect("sane").ping();
}
