//! How surprising a value is, by a fading histogram of the values before it.

use serde::{Deserialize, Serialize};

/// Bins of a histogram.
const BINS: usize = 24;
/// Share of all counts that fades with every value: the memory is about a thousand values.
const DECAY: f32 = 1e-3;
/// Prior count of every bin, so that an empty bin is unlikely but not impossible.
const PRIOR: f32 = 0.3;
/// The value at which the squash reaches half of its range, in units of the feature's own scale.
const SOFTNESS: f64 = 12.0;
/// A value beyond this counts as this: a share of infinity is none.
const FARTHEST: f64 = 1e9;

/// Where a value falls: between the centres of two neighbouring bins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BinPosition {
    lower: usize,
    /// Share that belongs to the bin above `lower`.
    upper_share: f32,
}

impl BinPosition {
    /// Squashes `z` softly, z / (12 + |z|), onto the bins, and splits it linearly between the two nearest.
    pub(super) fn of(z: f64) -> Self {
        let z = z.clamp(-FARTHEST, FARTHEST);
        let squashed = z / (SOFTNESS + z.abs());
        let position = ((squashed + 1.0) * (BINS / 2) as f64 - 0.5).clamp(0.0, (BINS - 1) as f64);
        let lower = (position as usize).min(BINS - 2);
        Self { lower, upper_share: (position - lower as f64) as f32 }
    }
}

/// A fading histogram of one feature of one device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Histogram {
    counts: [f32; BINS],
    total: f32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0.0; BINS], total: 0.0 }
    }
}

impl Histogram {
    /// −ln(24 p): 0 for a value that is as likely as under a flat histogram, more the rarer it is.
    /// p = (¾ centre + ¼ neighbours + prior) / (total + 24 priors).
    pub(super) fn surprise(&self, place: BinPosition) -> f64 {
        let BinPosition { lower, upper_share } = place;
        let centre = self.counts[lower] * (1.0 - upper_share) + self.counts[lower + 1] * upper_share;
        let below = lower.checked_sub(1).map_or(0.0, |bin| self.counts[bin]);
        let above = self.counts.get(lower + 2).copied().unwrap_or(0.0);
        let neighbours = below.midpoint(above);
        let p = (0.75 * centre + 0.25 * neighbours + PRIOR) / (self.total + PRIOR * BINS as f32);
        -(f64::from(p) * BINS as f64).ln()
    }

    /// Takes a value in.
    pub(super) fn add(&mut self, place: BinPosition) {
        for count in &mut self.counts {
            *count *= 1.0 - DECAY;
        }
        self.counts[place.lower] += 1.0 - place.upper_share;
        self.counts[place.lower + 1] += place.upper_share;
        self.total = self.total * (1.0 - DECAY) + 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_histogram_is_surprised_by_nothing() {
        for z in [-1e9, -3.0, 0.0, 0.5, 1e9] {
            assert!(Histogram::default().surprise(BinPosition::of(z)).abs() < 1e-6);
        }
    }

    #[test]
    fn what_is_common_surprises_less_and_what_is_rare_more() {
        let mut histogram = Histogram::default();
        for step in 0..1_000 {
            histogram.add(BinPosition::of(f64::from(step % 7) / 7.0 - 0.5));
        }
        let (common, rare) =
            (histogram.surprise(BinPosition::of(0.0)), histogram.surprise(BinPosition::of(30.0)));
        assert!(common < -1.5, "{common}");
        // Only the prior stands there: −ln(24 · 0.3 / (total + 7.2)), the total being (1 − 0.999¹⁰⁰⁰) / 0.001.
        let total = (1.0 - 0.999_f64.powi(1_000)) / 0.001;
        assert!((rare - -(24.0 * 0.3 / (total + 7.2)).ln()).abs() < 1e-3, "{rare}");
    }

    #[test]
    fn a_value_is_split_so_that_its_centre_of_mass_is_kept() {
        for z in [-40.0, -2.0, -0.1, 0.0, 0.3, 5.0, 100.0] {
            let place = BinPosition::of(z);
            let position = (z / (12.0 + f64::abs(z)) + 1.0) * 12.0 - 0.5;
            let kept = place.lower as f64 + f64::from(place.upper_share);
            assert!((kept - position.clamp(0.0, 23.0)).abs() < 1e-6, "{z}");
        }
        let outermost = BinPosition::of(f64::INFINITY);
        assert_eq!((outermost.lower, outermost.upper_share), (22, 1.0), "the farthest is a place too");
    }
}
