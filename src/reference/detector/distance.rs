//! How far a value lies from the one before it, against how far the device usually goes.
//!
//! A histogram of a thousand values cannot tell one in a thousand from one in a million, and of two dozen values it can tell
//! nothing: what it has never seen is as surprising a hair beyond the rest as a world away. Distance is what tells the two
//! apart. It is measured in mean distances, and its logarithm is set against the device's own tail, so that e-foldings of the
//! probability come out whatever power the tail falls with (Hill 1975).

use serde::{Deserialize, Serialize};

use super::tail::TailEstimator;

/// Readings of a device before anything is far: until then its mean distance is not known well enough to measure by.
const SILENT: u32 = 15;
/// 98 % of the distances of normally distributed values are below this, in mean distances.
const FIRST_QUANTILE: f64 = 2.92;
/// How many readings that is trusted for.
const TRUST: u32 = 200;
/// Mean excess of the logarithms over the quantile until a device has shown its own: between that of normal noise, 0.13, and that of
/// Student's t with 3 degrees of freedom, 0.33.
const FIRST_EXCESS: f64 = 0.22;
/// As the tail may turn out to be heavy, at first only what is twice as far is far, then less and less. After so many
/// readings Student's t with 3 degrees of freedom has been told from normal noise.
const CAUTION: f64 = 1.0;
const KNOWN: f64 = 3_000.0;
/// Distances beyond these count as these, in mean distances: the logarithm of none is infinite.
const LEAST: f64 = 0.1;
const LARGEST: f64 = 1e6;

/// The usual distances of one device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Distance {
    tail: TailEstimator,
}

impl Default for Distance {
    fn default() -> Self {
        Self { tail: TailEstimator::new(FIRST_QUANTILE.ln(), TRUST, FIRST_EXCESS) }
    }
}

impl Distance {
    /// How many e-foldings beyond the usual farthest 2 % a distance of `times` mean distances lies, the device having sent
    /// `readings` before; 0 or more. Then takes it in.
    pub(super) fn observe(&mut self, times: f64, readings: u32) -> f64 {
        let far = times.clamp(LEAST, LARGEST).ln();
        if readings < SILENT {
            return 0.0;
        }
        let (over, scale) = (far - self.tail.quantile(), self.tail.scale());
        self.tail.add(far);
        if over <= 0.0 {
            return 0.0;
        }
        let caution = CAUTION * (1.0 - f64::from(readings) / KNOWN).max(0.0);
        (over - caution.ln_1p()).max(0.0) / scale
    }
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, StandardNormal, StudentT};

    use super::*;
    use crate::seed::{Seed, Stream};

    /// Distances of `readings` values in mean distances, and the e-foldings of each.
    fn e_foldings(readings: u32, law: &impl Distribution<f64>) -> Vec<f64> {
        let mut stream = Seed(5).stream("test/distance", 0);
        let steps: Vec<f64> = (0..readings).map(|_| law.sample(&mut stream).abs()).collect();
        let mean = steps.iter().sum::<f64>() / f64::from(readings);
        let mut distance = Distance::default();
        (0..readings).zip(steps).map(|(nth, step)| distance.observe(step / mean, nth)).collect()
    }

    #[test]
    fn the_farthest_of_any_law_are_as_rare_as_e_foldings_say() {
        // 2 % · e⁻² is 2.7 in a thousand.
        let share = |found: &[f64]| {
            let far = found[50_000..].iter().filter(|beyond| **beyond > 2.0).count();
            1e3 * far as f64 / (found.len() - 50_000) as f64
        };
        let (normal, heavy) = (
            share(&e_foldings(250_000, &StandardNormal)),
            share(&e_foldings(250_000, &StudentT::new(3.0).unwrap())),
        );
        // Normal tails fall faster than any power: there it errs on the side of silence.
        assert!((0.1..2.7).contains(&normal), "{normal}");
        assert!((1.4..3.0).contains(&heavy), "{heavy}");
    }

    #[test]
    fn the_tail_that_a_device_begins_with_lies_between_a_normal_one_and_a_heavy_one() {
        let tail = |law: &dyn Fn(&mut Stream) -> f64| {
            let mut stream = Seed(6).stream("test/distance", 0);
            let mut distances: Vec<f64> = (0..200_000).map(|_| law(&mut stream).abs()).collect();
            distances.sort_by(f64::total_cmp);
            let mean = distances.iter().sum::<f64>() / 200_000.0;
            let quantile = distances[196_000];
            let excess = distances[196_000..].iter().map(|distance| (distance / quantile).ln()).sum::<f64>();
            (quantile / mean, excess / 4_000.0)
        };
        let (quantile, normal) = tail(&|stream| StandardNormal.sample(stream));
        let law = StudentT::new(3.0).unwrap();
        let heavy = tail(&|stream| law.sample(stream)).1;
        assert!((quantile - FIRST_QUANTILE).abs() < 0.05, "{quantile}");
        assert!((normal - 0.13).abs() < 0.01 && (heavy - 0.33).abs() < 0.03, "{normal} {heavy}");
        assert!((normal..heavy).contains(&FIRST_EXCESS));
    }

    #[test]
    fn nothing_is_far_at_first_and_less_is_later() {
        let mut distance = Distance::default();
        let at = |readings| distance.clone().observe(8.0, readings);
        assert!(at(SILENT - 1) <= 0.0);
        assert!(at(SILENT) > 1.0 && at(1_000) > at(SILENT) && at(3_000) > at(1_000));
        assert!(at(100_000) <= at(3_000) && at(100_000) >= at(3_000));
        for times in [0.0, f64::MIN_POSITIVE, f64::INFINITY] {
            assert!(distance.observe(times, 50).is_finite(), "{times}");
        }
    }
}
