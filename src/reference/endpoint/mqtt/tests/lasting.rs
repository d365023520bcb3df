//! Sessions that outlive their connections, over real sockets, byte by byte.

use std::net::Shutdown;

use super::*;

mod moody;

fn connect_lasting(name: &str) -> Vec<u8> {
    packet(0x10, &[b"\0\x04MQTT\x04\x00\0\0", &text(name)])
}

fn repeated(mut publish: Vec<u8>) -> Vec<u8> {
    publish[0] |= 0x08;
    publish
}

const fn pubrec(pid: u8) -> [u8; 4] {
    [0x50, 2, 0, pid]
}

const fn pubrel(pid: u8) -> [u8; 4] {
    [0x62, 2, 0, pid]
}

const fn pubcomp(pid: u8) -> [u8; 4] {
    [0x70, 2, 0, pid]
}

impl Scene {
    /// Connects with a lasting session, which is present already or is not.
    fn resume(&self, name: &str, present: bool) -> Client {
        let mut client = self.dial();
        client.send(&connect_lasting(name));
        client.expect(&[0x20, 2, present.into(), 0]);
        client
    }

    /// A client with a lasting session that is subscribed to `t`.
    fn subscriber(&self, qos: u8) -> Client {
        let mut client = self.resume("subscriber", false);
        client.subscribe("t", qos);
        client
    }
}

impl Client {
    /// Breaks off without a word. Everything sent has been handled, and the session put away, once this returns.
    fn vanish(mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
        let _ = self.stream.read_to_end(&mut Vec::new());
    }

    /// Publishes and sees to it that the service has taken it.
    fn publish(&mut self, qos: u8, pid: u8, payload: &[u8]) {
        self.send(&publish(qos, pid.into(), "t", payload));
        match qos {
            0 => self.ping(),
            1 => self.expect(&[0x40, 2, 0, pid]),
            _ => self.expect(&pubrec(pid)),
        }
    }
}

#[test]
fn whether_a_session_is_present_is_told_truthfully() {
    let scene = Scene::new();
    scene.resume("x", false).vanish();
    let mut client = scene.resume("x", true);
    client.send(&[0xe0, 0]);
    client.expect_end();
    scene.resume("x", true).vanish();
    scene.resume("other", false).vanish();
    scene.connect("x").vanish();
    scene.resume("x", false).vanish();
    scene.resume("x", true).vanish();
    // A clean session is over once another is asked for, even by taking it over.
    let mut clean = scene.connect("clean");
    scene.resume("clean", false);
    clean.expect_end();
}

#[test]
fn subscriptions_survive_and_what_came_meanwhile_arrives_in_order() {
    let scene = Scene::new();
    let mut sender = scene.connect("sender");
    let mut client = scene.resume("subscriber", false);
    client.subscribe("t", 2);
    client.subscribe("kept/+", 1);
    sender.send(&retained("kept/a", b"once"));
    client.expect(&publish(0, 0, "kept/a", b"once"));
    client.subscribe("gone", 1);
    client.send(&packet(0xa2, &[&[0, 5], &text("gone")]));
    client.expect(&[0xb0, 2, 0, 5]);
    client.vanish();
    sender.publish(1, 1, b"one");
    sender.publish(2, 2, b"two");
    sender.publish(0, 0, b"not kept");
    sender.publish(1, 3, b"three");
    sender.send(&publish(1, 4, "gone", b"unsubscribed"));
    sender.expect(&[0x40, 2, 0, 4]);
    let mut client = scene.resume("subscriber", true);
    client.expect(&publish(1, 1, "t", b"one"));
    client.expect(&publish(2, 2, "t", b"two"));
    client.expect(&publish(1, 3, "t", b"three"));
    client.ping();
    sender.publish(0, 0, b"live");
    client.expect(&publish(0, 0, "t", b"live"));
    assert_eq!(scene.metrics.mqtt_dropped.get(), 0, "what is not to be kept is not lost");
}

