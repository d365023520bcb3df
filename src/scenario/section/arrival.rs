//! `arrival` of a fleet: the law of the gaps between a device's readings.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::Fingerprint;
use crate::arrival::{ArrivalProcess, Load, Recording, Shape, Stretch};
use crate::clock::Tick;
use crate::language::{Field, Fields, Kind, Refusal, Reporter, Section, Text};
use crate::scenario::recording::{CellKind, Wanted, columns, rows};
use crate::scenario::spool::InstantStore;
use crate::units::{Rate, Span};

const DAY: Span = Span::from_ms(24 * 3_600_000);

/// Readings per second of one device that a recording may ask for, as `rate` may.
const MOST_RATE: f64 = 1e5;

/// Rows that a repeated recording may come to.
const MOST_REPEATED: f64 = 4e6;

/// What to do about a recording that goes back in time.
const UNSORTED: &str = "sort the recording by its time";

/// Words for laws that take their instants or their rate from a recording.
const RECORDED: [&str; 2] = ["recorded", "recorded-rate"];

pub(super) static ARRIVAL: Section = Section {
    title: "arrival = { … }",
    about: "the law of the gaps between a device's readings; all keep the fleet's `rate` on average",
    by: Some("law"),
    fields: &[
        Field::with(
            "law",
            Kind::Word(&[
                "constant",
                "poisson",
                "erlang",
                "gamma",
                "log-normal",
                "pareto",
                "on-off",
                "aligned",
                "recorded",
                "recorded-rate",
            ]),
            "constant",
            "constant: a timer; poisson: unrelated events; erlang, gamma: smoother or burstier; log-normal, pareto: \
             heavy tails; on-off: bursts; aligned: all devices together; recorded: instants or rates from a file",
        ),
        Field::with(
            "jitter",
            Kind::Number(0.0, 0.5),
            "0.1",
            "displacement of each reading to either side, as a fraction of the interval; it never accumulates",
        )
        .only(&["constant"]),
        Field::with("stages", Kind::Integer(1, 1_000), "2", "exponential stages of a gap: 1 is poisson, more are smoother")
            .only(&["erlang"]),
        Field::required("shape", Kind::Number(0.1, 1_000.0), "below 1 burstier than poisson, above 1 smoother")
            .only(&["gamma"]),
        Field::with("sigma", Kind::Number(0.01, 3.0), "1", "standard deviation of a gap's logarithm")
            .only(&["log-normal"]),
        Field::with("tail", Kind::Number(1.05, 100.0), "2.5", "exponent of the tail: the smaller, the heavier")
            .only(&["pareto"]),
        Field::required("on", Kind::Span(Span::from_ms(1), DAY), "mean length of a burst").only(&["on-off"]),
        Field::required("off", Kind::Span(Span::from_ms(1), DAY), "mean length of the silence between bursts")
            .only(&["on-off"]),
        Field::with("spread", Kind::Span(Span::ZERO, DAY), "2s", "how long after the common instant a device may report")
            .only(&["aligned"]),
        Field::required("file", Kind::Text, "CSV file with a header, from the directory of the scenario")
            .only(&RECORDED),
        Field::with("time", Kind::Text, "time", "its column of instants: seconds, or dates with times").only(&RECORDED),
        Field::optional(
            "unit",
            Kind::Word(&["s", "ms", "us", "ns"]),
            "what numbers in that column count, seconds unless stated; must be stated where they are too large for seconds",
        )
        .only(&RECORDED),
        Field::with("value", Kind::Text, "rate", "its column of the whole fleet's readings per second, each valid until the next row")
            .only(&["recorded-rate"]),
        Field::with("repeat", Kind::Flag, "false", "start the recording again when it ends; else the fleet falls silent")
            .only(&RECORDED),
    ],
};

/// What a fleet's `rate` and `arrival` come to.
#[derive(Debug)]
pub(super) struct FleetArrival {
    pub(super) rate: Rate,
    pub(super) process: ArrivalProcess,
    pub(super) recorded_rate: Option<Arc<Load>>,
}

