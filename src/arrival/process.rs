//! The laws by name: what a scenario may ask of a device's arrivals, and how bursty each is in the long run.

use super::recorded::Recording;
use crate::units::{Rate, Span};

/// How the gaps between a device's readings are distributed. The mean gap is 1 ÷ rate in every law but `Recorded`.
#[derive(Debug, Clone, PartialEq)]
pub enum ArrivalProcess {
    /// A fixed interval with a random phase, as device firmware with a timer behaves.
    Constant {
        /// Symmetric displacement of each reading, as a fraction of the interval, 0 to 0.5. It never accumulates:
        /// the n-th reading stays within `jitter` intervals of its undisturbed place.
        jitter: f64,
    },
    /// Independent, exponentially distributed gaps: the superposition of many unrelated sources.
    Poisson,
    /// Independent gamma-distributed gaps. An integer shape is the Erlang law, more regular than Poisson; a shape
    /// below 1 is burstier.
    Gamma {
        /// Shape of the gamma distribution, 0.1 to 1000.
        shape: f64,
    },
    /// Independent log-normal gaps, as people and the applications they drive leave them.
    LogNormal {
        /// Standard deviation of the logarithm of a gap, 0.01 to 3.
        sigma: f64,
    },
    /// Independent gaps of Pareto's type I: a heavy tail, with silences of every length.
    Pareto {
        /// Exponent of the tail, 1.05 to 100; the variance of a gap is infinite up to 2.
        tail: f64,
    },
    /// Interrupted Poisson process (a two-state Markov-modulated one that is silent in its second state):
    /// exponential sojourns, Poisson arrivals at rate × (on + off) ÷ on while on, none while off.
    OnOff {
        /// Mean sojourn in the sending state, at least 1 ns.
        on: Span,
        /// Mean sojourn in the silent state.
        off: Span,
    },
    /// Every device once per period 1 ÷ rate, all at the same multiples of the period from the beginning of
    /// operational time: the cron job at midnight.
    Aligned {
        /// Each reading is late by an independent uniform part of this, at most the period.
        spread: Span,
    },
    /// Instants that were recorded; the rate is ignored.
    Recorded {
        /// Operational instants of the whole fleet, nanoseconds, ascending.
        times: Recording,
        /// Number of this device within its fleet, from 0, below `devices`.
        device: u32,
        /// Number of devices the recording is dealt out to, entry by entry: device d takes the entries d,
        /// d + devices, d + 2 × devices and so on, and falls silent with the last of them.
        devices: u32,
    },
}

impl ArrivalProcess {
    /// All words a scenario may use, in the order documents list them.
    pub const NAMES: [&'static str; 8] =
        ["constant", "poisson", "gamma", "log-normal", "pareto", "on-off", "aligned", "recorded"];

    /// The word used in scenarios.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Constant { .. } => Self::NAMES[0],
            Self::Poisson => Self::NAMES[1],
            Self::Gamma { .. } => Self::NAMES[2],
            Self::LogNormal { .. } => Self::NAMES[3],
            Self::Pareto { .. } => Self::NAMES[4],
            Self::OnOff { .. } => Self::NAMES[5],
            Self::Aligned { .. } => Self::NAMES[6],
            Self::Recorded { .. } => Self::NAMES[7],
        }
    }

    /// The limit of the index of dispersion of counts, Var N(t) ÷ E N(t), for long windows of operational time at
    /// `rate`: 1 for Poisson, infinite for Pareto with a tail up to 2, 0 for the laws that stay within a bounded
    /// number of readings of their expectation (constant, aligned, recorded).
    ///
    /// For a renewal process it is the squared coefficient of variation of a gap (Cox, *Renewal Theory*, 1962,
    /// §4.5); for the on-off law see Fischer & Meier-Hellstern, "The Markov-modulated Poisson process (MMPP)
    /// cookbook", *Performance Evaluation* 18 (1993), with the second rate 0: 1 + 2 × rate × off² ÷ (on + off).
    pub fn dispersion(&self, rate: Rate) -> f64 {
        match self {
            Self::Constant { .. } | Self::Aligned { .. } | Self::Recorded { .. } => 0.0,
            Self::Poisson => 1.0,
            Self::Gamma { shape } => 1.0 / shape,
            Self::LogNormal { sigma } => libm::expm1(sigma * sigma),
            Self::Pareto { tail } if *tail > 2.0 => 1.0 / (tail * (tail - 2.0)),
            Self::Pareto { .. } => f64::INFINITY,
            Self::OnOff { on, off } => {
                // A sojourn has at least a nanosecond, which also keeps 0 ÷ 0 away.
                let (on, off) = (on.as_secs_f64().max(1e-9), off.as_secs_f64());
                1.0 + 2.0 * rate.as_per_second() * off * off / (on + off)
            }
        }
    }
}
