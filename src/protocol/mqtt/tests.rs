//! The MQTT session against scripted brokers.

mod five;
mod oracle;
pub(super) mod peer;
mod reply;
mod resumption;

use std::io;
use std::task::Waker;

use proptest::prelude::*;

use super::super::harness::script::{Script, context, outcome};
use super::super::verdict::Reply;
use super::super::{Answer, OwnSettings};
use super::packet::{encode_ack, encode_publish};
use super::*;
use crate::record::{ErrorKind, Protocol, Stages};

pub(super) const CONNACK: &[u8] = &[0x20, 2, 0, 0];
pub(super) const SUBACK: &[u8] = &[0x90, 3, 0, 1, 1];
const OWN: &str = "devices/d/readings";

pub(super) fn settings(close: Close, qos: Qos) -> Settings {
    let mqtt = MqttSettings { qos, ..MqttSettings::default() };
    Settings { close, own: OwnSettings::of(mqtt), ..Settings::default() }
}

/// A session past its handshake.
fn session(stream: Script, close: Close, qos: Qos) -> Mqtt<Script> {
    Mqtt::new(stream, &settings(close, qos), &Identity::of("d")).unwrap()
}

fn open(script: Script, close: Close, url: &str) -> Result<Mqtt<Script>, Failure> {
    let endpoint = Endpoint::resolve(Protocol::named("mqtt"), url).unwrap();
    open_as(script, &endpoint, &settings(close, Qos::AtLeastOnce), &Identity::of("d"))
}

pub(super) fn open_as(
    script: Script,
    endpoint: &Endpoint,
    settings: &Settings,
    identity: &Identity,
) -> Result<Mqtt<Script>, Failure> {
    let mut opening = Box::pin(Mqtt::open(script, endpoint, settings, identity));
    match opening.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the script is too short"),
    }
}

pub(super) fn ok(seq: u64) -> Event {
    Reply::ok(seq).into()
}

pub(super) fn message(seq: u64, payload: &[u8]) -> Message<'_> {
    Message::new(seq, payload)
}

pub(super) fn ack(ack: Ack, pid: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_ack(ack, pid, &mut bytes);
    bytes
}

pub(super) fn publish(topic: &str, qos: Qos, pid: u16, payload: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let publish = Publish { qos, pid, retain: false, topic, payload: payload.as_bytes() };
    encode_publish(&publish, &mut bytes).unwrap();
    bytes
}

pub(super) fn events(session: &mut Mqtt<Script>, received: &[u8]) -> Vec<Event> {
    session.stream.push(received);
    let (events, failure) = outcome(session);
    assert_eq!(failure, None);
    events
}

#[test]
fn the_handshake_subscribes_where_the_close_needs_it() {
    let stray = publish(OWN, Qos::AtLeastOnce, 9, r#"{"seq":1}"#);
    let table: [(Close, Option<&str>); 4] = [
        (Close::Ack, None),
        (Close::Sent, None),
        (Close::Verdict, Some("devices/d/verdicts")),
        (Close::Delivery, Some(OWN)),
    ];
    for (close, topic) in table {
        let replies = [CONNACK, &stray, SUBACK].concat();
        for at in 0..replies.len() {
            let script = if topic.is_some() {
                Script::new().cut(&replies, &[at])
            } else {
                Script::new().data(CONNACK)
            };
            let session = open(script, close, "mqtt://127.0.0.1").unwrap();
            assert!(session.ready());
            let mut expected = vec![0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 1, b'd'];
            if let Some(topic) = topic {
                expected.extend([0x82, 5 + topic.len() as u8, 0, 1, 0, topic.len() as u8]);
                expected.extend(topic.as_bytes());
                expected.push(1);
            }
            assert_eq!(session.stream.written().get(..expected.len()), Some(&*expected), "{close}");
        }
    }
}

#[test]
fn a_refused_handshake_says_why() {
    let table: [(Script, ErrorKind, &str); 9] = [
        (Script::new().data(&[0x20, 2, 0, 1]), ErrorKind::Protocol, "does not speak MQTT 3.1.1"),
        (Script::new().data(&[0x20, 2, 0, 2]), ErrorKind::Protocol, "client identifier"),
        (Script::new().data(&[0x20, 2, 0, 3]), ErrorKind::Protocol, "unavailable"),
        (Script::new().data(&[0x20, 2, 0, 4]), ErrorKind::Protocol, "wrong user name or password"),
        (Script::new().data(&[0x20, 2, 0, 5]), ErrorKind::Protocol, "not authorized"),
        (Script::new().data(&[0xd0, 0]), ErrorKind::Protocol, "before CONNACK"),
        (
            Script::new().data(CONNACK).data(&[0x90, 3, 0, 1, 0x80]),
            ErrorKind::Protocol,
            "refused the subscription",
        ),
        (Script::new().data(CONNACK).end(), ErrorKind::Closed, "closed the connection"),
        (Script::new().error(io::ErrorKind::ConnectionReset), ErrorKind::Reset, ""),
    ];
    for (script, kind, detail) in table {
        let failure = open(script, Close::Verdict, "mqtt://127.0.0.1").unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.reason.sentence.contains(detail), "{failure}");
    }
    assert!(Mqtt::new(Script::new(), &settings(Close::Sent, Qos::AtMostOnce), &Identity::of("a+b")).is_err());
}

