//! `sse` of a fleet: which events its devices ask for, and how they find readings in them.

use std::time::Duration;

use super::super::exchange::Stated;
use super::super::http::ListenerExchange;
use super::super::settings::OwnSettings;
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

/// What a fleet states under `sse`.
pub(super) fn sse(stated: &Stated<'_>, report: &mut Reporter<'_>) -> ListenerExchange {
    ListenerExchange::new(stated, (Duration::ZERO, None), OwnSettings::default(), report)
}
