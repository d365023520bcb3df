//! Random variates that are the same bits on every machine: they rest on `libm`, which is Rust throughout, and on the
//! operations that IEEE 754 rounds exactly.

use rand::RngExt;
use rand::distr::OpenClosed01;

use crate::seed::Stream;

/// Uniform over (0, 1], so that its logarithm is finite.
pub(super) fn uniform(stream: &mut Stream) -> f64 {
    stream.sample(OpenClosed01)
}

/// True with probability `chance`. Draws nothing where there is nothing to draw.
pub(super) fn happens(chance: f64, stream: &mut Stream) -> bool {
    chance > 0.0 && (chance >= 1.0 || uniform(stream) <= chance)
}

/// A whole number from `least` to `most`, each as likely as any other.
pub(super) fn between(least: u32, most: u32, stream: &mut Stream) -> u32 {
    stream.random_range(least..=most.max(least))
}

/// Standard normal, by Marsaglia's polar method (*SIAM Review* 6, 1964). The second of each pair is let go.
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

/// Failures before the first success, if each trial succeeds with probability `chance`, by inversion. `None`: never.
pub(super) fn geometric(chance: f64, stream: &mut Stream) -> Option<u64> {
    if chance >= 1.0 {
        return Some(0);
    }
    if chance <= 0.0 || chance.is_nan() {
        return None;
    }
    Some((libm::log(uniform(stream)) / libm::log1p(-chance)) as u64)
}
