//! Fleets of subscribers: they send nothing, and what they hear may end the readings of others.

use crate::language::{Fields, Reporter, quote};
use crate::record::Close;
use crate::scenario::exchange::Exchange;
use crate::scenario::model::{Fleet, Model};

/// A fleet that sends nothing.
pub(super) fn subscriber(fields: &Fields, report: &mut Reporter<'_>) -> Model {
    let sending = ["rate", "arrival", "backlog", "think", "in_flight", "budget", "close", "payload"];
    fields.refuse_given(&sending, report, "means nothing for a subscriber, which sends nothing");
    if fields.word("protocol") != Some("mqtt") {
        fields.refuse("model", report, "only MQTT has subscribers", "write protocol = \"mqtt\"");
    } else if fields.table("mqtt").is_none_or(|mqtt| !mqtt.has("subscribe")) {
        let help = "write for example mqtt = { subscribe = \"devices/+/readings\" }";
        fields.refuse("mqtt", report, "`subscribe` is missing: what does the fleet hear?", help);
    }
    Model::Subscriber
}

/// Whether the fleets that are to hear others are there, and hear.
pub(super) fn subscribers(fleets: &[(Fleet, Fields)], report: &mut Reporter<'_>) {
    let hears = |fleet: &Fleet| fleet.model == Model::Subscriber;
    for (fleet, fields) in fleets {
        let Exchange::Mqtt(mqtt) = &fleet.exchange else { continue };
        let Some(own) = fields.table("mqtt") else { continue };
        if mqtt.subscribe.is_some() && !hears(fleet) {
            own.refuse_given(&["subscribe"], report, "means nothing for a fleet that sends");
        }
        let Some(wanted) = &mqtt.subscribers else { continue };
        if fleet.close != Close::Delivery {
            own.refuse(
                "subscribers",
                report,
                "means nothing without close = \"delivery\"",
                "add it, or take this out",
            );
        } else if !fleets.iter().any(|(other, _)| other.name == *wanted && hears(other)) {
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
