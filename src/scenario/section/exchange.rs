//! What a fleet exchanges with its target: the keys whose meaning its protocol decides.

use std::sync::Arc;

use crate::fleet::{Channel, Format};
use crate::language::{Fields, Reporter, alternatives, listed};
use crate::protocol::{Driver, Exchange, Facts, Stated, StatedSpread, StatedTopic, protocols};
use crate::record::Close;
use crate::scenario::model::Spread;
use crate::service::Topic;

/// The keys of the fleet's own protocol; those of the others do not apply.
pub(super) fn exchange(
    fields: &Fields,
    (name, driver): (&str, &dyn Driver),
    (spread, topic): (Option<&Spread>, Option<Topic>),
    (channels, format): (&[Channel], &Format),
    report: &mut Reporter<'_>,
) -> Arc<dyn Exchange> {
    let protocol = driver.facts().protocol;
    for other in protocols().map(|facts| facts.protocol).filter(|other| *other != protocol) {
        fields.refuse_given(&[other.name()], report, &format!("does not apply to {protocol}"));
    }
    let names: Vec<&str> = channels.iter().map(|channel| &*channel.name).collect();
    let reply = match fields.word("close") {
        Some(word) => word == Close::Reply.name(),
        None => driver.facts().closes.first() == Some(&Close::Reply),
    };
    // A section at fault is reported; what stands here then is not kept.
    let own = fields.table(protocol.name()).unwrap_or_else(|| fields.clone());
    let hears = fields.word("model") == Some("subscriber");
    let spread = spread.map(|spread| StatedSpread {
        pattern: spread.pattern,
        fleet: name,
        from: spread.from.as_deref().unwrap_or_default(),
    });
    let facts = driver.facts();
    let topic = topic.and_then(|topic| {
        let place = if hears { facts.told_at.map(|at| at(topic)) } else { facts.broadcast_at };
        Some(StatedTopic { topic, place: place? })
    });
    let stated = Stated { own: &own, channels: &names, reply, hears, spread, topic, format };
    driver.exchange(&stated, report)
}

/// Readings a device may have unanswered at once.
pub(super) fn in_flight(fields: &Fields, facts: &Facts, report: &mut Reporter<'_>) -> u32 {
    let stated = fields.optional_integer("in_flight");
    if facts.serial {
        if stated.is_some_and(|stated| stated != 1) {
            let message = format!("an {} device has one request under way at a time", facts.title);
            let others: Vec<_> =
                protocols().filter(|facts| !facts.serial && facts.sends()).map(Facts::word).collect();
            let help = format!("take this line out, or use {}", alternatives(&others));
            fields.refuse("in_flight", report, message, help);
        }
        return 1;
    }
    // A closed device waits for the answer to its last reading, unless it is told to keep several under way.
    let usual = if fields.word("model") == Some("closed") { 1 } else { 16 };
    stated.unwrap_or(usual) as u32
}

/// What closes a reading.
pub(super) fn close(
    fields: &Fields,
    facts: &Facts,
    exchange: &dyn Exchange,
    report: &mut Reporter<'_>,
) -> Close {
    let usual = facts.closes.first().copied().unwrap_or(Close::Response);
    let Some(word) = fields.word("close") else {
        if let Some((message, help)) = exchange.objection(usual) {
            fields.refuse("close", report, format!("is \"{usual}\" unless stated: {message}"), help);
        }
        return usual;
    };
    let allowed: Vec<&str> = facts.closes.iter().map(|close| close.name()).collect();
    let protocol = facts.protocol;
    // Of one by which nothing is sent `close` is refused already.
    if facts.sends() && !allowed.contains(&word) {
        let message = format!("`{word}` cannot close a reading sent by {protocol}");
        fields.refuse("close", report, message, format!("write {}", listed(&allowed)));
    }
    let format = fields.table("payload").and_then(|payload| payload.word("format"));
    if word == "delivery" && matches!(format, Some("cbor" | "binary" | "none")) {
        let message = "a delivered reading is recognised by `device` and `seq` in JSON";
        fields.refuse("payload", report, message, "write \"json\", or a template with these two");
    }
    let close = Close::ALL.into_iter().find(|close| close.name() == word).unwrap_or(usual);
    if let Some((message, help)) = exchange.objection(close) {
        fields.refuse("close", report, message, help);
    }
    close
}
