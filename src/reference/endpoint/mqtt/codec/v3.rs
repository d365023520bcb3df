//! MQTT 3.1.1 on the wire.

use mqtt_proto::v3::{Header, Packet as Coded};
use mqtt_proto::{Error, PollHeader, Protocol, QoS};

use super::super::topic::{is_filter, is_name};
use super::packet::{
    Ack, AckKind, Connect, ForwardedProperties, Options, Packet, Publish, Replay, Reply, Subscribe, Version,
    Will,
};
use super::{Fault, encode_length};

/// The packet in `body`, which came behind a fixed header that begins with `first`.
pub(super) fn decode(first: u8, body: &[u8], total: usize) -> Result<Packet, Fault> {
    let header = Header::new_with(first, body.len() as u32, total as u32).map_err(|_| Fault::MALFORMED)?;
    if let Some(packet) = header.build_empty_packet() {
        return if body.is_empty() { Ok(neutral(packet)) } else { Err(Fault::MALFORMED) };
    }
    let mut offset = 0;
    let packet = header.decode_buffer(body, &mut offset).map_err(|error| match error {
        Error::UnexpectedProtocol(_) => Fault::Version,
        Error::InvalidProtocol(name, _) if matches!(&*name, "MQTT" | "MQIsdp") => Fault::Version,
        _ => Fault::MALFORMED,
    })?;
    if offset != body.len() || !is_allowed(&packet, body)? {
        return Err(Fault::MALFORMED);
    }
    Ok(neutral(packet))
}

/// The rules of the specification that the codec leaves to its user.
fn is_allowed(packet: &Coded, body: &[u8]) -> Result<bool, Fault> {
    Ok(match packet {
        Coded::Connect(connect) => {
            if connect.protocol != Protocol::V311 {
                return Err(Fault::Version);
            }
            let texts = connect.username.iter().map(|name| &**name).chain([&*connect.client_id]);
            super::has_sound_flags(body)
                && (connect.username.is_some() || connect.password.is_none())
                && connect.last_will.as_ref().is_none_or(|will| is_name(&will.topic_name))
                && texts.into_iter().all(|text| !text.contains('\0'))
        }
        Coded::Publish(publish) => {
            is_name(&publish.topic_name) && !(publish.dup && publish.qos_pid.qos() == QoS::Level0)
        }
        Coded::Subscribe(subscribe) => subscribe.topics.iter().all(|(filter, _)| is_filter(filter)),
        Coded::Unsubscribe(unsubscribe) => unsubscribe.topics.iter().all(|filter| is_filter(filter)),
        _ => true,
    })
}

fn neutral(packet: Coded) -> Packet {
    let ack = |kind, pid| Packet::Ack(Ack { kind, pid, is_failure: false });
    match packet {
        Coded::Connect(connect) => Packet::Connect(Box::new(Connect {
            version: Version::V3,
            client_id: connect.client_id,
            is_clean: connect.clean_session,
            keep_alive_s: connect.keep_alive,
            will: connect.last_will.map(|will| Will {
                topic: will.topic_name,
                payload: will.message,
                qos: will.qos,
                retain: will.retain,
                properties: ForwardedProperties::default(),
                delay_s: 0,
            }),
            password: connect.password,
            session_expiry_s: if connect.clean_session { 0 } else { u32::MAX },
            receive_maximum: u16::MAX,
            maximum_packet: usize::MAX,
            wants_method: false,
        })),
        Coded::Publish(publish) => Packet::Publish(Publish {
            qos_pid: publish.qos_pid,
            retain: publish.retain,
            topic: publish.topic_name,
            alias: None,
            payload: publish.payload,
            properties: ForwardedProperties::default(),
            reply_path: None,
        }),
        Coded::Puback(pid) => ack(AckKind::Puback, pid),
        Coded::Pubrec(pid) => ack(AckKind::Pubrec, pid),
        Coded::Pubrel(pid) => ack(AckKind::Pubrel, pid),
        Coded::Pubcomp(pid) => ack(AckKind::Pubcomp, pid),
        Coded::Subscribe(subscribe) => {
            let filter = |(filter, qos)| (filter, Options::of(qos), Replay::Always);
            let filters = subscribe.topics.into_iter().map(filter).collect();
            Packet::Subscribe(Subscribe { pid: subscribe.pid, filters, has_identifier: false })
        }
        Coded::Unsubscribe(unsubscribe) => {
            Packet::Unsubscribe { pid: unsubscribe.pid, filters: unsubscribe.topics }
        }
        Coded::Pingreq => Packet::Pingreq,
        Coded::Disconnect => Packet::Disconnect { with_will: false, session_expiry_s: None },
        Coded::Connack(_) | Coded::Suback(_) | Coded::Unsuback(_) | Coded::Pingresp => Packet::Foreign,
    }
}

/// Appends what the service says, as far as MQTT 3.1.1 has words for it. By hand, because the codec (0.4.0) writes a refusal in
/// SUBACK as 3, the place of the word in its list, instead of 0x80 (§3.9.3).
pub(super) fn encode(reply: &Reply<'_>, out: &mut Vec<u8>) {
    match reply {
        Reply::Connack { present, .. } => out.extend_from_slice(&[0x20, 2, u8::from(*present), 0]),
        Reply::Refusal(reason) => out.extend_from_slice(&[0x20, 2, 0, reason.as_return_code()]),
        Reply::Ack(kind, pid, _) => {
            out.extend_from_slice(&[kind.first_byte(), 2]);
            out.extend_from_slice(&pid.value().to_be_bytes());
        }
        Reply::Suback(pid, granted) => {
            out.push(0x90);
            encode_length(2 + granted.len(), out);
            out.extend_from_slice(&pid.value().to_be_bytes());
            out.extend(granted.iter().map(|granted| granted.map_or(0x80, |qos| qos as u8)));
        }
        Reply::Unsuback(pid, _) => {
            out.extend_from_slice(&[0xb0, 2]);
            out.extend_from_slice(&pid.value().to_be_bytes());
        }
        Reply::Pingresp => out.extend_from_slice(&[0xd0, 0]),
        // A server of MQTT 3.1.1 leaves without a word.
        Reply::Disconnect(_) => {}
    }
}
