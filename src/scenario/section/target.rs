//! `[target]`: where readings go.

use crate::scenario::check::Fields;
use crate::scenario::field::{Field, Kind, Section};
use crate::scenario::model::Target;

pub(super) static TARGET: Section = Section {
    title: "[target]",
    about: "addresses of a service of yours; a protocol without one goes to the bundled reference system",
    by: None,
    fields: &[
        Field::optional(
            "http",
            Kind::Address("http"),
            "where HTTP fleets send their readings; without a path, not even /, to /v1/readings",
        ),
        Field::optional(
            "ws",
            Kind::Address("ws"),
            "where WebSocket fleets connect; without a path, not even /, at /v1/stream",
        ),
        Field::optional("mqtt", Kind::Address("mqtt"), "the broker of MQTT fleets"),
    ],
};

pub(super) fn target(fields: &Fields) -> Target {
    Target { http: fields.text("http"), ws: fields.text("ws"), mqtt: fields.text("mqtt") }
}
