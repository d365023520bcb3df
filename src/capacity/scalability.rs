//! The Universal Scalability Law: how goodput falls behind what is offered.

use serde::{Deserialize, Serialize};

use super::probe::Probe;
use super::regression::regress;

/// Fewer probes say nothing of a law with three parameters.
const FEWEST: usize = 6;
/// The highest load is to be so many times the lowest.
const RANGE: f64 = 2.0;
/// The law does not fit where it is off by more than this share, root mean square.
const WORST: f64 = 0.05;

/// A fit of X(N) = λN ÷ (1 + σ(N − 1) + κN(N − 1)), where N is the load factor and X the goodput (Gunther, "A General Theory of
/// Computational Scalability Based on Rational Functions", arXiv:0808.1431, 2008).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scalability {
    /// λ: goodput at factor 1, readings per second.
    pub unit_per_s: f64,
    /// σ: the share of the work that is serial, 0 or more.
    pub contention: f64,
    /// κ: the cost of keeping parts in agreement, 0 or more.
    pub coherency: f64,
    /// How far it is off, as a share, root mean square.
    pub error: f64,
    /// The lowest factor that was measured.
    pub lowest: f64,
    /// The highest.
    pub highest: f64,
}

/// What the law says of one load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Prediction {
    /// The load factor.
    pub factor: f64,
    /// Readings answered ok per second.
    pub goodput_per_s: f64,
    /// Whether nothing was measured there: the factor lies outside of those that were probed.
    pub is_extrapolated: bool,
}

impl Scalability {
    /// The law that the judged `probes` follow; `None` if they are fewer than six, span less than a factor of two, or do not follow it.
    ///
    /// By relative least squares of N ÷ X, which is a parabola in N. A parameter that comes out negative is left out.
    pub(super) fn of(probes: &[Probe]) -> Option<Self> {
        let judged = probes.iter().filter(|probe| probe.met().is_some() && probe.goodput_per_s > 0.0);
        let points: Vec<(f64, f64)> = judged.map(|probe| (probe.factor, probe.goodput_per_s)).collect();
        let lowest = points.iter().map(|point| point.0).fold(f64::INFINITY, f64::min);
        let highest = points.iter().map(|point| point.0).fold(0.0, f64::max);
        if points.len() < FEWEST || highest < RANGE * lowest {
            return None;
        }
        let law = |[a, b, c]: [f64; 3]| {
            let unit = 1.0 / (a + b + c);
            let (contention, coherency) = (1.0 - a * unit, c * unit);
            // Rounding alone may leave a parameter that is not there a little below 0.
            let is_law = unit > 0.0 && contention > -1e-9 && coherency >= 0.0;
            let contention = contention.max(0.0);
            is_law.then_some(Self { unit_per_s: unit, contention, coherency, error: 0.0, lowest, highest })
        };
        let found = full(&points).and_then(law);
        let found = found.or_else(|| without_coherency(&points).and_then(law));
        let found = found.or_else(|| proportional(&points).and_then(law))?;
        let off = |(factor, goodput): &(f64, f64)| (found.at(*factor).goodput_per_s / goodput - 1.0).powi(2);
        let error = (points.iter().map(off).sum::<f64>() / points.len() as f64).sqrt();
        (error <= WORST).then_some(Self { error, ..found })
    }

    /// What the law says of a load, and whether that was measured.
    pub(crate) fn at(&self, factor: f64) -> Prediction {
        let more = factor - 1.0;
        let cost = 1.0 + self.contention * more + self.coherency * factor * more;
        Prediction {
            factor,
            goodput_per_s: self.unit_per_s * factor / cost,
            is_extrapolated: !(self.lowest..=self.highest).contains(&factor),
        }
    }

    /// The load with the most goodput, √((1 − σ) ÷ κ); `None` if by this law more load never makes it less.
    pub(crate) fn peak(&self) -> Option<Prediction> {
        let factor = ((1.0 - self.contention) / self.coherency).sqrt();
        (self.coherency > 0.0 && factor.is_finite()).then(|| self.at(factor))
    }
}

