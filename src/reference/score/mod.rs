//! How well the detector does on labelled recordings, by the rules of the Numenta Anomaly Benchmark (NAB 1.1, Lavin and
//! Ahmad 2015, arXiv 1510.03336).
//!
//! Pure: texts go in, a [`Tally`] comes out. Every reading of a [`Series`] goes once, in order, through the detector that
//! judges live readings; nothing is known of a file but the readings that came before, and one threshold serves all files.

mod label;
mod moment;
mod nab;
mod series;

pub(crate) use label::{Labels, Recording};
#[cfg(test)]
pub(crate) use nab::Delay;
pub(crate) use nab::{Profile, Tally};
pub(crate) use series::Series;

use super::detector::Judge;
use super::reading::Level;
use crate::service::{Alerts, Features};

/// What is wrong in a file, where, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {message}")]
pub(crate) struct Flaw {
    /// Line of the file, from 1.
    pub line: u64,
    /// The field, what is wrong with it, and the remedy.
    pub message: String,
}

impl Flaw {
    fn new(line: u64, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

/// The least score of a low alert, unless told otherwise.
pub(crate) fn usual_threshold() -> f64 {
    Alerts::default().thresholds[0]
}

/// Scores the detector on one recording: an anomaly is what the service would call at least low, if `threshold` were the
/// least score of a low alert.
///
/// # Errors
/// If a window holds no reading of the series.
pub(crate) fn score(series: &Series, recording: &Recording, threshold: f64) -> Result<Tally, Flaw> {
    let spans = series.spans(recording)?;
    let thresholds = [threshold, f64::INFINITY, f64::INFINITY, f64::INFINITY];
    let mut judge = Judge::new(thresholds, Features::default().resolution);
    let flags = series.flags(|value| judge.judge(value).1 > Level::None);
    Ok(Tally::of(&flags, &spans))
}

#[cfg(test)]
mod tests;
