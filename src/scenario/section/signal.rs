//! `signal` and `anomalies` of a fleet: what its sensors show, and how they misbehave.

use crate::fleet::{AnomalySpec, Shape, SignalSpec};
use crate::scenario::check::Fields;
use crate::scenario::field::{Field, Kind, Need, Section};
use crate::scenario::problem::Report;
use crate::units::Span;

/// Far beyond any sensor, and far within what payloads can carry at four decimals.
const MOST: f64 = 1e9;

pub(super) static SIGNAL: Section = Section {
    title: "signal = { … }",
    about: "what the sensor of a device shows; every device draws its own course",
    fields: &[
        Field {
            name: "kind",
            kind: Kind::Word(&["sine", "constant", "walk"]),
            need: Need::Default("sine"),
            about: "the undisturbed course: a swing, a level, or a random walk",
        },
        Field {
            name: "level",
            kind: Kind::Number(-MOST, MOST),
            need: Need::Default("20"),
            about: "middle of the swing, the level, or where the walk begins",
        },
        Field {
            name: "noise",
            kind: Kind::Number(0.0, MOST),
            need: Need::Default("0.2"),
            about: "standard deviation of the noise on every reading",
        },
        Field {
            name: "amplitude",
            kind: Kind::Number(0.0, MOST),
            need: Need::Default("5"),
            about: "sine only: largest distance from the level",
        },
        Field {
            name: "period",
            kind: Kind::Span(Span::from_ms(1), Span::from_ms(366 * 24 * 3_600_000)),
            need: Need::Default("1m"),
            about: "sine only: length of one swing",
        },
        Field {
            name: "step",
            kind: Kind::Number(0.0, MOST),
            need: Need::Default("0.1"),
            about: "walk only: standard deviation of the step from one reading to the next",
        },
        Field {
            name: "range",
            kind: Kind::Number(0.0, MOST),
            need: Need::Default("10"),
            about: "walk only: largest distance from the level, where the walk is reflected",
        },
    ],
};

pub(super) static ANOMALIES: Section = Section {
    title: "anomalies = { … }",
    about: "how often and how badly a device's sensor misbehaves; left out, it never does",
    fields: &[
        Field {
            name: "spikes",
            kind: Kind::Number(0.0, 1.0),
            need: Need::Default("0"),
            about: "probability that a reading is a spike: one value off",
        },
        Field {
            name: "shifts",
            kind: Kind::Number(0.0, 1.0),
            need: Need::Default("0"),
            about: "probability that a reading begins a level shift, or ends the one under way",
        },
        Field {
            name: "size",
            kind: Kind::Number(0.0, 1_000.0),
            need: Need::Default("3"),
            about: "distance of both, in half-widths of the signal's normal band (amplitude + 3 × noise)",
        },
    ],
};

/// The signal in a fleet's fields.
pub(super) fn signal(fleet: &Fields, report: &mut Report<'_>) -> SignalSpec {
    let silent =
        SignalSpec { shape: Shape::Constant { level: 0.0 }, noise: 0.0, anomalies: AnomalySpec::default() };
    let Some(fields) = fleet.table("signal") else { return silent };
    let level = fields.number("level");
    let (shape, foreign): (_, &[&str]) = match fields.word("kind") {
        Some("constant") => (Shape::Constant { level }, &["amplitude", "period", "step", "range"]),
        Some("walk") => {
            let walk = Shape::Walk { level, step: fields.number("step"), range: fields.number("range") };
            (walk, &["amplitude", "period"])
        }
        Some(_) => {
            let period_ns = fields.span("period").as_ns();
            (Shape::Sine { level, amplitude: fields.number("amplitude"), period_ns }, &["step", "range"])
        }
        None => return silent,
    };
    let kind = fields.word("kind").unwrap_or_default();
    fields.refuse_given(foreign, report, &format!("means nothing for a signal of kind `{kind}`"));
    let anomalies = fleet.table("anomalies").map_or_else(AnomalySpec::default, |fields| AnomalySpec {
        spikes: fields.number("spikes"),
        shifts: fields.number("shifts"),
        size: fields.number("size"),
    });
    SignalSpec { shape, noise: fields.number("noise"), anomalies }
}
