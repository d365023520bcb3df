//! Packets of both versions against the codec, which is not ours, and what breaks the specification against the table.

use super::packet::{ForwardedProperties, Terms};
use super::*;
use crate::clock::Tick;
use mqtt_proto::v3::{Connect, LastWill, Packet as Coded, Publish, Subscribe, SubscribeReturnCode};
use mqtt_proto::{Pid, QoS, QosPid, TopicFilter, TopicName, v5};
use proptest::prelude::*;

const NOW: Tick = Tick(0);

fn encoded(packet: &Coded) -> Vec<u8> {
    packet.encode().unwrap().as_ref().to_vec()
}

fn packets() -> Vec<Coded> {
    let pid = Pid::try_from(7).unwrap();
    let topic = TopicName::try_from("devices/m-1/readings").unwrap();
    let mut connect = Connect::new("client".into(), 30);
    connect.last_will = Some(LastWill::new(QoS::Level1, topic.clone(), b"gone"[..].into()));
    connect.username = Some("u".into());
    connect.password = Some(b"p"[..].into());
    vec![
        connect.into(),
        Publish::new(QosPid::Level1(pid), topic.clone(), vec![b'x'; 300].into()).into(),
        Publish::new(QosPid::Level0, topic, Vec::new().into()).into(),
        Subscribe::new(pid, vec![(TopicFilter::try_from("a/+/#").unwrap(), QoS::Level2)]).into(),
        Coded::Pubrel(pid),
        Coded::Pingreq,
        Coded::Disconnect,
    ]
}

/// The same in MQTT 5, with properties.
fn packets_of_five() -> Vec<v5::Packet> {
    let pid = Pid::try_from(7).unwrap();
    let topic = TopicName::try_from("devices/m-1/readings").unwrap();
    let mut connect = v5::Connect::new("client".into(), 30);
    let mut will = v5::LastWill::new(QoS::Level1, topic.clone(), b"gone"[..].into());
    will.properties.delay_interval = Some(3);
    connect.last_will = Some(will);
    connect.properties.session_expiry_interval = Some(60);
    connect.properties.receive_max = Some(1);
    let mut publish = v5::Publish::new(QosPid::Level1(pid), topic, vec![b'x'; 300].into());
    publish.properties.message_expiry_interval = Some(9);
    publish.properties.correlation_data = Some(b"42"[..].into());
    publish.properties.topic_alias = Some(2);
    let options = v5::SubscriptionOptions::new(QoS::Level2);
    let filter = TopicFilter::try_from("a/+/#").unwrap();
    vec![
        connect.into(),
        publish.into(),
        v5::Puback::new(pid, v5::PubackReasonCode::QuotaExceeded).into(),
        v5::Pubrel::new_success(pid).into(),
        v5::Subscribe::new(pid, vec![(filter.clone(), options)]).into(),
        v5::Unsubscribe::new(pid, vec![filter]).into(),
        v5::Packet::Pingreq,
        v5::Disconnect::new(v5::DisconnectReasonCode::DisconnectWithWillMessage).into(),
    ]
}

#[test]
fn a_packet_appears_with_its_last_byte_and_not_before() {
    let of_three = packets().into_iter().map(|packet| (Version::V3, encoded(&packet)));
    let of_five = packets_of_five();
    let of_five = of_five.iter().map(|packet| (Version::V5, packet.encode().unwrap().as_ref().to_vec()));
    for (version, mut bytes) in of_three.chain(of_five) {
        let whole = bytes.len();
        // CONNECT says itself which version it is of.
        let version = if bytes[0] == 0x10 { None } else { Some(version) };
        for split in 0..whole {
            assert_eq!(decode(&bytes[..split], version), Ok(None), "{bytes:?} at {split}");
        }
        let packet = decode(&bytes, version).unwrap().unwrap();
        assert_eq!(packet.1, whole);
        bytes.extend_from_slice(b"\xc0");
        assert_eq!(decode(&bytes, version), Ok(Some(packet)));
    }
}

