//! The messages retained for subscribers to come.

use std::collections::BTreeMap;

use bytes::Bytes;
use mqtt_proto::QoS;

use super::codec::packet::ForwardedProperties;
use super::codec::{Expiry, Message};
use super::topic;
use crate::clock::Tick;

/// Topics that may hold a retained message.
const MOST_RETAINED: usize = 10_000;

/// Bytes of all retained messages and their topics.
const MOST_RETAINED_BYTES: usize = 64 * 1024 * 1024;

/// A message kept for subscribers to come.
#[derive(Debug, Clone)]
pub(super) struct Retained {
    payload: Bytes,
    qos: QoS,
    properties: Box<[u8]>,
    expiry: Option<Expiry>,
}

impl Retained {
    fn bytes(&self) -> usize {
        self.payload.len() + self.properties.len()
    }

    fn is_over(&self, now: Tick) -> bool {
        self.expiry.is_some_and(|expiry| expiry.left_s(now).is_none())
    }

    /// As it is sent.
    pub(super) fn message<'a>(&'a self, topic: &'a str) -> Message<'a> {
        Message {
            topic,
            payload: &self.payload,
            qos: self.qos,
            retained: true,
            is_kept: true,
            properties: &self.properties,
            expiry: self.expiry,
        }
    }
}

/// The last retained message of every topic that has one.
#[derive(Debug, Default)]
pub(super) struct Archive {
    messages: BTreeMap<Box<str>, Retained>,
    bytes: usize,
}

impl Archive {
    /// Keeps a message published at `now` in place of the topic's last one; an empty payload only removes that. A message of a new
    /// topic for which there is no room is not kept.
    pub(super) fn keep(
        &mut self,
        (topic, payload): (&str, &Bytes),
        qos: QoS,
        properties: &ForwardedProperties,
        now: Tick,
    ) {
        if let Some(old) = self.messages.remove(topic) {
            self.bytes -= topic.len() + old.bytes();
        }
        let kept = Retained {
            payload: payload.clone(),
            qos,
            properties: properties.encoded.clone(),
            expiry: Expiry::of(properties, now),
        };
        let size = topic.len() + kept.bytes();
        if payload.is_empty()
            || self.messages.len() >= MOST_RETAINED
            || self.bytes + size > MOST_RETAINED_BYTES
        {
            return;
        }
        self.bytes += size;
        self.messages.insert(topic.into(), kept);
    }

    /// Forgets messages whose time has passed.
    pub(super) fn expire(&mut self, now: Tick) {
        let bytes = &mut self.bytes;
        self.messages.retain(|topic, kept| {
            let is_over = kept.is_over(now);
            if is_over {
                *bytes -= topic.len() + kept.bytes();
            }
            !is_over
        });
    }

