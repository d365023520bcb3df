//! What MQTT 5 adds to a session: packets with properties and reason codes, and the terms that a broker states in CONNACK.

mod correlation;
pub(super) mod packet;
pub(super) mod property;
pub(super) mod reason;
mod session;
pub(super) mod settings;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use self::correlation::Tag;
use self::property::{MESSAGE_EXPIRY, Properties, USER_PROPERTY, Value, put};
use self::settings::V5Settings;
use super::super::{Correlation, Failure, Identity, Settings};
use super::settings::{MqttSettings, Usage};
use crate::record::{Close, Qos};

/// What one connection by MQTT 5 knows and one by MQTT 3.1.1 does not. Boxed: the latter pays a word for it.
#[derive(Debug)]
pub(super) struct Five {
    own: V5Settings,
    terms: Terms,
    /// The encoded properties that every reading has.
    fixed: Box<[u8]>,
    /// What readings and their replies are known by, where that is correlation data.
    tag: Option<Tag>,
    /// Aliases of topics that the device has stated on this connection [MQTT-3.3.2-7].
    stated: BTreeMap<Box<str>, u16>,
    /// Those that the broker has stated.
    heard: BTreeMap<u16, Box<str>>,
    /// Readings of an earlier connection that wait for the receive maximum to let them out again, by packet identifier.
    owed: VecDeque<u16>,
    /// What the broker said of the last exchange that it refused, by packet identifier.
    words: Option<(u16, Box<str>)>,
    /// What it said in CONNACK.
    greeting: Option<Box<str>>,
}

/// What a broker states in CONNACK (§3.2.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Terms {
    receive_maximum: u16,
    maximum_qos: Qos,
    retain_available: bool,
    /// Largest packet that it takes, bytes.
    maximum_packet: usize,
    alias_maximum: u16,
    /// Seconds; `None`: what the device announced stands.
    keep_alive: Option<u16>,
    /// Seconds; `None`: what the device asked for stands.
    session_expiry: Option<u32>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            receive_maximum: u16::MAX,
            maximum_qos: Qos::ExactlyOnce,
            retain_available: true,
            maximum_packet: usize::MAX,
            alias_maximum: 0,
            keep_alive: None,
            session_expiry: None,
        }
    }
}

impl Terms {
    fn of(properties: Properties<'_>) -> Self {
        use property as p;
        let usual = Self::default();
        let flag = |id| properties.number(id).is_none_or(|flag| flag == 1);
        Self {
            receive_maximum: properties.small(p::RECEIVE_MAXIMUM).unwrap_or(usual.receive_maximum),
            maximum_qos: match properties.number(p::MAXIMUM_QOS) {
                None => usual.maximum_qos,
                Some(0) => Qos::AtMostOnce,
                Some(_) => Qos::AtLeastOnce,
            },
            retain_available: flag(p::RETAIN_AVAILABLE),
            maximum_packet: properties.number(p::MAXIMUM_PACKET).map_or(usize::MAX, |most| most as usize),
            alias_maximum: properties.small(p::ALIAS_MAXIMUM).unwrap_or(0),
            keep_alive: properties.small(p::SERVER_KEEP_ALIVE),
            session_expiry: properties.number(p::SESSION_EXPIRY),
        }
    }
}

impl Five {
    /// `None` where the fleet speaks MQTT 3.1.1.
    /// `reply_topic`: where replies are to go.
    pub(super) fn of(
        settings: &Settings,
        identity: &Identity,
        reply_topic: Option<&str>,
    ) -> Option<Box<Self>> {
        let own = settings.own.get::<MqttSettings>().five?;
        let mut fixed = Vec::new();
        if own.message_expiry_s > 0 {
            put(MESSAGE_EXPIRY, Value::Number(own.message_expiry_s), &mut fixed);
        }
        for (name, value) in &identity.headers {
            put(USER_PROPERTY, Value::Pair(name, value), &mut fixed);
        }
        let by_data = settings.close == Close::Reply && settings.correlation == Correlation::Data;
        if let Some(topic) = reply_topic.filter(|_| by_data) {
            correlation::put_response_topic(topic, &mut fixed);
        }
        Some(Box::new(Self {
            own,
            tag: by_data.then(|| Tag::new(&identity.device, settings.run)),
            terms: Terms::default(),
            fixed: fixed.into(),
            stated: BTreeMap::new(),
            heard: BTreeMap::new(),
            owed: VecDeque::new(),
            words: None,
            greeting: None,
        }))
    }

    /// What the fleet states.
    pub(super) const fn settings(&self) -> &V5Settings {
        &self.own
    }

    /// How many readings the broker takes that it has not acknowledged.
    pub(super) const fn receive_maximum(&self) -> u16 {
        self.terms.receive_maximum
    }

    /// The connection that CONNACK refused with `code`, which is not 0.
    pub(super) fn refused(&self, code: u8) -> Failure {
        if code >= reason::FIRST_FAILURE {
            return reason::refused(code, self.greeting.as_deref());
        }
        let sentence = format!(
            "the broker does not speak MQTT 5: it answered CONNACK {code}, as MQTT 3.1.1 has it; write version = 4"
        );
        Failure::protocol(sentence).with_code("CONNACK", code.into()).final_if(true)
    }

    /// What the fleet does that the broker does not take [MQTT-3.2.2-11] [MQTT-3.2.2-14].
    pub(super) fn objection(&self, settings: Usage) -> Option<Failure> {
        let most = self.terms.maximum_qos;
        if settings.qos as u8 > most as u8 {
            let sentence = format!("the broker takes QoS {} at most: lower `qos`", most as u8);
            return Some(Failure::protocol(sentence).final_if(true));
        }
        let unkept = settings.retain && !self.terms.retain_available;
        unkept.then(|| {
            Failure::protocol("the broker keeps no retained messages: write retain = false").final_if(true)
        })
    }

    /// What the broker does with the session other than it was asked to.
    pub(super) fn expiry_remark(&self, settings: Usage) -> Option<String> {
        let stated = self.terms.session_expiry?;
        let asked = if settings.clean_session { 0 } else { self.own.session_expiry_s };
        (stated != asked)
            .then(|| format!("the broker keeps sessions for {stated} s, where {asked} s were asked for"))
    }

    /// How often a silent device has to be looked after, if the broker wants it otherwise than announced [MQTT-3.1.2-21].
    pub(super) fn keep_alive_period(&self) -> Option<Duration> {
        self.terms.keep_alive.map(|seconds| Duration::from_secs(seconds.into()) / 2)
    }
}
