//! `poll` of a fleet: how often its devices ask, for what, and how they find readings in the answers.

use std::time::Duration;

use super::super::exchange::Stated;
use super::super::http::{self, ListenerExchange};
use super::super::settings::{OwnSettings, Turns};
use crate::language::{Field, Fields, Kind, Reporter, Section, quote};
use crate::units::Span;

pub(in crate::protocol) const PATH: Field = Field::optional(
    "path",
    Kind::Text,
    "path and query, without what `since` adds; may name the device: /events?for={{device}}",
);
pub(in crate::protocol) const HEADERS: Field = Field::with(
    "headers",
    Kind::Map(&Kind::Text, "name"),
    "",
    "further header fields of the requests; may name the device",
);
pub(in crate::protocol) const LIST: Field = Field::with(
    "list",
    Kind::Text,
    "/alerts",
    "JSON pointer to the list of events in a reply (\"\": the reply is the list)",
);
pub(in crate::protocol) const NUMBER: Field = Field::with(
    "number",
    Kind::Text,
    "/id",
    "JSON pointer to the number of an event, in the event: it tells what was heard before",
);
pub(in crate::protocol) const SINCE: Field = Field::with(
    "since",
    Kind::Text,
    "after",
    "query parameter that takes the highest number heard; \"\": none, every reply lists what it likes, and what was in an earlier one is passed over",
);
pub(in crate::protocol) const CORRELATE: Field = Field::with(
    "correlate",
    Kind::List(&Kind::Text),
    "/device, /seq",
    "two JSON pointers into an event: to the name of the device whose reading it is about, and to the reading's number",
);

pub(super) static POLL: Section = Section {
    title: "poll = { … }",
    about: "poll only: how often a device asks, for what, and how events name readings",
    by: None,
    fields: &[
        Field::with(
            "every",
            Kind::Span(Span::from_ms(1), Span::from_ms(86_400_000)),
            "1s",
            "from one request to the next",
        ),
        Field::with(
            "aligned",
            Kind::Flag,
            "false",
            "all devices ask at the same instants, multiples of `every` from the start of the run on; otherwise each has a phase of its own, by the seed",
        ),
        PATH,
        HEADERS,
        LIST,
        NUMBER,
        SINCE,
        CORRELATE,
    ],
};

/// What a poller reads of its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::protocol) struct PollSettings {
    /// JSON pointer to the list of events.
    pub(in crate::protocol) list: Box<str>,
    /// JSON pointer to an event's number.
    pub(in crate::protocol) number: Option<Box<str>>,
    /// Query parameter that takes the highest number heard.
    pub(in crate::protocol) since: Option<Box<str>>,
    /// Part of the query that has the server hold the request.
    pub(in crate::protocol) hold: Option<Box<str>>,
}

impl Default for PollSettings {
    fn default() -> Self {
        Self { list: "/alerts".into(), number: Some("/id".into()), since: Some("after".into()), hold: None }
    }
}

/// What a fleet states under `poll`.
pub(super) fn poll(stated: &Stated<'_>, report: &mut Reporter<'_>) -> ListenerExchange {
    let fields = stated.own;
    let turns = if fields.flag("aligned") { Turns::Aligned } else { Turns::Phased };
    polling(stated, (fields.span("every").as_duration(), Some(turns)), None, report)
}

/// As `stated`; a session is called every `period`, on `turns` where there are any, and asks the server to `hold` its requests.
pub(in crate::protocol) fn polling(
    stated: &Stated<'_>,
    turns: (Duration, Option<Turns>),
    hold: Option<Box<str>>,
    report: &mut Reporter<'_>,
) -> ListenerExchange {
    let fields = stated.own;
    let (list, number) = (pointer(fields, "list", report), pointer(fields, "number", report));
    let told = stated.topic.map(|told| {
        fields.refuse_given(&["list"], report, "does not go with `topic`, which says where");
        told.topic.list().into()
    });
    let own = PollSettings {
        list: told.or(list).unwrap_or_default(),
        number: Some(number.unwrap_or_default()),
        since: query(fields, "since", report),
        hold,
    };
    ListenerExchange::new(stated, turns, OwnSettings::of(own), report)
}

/// The JSON pointer under `key`.
fn pointer(fields: &Fields, key: &str, report: &mut Reporter<'_>) -> Option<Box<str>> {
    let text = fields.text(key)?;
    if super::super::exchange::is_pointer(text.value()) {
        return Some(text.value().into());
    }
    let message = format!("`{}` is not a valid JSON pointer", quote(text.written()));
    fields.refuse(key, report, message, "write for example \"/events\", or \"\" for the whole");
    None
}

/// A part of a query under `key`; `None` where it is empty.
pub(in crate::protocol) fn query(fields: &Fields, key: &str, report: &mut Reporter<'_>) -> Option<Box<str>> {
    let text = fields.text(key).filter(|text| !text.value().is_empty())?;
    if http::misplaced(&format!("/?{}", text.value())).is_none() && !text.value().contains(['#', ' ']) {
        return Some(text.value().into());
    }
    let message = format!("`{}` is not part of a query", quote(text.written()));
    fields.refuse(key, report, message, "write other than ASCII letters as %XX");
    None
}
