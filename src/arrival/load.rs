//! The time change between operational time and the run's time line: a piecewise constant load.

use crate::clock::Tick;

/// A stretch of the time line with one load, `start` inclusive to `end` exclusive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch {
    /// First instant.
    pub start: Tick,
    /// First instant after it.
    pub end: Tick,
    /// Factor on the rate: finite and not negative.
    pub load: f64,
}

/// A piecewise constant load over adjoining stretches, with its integral.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    stretches: Vec<Stretch>,
    /// Operational time passed at the start of each stretch and at the end of the last, nanoseconds.
    passed: Vec<f64>,
}

impl Load {
    /// A load over `stretches`, which adjoin in the order of time. Operational time begins with the first.
    pub fn new(stretches: Vec<Stretch>) -> Self {
        debug_assert!(stretches.windows(2).all(|pair| pair[0].end == pair[1].start), "stretches adjoin");
        let mut passed = Vec::with_capacity(stretches.len() + 1);
        let mut sum = 0.0;
        passed.push(sum);
        for stretch in &stretches {
            sum += stretch.end.since(stretch.start) as f64 * stretch.load;
            passed.push(sum);
        }
        Self { stretches, passed }
    }

    /// The stretches, in the order of time.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// Operational time passed at `at`, nanoseconds: the integral of the load up to there.
    pub fn operational(&self, at: Tick) -> f64 {
        let after = self.stretches.partition_point(|stretch| stretch.start <= at);
        let Some(index) = after.checked_sub(1) else { return 0.0 };
        let stretch = &self.stretches[index];
        self.passed[index] + at.min(stretch.end).since(stretch.start) as f64 * stretch.load
    }

    /// The instant at which `operational` nanoseconds have passed, or `None` after the last stretch.
    ///
    /// `hint` is the stretch to search from; it moves forward only, so a device's whole plan takes linear time.
    pub(super) fn invert(&self, operational: f64, hint: &mut usize) -> Option<Tick> {
        while self.passed.get(*hint + 1).is_some_and(|end| operational >= *end) {
            *hint += 1;
        }
        let stretch = self.stretches.get(*hint)?;
        let into_ns = ((operational - self.passed[*hint]) / stretch.load).max(0.0);
        // Rounding must not carry an instant over the edge into a stretch it does not belong to.
        let last = stretch.end.since(stretch.start).saturating_sub(1);
        Some(stretch.start.plus_ns((into_ns as u64).min(last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> Load {
        let stretch = |start, end, load| Stretch { start: Tick(start), end: Tick(end), load };
        Load::new(vec![stretch(100, 200, 1.0), stretch(200, 300, 0.0), stretch(300, 400, 4.0)])
    }

    #[test]
    fn the_integral_is_exact_at_and_between_edges() {
        for (at, passed) in [
            (0, 0.0),
            (100, 0.0),
            (150, 50.0),
            (200, 100.0),
            (250, 100.0),
            (301, 104.0),
            (400, 500.0),
            (999, 500.0),
        ] {
            assert!((load().operational(Tick(at)) - passed).abs() < 1e-9, "at {at}");
        }
    }

    #[test]
    fn inversion_skips_silence_and_ends_with_the_last_stretch() {
        for (operational, at) in [
            (0.0, Some(100)),
            (99.9, Some(199)),
            (100.0, Some(300)),
            (104.0, Some(301)),
            (499.999, Some(399)),
            (500.0, None),
        ] {
            assert_eq!(load().invert(operational, &mut 0), at.map(Tick), "{operational}");
        }
    }
}
