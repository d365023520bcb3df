//! Who works on readings.

use crate::language::{Field, Fields, Kind, Section};
use crate::units::Span;
use crate::units::word::words;

words! {
    /// What a worker does while an inference waits for something else than the processor.
    WorkerMode {
        /// It waits with it.
        Blocking = "blocking",
        /// It goes on with other readings.
        Async = "async",
    }
}

words! {
    /// Which worker takes a reading.
    Assignment {
        /// The one that owns its device: readings of a device stay in order.
        Device = "device",
        /// Whichever is free: no worker idles while readings wait.
        Shared = "shared",
    }
}

/// Who works on readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    /// Threads; 0 works in the connection's own thread, without a queue.
    pub count: usize,
    /// What they do while an inference waits.
    pub mode: WorkerMode,
    /// Inferences that an asynchronous worker may have under way.
    pub in_flight: usize,
    /// Which worker takes a reading.
    pub assignment: Assignment,
    /// Readings that share one inference at the most.
    pub batch: usize,
    /// How long a worker waits for a batch to fill up.
    pub batch_wait: Span,
    /// A worker that crashed is started again after this; doubled with every crash that follows at once.
    pub restart: Span,
}

pub(crate) static WORKERS: Section = Section {
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
            Kind::Word(WorkerMode::WORDS),
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

impl Default for Workers {
    fn default() -> Self {
        Self::from_fields(&Fields::defaults(&WORKERS))
    }
}

impl Workers {
    pub(super) fn from_fields(fields: &Fields) -> Self {
        Self {
            count: fields.integer("count") as usize,
            mode: fields.choice("mode"),
            in_flight: fields.integer("in_flight") as usize,
            assignment: fields.choice("assignment"),
            batch: fields.integer("batch") as usize,
            batch_wait: fields.span("batch_wait"),
            restart: fields.span("restart"),
        }
    }
}
