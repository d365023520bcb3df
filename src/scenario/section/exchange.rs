//! `http`, `ws` and `mqtt` of a fleet: how its requests and messages look to a service that is not the bundled one.

use super::syntax::{is_pointer, is_token, outside, status};
use crate::fleet::{Scope, Template};
use crate::language::{Field, FieldValue, Fields, Kind, Refusal, Reporter, Section, Text, quote, unfit};
use crate::record::Qos;
use crate::scenario::exchange::{
    Correlation, Exchange, HttpExchange, MqttExchange, Pattern, Will, WsExchange,
};
use crate::units::Span;

/// Header fields that the request's own making decides.
const RESERVED: [&str; 5] = ["content-length", "transfer-encoding", "connection", "upgrade", "expect"];

/// Header fields of the WebSocket handshake itself begin like this.
const HANDSHAKE: &str = "sec-websocket-";

pub(super) static HTTP: Section = Section {
    title: "http = { … }",
    about: "http only: what a request looks like, and which answers are good",
    by: None,
    fields: &[
        Field::with("method", Kind::Text, "POST", "the method; with GET the payload goes as a body too"),
        Field::optional(
            "path",
            Kind::Text,
            "path and query; may name device and reading: /d/{{device}}/r/{{seq}}",
        ),
        Field::with(
            "headers",
            Kind::Map(&Kind::Text, "name"),
            "",
            "further header fields; may name the device",
        ),
        Field::with("ok", Kind::List(&Kind::Text), "2xx", "statuses that mean success: 200, 2xx or 200-204"),
        Field::with("shed", Kind::List(&Kind::Text), "429, 503", "statuses by which the service says no"),
        Field::with("fresh", Kind::Flag, "false", "a new connection for every reading"),
    ],
};

pub(super) static WS: Section = Section {
    title: "ws = { … }",
    about: "ws only: what the upgrade and the messages look like",
    by: None,
    fields: &[
        Field::optional("path", Kind::Text, "path and query; may name the device: /stream?d={{device}}"),
        Field::with(
            "headers",
            Kind::Map(&Kind::Text, "name"),
            "",
            "further header fields of the upgrade; may name the device",
        ),
        Field::optional("subprotocol", Kind::Text, "the sub-protocol to ask for"),
        Field::with(
            "mode",
            Kind::Word(&["auto", "text", "binary"]),
            "auto",
            "text or binary messages; auto sends text where the payload is UTF-8",
        ),
        Field::optional(
            "correlate",
            Kind::Text,
            "close = \"reply\" only, and required there: a JSON pointer to the sequence number in the reply (/id), or order",
        ),
    ],
};

pub(super) static MQTT: Section = Section {
    title: "mqtt = { … }",
    about: "mqtt only: session, topics and quality of service",
    by: None,
    fields: &[
        Field::with("qos", Kind::Integer(0, 2), "1", "quality of service of messages and subscriptions"),
        Field::with(
            "keep_alive",
            Kind::Span(Span::ZERO, Span::from_ms(65_535_000)),
            "30s",
            "keep-alive interval that CONNECT announces, in whole seconds; 0 turns it off. A device that was silent for half of it pings",
        ),
        Field::optional(
            "topic",
            Kind::Text,
            "topic of readings; may name device and reading; devices/{{device}}/readings unless stated",
        ),
        Field::optional(
            "reply_topic",
            Kind::Text,
            "topic of verdicts or replies; may name the device; devices/{{device}}/verdicts unless stated",
        ),
        Field::with("retain", Kind::Flag, "false", "the broker keeps the last reading for later subscribers"),
        Field::with(
            "clean_session",
            Kind::Flag,
            "true",
            "the broker forgets the session when the connection ends",
        ),
        Field::optional(
            "client_id",
            Kind::Text,
            "client identifier; may name the device; {{device}} unless stated",
        ),
        Field::optional("username", Kind::Text, "user name; may name the device"),
        Field::optional(
            "password",
            Kind::Text,
            "password; may name the device; keep it in an environment variable: ${PASSWORD}",
        ),
        Field::optional(
            "subscribe",
            Kind::Text,
            "model = \"subscriber\" only, and required there: the topic filter; may name the device",
        ),
        Field::optional(
            "subscribers",
            Kind::Name,
            "close = \"delivery\" only: the fleet of subscribers whose first delivery ends a reading; the device itself unless stated",
        ),
        Field::optional("will", Kind::Table(&WILL), "what the broker publishes when the connection breaks"),
        Field::optional(
            "correlate",
            Kind::Text,
            "close = \"reply\" only, and required there: a JSON pointer to the sequence number in the reply (/id), or order",
        ),
    ],
};

