//! The Poisson law: independent exponential gaps.

use rand_distr::{Distribution, Exp1};

use crate::seed::Stream;

/// A Poisson process in operational time.
#[derive(Debug, Clone)]
pub(super) struct Poisson {
    mean_gap_ns: f64,
    last_ns: f64,
}

impl Poisson {
    pub(super) const fn new(mean_gap_ns: f64) -> Self {
        Self { mean_gap_ns, last_ns: 0.0 }
    }

    /// The next point, nanoseconds of operational time.
    pub(super) fn next(&mut self, stream: &mut Stream) -> f64 {
        let gap: f64 = Exp1.sample(stream);
        self.last_ns += gap * self.mean_gap_ns;
        self.last_ns
    }
}
