//! `[scenario]` and `[run]`: what a scenario is called, and the timing around its phases.

use crate::language::{Field, Fields, Kind, Section};
use crate::scenario::model::RunSettings;
use crate::units::Span;

const HOUR: Span = Span::from_ms(3_600_000);

pub(super) static SCENARIO: Section = Section {
    title: "[scenario]",
    about: "what the scenario is called, and the seed of everything random in it",
    by: None,
    fields: &[
        Field::required("name", Kind::Name, "names the scenario and the directory of its results"),
        Field::optional("about", Kind::Text, "what it is for, in a sentence"),
        Field::with(
            "seed",
            Kind::Integer(0, u64::MAX),
            "1",
            "fixes everything random; the same seed gives the same plan",
        ),
    ],
};

pub(super) static RUN: Section = Section {
    title: "[run]",
    about: "timing around the phases",
    by: None,
    fields: &[
        Field::with(
            "connect_rate",
            Kind::Rate(0.1, 1e6),
            "500/s",
            "new connections per second of each fleet that names no rate of its own",
        ),
        Field::with(
            "warm_up",
            Kind::Span(Span::ZERO, HOUR),
            "3s",
            "sending at a load of 1 before the first phase, kept out of the headline",
        ),
        Field::with(
            "drain",
            Kind::Span(Span::ZERO, Span::from_ms(600_000)),
            "5s",
            "longest wait for answers after the last phase; then a reading is lost",
        ),
        Field::with(
            "interval",
            Kind::Span(Span::from_ms(100), Span::from_ms(60_000)),
            "1s",
            "length of a recording interval",
        ),
        Field::with(
            "connect_timeout",
            Kind::Span(Span::from_ms(1), Span::from_ms(60_000)),
            "5s",
            "longest time one connection attempt may take",
        ),
        Field::optional(
            "align",
            Kind::Span(Span::from_ms(1_000), HOUR),
            "wait before the run, so that sending starts at a whole multiple of this on the wall clock (UTC)",
        ),
        Field::with(
            "demand_delivery",
            Kind::Flag,
            "false",
            "the run fails (exit code 99) if what a fleet `expects` of delivery was not kept, or not tested",
        ),
    ],
};

pub(super) fn settings(run: &Fields) -> RunSettings {
    RunSettings {
        connect_rate: run.rate("connect_rate"),
        warm_up: run.span("warm_up"),
        drain: run.span("drain"),
        interval: run.span("interval"),
        connect_timeout: run.span("connect_timeout"),
        align: run.optional_span("align"),
        demand_delivery: run.flag("demand_delivery"),
    }
}
