//! MQTT 5 packets on the wire: what a device sends and what a broker answers. Numbers in brackets are the standard's statements.

use super::super::super::{Failure, Identity, Login, Will};
use super::super::breach::wrong_length;
use super::super::grammar::is_topic;
use super::super::inflight::Ack;
use super::super::packet::{MAX_PACKET, MAX_REMAINING, fitting, nonzero, remaining_length};
use super::property::{
    ALIAS_MAXIMUM, Carrier, MAXIMUM_PACKET, Properties, RECEIVE_MAXIMUM, SESSION_EXPIRY, Value, WILL_DELAY,
    counted, put, put_counted,
};
use super::settings::V5Settings;
use crate::record::Qos;

/// A packet from the broker.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Inbound<'a> {
    Connack { present: bool, reason: u8, properties: Properties<'a> },
    Publish { publish: Message<'a>, properties: Properties<'a> },
    Ack { ack: Ack, pid: u16, reason: u8, properties: Properties<'a> },
    Suback { pid: u16, reason: u8, properties: Properties<'a> },
    Pingresp,
    Disconnect { reason: u8, properties: Properties<'a> },
}

/// A PUBLISH; `pid` is 0 for `QoS` 0, and `topic` empty where an alias stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Message<'a> {
    pub(in super::super) qos: Qos,
    pub(in super::super) pid: u16,
    pub(in super::super) retain: bool,
    pub(in super::super) topic: &'a str,
    pub(in super::super) payload: &'a [u8],
}

/// The first packet in `bytes` and its size; `None` if it is not there in full.
pub(in super::super) fn decode(bytes: &[u8]) -> Result<Option<(usize, Inbound<'_>)>, Failure> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let kind = kind(first)?;
    let Some((remaining, digits)) = remaining_length(rest)? else { return Ok(None) };
    // The broker knows the limit from CONNECT [MQTT-3.1.2-24].
    if remaining > MAX_PACKET {
        return Err(Failure::protocol("the broker announced a packet larger than 256 KiB"));
    }
    let Some(body) = rest.get(digits..digits + remaining) else { return Ok(None) };
    let packet = match kind {
        Kind::Connack => connack(body)?,
        Kind::Publish => publish(first, body)?,
        Kind::Ack(ack) => acknowledgement(ack, body)?,
        Kind::Suback => suback(body)?,
        Kind::Pingresp if body.is_empty() => Inbound::Pingresp,
        Kind::Pingresp => return Err(wrong_length("PINGRESP", body.len(), 0)),
        Kind::Disconnect => {
            let (reason, properties) = ending(Carrier::Disconnect, "DISCONNECT", body)?;
            Inbound::Disconnect { reason, properties }
        }
    };
    Ok(Some((1 + digits + remaining, packet)))
}

/// What a broker sends.
enum Kind {
    Connack,
    Publish,
    Ack(Ack),
    Suback,
    Pingresp,
    Disconnect,
}

/// What `first`, the first byte of a packet, says of it. It tells a broker from something else.
fn kind(first: u8) -> Result<Kind, Failure> {
    const NAMES: [&str; 16] = [
        "",
        "CONNECT",
        "",
        "",
        "",
        "",
        "",
        "",
        "SUBSCRIBE",
        "",
        "UNSUBSCRIBE",
        "UNSUBACK",
        "PINGREQ",
        "",
        "",
        "AUTH",
    ];
    let (number, flags) = (first >> 4, first & 0xf);
    let (kind, due) = match number {
        2 => (Kind::Connack, 0),
        3 if flags & 6 == 6 => {
            return Err(Failure::protocol("the broker sent a PUBLISH of QoS 3, which MQTT does not have"));
        }
        3 => (Kind::Publish, flags),
        4 => (Kind::Ack(Ack::Puback), 0),
        5 => (Kind::Ack(Ack::Pubrec), 0),
        6 => (Kind::Ack(Ack::Pubrel), 2),
        7 => (Kind::Ack(Ack::Pubcomp), 0),
        9 => (Kind::Suback, 0),
        13 => (Kind::Pingresp, 0),
        14 => (Kind::Disconnect, 0),
        0 => {
            return Err(Failure::protocol(format!(
                "the broker sent 0x{first:02x} where a packet begins, which is none of MQTT's types"
            )));
        }
        11 => return Err(Failure::protocol("the broker sent an UNSUBACK, though no UNSUBSCRIBE was open")),
        // [MQTT-4.12.0-6]
        15 => {
            return Err(Failure::protocol(
                "the broker sent an AUTH, though no authentication method was asked for",
            ));
        }
        _ => {
            let name = NAMES.get(usize::from(number)).copied().unwrap_or_default();
            return Err(Failure::protocol(format!("the broker sent a {name}, which only a client may send")));
        }
    };
    // [MQTT-2.1.3-1]
    if flags != due {
        return Err(Failure::protocol(format!(
            "the broker sent a packet of type {number} with the reserved flags 0x{flags:x} (or is not an MQTT broker)"
        )));
    }
    Ok(kind)
}

fn short(name: &str) -> Failure {
    Failure::protocol(format!("the broker sent a {name} that is shorter than its parts"))
}

fn connack(body: &[u8]) -> Result<Inbound<'_>, Failure> {
    let Some((&[flags, reason], rest)) = body.split_first_chunk::<2>() else { return Err(short("CONNACK")) };
    // [MQTT-3.2.2-1]
    if flags > 1 {
        return Err(Failure::protocol(format!(
            "the broker sent a CONNACK with the flags 0x{flags:02x}, of which MQTT has the lowest only"
        )));
    }
    // A broker that speaks another version only may refuse in that version's words, which have no properties.
    let properties = if rest.is_empty() && reason != 0 {
        Properties::NONE
    } else {
        whole("CONNACK", Properties::split(Carrier::Connack, rest)?)?
    };
    Ok(Inbound::Connack { present: flags == 1, reason, properties })
}

fn publish(first: u8, body: &[u8]) -> Result<Inbound<'_>, Failure> {
    let (topic, rest) = counted(body).ok_or_else(|| short("PUBLISH"))?;
    let topic = std::str::from_utf8(topic)
        .map_err(|_| Failure::protocol("the broker sent a PUBLISH to a topic that is not UTF-8"))?;
    let (qos, pid, rest) = match first >> 1 & 3 {
        0 => (Qos::AtMostOnce, 0, rest),
        level => {
            let (pid, rest) = rest.split_first_chunk::<2>().ok_or_else(|| short("PUBLISH"))?;
            let qos = if level == 1 { Qos::AtLeastOnce } else { Qos::ExactlyOnce };
            (qos, nonzero("PUBLISH", *pid)?, rest)
        }
    };
    let (properties, payload) = Properties::split(Carrier::Publish, rest)?;
    let publish = Message { qos, pid, retain: first & 1 == 1, topic, payload };
    Ok(Inbound::Publish { publish, properties })
}

