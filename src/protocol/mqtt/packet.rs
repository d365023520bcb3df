//! MQTT 3.1.1 packets on the wire: what a device sends and what a broker answers.
//!
//! Rare packets go through `mqtt-proto`; PUBLISH and the acknowledgements, of which there are thousands per second, are
//! written and read in place, without an allocation. Numbers in brackets are the standard's statements.

use std::time::Duration;

use mqtt_proto::v3::{Connect, ConnectReturnCode, Header, LastWill, Packet, PacketType, Subscribe};
use mqtt_proto::{Pid, QoS, TopicFilter, TopicName};

use super::super::{Failure, Identity, Login, Will};
use super::breach::{self, wrong_length};
use super::inflight::Ack;
use crate::record::Qos;

/// Largest packet taken from a broker, bytes. One that claims more is refused before it arrives.
pub(super) const MAX_PACKET: usize = 256 * 1024;

/// Largest remaining length the fixed header can state (§2.2.3).
pub(super) const MAX_REMAINING: usize = 268_435_455;

/// A packet from the broker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inbound<'a> {
    Connack {
        code: ConnectReturnCode,
        present: bool,
    },
    Publish(Publish<'a>),
    Ack(Ack, u16),
    /// `granted`: `None` if it was refused.
    Suback {
        pid: u16,
        granted: Option<Qos>,
    },
    Pingresp,
}

/// A PUBLISH; from a broker, `pid` is 0 for `QoS` 0.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Publish<'a> {
    pub(super) qos: Qos,
    pub(super) pid: u16,
    pub(super) retain: bool,
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
}

/// The first packet in `bytes` and its size; `None` if it is not there in full.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<(usize, Inbound<'_>)>, Failure> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let header = breach::header(first)?;
    let Some((remaining, digits)) = remaining_length(rest)? else { return Ok(None) };
    if remaining > MAX_PACKET {
        return Err(Failure::protocol("the broker announced a packet larger than 256 KiB"));
    }
    let Some(body) = rest.get(digits..digits + remaining) else { return Ok(None) };
    let packet = match header.typ {
        PacketType::Publish => Inbound::Publish(publish(header, body)?),
        PacketType::Puback => Inbound::Ack(Ack::Puback, lone_pid(Ack::Puback, body)?),
        PacketType::Pubrec => Inbound::Ack(Ack::Pubrec, lone_pid(Ack::Pubrec, body)?),
        PacketType::Pubrel => Inbound::Ack(Ack::Pubrel, lone_pid(Ack::Pubrel, body)?),
        PacketType::Pubcomp => Inbound::Ack(Ack::Pubcomp, lone_pid(Ack::Pubcomp, body)?),
        PacketType::Connack => connack(body)?,
        PacketType::Suback => suback(body)?,
        _ if !body.is_empty() => return Err(wrong_length("PINGRESP", body.len(), 0)),
        _ => Inbound::Pingresp,
    };
    Ok(Some((1 + digits + remaining, packet)))
}

/// Value and size of the remaining length (§2.2.3); `None` if it is not there in full.
pub(super) fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Failure> {
    let mut value = 0;
    for (i, &byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok(Some((value, i + 1)));
        }
    }
    if bytes.len() < 4 {
        Ok(None)
    } else {
        Err(Failure::protocol("the broker stated a packet's length in more than 4 bytes"))
    }
}

fn publish(header: Header, body: &[u8]) -> Result<Publish<'_>, Failure> {
    let short = || Failure::protocol("the broker sent a PUBLISH that is shorter than its parts");
    let (size, rest) = body.split_first_chunk::<2>().ok_or_else(short)?;
    let (topic, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*size))).ok_or_else(short)?;
    let topic = std::str::from_utf8(topic)
        .map_err(|_| Failure::protocol("the broker sent a PUBLISH to a topic that is not UTF-8"))?;
    let (qos, pid, payload) = match header.qos {
        QoS::Level0 => (Qos::AtMostOnce, 0, rest),
        level => {
            let (pid, payload) = rest.split_first_chunk::<2>().ok_or_else(short)?;
            let qos = if level == QoS::Level1 { Qos::AtLeastOnce } else { Qos::ExactlyOnce };
            (qos, nonzero("PUBLISH", *pid)?, payload)
        }
    };
    Ok(Publish { qos, pid, retain: header.retain, topic, payload })
}

