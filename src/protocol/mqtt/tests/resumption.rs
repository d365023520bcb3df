//! Sessions that outlive their connection, against scripted brokers.

use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;
use proptest::prelude::*;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{self, Packet};

use super::super::super::OwnSettings;
use super::super::super::fault_injector::OwnedMessage;
use super::super::super::harness::script::{Script, context};
use super::super::*;
use super::{SUBACK, ack, events, message, ok, open_as, publish, settings};
use crate::record::Protocol;

const OWN: &str = "devices/d/readings";
const PRESENT: &[u8] = &[0x20, 2, 1, 0];
const ABSENT: &[u8] = &[0x20, 2, 0, 0];

fn kept(close: Close, qos: Qos) -> Settings {
    let usual = settings(close, qos);
    let mqtt = MqttSettings { clean_session: false, ..usual.own.get() };
    Settings { own: OwnSettings::of(mqtt), ..usual }
}

fn open(script: Script, settings: &Settings, resume: Option<&SessionState>) -> Result<Mqtt<Script>, Failure> {
    let endpoint = Endpoint::resolve(Protocol::named("mqtt"), "mqtt://127.0.0.1").unwrap();
    open_as(script, &endpoint, settings, &Identity { resume: resume.cloned(), ..Identity::of("d") })
}

/// A session whose written bytes have been taken.
fn opened(connack: &[u8], settings: &Settings) -> Mqtt<Script> {
    let suback = if settings.close == Close::Ack { &[] } else { SUBACK };
    let mut session = open(Script::new().data(connack).data(suback), settings, None).unwrap();
    session.stream.take_written();
    session
}

fn suspend(session: Mqtt<Script>) -> SessionState {
    session.into_state([], []).unwrap()
}

fn seqs(suspended: &SessionState) -> Vec<u64> {
    let mut seqs = session_state::seqs(suspended);
    seqs.sort_unstable();
    seqs
}

/// The packets an independent codec reads, without CONNECT.
fn packets(bytes: &[u8]) -> Vec<Packet> {
    let mut bytes = BytesMut::from(bytes);
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        packets.push(Packet::read(&mut bytes, usize::MAX).unwrap());
    }
    packets.retain(|packet| !matches!(packet, Packet::Connect(_)));
    packets
}

fn published(pid: u16, qos: QoS, dup: bool, topic: &str, payload: &[u8]) -> Packet {
    let mut publish = v4::Publish::new(topic, qos, payload);
    (publish.pkid, publish.dup) = (pid, dup);
    Packet::Publish(publish)
}

/// Four readings at `QoS` 2, numbered as their packets: 1 and 3 have their PUBREC, in the other order, and 3 is complete.
fn cut_short() -> SessionState {
    let mut session = opened(ABSENT, &kept(Close::Ack, Qos::ExactlyOnce));
    for (seq, payload) in [(1, b"a"), (2, b"b"), (3, b"c")] {
        session.send(&mut context(), &message(seq, payload)).unwrap();
    }
    let elsewhere = Message { address: Some("else/where"), ..message(4, b"d") };
    session.send(&mut context(), &elsewhere).unwrap();
    let acks = [ack(Ack::Pubrec, 3), ack(Ack::Pubrec, 1), ack(Ack::Pubcomp, 3)].concat();
    assert_eq!(events(&mut session, &acks), [ok(3)]);
    suspend(session)
}

#[test]
fn a_broker_that_has_the_session_gets_what_was_in_flight_again_before_anything_new() {
    let suspended = cut_short();
    assert_eq!(seqs(&suspended), [1, 2, 4]);
    let settings = kept(Close::Ack, Qos::ExactlyOnce);
    let mut session = open(Script::new().data(PRESENT), &settings, Some(&suspended)).unwrap();
    session.send(&mut context(), &message(5, b"e")).unwrap();
    assert_eq!(
        packets(&session.stream.take_written()),
        [
            published(2, QoS::ExactlyOnce, true, OWN, b"b"),
            published(4, QoS::ExactlyOnce, true, "else/where", b"d"),
            Packet::PubRel(v4::PubRel::new(1)),
            published(5, QoS::ExactlyOnce, false, OWN, b"e"),
        ]
    );
    // What is resumed is nobody else's any more.
    assert_eq!(seqs(&suspended), [0; 0]);
    let acks = [ack(Ack::Pubrec, 2), ack(Ack::Pubcomp, 1), ack(Ack::Pubcomp, 2), ack(Ack::Pubrec, 4)];
    assert_eq!(events(&mut session, &acks.concat()), [ok(1), ok(2)]);
    assert_eq!(seqs(&suspend(session)), [4, 5]);
}