    /// Hands over every message whose topic a valid filter matches and whose time has not passed.
    pub(super) fn each(&self, filter: &str, now: Tick, mut hand_over: impl FnMut(Message<'_>)) {
        let mut hand_over = |topic: &str, kept: &Retained| {
            if !kept.is_over(now) {
                hand_over(kept.message(topic));
            }
        };
        if !topic::has_wildcard(filter) {
            if let Some((topic, retained)) = self.messages.get_key_value(filter) {
                hand_over(topic, retained);
            }
            return;
        }
        // What stands before the first wildcard bounds the part of the archive that is looked through.
        let prefix = filter.split(['+', '#']).next().unwrap_or_default();
        let parent = prefix.strip_suffix('/').filter(|parent| !parent.is_empty()).unwrap_or(prefix);
        let from: (std::ops::Bound<&str>, _) =
            (std::ops::Bound::Included(parent), std::ops::Bound::Unbounded);
        for (topic, retained) in self.messages.range::<str, _>(from) {
            if !topic.starts_with(parent) {
                break;
            }
            if topic::matches(filter, topic) {
                hand_over(topic, retained);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::router::tests::filter;
    use super::*;
    use proptest::prelude::*;

    const AT: Tick = Tick(1);

    fn keep(archive: &mut Archive, topic: &str, payload: impl Into<Bytes>, qos: QoS) {
        archive.keep((topic, &payload.into()), qos, &ForwardedProperties::default(), AT);
    }

    #[test]
    fn the_archive_keeps_the_last_message_clears_on_empty_and_is_bounded() {
        let mut archive = Archive::default();
        let held = |archive: &Archive, filter: &str| {
            let mut held = Vec::new();
            archive.each(filter, AT, |kept| {
                held.push((kept.topic.to_owned(), Bytes::copy_from_slice(kept.payload)));
            });
            held
        };
        keep(&mut archive, "a/b", &b"1"[..], QoS::Level1);
        keep(&mut archive, "a/b", &b"22"[..], QoS::Level1);
        keep(&mut archive, "a", &b"3"[..], QoS::Level0);
        keep(&mut archive, "$s", &b"4"[..], QoS::Level0);
        assert_eq!(held(&archive, "a/b"), [("a/b".into(), Bytes::from_static(b"22"))]);
        assert_eq!(held(&archive, "a/#").len(), 2, "`a/#` matches `a` too");
        assert_eq!(held(&archive, "#").len(), 2, "`#` leaves out `$s`");
        keep(&mut archive, "a/b", Bytes::new(), QoS::Level0);
        assert!(held(&archive, "a/b").is_empty());
        for index in 0..MOST_RETAINED {
            keep(&mut archive, &format!("many/{index}"), &b"x"[..], QoS::Level0);
        }
        assert_eq!(archive.messages.len(), MOST_RETAINED);
        keep(&mut archive, "a", &b"new"[..], QoS::Level0);
        assert_eq!(
            held(&archive, "a"),
            [("a".into(), Bytes::from_static(b"new"))],
            "known topics still change"
        );
        let mut archive = Archive::default();
        for index in 0..1_000 {
            keep(&mut archive, &format!("{index:03}"), vec![0; 100_000], QoS::Level0);
        }
        assert_eq!(archive.messages.len(), MOST_RETAINED_BYTES / 100_003);
        assert_eq!(archive.bytes, archive.messages.len() * 100_003);
    }

    #[test]
    fn what_is_retained_is_handed_over_until_its_time_has_passed_and_then_forgotten() {
        let mut archive = Archive::default();
        let properties = ForwardedProperties { encoded: [1, 1].into(), expiry_s: Some(2) };
        archive.keep(("a", &Bytes::from_static(b"x")), QoS::Level1, &properties, AT);
        let left = |archive: &Archive, at: u64| {
            let mut left = Vec::new();
            archive.each("#", AT.plus_ns(at), |kept| {
                left.push(kept.expiry.unwrap().left_s(AT.plus_ns(at)).unwrap());
            });
            left
        };
        assert_eq!(left(&archive, 0), [2]);
        assert_eq!(left(&archive, 1_500_000_000), [1]);
        assert_eq!(left(&archive, 2_000_000_000), [0; 0]);
        archive.expire(AT.plus_ns(1_999_999_999));
        assert_eq!((archive.messages.len(), archive.bytes), (1, 4));
        archive.expire(AT.plus_ns(2_000_000_000));
        assert_eq!((archive.messages.len(), archive.bytes), (0, 0));
    }

    proptest! {
        #[test]
        fn what_matches_is_found_and_nothing_else(
            filters in prop::collection::vec(filter(), 1..20),
            topics in prop::collection::vec(filter().prop_map(|topic| topic.replace(['+', '#'], "a")), 1..20),
        ) {
            let mut archive = Archive::default();
            for topic in &topics {
                keep(&mut archive, topic, &b"x"[..], QoS::Level0);
            }
            for filter in &filters {
                let mut count = 0;
                archive.each(filter, AT, |_| count += 1);
                prop_assert_eq!(count, archive.messages.keys().filter(|topic| topic::matches(filter, topic)).count());
            }
        }
    }
}
