//! Rules on the data themselves, apart from the score: a value out of range, a sensor that is stuck, readings that are
//! missing. What they find is wrong with the sensor, not with what it measures, so that it neither raises the score nor
//! hides behind it.

use serde::{Deserialize, Serialize};

use crate::clock::Tick;
use crate::service::Features;

/// Readings of a device before its usual interval is known, and changes of its value before it is known how often it repeats
/// one.
const KNOWN: u32 = 10;
/// Least weight of a reading in the share of ties and in the usual interval: the memory is about a hundred readings.
const WEIGHT: f64 = 0.01;
/// A silence counts as this many usual intervals at the most, so that one does not make the next seem ordinary.
const LONGEST: f64 = 3.0;

/// What is wrong with a reading as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::reference) struct Defects {
    /// The value has been the same for so long that the sensor is stuck.
    pub(in crate::reference) stuck: bool,
    /// Readings are missing between the last one and this one.
    pub(in crate::reference) missing: bool,
    /// The value is out of range, or no number.
    pub(in crate::reference) range: bool,
}

impl Defects {
    /// The words on the wire for what is wrong.
    pub(in crate::reference) fn words(self) -> impl Iterator<Item = &'static str> {
        let all = [(self.stuck, "stuck"), (self.missing, "missing"), (self.range, "range")];
        all.into_iter().filter_map(|(found, word)| found.then_some(word))
    }
}

/// What one device's data are like as a rule, in 48 bytes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::reference) struct Quality {
    last: f64,
    /// When the last reading was taken.
    at: Tick,
    /// Readings so far.
    readings: u32,
    /// Readings that differ from the one before them.
    changes: u32,
    /// Readings in a row that repeat the one before them.
    ties: u32,
    /// Share of readings that repeat the one before them; those of the present row are not in it yet.
    tie_share: f64,
    /// Mean time between readings, nanoseconds.
    interval: f64,
}

impl Quality {
    /// Takes a reading in that was taken at `at`.
    pub(in crate::reference) fn observe(&mut self, value: f64, at: Tick, rules: &Features) -> Defects {
        let (least, largest) = rules.range;
        let defects = Defects {
            stuck: self.repeats(value, rules.stuck),
            missing: self.is_missing(at, rules),
            range: !(least..=largest).contains(&value),
        };
        self.pass(at);
        self.last = value;
        self.readings = self.readings.saturating_add(1);
        defects
    }

    /// When the last reading was taken; none before the first.
    pub(in crate::reference) fn last_taken(&self) -> Option<Tick> {
        (self.readings > 0).then_some(self.at)
    }

    /// Whether the device has been silent at `now` for longer than `rules` allow, in multiples of its usual interval. Not
    /// before its interval is known.
    pub(in crate::reference) fn is_missing(&self, now: Tick, rules: &Features) -> bool {
        let silence = now.since(self.at) as f64;
        rules.missing > 0.0 && self.readings >= KNOWN && silence > rules.missing * self.interval
    }

    /// Counts equal values in a row; true if they are so many, for this device, that it is stuck.
    ///
    /// A tie is worth −log₂ of the share of ties, but no more than 1: where values usually differ, `limit` equal values in a
    /// row are enough, where nine of ten are ties it takes seven times as many ties, and a constant is never stuck.
    fn repeats(&mut self, value: f64, limit: u32) -> bool {
        let enough = self.enough(limit);
        // Bits tell a repeated value from one that merely compares equal, and know that NaN is NaN.
        if self.readings > 0 && value.to_bits() == self.last.to_bits() {
            self.ties = self.ties.saturating_add(1);
            return f64::from(self.ties) >= enough;
        }
        if self.readings > 0 {
            // The row has ended. What went beyond being stuck is not a habit.
            let (ties, weight) =
                (f64::from(self.ties).min(enough), WEIGHT.max(1.0 / f64::from(self.readings)));
            self.tie_share = (1.0 - (1.0 - self.tie_share) * (1.0 - weight).powf(ties)) * (1.0 - weight);
            self.changes = self.changes.saturating_add(1);
        }
        self.ties = 0;
        false
    }

    /// Ties in a row from which on the sensor is stuck.
    fn enough(&self, limit: u32) -> f64 {
        let worth = (-self.tie_share.log2()).min(1.0);
        let known = limit > 0 && self.changes >= KNOWN && worth > 0.0;
        if known { (f64::from(limit.max(2) - 1) / worth).ceil() } else { f64::INFINITY }
    }

