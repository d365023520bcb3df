//! A quick filter for leaps: it knows a device after fifteen readings, when histograms have hardly begun.
//!
//! A reading that lies further from the last normal one than the device ever moves, by a wide margin, is flagged. It does
//! not become the new normal, so that the reading after a spike is measured against the one before it; only when the
//! signal stays where it leapt is the new level taken for normal.
//!
//! What makes a leap an anomaly is that it stands alone. Where a device has often gone half as far, its movements have a
//! heavy tail and this is a part of it; where leaps are frequent, they are what the device does. In both cases the filter
//! says nothing, and the histograms judge alone.

use serde::{Deserialize, Serialize};

/// Readings of a device before it may flag one.
const SILENT: u32 = 15;
/// A leap is this many times the mean distance between successive readings. Of normally distributed noise that is beyond six
/// standard deviations; smooth signals that are read at odd intervals need the margin.
const LEAP: f64 = 8.0;
/// Readings in a row that leap after which the new level is normal.
const SETTLED: u8 = 3;
/// Least weight of a new distance in the mean, so that it keeps following.
const WEIGHT: f64 = 0.01;
/// Least distance that counts, as a share of the level: a constant signal has none of its own.
const FLOOR: f64 = 1e-6;

/// Half octaves in which large distances are counted, from [`LARGE`] on; the last one has no end.
const SIZES: usize = 16;
/// Distances from here on are counted, in mean distances.
const LARGE: f64 = 4.0;
/// A leap stands alone if no more distances than this lie two or three half octaves below it: a half to a third as far.
/// For a device that is not yet known [`STRAYS_AT_FIRST`], from there on rising.
const STRAYS: f64 = 3.0;
const STRAYS_AT_FIRST: f64 = 1.0;
/// Readings after which a device is known in this respect.
const KNOWN: f64 = 500.0;
/// Share of the counts that fades with every reading: the memory is about a thousand readings.
const DECAY: f32 = 1e-3;
/// Share of the readings that may leap; a device that does so more often does so by nature.
const MOST_LEAPS: f64 = 0.04;
/// Readings without a leap that a device is credited with at first.
const CREDIT: f64 = 100.0;

/// The state of one device's filter, in about 100 bytes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct OutlierFilter {
    /// The last reading that was taken for normal.
    normal: f64,
    /// Mean distance between successive normal readings.
    distance: f64,
    readings: u32,
    /// Readings in a row that leapt.
    streak: u8,
    /// Fading counts of large distances, by half octaves.
    sizes: [f32; SIZES],
    /// Share of the readings that leapt.
    leaps: f64,
}

/// The half octave of a distance, in mean distances; none for one that is not large.
fn size(times: f64) -> Option<usize> {
    let octaves = (times / LARGE).log2();
    (octaves >= 0.0).then(|| ((2.0 * octaves) as usize).min(SIZES - 1))
}

impl OutlierFilter {
    /// Takes a finite reading in; true if it leapt as the device never does.
    pub(super) fn observe(&mut self, value: f64) -> bool {
        let distance = (value - self.normal).abs();
        let floor = FLOOR * self.normal.abs() + f64::MIN_POSITIVE;
        let usual = self.distance.max(floor);
        let leapt = self.readings >= SILENT && distance > LEAP * usual;
        let flagged = leapt && self.stands_alone(distance / usual);
        if self.readings > 0 {
            self.count(distance / usual, leapt);
        }
        if leapt && self.streak + 1 < SETTLED {
            self.streak += 1;
            return flagged;
        }
        if !leapt && self.readings > 0 {
            // An early outlier must not blind the filter for long.
            let bounded = if self.readings > 3 { distance.min(LEAP * usual) } else { distance };
            let weight = WEIGHT.max(1.0 / f64::from(self.readings));
            self.distance += weight * (bounded - self.distance);
        }
        self.normal = value;
        self.streak = 0;
        self.readings = self.readings.saturating_add(1);
        flagged
    }

