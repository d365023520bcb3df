//! Random variates that are the same bits on every machine.
//!
//! `rand_distr` takes its logarithms and exponentials from the platform's C library (through `std`, and through
//! `num-traits` once any crate of the build turns on its `std` feature), whose last bits differ from one platform
//! to the next; a plan digest must not. Everything here rests on `libm`, which is Rust throughout, and on the
//! operations that IEEE 754 rounds exactly: + − × ÷ √.

use rand::RngExt;
use rand::distr::OpenClosed01;

use crate::seed::Stream;

/// Uniform over (0, 1], so that its logarithm is finite.
pub(super) fn uniform(stream: &mut Stream) -> f64 {
    stream.sample(OpenClosed01)
}

/// Exponential with mean 1, by inversion.
pub(super) fn exponential(stream: &mut Stream) -> f64 {
    -libm::log(uniform(stream))
}

/// Standard normal, by Marsaglia's polar method (*SIAM Review* 6, 1964). The second of each pair is let go: to keep
/// it would cost every process a field.
pub(super) fn normal(stream: &mut Stream) -> f64 {
    loop {
        let x = 2.0 * uniform(stream) - 1.0;
        let y = 2.0 * uniform(stream) - 1.0;
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            return x * (-2.0 * libm::log(square) / square).sqrt();
        }
    }
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
