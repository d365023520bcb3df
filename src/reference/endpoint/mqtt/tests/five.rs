//! The endpoint by MQTT 5, over real sockets, byte by byte. Numbers in brackets are the standard's statements.

use super::*;
use crate::service::{Admission, Quota, Right, Token};
use crate::units::Rate;

mod session;

const CLEAN: u8 = 2;

/// What CONNACK states where the client leaves nothing open: receive maximum, packet size, aliases, no subscription identifiers.
const TERMS: &[u8] = b"\x21\x04\x00\x27\x00\x04\x00\x00\x22\x00\x10\x29\x00";

fn connect_five(name: &str, flags: u8, keep_alive_s: u16, properties: &[u8], rest: &[u8]) -> Vec<u8> {
    let flags = [flags];
    let keep_alive = keep_alive_s.to_be_bytes();
    let length = [properties.len() as u8];
    packet(0x10, &[b"\0\x04MQTT\x05", &flags, &keep_alive, &length, properties, &text(name), rest])
}

fn connack(present: bool, properties: &[u8]) -> Vec<u8> {
    packet(0x20, &[&[present.into(), 0, properties.len() as u8], properties])
}

fn publish_five(first: u8, pid: u16, topic: &str, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let pid = pid.to_be_bytes();
    let pid: &[u8] = if first & 6 > 0 { &pid } else { &[] };
    packet(first, &[&text(topic), pid, &[properties.len() as u8], properties, payload])
}

fn subscribe_five(filter: &str, options: u8) -> Vec<u8> {
    packet(0x82, &[&[0, 1, 0], &text(filter), &[options]])
}

const fn disconnect(reason: u8) -> [u8; 3] {
    [0xe0, 1, reason]
}

impl Scene {
    fn five(&self, name: &str, properties: &[u8]) -> Client {
        let mut client = self.dial();
        client.send(&connect_five(name, CLEAN, 60, properties, &[]));
        client.expect(&connack(false, TERMS));
        client
    }

    fn subscriber_five(&self, name: &str, properties: &[u8], filter: &str, options: u8) -> Client {
        let mut client = self.five(name, properties);
        client.subscribe_five(filter, options);
        client
    }
}

impl Client {
    fn subscribe_five(&mut self, filter: &str, options: u8) {
        self.send(&subscribe_five(filter, options));
        self.expect(&[0x90, 4, 0, 1, 0, options & 3]);
    }
}

#[test]
fn connack_states_what_holds_and_what_differs_from_what_was_asked_for() {
    let scene = Scene::new();
    // [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16]: no name, no keep alive, a session of two hours.
    let mut client = scene.dial();
    client.send(&connect_five("", 0, 0, &[0x11, 0, 0, 0x1c, 0x20], &[]));
    let greeting = client.next();
    let (head, rest) = greeting[2..].split_at(3);
    assert_eq!(head, [0, 0, (greeting.len() - 5) as u8]);
    let start = [&b"\x11\x00\x00\x0e\x10"[..], &TERMS[..8], b"\x12"].concat();
    assert!(rest.starts_with(&start), "{rest:x?}");
    assert!(rest.ends_with(&[&TERMS[8..], b"\x13\x0e\x10"].concat()), "{rest:x?}");
    let name = &rest[start.len() + 2..rest.len() - 8];
    let name = std::str::from_utf8(name).unwrap();
    assert!(name.starts_with("squall-"), "{name}");
    drop(client);
    // [MQTT-3.1.2-5] [MQTT-3.2.2-2] [MQTT-3.2.2-3]: whoever shows the name it was given has its session.
    let mut again = scene.dial();
    again.send(&connect_five(name, 0, 60, &[], &[]));
    again.expect(&connack(true, TERMS));
    // [MQTT-3.1.2-4]
    let mut fresh = scene.dial();
    fresh.send(&connect_five(name, CLEAN, 60, &[], &[]));
    fresh.expect(&connack(false, TERMS));
}

