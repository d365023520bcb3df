//! The models behind the cache: pure functions of the feature vector, each with a version of its own.

mod cost;
mod experiment;
mod rule;
mod truth;

pub(super) use cost::Costs;
pub(super) use experiment::{Experiment, Judged};
pub(super) use truth::Labelled;

use super::detector::Vector;

/// A model: a pure function, so that what is cached of it is exactly what it would say.
pub(super) trait Model: std::fmt::Debug + Sync {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// How many e-foldings beyond the device's usual worst the situation lies.
    fn score(&self, vector: Vector) -> f64;
}

/// The model whose verdicts count unless a device is in the experiment.
#[derive(Debug)]
struct Champion;

impl Model for Champion {
    fn name(&self) -> &'static str {
        "histograms"
    }

    /// The largest margin over the scale of the device's tail.
    fn score(&self, vector: Vector) -> f64 {
        vector.margins().into_iter().fold(0.0, f64::max) / vector.scale()
    }
}

/// The model it is compared with: deviations from a moving mean, in moving standard deviations.
#[derive(Debug)]
struct Challenger;

/// Standard deviations that make a low alert: beyond six, a normally distributed signal is never.
const DEVIATIONS: f64 = 6.0;
/// The score of a low alert.
const LOW: f64 = 2.8;

impl Model for Challenger {
    fn name(&self) -> &'static str {
        "z-score"
    }

    fn score(&self, vector: Vector) -> f64 {
        let [deviations, ..] = vector.margins();
        deviations.max(0.0) * LOW / DEVIATIONS
    }
}

/// Both, champion first.
pub(super) static MODELS: [&dyn Model; 2] = [&Champion, &Challenger];

/// The index of the champion in [`MODELS`].
pub(super) const CHAMPION: usize = 0;
/// The index of the challenger in [`MODELS`].
pub(super) const CHALLENGER: usize = 1;

/// What a cached answer hangs on: nothing but the model, its version and its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) vector: Vector,
    pub(super) model: u8,
    /// Raised whenever the model is replaced: no answer crosses it.
    pub(super) version: u32,
}

impl Key {
    /// What the model says.
    pub(super) fn score(&self) -> f64 {
        MODELS[usize::from(self.model) % MODELS.len()].score(self.vector)
    }

    /// As text for a log of keys: model, resolution, margins and excess. The version is left out: what is warmed is
    /// computed by the model of the day.
    pub(super) fn encode(&self) -> String {
        let Vector { margins: [level, innovation, shift], excess, resolution } = self.vector;
        format!("{} {resolution} {level} {innovation} {shift} {excess}", self.model)
    }

    /// Reads what [`Self::encode`] wrote, and nothing that is only like it; version 0.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let model = parts.next()?.parse().ok().filter(|model| usize::from(*model) < MODELS.len())?;
        let resolution = parts.next()?.parse().ok().filter(|resolution| *resolution > 0)?;
        let mut step = || parts.next()?.parse::<i8>().ok();
        let (margins, excess) = ([step()?, step()?, step()?], step()?);
        let vector = Vector { margins, excess, resolution };
        Some(Self { vector, model, version: 0 }).filter(|key| key.encode() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_champion_sets_the_largest_margin_on_the_scale_of_the_tail() {
        for (margins, excess, score) in [
            ([0, 0, 0], 0, 0.0),
            ([-5, -1, -9], 3, 0.0),
            ([32, 64, 16], 0, 2.0),
            ([32, 0, 0], 32, (-1.0_f64).exp()),
        ] {
            let said = MODELS[CHAMPION].score(Vector { margins, excess, resolution: 32 });
            assert!((said - score).abs() < 1e-12, "{margins:?} {excess}: {said}");
        }
    }

    #[test]
    fn keys_are_read_as_they_were_written() {
        let key = Key {
            vector: Vector { margins: [-128, 0, 127], excess: -3, resolution: 8 },
            model: 1,
            version: 0,
        };
        assert_eq!(Key::decode(&key.encode()), Some(key));
        for text in [
            "",
            "0",
            "2 8 0 0 0 0",
            "0 0 0 0 0 0",
            "0 8 0 0 0 128",
            "0 8 0 0 0 0 0",
            "0 8 a 0 0 0",
            "0 8 +1 0 0 0",
            "0 08 0 0 0 0",
        ] {
            assert_eq!(Key::decode(text), None, "{text}");
        }
    }

    #[test]
    fn the_challenger_alerts_beyond_six_deviations() {
        let score =
            |steps| MODELS[CHALLENGER].score(Vector { margins: [steps, 0, 0], excess: 0, resolution: 8 });
        assert!(score(47) < LOW && (score(48) - LOW).abs() < 1e-12 && score(-8) == 0.0);
    }
}
