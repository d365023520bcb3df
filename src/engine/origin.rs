//! When the last readings of each device came due: noted by the worker of the device, found by whoever hears of them.
//!
//! An instant cannot be computed from the plan and a reading's number: closed fleets, spikes by hand and what a run leaves out
//! decide which number it gets. So it is noted, and as nothing waits for anything and nothing is passed on, no note is late or lost.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use crate::clock::Tick;
use crate::record::FleetId;
use crate::scenario::{Model, Plan};

/// Fewest and most readings of one device that are remembered.
const FEWEST: usize = 16;
const MOST: usize = 1_024;

/// Most of all devices together, 24 bytes each.
const MOST_IN_ALL: usize = 1 << 22;

/// Marks the number of a reading whose instant is being written. No reading has one so high.
const BUSY: u64 = 1 << 63;

/// What is known of a reading by its device and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// When it came due.
    Due(Tick),
    /// It came due, too many readings ago for its instant to be remembered.
    Forgotten,
    /// It never did.
    Unknown,
}

/// One reading; its number is 0 before the first.
#[derive(Debug, Default)]
struct Entry {
    seq: AtomicU64,
    intended: AtomicU64,
    /// Bit k: the fleet that is number k among those that only hear has heard of it.
    heard: AtomicU64,
}

/// The rings of one fleet's devices: `length` entries each, a power of two, the first from `start` on.
#[derive(Debug)]
struct Rings {
    first: u32,
    devices: u32,
    start: usize,
    length: usize,
}

/// The last readings of all devices that send. One worker writes a device's, all may read.
#[derive(Debug)]
pub(super) struct Origins {
    /// In the order of global indexes.
    fleets: Vec<Rings>,
    entries: Box<[Entry]>,
}

impl Origins {
    /// For the devices of `plan`; `None` where nobody only hears.
    pub(super) fn of(plan: &Plan) -> Option<Self> {
        let fleets = &plan.scenario().fleets;
        let hears = |model: &Model| *model == Model::Subscriber;
        let longest = fleets.iter().filter(|fleet| hears(&fleet.model)).map(|fleet| fleet.timeout).max()?;
        let mut first = 0;
        let sizes: Vec<(u32, u32, usize)> = (0..)
            .zip(fleets)
            .filter_map(|(number, fleet)| {
                let own = first;
                first += fleet.devices;
                let peak = plan.peak_rate_of(FleetId(number)).map(|peak| peak / f64::from(fleet.devices));
                let within = peak.map_or(MOST, |peak| (2.0 * peak * longest.as_secs_f64()).ceil() as usize);
                (!hears(&fleet.model)).then_some((own, fleet.devices, within + FEWEST))
            })
            .collect();
        Some(Self::new(&sizes))
    }

    /// By fleet: the global index of its first device, how many there are, and how many readings of each are to be remembered.
    fn new(fleets: &[(u32, u32, usize)]) -> Self {
        let devices: usize = fleets.iter().map(|(_, devices, _)| *devices as usize).sum();
        let room = (MOST_IN_ALL / devices.max(1)).max(1);
        let mut start = 0;
        let fleets = fleets.iter().map(|&(first, devices, wanted)| {
            let length = wanted.clamp(FEWEST, MOST).next_power_of_two().min(1 << room.ilog2());
            let rings = Rings { first, devices, start, length };
            start += length * devices as usize;
            rings
        });
        let fleets = fleets.collect();
        Self { fleets, entries: (0..start).map(|_| Entry::default()).collect() }
    }

    fn entry(&self, global: u32, seq: u64) -> Option<&Entry> {
        let after = self.fleets.partition_point(|rings| rings.first <= global);
        let rings = self.fleets.get(after.checked_sub(1)?)?;
        let nth = global - rings.first;
        let place = rings.start + nth as usize * rings.length + (seq as usize & (rings.length - 1));
        self.entries.get(place).filter(|_| nth < rings.devices)
    }

    /// Reading `seq` of the device with global index `global` came due at `intended`. Called by its worker alone, in the order of
    /// their numbers.
    pub(super) fn note(&self, global: u32, seq: u64, intended: Tick) {
        let Some(entry) = self.entry(global, seq) else { return };
        entry.seq.store(seq | BUSY, SeqCst);
        entry.heard.store(0, SeqCst);
        entry.intended.store(intended.0, SeqCst);
        entry.seq.store(seq, SeqCst);
    }

