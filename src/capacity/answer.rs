//! What a search has found.

use serde::{Deserialize, Serialize};

use super::probe::Probe;
use super::scalability::Scalability;
use super::trend::Trend;

/// What ended the range in which the knee could be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "end")]
pub(crate) enum End {
    /// The generator: from this factor on every probe was limited by it.
    Generator {
        /// The lowest factor at which it was the bottleneck.
        factor: f64,
    },
    /// The highest factor that was to be probed.
    Highest {
        /// That factor.
        factor: f64,
    },
}

impl End {
    /// The factor at which the range ended.
    pub(crate) const fn factor(self) -> f64 {
        let (Self::Generator { factor } | Self::Highest { factor }) = self;
        factor
    }
}

/// What can be said of the knee: the load factor at which a probe keeps to the budgets every other time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "finding")]
pub(crate) enum Finding {
    /// It lies in an interval no wider than was asked for.
    Knee {
        /// The best estimate.
        factor: f64,
        /// The lower end of the interval.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// It lies in this interval, which is wider than was asked for: the search ended before.
    Open {
        /// The best estimate.
        factor: f64,
        /// The lower end of the interval.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// It lies above a factor, beyond what could be probed.
    AtLeast {
        /// The factor.
        factor: f64,
        /// Why no more could be probed.
        end: End,
    },
    /// It lies below a factor, beneath what was to be probed.
    AtMost {
        /// The factor.
        factor: f64,
    },
    /// It moved while it was looked for: the service got slower, or faster, with every probe.
    Unsteady {
        /// Where it was on average.
        factor: f64,
        /// By how much it moved from the first probe to the last, as a share: −0.2 is a fifth less.
        change: f64,
    },
    /// No probe could be judged.
    Unknown,
}

/// The response curve behind a finding: a probe at factor `f` keeps to the budgets with probability
/// 1 ÷ (1 + exp((ln f − ln `factor`) ÷ `scale`)).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fit {
    /// The knee: the posterior median.
    pub factor: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// How gradual the change is, on the scale of logarithms of the factor.
    pub scale: f64,
}

/// What a search has found, and the data behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// What can be said of the knee.
    pub finding: Finding,
    /// How sure its interval, or its bound, is.
    pub confidence: f64,
    /// How wide the interval was to be at most, as a share of the factor.
    pub precision: f64,
    /// The response curve; `None` if no probe was judged.
    pub fit: Option<Fit>,
    /// The lowest factor from which on every probe was limited by the generator, if there is one.
    pub generator_limit: Option<f64>,
    /// How the knee moved while it was looked for; `None` where the probes cannot show it.
    pub trend: Option<Trend>,
    /// The Universal Scalability Law; `None` where the probes do not follow it.
    pub scalability: Option<Scalability>,
    /// All probes, in the order of time.
    pub probes: Vec<Probe>,
}
