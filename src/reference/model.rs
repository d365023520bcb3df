//! The model behind the cache: a pure function of the feature vector and the model's version.

use super::detector::Vector;
use crate::clock::Monotonic;
use crate::units::Span;

/// The version of the model; part of every cache key, so that verdicts of another version are never served.
pub(super) const VERSION: u32 = 1;

/// The model, with a settable cost that stands in for a heavy one.
#[derive(Debug)]
pub(super) struct Model {
    clock: Monotonic,
    cost: Span,
}

impl Model {
    /// A model that takes `cost` of processor time on top of its own.
    pub(super) const fn new(clock: Monotonic, cost: Span) -> Self {
        Self { clock, cost }
    }

    /// Scores a vector, spending the cost.
    pub(super) fn infer(&self, vector: Vector) -> f64 {
        self.labour();
        score(vector)
    }

    /// Keeps the processor busy: an inference that slept would leave it to others, as no real one does.
    fn labour(&self) {
        if self.cost == Span::ZERO {
            return;
        }
        let end = self.clock.now().plus_ns(self.cost.as_ns());
        while self.clock.now() < end {
            std::hint::spin_loop();
        }
    }
}

/// How many e-foldings the largest margin lies beyond the device's usual worst: max(margins) / scale of the tail.
pub(super) fn score(vector: Vector) -> f64 {
    vector.margins().into_iter().fold(0.0, f64::max) / vector.scale()
}