#[test]
fn what_mqtt_5_says_is_what_is_understood() {
    use super::packet::{Ack, Options, Replay};
    let mut found = packets_of_five()
        .into_iter()
        .map(|packet| decode(packet.encode().unwrap().as_ref(), Some(Version::V5)).unwrap().unwrap().0);
    let Some(Packet::Connect(connect)) = found.next() else { panic!() };
    assert_eq!((connect.session_expiry_s, connect.receive_maximum), (60, 1));
    assert_eq!((connect.maximum_packet, connect.keep_alive_s, connect.is_clean), (usize::MAX, 30, true));
    let will = connect.will.unwrap();
    assert_eq!((&*will.topic, &will.payload[..], will.delay_s), ("devices/m-1/readings", &b"gone"[..], 3));
    let Some(Packet::Publish(publish)) = found.next() else { panic!() };
    assert_eq!((publish.alias, publish.payload.len()), (Some(2), 300));
    let properties = ForwardedProperties { encoded: b"\x09\x00\x0242"[..].into(), expiry_s: Some(9) };
    assert_eq!(publish.properties, properties, "an alias goes no further");
    let pid = Pid::try_from(7).unwrap();
    let ack = |kind, is_failure| Some(Packet::Ack(Ack { kind, pid, is_failure }));
    assert_eq!(found.next(), ack(AckKind::Puback, true));
    assert_eq!(found.next(), ack(AckKind::Pubrel, false));
    let Some(Packet::Subscribe(subscribe)) = found.next() else { panic!() };
    let options = Options { qos: QoS::Level2, keeps_retain: true, no_local: false };
    assert_eq!(subscribe.filters[0].1, options);
    assert_eq!((subscribe.filters[0].2, subscribe.has_identifier), (Replay::Always, false));
    assert!(matches!(found.next(), Some(Packet::Unsubscribe { .. })));
    assert_eq!(found.next(), Some(Packet::Pingreq));
    assert_eq!(found.next(), Some(Packet::Disconnect { with_will: true, session_expiry_s: None }));
}