#[test]
fn who_may_not_connect_is_told_why_by_a_reason() {
    let scene = Scene::new();
    // [MQTT-4.12.0-1] [MQTT-3.1.3-8]
    for (bytes, reason) in [
        (connect_five("x", CLEAN, 60, b"\x15\x00\x01x", &[]), 0x8c),
        (connect_five(&"x".repeat(1_025), CLEAN, 60, &[], &[]), 0x85),
    ] {
        let mut client = scene.dial();
        client.send(&bytes);
        client.expect(&[0x20, 3, 0, reason, 0]);
        client.expect_end();
    }
    let token = Token { rights: vec![Right::Publish], device: Some("m-1".into()), ..Token::of("t") };
    let admission = Admission { tokens: vec![token], ..Admission::default() };
    let scene = Scene::with(&Config { setup: Setup { admission, ..Setup::default() }, ..Config::default() });
    let login =
        |password: &str| connect_five("x", CLEAN | 0xc0, 60, &[], &[text("u"), text(password)].concat());
    for (bytes, reason) in [(login("wrong"), 0x86), (connect_five("x", CLEAN, 60, &[], &[]), 0x87)] {
        let mut client = scene.dial();
        client.send(&bytes);
        client.expect(&[0x20, 3, 0, reason, 0]);
    }
    let mut client = scene.dial();
    client.send(&login("t"));
    client.expect(&connack(false, TERMS));
    // [MQTT-3.9.3-1]: each filter has its answer; and so has a message that may not be published.
    client.send(&packet(0x82, &[&[0, 7, 0], &text("alerts/#"), &[1], &text("devices/m-1/verdicts"), &[1]]));
    client.expect(&[0x90, 5, 0, 7, 0, 0x87, 1]);
    client.send(&publish_five(0x32, 5, "devices/m-2/readings", &[], &reading("m-2", 1)));
    client.expect(&[0x40, 3, 0, 5, 0x87]);
    client.send(&publish_five(0x34, 5, "devices/m-2/readings", &[], &reading("m-2", 1)));
    client.expect(&[0x50, 3, 0, 5, 0x87]);
    client.send(&publish_five(0x30, 0, "devices/m-2/readings", &[], &reading("m-2", 1)));
    client.expect(&disconnect(0x87));
    client.expect_end();
}