#[test]
fn a_broker_that_lost_the_session_gets_new_messages_but_none_that_it_took_charge_of() {
    let suspended = cut_short();
    let settings = kept(Close::Ack, Qos::ExactlyOnce);
    let mut session = open(Script::new().data(ABSENT), &settings, Some(&suspended)).unwrap();
    assert_eq!(
        packets(&session.stream.take_written()),
        [
            published(2, QoS::ExactlyOnce, false, OWN, b"b"),
            published(4, QoS::ExactlyOnce, false, "else/where", b"d"),
        ]
    );
    assert!(session.has_more());
    assert_eq!(events(&mut session, &[]), [ok(1)]);
    session.send(&mut context(), &message(5, b"e")).unwrap();
    let acks = [2, 4, 5].map(|pid| [ack(Ack::Pubrec, pid), ack(Ack::Pubcomp, pid)].concat()).concat();
    assert_eq!(events(&mut session, &acks), [ok(2), ok(4), ok(5)]);
    assert_eq!(session.stray(), 0);
}

#[test]
fn at_qos_1_every_publish_without_its_acknowledgement_goes_out_again() {
    let settings = kept(Close::Ack, Qos::AtLeastOnce);
    for (connack, dup) in [(PRESENT, true), (ABSENT, false)] {
        let mut session = opened(ABSENT, &settings);
        for (seq, payload) in [(1, b"a"), (2, b"b"), (3, b"c")] {
            session.send(&mut context(), &message(seq, payload)).unwrap();
        }
        assert_eq!(events(&mut session, &ack(Ack::Puback, 2)), [ok(2)]);
        let suspended = suspend(session);
        let mut session = open(Script::new().data(connack), &settings, Some(&suspended)).unwrap();
        let again = |pid, payload| published(pid, QoS::AtLeastOnce, dup, OWN, payload);
        assert_eq!(packets(&session.stream.take_written()), [again(1, b"a"), again(3, b"c")]);
        let acks = [ack(Ack::Puback, 3), ack(Ack::Puback, 1)].concat();
        assert_eq!(events(&mut session, &acks), [ok(3), ok(1)]);
    }
}

