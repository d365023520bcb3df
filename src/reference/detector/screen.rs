//! A quick screen for leaps: it knows a device after twenty readings, when histograms have hardly begun.
//!
//! A reading that lies further from the last normal one than the device ever moves, by a wide margin, is flagged. It does
//! not become the new normal, so that the reading after a spike is measured against the one before it; only when the
//! signal stays where it leapt is the new level taken for normal.

/// Readings of a device before it may flag one.
const SILENT: u32 = 15;
/// A leap is this many times the mean distance between successive readings. Of normally distributed noise that is beyond six
/// standard deviations; smooth signals that are read at odd intervals need the margin.
const LEAP: f64 = 8.0;
/// Flagged readings in a row after which the new level is normal.
const SETTLED: u8 = 3;
/// Least weight of a new distance in the mean, so that it keeps following.
const WEIGHT: f64 = 0.01;
/// Least distance that counts, as a share of the level: a constant signal has none of its own.
const FLOOR: f64 = 1e-6;

/// The state of one device's screen, in 32 bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Screen {
    /// The last reading that was taken for normal.
    normal: f64,
    /// Mean distance between successive normal readings.
    distance: f64,
    readings: u32,
    /// Flagged readings in a row.
    streak: u8,
}

impl Screen {
    /// Takes a finite reading in; true if it leapt.
    pub(super) fn observe(&mut self, value: f64) -> bool {
        let leap = (value - self.normal).abs();
        let floor = FLOOR * self.normal.abs() + f64::MIN_POSITIVE;
        let flagged = self.readings >= SILENT && leap > LEAP * self.distance.max(floor);
        if flagged && self.streak + 1 < SETTLED {
            self.streak += 1;
            return true;
        }
        if !flagged && self.readings > 0 {
            // An early outlier must not blind the screen for long.
            let bounded = if self.readings > 3 { leap.min(LEAP * self.distance.max(floor)) } else { leap };
            let weight = WEIGHT.max(1.0 / f64::from(self.readings));
            self.distance += weight * (bounded - self.distance);
        }
        self.normal = value;
        self.streak = 0;
        self.readings = self.readings.saturating_add(1);
        flagged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(values: &[f64]) -> Vec<usize> {
        let mut screen = Screen::default();
        values.iter().enumerate().filter(|(_, value)| screen.observe(**value)).map(|(at, _)| at).collect()
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
}
