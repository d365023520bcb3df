//! What probes tell of the knee: a posterior distribution over its place and over how gradual it is.
//!
//! Whether a probe keeps to the budgets is taken for a coin whose probability falls with the logarithm of the factor along a logistic
//! curve, as psychometric functions are (Watson and Pelli, "QUEST: a Bayesian adaptive psychometric method", *Perception &
//! Psychophysics* 33, 1983; Kontsevich and Tyler, *Vision Research* 39, 1999). Nothing is assumed of the law of response times but that a
//! higher load does not make keeping to the budgets likelier. A bootstrap of the same curve would fail on the commonest outcome: probes
//! that part cleanly into met and missed give every resample the same answer, and an interval of no width.

/// How many degrees of gradualness are told apart.
const SCALES: usize = 9;
/// The most gradual curve, on the scale of logarithms.
const MOST_GRADUAL: f64 = 0.3;
/// The steepest curve, as a share of the precision.
const STEEPEST: f64 = 0.1;
/// How much probes of one factor may differ in how far they use up their budget, on the scale of logarithms.
const NOISES: [f64; 6] = [0.015, 0.03, 0.06, 0.12, 0.24, 0.48];
/// The share of probes that have nothing to do with the load, either way.
const LAPSE: f64 = 0.01;
/// Usage counts as far as it lies within so much of the bound, on the scale of logarithms: there it is near enough to a straight line.
/// Beyond, it counts only as beyond.
const STRAIGHT: f64 = 0.2;
/// Cells for each width of an interval that was asked for.
const CELLS: f64 = 8.0;
/// How far the knee may lie outside of what is probed, on the scale of logarithms: so that it can be seen to.
const BEYOND: f64 = 0.4;
/// Cells with less probability change no difference.
const NEGLIGIBLE: f64 = 1e-9;
/// A cell with less probability is given up: it would take half a dozen lapses to bring it back.
const HOPELESS: f64 = 1e-15;

/// The distribution of the knee, on the scale of logarithms of the factor.
#[derive(Debug, Clone)]
pub(super) struct Posterior {
    /// The middle of the first cell.
    first: f64,
    /// The width of a cell.
    step: f64,
    scales: [f64; SCALES],
    /// For each noise and scale, the probability of each cell; in all 1.
    weights: [[Vec<f64>; SCALES]; NOISES.len()],
    /// The sum of them over both.
    marginal: Vec<f64>,
}

/// What a probe says under one noise.
#[derive(Debug, Clone, Copy)]
enum Sight {
    /// Its usage is so many noises above the bound, and this the likelihood of usages that have nothing to do with the load.
    At(f64, f64, f64),
    /// Above the bound by more than so many noises; or below, where the sign is negative.
    Beyond(f64, f64),
}

impl Posterior {
    /// Before the first probe: every place between the logarithms `lowest` and `highest`, and somewhat beyond, is equally likely, and so
    /// is every order of magnitude of the scale. `precision` is the width of the interval that is asked for.
    pub(super) fn new(lowest: f64, highest: f64, precision: f64) -> Self {
        let step = precision / CELLS;
        let cells = ((highest - lowest + 2.0 * BEYOND) / step).ceil() as usize + 1;
        let steepest = precision * STEEPEST;
        let ratio = (MOST_GRADUAL / steepest).max(1.0).ln() / (SCALES - 1) as f64;
        let weight = 1.0 / (cells * SCALES * NOISES.len()) as f64;
        Self {
            first: lowest - BEYOND,
            step,
            scales: std::array::from_fn(|index| steepest * (ratio * index as f64).exp()),
            weights: std::array::from_fn(|_| std::array::from_fn(|_| vec![weight; cells])),
            marginal: vec![1.0 / cells as f64; cells],
        }
    }

