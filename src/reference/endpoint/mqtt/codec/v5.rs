//! MQTT 5 on the wire. Numbers in brackets are the standard's statements.

use std::rc::Rc;

use mqtt_proto::v5::{
    Connect as CodedConnect, Disconnect, DisconnectReasonCode, ErrorV5, Header, Packet as Coded, PacketType,
    Publish as CodedPublish, RetainHandling, Subscribe as CodedSubscribe, UserProperty, WillProperties,
};
use mqtt_proto::{Error, Protocol, QoS};

use super::super::topic::{is_filter, is_name};
use super::packet::{
    Ack, AckKind, Connect, ForwardedProperties, Options, Packet, Publish, Replay, Reply, ReplyPath,
    Subscribe, Terms, Version, Will,
};
use super::reason::ReasonCode;
use super::{Fault, encode_length};

const PAYLOAD_FORMAT: u8 = 0x01;
pub(super) const MESSAGE_EXPIRY: u8 = 0x02;
const CONTENT_TYPE: u8 = 0x03;
const RESPONSE_TOPIC: u8 = 0x08;
const CORRELATION_DATA: u8 = 0x09;
const SESSION_EXPIRY: u8 = 0x11;
const ASSIGNED_CLIENT: u8 = 0x12;
const SERVER_KEEP_ALIVE: u8 = 0x13;
const RECEIVE_MAXIMUM: u8 = 0x21;
const ALIAS_MAXIMUM: u8 = 0x22;
const USER_PROPERTY: u8 = 0x26;
const MAXIMUM_PACKET: u8 = 0x27;
const SUBSCRIPTION_IDENTIFIERS: u8 = 0x29;

/// The packet in `body`, which came behind a fixed header that begins with `first`.
pub(super) fn decode(first: u8, body: &[u8], total: usize) -> Result<Packet, Fault> {
    let header = Header::new_with(first, body.len() as u32, total as u32).map_err(|error| fault(&error))?;
    let mut offset = 0;
    let packet = decode_body(header, body, &mut offset).map_err(|error| fault(&error))?;
    if offset != body.len() {
        return Err(Fault::MALFORMED);
    }
    neutral(packet, body)
}

fn decode_body(header: Header, body: &[u8], offset: &mut usize) -> Result<Coded, ErrorV5> {
    use mqtt_proto::v5::{Puback, Pubcomp, Pubrec, Pubrel, Unsubscribe};
    Ok(match header.typ {
        PacketType::Connect => CodedConnect::decode(body, offset, header)?.into(),
        PacketType::Publish => CodedPublish::decode(body, offset, header)?.into(),
        PacketType::Puback => Puback::decode(body, offset, header)?.into(),
        PacketType::Pubrec => Pubrec::decode(body, offset, header)?.into(),
        PacketType::Pubrel => Pubrel::decode(body, offset, header)?.into(),
        PacketType::Pubcomp => Pubcomp::decode(body, offset, header)?.into(),
        PacketType::Subscribe => CodedSubscribe::decode(body, offset, header)?.into(),
        PacketType::Unsubscribe => Unsubscribe::decode(body, offset, header)?.into(),
        PacketType::Pingreq => Coded::Pingreq,
        PacketType::Disconnect => Disconnect::decode(body, offset, header)?.into(),
        // What only a server may say, and AUTH: none of their contents matter.
        PacketType::Connack
        | PacketType::Suback
        | PacketType::Unsuback
        | PacketType::Pingresp
        | PacketType::Auth => {
            *offset = body.len();
            Coded::Pingresp
        }
    })
}

