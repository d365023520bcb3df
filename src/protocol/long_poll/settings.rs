//! `long-poll` of a fleet: what its devices ask for, how long they wait, and how they find readings in the answers.

use super::super::exchange::Stated;
use super::super::http::ListenerExchange;
use super::super::poll::{CORRELATE, HEADERS, LIST, NUMBER, PATH, SINCE, polling, query};
use crate::language::{Field, Kind, Reporter, Section};
use crate::units::Span;

pub(super) static LONG_POLL: Section = Section {
    title: "long-poll = { … }",
    about: "long-poll only: what a device asks for, how long it waits, and how events name readings",
    by: None,
    fields: &[
        Field::with(
            "hold",
            Kind::Text,
            "wait_ms=30000",
            "part of the query that has the server hold the request; the first request of a device, which passes over what happened before, goes without. \"\": the server holds every request, and the first one, too",
        ),
        Field::with(
            "patience",
            Kind::Span(Span::from_ms(1), Span::from_ms(86_400_000)),
            "90s",
            "a request that is unanswered for so long, and for less than twice as long, ends the connection; longer than the server holds it",
        ),
        PATH,
        HEADERS,
        LIST,
        NUMBER,
        SINCE,
        CORRELATE,
    ],
};

/// What a fleet states under `long-poll`.
pub(super) fn long_poll(stated: &Stated<'_>, report: &mut Reporter<'_>) -> ListenerExchange {
    let hold = query(stated.own, "hold", report);
    polling(stated, (stated.own.span("patience").as_duration(), None), hold, report)
}
