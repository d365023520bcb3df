//! What turned out to be true, where readings say so: which anomalies each model found, and when.

/// The labelled anomaly of a device that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Episode {
    /// Its number within the device.
    number: u32,
    /// Readings that it has shown in.
    age: u32,
    /// By model: how many readings of it came before the first that it flagged; none while it has found nothing.
    found: [Option<u32>; 2],
}

/// What is remembered of a device from one labelled reading to the next.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::reference) struct Labelled {
    present: Option<Episode>,
    /// The number of the last one, so that what comes late is not taken for another.
    last: u32,
}

/// What a labelled reading adds to what is known of the models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::reference) struct Lesson {
    /// A reading without an anomaly: which models flagged it.
    normal: Option<[bool; 2]>,
    /// An anomaly that is over: how many readings each model needed, none where it did not find it.
    over: Option<[Option<u32>; 2]>,
}

impl Labelled {
    /// Takes a reading in that shows anomaly number `truth`, 0 for none, and which models flagged.
    pub(in crate::reference) fn learn(&mut self, truth: u32, flagged: [bool; 2]) -> Lesson {
        let mut lesson = Lesson::default();
        let is_new = truth > self.last;
        if truth == 0 || is_new {
            lesson.over = self.present.take().map(|episode| episode.found);
        }
        if truth == 0 {
            lesson.normal = Some(flagged);
            return lesson;
        }
        if is_new {
            self.last = truth;
            self.present = Some(Episode { number: truth, age: 0, found: [None; 2] });
        }
        if let Some(episode) = self.present.as_mut().filter(|episode| episode.number == truth) {
            for (found, flagged) in episode.found.iter_mut().zip(flagged) {
                *found = found.or(flagged.then_some(episode.age));
            }
            episode.age = episode.age.saturating_add(1);
        }
        lesson
    }
}

/// How often each of two models was right, of the same labelled readings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Accuracy {
    /// Anomalies that are over.
    pub(super) anomalies: u64,
    /// Of those, the ones that each found.
    pub(super) found: [u64; 2],
    /// Readings that came before those were found, summed.
    pub(super) delay: [u64; 2],
    /// Readings without an anomaly.
    pub(super) normal: u64,
    /// Of those, the ones that each flagged.
    pub(super) alarms: [u64; 2],
    /// Anomalies missed and false alarms by one of them alone: what tells the two apart.
    pub(super) alone: [u64; 2],
}

impl Accuracy {
    pub(super) fn add(&mut self, lesson: Lesson) {
        if let Some(flagged) = lesson.normal {
            self.normal += 1;
            self.add_errors(flagged);
            for (alarms, flagged) in self.alarms.iter_mut().zip(flagged) {
                *alarms += u64::from(flagged);
            }
        }
        if let Some(found) = lesson.over {
            self.anomalies += 1;
            self.add_errors(found.map(|found| found.is_none()));
            for (model, delay) in found.into_iter().enumerate() {
                self.found[model] += u64::from(delay.is_some());
                self.delay[model] += u64::from(delay.unwrap_or_default());
            }
        }
    }

    fn add_errors(&mut self, wrong: [bool; 2]) {
        for model in 0..2 {
            self.alone[model] += u64::from(wrong[model] && !wrong[1 - model]);
        }
    }

    /// Of the alarms of a model those that were for an anomaly: an anomaly flagged again and again is one alarm. None without any.
    pub(super) fn precision(&self, model: usize) -> Option<f64> {
        share(self.found[model], self.found[model] + self.alarms[model])
    }

    /// Of the anomalies those that a model found. None without any.
    pub(super) fn recall(&self, model: usize) -> Option<f64> {
        share(self.found[model], self.anomalies)
    }

    /// Readings from the first of an anomaly to the one that a model flagged, on average of those it found.
    pub(super) fn mean_delay(&self, model: usize) -> Option<f64> {
        share(self.delay[model], self.found[model])
    }

    /// Anomalies that a model missed, and its false alarms.
    pub(super) const fn errors(&self, model: usize) -> u64 {
        self.anomalies - self.found[model] + self.alarms[model]
    }
}

pub(super) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The two-sided probability that of two models which are equally good one makes at most `few` of the `few + many` errors that the two do
/// not share: the exact sign test.
pub(super) fn chance(few: u64, many: u64) -> f64 {
    let (few, all) = (few.min(many), few + many);
    let of = |errors: u64| libm::lgamma(errors as f64 + 1.0);
    let exactly = |errors: u64| {
        let ways = of(all) - of(errors) - of(all - errors);
        libm::exp(ways - all as f64 * std::f64::consts::LN_2)
    };
    (2.0 * (0..=few).map(exactly).sum::<f64>()).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What readings teach, each with the number of its anomaly and who flagged it: `c`hampion, c`h`allenger.
    fn taught(readings: &[(u32, &str)]) -> Accuracy {
        let (mut labelled, mut accuracy) = (Labelled::default(), Accuracy::default());
        for (truth, flagged) in readings {
            accuracy.add(labelled.learn(*truth, [flagged.contains('c'), flagged.contains('h')]));
        }
        accuracy
    }

    #[test]
    fn anomalies_are_counted_when_they_are_over_and_normal_readings_at_once() {
        let accuracy = taught(&[
            (0, ""),
            (0, "c"),
            (1, ""),
            (1, "h"),
            (1, "ch"),
            (0, ""),
            (2, "c"),
            (3, ""),
            // The first comes late: it is over.
            (1, "c"),
            (0, "ch"),
            (4, "c"),
        ]);
        let expected = Accuracy {
            anomalies: 3,
            found: [2, 1],
            delay: [2, 1],
            normal: 4,
            alarms: [2, 1],
            // The champion: one false alarm. The challenger: the second anomaly.
            alone: [1, 1],
        };
        assert_eq!(accuracy, expected);
        assert_eq!((accuracy.errors(0), accuracy.errors(1)), (3, 3));
        assert_eq!((accuracy.precision(0), accuracy.precision(1)), (Some(0.5), Some(0.5)));
        assert_eq!((accuracy.mean_delay(0), accuracy.mean_delay(1)), (Some(1.0), Some(1.0)));
        assert_eq!(accuracy.recall(0), Some(2.0 / 3.0));
        let nothing = taught(&[(0, "")]);
        assert_eq!((nothing.precision(0), nothing.recall(0), nothing.mean_delay(0)), (None, None, None));
    }

    #[test]
    fn chance_is_the_binomials() {
        for (few, many, expected) in [
            (0, 0, 1.0),
            (0, 1, 1.0),
            (0, 5, 0.0625),
            (0, 6, 0.03125),
            (1, 9, 0.021_484_375),
            (5, 15, 0.041_389_465),
            (10, 10, 1.0),
            (20, 5, 0.004_077_315),
        ] {
            assert!((chance(few, many) - expected).abs() < 1e-9, "{few} {many}: {}", chance(few, many));
        }
        assert!(chance(40_000, 60_000) < 1e-12 && chance(50_000, 50_001) > 0.99);
    }
}
