//! `[fleet.NAME]`: devices that are alike.

use super::signal;
use crate::arrival::Law;
use crate::record::{Close, Protocol, Qos};
use crate::scenario::check::{Fields, check};
use crate::scenario::document::{Entry, Table, Value};
use crate::scenario::field::{Field, Kind, Need, Section, is_name, listed};
use crate::scenario::model::{Backoff, Fleet, Model, Mqtt};
use crate::scenario::problem::{Origin, Report, quote};
use crate::units::Span;

/// Fleets of a scenario.
const MOST: usize = 256;
/// Devices of all fleets together.
const MOST_DEVICES: u64 = 1_000_000;

pub(super) static FLEET: Section = Section {
    title: "[fleet.NAME]",
    about: "devices that are alike; each holds one connection of its own",
    fields: &[
        Field {
            name: "protocol",
            kind: Kind::Word(&["http", "ws", "mqtt"]),
            need: Need::Required,
            about: "what its devices speak",
        },
        Field {
            name: "devices",
            kind: Kind::Integer(1, MOST_DEVICES),
            need: Need::Required,
            about: "how many there are; at most a million in all fleets together",
        },
        Field {
            name: "model",
            kind: Kind::Word(&["open", "closed"]),
            need: Need::Default("open"),
            about: "open: readings come due by plan; closed: each waits for the answer to the last",
        },
        Field {
            name: "rate",
            kind: Kind::Rate(1e-5, 1e5),
            need: Need::Optional,
            about: "open only, and required there: readings per second of one device",
        },
        Field {
            name: "arrival",
            kind: Kind::Word(&["constant", "poisson"]),
            need: Need::Default("constant"),
            about: "open only: the law of the gaps between a device's readings",
        },
        Field {
            name: "jitter",
            kind: Kind::Number(0.0, 0.5),
            need: Need::Default("0.1"),
            about: "constant arrival only: displacement of each reading, as a fraction of the interval",
        },
        Field {
            name: "think",
            kind: Kind::Span(Span::ZERO, Span::from_ms(3_600_000)),
            need: Need::Default("0s"),
            about: "closed only: pause between an answer and the next reading",
        },
        Field {
            name: "in_flight",
            kind: Kind::Integer(1, 1_024),
            need: Need::Optional,
            about: "readings a device may have unanswered at once; 1 for http, else 16 unless stated",
        },
        Field {
            name: "backlog",
            kind: Kind::Integer(0, 65_536),
            need: Need::Default("64"),
            about: "open only: readings that may wait in a device before further ones are dropped",
        },
        Field {
            name: "timeout",
            kind: Kind::Span(Span::from_ms(1), Span::from_ms(60_000)),
            need: Need::Default("5s"),
            about: "a reading unanswered for this long is a time-out",
        },
        Field {
            name: "budget",
            kind: Kind::Span(Span::from_ns(1_000), Span::from_ms(60_000)),
            need: Need::Optional,
            about: "the latency budget of a reading, for the share within it",
        },
        Field {
            name: "close",
            kind: Kind::Word(&["response", "verdict", "ack", "delivery", "sent"]),
            need: Need::Optional,
            about: "what ends a reading; response for http, else verdict unless stated",
        },
        Field {
            name: "qos",
            kind: Kind::Integer(0, 2),
            need: Need::Default("1"),
            about: "mqtt only: quality of service of messages and subscriptions",
        },
        Field {
            name: "keep_alive",
            kind: Kind::Span(Span::ZERO, Span::from_ms(65_535_000)),
            need: Need::Default("30s"),
            about: "mqtt only: keep-alive interval in whole seconds; 0 turns it off",
        },
        Field {
            name: "backoff",
            kind: Kind::Table(&BACKOFF),
            need: Need::Default(""),
            about: "waits between attempts to reconnect",
        },
        Field {
            name: "signal",
            kind: Kind::Table(&signal::SIGNAL),
            need: Need::Default(""),
            about: "what the sensors show",
        },
        Field {
            name: "anomalies",
            kind: Kind::Table(&signal::ANOMALIES),
            need: Need::Default(""),
            about: "how often and how badly the sensors misbehave",
        },
    ],
};

