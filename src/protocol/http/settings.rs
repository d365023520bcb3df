//! `http` of a fleet: how its requests look to a service that is not the bundled one.

use super::super::exchange::{Exchange, Pattern, Rendering, Stated, pattern, template};
use super::super::{Identity, OwnSettings, Settings, StatusSet};
use super::syntax::is_token;
use crate::fleet::{Format, Scope};
use crate::language::{Field, FieldValue, Fields, Kind, Reporter, Section, Text, is_secret_field, quote};

/// Header fields that the request's own making decides.
const RESERVED: [&str; 5] = ["content-length", "transfer-encoding", "connection", "upgrade", "expect"];

/// Header fields of the WebSocket handshake itself begin like this.
const HANDSHAKE: &str = "sec-websocket-";

pub(super) static HTTP: Section = Section {
    title: "http = { … }",
    about: "http only: what a request looks like, and which answers are good",
    by: None,
    fields: &[
        Field::with(
            "method",
            Kind::Text,
            "POST",
            "the method; with GET the payload goes as a body too, unless it is \"none\"",
        ),
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
        Field::with(
            "gzip",
            Kind::Word(&["none", "request", "reply", "both"]),
            "none",
            "what travels compressed: the bodies of requests, replies (they are asked for by Accept-Encoding), or both",
        ),
    ],
};

/// Settings of HTTP sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// Statuses that close a reading well. One that is in both sets counts as this.
    pub ok: StatusSet,
    /// Statuses by which the service says no. All others are errors.
    pub shed: StatusSet,
    /// A new connection for every reading: each request says `Connection: close`, and the session ends, in an orderly
    /// way, with its first response.
    pub fresh: bool,
    /// Request bodies are compressed: `Content-Encoding: gzip`.
    pub gzip_requests: bool,
    /// Compressed replies are asked for by `Accept-Encoding: gzip`, and read.
    pub gzip_replies: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            ok: StatusSet::success(),
            shed: StatusSet::overload(),
            fresh: false,
            gzip_requests: false,
            gzip_replies: false,
        }
    }
}

/// Settings of an HTTP fleet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct HttpExchange {
    /// The method, a token of RFC 9110 §9.
    method: String,
    /// The request target, from `/`; may name the reading. `None`: that of the target's URL.
    path: Option<Pattern>,
    /// Header fields by name; may name the device.
    headers: Vec<(String, Pattern)>,
    /// It departs from what the bundled service serves.
    is_foreign: bool,
    /// What its sessions are told.
    own: HttpSettings,
}

pub(super) fn http(stated: &Stated<'_>, report: &mut Reporter<'_>) -> HttpExchange {
    let fields = stated.own;
    let method = fields.text("method").unwrap_or_default();
    let headers = headers(fields, report);
    let gzip = fields.word("gzip").unwrap_or("none");
    let (gzip_requests, gzip_replies) =
        (matches!(gzip, "request" | "both"), matches!(gzip, "reply" | "both"));
    for (name, used) in [("content-encoding", gzip_requests), ("accept-encoding", gzip_replies)] {
        if used && headers.iter().any(|(stated, _)| stated.eq_ignore_ascii_case(name)) {
            let message = format!("`{gzip}` writes {name}, which headers state, too");
            fields.refuse("gzip", report, message, "take that header out");
        }
    }
    let told = stated.told_place(&["path"], report);
    let path = path(fields, stated.channels, Scope::Reading, report);
    HttpExchange {
        is_foreign: path.is_some() || method.value() != "POST",
        method: method.value().to_owned(),
        path: told.or(path),
        headers,
        own: HttpSettings {
            ok: statuses(fields, "ok", report),
            shed: statuses(fields, "shed", report),
            fresh: fields.flag("fresh"),
            gzip_requests,
            gzip_replies,
        },
    }
}

impl Exchange for HttpExchange {
    fn settings(&self, usual: Settings) -> Settings {
        Settings { own: OwnSettings::of(self.own.clone()), ..usual }
    }

    fn identity(&self, rendering: &Rendering<'_>, usual: Identity) -> Identity {
        Identity {
            method: self.method.clone(),
            address: rendering.fixed(self.path.as_ref()),
            headers: rendering.headers(&self.headers),
            content_type: match rendering.format {
                Format::Json => None,
                Format::Cbor => Some("application/cbor"),
                Format::Binary => Some("application/octet-stream"),
                Format::Template(_) => Some("text/plain; charset=utf-8"),
            },
            ..usual
        }
    }

    fn place(&self) -> Option<&Pattern> {
        self.path.as_ref()
    }

    fn method(&self, _: bool) -> Option<&str> {
        Some(&self.method)
    }

    fn is_fresh(&self) -> bool {
        self.own.fresh
    }

    fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    /// A request line with its usual headers.
    fn framing(&self, _: usize) -> usize {
        let path = self.path.as_ref().map_or(12, |path| path.written.value().len());
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + value.written.value().len() + 4).sum();
        130 + path + headers
    }
}

pub(in crate::protocol) fn path(
    fields: &Fields,
    channels: &[&str],
    scope: Scope,
    report: &mut Reporter<'_>,
) -> Option<Pattern> {
    let text = fields.text("path")?;
    if !text.value().starts_with('/') || !text.value().bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        let message = format!("`{}` is not a valid path", quote(text.written()));
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

pub(in crate::protocol) fn headers(fields: &Fields, report: &mut Reporter<'_>) -> Vec<(String, Pattern)> {
    let mut headers = Vec::new();
    for (name, origin, found) in fields.map("headers") {
        let key = format!("{}.headers.{name}", fields.path);
        if !is_token(name) {
            report.add(origin, &key, "is not a valid header name", "write for example \"X-Api-Key\"");
            continue;
        }
        let lower = name.to_ascii_lowercase();
        if RESERVED.contains(&lower.as_str()) || lower.starts_with(HANDSHAKE) {
            report.add(origin, &key, "is written by squall itself", "take this line out");
            continue;
        }
        let FieldValue::Text(text) = found else { continue };
        if is_secret_field(name) {
            report.context().conceal(text.written());
        }
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
            "is not a valid header value".into(),
            "write visible ASCII characters and spaces".into(),
        ));
    }
    Ok(Pattern { template: template(text, &[], Scope::Device)?, written: text.clone() })
}

fn statuses(fields: &Fields, key: &str, report: &mut Reporter<'_>) -> StatusSet {
    let mut sets: Vec<StatusSet> = Vec::new();
    for (origin, found) in fields.list(key) {
        let FieldValue::Text(text) = found else { continue };
        if let Ok(set) = text.value().parse() {
            sets.push(set);
        } else {
            let message = format!("`{}` is not a valid status", quote(text.written()));
            let key = format!("{}.{key}", fields.path);
            report.add(origin, &key, message, "write for example \"200\", \"2xx\" or \"200-204\"");
        }
    }
    sets.into_iter().collect()
}

/// The text outside its placeholders.
fn outside(text: &str) -> String {
    let mut rest = text;
    let mut out = String::new();
    while let Some((before, inner)) = rest.split_once("{{") {
        out.push_str(before);
        rest = inner.split_once("}}").map_or("", |(_, after)| after);
    }
    out + rest
}
