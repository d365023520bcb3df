//! Variates that only arrival processes need, the same bits on every machine as those they are made of.

use crate::seed::Stream;
use crate::seed::variate::{normal, uniform};

/// Exponential with mean 1, by inversion.
pub(super) fn exponential(stream: &mut Stream) -> f64 {
    -libm::log(uniform(stream))
}

/// Gamma with `shape` > 0 and scale 1, by Marsaglia & Tsang, "A simple method for generating gamma variables",
/// *ACM TOMS* 26 (2000); below shape 1 with their §6, Gamma(k) = Gamma(k + 1) × U^(1/k).
pub(super) fn gamma(shape: f64, stream: &mut Stream) -> f64 {
    if shape < 1.0 {
        return gamma(shape + 1.0, stream) * libm::exp(-exponential(stream) / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(stream);
        let root = 1.0 + c * x;
        if root <= 0.0 {
            continue;
        }
        let v = root * root * root;
        if libm::log(uniform(stream)) < 0.5 * x * x + d - d * v + d * libm::log(v) {
            return d * v;
        }
    }
}