/// Reason and properties may be left out where all is well (§3.4.2.1).
fn acknowledgement(ack: Ack, body: &[u8]) -> Result<Inbound<'_>, Failure> {
    let (pid, rest) = body.split_first_chunk::<2>().ok_or_else(|| short(ack.name()))?;
    let pid = nonzero(ack.name(), *pid)?;
    let (reason, properties) = ending(Carrier::Ack, ack.name(), rest)?;
    Ok(Inbound::Ack { ack, pid, reason, properties })
}

/// SUBACK to a SUBSCRIBE with one filter.
fn suback(body: &[u8]) -> Result<Inbound<'_>, Failure> {
    let (pid, rest) = body.split_first_chunk::<2>().ok_or_else(|| short("SUBACK"))?;
    let pid = nonzero("SUBACK", *pid)?;
    let (properties, codes) = Properties::split(Carrier::Suback, rest)?;
    let &[reason] = codes else {
        let number = codes.len();
        let sentence = format!("the broker sent a SUBACK with {number} reason codes for one filter");
        return Err(Failure::protocol(sentence));
    };
    if (3..super::reason::FIRST_FAILURE).contains(&reason) {
        return Err(Failure::protocol(format!(
            "the broker sent a SUBACK with the reason code {reason}, which it does not have"
        )));
    }
    Ok(Inbound::Suback { pid, reason, properties })
}

/// A reason code and properties, both or the latter of which may be left out.
fn ending<'a>(carrier: Carrier, name: &str, body: &'a [u8]) -> Result<(u8, Properties<'a>), Failure> {
    match body.split_first() {
        None => Ok((0, Properties::NONE)),
        Some((&reason, [])) => Ok((reason, Properties::NONE)),
        Some((&reason, rest)) => Ok((reason, whole(name, Properties::split(carrier, rest)?)?)),
    }
}

/// Nothing may follow the properties.
fn whole<'a>(name: &str, (properties, rest): (Properties<'a>, &[u8])) -> Result<Properties<'a>, Failure> {
    if rest.is_empty() {
        return Ok(properties);
    }
    let number = rest.len();
    Err(Failure::protocol(format!("the broker sent a {name} with {number} bytes behind its properties")))
}

