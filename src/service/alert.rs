//! When an anomaly becomes an alert, and how it spreads.

use super::LONGEST;
use crate::language::{Field, FieldValue, Fields, Kind, Reporter, Section};
use crate::units::Span;
use crate::units::word::words;

words! {
    /// What happens to a subscriber whose buffer is full.
    SlowSubscriber {
        /// It misses the oldest alert, and is told how many.
        DropOldest = "drop-oldest",
        /// It misses the newest, and is told how many.
        DropNewest = "drop-newest",
        /// It is disconnected.
        Disconnect = "disconnect",
    }
}

words! {
    /// What alerts are about.
    AlertClass {
        /// Who asks for what it may not have.
        Security = "security",
        /// The service is slow, or does not keep up.
        Performance = "performance",
        /// A part of the service, or a sensor, does not do its work.
        System = "system",
        /// What a device measures is not as usual.
        Anomaly = "anomaly",
    }
}

/// When an anomaly becomes an alert, and how it spreads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alerts {
    /// Least scores of low, medium, high and critical alerts, rising; in e-foldings beyond a device's usual worst 2 %.
    pub thresholds: [f64; 4],
    /// Anomalies among the last `of` readings that make an alert, 1 to `of`.
    pub need: u8,
    /// Readings that are looked back on, 1 to 64.
    pub of: u8,
    /// An alert of a device is over when its score falls below this share of the threshold; until then it does not alert anew
    /// at the same level or below. 1: no hysteresis.
    pub clear: f64,
    /// An alert of the same device and level within this time is not published again.
    pub quiet: Span,
    /// Alerts that are kept for those who ask later.
    pub history: usize,
    /// Alerts that may wait for a subscriber.
    pub buffer: usize,
    /// What happens when more do.
    pub slow: SlowSubscriber,
    /// Which alerts are raised, by [`AlertClass`].
    pub classes: [bool; AlertClass::ALL.len()],
}

pub(crate) static ALERTS: Section = Section {
    title: "alerts = { … }",
    about: "when an anomaly becomes an alert, and how it spreads; scores count e-foldings beyond a device's usual worst 2 %",
    by: None,
    fields: &[
        Field::with("low", Kind::Number(0.0, 1e6), "2.8", "least score of a low anomaly"),
        Field::with("medium", Kind::Number(0.0, 1e6), "5", "least score of a medium one"),
        Field::with("high", Kind::Number(0.0, 1e6), "8", "least score of a high one"),
        Field::with("critical", Kind::Number(0.0, 1e6), "12", "least score of a critical one"),
        Field::with(
            "need",
            Kind::Integer(1, 64),
            "1",
            "anomalies among the last `of` readings of a device that make an alert",
        ),
        Field::with("of", Kind::Integer(1, 64), "1", "readings that are looked back on"),
        Field::with(
            "clear",
            Kind::Number(0.0, 1.0),
            "1",
            "an alert is over when the score falls below this share of its threshold; until then no other of its level or below",
        ),
        Field::with(
            "quiet",
            Kind::Span(Span::ZERO, LONGEST),
            "0s",
            "no alert of the same device and level within this time",
        ),
        Field::with("history", Kind::Integer(0, 1_000_000), "1000", "alerts kept for those who ask later"),
        Field::with("buffer", Kind::Integer(1, 100_000), "256", "alerts that may wait for a subscriber"),
        Field::with(
            "slow",
            Kind::Word(SlowSubscriber::WORDS),
            "drop-oldest",
            "what happens to a subscriber for whom more wait; it is told how many it missed",
        ),
        Field::with(
            "classes",
            Kind::List(&Kind::Word(AlertClass::WORDS)),
            "anomaly",
            "which alerts are raised: of what devices measure, of the service's speed, of its parts and of sensors, of who is refused",
        ),
    ],
};

impl Default for Alerts {
    fn default() -> Self {
        Self::from_fields(&Fields::defaults(&ALERTS), &mut Reporter::new(""))
    }
}

impl Alerts {
    /// Whether alerts of this class are raised.
    pub const fn raises(&self, class: AlertClass) -> bool {
        self.classes[class as usize]
    }

    pub(super) fn from_fields(fields: &Fields, report: &mut Reporter<'_>) -> Self {
        let thresholds = ["low", "medium", "high", "critical"].map(|key| fields.number(key));
        if thresholds.windows(2).any(|pair| pair[0] > pair[1]) {
            fields.refuse(
                "low",
                report,
                "the thresholds do not rise",
                "write low ≤ medium ≤ high ≤ critical",
            );
        }
        let (need, of) = (fields.integer("need"), fields.integer("of"));
        if need > of {
            let message = format!("{need} of {of} readings cannot be anomalies");
            fields.refuse("need", report, message, "raise `of` or lower `need`");
        }
        let chosen = fields.list("classes");
        let is_chosen = |class: &AlertClass| {
            chosen.iter().any(|(_, found)| matches!(found, FieldValue::Word(word) if *word == class.name()))
        };
        let mut classes = [false; AlertClass::ALL.len()];
        for class in AlertClass::ALL {
            classes[*class as usize] = is_chosen(class);
        }
        Self {
            classes,
            thresholds,
            need: need as u8,
            of: of as u8,
            clear: fields.number("clear"),
            quiet: fields.span("quiet"),
            history: fields.integer("history") as usize,
            buffer: fields.integer("buffer") as usize,
            slow: fields.choice("slow"),
        }
    }
}
