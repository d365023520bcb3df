//! Messages on their way to subscribers.

use mqtt_proto::QoS;

use super::packet::{ForwardedProperties, Version};
use super::{digits, encode_length, v5};
use crate::clock::Tick;

/// Until when a message may wait for a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Expiry(Tick);

impl Expiry {
    /// That of a message published at `now`.
    pub(in super::super) fn of(properties: &ForwardedProperties, now: Tick) -> Option<Self> {
        let seconds = properties.expiry_s?;
        Some(Self(now.plus_ns(u64::from(seconds) * 1_000_000_000)))
    }

    /// What is left of it, in whole seconds begun; `None`: it has passed.
    pub(in super::super) fn left_s(self, now: Tick) -> Option<u32> {
        let left = self.0.since(now).div_ceil(1_000_000_000);
        (left > 0).then(|| u32::try_from(left).unwrap_or(u32::MAX))
    }
}

/// A message on its way to subscribers.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Message<'a> {
    pub(in super::super) topic: &'a str,
    pub(in super::super) payload: &'a [u8],
    /// The quality it was published with.
    pub(in super::super) qos: QoS,
    /// Whether it was published as retained: subscribers hear of it as far as they want to.
    pub(in super::super) retained: bool,
    /// Whether it is sent because it was kept for those who subscribe later: all hear of it.
    pub(in super::super) is_kept: bool,
    /// What goes with it to those who speak MQTT 5, encoded.
    pub(in super::super) properties: &'a [u8],
    pub(in super::super) expiry: Option<Expiry>,
}

/// Where in a PUBLISH stands what is not known before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Places {
    /// The packet identifier, two bytes; where it would stand, at `QoS` 0.
    pub(in super::super) pid: usize,
    /// The seconds until it expires, four bytes.
    pub(in super::super) expiry: Option<usize>,
}

/// Bytes of the property that says when a message expires.
const EXPIRY_BYTES: usize = 5;

impl<'a> Message<'a> {
    /// A message without properties, which was not published as retained.
    pub(in super::super) const fn plain(topic: &'a str, payload: &'a [u8], qos: QoS) -> Self {
        Self { topic, payload, qos, retained: false, is_kept: false, properties: &[], expiry: None }
    }

    /// Bytes of all its properties.
    fn property_bytes(&self) -> usize {
        self.properties.len() + if self.expiry.is_some() { EXPIRY_BYTES } else { 0 }
    }

    /// Bytes behind the fixed header of a PUBLISH of quality `qos`.
    fn remaining_length(&self, version: Version, qos: QoS) -> usize {
        let pid = if qos == QoS::Level0 { 0 } else { 2 };
        let properties = match version {
            Version::V3 => 0,
            Version::V5 => digits(self.property_bytes()) + self.property_bytes(),
        };
        2 + self.topic.len() + pid + properties + self.payload.len()
    }

    /// Bytes of a PUBLISH of quality `qos`.
    pub(in super::super) fn size(&self, version: Version, qos: QoS) -> usize {
        let remaining = self.remaining_length(version, qos);
        1 + digits(remaining) + remaining
    }

    /// Bytes a PUBLISH of this message takes at most.
    pub(in super::super) fn most_bytes(&self) -> usize {
        self.size(Version::V5, QoS::Level1)
    }

    /// Appends a PUBLISH of quality `qos` and says where its packet identifier, which is 0 as yet, and its expiry stand. The hot
    /// path: the codec would first want the topic and the payload in allocations of their own.
    pub(in super::super) fn encode(
        &self,
        version: Version,
        qos: QoS,
        now: Tick,
        out: &mut Vec<u8>,
    ) -> Places {
        out.reserve(self.size(version, qos));
        out.push(0x30 | (qos as u8) << 1 | u8::from(self.retained));
        encode_length(self.remaining_length(version, qos), out);
        // Topics come off the wire or from device names, so they are shorter than 65 536 bytes.
        out.extend_from_slice(&(self.topic.len() as u16).to_be_bytes());
        out.extend_from_slice(self.topic.as_bytes());
        let pid = out.len();
        if qos != QoS::Level0 {
            out.extend_from_slice(&[0, 0]);
        }
        let expiry = if version == Version::V5 { self.encode_properties(now, out) } else { None };
        out.extend_from_slice(self.payload);
        Places { pid, expiry }
    }

    /// The expiry goes first, so that its place is easily told.
    fn encode_properties(&self, now: Tick, out: &mut Vec<u8>) -> Option<usize> {
        encode_length(self.property_bytes(), out);
        let place = self.expiry.map(|expiry| {
            out.push(v5::MESSAGE_EXPIRY);
            let place = out.len();
            // [MQTT-3.3.2-6]
            out.extend_from_slice(&expiry.left_s(now).unwrap_or(0).to_be_bytes());
            place
        });
        out.extend_from_slice(self.properties);
        place
    }
}