    /// Learns that a probe at `place` kept to the budgets, or did not, and, where that is known, the logarithm of how far it used them up. Returns how
    /// likely that was by all that was known before.
    pub(super) fn note(&mut self, place: f64, met: bool, usage: Option<f64>) -> f64 {
        let sign = if met { -1.0 } else { 1.0 };
        self.marginal.fill(0.0);
        let mut total = 0.0;
        for (noise, by_scale) in NOISES.iter().zip(&mut self.weights) {
            let sight = match usage {
                Some(usage) if usage.abs() < STRAIGHT => {
                    Sight::At(usage / noise, (1.0 - LAPSE) / noise, LAPSE / (2.0 * STRAIGHT))
                }
                Some(_) => Sight::Beyond(sign, STRAIGHT / noise),
                None => Sight::Beyond(sign, 0.0),
            };
            for (scale, weights) in self.scales.iter().zip(by_scale) {
                for (cell, (weight, sum)) in weights.iter_mut().zip(&mut self.marginal).enumerate() {
                    if *weight < HOPELESS {
                        *weight = 0.0;
                        continue;
                    }
                    let distance = (place - (self.first + self.step * cell as f64)) / scale;
                    *weight *= match sight {
                        Sight::At(usage, likely, lapsed) => {
                            let tail = (-(usage - distance).abs()).exp();
                            likely * tail / (1.0 + tail).powi(2) + lapsed
                        }
                        Sight::Beyond(sign, cut) => {
                            LAPSE / 2.0 + (1.0 - LAPSE) / (1.0 + (cut - sign * distance).exp())
                        }
                    };
                    *sum += *weight;
                    total += *weight;
                }
            }
        }
        for weight in self.weights.iter_mut().flatten().flatten().chain(&mut self.marginal) {
            *weight /= total;
        }
        total
    }

    /// The place below which the knee lies with probability `p`.
    pub(super) fn quantile(&self, p: f64) -> f64 {
        let mut sum = 0.0;
        for (cell, weight) in self.marginal.iter().enumerate() {
            if sum + weight >= p && *weight > 0.0 {
                return self.first + self.step * (cell as f64 - 0.5 + (p - sum) / weight);
            }
            sum += weight;
        }
        self.first + self.step * (self.marginal.len() as f64 - 0.5)
    }

    /// The probability that the knee lies below `place`.
    pub(super) fn below(&self, place: f64) -> f64 {
        let cells = (place - self.first) / self.step + 0.5;
        let whole = cells.floor().clamp(0.0, self.marginal.len() as f64) as usize;
        let part = self.marginal.get(whole).map_or(0.0, |weight| weight * (cells - whole as f64).max(0.0));
        self.marginal[..whole].iter().sum::<f64>() + part
    }

    /// The distribution of how much lower this knee is than that of `other`, on the scale of logarithms, for posteriors over the same
    /// places that know nothing of each other. A knee beyond `ends`, the range that could be probed on either side, counts as at its end.
    pub(super) fn less_than(&self, ends: [f64; 2], other: &Self, other_ends: [f64; 2]) -> Difference {
        let (own, other) = (self.within(ends), other.within(other_ends));
        let zero = own.len() - 1;
        let mut weights = vec![0.0; own.len() + other.len() - 1];
        let dense = |weights: &[f64]| -> Vec<(usize, f64)> {
            weights.iter().copied().enumerate().filter(|(_, weight)| *weight > NEGLIGIBLE).collect()
        };
        let other = dense(&other);
        for (cell, weight) in dense(&own) {
            for (other_cell, other_weight) in &other {
                weights[zero + other_cell - cell] += weight * other_weight;
            }
        }
        Difference { zero, step: self.step, weights }
    }

    /// The probabilities of cells, with what lies outside of `ends` in the cells at them.
    fn within(&self, ends: [f64; 2]) -> Vec<f64> {
        let last = self.marginal.len() - 1;
        let [low, high] =
            ends.map(|end| ((end - self.first) / self.step).round().clamp(0.0, last as f64) as usize);
        let mut weights = vec![0.0; last + 1];
        for (cell, weight) in self.marginal.iter().enumerate() {
            weights[cell.min(high).max(low)] += weight;
        }
        weights
    }

    /// How gradual the curve is: the geometric mean of its scale.
    pub(super) fn scale(&self) -> f64 {
        let by_scale = self.weights.iter().flat_map(|by_scale| self.scales.iter().zip(by_scale));
        by_scale.map(|(scale, weights)| scale.ln() * weights.iter().sum::<f64>()).sum::<f64>().exp()
    }
}

