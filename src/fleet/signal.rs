//! Sensor signals, and the anomalies that the seed places in them.

use std::sync::Arc;

use rand::RngExt;
use rand::distr::OpenClosed01;
use rand_distr::{Distribution, StandardNormal};

use crate::clock::Tick;
use crate::record::{AnomalyKind, Mark};
use crate::seed::Stream;

/// The undisturbed course of a signal; values in the sensor's unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// Stays at `level`.
    Constant {
        /// The value.
        level: f64,
    },
    /// Swings around `level`, each device with a phase of its own.
    Sine {
        /// Middle of the swing.
        level: f64,
        /// Largest distance from the middle.
        amplitude: f64,
        /// Length of one swing, nanoseconds, not 0.
        period_ns: u64,
    },
    /// Moves by a normally distributed step per reading, reflected at `level` ± `range`.
    Walk {
        /// Where it begins.
        level: f64,
        /// Standard deviation of a step.
        step: f64,
        /// Largest distance from `level`.
        range: f64,
    },
}

/// How often a signal misbehaves, and how badly.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct AnomalySpec {
    /// Probability that a reading is a spike: one value off, up or down.
    pub spikes: f64,
    /// Probability that a reading begins a level shift. The signal stays shifted until the next shift, which
    /// takes it back, so that it remains bounded however long the run.
    pub shifts: f64,
    /// Distance of spikes and shifts, in multiples of [`SignalSpec::spread`].
    pub size: f64,
}

impl AnomalySpec {
    /// Whether any anomaly can happen.
    pub fn any(&self) -> bool {
        self.spikes > 0.0 || self.shifts > 0.0
    }
}

/// A fleet's signal; each device draws its own course of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignalSpec {
    /// The undisturbed course.
    pub shape: Shape,
    /// Standard deviation of the normally distributed noise on every reading.
    pub noise: f64,
    /// Its misbehaviour.
    pub anomalies: AnomalySpec,
}

impl SignalSpec {
    /// Half the width of the band in which normal readings lie: the amplitude and three standard deviations
    /// of noise; 1 for a signal that never moves.
    pub fn spread(&self) -> f64 {
        let swing = match self.shape {
            Shape::Constant { .. } => 0.0,
            Shape::Sine { amplitude, .. } => amplitude.abs(),
            Shape::Walk { step, range, .. } => range.min(3.0 * step),
        };
        let spread = swing + 3.0 * self.noise;
        if spread > 0.0 { spread } else { 1.0 }
    }
}

/// One device's course of a signal.
#[derive(Debug, Clone)]
pub(super) struct Signal {
    spec: Arc<SignalSpec>,
    stream: Stream,
    /// Phase of a sine in turns; position of a walk relative to its level.
    state: f64,
    anomalies: Option<Box<Anomalies>>,
}

/// When the next anomalies come, and how far the level is shifted. Its own stream, so that turning anomalies on
/// leaves all other readings as they were.
#[derive(Debug, Clone)]
struct Anomalies {
    stream: Stream,
    next_spike: u64,
    next_shift: u64,
    offset: f64,
    episode: u32,
}

impl Signal {
    pub(super) fn new(spec: Arc<SignalSpec>, mut stream: Stream, anomalies: Option<Stream>) -> Self {
        let state = match spec.shape {
            Shape::Sine { .. } => stream.random(),
            Shape::Constant { .. } | Shape::Walk { .. } => 0.0,
        };
        let anomalies = anomalies.map(|mut stream| {
            let next_spike = gap(spec.anomalies.spikes, &mut stream);
            let next_shift = gap(spec.anomalies.shifts, &mut stream);
            Box::new(Anomalies { stream, next_spike, next_shift, offset: 0.0, episode: 0 })
        });
        Self { spec, stream, state, anomalies }
    }

    /// The value of reading number `seq`, due at `at`.
    pub(super) fn sample(&mut self, at: Tick, seq: u64) -> (f64, Option<Mark>) {
        let normal = self.course(at) + self.spec.noise * self.normal();
        let Some(anomalies) = &mut self.anomalies else { return (normal, None) };
        let distance = self.spec.anomalies.size * self.spec.spread();
        let (added, kind) = anomalies.next(seq, distance, &self.spec.anomalies);
        (normal + added, kind)
    }

    fn course(&mut self, at: Tick) -> f64 {
        match self.spec.shape {
            Shape::Constant { level } => level,
            Shape::Sine { level, amplitude, period_ns } => {
                // Reduced in whole nanoseconds first: a long run must not lose precision.
                let turns = (at.0 % period_ns) as f64 / period_ns as f64 + self.state;
                // libm's sine is the same on every machine; the platform's need not be.
                level + amplitude * libm::sin(turns * std::f64::consts::TAU)
            }
            Shape::Walk { level, step, range } => {
                let moved = self.state + step * self.normal();
                self.state = reflect(moved, range);
                level + self.state
            }
        }
    }

    fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.stream)
    }
}

impl Anomalies {
    fn next(&mut self, seq: u64, distance: f64, spec: &AnomalySpec) -> (f64, Option<Mark>) {
        if seq == self.next_shift {
            self.next_shift = seq.saturating_add(gap(spec.shifts, &mut self.stream));
            // A reading is one anomaly at most: a spike that falls on a shift comes one reading later.
            self.next_spike += u64::from(self.next_spike == seq);
            self.offset = if self.offset == 0.0 { self.signed(distance) } else { 0.0 };
            return (self.offset, Some(self.onset(AnomalyKind::Shift)));
        }
        if seq == self.next_spike {
            self.next_spike = seq.saturating_add(gap(spec.spikes, &mut self.stream));
            let mark = self.onset(AnomalyKind::Spike);
            return (self.offset + self.signed(distance), Some(mark));
        }
        (self.offset, None)
    }

