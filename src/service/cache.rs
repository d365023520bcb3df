//! What is remembered of the model's answers.

use std::path::PathBuf;

use super::LONGEST;
use super::address::RedisAddress;
use crate::language::{Field, Fields, Kind, Reporter, Section};
use crate::units::Span;

/// What is remembered of the model's answers. Keys are the quantised feature vector and the model's version, nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// Answers kept; 0 turns the exact cache off.
    pub capacity: usize,
    /// Longest age of an answer; none: no bound.
    pub ttl: Option<Span>,
    /// Share of the age that is drawn at random, so that answers of one moment do not all expire in another; 0 to 1.
    pub jitter: f64,
    /// For so long after its age an answer is still served, while one reading has it computed anew.
    pub stale: Span,
    /// Answers of similar vectors.
    pub semantic: Option<Semantic>,
    /// Whether similar answers are compared with the true ones, and wrong ones counted.
    pub audit: bool,
    /// Whether readings with the same vector wait for one inference.
    pub single_flight: bool,
    /// A second tier that all instances share.
    pub shared: Option<Shared>,
    /// A file of recorded keys whose answers are computed before the first reading.
    pub warm: Option<PathBuf>,
    /// A file that keys are recorded to.
    pub record: Option<PathBuf>,
}

/// Answers of similar vectors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Semantic {
    /// Vectors compared with, the most recent ones; at most 1 024.
    pub vectors: usize,
    /// Largest distance that counts as similar, in units of surprise.
    pub epsilon: f64,
}

/// A second tier in Redis.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared {
    /// Where Redis is: `redis://HOST:PORT`.
    pub redis: RedisAddress,
    /// Connections kept open.
    pub connections: usize,
    /// Longest wait for Redis; after that the answer is computed.
    pub timeout: Span,
    /// Longest age of an answer there.
    pub ttl: Span,
}

pub(crate) static CACHE: Section = Section {
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

pub(crate) static SEMANTIC: Section = Section {
    title: "semantic = { … }",
    about: "scores of similar vectors: of the nearest, by Euclidean distance in units of surprise",
    by: None,
    fields: &[
        Field::required("epsilon", Kind::Number(0.0, 100.0), "largest distance that counts as similar"),
        Field::with("vectors", Kind::Integer(1, 1_024), "256", "vectors compared with, the most recent ones"),
    ],
};

pub(crate) static SHARED: Section = Section {
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

impl Default for Cache {
    fn default() -> Self {
        Self::from_fields(&Fields::defaults(&CACHE), &mut Reporter::new(""))
    }
}

impl Cache {
    pub(super) fn from_fields(fields: &Fields, report: &mut Reporter<'_>) -> Self {
        let path = |key| fields.text(key).map(|text| text.value().into());
        Self {
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
                redis: RedisAddress::from_fields(&table, report),
                connections: table.integer("connections") as usize,
                timeout: table.span("timeout"),
                ttl: table.span("ttl"),
            }),
            warm: path("warm"),
            record: path("record"),
        }
    }
}
