//! `retry` of a fleet: whether and when a device sends a reading again.

use super::backoff::waits;
use crate::language::{Field, FieldValue, Fields, Kind, Origin, Reporter, Section};
use crate::protocol::Exchange;
use crate::record::Close;
use crate::scenario::model::Model;
use crate::scenario::retry::{RetryCauses, RetryPolicy};
use crate::units::Span;

const HOUR: Span = Span::from_ms(3_600_000);

pub(super) static RETRY: Section = Section {
    title: "retry = { … }",
    about: "what a device does about a reading that failed: it sends it again, after a wait that grows with every attempt, until the \
            fleet's `timeout` has passed since the reading was due. It stays one reading: its response time runs over all attempts, \
            and it ends as the last of them does",
    by: None,
    fields: &[
        Field::required(
            "attempts",
            Kind::Integer(1, RetryPolicy::MOST_ATTEMPTS as u64),
            "how often a reading is sent at most, the first time included",
        ),
        Field::optional(
            "on",
            Kind::List(&Kind::Word(&["shed", "timeout", "error"])),
            "how an attempt must end for another to follow; in any of these ways unless stated",
        ),
        Field::with("first", Kind::Span(Span::ZERO, HOUR), "200ms", "wait before the second attempt"),
        Field::with(
            "factor",
            Kind::Number(1.0, 100.0),
            "2",
            "how many times longer each further wait is than the one before",
        ),
        Field::with(
            "max",
            Kind::Span(Span::ZERO, HOUR),
            "10s",
            "no wait is longer, unless the service asks for it",
        ),
        Field::with(
            "jitter",
            Kind::Number(0.0, 1.0),
            "1",
            "share of each wait that is drawn at random: 0 none of it, 1 all of it",
        ),
        Field::optional(
            "budget",
            Kind::Number(0.0, 1.0),
            "retries of the whole fleet, as a share of its first attempts; one beyond it is not made. Without limit unless stated",
        ),
        Field::with(
            "honour_retry_after",
            Kind::Flag,
            "true",
            "whether a wait is at least as long as the service asks for: `Retry-After` over HTTP, `retry_after_ms` of a shed verdict",
        ),
        Field::optional(
            "timeout",
            Kind::Span(Span::from_ms(1), Span::from_ms(60_000)),
            "an attempt unanswered for this long has timed out; the fleet's `timeout` unless stated, which leaves no time for another",
        ),
    ],
};

/// The retries of a fleet whose readings have `timeout`.
pub(super) fn retry(
    fleet: &Fields,
    timeout: Span,
    (model, close, exchange): (&Model, Close, &dyn Exchange),
    report: &mut Reporter<'_>,
) -> Option<RetryPolicy> {
    let fields = fleet.table("retry")?;
    let unheard = match (model, close) {
        (Model::Subscriber, _) => Some("does not apply to a subscriber, which sends nothing"),
        (_, Close::Sent) => Some("requires an answer, and close = \"sent\" waits for none"),
        _ if exchange.heard_by().is_some() => {
            Some("requires an answer to the device itself, and these readings end when others hear them")
        }
        _ => None,
    };
    if let Some(because) = unheard {
        fleet.refuse_given(&["retry"], report, because);
    }
    let (first, max) = waits(&fields, report);
    let own = fields.optional_span("timeout");
    if let Some(own) = own.filter(|own| *own > timeout && timeout > Span::ZERO) {
        let message = format!(
            "an attempt's time-out ({own}) is longer than the reading's ({timeout}), which all attempts share"
        );
        fields.refuse("timeout", report, message, "lower it, or raise the fleet's `timeout`");
    }
    let attempt = own.unwrap_or(timeout);
    if names(&fields, "timeout") && attempt == timeout && timeout > Span::ZERO {
        let message = format!("a time-out after {timeout} leaves no time for another attempt");
        fields.refuse(
            "on",
            report,
            message,
            "add a shorter `timeout` for each attempt, or take \"timeout\" out",
        );
    }
    futile(&fields, (attempt, timeout), report);
    let any = fields.list("on").is_empty();
    let on = |word| any || names(&fields, word);
    Some(RetryPolicy {
        attempts: fields.integer("attempts") as u8,
        on: RetryCauses { shed: on("shed"), timeout: on("timeout"), error: on("error") },
        first,
        factor: fields.number("factor"),
        max,
        jitter: fields.number("jitter"),
        budget: fields.optional_number("budget"),
        honour_retry_after: fields.flag("honour_retry_after"),
        timeout: attempt,
        deadline: timeout,
    })
}

/// Keys that say nothing of a reading that is sent once.
const OF_FURTHER: [&str; 7] = ["on", "first", "factor", "max", "jitter", "budget", "honour_retry_after"];

/// Refuses what never has a reading sent again, where an attempt may take `attempt` and all of them `timeout`. Who takes the retries of
/// a scenario away on the command line means it.
fn futile(fields: &Fields, (attempt, timeout): (Span, Span), report: &mut Reporter<'_>) {
    let is_written = |key: &str| matches!(fields.given(key), Some(Origin::Text(_)));
    let further = OF_FURTHER.into_iter().find(|key| fields.given(key).is_some());
    if let Some(key) = further.filter(|_| is_written("attempts") && fields.integer("attempts") == 1) {
        let message = format!("a reading that is sent once is never sent again, whatever `{key}` says");
        fields.refuse("attempts", report, message, "write 2 or more, or keep `attempts` alone");
    }
    if is_written("budget") && fields.optional_number("budget") == Some(0.0) {
        fields.refuse("budget", report, "allows no retry at all", "write more than 0, or take `retry` out");
    }
    let (first, jitter) = (fields.span("first"), fields.number("jitter"));
    if timeout == Span::ZERO || first > fields.span("max") {
        return;
    }
    let least = Span::from_secs_f64(first.as_secs_f64() * (1.0 - jitter));
    if least >= timeout || fields.given("first").is_some() && first >= timeout {
        let message =
            format!("a reading is given up after {timeout}, before a first wait of {first} is over");
        fields.refuse("first", report, message, "lower `first`, or raise the fleet's `timeout`");
    } else if names(fields, "timeout")
        && attempt < timeout
        && attempt.as_ns().saturating_add(least.as_ns()) >= timeout.as_ns()
    {
        let message = format!(
            "a time-out after {attempt} and a wait of {least} leave no time for another attempt: a reading is given up after {timeout}"
        );
        fields.refuse("on", report, message, "lower `timeout` or `first`, or take \"timeout\" out");
    }
}

/// Whether `on` names `word`.
fn names(fields: &Fields, word: &str) -> bool {
    fields.list("on").iter().any(|(_, found)| matches!(found, FieldValue::Word(found) if *found == word))
}