pub(super) static WILL: Section = Section {
    title: "will = { … }",
    about: "mqtt only: a last will",
    by: None,
    fields: &[
        Field::required("topic", Kind::Text, "its topic; may name the device"),
        Field::with("payload", Kind::Text, "", "what it says; may name the device"),
        Field::with("qos", Kind::Integer(0, 2), "0", "its quality of service"),
        Field::with("retain", Kind::Flag, "false", "the broker keeps it for later subscribers"),
    ],
};

pub(super) fn http(fields: &Fields, channels: &[&str], report: &mut Reporter<'_>) -> Exchange {
    let method = fields.text("method").unwrap_or_default();
    if !is_token(method.value()) {
        let message = format!("`{}` is no method", quote(method.written()));
        fields.refuse("method", report, message, "write for example \"POST\" or \"PUT\"");
    }
    Exchange::Http(HttpExchange {
        method: method.value().to_owned(),
        path: path(fields, channels, Scope::Reading, report),
        headers: headers(fields, report),
        ok: statuses(fields, "ok", report),
        shed: statuses(fields, "shed", report),
        fresh: fields.flag("fresh"),
    })
}

pub(super) fn ws(fields: &Fields, reply: bool, report: &mut Reporter<'_>) -> Exchange {
    let subprotocol = fields.text("subprotocol");
    if let Some(asked) = subprotocol.as_ref().filter(|asked| !is_token(asked.value())) {
        let message = format!("`{}` is no sub-protocol", quote(asked.written()));
        fields.refuse("subprotocol", report, message, "write a word without spaces, for example \"mqtt\"");
    }
    Exchange::Ws(WsExchange {
        path: path(fields, &[], Scope::Device, report),
        headers: headers(fields, report),
        subprotocol: subprotocol.map(|asked| asked.value().to_owned()),
        text: match fields.word("mode") {
            Some("text") => Some(true),
            Some("binary") => Some(false),
            _ => None,
        },
        correlation: correlation(fields, reply, report),
    })
}

pub(super) fn mqtt(fields: &Fields, channels: &[&str], reply: bool, report: &mut Reporter<'_>) -> Exchange {
    let keep_alive = fields.span("keep_alive");
    if !keep_alive.as_ns().is_multiple_of(1_000_000_000) {
        let message = format!("`{keep_alive}` is not in whole seconds, as MQTT counts it");
        fields.refuse("keep_alive", report, message, "write for example \"30s\"");
    }
    let password = pattern(fields, "password", &[], Scope::Device, report);
    if password.is_some() && fields.given("username").is_none() {
        fields.refuse("password", report, "MQTT 3.1.1 takes no password without a user", "add `username`");
    }
    let will = fields.table("will").and_then(|will| {
        Some(Will {
            topic: topic(&will, "topic", &[], Scope::Device, report)?,
            payload: pattern(&will, "payload", &[], Scope::Device, report)?,
            qos: qos(&will),
            retain: will.flag("retain"),
        })
    });
    let correlation = correlation(fields, reply, report);
    let clean_session = fields.flag("clean_session");
    if reply && correlation == Correlation::Order && !clean_session {
        let message =
            "replies cannot be told apart by their order when the broker keeps those of earlier connections";
        fields.refuse("correlate", report, message, "write a JSON pointer, or clean_session = true");
    }
    Exchange::Mqtt(Box::new(MqttExchange {
        qos: qos(fields),
        keep_alive,
        topic: topic(fields, "topic", channels, Scope::Reading, report),
        reply_topic: topic(fields, "reply_topic", &[], Scope::Device, report),
        retain: fields.flag("retain"),
        clean_session,
        client_id: pattern(fields, "client_id", &[], Scope::Device, report),
        username: pattern(fields, "username", &[], Scope::Device, report),
        password,
        will,
        correlation,
        subscribe: pattern(fields, "subscribe", &[], Scope::Device, report),
        subscribers: fields.text("subscribers").map(|name| name.value().to_owned()),
    }))
}

fn qos(fields: &Fields) -> Qos {
    match fields.optional_integer("qos") {
        Some(0) => Qos::AtMostOnce,
        Some(2) => Qos::ExactlyOnce,
        _ => Qos::AtLeastOnce,
    }
}

fn pattern(
    fields: &Fields,
    key: &str,
    channels: &[&str],
    scope: Scope,
    report: &mut Reporter<'_>,
) -> Option<Pattern> {
    let written = fields.text(key)?;
    match template(&written, channels, scope) {
        Ok(template) => Some(Pattern { template, written }),
        Err((message, help)) => {
            fields.refuse(key, report, message, help);
            None
        }
    }
}