#[test]
fn credentials_of_the_url_are_presented() {
    let session = open(Script::new().data(CONNACK), Close::Sent, "mqtt://ann:pw@127.0.0.1").unwrap();
    assert!(session.stream.written().ends_with(b"\0\x01d\0\x03ann\0\x02pw"));
}

#[test]
fn readings_close_at_their_acknowledgement() {
    let mut one = session(Script::new(), Close::Ack, Qos::AtLeastOnce);
    one.send(&mut context(), &message(10, b"a")).unwrap();
    one.send(&mut context(), &message(11, b"b")).unwrap();
    assert_eq!(
        one.stream.written(),
        [publish(OWN, Qos::AtLeastOnce, 1, "a"), publish(OWN, Qos::AtLeastOnce, 2, "b")].concat()
    );
    let replies = [ack(Ack::Puback, 2), ack(Ack::Puback, 1), ack(Ack::Puback, 1)].concat();
    assert_eq!(events(&mut one, &replies), [ok(11), ok(10)]);
    assert_eq!(one.stray(), 0);

    let mut two = session(Script::new(), Close::Ack, Qos::ExactlyOnce);
    two.send(&mut context(), &message(20, b"a")).unwrap();
    two.stream.take_written();
    assert_eq!(events(&mut two, &ack(Ack::Pubrec, 1)), []);
    assert_eq!(two.stream.take_written(), ack(Ack::Pubrel, 1));
    assert_eq!(events(&mut two, &ack(Ack::Pubcomp, 1)), [ok(20)]);
    assert_eq!(events(&mut two, &ack(Ack::Pubrec, 7)), []);
    assert_eq!(two.stream.take_written(), ack(Ack::Pubrel, 7));
    two.send(&mut context(), &message(21, b"a")).unwrap();
    two.stream.push(&ack(Ack::Puback, 2));
    assert_eq!(outcome(&mut two).1.unwrap().kind, ErrorKind::Protocol);
}

