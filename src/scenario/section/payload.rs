//! `payload` of a fleet: how a reading is written down, and how large it is.

use std::sync::Arc;

use crate::fleet::{Channel, Format, Payload, Scope, SizeDistribution};
use crate::language::{Field, Fields, Kind, Reporter, Section};
use crate::protocol::template;
use crate::scenario::model::Cut;
use crate::units::ByteSize;

const LEAST: ByteSize = ByteSize(1);
/// Largest payload, well within what the protocols carry.
const MOST: ByteSize = ByteSize(1 << 20);
/// Schemas that readings can have: more than any service knows.
pub(super) const MOST_SCHEMA: u64 = 9;

pub(super) static PAYLOAD: Section = Section {
    title: "payload = { … }",
    about: "how a reading is written down",
    by: Some("format"),
    fields: &[
        Field::with(
            "format",
            Kind::Word(&["json", "cbor", "binary", "template", "none"]),
            "json",
            "an object, the same in CBOR (RFC 8949), a compact binary layout, a text of your own, or nothing at all: over http a request \
             without a body",
        ),
        Field::required(
            "template",
            Kind::Text,
            "the text, with placeholders such as {{device}}, {{seq}} and {{value}}",
        )
        .only(&["template"]),
        Field::optional(
            "size",
            Kind::Short(&SIZE),
            "bytes of the whole payload, by padding; without it, as large as it is",
        )
        .only(&["json", "cbor", "binary", "template"]),
        Field::optional(
            "run_token",
            Kind::Flag,
            "whether a reading names the run by its token, under `run`, so that those of other runs are told apart; true for json and \
             cbor over ws and mqtt, else false unless stated",
        )
        .only(&["json", "cbor", "binary"]),
        Field::with(
            "schema",
            Kind::Integer(1, MOST_SCHEMA),
            "1",
            "schema of the readings: from 2 on they name it under `schema`, and the fleet under `class`, and `intended_ns` is called \
             `taken_ns`; the bundled service knows 1 and 2",
        )
        .only(&["json", "cbor"]),
        Field::with(
            "truth",
            Kind::Flag,
            "false",
            "whether a reading tells under `truth` which seeded anomaly shows in it, by its number within the device, 0 for none: for \
             services that learn from what turned out to be true",
        )
        .only(&["json", "cbor"]),
    ],
};

pub(super) static SIZE: Section = Section {
    title: "size = { … }",
    about: "how large payloads are; one that is larger already stays as it is",
    by: Some("law"),
    fields: &[
        Field::with("bytes", Kind::Size(LEAST, MOST), "200B", "the size, its mean, or its median"),
        Field::with(
            "law",
            Kind::Word(&["fixed", "uniform", "normal", "log-normal"]),
            "fixed",
            "all alike, or drawn for every reading",
        ),
        Field::with("least", Kind::Size(LEAST, MOST), "1B", "no payload is padded to less")
            .only(&["uniform", "normal"]),
        Field::with("most", Kind::Size(LEAST, MOST), "64KiB", "no payload is padded to more").only(&[
            "uniform",
            "normal",
            "log-normal",
        ]),
        Field::required("deviation", Kind::Size(LEAST, MOST), "standard deviation").only(&["normal"]),
        Field::with("sigma", Kind::Number(0.01, 3.0), "1", "standard deviation of the size's logarithm")
            .only(&["log-normal"]),
    ],
};

/// `names_run`: readings in JSON and CBOR name the run unless stated; `cut` is what may change their schema.
pub(super) fn payload(
    fleet: &Fields,
    channels: &[Channel],
    (names_run, cut): (bool, Option<Cut>),
    report: &mut Reporter<'_>,
) -> Payload {
    let Some(fields) = fleet.table("payload") else {
        return Payload { run: names_run, ..Payload::default() };
    };
    let size = fields.table("size").map(|size| distribution(&size, report));
    let format = match fields.word("format") {
        Some("cbor") => Format::Cbor,
        Some("binary") => Format::Binary,
        Some("template") => {
            let names: Vec<&str> = channels.iter().map(|channel| &*channel.name).collect();
            let text = fields.text("template").unwrap_or_default();
            match template(&text, &names, Scope::Reading) {
                Ok(template) => Format::Template(Arc::new(template)),
                Err((message, help)) => {
                    fields.refuse("template", report, message, help);
                    Format::Json
                }
            }
        }
        Some("none") => Format::Template(Arc::default()),
        _ => Format::Json,
    };
    let run = match format {
        Format::Json | Format::Cbor if fields.given("run_token").is_none() => names_run,
        _ => fields.flag("run_token"),
    };
    let is_named = matches!(format, Format::Json | Format::Cbor);
    let schema = is_named.then(|| fields.integer("schema") as u8).filter(|schema| *schema > 1);
    if !is_named && cut.is_some_and(|cut| cut.schema.is_some()) {
        let message = "the payload has no schema for `roll-out` to change";
        fleet.refuse("behaviour", report, message, "leave `schema` out, or use the format json or cbor");
    }
    Payload { format, size, run, truth: is_named && fields.flag("truth"), schema }
}

fn distribution(fields: &Fields, report: &mut Reporter<'_>) -> SizeDistribution {
    let bytes = |key| fields.optional_size(key).map_or(0, |size| size.0 as u32);
    let (least, most) = (bytes("least"), bytes("most"));
    if least > most && fields.has("most") && fields.has("least") {
        fields.refuse("least", report, "is more than `most`", "lower `least` or raise `most`");
    }
    match fields.word("law") {
        Some("uniform") => SizeDistribution::Uniform { least, most },
        Some("normal") => {
            let (mean, deviation) = (f64::from(bytes("bytes")), f64::from(bytes("deviation")));
            SizeDistribution::Normal { mean, deviation, least, most }
        }
        Some("log-normal") => SizeDistribution::LogNormal {
            median: f64::from(bytes("bytes")),
            sigma: fields.number("sigma"),
            most,
        },
        _ => SizeDistribution::Fixed(bytes("bytes")),
    }
}
