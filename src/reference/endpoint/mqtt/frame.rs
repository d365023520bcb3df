//! Packets out of and into bytes. Packets are decoded by `mqtt-proto`; what it lets pass against the specification is caught here.

use mqtt_proto::v3::{Header, Packet};
use mqtt_proto::{Error, Pid, PollHeader, Protocol, QoS};

/// Largest packet taken, bytes after the fixed header. What claims to be larger is refused before anything is kept of it.
pub(super) const LARGEST_PACKET: usize = 256 * 1024;

/// Why bytes are not a packet that this service takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Against the specification.
    Malformed,
    /// Larger than [`LARGEST_PACKET`].
    TooLarge,
    /// A CONNECT of another version of MQTT.
    Version,
}

/// The first packet of `bytes` and its whole length, or nothing if more bytes are needed.
///
/// # Errors
/// As soon as what is there can no longer become a packet.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<(Packet, usize)>, Fault> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let Some((length, width)) = remaining_length(rest)? else { return Ok(None) };
    let total = 1 + width + length;
    let header = Header::new_with(first, length as u32, total as u32).map_err(|_| Fault::Malformed)?;
    if length > LARGEST_PACKET {
        return Err(Fault::TooLarge);
    }
    let Some(body) = bytes.get(1 + width..total) else { return Ok(None) };
    Ok(Some((decode_body(header, body)?, total)))
}

fn decode_body(header: Header, body: &[u8]) -> Result<Packet, Fault> {
    if let Some(packet) = header.build_empty_packet() {
        return if body.is_empty() { Ok(packet) } else { Err(Fault::Malformed) };
    }
    let mut offset = 0;
    let packet = header.decode_buffer(body, &mut offset).map_err(|error| match error {
        Error::UnexpectedProtocol(_) => Fault::Version,
        Error::InvalidProtocol(name, _) if matches!(&*name, "MQTT" | "MQIsdp") => Fault::Version,
        _ => Fault::Malformed,
    })?;
    if offset != body.len() || !is_allowed(&packet, body)? {
        return Err(Fault::Malformed);
    }
    Ok(packet)
}

/// The rules of the specification that the codec leaves to its user.
fn is_allowed(packet: &Packet, body: &[u8]) -> Result<bool, Fault> {
    use super::topic::{is_filter, is_name};
    Ok(match packet {
        Packet::Connect(connect) => {
            if connect.protocol != Protocol::V311 {
                return Err(Fault::Version);
            }
            // The flags follow the name "MQTT" (2 + 4 bytes) and the level (1 byte).
            let flags = body.get(7).copied().unwrap_or_default();
            let (will, will_retain) = (flags & 0b100 != 0, flags & 0b10_0000 != 0);
            let texts = connect.username.iter().map(|name| &**name).chain([&*connect.client_id]);
            (will || !will_retain)
                && (connect.username.is_some() || connect.password.is_none())
                && connect.last_will.as_ref().is_none_or(|will| is_name(&will.topic_name))
                && texts.into_iter().all(|text| !text.contains('\0'))
        }
        Packet::Publish(publish) => {
            is_name(&publish.topic_name) && !(publish.dup && publish.qos_pid.qos() == QoS::Level0)
        }
        Packet::Subscribe(subscribe) => subscribe.topics.iter().all(|(filter, _)| is_filter(filter)),
        Packet::Unsubscribe(unsubscribe) => unsubscribe.topics.iter().all(|filter| is_filter(filter)),
        _ => true,
    })
}

/// The remaining length of the fixed header and how many bytes it takes (MQTT 3.1.1 §2.2.3), if they are all there.
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Fault> {
    let mut length = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((length, index + 1)));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(Fault::Malformed) }
}

/// Appends a packet.
pub(super) fn encode(packet: &Packet, out: &mut Vec<u8>) {
    // Only packets of our own making get here, and their sizes are far below the format's bounds.
    if let Ok(bytes) = packet.encode() {
        out.extend_from_slice(bytes.as_ref());
    }
}

