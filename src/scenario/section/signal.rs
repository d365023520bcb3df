//! `signal`, `channel` and `anomalies` of a fleet: what its sensors show, and how they misbehave.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::fleet::{AnomalySpec, Channel, RecordedSignal, Shape, SignalSpec};
use crate::language::{Field, FieldValue, Fields, Kind, Reporter, Section};
use crate::scenario::recording::{CellKind, columns};
use crate::units::Span;

/// Far beyond any sensor, and far within what payloads can carry at four decimals.
const MOST: f64 = 1e9;
/// Channels of a device.
const MOST_CHANNELS: usize = 16;
/// A year.
const YEAR: Span = Span::from_ms(366 * 24 * 3_600_000);
/// Keys of a reading that a channel must not be called.
const RESERVED: [&str; 10] =
    ["schema", "device", "class", "run", "seq", "intended_ns", "taken_ns", "device_ns", "truth", "pad"];

pub(super) static SIGNAL: Section = Section {
    title: "signal = { … }",
    about: "what the sensor of a device shows; every device draws its own course",
    by: Some("kind"),
    fields: &[
        Field::with(
            "kind",
            Kind::Word(&["sine", "constant", "walk", "step", "daily", "replay"]),
            "sine",
            "a swing, a level, a random walk, a square wave, days and weekends, or recorded data",
        ),
        Field::with(
            "level",
            Kind::Number(-MOST, MOST),
            "20",
            "middle of the swing, the level, or where it begins",
        )
        .only(&["sine", "constant", "walk", "step", "daily"]),
        Field::with(
            "noise",
            Kind::Number(0.0, MOST),
            "0.2",
            "standard deviation of the noise on every reading",
        ),
        Field::with("amplitude", Kind::Number(0.0, MOST), "5", "largest distance from the level")
            .only(&["sine", "daily"]),
        Field::with("period", Kind::Span(Span::from_ms(1), YEAR), "1m", "length of one swing")
            .only(&["sine"]),
        Field::with(
            "step",
            Kind::Number(0.0, MOST),
            "0.1",
            "standard deviation of the step from one reading to the next",
        )
        .only(&["walk"]),
        Field::with("range", Kind::Number(0.0, MOST), "10", "largest distance from the level")
            .only(&["walk"]),
        Field::with("height", Kind::Number(-MOST, MOST), "5", "how far the upper level lies above the lower")
            .only(&["step"]),
        Field::with(
            "every",
            Kind::Span(Span::from_ms(1), YEAR),
            "30s",
            "time between two steps, or between two recorded values",
        )
        .only(&["step", "replay"]),
        Field::with(
            "weekend",
            Kind::Number(0.0, 1.0),
            "0.3",
            "share of the amplitude on the sixth and seventh day",
        )
        .only(&["daily"]),
        Field::with(
            "day",
            Kind::Span(Span::from_ms(1), YEAR),
            "24h",
            "length of a day; shorten it to see a week in a test",
        )
        .only(&["daily"]),
        Field::required("file", Kind::Text, "CSV file with a header, from the directory of the scenario")
            .only(&["replay"]),
        Field::with(
            "value",
            Kind::Text,
            "value",
            "its column of values; each device begins at a row of its own",
        )
        .only(&["replay"]),
        Field::with(
            "anomalies",
            Kind::Table(&ANOMALIES),
            "",
            "how often and how badly this sensor misbehaves",
        ),
    ],
};

pub(super) static ANOMALIES: Section = Section {
    title: "anomalies = { … }",
    about: "how often and how badly a sensor misbehaves; all seeded, and written to the run's files",
    by: None,
    fields: &[
        Field::with("spikes", Kind::Number(0.0, 1.0), "0", "probability that a reading is one value off"),
        Field::with(
            "shifts",
            Kind::Number(0.0, 1.0),
            "0",
            "probability that a reading begins a level shift; the next takes it back",
        ),
        Field::with("drifts", Kind::Number(0.0, 1.0), "0", "probability that a reading begins a drift"),
        Field::with(
            "stuck",
            Kind::Number(0.0, 1.0),
            "0",
            "probability that a reading begins a run of one repeated value",
        ),
        Field::with(
            "variances",
            Kind::Number(0.0, 1.0),
            "0",
            "probability that a reading begins a stretch of stronger noise",
        ),
        Field::with(
            "size",
            Kind::Number(0.0, 1_000.0),
            "4",
            "how far off, in multiples of the signal's normal spread",
        ),
        Field::with(
            "length",
            Kind::Integer(2, 100_000),
            "30",
            "readings that a drift, a stuck value or stronger noise lasts",
        ),
        Field::with(
            "after",
            Kind::Integer(0, 1_000_000_000),
            "0",
            "readings of a device before its first anomaly",
        ),
    ],
};

