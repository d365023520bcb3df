//! What may stand in the packets of a device: the rules a scenario is checked against, and that no session breaks.

use mqtt_proto::{TopicFilter, TopicName};

use super::super::{Hearing, Identity, Misfit, Settings};
use crate::record::Close;

/// The most that MQTT can carry where it states a length in two bytes.
const MOST: usize = u16::MAX as usize;

const LENGTH: &str = "is longer than the 65535 bytes MQTT can carry";
const NUL: &str = "has the character U+0000, which MQTT forbids";
const SHORTER: &str = "write a shorter one";

/// Whether `text` is a topic that can be published to: not empty, at most 65 535 bytes, without wildcards and U+0000.
pub(super) fn is_topic(text: &str) -> bool {
    !text.is_empty() && !TopicName::is_invalid(text)
}

/// Whether `text` is a topic filter (MQTT 3.1.1 §4.7), of at most 65 535 bytes.
pub(super) fn is_filter(text: &str) -> bool {
    !TopicFilter::is_invalid(text).0
}

/// What MQTT cannot carry of what a device presents.
pub(super) fn misfits(settings: &Settings, clean_session: bool, identity: &Identity) -> Vec<Misfit> {
    let Identity { address, client_id, login, will, reply_topic, .. } = identity;
    let mut found = Vec::new();
    let id = client_id.as_deref().unwrap_or(&identity.device);
    found.extend(text("client_id", "the client identifier", id));
    if id.is_empty() && !clean_session {
        found.push(Misfit {
            key: "client_id",
            subject: "the client identifier",
            fault: "is empty, and a broker keeps no session for a device without one",
            help: "name the device: \"{{device}}\", or write clean_session = true",
        });
    }
    if let Some(login) = login {
        found.extend(text("username", "the user name", &login.user));
        let password = login.password.as_ref().filter(|password| password.len() > MOST);
        found.extend(password.map(|_| Misfit {
            key: "password",
            subject: "the password",
            fault: LENGTH,
            help: SHORTER,
        }));
    }
    if let Some(will) = will {
        found.extend(topic("will.topic", "the topic of the will", &will.topic));
        let payload = Some(&will.payload).filter(|payload| payload.len() > MOST);
        found.extend(payload.map(|_| Misfit {
            key: "will.payload",
            subject: "the will",
            fault: LENGTH,
            help: SHORTER,
        }));
    }
    let listens = matches!(settings.hearing, Hearing::Others(_));
    if let Some(address) = address {
        found.extend(if settings.close == Close::Delivery && settings.hearing == Hearing::Own {
            filter("topic", "the topic", address)
        } else {
            topic("topic", "the topic", address)
        });
    }
    if let Some(reply_topic) = reply_topic {
        let key = if listens { "subscribe" } else { "reply_topic" };
        found.extend(filter(key, "the topic filter", reply_topic));
    }
    found
}

/// What is wrong with a topic that is published to.
pub(super) fn topic(key: &'static str, subject: &'static str, value: &str) -> Option<Misfit> {
    let found = text(key, subject, value);
    let help = "write a topic of at least one character, without + and #";
    let invalid = Misfit { key, subject, fault: "is not a topic that can be published to", help };
    found.or_else(|| (!is_topic(value)).then_some(invalid))
}

/// What is wrong with a topic filter.
fn filter(key: &'static str, subject: &'static str, value: &str) -> Option<Misfit> {
    let found = text(key, subject, value);
    let help = "write + in place of a whole level, and # only as the last: devices/+/verdicts";
    found.or_else(|| {
        (!is_filter(value)).then_some(Misfit { key, subject, fault: "is not a topic filter", help })
    })
}

/// What is wrong with any text (MQTT 3.1.1 §1.5.3).
fn text(key: &'static str, subject: &'static str, value: &str) -> Option<Misfit> {
    if value.len() > MOST {
        return Some(Misfit { key, subject, fault: LENGTH, help: SHORTER });
    }
    value.contains('\0').then_some(Misfit { key, subject, fault: NUL, help: "take it out" })
}
