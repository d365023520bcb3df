//! `ws` of a fleet: how its upgrade and its messages look to a service that is not the bundled one.

use super::super::exchange::{Exchange, Pattern, Rendering, Stated, correlation, source};
use super::super::http::{headers, path};
use super::super::{Correlation, Identity, Misfit, OwnSettings, Settings};
use super::reader::MOST_HELD;
use crate::fleet::{Format, Scope};
use crate::language::{Field, Kind, Reporter, Section};
use crate::units::ByteSize;

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
        Field::with(
            "deflate",
            Kind::Flag,
            "false",
            "offer permessage-deflate (RFC 7692), each message compressed by itself",
        ),
        Field::with(
            "max_message",
            Kind::Size(ByteSize(125), ByteSize(MOST_HELD as u64)),
            "64MiB",
            "the largest message to receive, once it is no longer compressed; a longer one ends the connection",
        ),
        Field::optional(
            "correlate",
            Kind::List(&Kind::Text),
            "close = \"reply\": required, a JSON pointer to the sequence number in the reply (/id; empty where the reply is the number), or order; model = \"subscriber\": two, to the device whose reading a message is about and to the reading's number, /device and /seq unless stated",
        ),
    ],
};

/// Settings of WebSocket sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WsSettings {
    /// In which messages readings travel. Replies are understood in either.
    pub(super) mode: WsMode,
    /// Whether to offer compression.
    pub(super) deflate: bool,
    /// Largest message to receive, bytes, also once it is no longer compressed.
    pub(super) max_message: usize,
}

impl Default for WsSettings {
    fn default() -> Self {
        Self { mode: WsMode::Auto, deflate: false, max_message: MAX_MESSAGE.0 as usize }
    }
}

/// What a message may hold unless stated.
const MAX_MESSAGE: ByteSize = ByteSize(64 << 20);

/// The kind of WebSocket message that carries a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum WsMode {
    /// Text if the payload is UTF-8, else binary.
    #[default]
    Auto,
    /// Text always; a payload that is not UTF-8 ends the session.
    Text,
    /// Binary always.
    Binary,
}

/// Settings of a WebSocket fleet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WsExchange {
    /// The request target, from `/`; may name the device. `None`: that of the target's URL.
    path: Option<Pattern>,
    /// Header fields of the upgrade by name; may name the device.
    headers: Vec<(String, Pattern)>,
    /// The sub-protocol asked for.
    subprotocol: Option<String>,
    /// It departs from what the bundled service serves.
    is_foreign: bool,
    /// What its sessions are told.
    own: WsSettings,
    /// How a reply names its reading, for `close = "reply"`.
    correlation: Correlation,
}

pub(super) fn ws(stated: &Stated<'_>, report: &mut Reporter<'_>) -> WsExchange {
    let fields = stated.own;
    let subprotocol = fields.text("subprotocol");
    let told = stated.told_place(&["path"], report);
    let path = path(fields, &[], Scope::Device, report);
    WsExchange {
        is_foreign: path.is_some(),
        path: told.or(path),
        headers: headers(fields, report),
        subprotocol: subprotocol.map(|asked| asked.value().to_owned()),
        own: WsSettings {
            mode: match fields.word("mode") {
                Some("text") => WsMode::Text,
                Some("binary") => WsMode::Binary,
                _ => WsMode::Auto,
            },
            deflate: fields.flag("deflate"),
            max_message: fields.optional_size("max_message").unwrap_or(MAX_MESSAGE).0 as usize,
        },
        correlation: if stated.hears {
            source(fields, report)
        } else {
            correlation(fields, stated.reply, report)
        },
    }
}

impl Exchange for WsExchange {
    fn settings(&self, usual: Settings) -> Settings {
        let own = OwnSettings::of(self.own);
        Settings { correlation: self.correlation.clone(), own, ..usual }
    }

    fn identity(&self, rendering: &Rendering<'_>, usual: Identity) -> Identity {
        Identity {
            address: rendering.fixed(self.path.as_ref()),
            headers: rendering.headers(&self.headers),
            subprotocol: self.subprotocol.clone(),
            ..usual
        }
    }

    fn place(&self) -> Option<&Pattern> {
        self.path.as_ref()
    }

    fn unfit(&self, format: &Format) -> Option<Misfit> {
        let binary = matches!(format, Format::Cbor | Format::Binary);
        (binary && self.own.mode == WsMode::Text).then_some(Misfit {
            key: "mode",
            subject: "text messages",
            fault: "cannot carry a payload that is not text",
            help: "write mode = \"auto\" or \"binary\", or another `payload`",
        })
    }

    fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    /// A masked frame.
    fn framing(&self, _: usize) -> usize {
        8
    }
}
