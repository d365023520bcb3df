//! How large payloads are.

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use crate::seed::Stream;

/// The law of a payload's size, bytes. One that is larger already stays as it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SizeDistribution {
    /// All alike.
    Fixed(u32),
    /// Any size from `least` to `most`, alike.
    Uniform {
        /// The smallest.
        least: u32,
        /// The largest.
        most: u32,
    },
    /// Normally distributed, held within bounds.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        deviation: f64,
        /// The smallest.
        least: u32,
        /// The largest.
        most: u32,
    },
    /// Log-normally distributed: most small, a few large.
    LogNormal {
        /// Median.
        median: f64,
        /// Standard deviation of the logarithm.
        sigma: f64,
        /// The largest.
        most: u32,
    },
}

impl SizeDistribution {
    /// The largest size that can be drawn.
    pub const fn most(&self) -> u32 {
        match *self {
            Self::Fixed(size) => size,
            Self::Uniform { most, .. } | Self::Normal { most, .. } | Self::LogNormal { most, .. } => most,
        }
    }

    pub(super) fn draw(&self, stream: &mut Stream) -> usize {
        let bounded = |size: f64, least: u32, most: u32| {
            size.round().clamp(f64::from(least), f64::from(most.max(least))) as usize
        };
        match *self {
            Self::Fixed(size) => size as usize,
            Self::Uniform { least, most } => stream.random_range(least..=most.max(least)) as usize,
            Self::Normal { mean, deviation, least, most } => {
                let normal: f64 = StandardNormal.sample(stream);
                bounded(mean + deviation * normal, least, most)
            }
            Self::LogNormal { median, sigma, most } => {
                let normal: f64 = StandardNormal.sample(stream);
                bounded(median * libm::exp(sigma * normal), 1, most)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn sizes_follow_their_laws() {
        let uniform = SizeDistribution::Uniform { least: 100, most: 300 };
        let normal = SizeDistribution::Normal { mean: 500.0, deviation: 50.0, least: 1, most: 1_000 };
        let skewed = SizeDistribution::LogNormal { median: 200.0, sigma: 0.5, most: 1_000_000 };
        // Mean and standard deviation: of the continuous laws, and of 201 equally likely sizes.
        for (distribution, mean, deviation) in [
            (SizeDistribution::Fixed(120), 120.0, 0.0),
            (uniform, 200.0, f64::sqrt((201.0 * 201.0 - 1.0) / 12.0)),
            (normal, 500.0, 50.0),
            (skewed, 200.0 * f64::exp(0.125), 200.0 * f64::sqrt((f64::exp(0.25) - 1.0) * f64::exp(0.25))),
        ] {
            let mut stream = Seed(3).stream("size/test", 0);
            let sizes: Vec<f64> = (0..100_000).map(|_| distribution.draw(&mut stream) as f64).collect();
            let found = sizes.iter().sum::<f64>() / 1e5;
            assert!(
                (found - mean).abs() <= 4.0 * deviation / 1e5_f64.sqrt() + 1e-9,
                "{distribution:?}: {found}"
            );
            assert!(sizes.iter().all(|size| *size <= f64::from(distribution.most())), "{distribution:?}");
        }
        let held = SizeDistribution::Normal { mean: 10.0, deviation: 100.0, least: 5, most: 20 };
        let mut stream = Seed(3).stream("size/test", 1);
        assert!((0..1_000).all(|_| (5..=20).contains(&held.draw(&mut stream))));
    }
}
