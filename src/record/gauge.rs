//! Readings of a fleet that are open at an instant, and those of them that are overdue.

use serde::{Deserialize, Serialize};

/// Ages are told apart to one part in this, at least.
const STEPS_PER_OCTAVE: u32 = 64;

/// Readings that have come due and have not ended, at the end of an interval.
///
/// A reading is *overdue* when its intended start plus its fleet's time-out has passed, also while it waits for a connection;
/// what waits because the plan says so is not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Gauge {
    /// Came due and has not ended.
    pub open: u64,
    /// The overdue ones by their age, youngest first: lower bounds of the time since their intended start, nanoseconds, and how
    /// many.
    pub overdue: Vec<(u64, u64)>,
}

impl Gauge {
    /// How many are overdue.
    pub fn overdue(&self) -> u64 {
        self.overdue.iter().map(|(_, count)| count).sum()
    }

    /// Takes over the ages that were counted, and leaves none.
    pub fn take_ages(&mut self, ages: &mut Ages) {
        for (place, count) in ages.0.iter_mut().enumerate().filter(|(_, count)| **count > 0) {
            self.put(age_at(place), std::mem::take(count));
        }
    }

    /// Adds what another worker or fleet has open.
    pub fn add(&mut self, other: &Self) {
        self.open += other.open;
        for (age_ns, count) in &other.overdue {
            self.put(*age_ns, *count);
        }
    }

    /// Forgets everything but its memory.
    pub fn reset(&mut self) {
        self.open = 0;
        self.overdue.clear();
    }

    fn put(&mut self, age_ns: u64, count: u64) {
        match self.overdue.binary_search_by_key(&age_ns, |(age_ns, _)| *age_ns) {
            Ok(place) => self.overdue[place].1 += count,
            Err(place) => self.overdue.insert(place, (age_ns, count)),
        }
    }
}

/// Counts ages quickly, each with one step into a table: thousands of readings may be overdue at the end of an interval.
#[derive(Debug)]
pub struct Ages(Vec<u64>);

impl Default for Ages {
    fn default() -> Self {
        Self(vec![0; place_of(u64::MAX) + 1])
    }
}

impl Ages {
    /// Counts a reading that was due `age_ns` ago.
    pub fn count(&mut self, age_ns: u64) {
        if let Some(count) = self.0.get_mut(place_of(age_ns)) {
            *count += 1;
        }
    }
}

/// Bits of an age that are told apart.
const KEPT_BITS: u32 = STEPS_PER_OCTAVE.trailing_zeros() + 1;

/// Where an age is counted: small ones exactly, then [`STEPS_PER_OCTAVE`] places for every doubling.
const fn place_of(age_ns: u64) -> usize {
    let bits = u64::BITS - age_ns.leading_zeros();
    let shift = bits.saturating_sub(KEPT_BITS);
    (shift * STEPS_PER_OCTAVE) as usize + (age_ns >> shift) as usize
}

/// The smallest age that is counted at `place`.
const fn age_at(place: usize) -> u64 {
    let (place, steps) = (place as u64, STEPS_PER_OCTAVE as u64);
    let shift = if place < 2 * steps { 0 } else { place / steps - 1 };
    (place - shift * steps) << shift
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ages_are_lower_bounds_close_to_the_truth_and_few(ages in prop::collection::vec(1_u64..1 << 40, 1..400)) {
            let mut gauge = Gauge::default();
            let mut counted = Ages::default();
            for age in &ages {
                counted.count(*age);
            }
            gauge.take_ages(&mut counted);
            prop_assert_eq!(gauge.overdue(), ages.len() as u64);
            prop_assert!(gauge.overdue.is_sorted_by(|a, b| a.0 < b.0));
            let (oldest, exact) = (gauge.overdue.last().unwrap().0, *ages.iter().max().unwrap());
            prop_assert!(oldest <= exact && exact - oldest <= exact / 64);
            let mut twice = gauge.clone();
            twice.add(&gauge);
            prop_assert_eq!(twice.overdue(), 2 * gauge.overdue());
            prop_assert_eq!(twice.overdue.len(), gauge.overdue.len());
            let mut none = Gauge::default();
            none.take_ages(&mut counted);
            prop_assert_eq!(none, Gauge::default());
        }

        #[test]
        fn every_place_has_an_age_and_every_age_a_place(age in any::<u64>()) {
            let least = age_at(place_of(age));
            prop_assert!(least <= age && place_of(least) == place_of(age));
            prop_assert!(least == 0 || place_of(least - 1) < place_of(least));
        }
    }
}
