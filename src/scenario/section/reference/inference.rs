//! `reference.inference` and `reference.experiment`: what the models cost, and which of them judges.

use crate::language::{Field, Fields, Kind, Section};
use crate::service::{Experiment, Inference, Labour, Law};
use crate::units::Span;

const DEAREST: Span = Span::from_ms(60_000);

pub(in crate::scenario::section) static INFERENCE: Section = Section {
    title: "inference = { … }",
    about: "what one inference costs on top of the model's own arithmetic; a bare span is the mean cost",
    by: None,
    fields: &[
        Field::with(
            "cost",
            Kind::Span(Span::ZERO, DEAREST),
            "0s",
            "mean cost of one inference, of however many readings",
        ),
        Field::with(
            "per_reading",
            Kind::Span(Span::ZERO, DEAREST),
            "0s",
            "cost of every reading in it, on top",
        ),
        Field::with("law", Kind::Word(Law::WORDS), "constant", "how the cost is distributed around its mean"),
        Field::with(
            "labour",
            Kind::Word(Labour::WORDS),
            "cpu",
            "what it takes: processor time, which is really spent, or time alone, as a remote model does",
        ),
    ],
};

pub(in crate::scenario::section) static EXPERIMENT: Section = Section {
    title: "experiment = { … }",
    about: "champion and challenger; a bare number is the share",
    by: None,
    fields: &[
        Field::with(
            "share",
            Kind::Number(0.0, 1.0),
            "0",
            "share of devices that the challenger judges, by their names",
        ),
        Field::optional(
            "cost",
            Kind::Span(Span::ZERO, DEAREST),
            "mean cost of its inferences; the champion's unless stated",
        ),
        Field::with(
            "automatic",
            Kind::Flag,
            "false",
            "the better one takes over all devices, by the rule in docs/reference.md",
        ),
        Field::with(
            "least",
            Kind::Integer(1, 1_000_000_000),
            "10000",
            "readings each must have judged before that",
        ),
    ],
};

pub(super) fn inference(fields: &Fields) -> Inference {
    Inference {
        cost: fields.span("cost"),
        per_reading: fields.span("per_reading"),
        law: fields.word("law").and_then(Law::of).unwrap_or(Law::Constant),
        labour: fields.word("labour").and_then(Labour::of).unwrap_or(Labour::Cpu),
    }
}

pub(super) fn experiment(fields: &Fields) -> Experiment {
    Experiment {
        share: fields.number("share"),
        cost: fields.optional_span("cost"),
        automatic: fields.flag("automatic"),
        least: fields.integer("least"),
    }
}