#[test]
fn acknowledgements_and_messages_before_the_suback_are_told() {
    let settings = kept(Close::Delivery, Qos::ExactlyOnce);
    let mut session = opened(ABSENT, &settings);
    session.send(&mut context(), &message(1, br#"{"seq":1}"#)).unwrap();
    let delivery = publish(OWN, Qos::ExactlyOnce, 7, r#"{"seq":1}"#);
    assert_eq!(events(&mut session, &delivery), [ok(1)]);
    session.send(&mut context(), &message(2, br#"{"seq":2}"#)).unwrap();
    let suspended = suspend(session);

    // Identifier 1 and 2 are taken; the broker delivers the first again, and something new.
    let replies = [
        PRESENT.to_vec(),
        delivery,
        ack(Ack::Pubrec, 1),
        publish(OWN, Qos::ExactlyOnce, 8, r#"{"seq":2}"#),
        ack(Ack::Pubrel, 7),
        vec![0x90, 3, 0, 3, 2],
    ];
    let mut session = open(Script::new().data(&replies.concat()), &settings, Some(&suspended)).unwrap();
    assert_eq!(events(&mut session, &[]), [ok(2)]);
    let subscribe = Packet::Subscribe(v4::Subscribe { pkid: 3, ..v4::Subscribe::new(OWN, QoS::ExactlyOnce) });
    let written = packets(&session.stream.take_written());
    assert_eq!(
        written,
        [
            published(1, QoS::ExactlyOnce, true, OWN, br#"{"seq":1}"#),
            published(2, QoS::ExactlyOnce, true, OWN, br#"{"seq":2}"#),
            subscribe,
            Packet::PubRec(v4::PubRec::new(7)),
            Packet::PubRel(v4::PubRel::new(1)),
            Packet::PubRec(v4::PubRec::new(8)),
            Packet::PubComp(v4::PubComp::new(7)),
        ]
    );
    assert_eq!(session.stray(), 0);
}

#[test]
fn a_broker_that_lost_the_session_delivers_under_old_identifiers_what_is_new() {
    let settings = kept(Close::Delivery, Qos::ExactlyOnce);
    let delivery = |seq| publish(OWN, Qos::ExactlyOnce, 7, &format!(r#"{{"seq":{seq}}}"#));
    for (connack, told) in [(PRESENT, vec![]), (ABSENT, vec![ok(2)])] {
        let mut session = opened(ABSENT, &settings);
        assert_eq!(events(&mut session, &delivery(1)), [ok(1)]);
        let suspended = suspend(session);
        let replies = [connack, SUBACK].concat();
        let mut session = open(Script::new().data(&replies), &settings, Some(&suspended)).unwrap();
        assert_eq!(events(&mut session, &delivery(2)), told);
    }
}

#[test]
fn an_attempt_that_fails_leaves_what_is_still_to_be_resumed() {
    let suspended = cut_short();
    // Completes reading 1, takes charge of 2, and then goes away before SUBACK.
    let progress = [PRESENT.to_vec(), ack(Ack::Pubcomp, 1), ack(Ack::Pubrec, 2)].concat();
    let verdicts = kept(Close::Verdict, Qos::ExactlyOnce);
    let acks = kept(Close::Ack, Qos::ExactlyOnce);
    assert!(open(Script::new().data(&[0x20, 2, 0, 3]), &acks, Some(&suspended)).is_err());
    assert!(open(Script::new().end(), &acks, Some(&suspended)).is_err());
    assert_eq!(seqs(&suspended), [1, 2, 4]);
    assert!(open(Script::new().data(&progress).end(), &verdicts, Some(&suspended)).is_err());
    assert_eq!(seqs(&suspended), [2, 4]);
    // Given up while it waits: the future is dropped.
    let endpoint = Endpoint::resolve(Protocol::named("mqtt"), "mqtt://127.0.0.1").unwrap();
    let identity = Identity { resume: Some(suspended.clone()), ..Identity::of("d") };
    {
        let script = Script::new().data(PRESENT).data(&ack(Ack::Pubrec, 4));
        let mut opening = Box::pin(Mqtt::open(script, &endpoint, &verdicts, &identity));
        assert!(opening.as_mut().poll(&mut context()).is_pending());
        assert_eq!(seqs(&suspended), [0; 0]);
    }
    let mut session = open(Script::new().data(PRESENT), &acks, Some(&suspended)).unwrap();
    let releases = [Packet::PubRel(v4::PubRel::new(2)), Packet::PubRel(v4::PubRel::new(4))];
    assert_eq!(packets(&session.stream.take_written()), releases);
    let acks = [ack(Ack::Pubcomp, 4), ack(Ack::Pubcomp, 2)].concat();
    assert_eq!(events(&mut session, &acks), [ok(4), ok(2)]);
}

#[test]
fn what_a_failed_attempt_learned_is_told_by_the_next() {
    let settings = kept(Close::Delivery, Qos::AtLeastOnce);
    let mut session = opened(ABSENT, &settings);
    session.send(&mut context(), &message(1, b"{}")).unwrap();
    let suspended = suspend(session);
    let delivered =
        [PRESENT, &publish(OWN, Qos::AtLeastOnce, 7, r#"{"seq":1}"#), &ack(Ack::Puback, 1)].concat();
    assert!(open(Script::new().data(&delivered).end(), &settings, Some(&suspended)).is_err());
    assert_eq!(seqs(&suspended), [1]);
    let replies = [PRESENT, &[0x90, 3, 0, 2, 1]].concat();
    let mut session = open(Script::new().data(&replies), &settings, Some(&suspended)).unwrap();
    assert_eq!(events(&mut session, &[]), [ok(1)]);
}

#[test]
fn what_faults_held_up_is_taken_along() {
    let settings = kept(Close::Ack, Qos::ExactlyOnce);
    let session = opened(ABSENT, &settings);
    let message = |seq, payload: &[u8]| OwnedMessage::of(&Message::new(seq, payload), false);
    let suspended = session.into_state([message(1, b"a"), message(2, b"b")], [ok(9)]).unwrap();
    assert_eq!(seqs(&suspended), [1, 2, 9]);
    let mut session = open(Script::new().data(PRESENT), &settings, Some(&suspended)).unwrap();
    let again = |pid, payload| published(pid, QoS::ExactlyOnce, true, OWN, payload);
    assert_eq!(packets(&session.stream.take_written()), [again(1, b"a"), again(2, b"b")]);
    assert_eq!(events(&mut session, &[]), [ok(9)]);
}

#[test]
fn nothing_is_kept_where_the_broker_forgets_and_nothing_secret_is_shown() {
    let clean = settings(Close::Ack, Qos::ExactlyOnce);
    assert!(opened(ABSENT, &clean).into_state([], []).is_none());
    let mut session = opened(ABSENT, &kept(Close::Ack, Qos::AtLeastOnce));
    session.send(&mut context(), &message(41, b"s3cret")).unwrap();
    let suspended = suspend(session);
    let (shown, hidden) = (format!("{suspended:?}"), format!("{:?}", b"s3cret"));
    assert!(!shown.contains("s3cret") && !shown.contains(hidden.trim_matches(['[', ']'])), "{shown}");
    assert!(seqs(&suspended).contains(&41));
}

/// A broker that keeps its session, and what it has passed on.
#[derive(Default)]
struct Broker {
    /// Identifiers between PUBLISH and PUBREL.
    held: BTreeSet<u16>,
    passed_on: BTreeMap<Vec<u8>, u32>,
}

impl Broker {
    /// Answers as MQTT 3.1.1 §4.3 says, and passes every message on at once (method B of figure 4.3).
    fn answer(&mut self, packet: Packet) -> Vec<u8> {
        match packet {
            Packet::Publish(publish) => {
                let exactly = publish.qos == QoS::ExactlyOnce;
                if !exactly || self.held.insert(publish.pkid) {
                    *self.passed_on.entry(publish.payload.to_vec()).or_default() += 1;
                }
                ack(if exactly { Ack::Pubrec } else { Ack::Puback }, publish.pkid)
            }
            Packet::PubRel(release) => {
                self.held.remove(&release.pkid);
                ack(Ack::Pubcomp, release.pkid)
            }
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn however_often_connections_break_every_reading_arrives_and_is_told_once(
        exactly in any::<bool>(),
        // For every connection: readings to send, packets the broker takes, answers the device gets of these.
        lives in proptest::collection::vec((0..6_u64, 0..12_usize, 0..12_usize), 1..12),
    ) {
        let settings = kept(Close::Ack, if exactly { Qos::ExactlyOnce } else { Qos::AtLeastOnce });
        let (mut broker, mut told, mut sent) = (Broker::default(), Vec::new(), 0);
        let mut suspended: Option<SessionState> = None;
        let lives = lives.into_iter().chain([(1, usize::MAX, usize::MAX)]);
        for (life, (readings, taken, answered)) in lives.enumerate() {
            let connack = if life == 0 { ABSENT } else { PRESENT };
            let mut session = open(Script::new().data(connack), &settings, suspended.as_ref()).unwrap();
            for _ in 0..readings {
                sent += 1;
                session.send(&mut context(), &message(sent, &sent.to_be_bytes())).unwrap();
            }
            let (mut taken, mut answered) = (taken, answered);
            loop {
                let written = packets(&session.stream.take_written());
                let answers: Vec<_> =
                    written.into_iter().take(taken).map(|packet| broker.answer(packet)).collect();
                taken -= answers.len();
                let heard: Vec<_> = answers.into_iter().take(answered).collect();
                answered -= heard.len();
                if heard.is_empty() {
                    break;
                }
                told.extend(events(&mut session, &heard.concat()));
            }
            prop_assert_eq!(session.stray(), 0);
            suspended = Some(suspend(session));
        }
        prop_assert_eq!(suspended.map(|suspended| seqs(&suspended)), Some(vec![]));
        told.sort_by_key(|event| if let Event::Closed { seq, .. } = event { *seq } else { 0 });
        prop_assert_eq!(told, (1..=sent).map(ok).collect::<Vec<_>>());
        prop_assert_eq!(broker.passed_on.len() as u64, sent);
        if exactly {
            prop_assert!(broker.passed_on.values().all(|times| *times == 1), "{:?}", broker.passed_on);
        }
    }
}