/// What MQTT 5 calls this fault (§4.13).
fn fault(error: &ErrorV5) -> Fault {
    Fault::Breach(match error {
        ErrorV5::Common(Error::UnexpectedProtocol(_)) => return Fault::Version,
        ErrorV5::Common(Error::InvalidTopicName(_)) => ReasonCode::TopicInvalid,
        ErrorV5::Common(Error::InvalidTopicFilter(_)) => ReasonCode::FilterInvalid,
        ErrorV5::InvalidPayloadFormat => ReasonCode::PayloadFormat,
        ErrorV5::Common(Error::EmptySubscription)
        | ErrorV5::DuplicatedProperty(_)
        | ErrorV5::InvalidByteProperty(..)
        | ErrorV5::InvalidResponseTopic
        | ErrorV5::InvalidProperty(..)
        | ErrorV5::InvalidWillProperty(_) => ReasonCode::ProtocolError,
        _ => ReasonCode::Malformed,
    })
}

const fn breach<T>(reason: ReasonCode) -> Result<T, Fault> {
    Err(Fault::Breach(reason))
}

fn neutral(packet: Coded, body: &[u8]) -> Result<Packet, Fault> {
    let ack = |kind, pid, code: u8| Ok(Packet::Ack(Ack { kind, pid, is_failure: code >= 0x80 }));
    match packet {
        Coded::Connect(connect) => Ok(Packet::Connect(Box::new(connecting(connect, body)?))),
        Coded::Publish(publish) => Ok(Packet::Publish(publishing(publish)?)),
        Coded::Puback(found) => ack(AckKind::Puback, found.pid, found.reason_code as u8),
        Coded::Pubrec(found) => ack(AckKind::Pubrec, found.pid, found.reason_code as u8),
        Coded::Pubrel(found) => ack(AckKind::Pubrel, found.pid, found.reason_code as u8),
        Coded::Pubcomp(found) => ack(AckKind::Pubcomp, found.pid, found.reason_code as u8),
        Coded::Subscribe(subscribe) => Ok(Packet::Subscribe(subscribing(subscribe)?)),
        Coded::Unsubscribe(found) => {
            if found.topics.is_empty() {
                return breach(ReasonCode::ProtocolError);
            }
            if !found.topics.iter().all(|filter| is_filter(filter)) {
                return breach(ReasonCode::FilterInvalid);
            }
            Ok(Packet::Unsubscribe { pid: found.pid, filters: found.topics })
        }
        Coded::Pingreq => Ok(Packet::Pingreq),
        Coded::Disconnect(found) => Ok(Packet::Disconnect {
            // [MQTT-3.14.4-3]
            with_will: found.reason_code != DisconnectReasonCode::NormalDisconnect,
            session_expiry_s: found.properties.session_expiry_interval,
        }),
        Coded::Connack(_) | Coded::Suback(_) | Coded::Unsuback(_) | Coded::Pingresp | Coded::Auth(_) => {
            Ok(Packet::Foreign)
        }
    }
}

fn connecting(connect: CodedConnect, body: &[u8]) -> Result<Connect, Fault> {
    if connect.protocol != Protocol::V500 {
        return Err(Fault::Version);
    }
    let own = connect.properties;
    let texts = connect.username.iter().map(|name| &**name).chain([&*connect.client_id]);
    // [MQTT-1.5.4-2]
    if !super::has_sound_flags(body) || texts.into_iter().any(|text| text.contains('\0')) {
        return breach(ReasonCode::Malformed);
    }
    // A maximum of none would be no way to talk (§3.1.2.11).
    let is_zero = own.receive_max == Some(0) || own.max_packet_size == Some(0);
    if is_zero || own.auth_data.is_some() && own.auth_method.is_none() {
        return breach(ReasonCode::ProtocolError);
    }
    let will = match connect.last_will {
        None => None,
        Some(will) if !is_name(&will.topic_name) => return breach(ReasonCode::TopicInvalid),
        Some(will) => Some(Will {
            topic: will.topic_name,
            payload: will.payload,
            qos: will.qos,
            retain: will.retain,
            delay_s: will.properties.delay_interval.unwrap_or(0),
            properties: of_will(&will.properties)?,
        }),
    };
    Ok(Connect {
        version: Version::V5,
        client_id: connect.client_id,
        is_clean: connect.clean_start,
        keep_alive_s: connect.keep_alive,
        will,
        password: connect.password,
        session_expiry_s: own.session_expiry_interval.unwrap_or(0),
        receive_maximum: own.receive_max.unwrap_or(u16::MAX),
        maximum_packet: own.max_packet_size.map_or(usize::MAX, |most| most as usize),
        wants_method: own.auth_method.is_some(),
    })
}

