//! What the service remembers of each device: everything that is not a pure function, in bounded memory.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::unsync::Cache;

use serde::{Deserialize, Serialize};

use super::alert::Watch;
use super::delivery::Recent;
use super::detector::{Detector, Ewma, Quality};
use super::model::Labelled;
use super::window::Windows;
use crate::clock::Tick;
use crate::record::RunToken;

/// A number this far behind the newest is not late: the device counts from the beginning again.
const FAR_BACK: u64 = 128;
/// Numbers that a count begins with, and how many readings must have come that one of them is no late one.
const FIRST: u64 = 1;
const BEGUN: u64 = 16;

/// Whose numbers a device's readings bear, and how far they have come.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Numbering {
    /// The run that was named last.
    run: Option<RunToken>,
    newest: u64,
}

impl Numbering {
    /// Takes note of a reading's number; true if with it a device begins anew: it is another run's, or lies so far back that the
    /// count has been started again. A reading that names no run is taken for the run's under way.
    fn begins_anew(&mut self, run: Option<RunToken>, seq: u64) -> bool {
        let back = seq.saturating_add(FAR_BACK) <= self.newest || seq <= FIRST && self.newest >= BEGUN;
        if back || run.is_some() && run != self.run {
            *self = Self { run: run.or(self.run), newest: seq };
            return true;
        }
        self.newest = self.newest.max(seq);
        false
    }
}

/// The state of one device.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Device {
    #[serde(default)]
    numbering: Numbering,
    pub(super) detector: Detector,
    pub(super) challenger: Ewma,
    pub(super) watch: Watch,
    pub(super) recent: Recent,
    /// By this instance's clock, which is no other's.
    #[serde(skip)]
    pub(super) quality: Quality,
    /// When the state was last left for other instances.
    #[serde(skip)]
    pub(super) left: Tick,
    /// Whether the last reading was wrong as data.
    #[serde(skip)]
    pub(super) is_defective: bool,
    /// Only where windows are asked for.
    #[serde(skip)]
    pub(super) windows: Option<Box<Windows>>,
    /// Only where the truth is asked for.
    #[serde(skip)]
    pub(super) labelled: Option<Box<Labelled>>,
}

impl Device {
    /// Takes note of whose reading comes next. Where the device begins anew, what is known of its signal, its intervals and its own
    /// time is of another, and is forgotten: a second run is not judged by the first one's habits.
    pub(super) fn expect(&mut self, run: Option<RunToken>, seq: u64) {
        if self.numbering.begins_anew(run, seq) {
            (self.detector, self.challenger, self.watch) = Default::default();
            (self.quality, self.windows, self.labelled) = Default::default();
        }
    }
}

/// A device's state, shared by whoever works on its readings.
pub(super) type Handle = Arc<Mutex<Device>>;

/// Locks a device's state. A worker that crashed while it held the lock leaves a state that is still sound: every field is
/// a number that any value fits.
pub(super) fn open(handle: &Handle) -> MutexGuard<'_, Device> {
    handle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What looking a device up found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    /// A device known before.
    Found,
    /// A new one.
    Added,
    /// A new one, for which another was forgotten.
    AddedEvicting,
}

/// Shards of the table: as many workers as that look devices up side by side.
const SHARDS: usize = 16;

type Shard = Cache<Arc<str>, Handle>;

/// All devices known, the ones silent for longest forgotten when there are too many.
#[derive(Debug)]
pub(super) struct Devices {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
}

impl Devices {
    pub(super) fn new(capacity: usize) -> Self {
        // Small tables are not cut up: a shard of one or two would forget devices that there is room for.
        let shards = SHARDS.min(capacity.div_ceil(64)).max(1);
        let share = capacity.div_ceil(shards).max(1);
        Self {
            shards: (0..shards).map(|_| Mutex::new(Cache::new(share))).collect(),
            hasher: RandomState::new(),
        }
    }

    /// A number that says which worker owns the device.
    pub(super) fn number(&self, device: &str) -> u64 {
        self.hasher.hash_one(device)
    }

    fn shard(&self, device: &str) -> MutexGuard<'_, Shard> {
        // The upper half: the lower one picks the worker, which then would know a few shards only.
        let index = (self.number(device) >> 32) as usize % self.shards.len();
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of a device, a new one if it is not known.
    pub(super) fn get(&self, device: &Arc<str>) -> (Handle, Lookup) {
        let mut shard = self.shard(device);
        if let Some(handle) = shard.get(device) {
            return (Arc::clone(handle), Lookup::Found);
        }
        let before = shard.len();
        let handle = Handle::default();
        shard.insert(Arc::clone(device), Arc::clone(&handle));
        (handle, if shard.len() <= before { Lookup::AddedEvicting } else { Lookup::Added })
    }