#[test]
fn an_acknowledgement_says_what_became_of_the_message() {
    let quota = Quota { rate: Rate::per_second(1.0 / 1_000.0).unwrap(), burst: 1 };
    let admission = Admission { device: Some(quota), ..Admission::default() };
    let scene = Scene::with(&Config { setup: Setup { admission, ..Setup::default() }, ..Config::default() });
    let mut device = scene.five("m-1", &[]);
    let mut listener = scene.subscriber_five("listener", &[], "devices/+/verdicts", 0);
    let topic = "devices/m-1/readings";
    for (first, pid, topic, payload, answer) in [
        // [MQTT-4.3.2-4] [MQTT-4.3.3-8], then quota exceeded, which ends an exchange of QoS 2 [MQTT-4.3.3-9].
        (0x32, 1, topic, reading("m-1", 1), &[0x40, 2, 0, 1][..]),
        (0x32, 2, topic, reading("m-1", 2), &[0x40, 3, 0, 2, 0x97]),
        (0x34, 3, topic, reading("m-1", 3), &[0x50, 3, 0, 3, 0x97]),
        (0x34, 3, topic, b"nonsense".to_vec(), &[0x50, 3, 0, 3, 0x83]),
        (0x32, 4, "unheard", b"x".to_vec(), &[0x40, 3, 0, 4, 0x10]),
        (0x34, 5, "devices/m-1/verdicts", b"heard".to_vec(), &[0x50, 2, 0, 5]),
    ] {
        device.send(&publish_five(first, pid, topic, &[], &payload));
        device.expect(answer);
        // A worker judges what was taken when it gets to it: what is published next may overtake the verdict.
        if pid == 1 {
            let verdict = String::from_utf8_lossy(&listener.next()).into_owned();
            assert!(verdict.contains(r#""type":"verdict","device":"m-1","seq":1,"#), "{verdict}");
        }
    }
    listener.expect(&publish_five(0x30, 0, "devices/m-1/verdicts", &[], b"heard"));
    // [MQTT-3.7.2-1]: what is not under way is not found.
    for (pid, answer) in [(5, &[0x70, 2, 0, 5][..]), (3, &[0x70, 3, 0, 3, 0x92])] {
        device.send(&[0x62, 2, 0, pid]);
        device.expect(answer);
    }
    // At QoS 0 there is nothing but a message to hear it by.
    device.send(&publish_five(0x30, 0, topic, &[], &reading("m-1", 6)));
    let shed = String::from_utf8_lossy(&listener.next()).into_owned();
    assert!(shed.contains(r#"{"type":"shed","device":"m-1","seq":6,"reason":"quota""#), "{shed}");
}

#[test]
fn who_breaks_the_rules_is_told_which_and_the_will_is_published() {
    let scene = Scene::new();
    let mut watcher = scene.subscriber_five("watcher", &[], "wills", 0);
    let alias = |alias: u8| publish_five(0x30, 0, "", &[0x23, 0, alias], b"x");
    for (name, bytes, reason) in [
        // [MQTT-3.1.0-2]
        ("a second CONNECT", connect_five("x", CLEAN, 60, &[], &[]), 0x82),
        ("a server's packet", vec![0xd0, 0], 0x82),
        // [MQTT-4.12.0-7]
        ("an AUTH", vec![0xf0, 0], 0x82),
        ("garbage", vec![0x00; 64], 0x81),
        // [MQTT-3.3.2-2] [MQTT-3.3.2-8] [MQTT-3.3.2-9] [MQTT-3.3.2-14] [MQTT-3.3.4-6]
        ("a wildcard in a topic", publish_five(0x30, 0, "a/#", &[], b""), 0x90),
        ("alias 0", alias(0), 0x94),
        ("an alias beyond the maximum", publish_five(0x30, 0, "t", &[0x23, 0, 17], b"x"), 0x94),
        ("an alias that was not stated", alias(3), 0x82),
        ("a wildcard in a response topic", publish_five(0x30, 0, "t", &[8, 0, 1, b'#'], b"x"), 0x82),
        ("an identifier of a subscription", publish_five(0x30, 0, "t", &[0x0b, 1], b"x"), 0x82),
        // [MQTT-3.8.3-4]
        ("no local, shared", subscribe_five("$share/g/a", 4), 0x82),
        ("subscription identifiers", packet(0x82, &[&[0, 1, 2, 0x0b, 1], &text("a"), &[0]]), 0xa1),
        ("a bad filter", subscribe_five("a#", 0), 0x8f),
        ("a packet above the maximum", vec![0x30, 0x80, 0x84, 0xaf, 0x5f], 0x95),
        // §3.14.2.2.2: a session that was to end with its connection.
        ("an expiry of the session", vec![0xe0, 7, 0, 5, 0x11, 0, 0, 0, 9], 0x82),
    ] {
        let mut client = scene.dial();
        let will = [&[0][..], &text("wills"), &text(name)].concat();
        client.send(&connect_five("x", CLEAN | 4, 60, &[], &will));
        client.expect(&connack(false, TERMS));
        client.send(&bytes);
        let words = client.next();
        assert_eq!(words, disconnect(reason), "{name}");
        client.expect_end();
        watcher.expect(&publish_five(0x30, 0, "wills", &[], name.as_bytes()));
    }
}

#[test]
fn more_exactly_once_messages_than_the_receive_maximum_end_the_connection() {
    // [MQTT-3.3.4-7]
    let scene = Scene::new();
    let mut client = scene.five("x", &[]);
    for pid in 1..=1_025_u16 {
        client.send(&publish_five(0x34, pid, "t", &[], b"x"));
    }
    for pid in 1..=1_024_u16 {
        client.expect(&[0x50, 3, (pid >> 8) as u8, pid as u8, 0x10]);
    }
    client.expect(&disconnect(0x93));
    client.expect_end();
}

#[test]
fn never_is_more_under_way_than_the_client_takes_unacknowledged() {
    // [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
    let scene = Scene::new();
    let mut sender = scene.five("sender", &[]);
    for (most, qos) in [(1_u16, 1_u8), (2, 2), (20, 1), (65_535, 2)] {
        let [high, low] = most.to_be_bytes();
        let properties = [0x21, high, low];
        let mut client = scene.subscriber_five("client", &properties, "t", qos);
        let count = 40_u16;
        for pid in 1..=count {
            sender.send(&publish_five(0x30 | qos << 1, pid, "t", &[], &pid.to_be_bytes()));
            sender.expect(&[0x30 + 0x10 * qos, 2, 0, pid as u8]);
            if qos == 2 {
                sender.send(&[0x62, 2, 0, pid as u8]);
                sender.expect(&[0x70, 2, 0, pid as u8]);
            }
        }
        let mut open = Vec::new();
        for expected in 1..=count {
            if open.len() == usize::from(most) {
                // Nothing more comes until something is acknowledged, though the client is answered meanwhile [MQTT-3.3.4-10].
                client.ping();
                let [high, low] = u16::to_be_bytes(open.remove(0));
                match qos {
                    1 => client.send(&[0x40, 2, high, low]),
                    // A PUBREC that says no gives the credit back as a PUBCOMP does.
                    _ if low & 1 == 1 => client.send(&[0x50, 3, high, low, 0x83]),
                    _ => {
                        client.send(&[0x50, 2, high, low]);
                        client.expect(&[0x62, 2, high, low]);
                        client.ping();
                        client.send(&[0x70, 2, high, low]);
                    }
                }
            }
            let message = client.next();
            assert_eq!(message[0], 0x30 | qos << 1);
            let pid = u16::from_be_bytes([message[5], message[6]]);
            assert_eq!(message[message.len() - 2..], expected.to_be_bytes(), "in order");
            open.push(pid);
        }
        client.send(&[0xe0, 0]);
        client.expect_end();
    }
}

#[test]
fn a_message_that_is_larger_than_the_client_takes_is_left_out_and_counted() {
    // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
    let scene = Scene::new();
    let mut client = scene.subscriber_five("client", &[0x27, 0, 0, 0, 40], "t", 1);
    let mut sender = scene.five("sender", &[]);
    let fixed = publish_five(0x32, 1, "t", &[], b"").len();
    for length in [41 - fixed, 40 - fixed] {
        sender.send(&publish_five(0x32, 1, "t", &[], &vec![b'x'; length]));
        sender.expect(&[0x40, 2, 0, 1]);
    }
    client.expect(&publish_five(0x32, 1, "t", &[], &vec![b'x'; 40 - fixed]));
    assert_eq!(scene.metrics.mqtt_dropped.get(), 1);
}

#[test]
fn what_a_message_says_of_itself_goes_with_it_and_its_alias_does_not() {
    // [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
    let scene = Scene::new();
    let (mut five, mut three) = (scene.subscriber_five("five", &[], "t", 1), scene.connect("three"));
    three.subscribe("t", 1);
    let mut sender = scene.five("sender", &[]);
    let pair = |name, value| [&[0x26][..], &text(name), &text(value)].concat();
    let said = [
        &[0x01, 0x01, 0x03][..],
        &text("text/plain"),
        &[0x08],
        &text("answers"),
        &[0x09],
        &text("id-42"),
        &pair("b", "1"),
        &pair("a", "2"),
        &pair("b", "1"),
    ]
    .concat();
    let with_alias = [&said[..], &[0x23, 0, 1]].concat();
    sender.send(&publish_five(0x32, 1, "t", &with_alias, b"one"));
    sender.send(&publish_five(0x32, 2, "", &[0x02, 0, 0, 0, 60, 0x23, 0, 1], b"two"));
    for pid in [1, 2] {
        sender.expect(&[0x40, 2, 0, pid]);
    }
    five.expect(&publish_five(0x32, 1, "t", &said, b"one"));
    // [MQTT-3.3.2-6]: seconds begun count.
    five.expect(&publish_five(0x32, 2, "t", &[0x02, 0, 0, 0, 60], b"two"));
    three.expect(&publish(1, 1, "t", b"one"));
    three.expect(&publish(1, 2, "t", b"two"));
    three.send(&publish(0, 0, "t", b"three"));
    three.expect(&publish(0, 0, "t", b"three"));
    five.expect(&publish_five(0x30, 0, "t", &[], b"three"));
}

#[test]
fn a_verdict_goes_where_its_reading_says_with_the_data_by_which_it_is_known() {
    let scene = Scene::new();
    let mut device = scene.subscriber_five("m-1", &[], "answers/m-1", 1);
    device.subscribe_five("devices/m-1/verdicts", 0);
    let data = [&[0x09][..], &text("id-42")].concat();
    for (pid, place, count) in [(1, "answers/m-1", 2), (2, "devices/m-1/verdicts", 1)] {
        let said = [&[0x08][..], &text(place), &data].concat();
        let topic = "devices/m-1/readings";
        device.send(&publish_five(0x32, pid, topic, &said, &reading("m-1", pid.into())));
        device.expect(&[0x40, 2, 0, pid as u8]);
        for place in ["devices/m-1/verdicts", place].into_iter().take(count) {
            let verdict = device.next();
            let pid = if verdict[0] & 6 > 0 { 2 } else { 0 };
            assert_eq!(verdict[5..5 + place.len()], *place.as_bytes());
            let rest = &verdict[5 + place.len() + pid..];
            assert_eq!(rest[..9], [&[8][..], &data].concat());
            assert!(rest[9..].starts_with(br#"{"type":"verdict","device":"m-1","seq":"#));
        }
    }
    let long = [&[0x08][..], &text("a"), &[0x09], &text(&"x".repeat(1_024))].concat();
    let body = [&text("devices/m-1/readings")[..], &[0, 3, 0x87, 0x08], &long, &reading("m-1", 3)].concat();
    device.send(&packet(0x32, &[&body]));
    device.expect(&[0x40, 3, 0, 3, 0x97]);
}

#[test]
fn options_of_a_subscription_are_kept_to() {
    let scene = Scene::new();
    let mut sender = scene.five("sender", &[]);
    sender.send(&publish_five(0x31, 0, "r", &[], b"kept"));
    let kept = publish_five(0x31, 0, "r", &[], b"kept");
    // Retain handling: always, only if it is new, never [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11].
    let mut client = scene.subscriber_five("client", &[], "r", 0x10);
    client.expect(&kept);
    client.subscribe_five("r", 0x10);
    client.ping();
    client.subscribe_five("r", 0x00);
    client.expect(&kept);
    client.subscribe_five("r/#", 0x20);
    client.ping();
    // Retain as published [MQTT-3.3.1-12] [MQTT-3.3.1-13], no local [MQTT-3.8.3-3].
    let mut keeper = scene.subscriber_five("keeper", &[], "k", 0x08);
    keeper.subscribe_five("own", 0x04);
    client.subscribe_five("k", 0);
    client.subscribe_five("own", 0);
    keeper.send(&publish_five(0x31, 0, "k", &[], b"x"));
    keeper.expect(&publish_five(0x31, 0, "k", &[], b"x"));
    keeper.send(&publish_five(0x30, 0, "own", &[], b"y"));
    keeper.ping();
    client.expect(&publish_five(0x30, 0, "k", &[], b"x"));
    client.expect(&publish_five(0x30, 0, "own", &[], b"y"));
    // [MQTT-3.10.4-1] [MQTT-3.11.3-1]
    client.send(&packet(0xa2, &[&[0, 9, 0], &text("own"), &text("never")]));
    client.expect(&[0xb0, 5, 0, 9, 0, 0, 0x11]);
    keeper.send(&publish_five(0x30, 0, "own", &[], b"z"));
    keeper.ping();
    client.ping();
    // A shared subscription: each message to one of the group, nothing of what is retained.
    let mut group = ["g1", "g2"].map(|name| scene.subscriber_five(name, &[], "$share/g/r", 0));
    for text in [b"1", b"2"] {
        sender.send(&publish_five(0x30, 0, "r", &[], text));
    }
    sender.ping();
    for (member, text) in group.iter_mut().zip([b"1", b"2"]) {
        member.expect(&publish_five(0x30, 0, "r", &[], text));
    }
}

#[test]
fn what_is_said_to_all_comes_back_with_its_number_and_what_cannot_be_is_refused() {
    let scene = Scene::new();
    let (mut listener, mut speaker) = (scene.subscriber_five("l", &[], "broadcast", 1), scene.five("s", &[]));
    for (pid, said, answer) in
        [(5, &b"21.5"[..], &[0x40, 3, 0, 5, 0x83][..]), (6, br#"{"goal":"1:0"}"#, &[0x40, 2, 0, 6])]
    {
        speaker.send(&publish_five(0x32, pid, "broadcast", &[], said));
        speaker.expect(answer);
    }
    let told = br#"{"type":"broadcast","id":1,"goal":"1:0"}"#;
    listener.expect(&publish_five(0x32, 1, "broadcast", &[], told));
    // A last will is said to all, too.
    let mut dying = scene.dial();
    let will = [&[0][..], &text("broadcast"), &text(r#"{"gone":true}"#)].concat();
    dying.send(&connect_five("w", CLEAN | 4, 60, &[], &will));
    dying.expect(&connack(false, TERMS));
    drop(dying);
    let told = br#"{"type":"broadcast","id":2,"gone":true}"#;
    listener.expect(&publish_five(0x32, 2, "broadcast", &[], told));
}