    /// When reading `seq` of that device came due.
    pub(super) fn find(&self, global: u32, seq: u64) -> Origin {
        let Some(entry) = self.entry(global, seq).filter(|_| seq > 0) else { return Origin::Unknown };
        let present = entry.seq.load(SeqCst);
        if present == seq {
            let intended = Tick(entry.intended.load(SeqCst));
            // Unless another reading took its place meanwhile.
            return if entry.seq.load(SeqCst) == seq { Origin::Due(intended) } else { Origin::Forgotten };
        }
        if present & !BUSY > seq { Origin::Forgotten } else { Origin::Unknown }
    }

    /// Whether that fleet has heard of the reading, as far as is known.
    pub(super) fn is_told(&self, global: u32, seq: u64, nth: u32) -> bool {
        let (Some(entry), Some(bit)) = (self.entry(global, seq), 1_u64.checked_shl(nth)) else {
            return false;
        };
        entry.seq.load(SeqCst) == seq && entry.heard.load(SeqCst) & bit != 0
    }

    /// Notes that the fleet that is number `nth` among those that only hear has heard of the reading. True for the first time in
    /// the run.
    pub(super) fn tell(&self, global: u32, seq: u64, nth: u32) -> bool {
        let (Some(entry), Some(bit)) = (self.entry(global, seq), 1_u64.checked_shl(nth)) else {
            return false;
        };
        entry.seq.load(SeqCst) == seq && entry.heard.fetch_or(bit, SeqCst) & bit == 0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::Origin::{Due, Forgotten, Unknown};
    use super::*;

    #[test]
    fn the_last_readings_of_each_device_are_found_by_their_number() {
        let origins = Origins::new(&[(3, 2, 1), (9, 1, 17)]);
        for (global, until) in [(3, 20), (4, 5), (9, 40)] {
            for seq in 1..=until {
                origins.note(global, seq, Tick(seq * 100 + u64::from(global)));
            }
        }
        for (global, seq, expected) in [
            (3, 20, Due(Tick(2_003))),
            (3, 5, Due(Tick(503))),
            (3, 4, Forgotten),
            (3, 1, Forgotten),
            (3, 21, Unknown),
            (4, 5, Due(Tick(504))),
            (4, 6, Unknown),
            (4, 0, Unknown),
            (9, 40, Due(Tick(4_009))),
            (9, 9, Due(Tick(909))),
            (9, 8, Forgotten),
            (9, u64::MAX, Unknown),
            // No device, or one that sends nothing.
            (0, 1, Unknown),
            (5, 1, Unknown),
            (10, 1, Unknown),
        ] {
            assert_eq!(origins.find(global, seq), expected, "{global} {seq}");
        }
    }

    #[test]
    fn each_fleet_hears_of_a_reading_for_the_first_time_once() {
        let origins = Origins::new(&[(0, 1, 16)]);
        assert!(!origins.tell(0, 1, 0), "it has not come due");
        origins.note(0, 1, Tick(5));
        let firsts = [(0, true), (0, false), (63, true), (63, false), (64, false)];
        for (nth, first) in firsts {
            assert_eq!(origins.tell(0, 1, nth), first, "{nth}");
        }
        origins.note(0, 17, Tick(9));
        assert!(!origins.tell(0, 1, 1) && origins.tell(0, 17, 0));
    }

    #[test]
    fn memory_is_bounded_however_many_devices_there_are() {
        for (devices, wanted) in [(1, usize::MAX), (1_000, 1_024), (1_000_000, 1_024), (1_000_000, 1)] {
            let origins = Origins::new(&[(0, devices, wanted)]);
            assert!(origins.entries.len() <= MOST_IN_ALL, "{devices} {wanted}");
            origins.note(devices - 1, 1, Tick(1));
            assert_eq!(origins.find(devices - 1, 1), Due(Tick(1)));
        }
    }

    #[test]
    fn an_instant_is_never_that_of_another_reading() {
        let origins = Arc::new(Origins::new(&[(0, 1, 1)]));
        let reader = Arc::clone(&origins);
        let reading = thread::spawn(move || {
            let mut seq = 1;
            while seq <= 100_000 {
                match reader.find(0, seq) {
                    Due(at) => assert_eq!(at, Tick(seq * 10)),
                    Forgotten => {}
                    Unknown => continue,
                }
                seq += 7;
            }
        });
        for seq in 1..=100_010 {
            origins.note(0, seq, Tick(seq * 10));
        }
        reading.join().unwrap();
    }
}