pub(super) static BACKOFF: Section = Section {
    title: "backoff = { … }",
    about: "exponential back-off: the wait doubles with every failed attempt",
    fields: &[
        Field {
            name: "first",
            kind: Kind::Span(Span::from_ms(1), Span::from_ms(3_600_000)),
            need: Need::Default("500ms"),
            about: "wait before the first attempt to reconnect",
        },
        Field {
            name: "max",
            kind: Kind::Span(Span::from_ms(1), Span::from_ms(3_600_000)),
            need: Need::Default("30s"),
            about: "no wait is longer",
        },
        Field {
            name: "jitter",
            kind: Kind::Number(0.0, 1.0),
            need: Need::Default("0.5"),
            about: "share of each wait that is drawn at random: 0 none of it, 1 all of it",
        },
    ],
};

/// All fleets, sorted by name.
pub(super) fn fleets(root: &Table, report: &mut Report<'_>) -> Vec<Fleet> {
    let example = "add a fleet: [fleet.meters] with protocol = \"http\", devices = 10 and rate = \"1/s\"";
    let Some(entry) = root.0.get("fleet") else {
        report.add(&Origin::Whole, "fleet", "there is no fleet", example);
        return Vec::new();
    };
    let Value::Table(table) = &entry.node.value else {
        let found = entry.node.value.described();
        let message = format!("expected tables by name, found {found}");
        report.add(&entry.key, "fleet", message, "open every fleet with its name: [fleet.meters]");
        return Vec::new();
    };
    if table.0.is_empty() {
        report.add(&entry.key, "fleet", "there is no fleet", example);
    }
    if table.0.len() > MOST {
        let message = format!("{} fleets are too many", table.0.len());
        report.add(&entry.key, "fleet", message, format!("keep to {MOST} fleets"));
        return Vec::new();
    }
    let fleets: Vec<Fleet> = table.0.iter().filter_map(|(name, entry)| fleet(name, entry, report)).collect();
    let devices: u64 = fleets.iter().map(|fleet| u64::from(fleet.devices)).sum();
    if devices > MOST_DEVICES {
        let message = format!("all fleets together have {devices} devices");
        report.add(&entry.key, "fleet", message, format!("keep to {MOST_DEVICES} devices"));
    }
    fleets
}

fn fleet(name: &str, entry: &Entry, report: &mut Report<'_>) -> Option<Fleet> {
    let path = format!("fleet.{name}");
    let Value::Table(table) = &entry.node.value else {
        let known = FLEET.fields.iter().any(|field| field.name == name);
        let message = format!("expected a fleet's table, found {}", entry.node.value.described());
        let help = if known {
            format!("give the fleet a name: [fleet.meters] and under it {name} = …")
        } else {
            format!("open the fleet with [fleet.{}] on a line of its own", quote(name))
        };
        report.add(&entry.key, &path, message, help);
        return None;
    };
    if !is_name(name) {
        let message = format!("`{}` is no name", quote(name));
        report.add(&entry.key, &path, message, "write 1 to 64 of a-z, 0-9 and -");
    }
    let fields = check(&FLEET, table, &path, &entry.node.origin, report);
    let protocol = match fields.word("protocol") {
        Some("ws") => Protocol::Ws,
        Some("mqtt") => Protocol::Mqtt,
        Some(_) => Protocol::Http,
        None => return None,
    };
    let mqtt = mqtt(&fields, protocol, report);
    let timeout = fields.span("timeout");
    let budget = fields.optional_span("budget");
    if budget.is_some_and(|budget| budget > timeout && timeout > Span::ZERO) {
        let message = format!("a budget beyond the time-out ({timeout}) is always met or never");
        fields.refuse("budget", report, message, "lower the budget or raise `timeout`");
    }
    Some(Fleet {
        name: name.to_owned(),
        protocol,
        devices: fields.integer("devices") as u32,
        model: model(&fields, report),
        in_flight: in_flight(&fields, protocol, report),
        timeout,
        budget,
        close: close(&fields, protocol, mqtt, report),
        mqtt,
        backoff: backoff(&fields, report),
        signal: signal::signal(&fields, report),
    })
}

