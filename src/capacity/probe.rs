//! One probe: what was offered, what came of it, and whether the budgets held.

use serde::{Deserialize, Serialize};

/// What a probe says of its load factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// All budgets held.
    Met,
    /// A budget did not hold.
    Missed,
    /// The generator was the bottleneck: the service was not shown this load, so nothing is said of it.
    GeneratorLimited,
    /// Nothing can be said for another reason: the probe was disturbed or interrupted, or had too few readings.
    Unjudged,
}

impl Verdict {
    /// As people and files have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::GeneratorLimited => "generator limited",
            Self::Unjudged => "unjudged",
        }
    }
}

/// One probe of a service at one load factor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Probe {
    /// Its place in the order of time, from 1 on.
    pub number: u32,
    /// The factor by which the plan's load was multiplied.
    pub factor: f64,
    /// Readings planned per second.
    pub offered_per_s: f64,
    /// Readings answered ok per second.
    pub goodput_per_s: f64,
    /// Median response time, milliseconds; `None` where it is not known.
    pub p50_ms: Option<f64>,
    /// 99 % response time, milliseconds; `None` where it is not known.
    pub p99_ms: Option<f64>,
    /// How far the budget that is nearest to its bound, or furthest beyond, is used up: measured ÷ bound, or bound ÷ measured of a
    /// floor. Below 1 it is met, above 1 it is missed; `None` where there is no such ratio.
    pub usage: Option<f64>,
    /// What the probe says.
    pub verdict: Verdict,
}

impl Probe {
    /// Whether the budgets held; `None` if nothing is said of the service.
    pub(crate) const fn met(&self) -> Option<bool> {
        match self.verdict {
            Verdict::Met => Some(true),
            Verdict::Missed => Some(false),
            Verdict::GeneratorLimited | Verdict::Unjudged => None,
        }
    }

    /// The logarithm of [`Probe::usage`]; `None` where it is not known, or says something else than the verdict.
    pub(super) fn log_usage(&self) -> Option<f64> {
        let usage = self.usage?.ln();
        let agrees = self.met().is_some_and(|met| if met { usage <= 0.0 } else { usage >= 0.0 });
        agrees.then_some(usage)
    }
}
