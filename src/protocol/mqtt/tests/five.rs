//! The session by MQTT 5 against scripted brokers. Numbers in brackets are the statements of the standard that a test holds it to.

mod oracle;
mod resumption;

use super::super::super::harness::script::{Script, context, outcome};
use super::super::super::verdict::Reply;
use super::super::super::{Answer, Correlation, Identity, OwnSettings};
use super::super::v5::packet::{Message as Wire, encode_ack, encode_publish};
use super::super::v5::property::{
    ALIAS_MAXIMUM, CORRELATION_DATA, MAXIMUM_PACKET, MAXIMUM_QOS, RECEIVE_MAXIMUM, RESPONSE_TOPIC,
    RETAIN_AVAILABLE, SERVER_KEEP_ALIVE, TOPIC_ALIAS, Value, put,
};
use super::super::*;
use super::{events, message, ok, open_as};
use crate::record::{Code, ErrorKind, Protocol, RunToken, TraceContext, Traced};

const OWN: &str = "devices/d/readings";

fn settings_of(close: Close, mqtt: MqttSettings, five: V5Settings) -> Settings {
    let mqtt = MqttSettings { five: Some(five), ..mqtt };
    Settings { close, own: OwnSettings::of(mqtt), ..Settings::default() }
}

fn settings(close: Close, qos: Qos) -> Settings {
    settings_of(close, MqttSettings { qos, ..MqttSettings::default() }, V5Settings::default())
}

