//! When a fault is on, and which devices it hits: pure functions of the plan.

use sha2::{Digest as _, Sha256};

use super::activation::Activation;
use super::effect::Effect;
use crate::clock::Tick;
use crate::seed::Seed;

/// A fault of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Its name, unique in the scenario.
    pub name: String,
    /// The kind, in the word the scenario uses.
    pub kind: &'static str,
    /// When it is on by plan; `None`: only by hand.
    pub schedule: Option<Schedule>,
    /// Names of the fleets it is meant for, sorted; empty: all.
    pub fleets: Vec<String>,
    /// Share of their devices that it hits, above 0 to 1, by the seed.
    pub share: f64,
    /// From its start until the last of these devices is hit: one after the other, evenly.
    pub ramp_ns: u64,
    /// Whether only connections made while it is on are hit.
    pub new_only: bool,
    /// What it does.
    pub effect: Effect,
}

impl Fault {
    /// Whether it is meant for devices of the fleet of this name.
    pub(crate) fn is_meant_for(&self, fleet: &str) -> bool {
        self.fleets.is_empty() || self.fleets.iter().any(|own| own == fleet)
    }
}

/// When a fault is on by plan, in ticks of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// The start of the first activation.
    pub start: Tick,
    /// Length of an activation; 0: it happens at an instant.
    pub duration_ns: u64,
    /// From the start of one activation to that of the next, not less than `duration_ns`.
    pub every_ns: u64,
    /// Number of activations, at least 1.
    pub times: u32,
}

impl Schedule {
    /// The activation of this number, from 0; `None` beyond the last.
    pub fn activation(&self, occurrence: u32) -> Option<Activation> {
        (occurrence < self.times).then(|| {
            let start = self.start.plus_ns(self.every_ns.saturating_mul(u64::from(occurrence)));
            Activation { occurrence, start, end: start.plus_ns(self.duration_ns), by_hand: false }
        })
    }

    /// All activations in the order of time.
    pub fn activations(&self) -> impl Iterator<Item = Activation> + '_ {
        (0..self.times).filter_map(|occurrence| self.activation(occurrence))
    }

    /// The number of the activation that began last at `at`, also beyond the last of the schedule.
    fn number_at(&self, at: Tick) -> u32 {
        let number = at.since(self.start).checked_div(self.every_ns).unwrap_or(0);
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// The activation that is on at `at` for a device that is hit `late_ns` after its start, with the start for this device.
    pub fn at(&self, at: Tick, late_ns: u64) -> Option<Activation> {
        let activation = self.activation(self.number_at(at).min(self.times.saturating_sub(1)))?;
        Some(Activation { start: activation.start.plus_ns(late_ns), ..activation })
            .filter(|own| own.covers(at))
    }

    /// The next instant after `now` at which [`Schedule::at`] may give something else.
    pub fn changes_after(&self, now: Tick, late_ns: u64) -> Tick {
        let present = self.number_at(now);
        let near =
            [present, present.saturating_add(1)].into_iter().filter_map(|number| self.activation(number));
        let edges = near.flat_map(|activation| [activation.start.plus_ns(late_ns), activation.end]);
        edges.filter(|edge| *edge > now).min().unwrap_or(Tick::FAR)
    }
}

/// Which devices of a group a fault hits, and in which order: a seeded permutation, of which the first ones are hit. So
/// the share is exact, and nothing has to be stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw {
    devices: u32,
    hit: u32,
    keys: [u32; ROUNDS],
}

const ROUNDS: usize = 6;