#[test]
fn what_was_not_acknowledged_is_sent_again_with_its_identifier_until_it_is() {
    let scene = Scene::new();
    let (mut client, mut sender) = (scene.subscriber(1), scene.connect("sender"));
    for (pid, payload) in [(1, b"a"), (2, b"b"), (3, b"c")] {
        sender.publish(1, pid, payload);
        client.expect(&publish(1, pid.into(), "t", payload));
    }
    client.send(&[0x40, 2, 0, 2]);
    client.vanish();
    sender.publish(1, 4, b"d");
    let mut client = scene.resume("subscriber", true);
    client.expect(&repeated(publish(1, 1, "t", b"a")));
    client.expect(&repeated(publish(1, 3, "t", b"c")));
    client.expect(&publish(1, 4, "t", b"d"));
    client.vanish();
    let mut client = scene.resume("subscriber", true);
    for (pid, payload) in [(1, b"a"), (3, b"c"), (4, b"d")] {
        client.expect(&repeated(publish(1, pid, "t", payload)));
        client.send(&[0x40, 2, 0, pid as u8]);
    }
    client.vanish();
    scene.resume("subscriber", true).ping();
}

#[test]
fn a_publisher_that_breaks_off_at_any_step_is_heard_exactly_once() {
    let scene = Scene::new();
    let mut listener = scene.connect("listener");
    listener.subscribe("t", 0);
    let mut present = false;
    let mut device = |scene: &Scene| {
        let client = scene.resume("device", present);
        present = true;
        client
    };
    let step = [publish(2, 9, "t", b"once"), pubrel(9).to_vec()];
    for (sent, heard) in [(1, 0), (1, 1), (2, 1), (2, 2)] {
        let mut client = device(&scene);
        for (index, step) in step.iter().enumerate().take(sent) {
            client.send(step);
            if index < heard {
                client.expect(&[pubrec(9), pubcomp(9)][index]);
            }
        }
        client.vanish();
        let mut client = device(&scene);
        // Who has not heard the PUBREC sends the PUBLISH again, who has sends the PUBREL.
        if heard == 0 {
            client.send(&repeated(step[0].clone()));
            client.expect(&pubrec(9));
        }
        client.send(&step[1]);
        client.expect(&pubcomp(9));
        listener.expect(&publish(0, 0, "t", b"once"));
        listener.ping();
        client.vanish();
    }
    // Half a packet is none.
    let mut client = device(&scene);
    client.send(&step[0][..5]);
    client.vanish();
    let mut client = device(&scene);
    client.send(&step[0]);
    client.expect(&pubrec(9));
    listener.expect(&publish(0, 0, "t", b"once"));
}

#[test]
fn a_subscriber_that_breaks_off_at_any_step_is_taken_up_there() {
    let scene = Scene::new();
    let (client, mut sender) = (scene.subscriber(2), scene.connect("sender"));
    client.vanish();
    sender.publish(2, 1, b"x");
    let mut client = scene.resume("subscriber", true);
    client.expect(&publish(2, 1, "t", b"x"));
    client.vanish();
    let mut client = scene.resume("subscriber", true);
    client.expect(&repeated(publish(2, 1, "t", b"x")));
    client.send(&pubrec(1));
    client.vanish();
    let mut client = scene.resume("subscriber", true);
    client.expect(&pubrel(1));
    client.vanish();
    // What came meanwhile comes after what is under way.
    sender.send(&pubrel(1));
    sender.expect(&pubcomp(1));
    sender.publish(2, 1, b"y");
    let mut client = scene.resume("subscriber", true);
    client.expect(&pubrel(1));
    client.expect(&publish(2, 2, "t", b"y"));
    client.send(&pubcomp(1));
    client.send(&pubrec(2));
    client.expect(&pubrel(2));
    client.send(&pubcomp(2));
    client.vanish();
    scene.resume("subscriber", true).ping();
}

#[test]
fn who_takes_a_name_over_inherits_the_session_and_the_will_is_published() {
    let scene = Scene::new();
    let (mut watcher, mut sender) = (scene.connect("watcher"), scene.connect("sender"));
    watcher.subscribe("wills", 0);
    let mut old = scene.dial();
    let will = [text("subscriber"), text("wills"), text("ousted")].concat();
    old.send(&packet(0x10, &[b"\0\x04MQTT\x04\x0c\0\0", &will]));
    old.expect(CONNACK);
    old.subscribe("t", 1);
    sender.publish(1, 1, b"a");
    old.expect(&publish(1, 1, "t", b"a"));
    let mut new = scene.resume("subscriber", true);
    old.expect_end();
    watcher.expect(&publish(0, 0, "wills", b"ousted"));
    new.expect(&repeated(publish(1, 1, "t", b"a")));
    sender.publish(1, 2, b"b");
    new.expect(&publish(1, 2, "t", b"b"));
    // The session is the new connection's, whatever becomes of the old one.
    drop(old);
    new.ping();
    let mut clean = scene.connect("subscriber");
    new.expect_end();
    sender.publish(1, 3, b"c");
    clean.ping();
    scene.resume("subscriber", false).ping();
}