fn connack(body: &[u8]) -> Result<Inbound<'static>, Failure> {
    let &[flags, code] = body else { return Err(wrong_length("CONNACK", body.len(), 2)) };
    if flags > 1 {
        return Err(Failure::protocol(format!(
            "the broker sent a CONNACK with the flags 0x{flags:02x}, of which MQTT has the lowest only"
        )));
    }
    let code = ConnectReturnCode::from_u8(code).map_err(|_| no_such_code("CONNACK", code))?;
    Ok(Inbound::Connack { code, present: flags == 1 })
}

/// SUBACK to a SUBSCRIBE with one filter.
fn suback(body: &[u8]) -> Result<Inbound<'static>, Failure> {
    let Some((pid, codes)) = body.split_first_chunk::<2>() else {
        return Err(wrong_length("SUBACK", body.len(), 3));
    };
    let pid = nonzero("SUBACK", *pid)?;
    let &[code] = codes else {
        let number = codes.len();
        let sentence = format!("the broker sent a SUBACK with {number} return codes for one filter");
        return Err(Failure::protocol(sentence));
    };
    let granted = match code {
        0 => Some(Qos::AtMostOnce),
        1 => Some(Qos::AtLeastOnce),
        2 => Some(Qos::ExactlyOnce),
        0x80 => None,
        other => return Err(no_such_code("SUBACK", other)),
    };
    Ok(Inbound::Suback { pid, granted })
}

fn no_such_code(name: &str, code: u8) -> Failure {
    Failure::protocol(format!(
        "the broker sent a {name} with the return code {code}, which MQTT does not have"
    ))
}

fn lone_pid(ack: Ack, body: &[u8]) -> Result<u16, Failure> {
    match body {
        &[high, low] => nonzero(ack.name(), [high, low]),
        _ => Err(wrong_length(ack.name(), body.len(), 2)),
    }
}

pub(super) fn nonzero(name: &str, pid: [u8; 2]) -> Result<u16, Failure> {
    match u16::from_be_bytes(pid) {
        0 => Err(Failure::protocol(format!("the broker sent a {name} with packet identifier 0"))),
        pid => Ok(pid),
    }
}

fn malformed(error: &mqtt_proto::Error) -> Failure {
    Failure::protocol(format!("malformed MQTT packet: {error}"))
}

