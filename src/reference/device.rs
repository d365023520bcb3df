//! What the service remembers of each device: everything that is not a pure function, in bounded memory.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use quick_cache::UnitWeighter;
use quick_cache::unsync::{Cache, DefaultLifecycle};

use serde::{Deserialize, Serialize};

use super::alert::Watch;
use super::delivery::{Recent, Said};
use super::detector::{Defects, Detector, Ewma, Quality, Vector};
use super::model::Labelled;
use super::reading::Level;
use super::window::{WindowSummary, Windows};
use crate::clock::Tick;
use crate::record::RunToken;
use crate::service::{Features, Setup};

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

/// What a reading changes before it is judged: all that is known of a device's signal.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Signal {
    numbering: Numbering,
    /// When the first reading came: tells a device that was forgotten and came again from the one before.
    pub(super) born: Tick,
    /// Readings taken in, repeats left out.
    pub(super) taken: u64,
    pub(super) detector: Detector,
    pub(super) challenger: Ewma,
    pub(super) quality: Quality,
    /// Whether the last reading was wrong as data.
    is_defective: bool,
    /// Only where windows are asked for.
    pub(super) windows: Option<Box<Windows>>,
}

/// The state of one device. Its times are on the clock that outlives the process.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Device {
    pub(super) signal: Signal,
    pub(super) watch: Watch,
    pub(super) recent: Recent,
    /// When the state was last left for other instances.
    #[serde(skip)]
    pub(super) left: Tick,
    /// Readings that are taken in and not judged.
    #[serde(skip)]
    pub(super) under_way: u32,
    /// Which reading was taken in last of those that are judged.
    #[serde(skip)]
    pub(super) judged: u64,
    /// Only where the truth is asked for.
    #[serde(skip)]
    pub(super) labelled: Option<Box<Labelled>>,
}

/// A reading as far as states hang on it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(clippy::struct_field_names, reason = "the name that payloads have for it")]
pub(super) struct Taken {
    pub(super) run: Option<RunToken>,
    pub(super) seq: u64,
    pub(super) value: f64,
    /// When it was taken, by its sender's clock.
    pub(super) taken_ns: Option<u64>,
    /// When it came.
    pub(super) at: Tick,
}

/// What a reading shows.
#[derive(Debug)]
pub(super) struct Observed {
    /// Its window was closed before it came.
    pub(super) is_late: bool,
    pub(super) defects: Defects,
    /// The reading before had none.
    pub(super) begins_defective: bool,
    /// What champion and challenger see.
    pub(super) vectors: [Vector; 2],
}

/// What the models say of a reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scores {
    /// The model whose word counts, and its version.
    pub(super) variant: usize,
    pub(super) model: u32,
    /// The champion's and the challenger's; 0 of one that is not asked.
    pub(super) given: [f64; 2],
    /// When it was said.
    pub(super) at: Tick,
}

/// What follows from the scores of a reading.
#[derive(Debug)]
pub(super) struct Conclusion {
    pub(super) level: Level,
    /// Whether subscribers are to hear of it.
    pub(super) publish: bool,
    /// Whether champion and challenger take it for an anomaly.
    pub(super) said: [bool; 2],
}

impl Device {
    /// Takes note of whose reading comes next. Where the device begins anew, what is known of its signal, its intervals and its own
    /// time is of another, and is forgotten: a second run is not judged by the first one's habits.
    fn expect(&mut self, run: Option<RunToken>, seq: u64) {
        let signal = &mut self.signal;
        if signal.numbering.begins_anew(run, seq) {
            (signal.detector, signal.challenger, self.watch) = Default::default();
            (signal.quality, signal.windows, self.labelled) = Default::default();
        }
    }

    /// Takes a reading in; `both`: for both models. Windows that it closes go to `closed`.
    pub(super) fn take(
        &mut self,
        reading: &Taken,
        rules: &Features,
        both: bool,
        closed: impl FnMut(WindowSummary),
    ) -> Observed {
        let Taken { run, seq, value, taken_ns, at } = *reading;
        self.expect(run, seq);
        let signal = &mut self.signal;
        if signal.taken == 0 {
            signal.born = at;
        }
        signal.taken += 1;
        // A reading without a time of its own was taken when it came.
        let in_time = rules.window.as_ref().is_none_or(|window| {
            signal.windows.get_or_insert_default().add(taken_ns.unwrap_or(at.0), value, window, closed)
        });
        // By the service's own clock: a device whose clock is wrong is not silent.
        let defects = signal.quality.observe(value, at, rules);
        let was_defective = std::mem::replace(&mut signal.is_defective, defects != Defects::default());
        let begins_defective = signal.is_defective && !was_defective;
        let champion = signal.detector.observe(value, rules.resolution);
        let challenger = if both { signal.challenger.observe(value, rules.resolution) } else { champion };
        Observed { is_late: !in_time, defects, begins_defective, vectors: [champion, challenger] }
    }