/// The channels of a fleet: those of `channel`, or the one of `signal`.
pub(super) fn channels(fleet: &Fields, canonical: &mut String, report: &mut Reporter<'_>) -> Vec<Channel> {
    let named: Vec<_> = fleet.map("channel").collect();
    if named.is_empty() {
        let Some(fields) = fleet.table("signal") else { return Vec::new() };
        let mut signal = signal(&fields, canonical, report);
        if let Some(own) = fleet.table("anomalies") {
            if fields.given("anomalies").is_some() && fleet.given("anomalies").is_some() {
                let help = "keep one of the two";
                fleet.refuse("anomalies", report, "stands beside the signal's own `anomalies`", help);
            } else if fields.given("anomalies").is_none() {
                signal.anomalies = anomalies(&own);
            }
        }
        return vec![Channel { name: "value".into(), signal }];
    }
    let because = "cannot be combined with `channel`; give it inside a channel";
    fleet.refuse_given(&["signal", "anomalies"], report, because);
    if named.len() > MOST_CHANNELS {
        let message = format!("{} channels are too many", named.len());
        fleet.refuse("channel", report, message, format!("keep to {MOST_CHANNELS} channels"));
        return Vec::new();
    }
    let mut channels = Vec::with_capacity(named.len());
    for (name, origin, found) in named {
        let key = format!("{}.channel.{name}", fleet.path);
        if !is_channel_name(name) {
            report.add(origin, &key, "is not a valid channel name", "write 1 to 64 of a-z, 0-9, - and _");
        }
        if is_reserved(name) {
            let message = format!("`{name}` is a key that readings have");
            report.add(origin, &key, message, "choose another name");
        }
        if let FieldValue::Table(fields) = found {
            channels.push(Channel { name: name.into(), signal: signal(fields, canonical, report) });
        }
    }
    // What stands for the reading where only one value is wanted comes first.
    channels.sort_by_key(|channel| &*channel.name != "value");
    channels
}

/// Whether it may be a key of readings: 1 to 64 of `a`–`z`, `0`–`9`, `-` and `_`.
pub(super) fn is_channel_name(name: &str) -> bool {
    let is_sound =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&name.len()) && name.bytes().all(is_sound)
}

/// Whether every reading has a key of this name.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

fn signal(fields: &Fields, canonical: &mut String, report: &mut Reporter<'_>) -> SignalSpec {
    let (level, amplitude) = (fields.number("level"), fields.number("amplitude"));
    let shape = match fields.word("kind") {
        Some("constant") => Shape::Constant { level },
        Some("walk") => Shape::Walk { level, step: fields.number("step"), range: fields.number("range") },
        Some("step") => {
            let every_ns = fields.span("every").as_ns();
            Shape::Step { level, height: fields.number("height"), every_ns }
        }
        Some("daily") => {
            let (weekend, day_ns) = (fields.number("weekend"), fields.span("day").as_ns());
            Shape::Daily { level, amplitude, weekend, day_ns }
        }
        Some("replay") => match track(fields, canonical, report) {
            Some(track) => Shape::Replay(Arc::new(track)),
            None => Shape::Constant { level },
        },
        _ => Shape::Sine { level, amplitude, period_ns: fields.span("period").as_ns() },
    };
    let anomalies = fields.table("anomalies").map_or_else(AnomalySpec::default, |own| anomalies(&own));
    SignalSpec { shape, noise: fields.number("noise"), anomalies }
}

fn track(fields: &Fields, canonical: &mut String, report: &mut Reporter<'_>) -> Option<RecordedSignal> {
    let (file, value) = (fields.text("file")?, fields.text("value")?);
    match columns(&report.context().directory, &file, &[(&value, CellKind::Number)]) {
        Ok(columns) => {
            let values = columns.into_iter().next()?;
            if let Some(row) = values.iter().position(|value| value.abs() > MOST) {
                let message = format!("the value in row {} is beyond ±{MOST:e}", row + 1);
                fields.refuse("file", report, message, "correct the recording");
                return None;
            }
            let mut fingerprint = super::Fingerprint::default();
            for value in &values {
                fingerprint.add(*value);
            }
            let _ = writeln!(canonical, "track={fingerprint}");
            Some(RecordedSignal { values, every_ns: fields.span("every").as_ns() })
        }
        Err((message, help)) => {
            fields.refuse("file", report, message, help);
            None
        }
    }
}

fn anomalies(fields: &Fields) -> AnomalySpec {
    AnomalySpec {
        spikes: fields.number("spikes"),
        shifts: fields.number("shifts"),
        drifts: fields.number("drifts"),
        stuck: fields.number("stuck"),
        variances: fields.number("variances"),
        size: fields.number("size"),
        length: fields.integer("length") as u32,
        after: fields.integer("after"),
    }
}
