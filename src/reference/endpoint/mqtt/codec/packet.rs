//! Packets as the service sees them, whichever version of MQTT they came by.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use mqtt_proto::{Pid, QoS, QosPid, TopicFilter, TopicName};

use super::reason::ReasonCode;
use super::{Expiry, Message};
use crate::clock::Tick;

/// A version of MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) enum Version {
    /// 3.1.1.
    #[default]
    V3,
    /// 5.
    V5,
}

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Packet {
    Connect(Box<Connect>),
    Publish(Publish),
    Ack(Ack),
    Subscribe(Subscribe),
    Unsubscribe {
        pid: Pid,
        filters: Vec<TopicFilter>,
    },
    Pingreq,
    Disconnect {
        /// Whether the last will is to be published all the same.
        with_will: bool,
        /// How long the session is to be kept from now on, seconds; `None`: as CONNECT said.
        session_expiry_s: Option<u32>,
    },
    /// What only a server may say, or who has agreed on how to authenticate.
    Foreign,
}

/// CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Connect {
    pub(in super::super) version: Version,
    pub(in super::super) client_id: Arc<str>,
    /// Whether what is kept of the client is to be forgotten.
    pub(in super::super) is_clean: bool,
    /// Seconds; 0: it may be silent for as long as it likes.
    pub(in super::super) keep_alive_s: u16,
    pub(in super::super) will: Option<Will>,
    pub(in super::super) password: Option<Bytes>,
    /// How long the session is to be kept once the connection has ended, seconds.
    pub(in super::super) session_expiry_s: u32,
    /// Messages of `QoS` 1 and 2 that the client takes without having acknowledged them.
    pub(in super::super) receive_maximum: u16,
    /// Bytes of the largest packet that it takes.
    pub(in super::super) maximum_packet: usize,
    /// Whether it wants to authenticate otherwise than by password.
    pub(in super::super) wants_method: bool,
}

/// A last will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Will {
    pub(in super::super) topic: TopicName,
    pub(in super::super) payload: Bytes,
    pub(in super::super) qos: QoS,
    pub(in super::super) retain: bool,
    pub(in super::super) properties: ForwardedProperties,
    /// How long the client may take to come back before it is published, seconds.
    pub(in super::super) delay_s: u32,
}

impl Will {
    /// About what it takes in memory.
    pub(in super::super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.topic.len() + self.payload.len() + self.properties.encoded.len()
    }

    /// As it is published at `now`.
    pub(in super::super) fn message(&self, now: Tick) -> Message<'_> {
        Message {
            retained: self.retain,
            properties: &self.properties.encoded,
            expiry: Expiry::of(&self.properties, now),
            ..Message::plain(&self.topic, &self.payload, self.qos)
        }
    }
}

/// What of a message's properties goes with it to its subscribers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in super::super) struct ForwardedProperties {
    /// All but the expiry, encoded, in the order they came in [MQTT-3.3.2-18].
    pub(in super::super) encoded: Box<[u8]>,
    /// Seconds that it may wait for a subscriber.
    pub(in super::super) expiry_s: Option<u32>,
}

/// PUBLISH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Publish {
    pub(in super::super) qos_pid: QosPid,
    pub(in super::super) retain: bool,
    /// Empty where an alias stands for it.
    pub(in super::super) topic: TopicName,
    pub(in super::super) alias: Option<u16>,
    pub(in super::super) payload: Bytes,
    pub(in super::super) properties: ForwardedProperties,
    /// Where the publisher wants to be answered.
    pub(in super::super) reply_path: Option<Rc<ReplyPath>>,
}

/// Where a publisher wants to be answered, and by what it knows the answer (§4.10).
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct ReplyPath {
    pub(in super::super) topic: TopicName,
    /// Its correlation data as a property, encoded; empty: none.
    pub(in super::super) property: Box<[u8]>,
}

impl ReplyPath {
    /// Bytes of what it says.
    pub(in super::super) fn len(&self) -> usize {
        self.topic.len() + self.property.len()
    }
}

/// What is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum AckKind {
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Ack {
    pub(in super::super) kind: AckKind,
    pub(in super::super) pid: Pid,
    /// Whether it says no.
    pub(in super::super) is_failure: bool,
}

/// SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Subscribe {
    pub(in super::super) pid: Pid,
    pub(in super::super) filters: Vec<(TopicFilter, Options, Replay)>,
    /// Whether messages are to say which subscription they belong to.
    pub(in super::super) has_identifier: bool,
}

/// How a subscription is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Options {
    /// The best quality.
    pub(in super::super) qos: QoS,
    /// Whether messages that were published as retained are marked so.
    pub(in super::super) keeps_retain: bool,
    /// Whether the client's own messages are left out.
    pub(in super::super) no_local: bool,
}

impl Options {
    /// As MQTT 3.1.1 has them.
    pub(in super::super) const fn of(qos: QoS) -> Self {
        Self { qos, keeps_retain: false, no_local: false }
    }
}

/// When a subscriber gets what is retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Replay {
    Always,
    /// Only if it was not subscribed to the same filter before.
    IfNew,
    Never,
}

/// What the service says beside messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Reply<'a> {
    Connack {
        present: bool,
        terms: Terms<'a>,
    },
    /// CONNACK that refuses the connection.
    Refusal(ReasonCode),
    Ack(AckKind, Pid, ReasonCode),
    /// What was granted to each filter, or why nothing was.
    Suback(Pid, &'a [Result<QoS, ReasonCode>]),
    Unsuback(Pid, &'a [ReasonCode]),
    Pingresp,
    Disconnect(ReasonCode),
}

/// What CONNACK states of the service; said by MQTT 5 only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) struct Terms<'a> {
    /// Seconds, if other than the client has asked for.
    pub(in super::super) session_expiry_s: Option<u32>,
    pub(in super::super) receive_maximum: u16,
    pub(in super::super) alias_maximum: u16,
    /// Bytes.
    pub(in super::super) maximum_packet: u32,
    /// The client identifier, if the client has not chosen one.
    pub(in super::super) assigned: Option<&'a str>,
    /// Seconds, if other than the client has announced.
    pub(in super::super) keep_alive_s: Option<u16>,
}
