//! `trace` of a fleet: what its readings are known by in the traces of the service.

use super::signal::{is_channel_name, is_reserved};
use crate::fleet::{Channel, Format, Payload, Template, Tracing};
use crate::language::{Field, Fields, Kind, Reporter, Section, alternatives};
use crate::protocol::{Exchange, Facts, TraceCarrier, protocols};

pub(super) static TRACE: Section = Section {
    title: "trace = { … }",
    about: "what readings are known by in the traces of the service: ids made of the run's token, the device and the sequence number",
    by: None,
    fields: &[
        Field::required(
            "share",
            Kind::Number(0.0, 1.0),
            "share of readings, 0 to 1, that are flagged as sampled, which asks the service to record their traces; all have an id",
        ),
        Field::optional(
            "field",
            Kind::Text,
            "the key under which readings in JSON and CBOR hold the `traceparent`; in none unless stated, and in a template where \
             {{traceparent}} stands",
        ),
    ],
};

/// What it means by protocol; `speaking` lists those of which something holds.
pub(super) fn about(speaking: impl Fn(&dyn Fn(&Facts) -> bool) -> String) -> String {
    let by = |carriers: &[TraceCarrier]| speaking(&|facts: &Facts| carriers.contains(&facts.trace));
    format!(
        "a W3C `traceparent`, by which readings are found again in the traces of the service: in a header field of requests over {} and \
         of the upgrade over {}; over {} in the payload alone, and in a user property of readings by MQTT 5",
        by(&[TraceCarrier::Request]),
        by(&[TraceCarrier::Connection]),
        by(&[TraceCarrier::Payload])
    )
}

/// What the fleet's readings are known by.
pub(super) fn trace(
    fleet: &Fields,
    (facts, channels, payload): (&Facts, &[Channel], &Payload),
    exchange: &dyn Exchange,
    report: &mut Reporter<'_>,
) -> Option<Tracing> {
    let template = match &payload.format {
        Format::Template(template) => Some(&**template),
        _ => None,
    };
    let place = exchange.place().map(|place| &place.template);
    let named = [template, place].into_iter().flatten().any(Template::names_trace);
    let Some(fields) = fleet.table("trace") else {
        if named {
            let help = "add trace = 0.01, the share of readings that are flagged as sampled";
            fleet.refuse("trace", report, "is missing, and {{traceparent}} stands in a template", help);
        }
        return None;
    };
    // Whoever reads the model refuses it.
    if fleet.word("model") == Some("subscriber") {
        return None;
    }
    if facts.trace == TraceCarrier::None {
        let able = protocols().filter(|facts| facts.trace != TraceCarrier::None);
        let able: Vec<_> = able.map(|facts| facts.title).collect();
        let message = format!("{} has no place for a trace context", facts.title);
        fleet.refuse("trace", report, message, format!("take this out, or use {}", alternatives(&able)));
        return None;
    }
    let field = fields.text("field").map(|text| text.value().to_owned());
    match &field {
        Some(_) if matches!(payload.format, Format::Template(_) | Format::Binary) => {
            let help = "write {{traceparent}} in a template, or take this out";
            fields.refuse("field", report, "means readings in JSON and CBOR, and these are in neither", help);
        }
        Some(name) if is_reserved(name) || channels.iter().any(|channel| *channel.name == **name) => {
            fields.refuse("field", report, "is a key that readings have already", "choose another name");
        }
        Some(name) if !is_channel_name(name) => {
            fields.refuse("field", report, "is not a valid key", "write 1 to 64 of a-z, 0-9, - and _");
        }
        None if facts.trace == TraceCarrier::Payload && !exchange.traces_readings() && !named => {
            let message =
                format!("{} has no header fields, and the payload holds no trace context", facts.title);
            let help = "add field = \"traceparent\", or {{traceparent}} to a template";
            fields.refuse("field", report, message, help);
        }
        _ => {}
    }
    Some(Tracing { share: fields.number("share"), field: field.map(Into::into) })
}
