//! A streaming anomaly detector: constant memory and time per reading, deterministic, no training.
//!
//! Each device keeps three fading histograms of self-normalised features of its signal (level, innovation, shift), in the
//! manner of LODA (Pevný 2016, one-dimensional histograms over projections). The largest surprise is set against
//! the device's own usual worst by an exponential tail, the simplest case of SPOT (Siffer et al. 2017). What it promises is
//! spikes and level shifts; a slow drift it takes for the signal.
//!
//! All state of a device is here, in front of the model: [`Detector::observe`] turns a reading into a [`Vector`] of small integers,
//! the model maps that vector to a score as a pure function, and [`Detector::conclude`] decides whether to alert.

mod histogram;
#[cfg(test)]
mod score;
mod screen;
mod tail;

use histogram::{Histogram, Place};
use screen::Screen;
use tail::Tail;

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
/// How fast the memory of the last peak fades, per reading.
const HOLD_OFF: f64 = 0.993;

/// Steps of a margin per unit, and of the logarithm of the excess.
const MARGIN_STEPS: f64 = 16.0;
const EXCESS_STEPS: f64 = 16.0;
/// Added to the mean excess, so that a score is finite on the quietest signal.
const EXCESS_FLOOR: f64 = 0.1;

/// The feature vector the model sees: device-free, quantised, hence equal for equal situations of any device.
///
/// Margins are how far each weighted surprise lies above the device's usual worst, in sixteenths, 0 if below: 98 % of
/// readings have none. The excess is the logarithm of the tail's scale in sixteenths. Quantising moves a score by at most
/// 3 % and 1/32 of a margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Vector {
    pub(super) margins: [u8; 3],
    pub(super) excess: i8,
}

impl Vector {
    /// The margins, in units of surprise.
    pub(super) fn margins(self) -> [f64; 3] {
        self.margins.map(|steps| f64::from(steps) / MARGIN_STEPS)
    }

    /// The scale of the tail, in units of surprise.
    pub(super) fn scale(self) -> f64 {
        (f64::from(self.excess) / EXCESS_STEPS).exp()
    }
}

/// The state of one device.
#[derive(Debug, Clone, Default)]
pub(super) struct Detector {
    readings: u32,
    mean: f64,
    variance: f64,
    last: f64,
    level: f64,
    /// Mean distance between successive values.
    jump: f64,
    histograms: [Histogram; 3],
    tail: Tail,
    peak: f64,
    screen: Screen,
    /// Whether the last reading leapt.
    leapt: bool,
}

impl Detector {
    /// Takes a reading in and gives the vector the model is to score. `value` must be finite.
    pub(super) fn observe(&mut self, value: f64) -> Vector {
        let value = value.clamp(-LARGEST, LARGEST);
        self.leapt = self.screen.observe(value);
        if self.readings == 0 {
            (self.mean, self.last, self.level) = (value, value, value);
        }
        let floor = FLOOR * self.mean.abs() + f64::MIN_POSITIVE;
        let deviation = self.variance.sqrt().max(floor);
        let jump = self.jump.max(floor);
        let innovation = value - self.last;
        self.level += MEDIUM * (value - self.level);
        let features =
            [(value - self.mean) / deviation, innovation / jump, (self.level - self.mean) / deviation];
        let places = features.map(Place::of);
        let mut raised = [0.0; 3];
        for (index, histogram) in self.histograms.iter_mut().enumerate() {
            let surprise = histogram.surprise(places[index]);
            raised[index] = WEIGHTS[index] * (surprise + OFFSET).max(0.0);
            histogram.add(places[index]);
        }
        let vector = self.quantise(raised);
        self.tail.add(raised.into_iter().fold(0.0, f64::max));
        self.follow(value, innovation, deviation, jump);
        vector
    }

    fn quantise(&self, raised: [f64; 3]) -> Vector {
        // A device that is still being learned has no usual worst yet.
        let known = if self.readings < SILENT { 0.0 } else { 1.0 };
        let steps =
            |surprise: f64| (known * (surprise - self.tail.quantile()).max(0.0) * MARGIN_STEPS).round() as u8;
        let scale = (self.tail.excess() + EXCESS_FLOOR).ln() * EXCESS_STEPS;
        Vector { margins: raised.map(steps), excess: scale.round() as i8 }
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

    /// Decides on the score the model gave: it must top the fading memory of the last peak, so that one disturbance
    /// alerts once. A leap is at least a low alert, whatever the score: the screen tells it sooner and more often.
    pub(super) fn conclude(&mut self, score: f64) -> Level {
        let level = if score > self.peak { level(score) } else { Level::None };
        self.peak = score.max(HOLD_OFF * self.peak);
        if self.leapt { level.max(Level::Low) } else { level }
    }
}

/// How serious a score is. A score counts in e-foldings beyond the device's usual worst 2 %.
fn level(score: f64) -> Level {
    match score {
        s if s >= 12.0 => Level::Critical,
        s if s >= 8.0 => Level::High,
        s if s >= 5.0 => Level::Medium,
        s if s >= 2.8 => Level::Low,
        _ => Level::None,
    }
}

#[cfg(test)]
mod tests;