#[test]
fn deliveries_are_acknowledged_after_they_are_told_and_doubles_told_once() {
    let mut session = session(Script::new(), Close::Delivery, Qos::ExactlyOnce);
    let own = |pid| publish(OWN, Qos::ExactlyOnce, pid, r#"{"device":"d","seq":5}"#);
    session.stream.push(&own(3));
    assert_eq!(session.poll_event(&mut context()), Poll::Ready(Ok(ok(5))));
    assert_eq!(session.stream.written(), b"");
    assert_eq!(events(&mut session, &own(3)), []);
    assert_eq!(session.stream.take_written(), [ack(Ack::Pubrec, 3), ack(Ack::Pubrec, 3)].concat());
    assert_eq!(events(&mut session, &ack(Ack::Pubrel, 3)), []);
    assert_eq!(session.stream.take_written(), ack(Ack::Pubcomp, 3));
    // The identifier is free again: this is a new message, if with an old number.
    assert_eq!(events(&mut session, &own(3)), [ok(5)]);

    let at_most_once = publish(OWN, Qos::AtMostOnce, 0, r#"{"device":"d","seq":6}"#);
    assert_eq!(events(&mut session, &at_most_once), [ok(6)]);
    assert_eq!(session.stray(), 0);
}

fn conversation() -> Vec<u8> {
    let verdicts = "devices/d/verdicts";
    let mut retained = publish(verdicts, Qos::AtMostOnce, 0, r#"{"type":"verdict","device":"d","seq":99}"#);
    retained[0] |= 1;
    let stages = r#"{"type":"verdict","device":"d","seq":2,"stages":{"total_ns":9}}"#;
    [
        publish(verdicts, Qos::AtLeastOnce, 4, r#"{"type":"verdict","device":"d","seq":1}"#),
        ack(Ack::Puback, 1),
        vec![0xd0, 0],
        publish(verdicts, Qos::AtMostOnce, 0, stages),
        retained,
        publish("devices/e/verdicts", Qos::AtMostOnce, 0, r#"{"type":"verdict","seq":3}"#),
        publish(verdicts, Qos::ExactlyOnce, 5, r#"{"type":"shed","device":"d","seq":3}"#),
        ack(Ack::Pubrel, 5),
        publish(verdicts, Qos::AtLeastOnce, 6, "no json"),
    ]
    .concat()
}

fn check_conversation(cuts: &[usize]) {
    let mut session = session(Script::new().cut(&conversation(), cuts), Close::Verdict, Qos::AtLeastOnce);
    session.send(&mut context(), &message(1, b"{}")).unwrap();
    session.stream.take_written();
    let stages = Some(Stages { total_ns: 9, ..Stages::default() });
    let timed = Event::Closed { seq: 2, answer: Answer::Ok, stages, flagged: None, arm: None, named: false };
    let shed =
        Event::Closed { seq: 3, answer: Answer::Shed, stages: None, flagged: None, arm: None, named: false };
    assert_eq!(outcome(&mut session), (vec![ok(1), timed, shed], None));
    assert_eq!(session.stray(), 3);
    let acks = [ack(Ack::Puback, 4), ack(Ack::Pubrec, 5), ack(Ack::Pubcomp, 5), ack(Ack::Puback, 6)].concat();
    assert_eq!(session.stream.written(), acks);
}

#[test]
fn a_conversation_reads_the_same_cut_at_every_byte() {
    for at in 0..conversation().len() {
        check_conversation(&[at]);
    }
    check_conversation(&(0..conversation().len()).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn a_conversation_reads_the_same_in_random_pieces(cuts in proptest::collection::vec(any::<usize>(), 0..20)) {
        check_conversation(&cuts);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut session = session(Script::new().data(&bytes).end(), Close::Verdict, Qos::AtLeastOnce);
        prop_assert!(outcome(&mut session).1.is_some());
    }
}

#[test]
fn back_pressure_is_told_and_fire_and_forget_closes_when_handed_over() {
    let mut verdict = session(Script::new().accepting(3), Close::Verdict, Qos::AtMostOnce);
    verdict.send(&mut context(), &message(1, b"{}")).unwrap();
    assert!(!verdict.ready());
    assert_eq!(verdict.send(&mut context(), &message(2, b"{}")), Err(Failure::not_ready()));
    assert_eq!(outcome(&mut verdict), (vec![], None));
    verdict.stream.accept(usize::MAX);
    assert_eq!(outcome(&mut verdict), (vec![Event::Writable], None));
    assert_eq!(verdict.stream.written(), publish(OWN, Qos::AtMostOnce, 0, "{}"));

    let mut sent = session(Script::new(), Close::Sent, Qos::AtLeastOnce);
    sent.send(&mut context(), &message(1, b"{}")).unwrap();
    sent.stream.accept(5);
    sent.send(&mut context(), &message(2, b"{}")).unwrap();
    assert_eq!(outcome(&mut sent), (vec![ok(1)], None));
    sent.stream.accept(usize::MAX);
    assert_eq!(events(&mut sent, &ack(Ack::Puback, 1)), [ok(2)]);
    assert_eq!(sent.stray(), 0);
}

#[test]
fn a_broker_that_never_reads_cannot_make_acknowledgements_pile_up() {
    let mut session = session(Script::new().accepting(0), Close::Verdict, Qos::AtMostOnce);
    let flood = publish("x", Qos::AtLeastOnce, 1, "").repeat(1000);
    for _ in 0..100 {
        session.stream.push(&flood);
    }
    assert_eq!(outcome(&mut session), (vec![], None));
    assert!(session.outbox.len() < MAX_QUEUED + 8 * 1024, "{}", session.outbox.len());
}

#[test]
fn identifiers_running_out_stop_sending_until_one_returns() {
    let mut session = session(Script::new(), Close::Verdict, Qos::AtLeastOnce);
    let mut seq = 0;
    while session.ready() {
        seq += 1;
        session.send(&mut context(), &message(seq, b"")).unwrap();
    }
    assert_eq!(outcome(&mut session), (vec![], None));
    assert_eq!(events(&mut session, &ack(Ack::Puback, 1)), [Event::Writable]);
    assert!(session.ready());
}

#[test]
fn a_silent_period_is_pinged_and_a_silent_broker_given_up() {
    let mut session = session(Script::new(), Close::Ack, Qos::AtLeastOnce);
    session.send(&mut context(), &message(1, b"{}")).unwrap();
    session.stream.take_written();
    session.keep_alive(&mut context()).unwrap();
    assert_eq!(session.stream.written(), b"");
    session.keep_alive(&mut context()).unwrap();
    assert_eq!(session.stream.take_written(), [0xc0, 0]);
    assert_eq!(events(&mut session, &[0xd0, 0]), []);
    session.keep_alive(&mut context()).unwrap();
    assert_eq!(session.stream.take_written(), [0xc0, 0]);
    assert_eq!(session.keep_alive(&mut context()).unwrap_err().kind, ErrorKind::Network);
}

#[test]
fn the_announced_keep_alive_is_twice_the_period() {
    let table = [(0, 0), (1, 1), (500, 1), (501, 2), (30_000, 60), (100_000_000, u16::MAX)];
    for (period_ms, announced_s) in table {
        assert_eq!(announced(Duration::from_millis(period_ms)), announced_s, "{period_ms} ms");
    }
}

#[test]
fn goodbye_is_disconnect_and_the_end_of_the_stream() {
    let mut session = session(Script::new(), Close::Ack, Qos::AtLeastOnce);
    session.stream.accept(1);
    assert!(session.poll_close(&mut context()).is_pending());
    session.stream.accept(usize::MAX);
    assert!(session.poll_close(&mut context()).is_ready());
    assert_eq!(session.stream.written(), [0xe0, 0]);
    assert!(session.stream.is_shut());
}

#[test]
fn failures_of_the_connection_keep_their_kind() {
    let table = [
        (Script::new().error(io::ErrorKind::ConnectionReset), ErrorKind::Reset),
        (Script::new().end(), ErrorKind::Closed),
        (Script::new().data(&[0x40, 2, 0]).end(), ErrorKind::Closed),
        (Script::new().data(b"HTTP/1.1 400"), ErrorKind::Protocol),
        (Script::new().data(CONNACK), ErrorKind::Protocol),
        (Script::new().data(&[0x30, 0xff, 0xff, 0x7f]), ErrorKind::Protocol),
    ];
    for (script, kind) in table {
        let mut session = session(script, Close::Ack, Qos::AtLeastOnce);
        assert_eq!(outcome(&mut session).1.map(|failure| failure.kind), Some(kind));
    }
}
