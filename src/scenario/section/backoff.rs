//! `backoff` of a fleet: waits between attempts to reconnect.

use crate::language::{Field, Fields, Kind, Reporter, Section};
use crate::scenario::model::Backoff;
use crate::units::Span;

pub(super) static BACKOFF: Section = Section {
    title: "backoff = { … }",
    about: "waits before a device connects again: the wait doubles with every attempt in a row that was of no use. A sender whose idle connection was closed does not wait at all: it connects again as soon as a reading is due",
    by: None,
    fields: &[
        Field::with(
            "first",
            Kind::Span(Span::from_ms(1), Span::from_ms(3_600_000)),
            "500ms",
            "wait before the first attempt to reconnect, also after a connection that was in use has ended",
        ),
        Field::with(
            "max",
            Kind::Span(Span::from_ms(1), Span::from_ms(3_600_000)),
            "30s",
            "no wait is longer",
        ),
        Field::with(
            "jitter",
            Kind::Number(0.0, 1.0),
            "0.5",
            "share of each wait that is drawn at random: 0 none of it, 1 all of it",
        ),
    ],
};

pub(super) fn backoff(fields: &Fields, report: &mut Reporter<'_>) -> Backoff {
    let Some(inner) = fields.table("backoff") else {
        return Backoff { first: Span::ZERO, max: Span::ZERO, jitter: 0.0 };
    };
    let (first, max) = waits(&inner, report);
    Backoff { first, max, jitter: inner.number("jitter") }
}

/// The first wait and the longest, of which the first must not be longer.
pub(super) fn waits(fields: &Fields, report: &mut Reporter<'_>) -> (Span, Span) {
    let (first, max) = (fields.span("first"), fields.span("max"));
    if fields.has("first") && fields.has("max") && first > max {
        let message = format!("the first wait ({first}) is longer than the longest ({max})");
        fields.refuse("first", report, message, "lower `first` or raise `max`");
    }
    (first, max)
}
