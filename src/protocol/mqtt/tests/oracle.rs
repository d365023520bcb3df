//! Our packets against rumqttc's codec, in both directions, and arbitrary bytes against none.

use bytes::BytesMut;
use mqtt_proto::v3::ConnectReturnCode;
use proptest::prelude::*;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4;

use super::super::super::{Login, Will};
use super::super::packet::*;
use super::super::*;
use crate::record::ErrorKind;
use crate::units::Secret;

fn level(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

pub(super) fn any_qos() -> impl Strategy<Value = Qos> {
    prop_oneof![Just(Qos::AtMostOnce), Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)]
}

/// What the oracle reads from our bytes; it must use them up.
fn read(bytes: &[u8]) -> v4::Packet {
    let mut bytes = BytesMut::from(bytes);
    let packet = v4::Packet::read(&mut bytes, usize::MAX).unwrap();
    assert!(bytes.is_empty());
    packet
}

/// What the oracle writes.
fn write(packet: &v4::Packet) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    packet.write(&mut bytes, usize::MAX).unwrap();
    bytes.to_vec()
}

fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes);
    bytes
}

proptest! {
    #[test]
    fn a_publish_means_the_same_to_both(
        topic in "[a-zé/]{1,200}", qos in any_qos(), pid in 1_u16.., retain in any::<bool>(),
        payload in prop_oneof![proptest::collection::vec(any::<u8>(), 0..300), proptest::collection::vec(any::<u8>(), 16_100..16_500)],
    ) {
        let mut expected = v4::Publish::new(topic.clone(), level(qos), payload.clone());
        expected.retain = retain;
        expected.pkid = if qos == Qos::AtMostOnce { 0 } else { pid };
        let publish = |pid| Publish { qos, pid, retain, topic: &topic, payload: &payload };
        let ours = encoded(|out| encode_publish(&publish(pid), out).unwrap());
        prop_assert_eq!(&ours, &write(&v4::Packet::Publish(expected.clone())));
        prop_assert_eq!(read(&ours), v4::Packet::Publish(expected.clone()));

        let decoded = Inbound::Publish(publish(expected.pkid));
        prop_assert_eq!(decode(&ours), Ok(Some((ours.len(), decoded))));
    }

    #[test]
    fn acknowledgements_mean_the_same_to_both(pid in 1_u16..) {
        let table = [
            (Ack::Puback, v4::Packet::PubAck(v4::PubAck::new(pid))),
            (Ack::Pubrec, v4::Packet::PubRec(v4::PubRec::new(pid))),
            (Ack::Pubrel, v4::Packet::PubRel(v4::PubRel::new(pid))),
            (Ack::Pubcomp, v4::Packet::PubComp(v4::PubComp::new(pid))),
        ];
        for (ack, packet) in table {
            let ours = encoded(|out| encode_ack(ack, pid, out));
            prop_assert_eq!(&ours, &write(&packet));
            prop_assert_eq!(decode(&ours), Ok(Some((4, Inbound::Ack(ack, pid)))));
        }
    }

    #[test]
    fn connect_and_subscribe_mean_the_same_to_both(
        device in "[a-z0-9-]{1,40}", keep_alive in any::<u16>(), login in any::<bool>(), named in any::<bool>(),
        clean in any::<bool>(), will in proptest::option::of((any_qos(), any::<bool>())), pid in 1_u16.., qos in any_qos(),
    ) {
        let mut connect = v4::Connect::new(if named { "client 7".to_owned() } else { device.clone() });
        connect.keep_alive = keep_alive;
        connect.clean_session = clean;
        if login {
            connect.set_login("ann", "secret");
        }
        connect.last_will = will.map(|(qos, retain)| v4::LastWill::new("gone/é", b"\xff\0bye".to_vec(), level(qos), retain));
        let identity = Identity {
            client_id: named.then(|| "client 7".to_owned()),
            will: will.map(|(qos, retain)| Will {
                topic: "gone/é".to_owned(), payload: b"\xff\0bye".to_vec(), qos, retain,
            }),
            ..Identity::of(&device)
        };
        let credentials = Login { user: "ann".to_owned(), password: Some(Secret::new("secret")) };
        let credentials = login.then_some(&credentials);
        let ours = encoded(|out| encode_connect(&identity, clean, keep_alive, credentials, out).unwrap());
        prop_assert_eq!(read(&ours), v4::Packet::Connect(connect));

        let mut subscribe = v4::Subscribe::new(device.clone(), level(qos));
        subscribe.pkid = pid;
        let ours = encoded(|out| encode_subscribe(pid, &device, qos, out).unwrap());
        prop_assert_eq!(read(&ours), v4::Packet::Subscribe(subscribe));

        let granted = v4::SubAck::new(pid, vec![v4::SubscribeReasonCode::Success(level(qos))]);
        let theirs = write(&v4::Packet::SubAck(granted));
        prop_assert_eq!(decode(&theirs), Ok(Some((theirs.len(), Inbound::Suback { pid, granted: Some(qos) }))));
        let refused = v4::SubAck::new(pid, vec![v4::SubscribeReasonCode::Failure]);
        let theirs = write(&v4::Packet::SubAck(refused));
        prop_assert_eq!(decode(&theirs), Ok(Some((theirs.len(), Inbound::Suback { pid, granted: None }))));
    }

    /// Where we accept bytes from a broker, the oracle reads a packet of the same size; we may be stricter, never laxer.
    #[test]
    fn arbitrary_bytes_are_never_read_more_laxly(
        first in any::<u8>(), rest in proptest::collection::vec(any::<u8>(), 0..40), fitting in any::<bool>(),
    ) {
        let mut bytes = vec![first];
        if fitting {
            bytes.push(rest.len() as u8);
        }
        bytes.extend(&rest);
        match decode(&bytes) {
            Ok(Some((size, packet))) => {
                let mut theirs = BytesMut::from(&*bytes);
                let read = v4::Packet::read(&mut theirs, usize::MAX);
                prop_assert!(read.is_ok(), "{:?} but {:?}", packet, read);
                prop_assert_eq!(bytes.len() - theirs.len(), size);
            }
            Ok(None) => {
                let mut theirs = BytesMut::from(&*bytes);
                prop_assert!(v4::Packet::read(&mut theirs, usize::MAX).is_err());
            }
            Err(failure) => prop_assert_eq!(failure.kind, ErrorKind::Protocol),
        }
    }
}

