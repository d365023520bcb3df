//! A streaming anomaly detector: constant memory and time per reading, deterministic, no training.
//!
//! Each device keeps three fading histograms of self-normalised features of its signal (level, innovation, shift), in the
//! manner of LODA (Pevný 2016, one-dimensional histograms over projections). The largest surprise is set against
//! the device's own usual worst by an exponential tail, the simplest case of SPOT (Siffer et al. 2017): that is how *rare* a
//! reading is. On noise alone 1 in 800 is rare by definition; an anomaly is a reading that is *far* as well. What it promises
//! is spikes and level shifts; a slow drift it takes for the signal.
//!
//! All state of a device is here, in front of the model: [`Detector::observe`] turns a reading into a [`Vector`] of small integers,
//! and the model maps that vector to a score as a pure function.

mod distance;
mod ewma;
mod histogram;
mod judge;
mod quality;
mod tail;

pub(super) use ewma::Ewma;
use serde::{Deserialize, Serialize};

use distance::Distance;
use histogram::{BinPosition, Histogram};
pub(super) use judge::Judge;
pub(super) use quality::{Defects, Quality};
use tail::TailEstimator;

/// Memory of the slow averages, in readings, as a weight.
const SLOW: f64 = 1e-3;
/// Weight of the newest value in the follower of the last value, and in the follower of the level.
const FAST: f64 = 0.95;
const MEDIUM: f64 = 0.03;
/// Values further than this many deviations away update the averages only that far, after the first readings.
const CLIP: f64 = 12.0;
const CLIP_FROM: u32 = 30;
/// Readings of a device before its histograms are asked: the surprise of the smaller ones hardly differs from one value to the
/// next. Until then distance speaks alone.
const HISTOGRAMS_FROM: u32 = 200;
/// Least scale, as a share of the mean: guards against division by nothing on a constant signal.
const FLOOR: f64 = 1e-6;
/// Values beyond this count as this: their squares would not be finite.
const LARGEST: f64 = 1e100;
/// How a surprise of each feature counts: level, innovation, shift.
const WEIGHTS: [f64; 3] = [0.8, 0.7, 0.8];
/// Added to every surprise, so that ordinary ones are about 0.
const OFFSET: f64 = 4.0;
/// The usual worst surprise of a device that has not shown its own: what empty histograms give, and the mean excess of
/// normally distributed noise.
const FIRST_WORST: f64 = WEIGHTS[0] * OFFSET;
const FIRST_EXCESS: f64 = 0.3;
/// How much an e-folding of distance counts for. A low anomaly, 2.8, is one reading in 800 by rarity and must be one in 300 by
/// distance.
const FAR: f64 = 1.5;
/// From this many e-foldings of distance on the score grows with the distance: what a histogram has never seen is as surprising
/// a little beyond the rest as a world away.
const REMOTE: f64 = 8.0;
/// Steps of the logarithm of the scale per e-folding, as a share of the steps of a margin per unit.
const EXCESS_SHARE: f64 = 1.0;

/// The feature vector the model sees: device-free, quantised, hence equal for equal situations of any device.
///
/// Margins are how far each weighted surprise lies above the device's usual worst (negative: below), as far as the distance
/// allows; the excess is the logarithm of the tail's scale; both in steps of 1/`resolution`. Quantising moves a margin by at most half a step and the
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
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Detector {
    readings: u32,
    mean: f64,
    variance: f64,
    last: f64,
    level: f64,
    /// Mean distance between successive values.
    jump: f64,
    histograms: [Histogram; 3],
    /// The usual worst of the surprises.
    worst: TailEstimator,
    distance: Distance,
}

impl Default for Detector {
    fn default() -> Self {
        Self {
            readings: 0,
            mean: 0.0,
            variance: 0.0,
            last: 0.0,
            level: 0.0,
            jump: 0.0,
            histograms: Default::default(),
            worst: TailEstimator::new(FIRST_WORST, 0, FIRST_EXCESS),
            distance: Distance::default(),
        }
    }
}

impl Detector {
    /// Takes a reading in and gives the vector the model is to score, in steps of 1/`resolution`. `value` must be finite.
    pub(super) fn observe(&mut self, value: f64, resolution: u8) -> Vector {
        let value = value.clamp(-LARGEST, LARGEST);
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
        let distance = self.distance.observe(innovation.abs() / jump, self.readings);
        let vector = self.quantise(raised, distance, resolution);
        self.worst.add(raised.into_iter().fold(0.0, f64::max));
        self.follow(value, innovation, deviation, jump);
        vector
    }

    fn quantise(&self, raised: [f64; 3], distance: f64, resolution: u8) -> Vector {
        let steps = |value: f64| (value * f64::from(resolution)).round() as i8;
        let scale = self.worst.scale();
        let (allowed, emphasis) = (FAR * distance * scale, (distance / REMOTE).max(1.0));
        let margins = if self.readings < HISTOGRAMS_FROM {
            // The distance is that of the innovation.
            [0.0, allowed, 0.0]
        } else {
            raised.map(|surprise| (surprise - self.worst.quantile()).min(allowed))
        };
        let excess = steps(scale.ln() * EXCESS_SHARE);
        Vector { margins: margins.map(|margin| steps(margin * emphasis)), excess, resolution }
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
}

#[cfg(test)]
mod tests;
