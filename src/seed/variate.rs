//! Random variates that are the same bits on every machine.
//!
//! `rand_distr` takes its logarithms and exponentials from the platform's C library (through `std`, and through
//! `num-traits` once any crate of the build turns on its `std` feature), whose last bits differ from one platform
//! to the next; a plan digest must not. Everything here rests on `libm`, which is Rust throughout, and on the
//! operations that IEEE 754 rounds exactly: + − × ÷ √.

use rand::RngExt;
use rand::distr::OpenClosed01;

use super::Stream;

/// Uniform over (0, 1], so that its logarithm is finite.
pub(crate) fn uniform(stream: &mut Stream) -> f64 {
    stream.sample(OpenClosed01)
}

/// Standard normal, by Marsaglia's polar method (*SIAM Review* 6, 1964). The second of each pair is let go: to keep
/// it would cost every process a field.
pub(crate) fn normal(stream: &mut Stream) -> f64 {
    loop {
        let x = 2.0 * uniform(stream) - 1.0;
        let y = 2.0 * uniform(stream) - 1.0;
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            return x * (-2.0 * libm::log(square) / square).sqrt();
        }
    }
}
