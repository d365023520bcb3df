//! A streaming anomaly detector: constant memory and time per reading, deterministic, no training.
//!
//! Each device keeps three fading histograms of self-normalised features of its signal (level, innovation, shift), in the
//! manner of LODA (Pevný 2016, one-dimensional histograms over projections). The largest surprise is set against
//! the device's own usual worst by an exponential tail, the simplest case of SPOT (Siffer et al. 2017). What it promises is
//! spikes and level shifts; a slow drift it takes for the signal.
//!
//! All state of a device is here, in front of the model: [`Detector::observe`] turns a reading into a [`Vector`] of small integers,
//! and the model maps that vector to a score as a pure function.

mod ewma;
mod histogram;
mod judge;
mod outlier;
mod quality;
mod tail;

pub(super) use ewma::Ewma;
use serde::{Deserialize, Serialize};

use histogram::{BinPosition, Histogram};
pub(super) use judge::Judge;
use outlier::OutlierFilter;
pub(super) use quality::{Defects, Quality};
use tail::TailEstimator;

use super::reading::Level;

/// Memory of the slow averages, in readings, as a weight.
const SLOW: f64 = 1e-3;
/// Weight of the newest value in the follower of the last value, and in the follower of the level.
const FAST: f64 = 0.95;
const MEDIUM: f64 = 0.03;
/// Values further than this many deviations away update the averages only that far, after the first readings.
const CLIP: f64 = 12.0;
const CLIP_FROM: u32 = 30;
/// Readings of a device before it may alert.
const SILENT: u32 = 50;
/// Least scale, as a share of the mean: guards against division by nothing on a constant signal.
const FLOOR: f64 = 1e-6;
/// Values beyond this count as this: their squares would not be finite.
const LARGEST: f64 = 1e100;
/// How a surprise of each feature counts: level, innovation, shift.
const WEIGHTS: [f64; 3] = [0.8, 0.7, 0.8];
/// Added to every surprise, so that ordinary ones are about 0.
const OFFSET: f64 = 4.0;
/// Steps of the logarithm of the excess per e-folding, as a share of the steps of a margin per unit.
const EXCESS_SHARE: f64 = 1.0;
/// Added to the mean excess, so that a score is finite on the quietest signal.
const EXCESS_FLOOR: f64 = 0.05;

/// The feature vector the model sees: device-free, quantised, hence equal for equal situations of any device.
///
/// Margins are how far each weighted surprise lies above the device's usual worst (negative: below), the excess is the
/// logarithm of the tail's scale, both in steps of 1/`resolution`. Quantising moves a margin by at most half a step and the
/// scale by at most half a step of an e-folding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Vector {
    pub(super) margins: [i8; 3],
    pub(super) excess: i8,
    pub(super) resolution: u8,
}

impl Vector {
    /// The margins, in units of surprise.
    pub(super) fn margins(self) -> [f64; 3] {
        self.margins.map(|steps| f64::from(steps) / f64::from(self.resolution))
    }

    /// The scale of the tail, in units of surprise.
    pub(super) fn scale(self) -> f64 {
        (f64::from(self.excess) / (f64::from(self.resolution) * EXCESS_SHARE)).exp()
    }

    /// Its coordinates in steps, for distances.
    pub(super) const fn coordinates(self) -> [i8; 4] {
        let [level, innovation, shift] = self.margins;
        [level, innovation, shift, self.excess]
    }
}

/// The state of one device.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Detector {
    readings: u32,
    mean: f64,
    variance: f64,
    last: f64,
    level: f64,
    /// Mean distance between successive values.
    jump: f64,
    histograms: [Histogram; 3],
    tail: TailEstimator,
    screen: OutlierFilter,
    /// Whether the last reading leapt.
    leapt: bool,
}

impl Detector {
    /// Takes a reading in and gives the vector the model is to score, in steps of 1/`resolution`. `value` must be finite.
    pub(super) fn observe(&mut self, value: f64, resolution: u8) -> Vector {
        let value = value.clamp(-LARGEST, LARGEST);
        self.leapt = self.screen.observe(value);
        if self.readings == 0 {
            (self.mean, self.last, self.level) = (value, value, value);
        }
        let floor = FLOOR * self.mean.abs() + f64::MIN_POSITIVE;
        let deviation = self.variance.sqrt().max(floor);
        let jump = self.jump.max(floor);
        let innovation = value - self.last;
        let share = 1.0 / (f64::from(self.readings) + 1.0);
        self.level += MEDIUM.max(share) * (value - self.level);
        let features =
            [(value - self.mean) / deviation, innovation / jump, (self.level - self.mean) / deviation];
        let places = features.map(BinPosition::of);
        let mut raised = [0.0; 3];
        for (index, histogram) in self.histograms.iter_mut().enumerate() {
            let surprise = histogram.surprise(places[index]);
            raised[index] = WEIGHTS[index] * (surprise + OFFSET).max(0.0);
            histogram.add(places[index]);
        }
        let vector = self.quantise(raised, resolution);
        self.tail.add(raised.into_iter().fold(0.0, f64::max));
        self.follow(value, innovation, deviation, jump);
        vector
    }

    fn quantise(&self, raised: [f64; 3], resolution: u8) -> Vector {
        let steps = |value: f64| (value * f64::from(resolution)).round() as i8;
        // A device that is still being learned has no usual worst yet.
        let margin =
            |surprise: f64| if self.readings < SILENT { 0 } else { steps(surprise - self.tail.quantile()) };
        let excess = steps((self.tail.excess() + EXCESS_FLOOR).ln() * EXCESS_SHARE);
        Vector { margins: raised.map(margin), excess, resolution }
    }

    /// Moves the averages towards `value`, a far one only up to the clip.
    fn follow(&mut self, value: f64, innovation: f64, deviation: f64, jump: f64) {
        let weight = SLOW.max(1.0 / (f64::from(self.readings) + 1.0));
        let (mut off, mut distance) = (value - self.mean, innovation.abs());
        if self.readings >= CLIP_FROM {
            off = off.clamp(-CLIP * deviation, CLIP * deviation);
            distance = distance.min(CLIP * jump);
        }
        self.mean += weight * off;
        self.variance += weight * (off * off - self.variance);
        self.jump += weight * (distance - self.jump);
        self.last += FAST * (value - self.last);
        self.readings = self.readings.saturating_add(1);
    }

    /// The last reading's verdict, whose score and level the model has made out: one that leapt is at least a low anomaly,
    /// whatever the model makes of it, for the screen tells it sooner and more often.
    pub(super) fn verdict(&self, (score, level): (f64, Level), thresholds: &[f64; 4]) -> (f64, Level) {
        if self.leapt { (score.max(thresholds[0]), level.max(Level::Low)) } else { (score, level) }
    }
}

#[cfg(test)]
mod tests;
