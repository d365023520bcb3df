//! Our packets of MQTT 5 against rumqttc's codec, in both directions, and arbitrary bytes against none.

use bytes::BytesMut;
use proptest::prelude::*;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5 as theirs;

use super::super::super::super::{Login, Will};
use super::super::super::v5::packet::{Inbound, decode, encode_connect, encode_subscribe};
use super::super::super::v5::property::Properties;
use super::super::oracle::any_qos;
use super::*;
use crate::units::Secret;

fn level(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

/// What the oracle reads from our bytes; it must use them up.
fn read(bytes: &[u8]) -> theirs::Packet {
    let mut bytes = BytesMut::from(bytes);
    let packet = theirs::Packet::read(&mut bytes, None).unwrap();
    assert!(bytes.is_empty());
    packet
}

/// What the oracle writes.
fn write(packet: &theirs::Packet) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    packet.write(&mut bytes, None).unwrap();
    bytes.to_vec()
}

proptest! {
    #[test]
    fn a_publish_means_the_same_to_both(
        topic in "[a-zé/]{1,200}", qos in any_qos(), pid in 1_u16.., retain in any::<bool>(),
        payload in prop_oneof![proptest::collection::vec(any::<u8>(), 0..300), proptest::collection::vec(any::<u8>(), 16_100..16_500)],
        expiry in proptest::option::of(any::<u32>()), alias in proptest::option::of(1_u16..),
        names in proptest::collection::vec(("[a-z]{0,9}", "[a-zé]{0,90}"), 0..4),
    ) {
        let pid = if qos == Qos::AtMostOnce { 0 } else { pid };
        let mut list: Vec<(u8, Value<'_>)> = Vec::new();
        list.extend(expiry.map(|expiry| (2, Value::Number(expiry))));
        list.extend(alias.map(|alias| (TOPIC_ALIAS, Value::Number(alias.into()))));
        list.extend(names.iter().map(|(name, value)| (38, Value::Pair(name, value))));
        let described = theirs::PublishProperties {
            message_expiry_interval: expiry, topic_alias: alias, user_properties: names.clone(), ..Default::default()
        };
        let mut expected = theirs::Publish::new(topic.clone(), level(qos), payload.clone(), None);
        expected.properties = (!list.is_empty()).then_some(described);
        expected.retain = retain;
        expected.pkid = pid;
        let ours = {
            let mut bytes = Vec::new();
            let wire = Wire { qos, pid, retain, topic: &topic, payload: &payload };
            encode_publish(&wire, [&properties(&list), &[]], false, &mut bytes).unwrap();
            bytes
        };
        prop_assert_eq!(read(&ours), theirs::Packet::Publish(expected.clone()));
        let bytes = write(&theirs::Packet::Publish(expected));
        let Ok(Some((size, Inbound::Publish { publish, properties }))) = decode(&bytes) else { panic!("{bytes:?}") };
        prop_assert_eq!(size, bytes.len());
        prop_assert_eq!(publish, Wire { qos, pid, retain, topic: &topic, payload: &payload });
        prop_assert_eq!(properties.number(2), expiry);
        prop_assert_eq!(properties.small(TOPIC_ALIAS), alias);
    }

    #[test]
    fn connack_means_the_same_to_both(
        present in any::<bool>(), receive in proptest::option::of(1_u16..), packet in proptest::option::of(1_u32..),
        qos in proptest::option::of(0_u8..2), keep in proptest::option::of(any::<u16>()), words in proptest::option::of("[a-zé]{0,300}"),
    ) {
        let properties = theirs::ConnAckProperties {
            session_expiry_interval: None, receive_max: receive, max_qos: qos, retain_available: Some(1),
            max_packet_size: packet, assigned_client_identifier: Some("x".to_owned()), topic_alias_max: Some(7),
            reason_string: words.clone(), user_properties: vec![("a".to_owned(), "b".to_owned())],
            wildcard_subscription_available: Some(1), subscription_identifiers_available: Some(0),
            shared_subscription_available: Some(1), server_keep_alive: keep, response_information: None,
            server_reference: None, authentication_method: None, authentication_data: None,
        };
        let code = theirs::ConnectReturnCode::Success;
        let bytes = write(&theirs::Packet::ConnAck(theirs::ConnAck { session_present: present, code, properties: Some(properties) }));
        let Ok(Some((size, Inbound::Connack { present: found, reason, properties }))) = decode(&bytes) else { panic!("{bytes:?}") };
        prop_assert_eq!((size, found, reason), (bytes.len(), present, 0));
        prop_assert_eq!(properties.small(RECEIVE_MAXIMUM), receive);
        prop_assert_eq!(properties.number(MAXIMUM_PACKET), packet);
        prop_assert_eq!(properties.number(MAXIMUM_QOS), qos.map(u32::from));
        prop_assert_eq!(properties.small(SERVER_KEEP_ALIVE), keep);
        prop_assert_eq!(properties.text(31), words.as_deref());
        prop_assert_eq!(properties.small(ALIAS_MAXIMUM), Some(7));
    }

    #[test]
    fn connect_and_subscribe_mean_the_same_to_both(
        device in "[a-z0-9-]{1,40}", keep_alive in any::<u16>(), login in any::<bool>(), clean in any::<bool>(),
        will in proptest::option::of((any_qos(), any::<bool>(), 0_u32..9)), pid in 1_u16.., qos in any_qos(),
        receive in 1_u16.., aliases in 0_u16..9, expiry in any::<u32>(),
    ) {
        let own = V5Settings {
            session_expiry_s: expiry, receive_maximum: receive, topic_aliases: aliases,
            will_delay_s: will.map_or(0, |(.., delay)| delay), ..V5Settings::default()
        };
        let identity = Identity {
            will: will.map(|(qos, retain, _)| Will { topic: "gone/é".to_owned(), payload: b"\xff\0bye".to_vec(), qos, retain }),
            ..Identity::of(&device)
        };
        let credentials = Login { user: "ann".to_owned(), password: Some(Secret::new("secret")) };
        let mut ours = Vec::new();
        encode_connect(&identity, (clean, &own), keep_alive, login.then_some(&credentials), &mut ours).unwrap();
        let theirs::Packet::Connect(connect, last_will, found) = read(&ours) else { panic!("{ours:?}") };
        prop_assert_eq!((connect.keep_alive, &connect.client_id, connect.clean_start), (keep_alive, &device, clean));
        let stated = connect.properties.unwrap();
        prop_assert_eq!(stated.session_expiry_interval, (!clean).then_some(expiry));
        prop_assert_eq!(stated.receive_maximum, (receive != u16::MAX).then_some(receive));
        prop_assert_eq!(stated.max_packet_size, Some(256 * 1024));
        prop_assert_eq!(stated.topic_alias_max, (aliases > 0).then_some(aliases));
        prop_assert_eq!(found, login.then(|| theirs::Login::new("ann", "secret")));
        let expected = will.map(|(qos, retain, _)| theirs::LastWill::new("gone/é", b"\xff\0bye".to_vec(), level(qos), retain, None));
        let delay = last_will.as_ref().and_then(|will| will.properties.as_ref()?.delay_interval).unwrap_or(0);
        prop_assert_eq!(delay, own.will_delay_s);
        prop_assert_eq!(last_will.map(|will| theirs::LastWill { properties: None, ..will }), expected);

        let mut ours = Vec::new();
        encode_subscribe(pid, &device, qos, &mut ours);
        let theirs::Packet::Subscribe(subscribe) = read(&ours) else { panic!("{ours:?}") };
        prop_assert_eq!((subscribe.pkid, subscribe.filters), (pid, vec![theirs::Filter::new(device, level(qos))]));
    }

    #[test]
    fn acknowledgements_mean_the_same_to_both(pid in 1_u16..) {
        let table = [
            (Ack::Puback, theirs::Packet::PubAck(theirs::PubAck::new(pid, None))),
            (Ack::Pubrec, theirs::Packet::PubRec(theirs::PubRec::new(pid, None))),
            (Ack::Pubrel, theirs::Packet::PubRel(theirs::PubRel::new(pid, None))),
            (Ack::Pubcomp, theirs::Packet::PubComp(theirs::PubComp::new(pid, None))),
        ];
        for (kind, packet) in table {
            let ours = ack(kind, pid, 0);
            prop_assert_eq!(&ours, &write(&packet));
            let decoded = Inbound::Ack { ack: kind, pid, reason: 0, properties: Properties::NONE };
            prop_assert_eq!(decode(&ours), Ok(Some((4, decoded))));
        }
        let refused = theirs::PubAck { reason: theirs::PubAckReason::QuotaExceeded, ..theirs::PubAck::new(pid, None) };
        let bytes = write(&theirs::Packet::PubAck(refused));
        let Ok(Some((_, Inbound::Ack { reason, .. }))) = decode(&bytes) else { panic!("{bytes:?}") };
        prop_assert_eq!(reason, 0x97);
    }

    /// However a stream is cut, it says the same; and no bytes make the session panic.
    #[test]
    fn arbitrary_bytes_read_the_same_in_random_pieces(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0_u8..5, Just(0x40), Just(0x30), Just(0xe0)], 0..120),
        cuts in proptest::collection::vec(any::<usize>(), 0..9),
    ) {
        let said = |script: Script| {
            let mut session = Mqtt::new(script.end(), &settings(Close::Ack, Qos::AtLeastOnce), &Identity::of("d")).unwrap();
            for seq in 1..=3 {
                session.send(&mut context(), &message(seq, b"x")).unwrap();
            }
            let (events, failure) = outcome(&mut session);
            prop_assert!(failure.is_some());
            Ok((events, failure))
        };
        prop_assert_eq!(said(Script::new().data(&bytes))?, said(Script::new().cut(&bytes, &cuts))?);
    }
}