fn publishing(publish: CodedPublish) -> Result<Publish, Fault> {
    let own = &publish.properties;
    if publish.dup && publish.qos_pid.qos() == QoS::Level0 {
        return breach(ReasonCode::Malformed);
    }
    // [MQTT-3.3.2-8] [MQTT-3.3.4-6]
    match (own.topic_alias, publish.topic_name.is_empty()) {
        (Some(0), _) => return breach(ReasonCode::AliasInvalid),
        (None, true) => return breach(ReasonCode::ProtocolError),
        _ if own.subscription_id.is_some() => return breach(ReasonCode::ProtocolError),
        _ => {}
    }
    let mut encoded = Encoder::default();
    encoded.flag(PAYLOAD_FORMAT, own.payload_is_utf8);
    encoded.text(CONTENT_TYPE, own.content_type.as_deref());
    encoded.text(RESPONSE_TOPIC, own.response_topic.as_deref());
    encoded.bytes(CORRELATION_DATA, own.correlation_data.as_deref());
    encoded.pairs(&own.user_properties);
    let reply_path = own.response_topic.clone().map(|topic| {
        let mut property = Encoder::default();
        property.bytes(CORRELATION_DATA, own.correlation_data.as_deref());
        Rc::new(ReplyPath { topic, property: property.out.into() })
    });
    Ok(Publish {
        reply_path,
        qos_pid: publish.qos_pid,
        retain: publish.retain,
        alias: own.topic_alias,
        properties: encoded.finish(own.message_expiry_interval)?,
        topic: publish.topic_name,
        payload: publish.payload,
    })
}

fn of_will(own: &WillProperties) -> Result<ForwardedProperties, Fault> {
    let mut encoded = Encoder::default();
    encoded.flag(PAYLOAD_FORMAT, own.payload_is_utf8);
    encoded.text(CONTENT_TYPE, own.content_type.as_deref());
    encoded.text(RESPONSE_TOPIC, own.response_topic.as_deref());
    encoded.bytes(CORRELATION_DATA, own.correlation_data.as_deref());
    encoded.pairs(&own.user_properties);
    encoded.finish(own.message_expiry_interval)
}

fn subscribing(subscribe: CodedSubscribe) -> Result<Subscribe, Fault> {
    let mut filters = Vec::with_capacity(subscribe.topics.len());
    for (filter, own) in subscribe.topics {
        if !is_filter(&filter) {
            return breach(ReasonCode::FilterInvalid);
        }
        // [MQTT-3.8.3-4]
        if own.no_local && filter.starts_with("$share/") {
            return breach(ReasonCode::ProtocolError);
        }
        let replay = match own.retain_handling {
            RetainHandling::SendAtSubscribe => Replay::Always,
            RetainHandling::SendAtSubscribeIfNotExist => Replay::IfNew,
            RetainHandling::DoNotSend => Replay::Never,
        };
        let options =
            Options { qos: own.max_qos, keeps_retain: own.retain_as_published, no_local: own.no_local };
        filters.push((filter, options, replay));
    }
    let has_identifier = subscribe.properties.subscription_id.is_some();
    Ok(Subscribe { pid: subscribe.pid, filters, has_identifier })
}

/// Writes properties.
#[derive(Debug, Default)]
struct Encoder {
    out: Vec<u8>,
    has_null: bool,
}

impl Encoder {
    fn flag(&mut self, id: u8, value: Option<bool>) {
        if let Some(value) = value {
            self.out.extend_from_slice(&[id, u8::from(value)]);
        }
    }

