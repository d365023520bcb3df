//! `behaviour` of a fleet: how connected devices are known to behave, as presets with a knob each.

use super::payload::MOST_SCHEMA;
use crate::fleet::ClockSpec;
use crate::language::{Field, FieldValue, Fields, Kind, Reporter, Section};
use crate::scenario::model::Cut;
use crate::units::{Rate, Span};

const DAY: Span = Span::from_ms(24 * 3_600_000);

/// Preset behaviours that cut connections; a fleet has one of them at most.
const CUTTING: [&str; 3] = ["thundering-herd", "store-and-forward", "roll-out"];

pub(super) static BEHAVIOUR: Section = Section {
    title: "behaviour = { … }",
    about: "how connected devices are known to behave; one preset, or a list of those that go together. Instants count \
            from the beginning of the first phase",
    by: Some("preset"),
    fields: &[
        Field::required(
            "preset",
            Kind::Word(&[
                "periodic",
                "top-of-minute",
                "thundering-herd",
                "store-and-forward",
                "sleepy",
                "roll-out",
                "at-least-once",
                "clock-skew",
            ]),
            "periodic: a timer with jitter; top-of-minute: all report together; thundering-herd: all reconnect at once; \
             store-and-forward: offline, then the backlog in order; sleepy: wake, send, sleep; roll-out: one after the \
             other restarts; at-least-once: some readings twice; clock-skew: wrong clocks",
        ),
        Field::with(
            "jitter",
            Kind::Number(0.0, 0.5),
            "0.1",
            "displacement of each reading, as a fraction of the interval",
        )
        .only(&["periodic"]),
        Field::with(
            "spread",
            Kind::Span(Span::ZERO, DAY),
            "2s",
            "how long after the common instant a device may report",
        )
        .only(&["top-of-minute"]),
        Field::with("at", Kind::Span(Span::ZERO, DAY), "10s", "when connections are cut").only(&CUTTING),
        Field::with("share", Kind::Number(0.0, 1.0), "1", "share of the devices, chosen by the seed")
            .only(&["thundering-herd", "store-and-forward"]),
        Field::with("offline", Kind::Span(Span::from_ms(1), DAY), "20s", "how long the devices are offline")
            .only(&["store-and-forward"]),
        Field::with("flush", Kind::Rate(1e-3, 1e5), "10/s", "how fast each device sends what it stored")
            .only(&["store-and-forward"]),
        Field::with(
            "awake",
            Kind::Span(Span::ZERO, DAY),
            "2s",
            "how long a device listens after its last answer",
        )
        .only(&["sleepy"]),
        Field::with("pace", Kind::Rate(1e-3, 1e6), "1000/m", "devices that restart per second or minute")
            .only(&["roll-out"]),
        Field::with("restart", Kind::Span(Span::ZERO, DAY), "5s", "how long a restart takes")
            .only(&["roll-out"]),
        Field::optional(
            "schema",
            Kind::Integer(1, MOST_SCHEMA),
            "the schema of a device's readings from its restart on, as `schema` of `payload`; unless stated, as before",
        )
        .only(&["roll-out"]),
        Field::with(
            "one_in",
            Kind::Integer(1, 1_000_000_000),
            "100",
            "one reading in this many is sent twice",
        )
        .only(&["at-least-once"]),
        Field::with(
            "offset",
            Kind::Span(Span::ZERO, DAY),
            "5s",
            "clocks are wrong by up to this, either way",
        )
        .only(&["clock-skew"]),
        Field::with(
            "drift",
            Kind::Number(0.0, 100_000.0),
            "50",
            "and drift by up to this, parts per million",
        )
        .only(&["clock-skew"]),
    ],
};

/// What the presets of a fleet come to.
#[derive(Debug, Default)]
pub(super) struct PresetBehaviour {
    /// Jitter of a timer.
    pub(super) jitter: Option<f64>,
    /// All together, spread over this.
    pub(super) aligned: Option<Span>,
    pub(super) cut: Option<Cut>,
    pub(super) flush: Option<Rate>,
    pub(super) sleepy: Option<Span>,
    pub(super) repeat_one_in: u32,
    pub(super) clock: ClockSpec,
}

/// Reads the presets of a fleet and refuses those that do not go together.
pub(super) fn presets(fleet: &Fields, report: &mut Reporter<'_>) -> PresetBehaviour {
    let mut presets = PresetBehaviour::default();
    let mut seen: Vec<&'static str> = Vec::new();
    for (_, found) in fleet.list("behaviour") {
        let FieldValue::Table(fields) = found else { continue };
        let Some(word) = fields.word("preset") else { continue };
        if let Some(other) = seen.iter().find(|other| excludes(word, other)) {
            let message = format!("`{word}` and `{other}` do not go together");
            fields.refuse("preset", report, message, "keep one of them, or make two fleets");
        }
        seen.push(word);
        presets.take(word, fields);
    }
    presets
}

fn excludes(one: &str, other: &str) -> bool {
    let both = |words: &[&str]| words.contains(&one) && words.contains(&other);
    let coming_and_going = ["thundering-herd", "store-and-forward", "roll-out", "sleepy"];
    one == other || both(&["periodic", "top-of-minute"]) || both(&coming_and_going)
}

impl PresetBehaviour {
    fn take(&mut self, word: &str, fields: &Fields) {
        let cut = |away, pace, share| Some(Cut { at: fields.span("at"), away, pace, share, schema: None });
        match word {
            "periodic" => self.jitter = Some(fields.number("jitter")),
            "top-of-minute" => self.aligned = Some(fields.span("spread")),
            "thundering-herd" => self.cut = cut(Span::ZERO, None, fields.number("share")),
            "store-and-forward" => {
                self.cut = cut(fields.span("offline"), None, fields.number("share"));
                self.flush = Some(fields.rate("flush"));
            }
            "sleepy" => self.sleepy = Some(fields.span("awake")),
            "roll-out" => {
                let cut = cut(fields.span("restart"), Some(fields.rate("pace")), 1.0);
                let schema = fields.has("schema").then(|| fields.integer("schema") as u8);
                self.cut = cut.map(|cut| Cut { schema, ..cut });
            }
            "at-least-once" => self.repeat_one_in = fields.integer("one_in") as u32,
            _ => {
                let (offset_ns, drift_ppm) = (fields.span("offset").as_ns(), fields.number("drift"));
                self.clock = ClockSpec { offset_ns, drift_ppm };
            }
        }
    }
}
