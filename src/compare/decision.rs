//! From differences to a word: the rule by which a cell is a regression, an improvement, no difference, or open.

use serde::{Deserialize, Serialize};

use super::comparison::{CellDecision, Decision, Figure};
use super::statistic::{moments, t_quantile, welch};
use crate::seed::Seed;

/// Power that is promised where numbers of pairs are named.
pub(super) const POWER: f64 = 0.8;
/// Beyond so many further pairs a number is not advice.
const MOST_ADVISED: f64 = 200.0;

/// Changes that are taken for noise, however significant: relative for percentiles, absolute for shares.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Thresholds {
    /// Of the median, as a share.
    pub p50: f64,
    /// Of p95.
    pub p95: f64,
    /// Of p99.
    pub p99: f64,
    /// Of p99.9.
    pub p99_9: f64,
    /// Of the error rate, as a difference of shares.
    pub share: f64,
    /// Response times that differ by less are taken as equal, milliseconds: the measurement itself is no finer.
    pub floor_ms: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { p50: 0.02, p95: 0.03, p99: 0.05, p99_9: 0.1, share: 0.001, floor_ms: 0.02 }
    }
}

impl Thresholds {
    /// The threshold of `figure` in the unit of its effect, for builds with these typical values: the relative one, or what
    /// the floor is at their geometric mean, so that swapping them changes nothing.
    pub(super) fn of(&self, figure: Figure, base: f64, candidate: f64) -> f64 {
        let relative = match figure {
            Figure::P50 => self.p50,
            Figure::P95 => self.p95,
            Figure::P99 => self.p99,
            Figure::P999 => self.p99_9,
            Figure::ErrorRate | Figure::Shortfall => return self.share,
        };
        let typical = (base * candidate).sqrt();
        let floor = if typical > 0.0 { self.floor_ms / typical } else { 0.0 };
        relative.max(floor).ln_1p()
    }
}

/// What is asked of a comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Settings {
    /// Probability of calling any cell of two equal builds different.
    pub alpha: f64,
    /// What is taken for noise.
    pub thresholds: Thresholds,
    /// Fixes the permutations where not all are tried.
    pub seed: Seed,
}

impl Default for Settings {
    fn default() -> Self {
        Self { alpha: 0.05, thresholds: Thresholds::default(), seed: Seed(1) }
    }
}

/// What a cell is judged by besides itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CellContext {
    /// The significance level of all cells together.
    pub(super) alpha: f64,
    /// How many they are.
    pub(super) cells: usize,
}

/// The rule by which an effect is a regression, an improvement, no difference, or open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rule {
    /// The significance level.
    pub alpha: f64,
    /// Effects up to this, either way, are taken for noise.
    pub threshold: f64,
}

impl Rule {
    /// What is said of `effect`, positive being worse, with its 90 % interval and its two-sided p-value; and whether all of the interval
    /// bears it out.
    ///
    /// Regression and improvement ask for significance and an effect beyond the threshold; no difference for the 90 % interval
    /// to lie within it (two one-sided tests, Schuirmann 1987).
    pub(crate) fn judge(&self, effect: f64, [low, high]: [f64; 2], p: f64) -> (Decision, bool) {
        let Self { alpha, threshold } = *self;
        let identical = effect == 0.0 && low == 0.0 && high == 0.0;
        if p <= alpha && effect > threshold {
            (Decision::Regression, low > threshold)
        } else if p <= alpha && effect < -threshold {
            (Decision::Improvement, high < -threshold)
        } else if identical || -threshold < low && high < threshold {
            (Decision::NoDifference, true)
        } else {
            (Decision::Inconclusive, false)
        }
    }
}

/// A difference of means with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    pub(super) effect: f64,
    /// Standard error.
    pub(super) error: f64,
    /// Degrees of freedom.
    pub(super) df: f64,
    /// Standard deviation of one difference.
    pub(super) spread: f64,
    /// Differences it rests on.
    pub(super) pairs: usize,
}

impl Estimate {
    /// From one difference per pair; `None` for fewer than two.
    pub(super) fn paired(differences: &[f64]) -> Option<Self> {
        let pairs = differences.len();
        let (effect, spread) = moments(differences);
        let error = spread / (pairs as f64).sqrt();
        (pairs >= 2).then_some(Self { effect, error, df: pairs as f64 - 1.0, spread, pairs })
    }

    /// From runs that are not paired; `None` for fewer than two on a side.
    pub(super) fn unpaired(base: &[f64], candidate: &[f64]) -> Option<Self> {
        if base.len() < 2 || candidate.len() < 2 {
            return None;
        }
        let ((left, a), (right, b)) = (moments(base), moments(candidate));
        let (error, df) = welch(base, candidate).unwrap_or((0.0, 1.0));
        let pairs = base.len().min(candidate.len());
        Some(Self { effect: right - left, error, df, spread: a.hypot(b), pairs })
    }

    /// The two-sided confidence interval at `level`, by Student's t.
    pub(super) fn interval(&self, level: f64) -> [f64; 2] {
        if self.error == 0.0 {
            return [self.effect; 2];
        }
        let half = t_quantile(f64::midpoint(1.0, level), self.df) * self.error;
        [self.effect - half, self.effect + half]
    }