    fn bytes(&mut self, id: u8, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.out.push(id);
            self.counted(value);
        }
    }

    fn text(&mut self, id: u8, value: Option<&str>) {
        self.has_null |= value.is_some_and(|text| text.contains('\0'));
        self.bytes(id, value.map(str::as_bytes));
    }

    fn pairs(&mut self, pairs: &[UserProperty]) {
        for UserProperty { name, value } in pairs {
            self.text(USER_PROPERTY, Some(name));
            self.has_null |= value.contains('\0');
            self.counted(value.as_bytes());
        }
    }

    fn number(&mut self, id: u8, value: Option<u32>) {
        if let Some(value) = value {
            self.out.push(id);
            self.out.extend_from_slice(&value.to_be_bytes());
        }
    }

    fn small(&mut self, id: u8, value: Option<u16>) {
        if let Some(value) = value {
            self.out.push(id);
            self.out.extend_from_slice(&value.to_be_bytes());
        }
    }

    fn counted(&mut self, value: &[u8]) {
        // What is written came off the wire with a length of two bytes, or is shorter.
        self.out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.out.extend_from_slice(value);
    }

    /// # Errors
    /// If a text holds U+0000 [MQTT-1.5.4-2].
    fn finish(self, expiry_s: Option<u32>) -> Result<ForwardedProperties, Fault> {
        if self.has_null {
            return breach(ReasonCode::Malformed);
        }
        Ok(ForwardedProperties { encoded: self.out.into(), expiry_s })
    }
}

/// Appends what the service says.
pub(super) fn encode(reply: &Reply<'_>, out: &mut Vec<u8>) {
    match reply {
        Reply::Connack { present, terms } => {
            let properties = stated(terms);
            let mut body = vec![u8::from(*present), 0];
            encode_length(properties.len(), &mut body);
            body.extend_from_slice(&properties);
            frame(0x20, &body, out);
        }
        Reply::Refusal(reason) => frame(0x20, &[0, *reason as u8, 0], out),
        Reply::Ack(kind, pid, reason) => {
            let [high, low] = pid.value().to_be_bytes();
            match reason {
                ReasonCode::Success => frame(kind.first_byte(), &[high, low], out),
                reason => frame(kind.first_byte(), &[high, low, *reason as u8], out),
            }
        }
        Reply::Suback(pid, granted) => {
            let codes =
                granted.iter().map(|granted| granted.map_or_else(|reason| reason as u8, |qos| qos as u8));
            frame(0x90, &with_codes(pid.value(), codes), out);
        }
        Reply::Unsuback(pid, codes) => {
            frame(0xb0, &with_codes(pid.value(), codes.iter().map(|code| *code as u8)), out);
        }
        Reply::Pingresp => frame(0xd0, &[], out),
        Reply::Disconnect(reason) => frame(0xe0, &[*reason as u8], out),
    }
}

/// The properties of CONNACK (§3.2.2.3).
fn stated(terms: &Terms<'_>) -> Vec<u8> {
    let mut encoded = Encoder::default();
    encoded.number(SESSION_EXPIRY, terms.session_expiry_s);
    encoded.small(RECEIVE_MAXIMUM, Some(terms.receive_maximum));
    encoded.number(MAXIMUM_PACKET, Some(terms.maximum_packet));
    encoded.text(ASSIGNED_CLIENT, terms.assigned);
    encoded.small(ALIAS_MAXIMUM, Some(terms.alias_maximum));
    encoded.flag(SUBSCRIPTION_IDENTIFIERS, Some(false));
    encoded.small(SERVER_KEEP_ALIVE, terms.keep_alive_s);
    encoded.out
}

fn with_codes(pid: u16, codes: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut body = pid.to_be_bytes().to_vec();
    body.push(0);
    body.extend(codes);
    body
}

fn frame(first: u8, body: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    encode_length(body.len(), out);
    out.extend_from_slice(body);
}
