//! A device's own clock, which may be wrong: what its payloads say, never what is measured.

use rand::RngExt;

use crate::clock::Tick;
use crate::seed::Stream;

/// How wrong the clocks of a fleet are. The default is right.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ClockSpec {
    /// Every clock is off by an amount drawn uniformly from ± this, nanoseconds.
    pub offset_ns: u64,
    /// And goes fast or slow by an amount drawn uniformly from ± this, parts per million.
    pub drift_ppm: f64,
}

impl ClockSpec {
    /// Whether clocks are right.
    pub fn is_right(&self) -> bool {
        self.offset_ns == 0 && self.drift_ppm == 0.0
    }
}

/// One device's clock.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clock {
    offset_ns: f64,
    drift: f64,
}

impl Clock {
    pub(super) fn new(spec: ClockSpec, mut stream: Stream) -> Self {
        let mut either_way = || 2.0 * stream.random::<f64>() - 1.0;
        Self { offset_ns: spec.offset_ns as f64 * either_way(), drift: spec.drift_ppm * either_way() / 1e6 }
    }

    /// What it shows at `at`, nanoseconds since the run began; negative where it is behind at the beginning.
    pub(super) fn reads(&self, at: Tick) -> i64 {
        let wrong = self.offset_ns + self.drift * at.0 as f64;
        i64::try_from(at.0).unwrap_or(i64::MAX).saturating_add(wrong as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn clocks_are_off_and_drift_within_their_bounds_and_evenly() {
        let spec = ClockSpec { offset_ns: 5_000_000_000, drift_ppm: 50.0 };
        let clocks: Vec<Clock> =
            (0..10_000).map(|device| Clock::new(spec, Seed(1).stream("clock/test", device))).collect();
        let (start, later) = (Tick::ZERO, Tick(1_000_000_000_000));
        let offsets: Vec<f64> = clocks.iter().map(|clock| clock.reads(start) as f64 / 1e9).collect();
        assert!(offsets.iter().all(|offset| offset.abs() <= 5.0));
        let mean = offsets.iter().sum::<f64>() / 1e4;
        let square = offsets.iter().map(|offset| offset * offset).sum::<f64>() / 1e4;
        // A uniform law on ±5: mean 0, variance 25 ÷ 3.
        assert!(mean.abs() < 4.0 * (25.0 / 3.0 / 1e4_f64).sqrt(), "{mean}");
        assert!((square - 25.0 / 3.0).abs() < 0.3, "{square}");
        for clock in &clocks {
            let gained = (clock.reads(later) - clock.reads(start)) as f64 / 1e12 - 1.0;
            assert!(gained.abs() <= 50.1e-6, "{gained}");
        }
        assert_eq!(Clock::default().reads(later), 1_000_000_000_000);
    }
}
