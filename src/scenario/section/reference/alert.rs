//! `reference.alerts`: when an anomaly becomes an alert, and how it spreads.

use super::LONGEST;
use crate::language::{Field, Fields, Kind, Reporter, Section};
use crate::service::{Alerts, Slow};
use crate::units::Span;

pub(in crate::scenario::section) static ALERTS: Section = Section {
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
            Kind::Word(Slow::WORDS),
            "drop-oldest",
            "what happens to a subscriber for whom more wait; it is told how many it missed",
        ),
    ],
};

pub(super) fn alerts(fields: &Fields, report: &mut Reporter<'_>) -> Alerts {
    let thresholds = ["low", "medium", "high", "critical"].map(|key| fields.number(key));
    if thresholds.windows(2).any(|pair| pair[0] > pair[1]) {
        fields.refuse("low", report, "the thresholds do not rise", "write low ≤ medium ≤ high ≤ critical");
    }
    let (need, of) = (fields.integer("need"), fields.integer("of"));
    if need > of {
        let message = format!("{need} of {of} readings cannot be anomalies");
        fields.refuse("need", report, message, "raise `of` or lower `need`");
    }
    Alerts {
        thresholds,
        need: need as u8,
        of: of as u8,
        clear: fields.number("clear"),
        quiet: fields.span("quiet"),
        history: fields.integer("history") as usize,
        buffer: fields.integer("buffer") as usize,
        slow: fields.word("slow").and_then(Slow::of).unwrap_or(Slow::DropOldest),
    }
}
