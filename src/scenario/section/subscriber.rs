//! Fleets of subscribers: they send nothing, and what they hear may end the readings of others.

use crate::language::{Fields, Reporter, listed, quote};
use crate::protocol::{Facts, protocols};
use crate::record::Close;
use crate::scenario::model::{Fleet, Model};

/// A fleet that sends nothing.
pub(super) fn subscriber(fields: &Fields, report: &mut Reporter<'_>) -> Model {
    let sending = ["rate", "arrival", "backlog", "think", "in_flight", "budget", "close", "payload", "trace"];
    fields.refuse_given(&sending, report, "does not apply to a subscriber, which sends nothing");
    let spoken = protocols().find(|facts| fields.word("protocol") == Some(facts.protocol.name()));
    let hearing: Vec<&Facts> = protocols().filter(|facts| facts.hears_others).collect();
    if let Some(facts) = spoken.filter(|facts| facts.hears_others) {
        let own = facts.protocol.name();
        if let Some((key, example)) = facts.heard_at
            && !fields.has("pattern")
            && !fields.has("topic")
            && let Some(table) = fields.table(own).filter(|table| !table.has(key))
        {
            let help = format!("write for example {own} = {{ {key} = \"{example}\" }}");
            table.refuse(key, report, "is missing: what does the fleet hear?", help);
        }
    } else if let Some(facts) = spoken {
        let words: Vec<&str> = hearing.iter().map(|facts| facts.word()).collect();
        let message = format!("there are no subscribers over {}", facts.title);
        fields.refuse("model", report, message, format!("write protocol = {}", listed(&words)));
    }
    Model::Subscriber
}

/// Whether the fleets that are to hear others are there, and hear.
pub(super) fn subscribers(fleets: &[(Fleet, Fields)], report: &mut Reporter<'_>) {
    let hears = |fleet: &Fleet| fleet.model == Model::Subscriber;
    for (fleet, fields) in fleets {
        let Some(own) = fields.table(fleet.protocol.name()) else { continue };
        if fleet.exchange.heard().is_some() && !hears(fleet) {
            own.refuse_given(&["subscribe"], report, "does not apply to a fleet that sends");
        }
        let Some(wanted) = fleet.exchange.heard_by() else { continue };
        if fleet.close != Close::Delivery {
            own.refuse("subscribers", report, "requires close = \"delivery\"", "add it, or take this out");
        } else if !fleets.iter().any(|(other, _)| other.name == wanted && hears(other)) {
            let names: Vec<&str> = fleets
                .iter()
                .filter(|(other, _)| hears(other))
                .map(|(other, _)| other.name.as_str())
                .collect();
            let help = match names.as_slice() {
                [] => "make one with model = \"subscriber\"".to_owned(),
                names => format!("there are: {}", quote(&names.join(", "))),
            };
            own.refuse(
                "subscribers",
                report,
                format!("there is no fleet of subscribers `{}`", quote(wanted)),
                help,
            );
        }
    }
}