/// Appends a PUBLISH; its `pid` is of no consequence for `QoS` 0.
pub(super) fn encode_publish(publish: &Publish<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
    let &Publish { qos, pid, retain, topic, payload } = publish;
    let identified = qos != Qos::AtMostOnce;
    let remaining = 2 + topic.len() + if identified { 2 } else { 0 } + payload.len();
    let (Ok(topic_len), true) = (u16::try_from(topic.len()), remaining <= MAX_REMAINING) else {
        return Err(Failure::protocol("the reading is larger than MQTT can carry"));
    };
    out.reserve(5 + remaining);
    out.push(0x30 | (qos as u8) << 1 | u8::from(retain));
    let mut left = remaining;
    while left > 0x7f {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
    out.extend_from_slice(&topic_len.to_be_bytes());
    out.extend_from_slice(topic.as_bytes());
    if identified {
        out.extend_from_slice(&pid.to_be_bytes());
    }
    out.extend_from_slice(payload);
    Ok(())
}

/// Appends a PUBLISH that the broker may have seen before [MQTT-3.3.1-1].
pub(super) fn encode_again(publish: &Publish<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
    let start = out.len();
    encode_publish(publish, out)?;
    if let Some(first) = out.get_mut(start) {
        *first |= 0x08;
    }
    Ok(())
}

/// Appends an acknowledgement.
pub(super) fn encode_ack(ack: Ack, pid: u16, out: &mut Vec<u8>) {
    let first = match ack {
        Ack::Puback => 0x40,
        Ack::Pubrec => 0x50,
        // PUBREL carries reserved flags [MQTT-3.6.1-1].
        Ack::Pubrel => 0x62,
        Ack::Pubcomp => 0x70,
    };
    let [high, low] = pid.to_be_bytes();
    out.extend_from_slice(&[first, 2, high, low]);
}

/// Appends CONNECT; `keep_alive` is in seconds, 0 for none. Who the device is comes from `identity`, except for the login.
pub(super) fn encode_connect(
    identity: &Identity,
    clean_session: bool,
    keep_alive: u16,
    login: Option<&Login>,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let client_id = identity.client_id.as_ref().unwrap_or(&identity.device);
    let mut connect = Connect::new(fitting("client identifier", client_id.as_str())?.into(), keep_alive);
    connect.clean_session = clean_session;
    if let Some(Login { user, password }) = login {
        connect.username = Some(fitting("user name", user.as_str())?.into());
        if let Some(password) = password {
            connect.password = Some(fitting("password", password.reveal())?.as_bytes().to_vec().into());
        }
    }
    if let Some(Will { topic, payload, qos, retain }) = &identity.will {
        if topic.is_empty() || TopicName::is_invalid(topic) {
            return Err(Failure::protocol(format!("`{topic}` is not a valid MQTT topic for a will")));
        }
        connect.last_will = Some(LastWill {
            qos: level(*qos),
            retain: *retain,
            topic_name: TopicName::try_from(topic.as_str()).map_err(|error| malformed(&error))?,
            message: fitting("will", payload.as_slice())?.to_vec().into(),
        });
    }
    append(&Packet::Connect(connect), out)
}

/// MQTT states the length of such a part in two bytes, and the codec would cut it down without a word.
pub(super) fn fitting<'a, T: AsRef<[u8]> + ?Sized>(what: &str, part: &'a T) -> Result<&'a T, Failure> {
    if u16::try_from(part.as_ref().len()).is_err() {
        return Err(Failure::protocol(format!("the {what} is longer than the 65535 bytes MQTT can carry")));
    }
    Ok(part)
}

fn level(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::Level0,
        Qos::AtLeastOnce => QoS::Level1,
        Qos::ExactlyOnce => QoS::Level2,
    }
}

/// Appends SUBSCRIBE to one topic filter.
pub(super) fn encode_subscribe(pid: u16, filter: &str, qos: Qos, out: &mut Vec<u8>) -> Result<(), Failure> {
    let pid = Pid::try_from(pid).map_err(|error| malformed(&error))?;
    let filter = TopicFilter::try_from(filter).map_err(|error| malformed(&error))?;
    append(&Packet::Subscribe(Subscribe::new(pid, vec![(filter, level(qos))])), out)
}

/// Appends PINGREQ.
pub(super) fn encode_pingreq(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xc0, 0]);
}

/// Appends DISCONNECT.
pub(super) fn encode_disconnect(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xe0, 0]);
}

fn append(packet: &Packet, out: &mut Vec<u8>) -> Result<(), Failure> {
    out.extend_from_slice(packet.encode().map_err(|error| malformed(&error))?.as_ref());
    Ok(())
}

/// The keep-alive of CONNECT in seconds: see [`crate::protocol::Settings::keep_alive`].
pub(super) fn announced(period: Duration) -> u16 {
    let seconds = period.saturating_mul(2).as_millis().div_ceil(1000);
    u16::try_from(seconds).unwrap_or(u16::MAX)
}
