//! `reference.admission`: who may send, and how much.

use crate::language::{Field, FieldValue, Fields, Kind, Reporter, Section};
use crate::service::{Admission, Anonymous, Hint, Quota};

pub(in crate::scenario::section) static ADMISSION: Section = Section {
    title: "admission = { … }",
    about: "who may send, and how much; what is refused is shed with 429 or its like",
    by: None,
    fields: &[
        Field::optional("device", Kind::Short(&QUOTA), "quota of each device"),
        Field::optional("total", Kind::Short(&QUOTA), "quota of all devices together"),
        Field::optional(
            "tokens",
            Kind::List(&Kind::Text),
            "tokens that authenticate a sender: as bearer over HTTP and WebSocket, as password over MQTT",
        ),
        Field::with(
            "anonymous",
            Kind::Word(Anonymous::WORDS),
            "admit",
            "what becomes of senders without a token, where there are tokens",
        ),
        Field::optional(
            "anonymous_device",
            Kind::Short(&QUOTA),
            "quota of each device of senders without a token",
        ),
        Field::with(
            "shared",
            Kind::Flag,
            "false",
            "quotas are divided by the instances of the cluster that live, so that they hold over all of them",
        ),
        Field::with(
            "mqtt",
            Kind::Word(Hint::WORDS),
            "verdict",
            "what publishers hear of a refusal: a message, only the acknowledgement, or not even that",
        ),
    ],
};

pub(in crate::scenario::section) static QUOTA: Section = Section {
    title: "device = { … }",
    about: "a quota; a bare rate has a burst of 1",
    by: None,
    fields: &[
        Field::required("rate", Kind::Rate(0.001, 1e9), "readings per second"),
        Field::with("burst", Kind::Integer(1, 1_000_000_000), "1", "readings that may come at once"),
    ],
};

pub(super) fn admission(fields: &Fields, report: &mut Reporter<'_>) -> Admission {
    let quota = |key| {
        fields
            .table(key)
            .map(|quota| Quota { rate: quota.rate("rate"), burst: quota.integer("burst") as u32 })
    };
    let tokens: Vec<String> = fields
        .list("tokens")
        .iter()
        .filter_map(|(_, found)| match found {
            FieldValue::Text(text) => Some(text.value().to_owned()),
            _ => None,
        })
        .collect();
    let anonymous = fields.word("anonymous").and_then(Anonymous::of).unwrap_or(Anonymous::Admit);
    if tokens.is_empty() && fields.given("anonymous").is_some() {
        let message = "nobody is anonymous where there are no tokens";
        fields.refuse("anonymous", report, message, "add `tokens`, or take this line out");
    }
    Admission {
        device: quota("device"),
        total: quota("total"),
        tokens,
        anonymous,
        anonymous_device: quota("anonymous_device"),
        shared: fields.flag("shared"),
        mqtt: fields.word("mqtt").and_then(Hint::of).unwrap_or(Hint::Verdict),
    }
}