/// `text` as a template; what is wrong with it is said without telling what a variable in it stands for.
pub(super) fn template(text: &Text, channels: &[&str], scope: Scope) -> Result<Template, Refusal> {
    let parse = |text| Template::parse(text, channels, scope);
    parse(text.value()).map_err(|_| match parse(text.written()) {
        Ok(_) => (unfit(text.written()), "set it to a text without {{ and }}".to_owned()),
        Err(error) => (error.message, error.help),
    })
}

fn path(fields: &Fields, channels: &[&str], scope: Scope, report: &mut Reporter<'_>) -> Option<Pattern> {
    let text = fields.text("path")?;
    if !text.value().starts_with('/') || !text.value().bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        let message = format!("`{}` is no path", quote(text.written()));
        fields.refuse("path", report, message, "begin with / and write other than ASCII letters as %XX");
        return None;
    }
    let pattern = pattern(fields, "path", channels, scope, report)?;
    if outside(text.value()).contains(' ') {
        fields.refuse("path", report, "a path has no spaces", "write %20");
        return None;
    }
    Some(pattern)
}

fn topic(
    fields: &Fields,
    key: &str,
    channels: &[&str],
    scope: Scope,
    report: &mut Reporter<'_>,
) -> Option<Pattern> {
    let pattern = pattern(fields, key, channels, scope, report)?;
    let text = pattern.written.value();
    if text.is_empty() || text.contains(['+', '#', '\0']) {
        let message = format!("`{}` is no topic to publish to", quote(pattern.written.written()));
        fields.refuse(key, report, message, "write a topic without + and #");
        return None;
    }
    Some(pattern)
}

fn headers(fields: &Fields, report: &mut Reporter<'_>) -> Vec<(String, Pattern)> {
    let mut headers = Vec::new();
    for (name, origin, found) in fields.map("headers") {
        let key = format!("{}.headers.{name}", fields.path);
        if !is_token(name) {
            report.add(origin, &key, "is no name of a header field", "write for example \"X-Api-Key\"");
            continue;
        }
        let lower = name.to_ascii_lowercase();
        if RESERVED.contains(&lower.as_str()) || lower.starts_with(HANDSHAKE) {
            report.add(origin, &key, "is written by squall itself", "take this line out");
            continue;
        }
        let FieldValue::Text(text) = found else { continue };
        match header(text) {
            Ok(pattern) => headers.push((name.to_owned(), pattern)),
            Err((message, help)) => report.add(origin, &key, message, help),
        }
    }
    headers
}

fn header(text: &Text) -> Result<Pattern, (String, String)> {
    if !text.value().bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b)) {
        return Err((
            "is no value of a header field".into(),
            "write visible ASCII characters and spaces".into(),
        ));
    }
    Ok(Pattern { template: template(text, &[], Scope::Device)?, written: text.clone() })
}

fn statuses(fields: &Fields, key: &str, report: &mut Reporter<'_>) -> Vec<(u16, u16)> {
    let mut ranges = Vec::new();
    for (origin, found) in fields.list(key) {
        let FieldValue::Text(text) = found else { continue };
        if let Some(range) = status(text.value()) {
            ranges.push(range);
        } else {
            let message = format!("`{}` is no status", quote(text.written()));
            let key = format!("{}.{key}", fields.path);
            report.add(origin, &key, message, "write for example \"200\", \"2xx\" or \"200-204\"");
        }
    }
    ranges
}

fn correlation(fields: &Fields, reply: bool, report: &mut Reporter<'_>) -> Correlation {
    let text = fields.text("correlate");
    if !reply {
        fields.refuse_given(&["correlate"], report, "means nothing without close = \"reply\"");
        return Correlation::Order;
    }
    let help = "write a JSON pointer to the sequence number in the reply, for example \"/id\", or \"order\"";
    match text.as_ref().map(Text::value) {
        Some("order") => Correlation::Order,
        Some(pointer) if is_pointer(pointer) => Correlation::Pointer(pointer.to_owned()),
        Some(other) => {
            let shown = text.as_ref().map_or(other, Text::written);
            let message = format!("`{}` is no JSON pointer", quote(shown));
            fields.refuse("correlate", report, message, help);
            Correlation::Order
        }
        None => {
            if fields.given("correlate").is_none() {
                fields.refuse("correlate", report, "is missing: how does a reply name its reading?", help);
            }
            Correlation::Order
        }
    }
}