#[test]
fn packets_without_a_body_mean_the_same_to_both() {
    assert_eq!(read(&encoded(encode_pingreq)), v4::Packet::PingReq);
    assert_eq!(read(&encoded(encode_disconnect)), v4::Packet::Disconnect);
    assert_eq!(decode(&write(&v4::Packet::PingResp)), Ok(Some((2, Inbound::Pingresp))));
    for present in [false, true] {
        let connack = v4::ConnAck::new(v4::ConnectReturnCode::Success, present);
        let ours = Inbound::Connack { code: ConnectReturnCode::Accepted, present };
        assert_eq!(decode(&write(&v4::Packet::ConnAck(connack))), Ok(Some((4, ours))));
    }
}

#[test]
fn a_claim_too_large_is_refused_before_anything_is_stored() {
    let kind = |bytes: &[u8]| decode(bytes).map(|found| found.is_some()).map_err(|failure| failure.kind);
    // 256 KiB is 0x40000: three digits of seven bits, 0x00 0x00 0x10.
    assert_eq!(kind(&[0x30, 0x80, 0x80, 0x10]), Ok(false));
    assert_eq!(kind(&[0x30, 0x81, 0x80, 0x10]), Err(ErrorKind::Protocol));
    assert_eq!(kind(&[0x30, 0xff, 0xff, 0xff, 0x7f]), Err(ErrorKind::Protocol));
    assert_eq!(kind(&[0x30, 0xff, 0xff, 0xff, 0xff]), Err(ErrorKind::Protocol));
}

#[test]
fn malformed_packets_are_refused() {
    let table: &[(&str, &[u8])] = &[
        ("type 0", &[0x00, 0]),
        ("type 15", &[0xf0, 0]),
        ("HTTP", b"HTTP/1.1 400"),
        ("quality of service 3", &[0x36]),
        ("PUBACK with flags", &[0x41]),
        ("PUBREL without flags", &[0x60]),
        ("PUBACK of one byte", &[0x40, 1, 1]),
        ("PUBACK of three bytes", &[0x40, 3, 0, 1, 0]),
        ("PUBACK of nothing", &[0x40, 2, 0, 0]),
        ("PUBLISH without topic", &[0x30, 1, 0]),
        ("PUBLISH with a cut topic", &[0x30, 4, 0, 9, b'a', b'b']),
        ("PUBLISH with a cut identifier", &[0x32, 4, 0, 1, b'a', 0]),
        ("PUBLISH with identifier 0", &[0x32, 5, 0, 1, b'a', 0, 0]),
        ("PUBLISH to a topic not in UTF-8", &[0x30, 3, 0, 1, 0xff]),
        ("CONNACK with a wrong flag", &[0x20, 2, 2, 0]),
        ("CONNACK with an unknown code", &[0x20, 2, 0, 9]),
        ("CONNACK too short", &[0x20, 1, 0]),
        ("CONNACK too long", &[0x20, 3, 0, 0, 0]),
        ("SUBACK without code", &[0x90, 2, 0, 1]),
        ("SUBACK with an unknown code", &[0x90, 3, 0, 1, 7]),
        ("PINGRESP with a body", &[0xd0, 1, 0]),
        ("PINGREQ from a broker", &[0xc0, 0]),
        ("CONNECT from a broker", &[0x10, 0]),
    ];
    for (name, bytes) in table {
        let kind = decode(bytes).map_err(|failure| failure.kind);
        assert_eq!(kind, Err(ErrorKind::Protocol), "{name}");
    }
}
