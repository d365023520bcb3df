//! `[scenario]` and `[run]`: what a scenario is called, and the timing around its phases.

use crate::scenario::check::Fields;
use crate::scenario::field::{Field, Kind, Need, Section};
use crate::scenario::model::RunSettings;
use crate::units::Span;

pub(super) static SCENARIO: Section = Section {
    title: "[scenario]",
    about: "what the scenario is called, and the seed of everything random in it",
    fields: &[
        Field {
            name: "name",
            kind: Kind::Name,
            need: Need::Required,
            about: "names the scenario and the directory of its results",
        },
        Field {
            name: "about",
            kind: Kind::Text,
            need: Need::Optional,
            about: "what it is for, in a sentence",
        },
        Field {
            name: "seed",
            kind: Kind::Integer(0, u64::MAX),
            need: Need::Default("1"),
            about: "fixes everything random; the same seed gives the same plan",
        },
    ],
};

pub(super) static RUN: Section = Section {
    title: "[run]",
    about: "timing around the phases",
    fields: &[
        Field {
            name: "connect_rate",
            kind: Kind::Rate(0.1, 1e6),
            need: Need::Default("500/s"),
            about: "new connections per second before anything is sent, all fleets together",
        },
        Field {
            name: "warm_up",
            kind: Kind::Span(Span::ZERO, Span::from_ms(3_600_000)),
            need: Need::Default("3s"),
            about: "sending at a load of 1 before the first phase, kept out of the headline",
        },
        Field {
            name: "drain",
            kind: Kind::Span(Span::ZERO, Span::from_ms(600_000)),
            need: Need::Default("5s"),
            about: "longest wait for answers after the last phase; then a reading is lost",
        },
        Field {
            name: "interval",
            kind: Kind::Span(Span::from_ms(100), Span::from_ms(60_000)),
            need: Need::Default("1s"),
            about: "length of a recording interval",
        },
        Field {
            name: "connect_timeout",
            kind: Kind::Span(Span::from_ms(1), Span::from_ms(60_000)),
            need: Need::Default("5s"),
            about: "longest time one connection attempt may take",
        },
    ],
};

pub(super) fn settings(run: &Fields) -> RunSettings {
    RunSettings {
        connect_rate: run.rate("connect_rate").unwrap_or_default(),
        warm_up: run.span("warm_up"),
        drain: run.span("drain"),
        interval: run.span("interval"),
        connect_timeout: run.span("connect_timeout"),
    }
}