#[test]
fn what_breaks_the_specification_is_refused() {
    const MALFORMED: Fault = Fault::Breach(ReasonCode::Malformed);
    const TOO_LARGE: Fault = Fault::Breach(ReasonCode::PacketTooLarge);
    for (name, bytes, fault) in [
        ("200 MB claimed", &[0x30, 0x80, 0x84, 0xaf, 0x5f][..], TOO_LARGE),
        ("five length bytes", &[0x30, 0x80, 0x80, 0x80, 0x80, 1], MALFORMED),
        ("type 0", &[0x00, 0x00], MALFORMED),
        ("type 15", &[0xf0, 0x00], MALFORMED),
        ("QoS 3", &[0x36, 0x00], MALFORMED),
        ("PUBREL without its flag", &[0x60, 2, 0, 1], MALFORMED),
        ("PINGREQ with a body", &[0xc0, 1, 0], MALFORMED),
        ("PUBACK with a tail", &[0x40, 3, 0, 1, 0], MALFORMED),
        ("identifier 0", &[0x40, 2, 0, 0], MALFORMED),
        ("empty topic", &[0x30, 2, 0, 0], MALFORMED),
        ("wildcard topic", &[0x30, 3, 0, 1, b'#'], MALFORMED),
        ("topic not UTF-8", &[0x30, 3, 0, 1, 0xff], MALFORMED),
        ("topic with NUL", &[0x30, 3, 0, 1, 0], MALFORMED),
        ("topic beyond the packet", &[0x30, 3, 0, 9, b'a'], MALFORMED),
        ("DUP at QoS 0", &[0x38, 3, 0, 1, b'a'], MALFORMED),
        ("SUBSCRIBE to nothing", &[0x82, 2, 0, 1], MALFORMED),
        ("SUBSCRIBE with QoS 3", &[0x82, 6, 0, 1, 0, 1, b'a', 3], MALFORMED),
        ("filter `+x`", &[0x82, 7, 0, 1, 0, 2, b'+', b'x', 0], MALFORMED),
        ("version 3.1", b"\x10\x0e\0\x06MQIsdp\x03\x02\0\0\0\0", Fault::Version),
        ("version 9", b"\x10\x0c\0\x04MQTT\x09\x02\0\0\0\0", Fault::Version),
        ("another protocol", b"\x10\x0c\0\x04MQTX\x04\x02\0\0\0\0", MALFORMED),
        ("reserved CONNECT flag", b"\x10\x0c\0\x04MQTT\x04\x03\0\0\0\0", MALFORMED),
        ("will retain without will", b"\x10\x0c\0\x04MQTT\x04\x22\0\0\0\0", MALFORMED),
        ("password without name", b"\x10\x0f\0\x04MQTT\x04\x42\0\0\0\0\0\x01p", MALFORMED),
        ("client id with NUL", b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01\0", MALFORMED),
    ] {
        let version = if bytes[0] == 0x10 { None } else { Some(Version::V3) };
        assert_eq!(decode(bytes, version), Err(fault), "{name}");
    }
}

#[test]
fn what_breaks_mqtt_5_is_refused_for_its_reason() {
    use ReasonCode as R;
    // The flags of CONNECT, then keep alive, properties and what follows.
    let connect = |flags: u8, rest: &[u8]| {
        let body = [b"\0\x04MQTT\x05", &[flags, 0, 0][..], rest].concat();
        [&[0x10, body.len() as u8], &body[..]].concat()
    };
    for (name, bytes, reason) in [
        ("reserved CONNECT flag", connect(3, b"\0\0\0"), R::Malformed),
        ("will retain without will", connect(0x22, b"\0\0\0"), R::Malformed),
        ("client id with NUL", connect(2, b"\0\0\x01\0"), R::Malformed),
        ("receive maximum 0", connect(2, b"\x03\x21\0\0\0\0"), R::ProtocolError),
        ("packet maximum 0", connect(2, b"\x05\x27\0\0\0\0\0\0"), R::ProtocolError),
        ("receive maximum twice", connect(2, b"\x06\x21\0\x01\x21\0\x01\0\0"), R::ProtocolError),
        ("data without a method", connect(2, b"\x04\x16\0\x01x\0\0"), R::ProtocolError),
        ("a property of PUBLISH", connect(2, b"\x03\x23\0\x01\0\0"), R::ProtocolError),
        ("no such property", connect(2, b"\x02\x7f\0\0\0"), R::Malformed),
        ("wildcard in a will's topic", connect(6, b"\0\0\x01x\0\0\x01#\0\0"), R::TopicInvalid),
        ("a tail", connect(2, b"\0\0\0x"), R::Malformed),
        ("neither topic nor alias", vec![0x30, 3, 0, 0, 0], R::ProtocolError),
        ("alias 0", vec![0x30, 7, 0, 1, b'a', 3, 0x23, 0, 0], R::AliasInvalid),
        ("wildcard in a topic", vec![0x30, 4, 0, 1, b'#', 0], R::TopicInvalid),
        ("subscription identifier", vec![0x30, 6, 0, 1, b'a', 2, 0x0b, 1], R::ProtocolError),
        ("NUL in a user property", vec![0x30, 10, 0, 1, b'a', 6, 0x26, 0, 1, 0, 0, 0], R::Malformed),
        ("response topic with a wildcard", vec![0x30, 8, 0, 1, b'a', 4, 8, 0, 1, b'#'], R::ProtocolError),
        ("text that is none", vec![0x30, 7, 0, 1, b'a', 2, 1, 1, 0xff], R::PayloadFormat),
        ("QoS 3", vec![0x36, 0], R::Malformed),
        ("DUP at QoS 0", vec![0x38, 4, 0, 1, b'a', 0], R::Malformed),
        ("PUBREL without its flag", vec![0x60, 2, 0, 1], R::Malformed),
        ("identifier 0", vec![0x40, 2, 0, 0], R::Malformed),
        ("no such reason", vec![0x40, 3, 0, 1, 0x42], R::Malformed),
        ("SUBSCRIBE to nothing", vec![0x82, 3, 0, 1, 0], R::ProtocolError),
        ("a bad filter", vec![0x82, 8, 0, 1, 0, 0, 2, b'a', b'#', 0], R::FilterInvalid),
        ("reserved options", vec![0x82, 7, 0, 1, 0, 0, 1, b'a', 0xc0], R::Malformed),
        (
            "no local, shared",
            [&[0x82, 16, 0, 1, 0, 0, 10], &b"$share/g/a\x04"[..]].concat(),
            R::ProtocolError,
        ),
        ("UNSUBSCRIBE from nothing", vec![0xa2, 3, 0, 1, 0], R::ProtocolError),
        ("200 MB claimed", vec![0x30, 0x80, 0x84, 0xaf, 0x5f], R::PacketTooLarge),
    ] {
        let version = if bytes[0] == 0x10 { None } else { Some(Version::V5) };
        assert_eq!(decode(&bytes, version), Err(Fault::Breach(reason)), "{name}");
    }
}

#[test]
fn an_answer_to_many_filters_names_each_refusal() {
    let mut granted = vec![Ok(QoS::Level2); 199];
    granted.push(Err(ReasonCode::QuotaExceeded));
    let mut bytes = Vec::new();
    let reply = Reply::Suback(Pid::try_from(258).unwrap(), &granted);
    encode(&reply, Version::V3, &mut bytes);
    assert_eq!(bytes[..6], [0x90, 0xca, 0x01, 1, 2, 2]);
    assert_eq!((bytes.len(), bytes.last()), (3 + 202, Some(&0x80)));
    let Ok(Some(Coded::Suback(read))) = Coded::decode(&bytes) else { panic!("{bytes:?}") };
    assert_eq!(read.topics.last(), Some(&SubscribeReturnCode::Failure));
    bytes.clear();
    encode(&reply, Version::V5, &mut bytes);
    let Ok(Some(v5::Packet::Suback(read))) = v5::Packet::decode(&bytes) else { panic!("{bytes:?}") };
    assert_eq!((read.topics.len(), read.topics[199]), (200, v5::SubscribeReasonCode::QuotaExceeded));
}

#[test]
fn connack_states_the_terms_as_the_codec_reads_them() {
    let terms = Terms {
        session_expiry_s: Some(3_600),
        receive_maximum: 7,
        alias_maximum: 16,
        maximum_packet: 1_000,
        assigned: Some("given"),
        keep_alive_s: Some(60),
    };
    let mut bytes = Vec::new();
    encode(&Reply::Connack { present: true, terms }, Version::V5, &mut bytes);
    let Ok(Some(v5::Packet::Connack(read))) = v5::Packet::decode(&bytes) else { panic!("{bytes:?}") };
    let stated = read.properties;
    assert!(read.session_present && read.reason_code == v5::ConnectReasonCode::Success);
    assert_eq!((stated.session_expiry_interval, stated.receive_max), (Some(3_600), Some(7)));
    assert_eq!((stated.topic_alias_max, stated.max_packet_size), (Some(16), Some(1_000)));
    assert_eq!((stated.assigned_client_id.as_deref(), stated.server_keep_alive), (Some("given"), Some(60)));
    assert_eq!((stated.subscription_id_available, stated.max_qos), (Some(false), None));
}

proptest! {
    #[test]
    fn random_bytes_never_panic_and_a_packet_never_outgrows_them(bytes: Vec<u8>, first in prop::sample::select(vec![0x10u8, 0x30, 0x32, 0x82, 0xa2])) {
        let mut framed = vec![first, bytes.len().min(127) as u8];
        framed.extend_from_slice(&bytes);
        for version in [None, Some(Version::V3), Some(Version::V5)] {
            for bytes in [&bytes, &framed] {
                if let Ok(Some((_, length))) = decode(bytes, version) {
                    prop_assert!((2..=bytes.len()).contains(&length));
                }
            }
        }
    }

    #[test]
    fn publishes_are_written_as_the_codec_writes_them(topic in "[a-z/]{1,200}", payload: Vec<u8>, qos in 0u8..3, retained: bool, pid in 1u16..) {
        let qos = QoS::from_u8(qos).unwrap();
        let mut bytes = Vec::new();
        let message = Message { retained, ..Message::plain(&topic, &payload, qos) };
        let place = message.encode(Version::V3, qos, NOW, &mut bytes).pid;
        prop_assert_eq!(bytes.len(), message.size(Version::V3, qos));
        let pid = Pid::try_from(pid).unwrap();
        let qos_pid = match qos {
            QoS::Level0 => QosPid::Level0,
            QoS::Level1 => QosPid::Level1(pid),
            QoS::Level2 => QosPid::Level2(pid),
        };
        if qos != QoS::Level0 {
            bytes[place..place + 2].copy_from_slice(&pid.value().to_be_bytes());
        }
        let mut publish = Publish::new(qos_pid, TopicName::try_from(topic.as_str()).unwrap(), payload.into());
        publish.retain = retained;
        prop_assert_eq!(bytes, encoded(&publish.into()));
    }

    #[test]
    fn what_goes_with_a_message_is_read_by_the_codec_as_it_was_said(
        payload: Vec<u8>, expiry in prop::option::of(1u32..), data in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
        pairs in prop::collection::vec(("[a-z]{0,9}", "[a-zü]{0,9}"), 0..5), content in prop::option::of("[a-z/]{1,9}"),
    ) {
        let pid = Pid::try_from(9).unwrap();
        let topic = TopicName::try_from("t").unwrap();
        let mut said = v5::Publish::new(QosPid::Level1(pid), topic.clone(), payload.into());
        said.properties = v5::PublishProperties {
            payload_is_utf8: Some(false),
            message_expiry_interval: expiry,
            response_topic: content.is_some().then_some(topic),
            correlation_data: data.map(Into::into),
            user_properties: pairs.iter().map(|(name, value)| v5::UserProperty { name: name.as_str().into(), value: value.as_str().into() }).collect(),
            content_type: content.as_deref().map(Into::into),
            ..v5::PublishProperties::default()
        };
        let bytes = v5::Packet::from(said.clone()).encode().unwrap();
        let Ok(Some((Packet::Publish(publish), _))) = decode(bytes.as_ref(), Some(Version::V5)) else { panic!() };
        let message = Message {
            properties: &publish.properties.encoded,
            expiry: Expiry::of(&publish.properties, NOW),
            ..Message::plain(&publish.topic, &publish.payload, QoS::Level1)
        };
        let mut out = Vec::new();
        let places = message.encode(Version::V5, QoS::Level1, NOW, &mut out);
        out[places.pid..places.pid + 2].copy_from_slice(&9_u16.to_be_bytes());
        prop_assert_eq!(out.len(), message.size(Version::V5, QoS::Level1));
        prop_assert_eq!(v5::Packet::decode(&out), Ok(Some(said.into())));
    }
}
