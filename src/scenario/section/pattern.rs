//! `pattern` and `from` of a fleet of subscribers: what its devices are to hear of which others.

use crate::language::{Fields, Reporter, listed, quote};
use crate::protocol::{Facts, protocols};
use crate::record::MessagePattern;
use crate::scenario::model::{Fleet, Spread};

/// The words of [`MessagePattern`].
pub(super) const PATTERNS: &[&str] = &[
    MessagePattern::FanIn.name(),
    MessagePattern::FanOut.name(),
    MessagePattern::PointToPoint.name(),
    MessagePattern::Shared.name(),
];

/// What the fleet itself says of it.
pub(super) fn spread(fields: &Fields, facts: &Facts, report: &mut Reporter<'_>) -> Option<Spread> {
    let Some(word) = fields.word("pattern") else {
        fields.refuse_given(&["from"], report, "requires `pattern`");
        return None;
    };
    if fields.word("model") != Some("subscriber") {
        fields.refuse(
            "pattern",
            report,
            "is for fleets that hear",
            "write model = \"subscriber\", or take this out",
        );
        return None;
    }
    if !(facts.hears_others && facts.shares_topics) {
        let routing = protocols().filter(|facts| facts.hears_others && facts.shares_topics).map(Facts::word);
        let message =
            format!("needs topics that senders and subscribers share, which {} has not", facts.title);
        fields.refuse(
            "pattern",
            report,
            message,
            format!("write protocol = {}", listed(&routing.collect::<Vec<_>>())),
        );
        return None;
    }
    let pattern = MessagePattern::ALL.into_iter().find(|pattern| pattern.name() == word)?;
    if pattern == MessagePattern::Shared {
        let because =
            "does not go with a shared subscription, of which readings are expected from the first on";
        fields.refuse_given(&["join", "leave"], report, because);
    }
    Some(Spread { pattern, from: fields.text("from").map(|name| name.value().to_owned()) })
}

/// Whether the fleets that are to be heard are there, and can be.
pub(super) fn patterns(fleets: &[(Fleet, Fields)], report: &mut Reporter<'_>) {
    for (fleet, fields) in fleets {
        let Some(spread) = &fleet.spread else { continue };
        let heard: Vec<&Fleet> =
            fleets.iter().map(|(other, _)| other).filter(|other| fleet.is_to_hear(other)).collect();
        if heard.is_empty() {
            unheard(fleets, (fleet, fields), spread, report);
            continue;
        }
        numbers((fleet, fields), spread.pattern, &heard, report);
        let states = |fleet: &Fleet| fleet.exchange.place().is_some();
        if let Some(sender) =
            heard.iter().find(|_| fleet.exchange.heard().is_none()).filter(|sender| states(sender))
        {
            let message = format!(
                "`{}` says which topic it publishes to, and this fleet not what it subscribes to",
                sender.name
            );
            fields.refuse("pattern", report, message, "add `subscribe`");
        }
    }
}

/// Nobody is there to be heard.
fn unheard(
    fleets: &[(Fleet, Fields)],
    (fleet, fields): (&Fleet, &Fields),
    spread: &Spread,
    report: &mut Reporter<'_>,
) {
    let sends = |other: &&Fleet| !other.hears() && other.protocol == fleet.protocol;
    let names: Vec<&str> =
        fleets.iter().map(|(other, _)| other).filter(sends).map(|other| other.name.as_str()).collect();
    let help = match names.as_slice() {
        [] => format!("make one with protocol = \"{}\"", fleet.protocol),
        names => format!("there are: {}", quote(&names.join(", "))),
    };
    let (key, message) = match &spread.from {
        Some(from) => {
            ("from", format!("there is no fleet `{}` that sends over {}", quote(from), fleet.facts.title))
        }
        None => ("pattern", format!("there is no fleet that sends over {}", fleet.facts.title)),
    };
    fields.refuse(key, report, message, help);
}

/// Whether there are as many devices as the pattern wants.
fn numbers(
    (fleet, fields): (&Fleet, &Fields),
    pattern: MessagePattern,
    heard: &[&Fleet],
    report: &mut Reporter<'_>,
) {
    match (pattern, heard) {
        (MessagePattern::FanIn, _) if fleet.devices > 1 => {
            let message = "all readings come to one device by fan-in";
            let help = "write devices = 1, or \"fan-out\" if each is to hear all, or \"shared\" if each reading is for one of them";
            fields.refuse("pattern", report, message, help);
        }
        (MessagePattern::PointToPoint, [sender]) if sender.devices != fleet.devices => {
            let message =
                format!("`{}` has {} devices and this fleet {}", sender.name, sender.devices, fleet.devices);
            fields.refuse("pattern", report, message, "give both as many");
        }
        (MessagePattern::PointToPoint, heard) if heard.len() > 1 || fields.given("from").is_none() => {
            fields.refuse(
                "pattern",
                report,
                "each device is to hear one of a certain fleet",
                "say which: from = \"…\"",
            );
        }
        _ => {}
    }
}