/// Reads `rate` and `arrival` of an open fleet. What a recording holds is appended to `canonical`.
///
/// `horizon_ns` is the most operational time that can pass in the plan.
pub(super) fn arrival(
    fleet: &Fields,
    horizon_ns: f64,
    canonical: &mut String,
    report: &mut Reporter<'_>,
) -> FleetArrival {
    let silent =
        FleetArrival { rate: Rate::default(), process: ArrivalProcess::Poisson, recorded_rate: None };
    let Some(fields) = fleet.table("arrival") else { return silent };
    let Some(word) = fields.word("law") else { return silent };
    if RECORDED.contains(&word) {
        fleet.refuse_given(
            &["rate"],
            report,
            "cannot be combined with a recording, which says how much is sent",
        );
        return recorded(word, &fields, fleet, horizon_ns, canonical, report).unwrap_or(silent);
    }
    if !fleet.has("rate") && fleet.given("rate").is_none() {
        let help = "an open fleet needs the rate of one device, for example rate = \"1/s\"";
        fleet.refuse("rate", report, "is missing", help);
    }
    let rate = fleet.rate("rate");
    let process = match word {
        "poisson" => ArrivalProcess::Poisson,
        "erlang" => ArrivalProcess::Gamma { shape: fields.integer("stages") as f64 },
        "gamma" => ArrivalProcess::Gamma { shape: fields.number("shape") },
        "log-normal" => ArrivalProcess::LogNormal { sigma: fields.number("sigma") },
        "pareto" => ArrivalProcess::Pareto { tail: fields.number("tail") },
        "on-off" => ArrivalProcess::OnOff { on: fields.span("on"), off: fields.span("off") },
        "aligned" => {
            let spread = fields.span("spread");
            if fleet.has("rate") && spread.as_secs_f64() * rate.as_per_second() > 1.0 {
                let message = format!("a spread of {spread} is longer than the time between two readings");
                fields.refuse("spread", report, message, "shorten `spread` or lower `rate`");
            }
            ArrivalProcess::Aligned { spread }
        }
        _ => ArrivalProcess::Constant { jitter: fields.number("jitter") },
    };
    FleetArrival { rate, process, recorded_rate: None }
}

fn recorded(
    word: &str,
    fields: &Fields,
    fleet: &Fields,
    horizon_ns: f64,
    canonical: &mut String,
    report: &mut Reporter<'_>,
) -> Option<FleetArrival> {
    let (file, time) = (fields.text("file")?, fields.text("time")?);
    let unit = fields.word("unit").map(|unit| match unit {
        "ms" => 1e-3,
        "us" => 1e-6,
        "ns" => 1e-9,
        _ => 1.0,
    });
    let stamped = (&time, CellKind::Time(unit));
    let devices = fleet.integer("devices").max(1);
    let repeat = fields.flag("repeat");
    if word == "recorded" {
        let times = match instants(&report.context().directory, &file, stamped, canonical) {
            Ok(times) => times,
            Err((message, help)) => {
                fields.refuse("file", report, message, help);
                return None;
            }
        };
        let process = ArrivalProcess::Recorded { times, device: 0, devices: devices as u32 };
        if repeat {
            let help = "record more, or use law = \"recorded-rate\", which can be repeated";
            fields.refuse("repeat", report, "single instants are played once", help);
        }
        return Some(FleetArrival { rate: Rate::default(), process, recorded_rate: None });
    }
    let value = fields.text("value").unwrap_or_default();
    let wanted = [stamped, (&value, CellKind::Number)];
    let columns = match columns(&report.context().directory, &file, &wanted) {
        Ok(columns) => columns,
        Err((message, help)) => {
            fields.refuse("file", report, message, help);
            return None;
        }
    };
    let times = held_instants(&columns[0], fields, report)?;
    let mut fingerprint = Fingerprint::default();
    columns.iter().flatten().for_each(|value| fingerprint.add(*value));
    let _ = writeln!(canonical, "recording={fingerprint}");
    let horizon_ns = if repeat { horizon_ns } else { 0.0 };
    let recorded_rate = recorded_rate(&times, &columns[1], devices as f64, horizon_ns, fields, report)?;
    Some(FleetArrival {
        rate: Rate::per_second(1.0)?,
        process: ArrivalProcess::Poisson,
        recorded_rate: Some(Arc::new(recorded_rate)),
    })
}