#[test]
fn a_will_is_kept_for_subscribers_that_are_away() {
    let scene = Scene::new();
    let mut watcher = scene.resume("watcher", false);
    watcher.subscribe("wills", 1);
    watcher.vanish();
    for present in [false, true] {
        let mut client = scene.dial();
        let will = [text("x"), text("wills"), text("gone")].concat();
        client.send(&packet(0x10, &[b"\0\x04MQTT\x04\x0c\0\0", &will]));
        client.expect(&[0x20, 2, present.into(), 0]);
        client.vanish();
    }
    let mut watcher = scene.resume("watcher", true);
    watcher.expect(&publish(1, 1, "wills", b"gone"));
    watcher.expect(&publish(1, 2, "wills", b"gone"));
}

#[test]
fn a_clean_session_wipes_what_was_kept() {
    let scene = Scene::new();
    let (mut client, mut sender) = (scene.subscriber(2), scene.connect("sender"));
    sender.publish(1, 1, b"unacknowledged");
    client.send(&publish(2, 9, "elsewhere", b"unreleased"));
    client.vanish();
    sender.publish(1, 2, b"meanwhile");
    let mut clean = scene.connect("subscriber");
    sender.publish(1, 3, b"no longer subscribed");
    clean.subscribe("elsewhere", 0);
    clean.send(&publish(2, 9, "elsewhere", b"new"));
    clean.expect(&pubrec(9));
    clean.expect(&publish(0, 0, "elsewhere", b"new"));
    clean.vanish();
    let mut client = scene.resume("subscriber", false);
    sender.publish(1, 4, b"still not");
    client.ping();
    assert_eq!(scene.metrics.mqtt_dropped.get(), 0, "what a client wants forgotten is not lost");
}

#[test]
fn a_client_that_is_away_loses_the_newest_beyond_the_bounds_and_each_is_counted() {
    let scene = Scene::new();
    let mut sender = scene.connect("sender");
    scene.subscriber(1).vanish();
    for number in 0..1_100_u16 {
        sender.publish(1, 1, &number.to_be_bytes());
    }
    assert_eq!(scene.metrics.mqtt_dropped.get(), 1_100 - 1_024);
    let mut client = scene.resume("subscriber", true);
    for number in 0..1_024_u16 {
        client.expect(&publish(1, number + 1, "t", &number.to_be_bytes()));
        client.send(&[0x40, 2, ((number + 1) >> 8) as u8, (number + 1) as u8]);
    }
    client.vanish();
    let before = scene.metrics.mqtt_dropped.get();
    let large = vec![0; 100_000];
    for _ in 0..12 {
        sender.publish(1, 1, &large);
    }
    assert_eq!(scene.metrics.mqtt_dropped.get() - before, 2, "ten of 100 kB are a MiB");
    let mut client = scene.resume("subscriber", true);
    for pid in 1_025..=1_034 {
        client.expect(&publish(1, pid, "t", &large));
    }
    client.ping();
}

#[test]
fn a_verdict_waits_for_a_device_that_sleeps() {
    let scene = Scene::new();
    let mut device = scene.resume("m-1", false);
    device.subscribe("devices/m-1/verdicts", 1);
    device.send(&publish(1, 7, "devices/m-1/readings", &reading("m-1", 42)));
    device.vanish();
    let mut device = scene.resume("m-1", true);
    let verdict = device.next();
    assert_eq!(verdict[0] & !0x08, 0x32, "sent again, if it came before the device went");
    let verdict = String::from_utf8_lossy(&verdict).into_owned();
    assert!(verdict.contains(r#"{"type":"verdict","device":"m-1","seq":42,"#), "{verdict}");
}
