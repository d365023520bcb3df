//! The series of one source from one time that it is asked to the next: counters become rates, and there are only so many.

use std::collections::HashMap;

use crate::clock::Tick;
use crate::metric::SeriesKind;
use crate::results::{TargetKind, TargetRow};

/// Series of one source at most, over the whole run.
pub(super) const MOST_SERIES: usize = 200;

/// The series of one source.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// What was last read of each, by metric and labels.
    known: HashMap<(String, String), (Tick, f64)>,
    /// Whether there was one for which there was no room.
    pub(super) is_full: bool,
}

/// What is to be written of one series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub(super) metric: String,
    pub(super) labels: String,
    pub(super) kind: TargetKind,
    pub(super) value: f64,
}

impl Reading {
    /// As it stands in the file, of the source called `scrape`.
    pub(super) fn row<'r>(&'r self, scrape: &'r str) -> TargetRow<'r> {
        let Self { metric, labels, kind, value } = self;
        TargetRow { scrape, metric, labels, kind: *kind, value: *value }
    }
}

impl Series {
    /// Takes in `value` of a series at `at`; what is to be written of it, if anything is: of a counter, nothing before the second time.
    /// A counter that is lower than it was has begun anew, from 0.
    pub(super) fn take(
        &mut self,
        (metric, labels): (&str, &str),
        kind: SeriesKind,
        (at, value): (Tick, f64),
    ) -> Option<Reading> {
        if !value.is_finite() {
            return None;
        }
        let key = (metric.to_owned(), labels.to_owned());
        if !self.known.contains_key(&key) && self.known.len() >= MOST_SERIES {
            self.is_full = true;
            return None;
        }
        let before = self.known.insert(key, (at, value));
        let (kind, value) = match kind {
            SeriesKind::Gauge => (TargetKind::Value, value),
            // A bucket grows as a counter does; the quantile of a summary stands for itself.
            SeriesKind::Part if labels.contains("quantile=") => (TargetKind::Value, value),
            SeriesKind::Counter | SeriesKind::Part => {
                let (then, was) = before?;
                let passed_s = at.since(then) as f64 / 1e9;
                let grown = if value < was { value } else { value - was };
                (TargetKind::PerSecond, if passed_s > 0.0 { grown / passed_s } else { return None })
            }
        };
        Some(Reading { metric: metric.to_owned(), labels: labels.to_owned(), kind, value })
    }

    /// Counters begin anew: what is counted now is counted by somebody else.
    pub(super) fn restart(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn second(s: u64) -> Tick {
        Tick(s * 1_000_000_000)
    }

    #[test]
    fn counters_become_rates_and_gauges_stay() {
        let mut series = Series::default();
        // What is read, when, and what is written of it.
        let table = [
            (SeriesKind::Counter, "", 1, 100.0, None),
            (SeriesKind::Gauge, "g", 1, -5.0, Some((TargetKind::Value, -5.0))),
            (SeriesKind::Counter, "", 3, 130.0, Some((TargetKind::PerSecond, 15.0))),
            (SeriesKind::Counter, "", 3, 140.0, None),
            (SeriesKind::Counter, "", 4, f64::NAN, None),
            (SeriesKind::Counter, "", 5, 8.0, Some((TargetKind::PerSecond, 4.0))),
            (SeriesKind::Part, "le=\"1\"", 5, 8.0, None),
            (SeriesKind::Part, "le=\"1\"", 7, 9.0, Some((TargetKind::PerSecond, 0.5))),
            (SeriesKind::Part, "quantile=\"0.5\"", 7, 9.0, Some((TargetKind::Value, 9.0))),
        ];
        for (nth, (kind, labels, at, value, expected)) in table.into_iter().enumerate() {
            let found = series.take(("m", labels), kind, (second(at), value));
            assert_eq!(found.map(|reading| (reading.kind, reading.value)), expected, "row {nth}");
        }
        series.restart();
        assert_eq!(series.take(("m", ""), SeriesKind::Counter, (second(9), 1.0)), None);
    }

    #[test]
    fn those_that_are_known_go_on_when_there_is_no_room_for_more() {
        let mut series = Series::default();
        for nth in 0..MOST_SERIES {
            let labels = format!("n=\"{nth}\"");
            assert!(series.take(("m", &labels), SeriesKind::Gauge, (second(1), 1.0)).is_some());
        }
        assert!(!series.is_full);
        assert_eq!(series.take(("m", "n=\"one more\""), SeriesKind::Gauge, (second(1), 1.0)), None);
        assert!(series.is_full);
        assert!(series.take(("m", "n=\"0\""), SeriesKind::Gauge, (second(2), 1.0)).is_some());
    }
}