/// Properties as CONNACK and PUBLISH have them.
fn properties(list: &[(u8, Value<'_>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (id, value) in list {
        put(*id, *value, &mut bytes);
    }
    bytes
}

fn connack(code: u8, list: &[(u8, Value<'_>)]) -> Vec<u8> {
    let properties = properties(list);
    let size = properties.len() as u8;
    [&[0x20, 3 + size, 0, code, size][..], &properties].concat()
}

/// A message from the broker.
pub(super) fn publish(topic: &str, qos: Qos, pid: u16, list: &[(u8, Value<'_>)], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let wire = Wire { qos, pid, retain: false, topic, payload };
    encode_publish(&wire, [&properties(list), &[]], false, &mut bytes).unwrap();
    bytes
}

fn ack(ack: Ack, pid: u16, code: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_ack(ack, pid, code, &mut bytes);
    bytes
}

fn try_open(script: Script, settings: &Settings, identity: &Identity) -> Result<Mqtt<Script>, Failure> {
    let endpoint = Endpoint::resolve(Protocol::named("mqtt"), "mqtt://127.0.0.1").unwrap();
    open_as(script, &endpoint, settings, identity)
}

/// A session on the terms that CONNACK states.
fn open(settings: &Settings, terms: &[(u8, Value<'_>)]) -> Mqtt<Script> {
    let mut session = try_open(Script::new().data(&connack(0, terms)), settings, &Identity::of("d")).unwrap();
    session.stream.take_written();
    session
}

fn remarks(session: &mut Mqtt<Script>) -> Vec<(u64, String)> {
    let taken = std::iter::from_fn(|| session.notes_mut().take_remark());
    taken.map(|(count, reason)| (count, reason.sentence.into_owned())).collect()
}

fn closed(seq: u64, answer: Answer) -> Event {
    Reply { answer, ..Reply::ok(seq) }.into()
}

#[test]
fn the_handshake_says_what_the_device_takes() {
    // [MQTT-3.1.2-4] a clean start has no expiry; [MQTT-3.1.2-24] the largest packet is the one that is enforced.
    let session = try_open(
        Script::new().data(&connack(0, &[])),
        &settings(Close::Ack, Qos::AtLeastOnce),
        &Identity::of("d"),
    );
    let clean = [0x10, 19, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 60, 5, 39, 0, 4, 0, 0, 0, 1, b'd'];
    assert_eq!(session.unwrap().stream.written(), clean);
    let mqtt = MqttSettings { clean_session: false, ..MqttSettings::default() };
    let five =
        V5Settings { session_expiry_s: 7, receive_maximum: 20, topic_aliases: 3, ..V5Settings::default() };
    let session = try_open(
        Script::new().data(&connack(0, &[])),
        &settings_of(Close::Ack, mqtt, five),
        &Identity::of("d"),
    );
    let asked = [17, 0, 0, 0, 7, 33, 0, 20, 39, 0, 4, 0, 0, 34, 0, 3];
    let kept =
        [&[0x10, 30, 0, 4, b'M', b'Q', b'T', b'T', 5, 0, 0, 60, 16][..], &asked, &[0, 1, b'd']].concat();
    assert_eq!(session.unwrap().stream.written(), kept);
}

#[test]
fn no_more_is_under_way_than_the_broker_takes() {
    // [MQTT-3.3.4-7] [MQTT-4.9.0-2] [MQTT-4.9.0-3]: what waits for credit waits as backlog.
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        for most in [1_u16, 2, 20, 1_000] {
            let terms = [(RECEIVE_MAXIMUM, Value::Number(most.into()))];
            let mut session = open(&settings(Close::Ack, qos), &terms);
            for seq in 1..=u64::from(most) {
                assert!(session.ready(), "{seq} of {most}");
                session.send(&mut context(), &message(seq, b"x")).unwrap();
            }
            assert!(!session.ready(), "{most}");
            assert_eq!(session.send(&mut context(), &message(0, b"x")), Err(Failure::not_ready()));
            let first = if qos == Qos::ExactlyOnce { Ack::Pubcomp } else { Ack::Puback };
            if qos == Qos::ExactlyOnce {
                // PUBREC returns no credit unless it refuses.
                assert_eq!(events(&mut session, &ack(Ack::Pubrec, 1, 0)), []);
                assert!(!session.ready());
            }
            assert_eq!(events(&mut session, &ack(first, 1, 0)), [ok(1)]);
            assert!(session.ready());
            session.send(&mut context(), &message(9_999, b"x")).unwrap();
            assert!(!session.ready());
        }
    }
    // QoS 0 needs no credit.
    let mut session = open(&settings(Close::Sent, Qos::AtMostOnce), &[(RECEIVE_MAXIMUM, Value::Number(1))]);
    for seq in 1..=3 {
        session.send(&mut context(), &message(seq, b"x")).unwrap();
        assert_eq!(outcome(&mut session), (vec![ok(seq)], None));
    }
    // A broker that states nothing takes 65 535; the device's own bound is lower.
    let mut session = open(&settings(Close::Ack, Qos::AtLeastOnce), &[]);
    let mut sent = 0;
    while session.ready() {
        sent += 1;
        session.send(&mut context(), &message(sent, b"")).unwrap();
    }
    assert_eq!(sent, 16_384);
}

#[test]
fn a_refusing_acknowledgement_is_the_outcome_of_its_reading() {
    let error = Answer::Error(ErrorKind::Status);
    let table = [
        (0x00, Answer::Ok),
        (0x10, Answer::Ok),
        (0x80, error),
        (0x87, error),
        (0x89, Answer::Shed),
        (0x93, Answer::Shed),
        (0x97, Answer::Shed),
    ];
    for (code, answer) in table {
        for (qos, first) in [(Qos::AtLeastOnce, Ack::Puback), (Qos::ExactlyOnce, Ack::Pubrec)] {
            let mut session = open(&settings(Close::Ack, qos), &[(RECEIVE_MAXIMUM, Value::Number(1))]);
            session.send(&mut context(), &message(5, b"x")).unwrap();
            session.stream.take_written();
            let refused = code >= 0x80;
            let mut told = events(&mut session, &ack(first, 1, code));
            if first == Ack::Pubrec && !refused {
                assert_eq!(session.stream.take_written(), ack(Ack::Pubrel, 1, 0));
                told.extend(events(&mut session, &ack(Ack::Pubcomp, 1, 0)));
            }
            assert_eq!(told, [closed(5, answer)], "{code:#x} {qos:?}");
            // [MQTT-4.3.3-4]: what was refused is not released, and its credit is back.
            assert_eq!(session.stream.take_written(), b"");
            assert!(session.ready());
            let reason = session.notes_mut().explain(5);
            assert_eq!(
                reason.map(|reason| reason.code),
                refused.then(|| Code::numbered(first.name(), code.into()))
            );
            let unheard = vec![(1, "the broker took readings to which nobody subscribes".to_owned())];
            assert_eq!(remarks(&mut session), if code == 0x10 { unheard } else { vec![] });
        }
    }
}

#[test]
fn the_brokers_words_stand_in_the_reason() {
    let mut session = open(&settings(Close::Ack, Qos::AtLeastOnce), &[]);
    session.send(&mut context(), &message(5, b"x")).unwrap();
    let refused = [0x40, 9, 0, 1, 0x97, 5, 31, 0, 2, b'n', b'o'];
    assert_eq!(events(&mut session, &refused), [closed(5, Answer::Shed)]);
    let sentence = session.notes_mut().explain(5).unwrap().sentence;
    assert_eq!(sentence, "the broker did not take the reading: PUBACK 151, quota exceeded: no");
}

#[test]
fn what_was_handed_over_is_not_closed_twice() {
    let mut session = open(&settings(Close::Sent, Qos::AtLeastOnce), &[]);
    session.send(&mut context(), &message(5, b"x")).unwrap();
    assert_eq!(outcome(&mut session), (vec![ok(5)], None));
    assert_eq!(events(&mut session, &ack(Ack::Puback, 1, 0x97)), []);
    let said = "the broker did not take the reading: PUBACK 151, quota exceeded";
    assert_eq!(remarks(&mut session), [(1, said.to_owned())]);
}

#[test]
fn a_reading_too_large_for_the_broker_is_never_sent() {
    // [MQTT-3.2.2-15]
    let terms = [(MAXIMUM_PACKET, Value::Number(40))];
    let mut session = open(&settings(Close::Ack, Qos::AtLeastOnce), &terms);
    // Fixed header 2, topic 20, identifier 2, no properties 1: 15 bytes are left.
    session.send(&mut context(), &message(1, &[b'x'; 16])).unwrap();
    assert_eq!(session.stream.written(), b"");
    assert_eq!(outcome(&mut session), (vec![closed(1, Answer::Error(ErrorKind::Protocol))], None));
    let reason = session.notes_mut().explain(1).unwrap();
    assert_eq!(reason.sentence, "the reading takes 41 bytes, and the broker takes packets of 40 at most");
    session.send(&mut context(), &message(2, &[b'x'; 15])).unwrap();
    assert_eq!(session.stream.take_written().len(), 40);
    assert_eq!(events(&mut session, &ack(Ack::Puback, 1, 0)), [ok(2)]);
}

#[test]
fn an_alias_stands_for_a_topic_once_it_is_stated() {
    // [MQTT-3.3.2-8] [MQTT-3.2.2-17]: neither above the broker's maximum, nor above the fleet's.
    let five = V5Settings { topic_aliases: 9, ..V5Settings::default() };
    let settings = settings_of(Close::Ack, MqttSettings::default(), five);
    let mut session = open(&settings, &[(ALIAS_MAXIMUM, Value::Number(1))]);
    let alias = |number| [(TOPIC_ALIAS, Value::Number(number))];
    let mut written = |seq, address: Option<&str>| {
        session.send(&mut context(), &Message { address, ..message(seq, b"x") }).unwrap();
        session.stream.take_written()
    };
    assert_eq!(written(1, None), publish(OWN, Qos::AtLeastOnce, 1, &alias(1), b"x"));
    assert_eq!(written(2, None), publish("", Qos::AtLeastOnce, 2, &alias(1), b"x"));
    assert_eq!(written(3, Some("other")), publish("other", Qos::AtLeastOnce, 3, &[], b"x"));
    // [MQTT-3.2.2-18]: a broker that states no maximum takes none.
    let mut session = open(&settings, &[]);
    session.send(&mut context(), &message(1, b"x")).unwrap();
    assert_eq!(session.stream.take_written(), publish(OWN, Qos::AtLeastOnce, 1, &[], b"x"));
}

#[test]
fn aliases_of_the_broker_are_followed_and_bounded() {
    let five = V5Settings { topic_aliases: 2, ..V5Settings::default() };
    let settings = settings_of(Close::Delivery, MqttSettings::default(), five);
    let script = || Script::new().data(&connack(0, &[])).data(&[0x90, 4, 0, 1, 0, 1]);
    let body = br#"{"device":"d","seq":5}"#;
    let heard =
        |topic, alias| publish(topic, Qos::AtMostOnce, 0, &[(TOPIC_ALIAS, Value::Number(alias))], body);
    let mut session = try_open(script(), &settings, &Identity::of("d")).unwrap();
    assert_eq!(events(&mut session, &[heard(OWN, 2), heard("", 2)].concat()), [ok(5), ok(5)]);
    // [MQTT-3.1.2-26] [MQTT-3.3.2-9]
    for (bytes, said) in [
        (heard("", 1), "a topic alias that it has not stated before"),
        (heard(OWN, 3), "a topic alias above the maximum of 2"),
        (publish("", Qos::AtMostOnce, 0, &[], body), "without a topic or an alias for one"),
    ] {
        let mut session = try_open(script(), &settings, &Identity::of("d")).unwrap();
        session.stream.push(&bytes);
        let failure = outcome(&mut session).1.unwrap();
        assert!(failure.reason.sentence.contains(said), "{failure}");
    }
}

#[test]
fn what_a_reading_carries_besides() {
    let five = V5Settings { message_expiry_s: 9, ..V5Settings::default() };
    let settings = settings_of(Close::Ack, MqttSettings::default(), five);
    let identity = Identity { headers: vec![("site".to_owned(), "a".to_owned())], ..Identity::of("d") };
    let mut session = try_open(Script::new().data(&connack(0, &[])), &settings, &identity).unwrap();
    session.stream.take_written();
    session.send(&mut context(), &message(1, b"x")).unwrap();
    let carried = [(2, Value::Number(9)), (38, Value::Pair("site", "a"))];
    assert_eq!(session.stream.take_written(), publish(OWN, Qos::AtLeastOnce, 1, &carried, b"x"));
}

#[test]
fn a_reply_is_known_by_the_correlation_data_that_its_reading_had_whatever_it_says() {
    // [MQTT-3.3.2-14]: a topic, not a filter. The answer of another device or run closes nothing.
    let settings = settings_of(Close::Reply, MqttSettings::default(), V5Settings::default());
    let settings = Settings { correlation: Correlation::Data, run: RunToken::of("k3v9x0aa"), ..settings };
    let identity = Identity { reply_topic: Some("answers/d".to_owned()), ..Identity::of("d") };
    let script = Script::new().data(&connack(0, &[])).data(&[0x90, 4, 0, 1, 0, 1]);
    let mut session = try_open(script, &settings, &identity).unwrap();
    session.stream.take_written();
    session.send(&mut context(), &message(7, b"x")).unwrap();
    let data = |data: &'static [u8]| (CORRELATION_DATA, Value::Binary(data));
    let sent = [(RESPONSE_TOPIC, Value::Text("answers/d")), data(b"d/k3v9x0aa/7")];
    assert_eq!(session.stream.take_written(), publish(OWN, Qos::AtLeastOnce, 1, &sent, b"x"));
    let reply = |topic, own: &[(u8, Value<'_>)]| publish(topic, Qos::AtMostOnce, 0, own, b"whatever");
    for bytes in [
        reply("answers/d", &[data(b"d/another0/7")]),
        reply("answers/d", &[data(b"e/k3v9x0aa/7")]),
        reply("answers/d", &[]),
        reply("answers/e", &[data(b"d/k3v9x0aa/7")]),
    ] {
        assert_eq!(events(&mut session, &bytes), []);
    }
    assert_eq!(session.stray(), 4);
    let told = Reply { named: true, ..Reply::ok(7) };
    assert_eq!(events(&mut session, &reply("answers/d", &[data(b"d/k3v9x0aa/7")])), [told.into()]);
}

#[test]
fn a_trace_context_goes_as_a_user_property_of_its_reading() {
    let mut session = open(&settings(Close::Ack, Qos::AtLeastOnce), &[]);
    let trace = TraceContext::of(RunToken::of("k3v9x0aa").unwrap(), "d", Traced::Reading(1), 1.0);
    session.send(&mut context(), &Message { trace: Some(trace), ..message(1, b"x") }).unwrap();
    let said = trace.to_string();
    let carried = [(38, Value::Pair("traceparent", said.as_str()))];
    assert_eq!(session.stream.take_written(), publish(OWN, Qos::AtLeastOnce, 1, &carried, b"x"));
}

#[test]
fn the_brokers_keep_alive_takes_the_place_of_ours() {
    // [MQTT-3.1.2-21]
    let usual = settings(Close::Ack, Qos::AtLeastOnce);
    for (terms, period) in [
        (vec![], None),
        (vec![(SERVER_KEEP_ALIVE, Value::Number(5))], Some(Duration::from_millis(2_500))),
        (vec![(SERVER_KEEP_ALIVE, Value::Number(0))], Some(Duration::ZERO)),
    ] {
        assert_eq!(open(&usual, &terms).keep_alive_period(), period);
    }
}

#[test]
fn a_handshake_that_fails_says_why_and_whether_for_good() {
    let two = settings(Close::Ack, Qos::ExactlyOnce);
    let retaining = MqttSettings { retain: true, ..MqttSettings::default() };
    let retaining = settings_of(Close::Ack, retaining, V5Settings::default());
    let heard = settings(Close::Delivery, Qos::AtLeastOnce);
    let suback = [&connack(0, &[])[..], &[0x90, 4, 0, 1, 0, 0x87]].concat();
    let table: &[(&Settings, Vec<u8>, &str, bool)] = &[
        (&two, connack(0x87, &[]), "refused the connection: CONNACK 135, not authorized", true),
        (&two, connack(0x89, &[]), "refused the connection: CONNACK 137, server busy", false),
        (
            &two,
            connack(0x89, &[(31, Value::Text("later"))]),
            "refused the connection: CONNACK 137, server busy: later",
            false,
        ),
        (&two, vec![0x20, 2, 0, 1], "the broker does not speak MQTT 5", true),
        // [MQTT-3.2.2-11] [MQTT-3.2.2-14]
        (&two, connack(0, &[(MAXIMUM_QOS, Value::Number(1))]), "takes QoS 1 at most", true),
        (&retaining, connack(0, &[(RETAIN_AVAILABLE, Value::Number(0))]), "no retained messages", true),
        (&heard, suback, "SUBACK 135, not authorized", false),
    ];
    for (settings, bytes, said, for_good) in table {
        let failure = try_open(Script::new().data(bytes), settings, &Identity::of("d")).unwrap_err();
        assert!(failure.reason.sentence.contains(said), "{failure}");
        assert_eq!(failure.reason.final_refusal, *for_good, "{failure}");
    }
}

#[test]
fn the_end_that_a_broker_announces_is_told_by_its_reason() {
    let table: &[(&[u8], &str, u32)] = &[
        (&[0xe0, 0], "DISCONNECT 0, success", 0),
        (&[0xe0, 1, 0x8b], "DISCONNECT 139, server shutting down", 139),
        (&[0xe0, 7, 0x9c, 5, 28, 0, 2, b's', b'2'], "use another server (it names another server: s2)", 156),
        (&[0xe0, 7, 0x8e, 5, 31, 0, 2, b'n', b'o'], "DISCONNECT 142, session taken over: no", 142),
    ];
    for (bytes, said, code) in table {
        let mut session = open(&settings(Close::Ack, Qos::AtLeastOnce), &[]);
        session.stream.push(bytes);
        let failure = outcome(&mut session).1.unwrap();
        assert_eq!(
            (failure.kind, &failure.reason.code),
            (ErrorKind::Closed, &Code::numbered("DISCONNECT", *code))
        );
        assert!(failure.reason.sentence.contains(said), "{failure}");
    }
}

#[test]
fn a_broker_that_cannot_be_followed_is_told_why() {
    let five = V5Settings { receive_maximum: 1, ..V5Settings::default() };
    let mqtt = MqttSettings { qos: Qos::ExactlyOnce, ..MqttSettings::default() };
    let settings = settings_of(Close::Ack, mqtt, five);
    let pushed = |pid| publish("t", Qos::ExactlyOnce, pid, &[], b"");
    let table: &[(Vec<u8>, &str)] = &[
        (vec![0xf0, 0], "sent an AUTH, though no authentication method was asked for"),
        (vec![0x41, 2, 0, 1], "type 4 with the reserved flags 0x1"),
        (vec![0xe1, 0], "type 14 with the reserved flags 0x1"),
        (vec![0x36, 6, 0, 1, b'a', 0, 1, 0], "sent a PUBLISH of QoS 3"),
        (vec![0x30, 3, 0, 1, b'a'], "a PUBLISH that is shorter than its properties"),
        (vec![0x40, 1, 0], "sent a PUBACK that is shorter than its parts"),
        (vec![0x40, 5, 0, 1, 0, 0, 7], "sent a PUBACK with 1 bytes behind its properties"),
        (vec![0x90, 4, 0, 1, 0, 9], "SUBACK with the reason code 9"),
        (vec![0xd0, 1, 0], "PINGRESP with a remaining length of 1 instead of 0"),
        ([pushed(1), pushed(2)].concat(), "more messages of QoS 2 at once than the receive maximum of 1"),
    ];
    for (bytes, said) in table {
        let mut session = open(&settings, &[]);
        session.stream.push(bytes);
        let failure = outcome(&mut session).1.unwrap();
        assert!(failure.reason.sentence.contains(said), "{failure}");
    }
    // One that was released, and one that is said again, are within the maximum.
    let mut session = open(&settings, &[]);
    let released = [pushed(1), pushed(1), ack(Ack::Pubrel, 1, 0), pushed(2)].concat();
    assert_eq!(events(&mut session, &released), []);
    // [MQTT-3.6.2-1] and §3.7.2.1: what is not known is said to be so.
    session.stream.take_written();
    assert_eq!(events(&mut session, &[ack(Ack::Pubrel, 9, 0), ack(Ack::Pubrec, 9, 0)].concat()), []);
    let written = [ack(Ack::Pubcomp, 9, 0x92), ack(Ack::Pubrel, 9, 0x92)].concat();
    assert_eq!(session.stream.take_written(), written);
}