/// The distribution of a difference of two knees.
#[derive(Debug, Clone)]
pub(super) struct Difference {
    /// The cell of no difference.
    zero: usize,
    /// The width of a cell.
    step: f64,
    weights: Vec<f64>,
}

impl Difference {
    /// The difference below which it lies with probability `p`.
    pub(super) fn quantile(&self, p: f64) -> f64 {
        let (mut sum, total) = (0.0, self.weights.iter().sum::<f64>());
        for (cell, weight) in self.weights.iter().enumerate() {
            if sum + weight >= p * total && *weight > 0.0 {
                let part = (p * total - sum) / weight - 0.5;
                return (cell as f64 - self.zero as f64 + part) * self.step;
            }
            sum += weight;
        }
        (self.weights.len() - self.zero) as f64 * self.step
    }

    /// The probability, both ways, that the difference is not of the sign that it seems to be of.
    pub(super) fn p(&self) -> f64 {
        let total: f64 = self.weights.iter().sum();
        let half = self.weights[self.zero] / 2.0;
        let below = (self.weights[..self.zero].iter().sum::<f64>() + half) / total;
        (2.0 * below.min(1.0 - below)).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noted(probes: &[(f64, bool)]) -> Posterior {
        let mut posterior = Posterior::new(-1.0, 1.0, 0.1);
        for (place, met) in probes {
            posterior.note(*place, *met, None);
        }
        posterior
    }

    #[test]
    fn nothing_is_known_before_the_first_probe() {
        let posterior = noted(&[]);
        assert!(posterior.quantile(0.5).abs() < 0.01, "{}", posterior.quantile(0.5));
        assert!(
            (posterior.below(-1.0) - BEYOND / (2.0 + 2.0 * BEYOND)).abs() < 0.01,
            "{}",
            posterior.below(-1.0)
        );
        assert!((posterior.below(f64::INFINITY) - 1.0).abs() < 1e-9 && posterior.below(-9.0) == 0.0);
    }

    #[test]
    fn the_knee_lies_between_what_was_met_and_what_was_missed() {
        let clean: Vec<_> = (-20..=20).map(|k| (f64::from(k) / 20.0, k <= 3)).collect();
        let posterior = noted(&clean);
        let interval = [0.025, 0.975].map(|p| posterior.quantile(p));
        assert!(interval[0] > 0.05 && interval[1] < 0.3, "{interval:?}");
        assert!((posterior.quantile(0.5) - 0.175).abs() < 0.01);
        assert!(posterior.scale() < 0.03, "{}", posterior.scale());
    }

    #[test]
    fn contradictions_make_the_curve_gradual_and_the_interval_wide() {
        let mixed: Vec<_> =
            (-20..=20).map(|k: i32| (f64::from(k) / 20.0, (k + k.rem_euclid(3) * 7) < 7)).collect();
        let posterior = noted(&mixed);
        assert!(posterior.scale() > 0.1, "{}", posterior.scale());
        assert!(posterior.quantile(0.975) - posterior.quantile(0.025) > 0.2);
    }

    proptest! {
        #[test]
        fn a_quantile_is_the_inverse_of_the_probability_below_it(
            probes in prop::collection::vec((-1.0..1.0_f64, any::<bool>()), 0..12),
            p in 0.01..0.99_f64,
        ) {
            let posterior = noted(&probes);
            prop_assert!((posterior.below(posterior.quantile(p)) - p).abs() < 1e-9);
        }

        #[test]
        fn a_probe_that_was_met_never_lowers_the_knee(
            probes in prop::collection::vec((-1.0..1.0_f64, any::<bool>()), 0..12),
            place in -1.0..1.0_f64,
        ) {
            let before = noted(&probes);
            let mut after = before.clone();
            after.note(place, true, None);
            // At any one scale a probe that was met makes every higher place likelier than every lower one, but for those given up.
            for scale in 0..SCALES {
                let cells = before.weights[0][scale].iter().zip(&after.weights[0][scale]);
                let gains: Vec<f64> = cells.filter(|(_, new)| **new > 0.0).map(|(old, new)| new / old).collect();
                prop_assert!(gains.windows(2).all(|pair| pair[0] <= pair[1] * (1.0 + 1e-9)));
            }
        }
    }
}
