//! Variates that only toxics need, the same bits on every machine as those they are made of.

use rand::RngExt;

use crate::seed::Stream;
use crate::seed::variate::uniform;

/// True with probability `chance`. Draws nothing where there is nothing to draw.
pub(super) fn happens(chance: f64, stream: &mut Stream) -> bool {
    chance > 0.0 && (chance >= 1.0 || uniform(stream) <= chance)
}

/// A whole number from `least` to `most`, each as likely as any other.
pub(super) fn between(least: u32, most: u32, stream: &mut Stream) -> u32 {
    stream.random_range(least..=most.max(least))
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