    /// What is said of a cell with this estimate and adjusted p-value, by [`Rule::judge`].
    pub(super) fn judge(&self, p: f64, threshold: f64, asked: CellContext) -> CellDecision {
        let rule = Rule { alpha: asked.alpha, threshold };
        let (verdict, certain) = rule.judge(self.effect, self.interval(0.9), p);
        let is_open = verdict == Decision::Inconclusive;
        let more_pairs = if is_open { self.more_pairs(threshold, asked) } else { None };
        CellDecision { verdict, certain, more_pairs, withdrawn: None }
    }

    /// About how many further pairs would decide, if effect and spread stay as they are: for the difference to be seen
    /// among all cells where it is beyond `threshold`, else for it to be shown to be within on both sides.
    fn more_pairs(&self, threshold: f64, asked: CellContext) -> Option<u32> {
        let size = self.effect.abs();
        let (distance, level, power) = if size > threshold {
            (size, 1.0 - asked.alpha / (2.0 * asked.cells.max(1) as f64), POWER)
        } else {
            (threshold - size, 0.95, f64::midpoint(1.0, POWER))
        };
        if self.spread == 0.0 || distance <= 0.0 {
            return None;
        }
        let quantiles = t_quantile(level, self.df) + t_quantile(power, self.df);
        let needed = (quantiles * self.spread / distance).powi(2).ceil();
        let more = (needed - self.pairs as f64).max(1.0);
        (more <= MOST_ADVISED).then_some(more as u32)
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "swapping must change no bit")]
mod tests {
    use super::*;

    const ASKED: CellContext = CellContext { alpha: 0.05, cells: 4 };

    fn estimate(effect: f64, spread: f64, pairs: usize) -> Estimate {
        Estimate { effect, error: spread / (pairs as f64).sqrt(), df: pairs as f64 - 1.0, spread, pairs }
    }

    #[test]
    fn a_cell_is_judged_by_significance_threshold_and_interval() {
        use Decision::{Improvement, Inconclusive, NoDifference, Regression};
        let threshold = 0.05_f64.ln_1p();
        for (effect, spread, p, verdict, certain) in [
            (0.2, 0.05, 0.008, Regression, true),
            (0.055, 0.02, 0.008, Regression, false),
            (-0.2, 0.05, 0.008, Improvement, true),
            (-0.055, 0.02, 0.008, Improvement, false),
            // Significant, but within the noise.
            (0.02, 0.01, 0.008, NoDifference, true),
            (0.0, 0.01, 1.0, NoDifference, true),
            (0.0, 0.0, 1.0, NoDifference, true),
            // Beyond the threshold, but by chance.
            (0.2, 0.3, 0.2, Inconclusive, false),
            (0.03, 0.05, 0.3, Inconclusive, false),
        ] {
            let said = estimate(effect, spread, 8).judge(p, threshold, ASKED);
            assert_eq!((said.verdict, said.certain), (verdict, certain), "{effect} {spread} {p}");
        }
    }

    #[test]
    fn the_number_of_further_pairs_is_that_of_the_usual_formula() {
        // (t(0.95) + t(0.9))² s² / δ² = (1.895 + 1.415)² · 0.01 / 0.0025 = 43.8 at 7 degrees of freedom.
        let threshold = 0.05;
        let said = estimate(0.0, 0.1, 8).judge(1.0, threshold, ASKED);
        assert_eq!(said.more_pairs, Some(44 - 8));
        // (t(0.99375) + t(0.8))² s² / e² = (3.335 + 0.896)² · 0.01 / 0.01 = 17.9.
        assert_eq!(estimate(0.1, 0.1, 8).judge(0.2, threshold, ASKED).more_pairs, Some(18 - 8));
        assert_eq!(
            estimate(0.05, 0.1, 8).judge(1.0, threshold, ASKED).more_pairs,
            None,
            "no number would do"
        );
        assert_eq!(estimate(0.0, 3.0, 8).judge(1.0, threshold, ASKED).more_pairs, None, "too many to advise");
    }

    #[test]
    fn the_floor_counts_where_times_are_short_and_swapping_changes_nothing() {
        let thresholds = Thresholds::default();
        assert!((thresholds.of(Figure::P99, 10.0, 11.0) - 0.05_f64.ln_1p()).abs() < 1e-12);
        let short = thresholds.of(Figure::P50, 0.1, 0.4);
        assert!((short - (0.02_f64 / 0.2).ln_1p()).abs() < 1e-12);
        assert_eq!(short, thresholds.of(Figure::P50, 0.4, 0.1));
        assert_eq!(thresholds.of(Figure::ErrorRate, 0.0, 0.2), 0.001);
    }

    #[test]
    fn intervals_are_those_of_the_textbook() {
        // 0.1 ± t(0.975, 7) · 0.08 / √8 = 0.1 ± 2.3646 · 0.028284.
        let [low, high] = estimate(0.1, 0.08, 8).interval(0.95);
        assert!((low - 0.033_119).abs() < 1e-5 && (high - 0.166_881).abs() < 1e-5, "{low} {high}");
        let swapped = estimate(-0.1, 0.08, 8).interval(0.95);
        assert_eq!(swapped, [-high, -low]);
    }
}
