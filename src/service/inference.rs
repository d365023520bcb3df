//! What an inference costs, and which model makes it.

use crate::units::Span;
use crate::units::word::words;

words! {
    /// How costs are distributed around their mean.
    Law {
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
    Labour {
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
    pub law: Law,
    /// What it takes.
    pub labour: Labour,
}

impl Default for Inference {
    fn default() -> Self {
        Self { cost: Span::ZERO, per_reading: Span::ZERO, law: Law::Constant, labour: Labour::Cpu }
    }
}

impl Inference {
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
}

impl Default for Experiment {
    fn default() -> Self {
        Self { share: 0.0, cost: None, automatic: false, least: 10_000 }
    }
}
