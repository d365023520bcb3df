//! When the scores of one device become an alert.

use serde::{Deserialize, Serialize};

use super::super::reading::Level;
use crate::clock::Tick;
use crate::service::Alerts;

/// How fast the memory of the last peak fades, per reading.
const HOLD_OFF: f64 = 0.993;
/// How fast it fades to the least score of an anomaly while readings are none: the next disturbance need not be worse than the last.
const CALM: f64 = 0.8;

/// How serious a score is.
pub(in crate::reference) fn level(score: f64, thresholds: &[f64; 4]) -> Level {
    const RISING: [Level; 4] = [Level::Low, Level::Medium, Level::High, Level::Critical];
    let passed = thresholds.iter().filter(|threshold| score >= **threshold).count();
    passed.checked_sub(1).map_or(Level::None, |index| RISING[index])
}

/// What the last scores of a device were, as far as alerts hang on them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::reference) struct Watch {
    /// The fading memory of the last peak, of the champion's scores and the challenger's.
    peaks: [f64; 2],
    /// Bit n: the reading n before the last was an anomaly.
    anomalies: u64,
    /// The level at which the device has alerted and not come down from; never none.
    standing: Option<Level>,
    /// When each level was last published, nanoseconds plus one; 0 never.
    published: [u64; 4],
}

impl Watch {
    /// Whether a score is an anomaly, and how serious: it must top the fading memory of the last peak, so that one
    /// disturbance is one anomaly.
    pub(in crate::reference) fn judge(&mut self, score: f64, variant: usize, thresholds: &[f64; 4]) -> Level {
        let peak = &mut self.peaks[variant];
        let found = if score > *peak { level(score, thresholds) } else { Level::None };
        *peak = score.max(HOLD_OFF * *peak);
        if score < thresholds[0] {
            *peak = peak.min(thresholds[0]).max(CALM * *peak);
        }
        found
    }

    /// Whether an anomaly of `found` is to be published: m of n, hysteresis, and silence after the last.
    pub(in crate::reference) fn alerts(
        &mut self,
        found: Level,
        score: f64,
        now: Tick,
        setup: &Alerts,
    ) -> bool {
        self.anomalies = self.anomalies << 1 | u64::from(found != Level::None);
        // An alert that is over leaves the one below it standing, if that is not over too.
        while let Some(standing) = self.standing
            && score < setup.clear * setup.thresholds[standing as usize - 1]
        {
            self.standing = Level::ALERTS.into_iter().rev().find(|lower| *lower < standing);
        }
        if found == Level::None {
            return false;
        }
        let looked_back = u64::MAX >> (64 - u32::from(setup.of.clamp(1, 64)));
        if (self.anomalies & looked_back).count_ones() < u32::from(setup.need) {
            return false;
        }
        if setup.clear < 1.0 && self.standing.is_some_and(|standing| found <= standing) {
            return false;
        }
        self.standing = self.standing.max(Some(found));
        let last = &mut self.published[found as usize - 1];
        if *last > 0 && now.since(Tick(*last - 1)) < setup.quiet.as_ns() {
            return false;
        }
        *last = now.0 + 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;

    #[test]
    fn levels_follow_the_thresholds() {
        let thresholds = Alerts::default().thresholds;
        for (score, expected) in [
            (0.0, Level::None),
            (2.79, Level::None),
            (2.8, Level::Low),
            (5.0, Level::Medium),
            (11.9, Level::High),
            (1e9, Level::Critical),
        ] {
            assert_eq!(level(score, &thresholds), expected, "{score}");
        }
    }

    #[test]
    fn a_disturbance_is_one_anomaly_and_a_worse_one_another() {
        let mut watch = Watch::default();
        let thresholds = Alerts::default().thresholds;
        let levels: Vec<Level> =
            [6.0, 5.9, 6.1, 3.0].iter().map(|score| watch.judge(*score, 0, &thresholds)).collect();
        assert_eq!(levels, [Level::Medium, Level::None, Level::Medium, Level::None]);
        assert_eq!(watch.judge(3.0, 1, &thresholds), Level::Low, "the other model has a memory of its own");
    }

    #[test]
    fn a_disturbance_after_calm_need_not_be_worse_than_the_last() {
        let thresholds = Alerts::default().thresholds;
        let again = |calm: usize, score: f64| {
            let mut watch = Watch::default();
            watch.judge(20.0, 0, &thresholds);
            (0..calm).for_each(|_| _ = watch.judge(0.0, 0, &thresholds));
            watch.judge(score, 0, &thresholds) > Level::None
        };
        for (calm, score, told) in
            [(0, 19.9, false), (1, 17.0, true), (3, 9.0, false), (5, 9.0, true), (10, 3.0, true)]
        {
            assert_eq!(again(calm, score), told, "{score} after {calm}");
        }
    }

    /// One character a reading: what is found and, in capitals, published.
    fn published(setup: &Alerts, readings: &str) -> String {
        let mut watch = Watch::default();
        let alerts = readings.chars().enumerate().map(|(second, sign)| {
            let (found, score) = match sign {
                'l' => (Level::Low, 3.0),
                'h' => (Level::High, 9.0),
                '-' => (Level::None, 2.5),
                _ => (Level::None, 0.0),
            };
            let now = Tick(second as u64 * 1_000_000_000);
            if watch.alerts(found, score, now, setup) { sign.to_ascii_uppercase() } else { sign }
        });
        alerts.collect()
    }

    #[test]
    fn rules_decide_what_is_published() {
        let plain = Alerts::default();
        for (name, setup, expected) in [
            ("every anomaly", plain, "L.LLHLH.L"),
            ("two of three", Alerts { need: 2, of: 3, ..plain }, "l.LLHLH.L"),
            ("once until it is over", Alerts { clear: 0.5, ..plain }, "L.LlHlH.L"),
            ("no sooner than 3 s", Alerts { quiet: Span::from_ms(3_000), ..plain }, "L.lLHlh.L"),
        ] {
            assert_eq!(published(&setup, &expected.to_lowercase()), expected, "{name}");
        }
        let stubborn = Alerts { clear: 0.5, ..plain };
        assert_eq!(published(&stubborn, "l-l.l"), "L-l.L", "2.5 is not below half of the threshold");
    }
}
