//! `reference.workers`: who works on readings.

use crate::language::{Field, Fields, Kind, Section};
use crate::service::{Assignment, Mode, Workers};
use crate::units::Span;

pub(in crate::scenario::section) static WORKERS: Section = Section {
    title: "workers = { … }",
    about: "who works on readings; a bare number is the count",
    by: None,
    fields: &[
        Field::with(
            "count",
            Kind::Integer(0, 1_024),
            "1",
            "threads; 0 works where readings come in, without a queue",
        ),
        Field::with(
            "mode",
            Kind::Word(Mode::WORDS),
            "blocking",
            "what a worker does while an inference waits (labour = \"wait\"): wait too, or go on with others",
        ),
        Field::with(
            "in_flight",
            Kind::Integer(1, 100_000),
            "64",
            "inferences an async worker may have under way",
        ),
        Field::with(
            "assignment",
            Kind::Word(Assignment::WORDS),
            "device",
            "who takes a reading: the worker that owns its device, which keeps their order, or whoever is free",
        ),
        Field::with("batch", Kind::Integer(1, 10_000), "1", "readings that share one inference at the most"),
        Field::with(
            "batch_wait",
            Kind::Span(Span::ZERO, Span::from_ms(10_000)),
            "0s",
            "how long a worker waits for a batch to fill up",
        ),
        Field::with(
            "restart",
            Kind::Span(Span::from_ms(1), Span::from_ms(60_000)),
            "100ms",
            "a worker that crashed is started again after this; doubled with every crash that follows at once",
        ),
    ],
};

pub(super) fn workers(fields: &Fields) -> Workers {
    Workers {
        count: fields.integer("count") as usize,
        mode: fields.word("mode").and_then(Mode::of).unwrap_or(Mode::Blocking),
        in_flight: fields.integer("in_flight") as usize,
        assignment: fields.word("assignment").and_then(Assignment::of).unwrap_or(Assignment::Device),
        batch: fields.integer("batch") as usize,
        batch_wait: fields.span("batch_wait"),
        restart: fields.span("restart"),
    }
}
