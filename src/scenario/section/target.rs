//! `[target]` and `[reference]`: where readings go, and how the bundled service is set up if they go there.

use crate::scenario::check::Fields;
use crate::scenario::field::{Field, Kind, Need, Section};
use crate::scenario::model::{ReferenceSettings, Target};
use crate::units::Span;

pub(super) static TARGET: Section = Section {
    title: "[target]",
    about: "addresses of a service of yours; a protocol without one goes to the bundled reference system",
    fields: &[
        Field {
            name: "http",
            kind: Kind::Address("http"),
            need: Need::Optional,
            about: "where HTTP fleets POST their readings",
        },
        Field {
            name: "ws",
            kind: Kind::Address("ws"),
            need: Need::Optional,
            about: "where WebSocket fleets connect",
        },
        Field {
            name: "mqtt",
            kind: Kind::Address("mqtt"),
            need: Need::Optional,
            about: "the broker of MQTT fleets",
        },
    ],
};

pub(super) static REFERENCE: Section = Section {
    title: "[reference]",
    about: "settings of the bundled reference system; without effect on any other target",
    fields: &[
        Field {
            name: "workers",
            kind: Kind::Integer(1, 1_024),
            need: Need::Optional,
            about: "worker threads of its pool",
        },
        Field {
            name: "queue",
            kind: Kind::Integer(1, 1_000_000),
            need: Need::Optional,
            about: "readings its queue holds before it sheds",
        },
        Field {
            name: "cache",
            kind: Kind::Integer(0, 10_000_000),
            need: Need::Optional,
            about: "verdicts its cache holds; 0 turns it off",
        },
        Field {
            name: "inference",
            kind: Kind::Span(Span::ZERO, Span::from_ms(60_000)),
            need: Need::Optional,
            about: "extra cost of one inference, standing in for a heavy model",
        },
    ],
};

pub(super) fn target(fields: &Fields) -> Target {
    Target { http: fields.address("http"), ws: fields.address("ws"), mqtt: fields.address("mqtt") }
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
