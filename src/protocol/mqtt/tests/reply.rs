//! Services other than the bundled one: own topics and identities on the wire, and replies by pointer and by order.

use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{self, Packet};

use super::super::super::harness::script::{Script, context};
use super::super::super::{Correlation, Login, OwnSettings, Will};
use super::super::*;
use super::{CONNACK, SUBACK, ack, events, message, ok, open_as, publish};
use crate::record::Protocol;
use crate::units::Secret;

/// The packets an independent codec reads.
fn packets(bytes: &[u8]) -> Vec<Packet> {
    let mut bytes = BytesMut::from(bytes);
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        packets.push(Packet::read(&mut bytes, usize::MAX).unwrap());
    }
    packets
}

fn settings(close: Close, pointer: Option<&str>) -> Settings {
    let correlation = pointer.map_or(Correlation::Order, |pointer| Correlation::Pointer(pointer.into()));
    Settings { close, correlation, ..Settings::default() }
}

fn identity() -> Identity {
    Identity {
        address: Some("plant/7/up".to_owned()),
        reply_topic: Some("plant/7/down/+".to_owned()),
        ..Identity::of("d")
    }
}

fn open(script: Script, settings: &Settings, identity: &Identity) -> Result<Mqtt<Script>, Failure> {
    let endpoint = Endpoint::resolve(Protocol::named("mqtt"), "mqtt://url:pw@127.0.0.1").unwrap();
    open_as(script, &endpoint, settings, identity)
}

/// A session past its handshake, whose written bytes have been taken.
fn session(settings: &Settings, identity: &Identity) -> Mqtt<Script> {
    let mut session = open(Script::new().data(CONNACK).data(SUBACK), settings, identity).unwrap();
    session.stream.take_written();
    session
}

#[test]
fn the_handshake_presents_what_the_device_is_to_the_service() {
    let will = Will {
        topic: "plant/7/gone".to_owned(),
        payload: b"\0bye".to_vec(),
        qos: Qos::ExactlyOnce,
        retain: true,
    };
    let identity = Identity {
        client_id: Some("client 7".to_owned()),
        login: Some(Login { user: "ann".to_owned(), password: Some(Secret::new("pw2")) }),
        will: Some(will),
        ..identity()
    };
    let mqtt = MqttSettings { clean_session: false, ..MqttSettings::default() };
    let settings = Settings { own: OwnSettings::of(mqtt), ..settings(Close::Reply, Some("/id")) };
    // The broker says that it knows the session already: subscribing again does no harm.
    let session_present = &[0x20, 2, 1, 0];
    let session = open(Script::new().data(session_present).data(SUBACK), &settings, &identity).unwrap();
    let mut connect = v4::Connect::new("client 7");
    connect.keep_alive = 60;
    connect.clean_session = false;
    connect.set_login("ann", "pw2");
    connect.last_will = Some(v4::LastWill::new("plant/7/gone", b"\0bye".to_vec(), QoS::ExactlyOnce, true));
    let mut subscribe = v4::Subscribe::new("plant/7/down/+", QoS::AtLeastOnce);
    subscribe.pkid = 1;
    let expected = [Packet::Connect(connect), Packet::Subscribe(subscribe)];
    assert_eq!(packets(session.stream.written()), expected);
}

#[test]
fn a_login_of_the_device_takes_the_place_of_the_urls_as_a_whole() {
    let login = |identity: &Identity| {
        let session = open(Script::new().data(CONNACK), &settings(Close::Sent, None), identity).unwrap();
        match packets(session.stream.written()).remove(0) {
            Packet::Connect(connect) => connect.login.map(|login| (login.username, login.password)),
            other => panic!("{other:?}"),
        }
    };
    let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
    assert_eq!(login(&Identity::of("d")), pair("url", "pw"));
    let nameless = Login { user: "ann".to_owned(), password: None };
    assert_eq!(login(&Identity { login: Some(nameless), ..Identity::of("d") }), pair("ann", ""));
}

