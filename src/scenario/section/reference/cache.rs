//! `reference.cache`: what is remembered of the model's answers.

use super::LONGEST;
use crate::language::{Field, Fields, Kind, Section};
use crate::service::{Cache, Semantic, Shared};
use crate::units::Span;

pub(in crate::scenario::section) static CACHE: Section = Section {
    title: "cache = { … }",
    about: "what is remembered of the model's answers, by the quantised feature vector and the model's version; a bare \
            number is the capacity",
    by: None,
    fields: &[
        Field::with(
            "capacity",
            Kind::Integer(0, 10_000_000),
            "65536",
            "scores it holds; 0 turns the exact cache off",
        ),
        Field::optional(
            "ttl",
            Kind::Span(Span::from_ns(1_000), LONGEST),
            "longest age of a score; no bound unless stated",
        ),
        Field::with(
            "jitter",
            Kind::Number(0.0, 1.0),
            "0.1",
            "share of the age drawn at random, so that scores of one moment do not all expire in another",
        ),
        Field::with(
            "stale",
            Kind::Span(Span::ZERO, LONGEST),
            "0s",
            "for so long after its age a score is still served, while one reading has it computed anew",
        ),
        Field::optional(
            "semantic",
            Kind::Short(&SEMANTIC),
            "scores of similar vectors; a bare number is epsilon",
        ),
        Field::with(
            "audit",
            Kind::Flag,
            "false",
            "similar scores are compared with the true ones, and wrong ones counted",
        ),
        Field::with(
            "single_flight",
            Kind::Flag,
            "true",
            "readings with the same vector wait for one inference",
        ),
        Field::optional(
            "shared",
            Kind::Short(&SHARED),
            "a second tier in Redis, shared by instances; a bare text is its address",
        ),
        Field::optional(
            "warm",
            Kind::Text,
            "a file of recorded keys whose scores are computed before the first reading",
        ),
        Field::optional("record", Kind::Text, "a file that keys are recorded to when the service stops"),
    ],
};

pub(in crate::scenario::section) static SEMANTIC: Section = Section {
    title: "semantic = { … }",
    about: "scores of similar vectors: of the nearest, by Euclidean distance in units of surprise",
    by: None,
    fields: &[
        Field::required("epsilon", Kind::Number(0.0, 100.0), "largest distance that counts as similar"),
        Field::with("vectors", Kind::Integer(1, 1_024), "256", "vectors compared with, the most recent ones"),
    ],
};

pub(in crate::scenario::section) static SHARED: Section = Section {
    title: "shared = { … }",
    about: "a second tier in Redis",
    by: None,
    fields: &[
        Field::required("redis", Kind::Text, "where Redis is: redis://HOST:PORT"),
        Field::with("connections", Kind::Integer(1, 1_000), "4", "connections kept open"),
        Field::with(
            "timeout",
            Kind::Span(Span::from_ms(1), Span::from_ms(60_000)),
            "50ms",
            "longest wait for Redis; after that the score is computed",
        ),
        Field::with("ttl", Kind::Span(Span::from_ms(1), LONGEST), "5m", "longest age of a score there"),
    ],
};

pub(super) fn cache(fields: &Fields) -> Cache {
    let path = |key| fields.text(key).map(|text| text.value().into());
    Cache {
        capacity: fields.integer("capacity") as usize,
        ttl: fields.optional_span("ttl"),
        jitter: fields.number("jitter"),
        stale: fields.span("stale"),
        semantic: fields.table("semantic").map(|table| Semantic {
            vectors: table.integer("vectors") as usize,
            epsilon: table.number("epsilon"),
        }),
        audit: fields.flag("audit"),
        single_flight: fields.flag("single_flight"),
        shared: fields.table("shared").map(|table| Shared {
            redis: table.text("redis").map(|text| text.value().to_owned()).unwrap_or_default(),
            connections: table.integer("connections") as usize,
            timeout: table.span("timeout"),
            ttl: table.span("ttl"),
        }),
        warm: path("warm"),
        record: path("record"),
    }
}
