//! What is asked of a search.

use crate::seed::Seed;

/// The narrowest interval that can be asked for, as a share of the factor: below it, noise between runs leaves nothing to find.
const FINEST: f64 = 0.005;
/// The widest: beyond it an interval says no more than a guess.
const COARSEST: f64 = 1.0;
/// The largest ratio of the highest to the lowest factor.
const WIDEST_RANGE: f64 = 10_000.0;
/// The most probes a search keeps.
const MOST_PROBES: u32 = 10_000;

/// What is asked of a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Settings {
    /// The lowest load factor that is probed; above 0.
    pub lowest: f64,
    /// The highest load factor that is probed.
    pub highest: f64,
    /// How wide the interval may be: its whole width, as a share of the factor it is about.
    pub precision: f64,
    /// How sure the interval is to be: 0.95 for a 95 % interval.
    pub confidence: f64,
    /// How many probes may be made, whatever they say. A driver with an allowance of time stops by itself.
    pub most_probes: u32,
    /// Fixes the factors and the order in which they are probed.
    pub seed: Seed,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lowest: 0.1, highest: 10.0, precision: 0.05, confidence: 0.95, most_probes: 80, seed: Seed(1) }
    }
}

/// Why settings cannot be searched with; the message says what to write instead.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum SettingsError {
    /// A factor that is not a positive number.
    #[error("the {which} load factor is {value}: a factor is a number above 0; write for example 0.5")]
    Factor {
        /// Lowest or highest.
        which: &'static str,
        /// What was given.
        value: f64,
    },
    /// The factors leave no room for a search.
    #[error(
        "the highest load factor, {highest}, is not above the lowest, {lowest}, or is more than 10,000 times as high; \
         raise the one or lower the other"
    )]
    Range {
        /// The lowest.
        lowest: f64,
        /// The highest.
        highest: f64,
    },
    /// A precision that no search reaches, or that says nothing.
    #[error("a precision of {} % cannot be asked for; write one from 0.5 % to 100 %", .0 * 100.0)]
    Precision(f64),
    /// A confidence that is no probability to rely on.
    #[error("a confidence of {} % cannot be asked for; write one from 50 % to 99.9 %", .0 * 100.0)]
    Confidence(f64),
    /// No probe, or more than are kept.
    #[error("{0} probes cannot be asked for; write a number from 1 to 10,000")]
    Probes(u32),
}

impl Settings {
    /// Everything that is wrong with them; empty if they can be searched with.
    pub(crate) fn faults(&self) -> Vec<SettingsError> {
        let Self { lowest, highest, precision, confidence, most_probes, .. } = *self;
        let is_factor = |value: f64| value.is_finite() && value > 0.0;
        let factors = [("lowest", lowest), ("highest", highest)];
        let wrong = factors.into_iter().filter(|(_, value)| !is_factor(*value));
        let mut faults: Vec<_> = wrong.map(|(which, value)| SettingsError::Factor { which, value }).collect();
        let ratio = highest / lowest;
        if faults.is_empty() && !(ratio > 1.0 && ratio <= WIDEST_RANGE) {
            faults.push(SettingsError::Range { lowest, highest });
        }
        if !(FINEST..=COARSEST).contains(&precision) {
            faults.push(SettingsError::Precision(precision));
        }
        if !(0.5..=0.999).contains(&confidence) {
            faults.push(SettingsError::Confidence(confidence));
        }
        if !(1..=MOST_PROBES).contains(&most_probes) {
            faults.push(SettingsError::Probes(most_probes));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let fine = Settings::default();
        assert_eq!(fine.faults(), []);
        let wrong =
            |settings: Settings| settings.faults().iter().map(ToString::to_string).collect::<Vec<_>>();
        for (settings, parts) in [
            (Settings { lowest: 0.0, ..fine }, &["lowest load factor is 0"][..]),
            (Settings { highest: f64::NAN, precision: 0.0, ..fine }, &["highest load factor", "0 %"][..]),
            (Settings { lowest: 2.0, highest: 2.0, ..fine }, &["not above the lowest, 2"][..]),
            (Settings { lowest: 1e-3, highest: 1e3, ..fine }, &["10,000 times"][..]),
            (Settings { confidence: 1.0, most_probes: 0, ..fine }, &["100 %", "0 probes"][..]),
        ] {
            let said = wrong(settings);
            assert_eq!(said.len(), parts.len(), "{said:?}");
            assert!(said.iter().zip(parts).all(|(said, part)| said.contains(part)), "{said:?}");
        }
    }
}
