//! Renewal processes in equilibrium: independent gaps of one distribution, begun infinitely long ago.
//!
//! A process that began with a full gap would send too little or too much at first. Begun in equilibrium it is
//! stationary, so that the expected count of every window is rate × window from the first instant on. The time
//! to the first point is then a uniform part of a length-biased gap (Cox, *Renewal Theory*, 1962, §5.2–5.4;
//! Daley & Vere-Jones, *An Introduction to the Theory of Point Processes*, vol. I, 2nd ed., §4.2 and §13.3).

use super::process::ArrivalProcess;
use super::variate::{exponential, gamma};
use crate::seed::Stream;
use crate::seed::variate::{normal, uniform};

/// Distribution of a gap; times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Gap {
    /// Exponential.
    Exponential { mean: f64 },
    /// Gamma.
    Gamma { shape: f64, scale: f64 },
    /// Log-normal: normal logarithm with mean `mu` and deviation `sigma`.
    LogNormal { mu: f64, sigma: f64 },
    /// Pareto type I over [`least`, ∞).
    Pareto { least: f64, tail: f64 },
    /// Exponential with mean `long` with probability `share`, else with mean `short`.
    Hyperexponential { share: f64, long: f64, short: f64 },
}

impl Gap {
    /// The gaps of `process` with this mean; `None` if it is not a renewal law. Parameters outside their stated range
    /// are taken as its nearest end, so that nothing a caller passes can make a draw endless.
    pub(super) fn new(process: &ArrivalProcess, mean: f64) -> Option<Self> {
        Some(match *process {
            ArrivalProcess::Poisson => Self::Exponential { mean },
            ArrivalProcess::Gamma { shape } => {
                let shape = bounded(shape, 0.1, 1_000.0);
                Self::Gamma { shape, scale: mean / shape }
            }
            ArrivalProcess::LogNormal { sigma } => {
                let sigma = bounded(sigma, 0.01, 3.0);
                Self::LogNormal { mu: libm::log(mean) - 0.5 * sigma * sigma, sigma }
            }
            ArrivalProcess::Pareto { tail } => {
                let tail = bounded(tail, 1.05, 100.0);
                Self::Pareto { least: mean * (tail - 1.0) / tail, tail }
            }
            ArrivalProcess::OnOff { on, off } => {
                Self::interrupted(mean, (on.as_ns() as f64).max(1.0), off.as_ns() as f64)
            }
            ArrivalProcess::Constant { .. }
            | ArrivalProcess::Aligned { .. }
            | ArrivalProcess::Recorded { .. } => return None,
        })
    }

    /// The gaps of an interrupted Poisson process with mean sojourns `on` and `off`.
    ///
    /// It is a renewal process, for every arrival finds it on, with hyperexponential gaps of two branches
    /// (Kuczura, "The interrupted Poisson process as an overflow process", *Bell System Technical Journal* 52,
    /// 1973). Its stationary version is the stationary renewal process; and drawn so, a gap takes one step however
    /// many sojourns lie in it. With λ the rate while on and r, s the rates of leaving on and off, the branches'
    /// rates are the roots of x² − (λ + r + s) x + λ s, and the density at 0, λ, gives their weights.
    fn interrupted(mean: f64, on: f64, off: f64) -> Self {
        if off <= 0.0 {
            return Self::Exponential { mean };
        }
        let (lambda, r, s) = ((on + off) / on / mean, 1.0 / on, 1.0 / off);
        // The discriminant as a sum of squares, and the smaller root from the product: nothing cancels.
        let difference = lambda + r - s;
        let root = (difference * difference + 4.0 * r * s).sqrt();
        let fast = 0.5 * (lambda + r + s + root);
        let slow = lambda * s / fast;
        let surplus = lambda - r - s;
        let beyond = if surplus >= 0.0 {
            // fast − λ = (root − surplus) ÷ 2, and root² − surplus² = 4 λ r: digits survive when silence is rare.
            2.0 * lambda * r / (root + surplus)
        } else {
            0.5 * (root - surplus)
        };
        Self::Hyperexponential { share: (beyond / root).clamp(0.0, 1.0), long: 1.0 / slow, short: 1.0 / fast }
    }

    /// A gap, nanoseconds; infinite if too long for a number.
    pub(super) fn sample(&self, stream: &mut Stream) -> f64 {
        match *self {
            Self::Exponential { mean } => mean * exponential(stream),
            Self::Gamma { shape, scale } => scale * gamma(shape, stream),
            Self::LogNormal { mu, sigma } => libm::exp(mu + sigma * normal(stream)),
            Self::Pareto { least, tail } => least * libm::exp(exponential(stream) / tail),
            Self::Hyperexponential { share, long, short } => {
                let mean = if uniform(stream) <= share { long } else { short };
                mean * exponential(stream)
            }
        }
    }

    /// The time from an arbitrary instant to the next point, nanoseconds: a uniform part of a length-biased gap.
    pub(super) fn residual(&self, stream: &mut Stream) -> f64 {
        let biased = match *self {
            Self::Exponential { mean } => Self::Gamma { shape: 2.0, scale: mean },
            Self::Gamma { shape, scale } => Self::Gamma { shape: shape + 1.0, scale },
            Self::LogNormal { mu, sigma } => Self::LogNormal { mu: mu + sigma * sigma, sigma },
            Self::Pareto { least, tail } => Self::Pareto { least, tail: tail - 1.0 },
            Self::Hyperexponential { share, long, short } => {
                // A branch is met in proportion to the time spent in it.
                let (in_long, in_short) = (share * long, (1.0 - share) * short);
                let mean = if uniform(stream) * (in_long + in_short) <= in_long { long } else { short };
                Self::Gamma { shape: 2.0, scale: mean }
            }
        };
        uniform(stream) * biased.sample(stream)
    }
}

/// `value` between `low` and `high`; `low` if it is not a number.
fn bounded(value: f64, low: f64, high: f64) -> f64 {
    if value > low { value.min(high) } else { low }
}

/// A renewal process in equilibrium, in operational time.
#[derive(Debug, Clone)]
pub(super) struct Renewal {
    gap: Gap,
    next_ns: f64,
}

impl Renewal {
    pub(super) fn new(gap: Gap, stream: &mut Stream) -> Self {
        Self { gap, next_ns: gap.residual(stream) }
    }

    /// The next point, nanoseconds of operational time; not finite when none comes within any run.
    pub(super) fn next(&mut self, stream: &mut Stream) -> f64 {
        let at = self.next_ns;
        self.next_ns += self.gap.sample(stream);
        at
    }
}