    /// Takes in what the models say of a reading; `both`: both of them.
    pub(super) fn conclude(
        &mut self,
        (run, seq): (Option<RunToken>, u64),
        scores: &Scores,
        setup: &Setup,
        both: bool,
    ) -> Conclusion {
        let Scores { variant, model, given, at } = *scores;
        let thresholds = &setup.alerts.thresholds;
        let score = given[variant];
        let level = self.watch.judge(score, variant, thresholds);
        let publish = self.watch.alerts(level, score, at, &setup.alerts);
        if setup.delivery.idempotent {
            self.recent.note(run, seq, Said { score, level, model });
        }
        let mut said = [level != Level::None; 2];
        if both {
            // The other model's word on the same reading; its answer is not paid for.
            let other = 1 - variant;
            said[other] = self.watch.judge(given[other], other, thresholds) != Level::None;
        }
        Conclusion { level, publish, said }
    }

    /// Takes note that the reading which was taken in as number `order` is judged.
    pub(super) fn end(&mut self, order: u64) {
        self.under_way = self.under_way.saturating_sub(1);
        self.judged = self.judged.max(order);
    }

    /// Takes back a reading, number `order`, that will not be judged; `before` is what was known of the signal until then. False
    /// if that cannot be, since one that came later has been judged, or is so already.
    pub(super) fn take_back(&mut self, order: u64, before: &Signal) -> bool {
        let can = self.judged < order && before.taken < self.signal.taken;
        if can {
            self.signal = before.clone();
        }
        can
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

type Shard = Cache<Arc<str>, Handle, UnitWeighter, RandomState>;

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
        let hasher = RandomState::default();
        let table =
            || Cache::with(share, share as u64, UnitWeighter, hasher.clone(), DefaultLifecycle::default());
        Self { shards: (0..shards).map(|_| Mutex::new(table())).collect(), hasher }
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

    /// Gives a device the state that it had before.
    pub(super) fn put(&self, device: &Arc<str>, state: Device) {
        *open(&self.get(device).0) = state;
    }

    /// All that are known now.
    pub(super) fn all(&self) -> Vec<(Arc<str>, Handle)> {
        let known = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.iter().map(|(name, handle)| (Arc::clone(name), Arc::clone(handle))).collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(known).collect()
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
            let last = handle.try_lock().ok().and_then(|device| device.signal.quality.last_taken());
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
        let said = Said { score: 1.5, level: Level::Low, model: 1 };
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
            let (mut device, setup) = (Device::default(), Setup::default());
            let mut alarms = 0;
            for nth in 0..1_000_u32 {
                let (run, seq) = match nth / 500 {
                    0 => (RunToken::of("aaaaaaaa"), nth),
                    _ => (second, if restarts { nth - 500 } else { nth }),
                };
                // Another signal: another level, and ten times the noise.
                let (level, noise) = if nth < 500 { (20.0, 0.1) } else { (80.0, 1.0) };
                let value = level + noise * f64::from(nth * 7 % 11);
                let reading = Taken { run, seq: u64::from(seq), value, taken_ns: None, at: Tick::ZERO };
                let observed = device.take(&reading, &setup.features, false, |_| ());
                let given = [MODELS[CHAMPION].score(observed.vectors[CHAMPION]), 0.0];
                let scores = Scores { variant: CHAMPION, model: 1, given, at: Tick::ZERO };
                let concluded = device.conclude((run, u64::from(seq)), &scores, &setup, false);
                alarms += u32::from(concluded.level > Level::None);
            }
            alarms
        };
        assert_eq!(alarms(RunToken::of("bbbbbbbb"), false), 0, "another run");
        assert_eq!(alarms(None, true), 0, "numbers from the beginning");
        assert!(alarms(None, false) > 0, "the same device leaps");
    }

    #[test]
    fn readings_that_a_crashed_worker_had_begun_are_taken_back_in_any_order() {
        let (rules, reading) = (Features::default(), |seq| Taken {
            run: None,
            seq,
            value: seq as f64,
            taken_ns: None,
            at: Tick(seq),
        });
        let state = |device: &Device| serde_json::to_string(&device.signal).unwrap();
        for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1], [2, 1, 3], [1, 3, 2], [3, 1, 2]] {
            let mut device = Device::default();
            (1..=20).for_each(|seq| _ = device.take(&reading(seq), &rules, true, |_| ()));
            let before = state(&device);
            let mut begun = Vec::new();
            for seq in 21..=23 {
                begun.push(device.signal.clone());
                device.take(&reading(seq), &rules, true, |_| ());
            }
            for nth in order {
                device.take_back(20 + nth, &begun[nth as usize - 1]);
            }
            assert_eq!(state(&device), before, "{order:?}");
        }
        let mut device = Device::default();
        let before = device.signal.clone();
        device.take(&reading(1), &rules, false, |_| ());
        device.take(&reading(2), &rules, false, |_| ());
        device.end(2);
        assert!(!device.take_back(1, &before), "a later one has been judged");
    }

    #[test]
    fn a_device_takes_less_than_a_kibibyte() {
        assert!(size_of::<Mutex<Device>>() < 1_024, "{}", size_of::<Mutex<Device>>());
    }
}
