//! A device's detector with all that stands behind it: what the service decides of a reading when nothing hurries it.

use super::super::alert::Watch;
use super::super::model::{CHAMPION, MODELS};
use super::super::reading::Level;
use super::Detector;

/// Judges one device's readings, one after the other, as the service does with cache and queue left out: the same
/// detector, model and hold-off, and nothing else.
#[derive(Debug, Clone)]
pub(in crate::reference) struct Judge {
    detector: Detector,
    watch: Watch,
    thresholds: [f64; 4],
    resolution: u8,
}

impl Judge {
    /// A device not heard of before. `thresholds` are the least scores of the levels, low first; `resolution` is in steps of
    /// the feature vector per unit of surprise.
    pub(in crate::reference) fn new(thresholds: [f64; 4], resolution: u8) -> Self {
        Self { detector: Detector::default(), watch: Watch::default(), thresholds, resolution }
    }

    /// The score of a finite value, and how serious an anomaly it is.
    pub(in crate::reference) fn judge(&mut self, value: f64) -> (f64, Level) {
        let score = MODELS[CHAMPION].score(self.detector.observe(value, self.resolution));
        (score, self.watch.judge(score, CHAMPION, &self.thresholds))
    }
}