#[test]
fn what_mqtt_cannot_carry_is_refused_and_no_secret_repeated() {
    let long = "s3cret".repeat(11_000);
    let will = |topic: &str, payload: &str| {
        let (topic, payload) = (topic.to_owned(), payload.as_bytes().to_vec());
        Some(Will { topic, payload, qos: Qos::AtMostOnce, retain: false })
    };
    let login = |user: &str, password: &str| {
        Some(Login { user: user.to_owned(), password: Some(Secret::new(password)) })
    };
    let table = [
        (Identity { client_id: Some(long.clone()), ..identity() }, "client identifier is longer"),
        (Identity { login: login(&long, ""), ..identity() }, "user name is longer"),
        (Identity { login: login("ann", &long), ..identity() }, "password is longer"),
        (Identity { will: will("gone", &long), ..identity() }, "will is longer"),
        (Identity { will: will("gone/#", ""), ..identity() }, "`gone/#` is not a valid MQTT topic"),
        (Identity { will: will("", ""), ..identity() }, "not a valid MQTT topic"),
    ];
    for (identity, expected) in table {
        let refusal = open(Script::new(), &settings(Close::Ack, None), &identity).unwrap_err().to_string();
        assert!(refusal.contains(expected) && !refusal.contains("s3cret"), "{refusal}");
    }
}

#[test]
fn a_session_prints_no_password_while_it_waits_to_be_written() {
    let login = Login { user: "ann".to_owned(), password: Some(Secret::new("s3cret")) };
    let mut session = Mqtt::new(Script::new(), &settings(Close::Ack, None), &identity()).unwrap();
    let bytes = session.outbox.tail();
    packet::encode_connect(&identity(), true, 0, Some(&login), bytes).unwrap();
    let (shown, hidden) = (format!("{session:?}"), format!("{:?}", b"s3cret"));
    assert!(!shown.contains("s3cret") && !shown.contains(hidden.trim_matches(['[', ']'])), "{shown}");
}

#[test]
fn readings_are_published_where_and_how_the_fleet_declares() {
    let mqtt = MqttSettings { qos: Qos::AtLeastOnce, retain: true, ..MqttSettings::default() };
    let mut session =
        session(&Settings { own: OwnSettings::of(mqtt), ..settings(Close::Ack, None) }, &identity());
    session.send(&mut context(), &message(1, b"a")).unwrap();
    let elsewhere = Message { address: Some("other/topic"), ..message(2, b"b") };
    session.send(&mut context(), &elsewhere).unwrap();
    let expected = |topic: &str, payload: &[u8], pid| {
        let mut publish = v4::Publish::new(topic, QoS::AtLeastOnce, payload);
        (publish.retain, publish.pkid) = (true, pid);
        Packet::Publish(publish)
    };
    let written = packets(session.stream.written());
    assert_eq!(written, [expected("plant/7/up", b"a", 1), expected("other/topic", b"b", 2)]);
    assert_eq!(events(&mut session, &[ack(Ack::Puback, 2), ack(Ack::Puback, 1)].concat()), [ok(2), ok(1)]);
    let nowhere = Message { address: Some("other/#"), ..message(3, b"c") };
    assert!(session.send(&mut context(), &nowhere).is_err());
}