    /// Takes the time since the last reading into the usual interval. A reading that comes out of order leaves all as it was.
    fn pass(&mut self, at: Tick) {
        if self.readings == 0 {
            self.at = at;
        } else if at > self.at {
            let gap = at.since(self.at) as f64;
            let bounded = if self.readings >= KNOWN { gap.min(LONGEST * self.interval) } else { gap };
            self.interval += WEIGHT.max(1.0 / f64::from(self.readings)) * (bounded - self.interval);
            self.at = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rules(stuck: u32, missing: f64) -> Features {
        Features { stuck, missing, range: (-10.0, 100.0), ..Features::default() }
    }

    /// The numbers of the readings that are `wrong`; one a second.
    fn found(values: &[f64], rules: &Features, wrong: impl Fn(Defects) -> bool) -> Vec<usize> {
        let mut quality = Quality::default();
        let observed = values
            .iter()
            .enumerate()
            .map(|(n, value)| quality.observe(*value, Tick(n as u64 * SECOND), rules));
        let defects: Vec<Defects> = observed.collect();
        (0..values.len()).filter(|n| wrong(defects[*n])).collect()
    }

    /// Values of which `ties` of ten repeat the one before.
    fn habit(length: usize, ties: usize) -> Vec<f64> {
        let mut value = 0.0;
        (0..length)
            .map(|n| {
                value += f64::from(u8::from(n % 10 >= ties)) * 0.5;
                value % 40.0
            })
            .collect()
    }

    #[test]
    fn a_value_is_stuck_when_it_repeats_longer_than_the_device_does() {
        for (ties, limit, first) in [
            (0, 5, 4),  // five in a row where values differ,
            (3, 5, 4),  // and where three of ten are ties
            (9, 5, 22), // a tie among nine of ten is worth about 0.18
            (0, 2, 1),
            (0, 0, 60), // never
        ] {
            let mut values = habit(300, ties);
            values.extend(std::iter::repeat_n(77.0, 60));
            let found = found(&values, &rules(limit, 0.0), |defects| defects.stuck);
            assert_eq!(found, (300 + first..360).collect::<Vec<_>>(), "{ties} {limit}");
        }
    }

    #[test]
    fn a_switch_is_never_stuck_and_an_unknown_device_neither() {
        let switch = (0..3_000).map(|n| f64::from(n / 100 % 2)).collect();
        for values in [switch, vec![21.5; 200]] {
            assert_eq!(found(&values, &rules(5, 0.0), |defects| defects.stuck), Vec::<usize>::new());
        }
    }

    #[test]
    fn to_have_been_stuck_is_no_habit() {
        let mut values = habit(100, 0);
        values.extend(std::iter::repeat_n(77.0, 500));
        values.extend(habit(50, 0));
        values.extend(std::iter::repeat_n(88.0, 10));
        let found = found(&values, &rules(5, 0.0), |defects| defects.stuck);
        assert_eq!((found.len(), found[0], found[496]), (496 + 6, 104, 654));
    }

    #[test]
    fn a_silence_is_measured_by_the_usual_interval() {
        let rules = rules(0, 5.0);
        let mut quality = Quality::default();
        let mut at = Tick::ZERO;
        let mut after = |gap_s: u64| {
            at = at.plus_ns(gap_s * SECOND);
            (quality.observe(1.0, at, &rules).missing, quality.is_missing(at.plus_ns(6 * SECOND), &rules))
        };
        assert!((0..1_000).all(|n| !after(if n == 3 { 100 } else { 1 }).0), "not known yet");
        for (gap_s, missing) in
            [(1, false), (5, false), (6, true), (1, false), (3_600, true), (5, false), (6, true)]
        {
            assert_eq!(after(gap_s), (missing, true), "{gap_s} s");
        }
        assert!(!quality.is_missing(at, &rules), "it has just reported");
        let late = Tick(at.0 - 3 * SECOND);
        assert!(!quality.observe(1.0, late, &rules).missing && quality.at == at, "out of order");
        assert!(!quality.is_missing(at.plus_ns(u64::MAX / 2), &self::rules(0, 0.0)), "0 is never");
    }

    #[test]
    fn values_are_held_to_their_range() {
        for (value, out) in [
            (-10.0, false),
            (100.0, false),
            (-10.1, true),
            (1e300, true),
            (f64::NAN, true),
            (f64::INFINITY, true),
        ] {
            let defects = Quality::default().observe(value, Tick::ZERO, &rules(0, 0.0));
            assert_eq!((defects.range, defects.words().next().is_some()), (out, out), "{value}");
        }
        let defects = Quality::default().observe(1e300, Tick::ZERO, &Features::default());
        assert!(defects.words().next().is_none(), "everything is in range unless told otherwise");
    }
}
