//! What an inference costs, and which model makes it.

use crate::language::{Field, Fields, Kind, Section};
use crate::units::Span;
use crate::units::word::words;

words! {
    /// How costs are distributed around their mean.
    CostDistribution {
        /// All the same.
        Constant = "constant",
        /// Exponential: most are short, few are long.
        Exponential = "exponential",
        /// Log-normal with a shape of 1: a heavier tail.
        LogNormal = "log-normal",
    }
}

words! {
    /// What an inference takes.
    CostKind {
        /// Processor time, which is really spent.
        Cpu = "cpu",
        /// Time alone, as a model on another machine does.
        Wait = "wait",
    }
}

/// What an inference costs on top of the model's own arithmetic, standing in for a heavy model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inference {
    /// Mean cost of one inference, of however many readings.
    pub cost: Span,
    /// Cost of every reading in it, on top.
    pub per_reading: Span,
    /// How `cost` is distributed.
    pub law: CostDistribution,
    /// What it takes.
    pub labour: CostKind,
}

/// Highest mean cost of an inference.
const MOST_COST: Span = Span::from_ms(60_000);

pub(crate) static INFERENCE: Section = Section {
    title: "inference = { … }",
    about: "what one inference costs on top of the model's own arithmetic; a bare span is the mean cost",
    by: None,
    fields: &[
        Field::with(
            "cost",
            Kind::Span(Span::ZERO, MOST_COST),
            "0s",
            "mean cost of one inference, of however many readings",
        ),
        Field::with(
            "per_reading",
            Kind::Span(Span::ZERO, MOST_COST),
            "0s",
            "cost of every reading in it, on top",
        ),
        Field::with(
            "law",
            Kind::Word(CostDistribution::WORDS),
            "constant",
            "how the cost is distributed around its mean",
        ),
        Field::with(
            "labour",
            Kind::Word(CostKind::WORDS),
            "cpu",
            "what it takes: processor time, which is really spent, or time alone, as a remote model does",
        ),
    ],
};

pub(crate) static EXPERIMENT: Section = Section {
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
            Kind::Span(Span::ZERO, MOST_COST),
            "mean cost of its inferences; the champion's unless stated",
        ),
        Field::with(
            "automatic",
            Kind::Flag,
            "false",
            "the better one takes over all devices, by the rule in docs/experiment.md",
        ),
        Field::with(
            "least",
            Kind::Integer(1, 1_000_000_000),
            "10000",
            "readings each must have judged before that",
        ),
        Field::with(
            "anomalies",
            Kind::Integer(1, 1_000_000_000),
            "30",
            "anomalies there must have been before that: with `truth` labelled ones that are over, else readings on which one of the two \
             alerted",
        ),
        Field::with(
            "truth",
            Kind::Flag,
            "false",
            "both are held against what readings say under `truth`: the number of the anomaly that shows, 0 for none; without it \
             nothing is made of that key",
        ),
        Field::with(
            "most_cost",
            Kind::Number(1.0, 1_000.0),
            "2",
            "a challenger that is right more often may cost so many times what the champion does, by the p99 of inference",
        ),
    ],
};

impl Inference {
    pub(super) fn from_fields(fields: &Fields) -> Self {
        Self {
            cost: fields.span("cost"),
            per_reading: fields.span("per_reading"),
            law: fields.choice("law"),
            labour: fields.choice("labour"),
        }
    }

    /// Whether it costs anything.
    pub fn is_free(&self) -> bool {
        self.cost == Span::ZERO && self.per_reading == Span::ZERO
    }
}

/// Champion and challenger.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Experiment {
    /// Share of devices that are judged by the challenger, by their names; 0 switches the experiment off.
    pub share: f64,
    /// Mean cost of one inference of the challenger; none: the champion's.
    pub cost: Option<Span>,
    /// Whether the better one takes over all devices by the stated rule.
    pub automatic: bool,
    /// Readings that each must have judged before the rule is applied.
    pub least: u64,
    /// Anomalies that there must have been before the rule is applied.
    pub anomalies: u64,
    /// Whether what readings say of the truth is used.
    pub truth: bool,
    /// How many times what the champion costs a challenger may that is right more often.
    pub most_cost: f64,
}

impl Experiment {
    pub(super) fn from_fields(fields: &Fields) -> Self {
        Self {
            share: fields.number("share"),
            cost: fields.optional_span("cost"),
            automatic: fields.flag("automatic"),
            least: fields.integer("least"),
            anomalies: fields.integer("anomalies"),
            truth: fields.flag("truth"),
            most_cost: fields.number("most_cost"),
        }
    }
}

impl Default for Inference {
    fn default() -> Self {
        Self::from_fields(&Fields::defaults(&INFERENCE))
    }
}

impl Default for Experiment {
    fn default() -> Self {
        Self::from_fields(&Fields::defaults(&EXPERIMENT))
    }
}
