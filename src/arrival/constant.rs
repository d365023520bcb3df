//! The constant law: a grid with a random phase, each point displaced a little and independently.

use rand::RngExt;

use crate::seed::Stream;

/// The n-th point lies at (phase + n + displacement) × interval, whatever happened to the points before it.
#[derive(Debug, Clone)]
pub(super) struct Constant {
    interval_ns: f64,
    /// In intervals, uniform over [0, 1).
    phase: f64,
    /// In intervals, 0 to 0.5; at 0.5 neighbours may touch but never change places.
    jitter: f64,
    next: f64,
}

impl Constant {
    pub(super) fn new(interval_ns: f64, jitter: f64, stream: &mut Stream) -> Self {
        // The grid began before the run: its point -1 may be displaced to after the beginning. Leaving it out
        // would thin the first half interval.
        Self { interval_ns, phase: stream.random(), jitter: jitter.clamp(0.0, 0.5), next: -1.0 }
    }

    /// The next point, nanoseconds of operational time, at least 0.
    pub(super) fn next(&mut self, stream: &mut Stream) -> f64 {
        loop {
            let displacement = self.jitter * (2.0 * stream.random::<f64>() - 1.0);
            let at = (self.phase + self.next + displacement) * self.interval_ns;
            self.next += 1.0;
            if at >= 0.0 {
                return at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn displacement_never_accumulates() {
        let mut stream = Seed(1).stream("arrival/test", 0);
        let mut process = Constant::new(1_000.0, 0.3, &mut stream);
        let phase = process.phase;
        let points: Vec<f64> = (0..100_000).map(|_| process.next(&mut stream)).collect();
        let first = (points[0] / 1_000.0 - phase).round();
        for (n, at) in points.iter().enumerate() {
            let place = (phase + first + n as f64) * 1_000.0;
            assert!((at - place).abs() <= 300.0 + 1e-6, "reading {n} is {} off", at - place);
        }
        let mean = points.windows(2).map(|w| w[1] - w[0]).sum::<f64>() / (points.len() - 1) as f64;
        assert!((mean - 1_000.0).abs() < 0.01, "{mean}");
    }

    #[test]
    fn displacement_is_symmetric_and_fills_its_range() {
        let mut stream = Seed(2).stream("arrival/test", 0);
        let mut process = Constant::new(1.0, 0.5, &mut stream);
        let phase = process.phase;
        let points: Vec<f64> = (0..100_000).map(|_| process.next(&mut stream)).collect();
        let first = (points[10] - phase).round() - 10.0;
        let offsets: Vec<f64> =
            points.iter().enumerate().map(|(n, at)| at - (phase + first + n as f64) + 0.5).collect();
        let p = crate::seed::tests::statistic::kolmogorov_smirnov(offsets, |x| x.clamp(0.0, 1.0));
        assert!(p > 0.001, "p = {p}");
    }
}
