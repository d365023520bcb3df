//! The keys of a fleet's `mqtt` that MQTT 5 adds.

use crate::fleet::Scope;
use crate::language::{FieldValue, Fields, Reporter, Text, quote};
use crate::protocol::exchange::{Pattern, template};

/// What sessions by MQTT 5 can be told besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct V5Settings {
    /// How long the broker keeps the session once the connection has ended, seconds; `u32::MAX`: for ever. Of no consequence
    /// for clean sessions.
    pub session_expiry_s: u32,
    /// How long the broker may keep a reading that it could not deliver, seconds; 0: for ever.
    pub message_expiry_s: u32,
    /// Most messages at quality of service 1 and 2 that the device takes without having acknowledged them, at least 1.
    pub receive_maximum: u16,
    /// Most aliases of topics, those that the device states and those that it takes.
    pub topic_aliases: u16,
    /// How long the broker waits with the will, seconds.
    pub will_delay_s: u32,
}

impl Default for V5Settings {
    fn default() -> Self {
        Self {
            session_expiry_s: 3600,
            message_expiry_s: 0,
            receive_maximum: u16::MAX,
            topic_aliases: 0,
            will_delay_s: 0,
        }
    }
}

/// Keys without a meaning in MQTT 3.1.1.
const OWN: &[&str] =
    &["session_expiry", "message_expiry", "receive_maximum", "topic_aliases", "user_properties"];

/// What the fleet states; `None` where it speaks MQTT 3.1.1.
pub(in super::super) fn five(fields: &Fields, report: &mut Reporter<'_>) -> Option<V5Settings> {
    let will = fields.table("will");
    if fields.optional_integer("version") != Some(5) {
        fields.refuse_given(OWN, report, "requires version = 5");
        if let Some(will) = will {
            will.refuse_given(&["delay"], report, "requires version = 5");
        }
        return None;
    }
    if fields.flag("clean_session") {
        fields.refuse_given(&["session_expiry"], report, "requires clean_session = false");
    }
    let small = |key| fields.optional_integer(key).and_then(|number| u16::try_from(number).ok());
    let usual = V5Settings::default();
    Some(V5Settings {
        session_expiry_s: seconds(fields, "session_expiry", report).unwrap_or(usual.session_expiry_s),
        message_expiry_s: seconds(fields, "message_expiry", report).unwrap_or(usual.message_expiry_s),
        receive_maximum: small("receive_maximum").unwrap_or(usual.receive_maximum),
        topic_aliases: small("topic_aliases").unwrap_or(usual.topic_aliases),
        will_delay_s: will.and_then(|will| seconds(&will, "delay", report)).unwrap_or(usual.will_delay_s),
    })
}

/// Whether replies are told by their correlation data, which takes a topic that they can be published to.
pub(in super::super) fn by_data(fields: &Fields, reply: bool, report: &mut Reporter<'_>) -> bool {
    let is_data = match fields.list("correlate") {
        [] => fields.text("correlate").is_some_and(|text| text.value() == "data"),
        [(_, FieldValue::Text(sole))] => sole.value() == "data",
        _ => false,
    };
    if !is_data || !reply {
        return false;
    }
    if fields.optional_integer("version") != Some(5) {
        fields.refuse_given(&["correlate"], report, "requires version = 5, if it is \"data\"");
    }
    let topic = fields.text("reply_topic").filter(|topic| topic.value().contains(['+', '#']));
    if let Some(topic) = topic {
        let message = format!("`{}` is not a topic that replies can be published to", quote(topic.written()));
        fields.refuse("reply_topic", report, message, "write a topic without + and #, of the device alone");
    }
    true
}

fn seconds(fields: &Fields, key: &str, report: &mut Reporter<'_>) -> Option<u32> {
    let span = fields.optional_span(key)?;
    let ns = span.as_ns();
    if !ns.is_multiple_of(1_000_000_000) {
        let message = format!("`{span}` is not in whole seconds, as MQTT counts it");
        fields.refuse(key, report, message, "write for example \"30s\"");
    }
    u32::try_from(ns / 1_000_000_000).ok()
}

/// User properties of readings, by name.
pub(in super::super) fn user_properties(
    fields: &Fields,
    report: &mut Reporter<'_>,
) -> Vec<(String, Pattern)> {
    let mut properties = Vec::new();
    for (name, origin, found) in fields.map("user_properties") {
        let key = format!("{}.user_properties.{name}", fields.path);
        let FieldValue::Text(text) = found else { continue };
        if let Some(fault) = [name, text.value()].into_iter().find_map(fault) {
            report.add(
                origin,
                &key,
                format!("`{}` {fault}", quote(text.written())),
                "write a shorter, plain text",
            );
            continue;
        }
        match property(text) {
            Ok(pattern) => properties.push((name.to_owned(), pattern)),
            Err((message, help)) => report.add(origin, &key, message, help),
        }
    }
    properties
}

fn property(text: &Text) -> Result<Pattern, (String, String)> {
    Ok(Pattern { template: template(text, &[], Scope::Device)?, written: text.clone() })
}

/// Longest name or value, bytes: MQTT takes 65 535, and devices of such are not what anybody simulates.
const LONGEST: usize = 4_096;

/// What keeps `text` from being a name or a value.
fn fault(text: &str) -> Option<&'static str> {
    if text.contains('\0') {
        Some("has the character U+0000, which MQTT forbids")
    } else {
        (text.len() > LONGEST).then_some("or its name is longer than 4096 bytes")
    }
}
