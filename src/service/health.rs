//! What the service is judged by when it says how it is.

use crate::language::{Field, Fields, Kind, Section};
use crate::units::{Rate, Span};

use super::LONGEST;

/// Beyond which figures of the last ten seconds the service calls itself degraded.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// Its workers can do more readings than this.
    pub rate: Rate,
    /// The p99 of the time from arrival to verdict is below this.
    pub p99: Span,
    /// The share of readings that end in an error or a crash is below this. Five times as many make it unhealthy.
    pub errors: f64,
    /// The share of what comes in and is no reading is below this.
    pub bad: f64,
    /// At least this share of readings gets a verdict.
    pub answered: f64,
    /// No larger share of the queue is taken.
    pub queue: f64,
    /// The thread that serves connections uses less of a processor.
    pub cpu: f64,
    /// The process holds a smaller share of the memory that it could have.
    pub memory: f64,
}

pub(crate) static HEALTH: Section = Section {
    title: "health = { … }",
    about: "what /health judges the last ten seconds by; what is beyond makes it degraded",
    by: None,
    fields: &[
        Field::with("rate", Kind::Rate(1e-3, 1e9), "10/s", "its workers can do more readings than this"),
        Field::with(
            "p99",
            Kind::Span(Span::from_ns(1_000), LONGEST),
            "100ms",
            "the p99 of the time from arrival to verdict is below this",
        ),
        Field::with(
            "errors",
            Kind::Number(0.0, 1.0),
            "0.01",
            "the share that ends in an error or a crash is below this; five times as many make it unhealthy",
        ),
        Field::with(
            "bad",
            Kind::Number(0.0, 1.0),
            "0.01",
            "the share of what comes in and is no reading is below this",
        ),
        Field::with(
            "answered",
            Kind::Number(0.0, 1.0),
            "0.999",
            "at least this share of readings gets a verdict",
        ),
        Field::with("queue", Kind::Number(0.0, 1.0), "0.5", "no larger share of the queue is taken"),
        Field::with(
            "cpu",
            Kind::Number(0.0, 1.0),
            "0.95",
            "the thread that serves connections uses less of a processor",
        ),
        Field::with(
            "memory",
            Kind::Number(0.0, 1.0),
            "0.9",
            "the process holds a smaller share of the memory that it could have",
        ),
    ],
};

impl Default for Health {
    fn default() -> Self {
        Self::from_fields(&Fields::defaults(&HEALTH))
    }
}

impl Health {
    pub(super) fn from_fields(fields: &Fields) -> Self {
        Self {
            rate: fields.rate("rate"),
            p99: fields.span("p99"),
            errors: fields.number("errors"),
            bad: fields.number("bad"),
            answered: fields.number("answered"),
            queue: fields.number("queue"),
            cpu: fields.number("cpu"),
            memory: fields.number("memory"),
        }
    }
}