/// The instants of the file `path`, however many they are: no more of them than fit are held in memory.
fn instants(
    directory: &Path,
    path: &Text,
    stamped: Wanted<'_>,
    canonical: &mut String,
) -> Result<Recording, Refusal> {
    let (mut store, mut fingerprint) = (InstantStore::default(), Fingerprint::default());
    let (mut first, mut last) = (None, f64::NEG_INFINITY);
    rows(directory, path, &[stamped], |values| {
        for &second in values {
            if second < last {
                return Err(("the time is before that of the row above".into(), UNSORTED.into()));
            }
            last = second;
            fingerprint.add(second);
            store.push(nanoseconds(second - *first.get_or_insert(second))).map_err(|error| unkept(&error))?;
        }
        Ok(())
    })?;
    let _ = writeln!(canonical, "recording={fingerprint}");
    store.finish().map_err(|error| unkept(&error))
}

/// The file that holds what does not fit into memory cannot be written.
fn unkept(error: &io::Error) -> Refusal {
    let message = format!(
        "what is beyond a million rows cannot be kept in {}: {error}",
        std::env::temp_dir().display()
    );
    (message, "let TMPDIR name a directory with room for 8 bytes per row".to_owned())
}

fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

/// Instants in nanoseconds since the first, which must not go back.
fn held_instants(seconds: &[f64], fields: &Fields, report: &mut Reporter<'_>) -> Option<Vec<u64>> {
    let first = seconds.first().copied()?;
    if let Some(row) = seconds.windows(2).position(|pair| pair[1] < pair[0]) {
        let message = format!("row {} of the recording goes back in time", row + 2);
        fields.refuse("file", report, message, UNSORTED);
        return None;
    }
    Some(seconds.iter().map(|second| nanoseconds(second - first)).collect())
}

/// A recorded rate of the whole fleet as a load on one device of rate 1/s, repeated until `horizon_ns`. The last row
/// holds as long as the one before it.
fn recorded_rate(
    times: &[u64],
    rates: &[f64],
    devices: f64,
    horizon_ns: f64,
    fields: &Fields,
    report: &mut Reporter<'_>,
) -> Option<Load> {
    if let Some(row) = rates.iter().position(|rate| *rate < 0.0) {
        let message = format!("the rate in row {} is negative", row + 1);
        fields.refuse("value", report, message, "correct the recording");
        return None;
    }
    if let Some(row) = rates.iter().position(|rate| rate / devices > MOST_RATE) {
        let message =
            format!("the rate in row {} is more than {MOST_RATE} readings per second and device", row + 1);
        fields.refuse("value", report, message, "correct the recording, or share it among more devices");
        return None;
    }
    let last = times.last().copied()?;
    // The row before the last instant that is not of that instant.
    let before = times.iter().rev().find(|at| **at < last);
    let tail = before.map_or(DAY.as_ns(), |before| last - before);
    let length = last + tail;
    let rounds = (horizon_ns / length as f64).ceil().max(1.0);
    if rounds > 1.0 && rounds * times.len() as f64 > MOST_REPEATED {
        let message = format!("the recording would have to be repeated {rounds} times");
        fields.refuse("repeat", report, message, "record for longer, or take `repeat` out");
        return None;
    }
    let ends = times.iter().copied().skip(1).chain([length]);
    let one: Vec<(u64, u64, f64)> = times
        .iter()
        .zip(ends)
        .zip(rates)
        .filter(|((start, end), _)| *start < end)
        .map(|((start, end), rate)| (*start, end, rate / devices))
        .collect();
    let stretches = (0..rounds as u64).flat_map(|round| {
        let at = move |ns: u64| Tick(round * length + ns);
        one.iter().map(move |(start, end, load)| Stretch {
            start: at(*start),
            end: at(*end),
            shape: Shape::Flat(*load),
        })
    });
    Some(Load::new(stretches.collect()))
}
