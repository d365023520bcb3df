//! Sessions, last wills and how connections end by MQTT 5.

use super::*;

/// Asks for a session that lasts as long as it may.
const LASTING: [u8; 5] = [0x11, 0, 0, 0x0e, 0x10];

impl Scene {
    /// Connects with a session that goes on, if `present`, and lasts.
    fn resume_five(&self, present: bool, properties: &[u8]) -> Client {
        let mut client = self.dial();
        client.send(&connect_five("x", 0, 60, &[&LASTING, properties].concat(), &[]));
        client.expect(&connack(present, TERMS));
        client
    }

    /// Connects with a will at `wills`, of these properties, and a session that lasts.
    fn doomed(&self, name: &str, clean: bool, present: bool, will: &[u8]) -> Client {
        let mut client = self.dial();
        let rest = [&[will.len() as u8][..], will, &text("wills"), &text("gone")].concat();
        client.send(&connect_five(name, 4 | u8::from(clean) << 1, 60, &LASTING, &rest));
        client.expect(&connack(present, TERMS));
        client
    }
}

impl Client {
    /// Breaks off without a word. The session has been put away once this returns.
    fn vanish_five(mut self) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = self.stream.read_to_end(&mut Vec::new());
    }
}

#[test]
fn a_session_lasts_as_long_as_its_client_says_last() {
    let scene = Scene::new();
    // Without an expiry it ends with the connection.
    scene.five("x", &[]).vanish_five();
    scene.resume_five(false, &[]).vanish_five();
    let mut client = scene.resume_five(true, &[]);
    // §3.14.2.2.2: DISCONNECT may end it at once.
    client.send(&[0xe0, 7, 0, 5, 0x11, 0, 0, 0, 0]);
    client.expect_end();
    scene.resume_five(false, &[]).vanish_five();
    // A session belongs to its version of MQTT.
    let mut three = scene.connect("x");
    three.ping();
    scene.resume_five(false, &[]);
}

#[test]
fn what_is_owed_comes_again_under_the_new_receive_maximum_and_then_what_came_meanwhile() {
    // [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-4.9.0-2]
    let scene = Scene::new();
    let mut sender = scene.five("sender", &[]);
    let mut send = |pid: u16| {
        sender.send(&publish_five(0x32, pid, "t", &[], &[pid as u8]));
        sender.expect(&[0x40, 2, 0, pid as u8]);
    };
    let mut client = scene.resume_five(false, &[]);
    client.subscribe_five("t", 1);
    (1..=3).for_each(&mut send);
    for pid in 1..=3 {
        client.expect(&publish_five(0x32, pid, "t", &[], &[pid as u8]));
    }
    client.vanish_five();
    send(4);
    let mut client = scene.resume_five(true, &[0x21, 0, 1]);
    for (pid, first) in [(1, 0x3a), (2, 0x3a), (3, 0x3a), (4, 0x32)] {
        client.expect(&publish_five(first, pid, "t", &[], &[pid as u8]));
        client.ping();
        client.send(&[0x40, 2, 0, pid as u8]);
    }
    client.ping();
}

#[test]
fn a_will_waits_for_its_delay_is_not_sent_if_the_client_is_back_and_goes_with_the_session() {
    let scene = Scene::new();
    let mut watcher = scene.subscriber_five("watcher", &[], "wills", 0);
    let hour = [0x18, 0, 0, 0x0e, 0x0f];
    // [MQTT-3.1.3-9]: back in time, by way of the end of the connection and by taking it over.
    scene.doomed("x", true, false, &hour).vanish_five();
    let mut old = scene.doomed("x", false, true, &hour);
    let new = scene.doomed("x", false, true, &hour);
    // [MQTT-3.1.4-3]
    old.expect(&disconnect(0x8e));
    old.expect_end();
    new.vanish_five();
    watcher.ping();
    // A session that a clean start ends takes its will with it.
    let fresh = scene.doomed("x", true, false, &[]);
    watcher.expect(&publish_five(0x30, 0, "wills", &[], b"gone"));
    // Without a delay it is published at once [MQTT-3.1.2-8], with what it says of itself.
    fresh.vanish_five();
    watcher.expect(&publish_five(0x30, 0, "wills", &[], b"gone"));
    let said = [&[0x26][..], &text("a"), &text("b")].concat();
    scene.doomed("y", true, false, &said).vanish_five();
    watcher.expect(&publish_five(0x30, 0, "wills", &said, b"gone"));
    // A delay that runs out while the session goes on.
    scene.doomed("z", true, false, &[0x18, 0, 0, 0, 1]).vanish_five();
    watcher.expect(&publish_five(0x30, 0, "wills", &[], b"gone"));
    scene.doomed("z", false, true, &[]).vanish_five();
    watcher.expect(&publish_five(0x30, 0, "wills", &[], b"gone"));
}

#[test]
fn disconnect_says_whether_the_will_is_published() {
    // [MQTT-3.1.2-10] [MQTT-3.14.4-3]
    let scene = Scene::new();
    let mut watcher = scene.subscriber_five("watcher", &[], "wills", 0);
    for (words, is_published) in
        [(&[0xe0, 0][..], false), (&[0xe0, 1, 0], false), (&[0xe0, 1, 4], true), (&[0xe0, 2, 0x81, 0], true)]
    {
        let mut client = scene.doomed("x", true, false, &[]);
        client.send(words);
        client.expect_end();
        if is_published {
            watcher.expect(&publish_five(0x30, 0, "wills", &[], b"gone"));
        }
        watcher.ping();
    }
}

#[test]
fn who_is_connected_hears_that_the_service_stops() {
    let mut scene = Scene::new();
    let (mut five, mut three) = (scene.five("five", &[]), scene.connect("three"));
    scene.stop();
    five.expect(&disconnect(0x8b));
    five.expect_end();
    three.expect_end();
}

/// A masked frame, as clients send them.
fn masked(payload: &[u8]) -> Vec<u8> {
    let body = payload.iter().map(|byte| byte ^ 7);
    [&[0x82, 0x80 | payload.len() as u8, 7, 7, 7, 7][..], &body.collect::<Vec<_>>()].concat()
}

#[test]
fn within_a_websocket_it_is_the_same_mqtt_whatever_frames_packets_are_cut_into() {
    // [MQTT-6.0.0-2] [MQTT-6.0.0-3] [MQTT-6.0.0-4]
    let mut scene = Scene::new();
    let mut client = scene.dial();
    client.send(
        b"GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
    );
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    let packets = [connect_five("x", CLEAN, 60, &[], &[]), subscribe_five("t", 1), vec![0xc0, 0]].concat();
    for piece in packets.chunks(7) {
        client.send(&masked(piece));
    }
    let mut said = Vec::new();
    let expected = [&connack(false, TERMS)[..], &[0x90, 4, 0, 1, 0, 1, 0xd0, 0]].concat();
    let mut hear = |client: &mut Client, expected: &[u8]| {
        while said.len() < expected.len() {
            let frame = client.next();
            assert_eq!(frame[0], 0x82);
            said.extend_from_slice(&frame[2..]);
        }
        assert_eq!(said, expected);
        said.clear();
    };
    hear(&mut client, &expected);
    client.send(&masked(&publish_five(0x32, 1, "t", &[], b"hello")));
    let own = publish_five(0x32, 1, "t", &[], b"hello");
    hear(&mut client, &[&own[..], &[0x40, 2, 0, 1]].concat());
    scene.stop();
    hear(&mut client, &disconnect(0x8b));
    client.expect(&[0x88, 2, 3, 0xe8]);
    client.expect_end();
}