    /// The state of a device that is known.
    pub(super) fn find(&self, device: &str) -> Option<Handle> {
        self.shard(device).get(device).cloned()
    }

    /// Forgets a device; false if it was not known.
    pub(super) fn forget(&self, device: &str) -> bool {
        self.shard(device).remove(device).is_some()
    }

    /// Forgets the devices whose last reading is longer ago at `now` than so many nanoseconds; how many. One that is worked on is
    /// not silent.
    pub(super) fn forget_silent(&self, now: Tick, longest_ns: u64) -> usize {
        let is_silent = |handle: &Handle| {
            let last = handle.try_lock().ok().and_then(|device| device.quality.last_taken());
            last.is_some_and(|last| now.since(last) > longest_ns)
        };
        let forget = |shard: &Mutex<Shard>| {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let before = shard.len();
            shard.retain(|_, handle| !is_silent(handle));
            before - shard.len()
        };
        self.shards.iter().map(forget).sum()
    }

    /// Devices known.
    pub(super) fn len(&self) -> usize {
        let lengths =
            self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len());
        lengths.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::model::{CHAMPION, MODELS};
    use crate::reference::reading::Level;
    use crate::service::Alerts;

    #[test]
    fn no_more_devices_are_remembered_than_there_is_room_for() {
        let devices = Devices::new(10);
        let forgotten =
            (0..100).filter(|n| devices.get(&format!("m-{n}").into()).1 == Lookup::AddedEvicting).count();
        assert!(devices.len() <= 10);
        assert!(forgotten >= 90, "{forgotten}");
    }

    #[test]
    fn a_device_keeps_its_state_until_it_is_forgotten() {
        let devices = Devices::new(1_000);
        let name: Arc<str> = "m".into();
        let said = crate::reference::delivery::Said { score: 1.5, level: Level::Low, model: 1 };
        open(&devices.get(&name).0).recent.note(None, 7, said);
        assert!(open(&devices.get(&name).0).recent.verdict_of(7).is_some());
        assert!(devices.forget("m") && !devices.forget("m") && devices.find("m").is_none());
        assert!(open(&devices.get(&name).0).recent.verdict_of(7).is_none());
    }

    #[test]
    fn numbers_tell_a_late_reading_from_a_device_that_begins_anew() {
        let run = |name| RunToken::of(name);
        let (one, two) = (run("aaaaaaaa"), run("bbbbbbbb"));
        assert!(one.is_some() && two.is_some());
        for (name, readings, anew) in [
            ("one after the other", vec![(None, 0), (None, 1), (None, 2)], vec![]),
            ("from anywhere on", vec![(None, 500), (None, 501)], vec![]),
            ("late", vec![(None, 500), (None, 373), (None, 501)], vec![]),
            ("far back", vec![(None, 500), (None, 372), (None, 373)], vec![1]),
            ("a short count again", vec![(None, 16), (None, 1), (None, 2)], vec![1]),
            ("the first one late", vec![(None, 15), (None, 1), (None, 0)], vec![]),
            ("another run", vec![(one, 1), (one, 2), (two, 3), (two, 4)], vec![0, 2]),
            ("a run not always named", vec![(one, 1), (None, 2), (one, 3)], vec![0]),
        ] {
            let mut numbering = Numbering::default();
            let found =
                readings.iter().enumerate().filter(|(_, (run, seq))| numbering.begins_anew(*run, *seq));
            assert_eq!(found.map(|(at, _)| at).collect::<Vec<_>>(), anew, "{name}");
        }
    }

    #[test]
    fn a_second_run_is_not_judged_by_the_habits_of_the_first() {
        let alarms = |second: Option<RunToken>, restarts: bool| {
            let mut device = Device::default();
            let mut alarms = 0;
            for nth in 0..1_000_u32 {
                let (run, seq) = match nth / 500 {
                    0 => (RunToken::of("aaaaaaaa"), nth),
                    _ => (second, if restarts { nth - 500 } else { nth }),
                };
                device.expect(run, u64::from(seq));
                // Another signal: another level, and ten times the noise.
                let (level, noise) = if nth < 500 { (20.0, 0.1) } else { (80.0, 1.0) };
                let value = level + noise * f64::from(nth * 7 % 11);
                let score = MODELS[CHAMPION].score(device.detector.observe(value, 8));
                let level = device.watch.judge(score, CHAMPION, &Alerts::default().thresholds);
                alarms += u32::from(level > Level::None);
            }
            alarms
        };
        assert_eq!(alarms(RunToken::of("bbbbbbbb"), false), 0, "another run");
        assert_eq!(alarms(None, true), 0, "numbers from the beginning");
        assert!(alarms(None, false) > 0, "the same device leaps");
    }

    #[test]
    fn a_device_takes_less_than_a_kibibyte() {
        assert!(size_of::<Mutex<Device>>() < 1_024, "{}", size_of::<Mutex<Device>>());
    }
}
