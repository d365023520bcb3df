//! `sse` of a fleet: which events its devices ask for, and how they find readings in them.

use super::super::exchange::{Exchange, Pattern, Rendering, Stated, source};
use super::super::http::{headers, path};
use super::super::{Correlation, Identity, Settings};
use crate::fleet::Scope;
use crate::language::{Field, Kind, Reporter, Section};

pub(super) static SSE: Section = Section {
    title: "sse = { … }",
    about: "sse only: which events are asked for, and how they name readings",
    by: None,
    fields: &[
        Field::optional("path", Kind::Text, "path and query; may name the device: /events?for={{device}}"),
        Field::with(
            "headers",
            Kind::Map(&Kind::Text, "name"),
            "",
            "further header fields of the request; may name the device",
        ),
        Field::with(
            "correlate",
            Kind::List(&Kind::Text),
            "/device, /seq",
            "two JSON pointers into an event's data: to the name of the device whose reading it is about, and to the reading's number",
        ),
    ],
};

/// Settings of an SSE fleet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SseExchange {
    /// The request target, from `/`; may name the device. `None`: that of the target's URL.
    path: Option<Pattern>,
    /// Header fields by name; may name the device.
    headers: Vec<(String, Pattern)>,
    correlation: Correlation,
}

pub(super) fn sse(stated: &Stated<'_>, report: &mut Reporter<'_>) -> SseExchange {
    let fields = stated.own;
    SseExchange {
        path: path(fields, &[], Scope::Device, report),
        headers: headers(fields, report),
        correlation: source(fields, report),
    }
}

impl Exchange for SseExchange {
    fn settings(&self, usual: Settings) -> Settings {
        Settings { correlation: self.correlation.clone(), keep_alive: std::time::Duration::ZERO, ..usual }
    }

    fn identity(&self, rendering: &Rendering<'_>, usual: Identity) -> Identity {
        Identity {
            address: rendering.fixed(self.path.as_ref()),
            headers: rendering.headers(&self.headers),
            ..usual
        }
    }

    fn place(&self) -> Option<&Pattern> {
        self.path.as_ref()
    }

    fn method(&self, _: bool) -> Option<&str> {
        Some("GET")
    }

    /// What was heard last outlives a connection.
    fn is_lasting(&self) -> bool {
        true
    }

    fn is_foreign(&self) -> bool {
        self.path.is_some()
    }

    fn framing(&self, _: usize) -> usize {
        0
    }
}