/// Appends `value` as a variable byte integer, in as few bytes as it takes [MQTT-1.5.5-1].
pub(super) fn put_length(value: usize, out: &mut Vec<u8>) {
    let mut left = value;
    while left > 0x7f {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

const fn digits(value: usize) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

/// Bytes of the PUBLISH with these properties.
pub(in super::super) const fn publish_size(publish: &Message<'_>, properties: usize) -> usize {
    let remaining = remaining_of(publish, properties);
    1 + digits(remaining) + remaining
}

const fn remaining_of(publish: &Message<'_>, properties: usize) -> usize {
    let identified = if matches!(publish.qos, Qos::AtMostOnce) { 0 } else { 2 };
    2 + publish.topic.len() + identified + digits(properties) + properties + publish.payload.len()
}

/// Appends a PUBLISH whose properties come in `parts`; its `pid` is of no consequence for `QoS` 0. `again`: the broker may have
/// seen it before [MQTT-3.3.1-1].
pub(in super::super) fn encode_publish(
    publish: &Message<'_>,
    parts: [&[u8]; 2],
    again: bool,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let properties = parts.iter().map(|part| part.len()).sum();
    let remaining = remaining_of(publish, properties);
    if publish.topic.len() > usize::from(u16::MAX) || remaining > MAX_REMAINING {
        return Err(Failure::protocol("the reading is larger than MQTT can carry"));
    }
    out.reserve(5 + remaining);
    out.push(0x30 | u8::from(again) << 3 | (publish.qos as u8) << 1 | u8::from(publish.retain));
    put_length(remaining, out);
    put_counted(publish.topic.as_bytes(), out);
    if publish.qos != Qos::AtMostOnce {
        out.extend_from_slice(&publish.pid.to_be_bytes());
    }
    put_length(properties, out);
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(publish.payload);
    Ok(())
}

/// Appends an acknowledgement; a `reason` of success is left out.
pub(in super::super) fn encode_ack(ack: Ack, pid: u16, reason: u8, out: &mut Vec<u8>) {
    let start = out.len();
    super::super::packet::encode_ack(ack, pid, out);
    if reason != 0 {
        out.push(reason);
        if let Some(remaining) = out.get_mut(start + 1) {
            *remaining = 3;
        }
    }
}

/// Appends CONNECT; `keep_alive` is in seconds, 0 for none. Who the device is comes from `identity`, except for the login.
pub(in super::super) fn encode_connect(
    identity: &Identity,
    (clean, own): (bool, &V5Settings),
    keep_alive: u16,
    login: Option<&Login>,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let mut body = Vec::with_capacity(64);
    put_counted(b"MQTT", &mut body);
    let will = identity.will.as_ref();
    let password = login.and_then(|login| login.password.as_ref());
    let flags = u8::from(clean) << 1
        | will.map_or(0, |will| 1 << 2 | (will.qos as u8) << 3 | u8::from(will.retain) << 5)
        | u8::from(password.is_some()) << 6
        | u8::from(login.is_some()) << 7;
    body.extend_from_slice(&[5, flags]);
    body.extend_from_slice(&keep_alive.to_be_bytes());
    let mut properties = Vec::new();
    if !clean {
        put(SESSION_EXPIRY, Value::Number(own.session_expiry_s), &mut properties);
    }
    if own.receive_maximum != u16::MAX {
        put(RECEIVE_MAXIMUM, Value::Number(own.receive_maximum.into()), &mut properties);
    }
    put(MAXIMUM_PACKET, Value::Number(MAX_PACKET as u32), &mut properties);
    if own.topic_aliases > 0 {
        put(ALIAS_MAXIMUM, Value::Number(own.topic_aliases.into()), &mut properties);
    }
    put_length(properties.len(), &mut body);
    body.extend_from_slice(&properties);
    let client_id = identity.client_id.as_ref().unwrap_or(&identity.device);
    put_counted(fitting("client identifier", client_id.as_str())?.as_bytes(), &mut body);
    if let Some(will) = will {
        put_will(will, own.will_delay_s, &mut body)?;
    }
    if let Some(Login { user, .. }) = login {
        put_counted(fitting("user name", user.as_str())?.as_bytes(), &mut body);
    }
    if let Some(password) = password {
        put_counted(fitting("password", password.reveal())?.as_bytes(), &mut body);
    }
    frame(0x10, &body, out);
    Ok(())
}

fn put_will(will: &Will, delay_s: u32, body: &mut Vec<u8>) -> Result<(), Failure> {
    let Will { topic, payload, .. } = will;
    if !is_topic(topic) {
        return Err(Failure::protocol(format!("`{topic}` is not a valid MQTT topic for a will")));
    }
    let mut properties = Vec::new();
    if delay_s > 0 {
        put(WILL_DELAY, Value::Number(delay_s), &mut properties);
    }
    put_length(properties.len(), body);
    body.extend_from_slice(&properties);
    put_counted(topic.as_bytes(), body);
    put_counted(fitting("will", payload.as_slice())?, body);
    Ok(())
}

/// Appends SUBSCRIBE to one topic filter.
pub(in super::super) fn encode_subscribe(pid: u16, filter: &str, qos: Qos, out: &mut Vec<u8>) {
    let mut body = pid.to_be_bytes().to_vec();
    body.push(0);
    put_counted(filter.as_bytes(), &mut body);
    body.push(qos as u8);
    frame(0x82, &body, out);
}

fn frame(first: u8, body: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    put_length(body.len(), out);
    out.extend_from_slice(body);
}
