//! What may stand in the packets of a device: the rules a scenario is checked against, and that no session breaks.

use mqtt_proto::{TopicFilter, TopicName};

use super::super::{Credential, Hearing, Identity, Login, Misfit, Settings};
use crate::record::Close;
use crate::units::Secret;

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
    found.extend(login.iter().flat_map(unfit_login));
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

/// Has `identity` show `credential`: a token as the password of the device.
pub(super) fn present(credential: &Credential, identity: &mut Identity) -> Option<Misfit> {
    let Credential { bearer, login, headers } = credential;
    let token = |token: &Secret| Login { user: identity.device.clone(), password: Some(token.clone()) };
    let shown = login.clone().or_else(|| bearer.as_ref().map(token));
    let key = if bearer.is_some() { "bearer" } else { "username" };
    let misfit = if !headers.is_empty() {
        let help = "write bearer, or username and password";
        Some(Misfit { key: "headers", subject: "a header field", fault: "has no place in MQTT", help })
    } else if identity.login.is_some() {
        let fault = "stands beside a `username` under `mqtt`";
        Some(Misfit { key, subject: "the credential", fault, help: "keep one of the two" })
    } else {
        shown.as_ref().and_then(|login| unfit_login(login).next())
    };
    identity.login = shown.or(identity.login.take());
    misfit
}

/// What is wrong with a user name and its password.
fn unfit_login(login: &Login) -> impl Iterator<Item = Misfit> + use<> {
    let long = login.password.as_ref().filter(|password| password.reveal().len() > MOST);
    let password = Misfit { key: "password", subject: "the password", fault: LENGTH, help: SHORTER };
    let user = text("username", "the user name", &login.user);
    user.into_iter().chain(long.map(|_| password))
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