fn model(fields: &Fields, report: &mut Report<'_>) -> Model {
    let Some(word) = fields.word("model") else {
        // Its own fault is reported; which other keys fit is anyone's guess.
        return Model::Closed { think: Span::ZERO };
    };
    if word == "closed" {
        let open_only = ["rate", "arrival", "jitter", "backlog"];
        fields.refuse_given(
            &open_only,
            report,
            "means nothing for a closed fleet, which sends when it is answered",
        );
        return Model::Closed { think: fields.span("think") };
    }
    fields.refuse_given(&["think"], report, "means nothing for an open fleet, which sends by plan");
    if fields.rate("rate").is_none() && fields.given("rate").is_none() {
        fields.refuse(
            "rate",
            report,
            "is missing",
            "an open fleet needs the rate of one device, for example rate = \"1/s\"",
        );
    }
    let arrival = if fields.word("arrival") == Some("poisson") {
        fields.refuse_given(
            &["jitter"],
            report,
            "means nothing for poisson arrival, which is random throughout",
        );
        Law::Poisson
    } else {
        Law::Constant { jitter: fields.number("jitter") }
    };
    Model::Open {
        rate: fields.rate("rate").unwrap_or_default(),
        arrival,
        backlog: fields.integer("backlog") as u32,
    }
}

fn mqtt(fields: &Fields, protocol: Protocol, report: &mut Report<'_>) -> Option<Mqtt> {
    if protocol != Protocol::Mqtt {
        fields.refuse_given(
            &["qos", "keep_alive"],
            report,
            &format!("means nothing for {protocol}, only for mqtt"),
        );
        return None;
    }
    let keep_alive = fields.span("keep_alive");
    if !keep_alive.as_ns().is_multiple_of(1_000_000_000) {
        let message = format!("`{keep_alive}` is not in whole seconds, as MQTT counts it");
        fields.refuse("keep_alive", report, message, "write for example \"30s\"");
    }
    let qos = match fields.optional_integer("qos") {
        Some(0) => Qos::AtMostOnce,
        Some(2) => Qos::ExactlyOnce,
        _ => Qos::AtLeastOnce,
    };
    Some(Mqtt { qos, keep_alive })
}

fn in_flight(fields: &Fields, protocol: Protocol, report: &mut Report<'_>) -> u32 {
    let stated = fields.optional_integer("in_flight");
    if protocol == Protocol::Http {
        if stated.is_some_and(|stated| stated != 1) {
            let message = "an HTTP device has one request under way at a time";
            fields.refuse("in_flight", report, message, "take this line out, or use ws or mqtt");
        }
        return 1;
    }
    stated.unwrap_or(16) as u32
}

fn close(fields: &Fields, protocol: Protocol, mqtt: Option<Mqtt>, report: &mut Report<'_>) -> Close {
    let allowed: &[&str] = match protocol {
        Protocol::Http => &["response"],
        Protocol::Ws => &["verdict", "sent"],
        Protocol::Mqtt => &["verdict", "ack", "delivery", "sent"],
    };
    let Some(word) = fields.word("close") else {
        return if protocol == Protocol::Http { Close::Response } else { Close::Verdict };
    };
    if !allowed.contains(&word) {
        let message = format!("`{word}` cannot close a reading sent by {protocol}");
        fields.refuse("close", report, message, format!("write {}", listed(allowed)));
    }
    if word == "ack" && mqtt.is_some_and(|mqtt| mqtt.qos == Qos::AtMostOnce) {
        let message = "there is no acknowledgement at qos 0";
        fields.refuse(
            "close",
            report,
            message,
            "raise `qos`, or write \"verdict\", \"delivery\" or \"sent\"",
        );
    }
    Close::ALL.into_iter().find(|close| close.name() == word).unwrap_or(Close::Response)
}

fn backoff(fields: &Fields, report: &mut Report<'_>) -> Backoff {
    let Some(inner) = fields.table("backoff") else {
        return Backoff { first: Span::ZERO, max: Span::ZERO, jitter: 0.0 };
    };
    let (first, max) = (inner.span("first"), inner.span("max"));
    if first > max && max > Span::ZERO {
        let message = format!("the first wait ({first}) is longer than the longest ({max})");
        inner.refuse("first", report, message, "lower `first` or raise `max`");
    }
    Backoff { first, max, jitter: inner.number("jitter") }
}