#[test]
fn replies_are_found_by_pointer_late_doubled_unknown_or_malformed() {
    let mut session = session(&settings(Close::Reply, Some("/id")), &identity());
    for seq in 1..=3 {
        session.send(&mut context(), &message(seq, b"{}")).unwrap();
    }
    let zero = Qos::AtMostOnce;
    let mut retained = publish("plant/7/down/a", zero, 0, r#"{"id":3}"#);
    retained[0] |= 1;
    let replies = [
        publish("plant/7/down/a", zero, 0, r#"{"id":2,"device":"other"}"#),
        publish("plant/7/down/b", Qos::AtLeastOnce, 5, r#"{"id":"1"}"#),
        publish("plant/7/down/a", zero, 0, r#"{"id":2}"#),
        publish("plant/7/down/a", zero, 0, r#"{"id":99}"#),
        publish("plant/7/down/a", zero, 0, r#"{"id":-1}"#),
        publish("plant/7/down/a", zero, 0, "no json"),
        publish("plant/7/down/a/b", zero, 0, r#"{"id":3}"#),
        retained,
        publish("plant/7/down/", zero, 0, r#"{"id":3}"#),
    ];
    // Doubles and numbers never sent are told: who keeps the books can tell what they are.
    assert_eq!(events(&mut session, &replies.concat()), [2, 1, 2, 99, 3].map(ok));
    assert_eq!(session.stray(), 4);
}

#[test]
fn replies_in_order_answer_whatever_waits_longest_and_each_counts_once() {
    let mut session = session(&settings(Close::Reply, None), &identity());
    for seq in [7, 8, 9] {
        session.send(&mut context(), &message(seq, b"{}")).unwrap();
    }
    let reply = |pid| publish("plant/7/down/a", Qos::ExactlyOnce, pid, "done");
    let mut retained = publish("plant/7/down/a", Qos::AtMostOnce, 0, "old");
    retained[0] |= 1;
    let replies = [
        retained,
        publish("elsewhere", Qos::AtMostOnce, 0, "done"),
        reply(3),
        // The same message again: the broker has not seen PUBREC yet.
        reply(3),
        ack(Ack::Puback, 1),
        reply(4),
    ];
    assert_eq!(events(&mut session, &replies.concat()), [ok(7), ok(8)]);
    let more = publish("plant/7/down/a", Qos::AtMostOnce, 0, "done").repeat(2);
    assert_eq!(events(&mut session, &more), [ok(9)]);
    assert_eq!(session.stray(), 3);
}

#[test]
fn a_broker_that_never_replies_stops_the_sender() {
    let mqtt = MqttSettings { qos: Qos::AtMostOnce, ..MqttSettings::default() };
    let mut session =
        session(&Settings { own: OwnSettings::of(mqtt), ..settings(Close::Reply, None) }, &identity());
    let mut seq = 0;
    while session.ready() {
        session.send(&mut context(), &message(seq, b"")).unwrap();
        seq += 1;
    }
    assert_eq!(seq, 16_384);
    assert_eq!(events(&mut session, &publish("plant/7/down/a", Qos::AtMostOnce, 0, "")), [ok(0)]);
    assert!(session.ready());
}

#[test]
fn verdicts_may_come_to_a_topic_of_the_fleets_choice() {
    let mut session = session(&settings(Close::Verdict, None), &identity());
    let verdict = r#"{"type":"verdict","device":"d","seq":4}"#;
    let messages = [
        publish("devices/d/verdicts", Qos::AtMostOnce, 0, verdict),
        publish("plant/7/down/x", Qos::AtMostOnce, 0, verdict),
    ];
    assert_eq!(events(&mut session, &messages.concat()), [ok(4)]);
    assert_eq!(session.stray(), 1);
}

#[test]
fn deliveries_may_name_themselves_by_pointer_and_come_through_a_filter() {
    let filter = Identity { address: Some("plant/+/up".to_owned()), ..Identity::of("d") };
    let mut session = session(&settings(Close::Delivery, Some("/0/n")), &filter);
    let reading = Message { address: Some("plant/7/up"), ..Message::new(5, br#"[{"n":5}]"#) };
    session.send(&mut context(), &reading).unwrap();
    assert!(session.send(&mut context(), &Message { address: None, ..reading }).is_err());
    let delivered = publish("plant/7/up", Qos::AtMostOnce, 0, r#"[{"n":5}]"#);
    assert_eq!(events(&mut session, &delivered), [ok(5)]);
    let built_in = publish("plant/7/up", Qos::AtMostOnce, 0, r#"{"device":"d","seq":5}"#);
    assert_eq!(events(&mut session, &built_in), []);
    assert_eq!(session.stray(), 1);
}

#[test]
fn what_the_broker_kept_for_an_earlier_connection_is_told_before_anything_else() {
    let kept =
        |pid, seq: u64| publish("plant/7/down/a", Qos::AtLeastOnce, pid, &format!(r#"{{"id":{seq}}}"#));
    let early = [kept(9, 1), kept(10, 2)].concat();
    for (clean_session, told) in [(false, vec![ok(1), ok(2), ok(3)]), (true, vec![ok(3)])] {
        let mqtt = MqttSettings { clean_session, ..MqttSettings::default() };
        let settings = Settings { own: OwnSettings::of(mqtt), ..settings(Close::Reply, Some("/id")) };
        let script = Script::new().data(&[0x20, 2, 1, 0]).data(&early).data(SUBACK);
        let mut session = open(script, &settings, &identity()).unwrap();
        assert_eq!(session.has_more(), !clean_session);
        assert_eq!(events(&mut session, &kept(11, 3)), told);
        // A clean session has sent nothing before.
        assert_eq!(session.stray(), if clean_session { 2 } else { 0 });
        let acks = [9, 10, 11].map(|pid| ack(Ack::Puback, pid)).concat();
        assert!(session.stream.written().ends_with(&acks));
    }
}
