//! Other instances of the same service.

use super::LONGEST;
use super::address::RedisAddress;
use crate::language::{Field, Fields, Kind, Reporter, Section};
use crate::units::Span;

/// Other instances of the same service, which meet in Redis.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// Where Redis is: `redis://HOST:PORT`.
    pub redis: RedisAddress,
    /// What this instance calls itself; unique among them.
    pub instance: String,
    /// An instance that has not been heard of for so long counts as gone.
    pub expiry: Span,
    /// Longest wait for Redis.
    pub timeout: Span,
    /// Whether the state of a device follows it to the instance it speaks to; else it begins anew there.
    pub moves_state: bool,
}

pub(crate) static CLUSTER: Section = Section {
    title: "cluster = { … }",
    about: "other instances of the service, which meet in Redis",
    by: None,
    fields: &[
        Field::required("redis", Kind::Text, "where Redis is: redis://HOST:PORT"),
        Field::optional("instance", Kind::Name, "what this instance calls itself; its address unless stated"),
        Field::with(
            "expiry",
            Kind::Span(Span::from_ms(100), LONGEST),
            "10s",
            "an instance that has not been heard of for so long counts as gone",
        ),
        Field::with(
            "timeout",
            Kind::Span(Span::from_ms(1), Span::from_ms(60_000)),
            "250ms",
            "longest wait for Redis; after that the service does without",
        ),
        Field::with(
            "moves_state",
            Kind::Flag,
            "false",
            "the state of a device follows it to the instance it speaks to, where there is a `state` with every reading, else at most half \
             a second old; else it begins anew there",
        ),
    ],
};

impl Cluster {
    pub(super) fn from_fields(fields: &Fields, report: &mut Reporter<'_>) -> Self {
        Self {
            redis: RedisAddress::from_fields(fields, report),
            instance: fields.text("instance").map(|text| text.value().to_owned()).unwrap_or_default(),
            expiry: fields.span("expiry"),
            timeout: fields.span("timeout"),
            moves_state: fields.flag("moves_state"),
        }
    }
}