/// The coefficients of N ÷ X = a + bN + cN², by relative least squares.
fn full(points: &[(f64, f64)]) -> Option<[f64; 3]> {
    let rows: Vec<_> = points.iter().map(|(n, x)| [x / n, *x, x * n]).collect();
    regress(&rows, &vec![1.0; rows.len()]).map(|found| found.coefficients)
}

/// The same with c = 0: Amdahl's law.
fn without_coherency(points: &[(f64, f64)]) -> Option<[f64; 3]> {
    let rows: Vec<_> = points.iter().map(|(n, x)| [x / n, *x]).collect();
    let [a, b] = regress(&rows, &vec![1.0; rows.len()])?.coefficients;
    Some([a, b, 0.0])
}

/// The same with b = c = 0: what is offered is answered.
fn proportional(points: &[(f64, f64)]) -> Option<[f64; 3]> {
    let rows: Vec<_> = points.iter().map(|(n, x)| [x / n]).collect();
    let [a] = regress(&rows, &vec![1.0; rows.len()])?.coefficients;
    Some([a, 0.0, 0.0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::Verdict;
    use proptest::prelude::*;

    fn probes(points: impl Iterator<Item = (f64, f64)>) -> Vec<Probe> {
        let probe = |(number, (factor, goodput_per_s)): (usize, _)| Probe {
            number: number as u32 + 1,
            factor,
            offered_per_s: factor,
            goodput_per_s,
            p50_ms: None,
            p99_ms: None,
            usage: None,
            verdict: Verdict::Met,
        };
        points.enumerate().map(probe).collect()
    }

    #[test]
    fn a_peak_that_was_not_measured_is_said_to_be_extrapolated() {
        // Gunther's own form with σ = 0.02 and κ = 0.0005: the peak is at √(0.98 ÷ 0.0005) = 44.27.
        let law = |n: f64| (n, 100.0 * n / (1.0 + 0.02 * (n - 1.0) + 0.0005 * n * (n - 1.0)));
        let found = Scalability::of(&probes((1..=12).map(|n| law(f64::from(n) * 2.0)))).unwrap();
        let peak = found.peak().unwrap();
        assert!((peak.factor - 1960.0_f64.sqrt()).abs() < 1e-6 && peak.is_extrapolated, "{peak:?}");
        let found = Scalability::of(&probes((1..=12).map(|n| law(f64::from(n) * 5.0)))).unwrap();
        assert!(!found.peak().unwrap().is_extrapolated);
        assert!(
            !found.at(5.0).is_extrapolated && found.at(4.9).is_extrapolated && found.at(60.1).is_extrapolated
        );
    }

    #[test]
    fn what_is_too_little_or_follows_another_law_is_not_fitted() {
        let straight = |n: u32| (f64::from(n), 50.0 * f64::from(n));
        assert_eq!(Scalability::of(&probes((1..=5).map(straight))), None, "five probes");
        assert_eq!(Scalability::of(&probes((10..=19).map(straight))), None, "less than twice");
        let collapse = |n: u32| (f64::from(n), if n <= 5 { 50.0 * f64::from(n) } else { 1.0 });
        assert_eq!(Scalability::of(&probes((1..=10).map(collapse))), None, "a collapse");
        let all = Scalability::of(&probes((1..=10).map(straight))).unwrap();
        assert!((all.unit_per_s - 50.0).abs() < 1e-6 && all.contention < 1e-6, "{all:?}");
        assert_eq!(all.peak().filter(|peak| !peak.is_extrapolated), None);
    }

    proptest! {
        #[test]
        fn parameters_of_data_that_follow_the_law_are_found_again(
            unit in 1.0..1e4_f64, contention in 0.001..0.5_f64, coherency in 1e-4..0.1_f64,
        ) {
            let law = |n: f64| unit * n / (1.0 + contention * (n - 1.0) + coherency * n * (n - 1.0));
            let found = Scalability::of(&probes((1..=20).map(|n| (f64::from(n) / 2.0, law(f64::from(n) / 2.0))))).unwrap();
            prop_assert!((found.unit_per_s / unit - 1.0).abs() < 1e-6, "{found:?}");
            prop_assert!((found.contention - contention).abs() < 1e-6 && (found.coherency - coherency).abs() < 1e-6, "{found:?}");
        }
    }
}
