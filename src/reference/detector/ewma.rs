//! The challenger's state: a moving mean and a moving variance.

use serde::{Deserialize, Serialize};

use super::{LARGEST, Vector};

/// Weight of a new value once there have been enough: the memory is about a thousand readings.
const WEIGHT: f64 = 1e-3;
/// Readings of a device before it may alert.
const SILENT: u32 = 50;
/// Least deviation, as a share of the mean.
const FLOOR: f64 = 1e-6;

/// Exponentially weighted mean and variance (Finch 2009), as a detector of outliers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::reference) struct Ewma {
    mean: f64,
    variance: f64,
    readings: u32,
}

impl Ewma {
    /// Takes a finite reading in; the vector's first margin is its distance from the mean in standard deviations.
    pub(in crate::reference) fn observe(&mut self, value: f64, resolution: u8) -> Vector {
        let value = value.clamp(-LARGEST, LARGEST);
        let weight = WEIGHT.max(1.0 / (f64::from(self.readings) + 1.0));
        let off = value - self.mean;
        let deviation = self.variance.sqrt().max(FLOOR * self.mean.abs() + f64::MIN_POSITIVE);
        let deviations = if self.readings < SILENT { 0.0 } else { off.abs() / deviation };
        self.mean += weight * off;
        self.variance = (1.0 - weight) * (self.variance + weight * off * off);
        self.readings = self.readings.saturating_add(1);
        // One step too many would wrap nothing: the conversion stops at the largest.
        let steps = (deviations * f64::from(resolution)).round() as i8;
        Vector { margins: [steps, 0, 0], excess: 0, resolution }
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::seed::Seed;

    #[test]
    fn distances_are_counted_in_deviations_of_what_came_before() {
        let mut stream = Seed(1).stream("test/ewma", 0);
        let mut ewma = Ewma::default();
        for _ in 0..20_000 {
            // Uniform on 0 to 1: mean ½, standard deviation 1/√12.
            ewma.observe(stream.random::<f64>(), 8);
        }
        let steps = ewma.observe(0.5 + 5.0 / 12_f64.sqrt(), 8).margins[0];
        assert!((38..=42).contains(&steps), "5 deviations are 40 steps: {steps}");
        assert_eq!(ewma.observe(1e300, 8).margins[0], i8::MAX, "the farthest is far, not near");
    }
}
