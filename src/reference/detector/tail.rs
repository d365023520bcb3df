//! What a device's usual worst surprise is: the 98 % quantile of its raw surprises, and how far they go beyond it.

use serde::{Deserialize, Serialize};

/// The quantile that is followed.
const QUANTILE: f64 = 0.98;
/// Least weight of a new surprise in the mean distance from the quantile.
const SPREAD_WEIGHT: f64 = 0.01;
/// Weight of a new excess. One reading in fifty has one: the memory is about 1 700 readings.
const EXCESS_WEIGHT: f64 = 0.03;
/// Least step of the quantile, as a share of the spread.
const STEP: f64 = 0.02;
/// What the mean excess is taken for before there has been any, in units of surprise. Of an exponential tail it will be about
/// 1: a device is watched more closely until its tail is known, at the price of a false alarm in a thousand readings.
const FIRST_EXCESS: f64 = 0.4;

/// Follows the tail of one device's raw surprises in four numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct TailEstimator {
    quantile: f64,
    /// Mean distance of a surprise from the quantile.
    spread: f64,
    /// Mean excess of those that exceed it.
    excess: f64,
    values: u32,
}

impl Default for TailEstimator {
    fn default() -> Self {
        Self { quantile: 0.0, spread: 0.0, excess: FIRST_EXCESS, values: 0 }
    }
}

impl TailEstimator {
    /// Q: what about 2 % of the surprises exceed.
    pub(super) const fn quantile(&self) -> f64 {
        self.quantile
    }

    /// B: the mean excess over Q.
    pub(super) const fn excess(&self) -> f64 {
        self.excess
    }

    /// Takes a surprise in: stochastic approximation of the quantile (Robbins and Monro 1951) with a step in proportion to
    /// the spread, and running means.
    pub(super) fn add(&mut self, raw: f64) {
        self.values = self.values.saturating_add(1);
        if self.values == 1 {
            self.quantile = raw;
            return;
        }
        let share = 1.0 / f64::from(self.values);
        let distance = raw - self.quantile;
        self.spread += SPREAD_WEIGHT.max(share) * (distance.abs() - self.spread);
        let step = STEP.max(share) * self.spread;
        if distance > 0.0 {
            self.excess += EXCESS_WEIGHT * (distance - self.excess);
            self.quantile += step * QUANTILE;
        } else {
            self.quantile -= step * (1.0 - QUANTILE);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::seed::Seed;

    #[test]
    fn the_quantile_and_the_excess_agree_with_sorting() {
        let mut stream = Seed(3).stream("test/tail", 0);
        let mut tail = TailEstimator::default();
        // Exponential with mean 1: the 98 % quantile is ln 50 = 3.91, the mean excess over it is 1.
        let (mut quantiles, mut excesses) = (Vec::new(), Vec::new());
        for step in 0..200_000 {
            tail.add(-(1.0 - stream.random::<f64>()).ln());
            if step > 20_000 {
                quantiles.push(tail.quantile());
                excesses.push(tail.excess());
            }
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        assert!((mean(&quantiles) - 50_f64.ln()).abs() < 0.2, "{}", mean(&quantiles));
        assert!((mean(&excesses) - 1.0).abs() < 0.15, "{}", mean(&excesses));
    }
}