    fn stands_alone(&self, times: f64) -> bool {
        let below = size(times).map_or(0..0, |size| size.saturating_sub(3)..size.saturating_sub(1));
        let strays: f32 = self.sizes[below].iter().sum();
        let known = (f64::from(self.readings) / KNOWN).min(1.0);
        let most = STRAYS_AT_FIRST + (STRAYS - STRAYS_AT_FIRST) * known;
        f64::from(strays) <= most && self.leaps <= MOST_LEAPS
    }

    fn count(&mut self, times: f64, leapt: bool) {
        for count in &mut self.sizes {
            *count *= 1.0 - DECAY;
        }
        if let Some(size) = size(times) {
            self.sizes[size] += 1.0;
        }
        let weight = f64::from(DECAY).max(1.0 / (f64::from(self.readings) + CREDIT));
        self.leaps += weight * (f64::from(u8::from(leapt)) - self.leaps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(values: &[f64]) -> Vec<usize> {
        let mut filter = OutlierFilter::default();
        values.iter().enumerate().filter(|(_, value)| filter.observe(**value)).map(|(at, _)| at).collect()
    }

    /// A triangle of height 1 with steps of 0.1.
    fn quiet(length: usize) -> Vec<f64> {
        (0..length).map(|n| (n % 20) as f64 / 10.0).map(|x| if x > 1.0 { 2.0 - x } else { x }).collect()
    }

    #[test]
    fn a_spike_is_flagged_and_the_reading_after_it_is_not() {
        let mut values = quiet(100);
        values[40] += 3.0;
        values[45] -= 3.0;
        assert_eq!(flags(&values), [40, 45]);
    }

    #[test]
    fn a_shift_is_flagged_until_it_is_the_new_normal() {
        let mut values = quiet(100);
        values[50..].iter_mut().for_each(|value| *value += 3.0);
        assert_eq!(flags(&values), [50, 51, 52]);
    }

    #[test]
    fn nothing_is_flagged_while_the_device_is_unknown() {
        let mut values = quiet(60);
        values[3] += 3.0;
        values[10] += 3.0;
        values[50] += 3.0;
        assert_eq!(flags(&values), [50]);
        assert!(flags(&quiet(1_000)).is_empty());
    }

    #[test]
    fn a_leap_is_flagged_time_and_again_while_it_stands_alone() {
        let mut values = quiet(2_000);
        let spikes: Vec<usize> = (1..20).map(|n| 100 * n).collect();
        for spike in &spikes {
            values[*spike] += 3.0;
        }
        assert_eq!(flags(&values), spikes);
    }

    #[test]
    fn a_heavy_tail_has_no_leaps() {
        let mut values = quiet(2_000);
        // Spikes of all sizes from 4 to 64 mean distances; what is large among them is not apart from the rest.
        for (nth, at) in (100..2_000).step_by(20).enumerate() {
            values[at] += 0.4 * 2_f64.powf(nth as f64 * 7.0 % 4.0);
        }
        let late = flags(&values).into_iter().filter(|at| *at > 500).count();
        assert!(late <= 3, "{late}");
    }

    #[test]
    fn a_device_that_leaps_all_the_time_is_left_alone() {
        let mut values = quiet(2_000);
        values.iter_mut().skip(100).step_by(10).for_each(|value| *value += 3.0);
        let flags = flags(&values);
        assert_eq!(flags.first(), Some(&100));
        assert!(flags.len() < 20 && flags.iter().all(|at| *at < 400), "{flags:?}");
    }

    #[test]
    fn distances_are_sized_by_half_octaves() {
        for (times, expected) in [
            (0.0, None),
            (3.9, None),
            (4.0, Some(0)),
            (5.7, Some(1)),
            (8.0, Some(2)),
            (1e9, Some(15)),
            (f64::INFINITY, Some(15)),
        ] {
            assert_eq!(size(times), expected, "{times}");
        }
    }
}
