//! What a device's usual worst is: the 98 % quantile of what it shows, and how far it goes beyond.

use serde::{Deserialize, Serialize};

/// The quantile that is followed.
const QUANTILE: f64 = 0.98;
/// Least weight of a new value in the mean distance from the quantile.
const SPREAD_WEIGHT: f64 = 0.01;
/// Least step of the quantile, as a share of the spread: small, so that the quantile does not run after one disturbance.
const STEP: f64 = 0.005;
/// Weight of a new excess. One value in fifty has one: the memory is about 1 700 values.
const EXCESS_WEIGHT: f64 = 0.03;
/// Added to the mean excess, so that nothing counts as infinitely far on the quietest signal.
const EXCESS_FLOOR: f64 = 0.05;

/// Follows the tail of one device's values in a few numbers.
///
/// Values that exceed the quantile one after the other are one excess, the largest of them (peaks over a threshold, declustered
/// by runs: Smith and Weissman 1994). Otherwise a single disturbance of a hundred readings would teach the device that
/// disturbances are usual, and the next one would pass.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct TailEstimator {
    quantile: f64,
    /// Mean distance of a value from the quantile.
    spread: f64,
    /// Mean excess of those that exceed it.
    excess: f64,
    /// The largest excess of those under way.
    cluster: Option<f64>,
    values: u32,
    /// How many values the first quantile counts for.
    trust: u32,
}

impl TailEstimator {
    /// A tail that is taken to begin at `quantile`, as surely as after `trust` values, and to have the mean excess `excess` until
    /// its own values show another.
    pub(super) const fn new(quantile: f64, trust: u32, excess: f64) -> Self {
        Self { quantile, spread: 0.0, excess, cluster: None, values: 0, trust }
    }

    /// Q: what about 2 % of the values exceed.
    pub(super) const fn quantile(&self) -> f64 {
        self.quantile
    }

    /// What one e-folding is: the mean excess over Q, and a little.
    pub(super) const fn scale(&self) -> f64 {
        self.excess + EXCESS_FLOOR
    }

    /// Takes a finite value in: stochastic approximation of the quantile (Robbins and Monro 1951) with a step in proportion to
    /// the spread, and running means.
    pub(super) fn add(&mut self, value: f64) {
        self.values = self.values.saturating_add(1);
        let share = |values: u32| 1.0 / f64::from(values);
        let distance = value - self.quantile;
        self.spread += SPREAD_WEIGHT.max(share(self.values)) * (distance.abs() - self.spread);
        let step = STEP.max(share(self.values.saturating_add(self.trust))) * self.spread;
        if distance <= 0.0 {
            self.cluster = None;
            self.quantile -= step * (1.0 - QUANTILE);
            return;
        }
        match self.cluster {
            None => {
                self.excess += EXCESS_WEIGHT * (distance - self.excess);
                self.quantile += step * QUANTILE;
                self.cluster = Some(distance);
            }
            Some(largest) if distance > largest => {
                self.excess += EXCESS_WEIGHT * (distance - largest);
                self.cluster = Some(distance);
            }
            Some(_) => {}
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
        let mut tail = TailEstimator::new(1.0, 0, 0.3);
        // Exponential with mean 1: the 98 % quantile is ln 50 = 3.91, the mean excess over it is 1.
        let (mut quantiles, mut excesses) = (Vec::new(), Vec::new());
        for step in 0..200_000 {
            tail.add(-(1.0 - stream.random::<f64>()).ln());
            if step > 20_000 {
                quantiles.push(tail.quantile());
                excesses.push(tail.scale() - EXCESS_FLOOR);
            }
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        assert!((mean(&quantiles) - 50_f64.ln()).abs() < 0.1, "{}", mean(&quantiles));
        assert!((mean(&excesses) - 1.0).abs() < 0.1, "{}", mean(&excesses));
    }

    #[test]
    fn a_disturbance_is_one_excess_however_long_it_lasts() {
        let mut quiet = TailEstimator::new(1.0, 0, 0.3);
        (0..2_000).for_each(|step| quiet.add(f64::from(step % 50) / 50.0));
        let learned = |length: usize| {
            let mut tail = quiet.clone();
            (0..length).for_each(|_| tail.add(4.0));
            (tail.quantile(), tail.scale())
        };
        assert_eq!(learned(1), learned(500));
        let (before, after) = (quiet.scale(), learned(500).1);
        assert!(after > before && after < before + 0.15, "{before} {after}");
        // It ends with the first usual value; what exceeds the largest so far counts for the difference.
        let mut tail = quiet.clone();
        for value in [2.0, 4.0, 3.0] {
            tail.add(value);
        }
        let rising = tail.scale();
        assert!((rising - learned(1).1).abs() < 1e-3, "{rising}");
        for value in [0.5, 4.0] {
            tail.add(value);
        }
        assert!(tail.scale() > rising);
    }

    #[test]
    fn a_first_guess_counts_for_as_much_as_it_is_trusted() {
        let after = |trust| {
            let mut tail = TailEstimator::new(10.0, trust, 0.3);
            (0..50).for_each(|_| tail.add(0.0));
            tail.quantile()
        };
        assert!(after(0) < 9.5 && after(1_000) > 9.9, "{} {}", after(0), after(1_000));
    }
}