impl Draw {
    /// The draw of the fault named `fault` among the `devices` devices of the group named `group`.
    pub(crate) fn new(seed: Seed, fault: &str, group: &str, devices: u32, share: f64) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"squall draw 1\0");
        hash.update(seed.0.to_le_bytes());
        for text in [fault, group] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        let digest = hash.finalize();
        let mut keys = [0; ROUNDS];
        for (key, bytes) in keys.iter_mut().zip(digest.chunks_exact(4)) {
            *key = bytes.iter().fold(0, |key, byte| key << 8 | u32::from(*byte));
        }
        let hit = (f64::from(devices) * share.clamp(0.0, 1.0)).round() as u32;
        // A share above 0 hits at least one device.
        let hit = if share > 0.0 { hit.clamp(1, devices.max(1)) } else { 0 };
        Self { devices, hit, keys }
    }

    /// Number of devices that are hit.
    pub(crate) const fn hit(&self) -> u32 {
        self.hit
    }

    /// When device `index` of the group is hit, as its rank from 0; `None` if it is spared.
    ///
    /// A Feistel network over the smallest even number of bits that holds the group, walked until it stays within
    /// (Black & Rogaway 2002, "Ciphers with arbitrary finite domains").
    pub(crate) fn rank(&self, index: u32) -> Option<u32> {
        if index >= self.devices {
            return None;
        }
        if self.hit >= self.devices && self.devices <= 1 {
            return Some(index);
        }
        let bits = (u32::BITS - (self.devices - 1).leading_zeros()).max(2).next_multiple_of(2);
        let mut place = u64::from(index);
        loop {
            place = self.shuffled(place, bits / 2);
            if place < u64::from(self.devices) {
                return Some(place as u32).filter(|rank| *rank < self.hit);
            }
        }
    }

    fn shuffled(&self, place: u64, half: u32) -> u64 {
        let mask = (1_u64 << half) - 1;
        let (mut left, mut right) = (place >> half, place & mask);
        for key in self.keys {
            let mixed = (right ^ u64::from(key)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (left, right) = (right, left ^ (mixed >> 32) & mask);
        }
        left << half | right
    }

    /// How long after the start of an activation the device with this rank is hit, if the last one is after `ramp_ns`.
    pub(crate) fn lateness_ns(&self, rank: u32, ramp_ns: u64) -> u64 {
        let last = u128::from(self.hit.saturating_sub(1)).max(1);
        (u128::from(ramp_ns) * u128::from(rank) / last) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn draw(fault: &str, devices: u32, share: f64) -> Draw {
        Draw::new(Seed(1), fault, "meters", devices, share)
    }

    proptest! {
        #[test]
        fn ranks_are_a_permutation_of_exactly_the_share(devices in 1_u32..3_000, share in 0.0_f64..=1.0) {
            let draw = draw("f", devices, share);
            let mut ranks: Vec<u32> = (0..devices).filter_map(|index| draw.rank(index)).collect();
            ranks.sort_unstable();
            prop_assert_eq!(ranks, (0..draw.hit()).collect::<Vec<_>>());
            let exact = f64::from(devices) * share;
            prop_assert!((f64::from(draw.hit()) - exact).abs() <= 0.5 || draw.hit() == 1);
        }
    }

    #[test]
    fn overlapping_faults_choose_independently() {
        let (one, other) = (draw("one", 10_000, 0.3), draw("other", 10_000, 0.3));
        let both = (0..10_000).filter(|i| one.rank(*i).is_some() && other.rank(*i).is_some()).count();
        // Hypergeometric: mean 900, standard deviation 21.
        assert!((810..=990).contains(&both), "{both}");
    }

    #[test]
    fn neighbours_are_not_hit_together() {
        let draw = draw("f", 10_000, 0.5);
        let same = (1..10_000).filter(|i| draw.rank(*i).is_some() == draw.rank(i - 1).is_some()).count();
        assert!((4_800..=5_200).contains(&same), "{same}");
    }

    #[test]
    fn activations_begin_and_end_where_the_schedule_says() {
        let schedule = Schedule { start: Tick(100), duration_ns: 10, every_ns: 50, times: 2 };
        let activations: Vec<_> = schedule.activations().map(|on| (on.start.0, on.end.0)).collect();
        assert_eq!(activations, [(100, 110), (150, 160)]);
        let table = [
            (99, 0, None),
            (100, 0, Some(0)),
            (109, 0, Some(0)),
            (110, 0, None),
            (150, 0, Some(1)),
            (160, 0, None),
            (200, 0, None),
            (102, 3, None),
            (103, 3, Some(0)),
        ];
        for (at, late, expected) in table {
            assert_eq!(schedule.at(Tick(at), late).map(|on| on.occurrence), expected, "{at} {late}");
        }
    }

    #[test]
    fn a_schedule_says_when_it_next_changes() {
        let schedule = Schedule { start: Tick(100), duration_ns: 10, every_ns: 50, times: 2 };
        for (now, late, on, changes) in [
            (0, 0, None, Tick(100)),
            (100, 0, Some((0, Tick(100))), Tick(110)),
            (100, 4, None, Tick(104)),
            (104, 4, Some((0, Tick(104))), Tick(110)),
            (110, 4, None, Tick(154)),
            (155, 4, Some((1, Tick(154))), Tick(160)),
            (160, 4, None, Tick::FAR),
            (900, 0, None, Tick::FAR),
        ] {
            let found =
                schedule.at(Tick(now), late).map(|activation| (activation.occurrence, activation.start));
            assert_eq!((found, schedule.changes_after(Tick(now), late)), (on, changes), "{now} {late}");
        }
    }

    #[test]
    fn a_ramp_hits_one_device_after_the_other() {
        let draw = draw("f", 101, 1.0);
        assert_eq!([0, 50, 100].map(|rank| draw.lateness_ns(rank, 1_000)), [0, 500, 1_000]);
    }
}
