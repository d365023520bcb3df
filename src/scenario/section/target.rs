//! `[target]` and `[reference]`: where readings go, and how the bundled service is set up if they go there.

use crate::scenario::check::Fields;
use crate::scenario::field::{Field, Kind, Section};
use crate::scenario::model::{Address, ReferenceSettings, Target};
use crate::units::Span;

pub(super) static TARGET: Section = Section {
    title: "[target]",
    about: "addresses of a service of yours; a protocol without one goes to the bundled reference system",
    by: None,
    fields: &[
        Field::optional("http", Kind::Address("http"), "where HTTP fleets send their readings"),
        Field::optional("ws", Kind::Address("ws"), "where WebSocket fleets connect"),
        Field::optional("mqtt", Kind::Address("mqtt"), "the broker of MQTT fleets"),
    ],
};

pub(super) static REFERENCE: Section = Section {
    title: "[reference]",
    about: "settings of the bundled reference system; without effect on any other target",
    by: None,
    fields: &[
        Field::optional("workers", Kind::Integer(1, 1_024), "worker threads of its pool"),
        Field::optional("queue", Kind::Integer(1, 1_000_000), "readings its queue holds before it sheds"),
        Field::optional("cache", Kind::Integer(0, 10_000_000), "verdicts its cache holds; 0 turns it off"),
        Field::optional(
            "inference",
            Kind::Span(Span::ZERO, Span::from_ms(60_000)),
            "extra cost of one inference, standing in for a heavy model",
        ),
    ],
};

pub(super) fn target(fields: &Fields) -> Target {
    let address = |key| fields.address(key).map(|(url, written)| Address { url, written });
    Target { http: address("http"), ws: address("ws"), mqtt: address("mqtt") }
}

pub(super) fn reference(fields: &Fields) -> ReferenceSettings {
    let small = |key| fields.optional_integer(key).map(|value| value as u32);
    ReferenceSettings {
        workers: small("workers"),
        queue: small("queue"),
        cache: small("cache"),
        inference: fields.optional_span("inference"),
    }
}