    fn onset(&mut self, kind: AnomalyKind) -> Mark {
        self.episode += 1;
        Mark { kind, episode: self.episode, onset: true }
    }

    fn signed(&mut self, distance: f64) -> f64 {
        if self.stream.random() { distance } else { -distance }
    }
}

/// Readings until the next success of a trial with this probability: geometric, by inversion.
fn gap(probability: f64, stream: &mut Stream) -> u64 {
    if probability <= 0.0 {
        return u64::MAX;
    }
    if probability >= 1.0 {
        return 1;
    }
    let uniform: f64 = stream.sample(OpenClosed01);
    1 + (libm::log(uniform) / libm::log1p(-probability)) as u64
}

/// `position` folded back into [-range, range].
fn reflect(position: f64, range: f64) -> f64 {
    if position.abs() <= range {
        return position;
    }
    if range <= 0.0 {
        return 0.0;
    }
    let folded = (position + range).rem_euclid(4.0 * range);
    if folded <= 2.0 * range { folded - range } else { 3.0 * range - folded }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;
    use proptest::prelude::*;

    fn run(shape: Shape, noise: f64, anomalies: AnomalySpec, count: u64) -> Vec<(f64, Option<AnomalyKind>)> {
        let spec = Arc::new(SignalSpec { shape, noise, anomalies });
        let own = anomalies.any().then(|| Seed(4).stream("anomaly/test", 0));
        let mut signal = Signal::new(spec, Seed(4).stream("signal/test", 0), own);
        (1..=count)
            .map(|seq| signal.sample(Tick(seq * 1_000_000), seq))
            .map(|(value, mark)| (value, mark.map(|mark| mark.kind)))
            .collect()
    }

    const SINE: Shape = Shape::Sine { level: 20.0, amplitude: 5.0, period_ns: 1_000_000_000 };

    #[test]
    fn noise_and_swing_are_as_large_as_stated() {
        let flat = run(Shape::Constant { level: 7.0 }, 0.5, AnomalySpec::default(), 100_000);
        let mean = flat.iter().map(|v| v.0).sum::<f64>() / 1e5;
        let deviation = (flat.iter().map(|v| (v.0 - mean).powi(2)).sum::<f64>() / 1e5).sqrt();
        assert!((mean - 7.0).abs() < 4.0 * 0.5 / 1e5_f64.sqrt(), "{mean}");
        assert!((deviation - 0.5).abs() < 0.01, "{deviation}");

        let sine: Vec<f64> = run(SINE, 0.0, AnomalySpec::default(), 1_000).iter().map(|v| v.0).collect();
        let (least, most) = sine.iter().fold((f64::MAX, f64::MIN), |(l, m), v| (l.min(*v), m.max(*v)));
        assert!((least - 15.0).abs() < 0.01 && (most - 25.0).abs() < 0.01, "{least} {most}");
        assert!((sine.iter().sum::<f64>() / 1e3 - 20.0).abs() < 0.01);
    }

    #[test]
    fn a_walk_spreads_with_the_root_of_time_until_it_is_reflected() {
        let walk =
            run(Shape::Walk { level: 0.0, step: 0.1, range: 2.0 }, 0.0, AnomalySpec::default(), 100_000);
        assert!(walk.iter().all(|v| v.0.abs() <= 2.0));
        assert!(walk.iter().any(|v| v.0.abs() > 1.9));
        let steps: f64 = walk.windows(2).map(|w| (w[1].0 - w[0].0).powi(2)).sum::<f64>() / 1e5;
        assert!((steps.sqrt() - 0.1).abs() < 0.002, "{}", steps.sqrt());
    }

    #[test]
    fn anomalies_are_as_frequent_as_stated_and_stand_out() {
        let spec = AnomalySpec { spikes: 0.01, shifts: 0.001, size: 3.0 };
        let with = run(SINE, 0.2, spec, 200_000);
        let count = |kind| with.iter().filter(|v| v.1 == Some(kind)).count() as f64;
        let (spikes, shifts) = (count(AnomalyKind::Spike), count(AnomalyKind::Shift));
        assert!((spikes - 2_000.0).abs() < 4.0 * 2_000_f64.sqrt(), "{spikes}");
        assert!((shifts - 200.0).abs() < 4.0 * 200_f64.sqrt(), "{shifts}");
        let without = run(SINE, 0.2, AnomalySpec::default(), 200_000);
        let (mut shifted, distance) = (0.0, 3.0 * (5.0 + 0.6));
        for ((value, kind), (normal, _)) in with.iter().zip(&without) {
            let added = value - normal;
            match kind {
                Some(AnomalyKind::Shift) => {
                    assert!((added - shifted).abs() > distance - 1e-6);
                    shifted = added;
                }
                Some(AnomalyKind::Spike) => assert!(((added - shifted).abs() - distance).abs() < 1e-6),
                _ => assert!((added - shifted).abs() < 1e-6),
            }
        }
    }

    #[test]
    fn certain_and_impossible_anomalies_are_just_that() {
        let always = run(SINE, 0.0, AnomalySpec { spikes: 1.0, shifts: 0.0, size: 1.0 }, 100);
        assert!(always.iter().all(|v| v.1 == Some(AnomalyKind::Spike)));
    }

    proptest! {
        #[test]
        fn reflection_stays_in_range_and_moves_nothing_inside(position in -1e6..1e6_f64, range in 0.0..1e3_f64) {
            let folded = reflect(position, range);
            prop_assert!(folded.abs() <= range + 1e-6);
            if position.abs() <= range {
                prop_assert_eq!(folded.to_bits(), position.to_bits());
            }
        }
    }
}
