//! `[target]`: where readings go.

use crate::language::{AddressForm, Field, Fields, Kind, Section};
use crate::protocol::protocols;
use crate::scenario::model::Target;

pub(super) static TARGET: Section = Section {
    title: "[target]",
    about: "addresses of a service of yours; a protocol without one goes to the bundled reference system",
    by: None,
    fields: &[
        Field::optional(
            "http",
            Kind::Address(&AddressForm {
                scheme: "http",
                example: "http://127.0.0.1:8080/readings",
                has_path: true,
            }),
            "where HTTP fleets send their readings; without a path, not even /, to /v1/readings",
        ),
        Field::optional(
            "ws",
            Kind::Address(&AddressForm {
                scheme: "ws",
                example: "ws://127.0.0.1:8080/readings",
                has_path: true,
            }),
            "where WebSocket fleets connect; without a path, not even /, at /v1/stream",
        ),
        Field::optional(
            "mqtt",
            Kind::Address(&AddressForm { scheme: "mqtt", example: "mqtt://127.0.0.1:1883", has_path: false }),
            "the broker of MQTT fleets",
        ),
    ],
};

pub(super) fn target(fields: &Fields) -> Target {
    let stated = protocols().filter_map(|facts| Some((facts.protocol, fields.text(facts.protocol.name())?)));
    Target(stated.collect())
}
