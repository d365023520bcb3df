//! Sensor signals: the undisturbed course, noise on it, and anomalies placed in it.

use std::sync::Arc;

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::anomaly::{Anomalies, AnomalySpec};
use crate::clock::Tick;
use crate::record::AnomalyMark;
use crate::seed::Stream;

/// The undisturbed course of a signal; values in the sensor's unit.
#[derive(Debug, Clone, PartialEq)]
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
    /// A square wave: as long at `level` as at `level + height`, each device with a phase of its own.
    Step {
        /// The lower level, where `height` is positive.
        level: f64,
        /// Distance of the other.
        height: f64,
        /// Time between two steps, nanoseconds, not 0.
        every_ns: u64,
    },
    /// Days and weeks: a swing per day, smaller on the sixth and seventh. The same for all devices.
    Daily {
        /// Middle of the swing.
        level: f64,
        /// Largest distance from the middle on the first five days.
        amplitude: f64,
        /// Share of the amplitude on the other two, 0 to 1.
        weekend: f64,
        /// Length of a day, nanoseconds, not 0.
        day_ns: u64,
    },
    /// Recorded values, from a row of the device's own on, again from the beginning after the last.
    Replay(Arc<RecordedSignal>),
}

/// Recorded values of a sensor.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedSignal {
    /// At least one, all finite.
    pub values: Vec<f64>,
    /// How long each holds, nanoseconds, not 0.
    pub every_ns: u64,
}

/// A channel's signal; each device draws its own course of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalSpec {
    /// The undisturbed course.
    pub shape: Shape,
    /// Standard deviation of the normally distributed noise on every reading.
    pub noise: f64,
    /// Its misbehaviour.
    pub anomalies: AnomalySpec,
}

impl SignalSpec {
    /// Half the width of the band in which normal readings lie: the swing and three standard deviations
    /// of noise; 1 for a signal that never moves.
    pub fn spread(&self) -> f64 {
        let swing = match &self.shape {
            Shape::Constant { .. } => 0.0,
            Shape::Sine { amplitude, .. } | Shape::Daily { amplitude, .. } => amplitude.abs(),
            Shape::Walk { step, range, .. } => range.min(3.0 * step),
            Shape::Step { height, .. } => height.abs() / 2.0,
            Shape::Replay(track) => {
                let (least, most) =
                    track.values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
                        (least.min(*value), most.max(*value))
                    });
                ((most - least) / 2.0).max(0.0)
            }
        };
        let spread = swing + 3.0 * self.noise;
        if spread > 0.0 { spread } else { 1.0 }
    }
}

/// One device's course of a signal.
#[derive(Debug, Clone)]
pub(super) struct Signal {
    stream: Stream,
    /// Phase of a wave in turns; position of a walk relative to its level; first row of a recording as a share.
    state: f64,
    anomalies: Option<Box<Disturbance>>,
}

#[derive(Debug, Clone)]
struct Disturbance {
    anomalies: Anomalies,
    /// Distance of an anomaly, and noise where there is none of its own.
    distance: f64,
    strength: f64,
}

impl Signal {
    pub(super) fn new(spec: &SignalSpec, mut stream: Stream, anomalies: Option<Stream>) -> Self {
        let state = match spec.shape {
            Shape::Sine { .. } | Shape::Step { .. } | Shape::Replay(_) => stream.random(),
            Shape::Constant { .. } | Shape::Walk { .. } | Shape::Daily { .. } => 0.0,
        };
        let anomalies = anomalies.map(|own| {
            let (distance, noise) = (spec.anomalies.size * spec.spread(), spec.noise);
            let strength = if noise > 0.0 { noise } else { spec.spread() / 3.0 };
            let anomalies = Anomalies::new(&spec.anomalies, own);
            Box::new(Disturbance { anomalies, distance, strength })
        });
        Self { stream, state, anomalies }
    }

    /// The value of reading number `seq`, due `at` since the signal began.
    pub(super) fn sample(&mut self, spec: &SignalSpec, at: Tick, seq: u64) -> (f64, Option<AnomalyMark>) {
        let course = self.course(&spec.shape, at);
        let one = self.normal();
        let Some(own) = &mut self.anomalies else { return (course + spec.noise * one, None) };
        let noise = (course, spec.noise * one);
        own.anomalies.disturb(seq, noise, (own.distance, own.strength * one), &spec.anomalies)
    }

    fn course(&mut self, shape: &Shape, at: Tick) -> f64 {
        match *shape {
            Shape::Constant { level } => level,
            Shape::Sine { level, amplitude, period_ns } => {
                level + amplitude * swing(share(at, period_ns) + self.state)
            }
            Shape::Walk { level, step, range } => {
                let moved = self.state + step * self.normal();
                self.state = reflect(moved, range);
                level + self.state
            }
            Shape::Step { level, height, every_ns } => {
                let turn = share(at, every_ns.saturating_mul(2)) + self.state;
                if turn.fract() < 0.5 { level } else { level + height }
            }
            Shape::Daily { level, amplitude, weekend, day_ns } => {
                let day = at.0 / day_ns % 7;
                let factor = if day >= 5 { weekend } else { 1.0 };
                level + amplitude * factor * swing(share(at, day_ns))
            }
            Shape::Replay(ref track) => {
                let rows = track.values.len() as u64;
                let first = ((self.state * rows as f64) as u64).min(rows.saturating_sub(1));
                let row = (first + at.0 / track.every_ns) % rows.max(1);
                track.values.get(row as usize).copied().unwrap_or_default()
            }
        }
    }

    fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.stream)
    }
}

/// How far into a period `at` lies, 0 to 1. Reduced in whole nanoseconds: a long run must not lose precision.
fn share(at: Tick, period_ns: u64) -> f64 {
    (at.0 % period_ns) as f64 / period_ns as f64
}

/// libm's sine is the same on every machine; the platform's need not be.
fn swing(turns: f64) -> f64 {
    libm::sin(turns * std::f64::consts::TAU)
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
mod tests;
