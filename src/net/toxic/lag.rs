//! Delays drawn one after the other, by any law and with memory.

use crate::fault::{Delay, DelayLaw};
use crate::seed::Stream;
use crate::seed::variate::normal;
use crate::units::Span;

/// The delays of one connection's messages.
///
/// A Gaussian copula: a normal variate with autoregression of order 1, `z = ρz' + √(1 − ρ²)ε`, is turned into a delay by
/// `quantile(Φ(z))`. So neighbours resemble each other, and single delays are distributed by their law all the same.
#[derive(Debug)]
pub(in crate::net) struct Lag {
    delay: Delay,
    stream: Stream,
    last: Option<f64>,
}

impl Lag {
    pub(in crate::net) const fn new(delay: Delay, stream: Stream) -> Self {
        Self { delay, stream, last: None }
    }

    /// The next delay, nanoseconds.
    pub(in crate::net) fn draw(&mut self) -> u64 {
        if let DelayLaw::Constant(span) = self.delay.law {
            return span.as_ns();
        }
        let fresh = normal(&mut self.stream);
        let correlation = self.delay.correlation.clamp(-1.0, 1.0);
        let z = self
            .last
            .map_or(fresh, |last| correlation * last + (1.0 - correlation * correlation).sqrt() * fresh);
        self.last = Some(z);
        quantile_ns(&self.delay.law, z)
    }
}

/// The delay that is not exceeded with the probability with which a standard normal variate does not exceed `z`.
fn quantile_ns(law: &DelayLaw, z: f64) -> u64 {
    let ns = |span: Span| span.as_ns() as f64;
    let delay = match law {
        DelayLaw::Constant(span) => ns(*span),
        DelayLaw::Uniform { mean, jitter } => ns(*mean) + (2.0 * below(z) - 1.0) * ns(*jitter),
        DelayLaw::Normal { mean, jitter } => ns(*mean) + z * ns(*jitter),
        DelayLaw::LogNormal { mean, jitter } => log_normal(ns(*mean), ns(*jitter), z),
        // The probability of exceeding, because 1 − Φ loses its digits where the long delays are.
        DelayLaw::Pareto { least, shape } => ns(*least) * libm::pow(below(-z), -1.0 / shape),
        DelayLaw::Table(quantiles) => interpolated(quantiles, below(z)),
    };
    // Negative and undefined values become 0.
    delay.round() as u64
}

/// Φ, the distribution function of the standard normal variate.
fn below(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// By its own mean and standard deviation: those of its logarithm follow (Johnson, Kotz & Balakrishnan, ch. 14).
fn log_normal(mean: f64, deviation: f64, z: f64) -> f64 {
    if mean <= 0.0 {
        return 0.0;
    }
    let ratio = deviation / mean;
    let variance = libm::log1p(ratio * ratio);
    libm::exp(libm::log(mean) - 0.5 * variance + variance.sqrt() * z)
}

fn interpolated(quantiles: &[Span], share: f64) -> f64 {
    let place = share * (quantiles.len().saturating_sub(1)) as f64;
    let index = place as usize;
    let at = |index: usize| quantiles.get(index).or(quantiles.last()).map_or(0.0, |span| span.as_ns() as f64);
    at(index) + (at(index + 1) - at(index)) * (place - index as f64)
}
