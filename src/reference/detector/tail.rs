//! What a device's usual worst surprise is: the 98 % quantile of its raw surprises, and how far they go beyond it.

/// The quantile that is followed.
const QUANTILE: f64 = 0.98;
/// Least weight of a new value in the averages, so that they keep following.
const WEIGHT: f64 = 0.01;
/// Least step of the quantile, as a share of the spread.
const STEP: f64 = 0.02;

/// Values that are too few to have 2 % of them above anything.
const LEARNING: u32 = 50;
/// How fast the largest early value is forgotten.
const FADE: f64 = 0.03;
/// Step of the quantile after `n` values, as a share of the spread: this / n.
const LEARNING_STEP: f64 = 10.0;

/// Follows the tail of one device's raw surprises in four numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail {
    quantile: f64,
    /// Mean distance of a surprise from the quantile.
    spread: f64,
    /// Mean excess of those that exceed it.
    excess: f64,
    values: u32,
    exceedances: u32,
}

impl Tail {
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
        let n = f64::from(self.values);
        let distance = raw - self.quantile;
        self.spread += WEIGHT.max(1.0 / n) * (distance.abs() - self.spread);
        if self.values <= LEARNING {
            // The 98 % quantile of so few is their largest; early ones fade, because a young histogram surprises easily.
            self.quantile = raw.max(self.quantile + FADE * distance);
            // What the excess is taken for until there have been some: the spread of an exponential tail is its mean excess.
            (self.excess, self.exceedances) = (0.7 * self.spread, 1);
            return;
        }
        let step = STEP.max(LEARNING_STEP / n) * self.spread;
        if distance > 0.0 {
            self.exceedances = self.exceedances.saturating_add(1);
            let weight = WEIGHT.max(1.0 / f64::from(self.exceedances));
            self.excess += weight * (distance - self.excess);
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
        let mut tail = Tail::default();
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