/// Appends a SUBACK with what was granted to each filter, or a refusal. By hand, because the codec (0.4.0) writes a refusal as
/// 3, the place of the word in its list, instead of 0x80 (MQTT 3.1.1 §3.9.3).
pub(super) fn encode_suback(pid: Pid, granted: &[Option<QoS>], out: &mut Vec<u8>) {
    out.push(0x90);
    encode_length(2 + granted.len(), out);
    out.extend_from_slice(&pid.value().to_be_bytes());
    out.extend(granted.iter().map(|granted| granted.map_or(0x80, |qos| qos as u8)));
}

/// Appends a PUBREL.
pub(super) fn encode_pubrel(pid: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x62, 2]);
    out.extend_from_slice(&pid.to_be_bytes());
}

/// Marks a PUBLISH as one that is sent again (MQTT 3.1.1 §3.3.1.1).
pub(super) fn mark_repeated(publish: &mut [u8]) {
    if let Some(first) = publish.first_mut() {
        *first |= 0x08;
    }
}

fn encode_length(mut length: usize, out: &mut Vec<u8>) {
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

/// A message on its way to subscribers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
    /// The quality it was published with.
    pub(super) qos: QoS,
    /// Whether it is sent because it was retained.
    pub(super) retained: bool,
}

impl Message<'_> {
    /// Bytes a PUBLISH of this message takes at most.
    pub(super) fn most_bytes(&self) -> usize {
        1 + 4 + 2 + self.topic.len() + 2 + self.payload.len()
    }

    /// Appends a PUBLISH of quality `qos` and gives the place of its packet identifier, which is 0 as yet. The hot
    /// path: the codec would first want the topic and the payload in allocations of their own.
    pub(super) fn encode(&self, qos: QoS, out: &mut Vec<u8>) -> usize {
        let Self { topic, payload, retained, .. } = *self;
        let identified = qos != QoS::Level0;
        let length = 2 + topic.len() + payload.len() + if identified { 2 } else { 0 };
        out.reserve(self.most_bytes());
        out.push(0x30 | (qos as u8) << 1 | u8::from(retained));
        encode_length(length, out);
        // Topics come off the wire or from device names, so they are shorter than 65 536 bytes.
        out.extend_from_slice(&(topic.len() as u16).to_be_bytes());
        out.extend_from_slice(topic.as_bytes());
        let place = out.len();
        if identified {
            out.extend_from_slice(&[0, 0]);
        }
        out.extend_from_slice(payload);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqtt_proto::v3::{Connect, LastWill, Publish, Subscribe, SubscribeReturnCode};
    use mqtt_proto::{QosPid, TopicFilter, TopicName};
    use proptest::prelude::*;

    fn encoded(packet: &Packet) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(packet, &mut bytes);
        bytes
    }

    fn packets() -> Vec<Packet> {
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
            Packet::Pubrel(pid),
            Packet::Pingreq,
            Packet::Disconnect,
        ]
    }

    #[test]
    fn a_packet_appears_with_its_last_byte_and_not_before() {
        for packet in packets() {
            let mut bytes = encoded(&packet);
            let whole = bytes.len();
            for split in 0..whole {
                assert_eq!(decode(&bytes[..split]), Ok(None), "{packet:?} at {split}");
            }
            bytes.extend_from_slice(b"\xc0");
            assert_eq!(decode(&bytes), Ok(Some((packet, whole))));
        }
    }

    #[test]
    fn what_breaks_the_specification_is_refused() {
        for (name, bytes, fault) in [
            ("200 MB claimed", &[0x30, 0x80, 0x84, 0xaf, 0x5f][..], Fault::TooLarge),
            ("five length bytes", &[0x30, 0x80, 0x80, 0x80, 0x80, 1], Fault::Malformed),
            ("type 0", &[0x00, 0x00], Fault::Malformed),
            ("type 15", &[0xf0, 0x00], Fault::Malformed),
            ("QoS 3", &[0x36, 0x00], Fault::Malformed),
            ("PUBREL without its flag", &[0x60, 2, 0, 1], Fault::Malformed),
            ("PINGREQ with a body", &[0xc0, 1, 0], Fault::Malformed),
            ("PUBACK with a tail", &[0x40, 3, 0, 1, 0], Fault::Malformed),
            ("identifier 0", &[0x40, 2, 0, 0], Fault::Malformed),
            ("empty topic", &[0x30, 2, 0, 0], Fault::Malformed),
            ("wildcard topic", &[0x30, 3, 0, 1, b'#'], Fault::Malformed),
            ("topic not UTF-8", &[0x30, 3, 0, 1, 0xff], Fault::Malformed),
            ("topic with NUL", &[0x30, 3, 0, 1, 0], Fault::Malformed),
            ("topic beyond the packet", &[0x30, 3, 0, 9, b'a'], Fault::Malformed),
            ("DUP at QoS 0", &[0x38, 3, 0, 1, b'a'], Fault::Malformed),
            ("SUBSCRIBE to nothing", &[0x82, 2, 0, 1], Fault::Malformed),
            ("SUBSCRIBE with QoS 3", &[0x82, 6, 0, 1, 0, 1, b'a', 3], Fault::Malformed),
            ("filter `+x`", &[0x82, 7, 0, 1, 0, 2, b'+', b'x', 0], Fault::Malformed),
            ("version 3.1", b"\x10\x0e\0\x06MQIsdp\x03\x02\0\0\0\0", Fault::Version),
            ("version 5", b"\x10\x0d\0\x04MQTT\x05\x02\0\0\0\0\0", Fault::Version),
            ("version 9", b"\x10\x0c\0\x04MQTT\x09\x02\0\0\0\0", Fault::Version),
            ("another protocol", b"\x10\x0c\0\x04MQTX\x04\x02\0\0\0\0", Fault::Malformed),
            ("reserved CONNECT flag", b"\x10\x0c\0\x04MQTT\x04\x03\0\0\0\0", Fault::Malformed),
            ("will retain without will", b"\x10\x0c\0\x04MQTT\x04\x22\0\0\0\0", Fault::Malformed),
            ("password without name", b"\x10\x0f\0\x04MQTT\x04\x42\0\0\0\0\0\x01p", Fault::Malformed),
            ("client id with NUL", b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01\0", Fault::Malformed),
        ] {
            assert_eq!(decode(bytes), Err(fault), "{name}");
        }
    }

    #[test]
    fn an_answer_to_many_filters_names_each_refusal() {
        let mut bytes = Vec::new();
        let mut granted = vec![Some(QoS::Level2); 199];
        granted.push(None);
        encode_suback(Pid::try_from(258).unwrap(), &granted, &mut bytes);
        assert_eq!(bytes[..6], [0x90, 0xca, 0x01, 1, 2, 2]);
        assert_eq!((bytes.len(), bytes.last()), (3 + 202, Some(&0x80)));
        let Ok(Some((Packet::Suback(read), _))) = decode(&bytes) else { panic!("{bytes:?}") };
        assert_eq!(read.topics.last(), Some(&SubscribeReturnCode::Failure));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic_and_a_packet_never_outgrows_them(bytes: Vec<u8>, first in prop::sample::select(vec![0x10u8, 0x30, 0x32, 0x82, 0xa2])) {
            let mut framed = vec![first, bytes.len().min(127) as u8];
            framed.extend_from_slice(&bytes);
            for bytes in [bytes, framed] {
                if let Ok(Some((_, length))) = decode(&bytes) {
                    prop_assert!((2..=bytes.len()).contains(&length));
                }
            }
        }

        #[test]
        fn publishes_are_written_as_the_codec_writes_them(topic in "[a-z/]{1,200}", payload: Vec<u8>, qos in 0u8..3, retained: bool, pid in 1u16..) {
            let qos = QoS::from_u8(qos).unwrap();
            let mut bytes = Vec::new();
            let place = Message { topic: &topic, payload: &payload, qos, retained }.encode(qos, &mut bytes);
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
    }
}
