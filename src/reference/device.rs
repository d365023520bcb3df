//! What the service remembers of each device: everything that is not a pure function, in bounded memory.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::unsync::Cache;

use serde::{Deserialize, Serialize};

use super::alert::Watch;
use super::delivery::Recent;
use super::detector::{Detector, Ewma, Quality};
use super::window::Windows;
use crate::clock::Tick;

/// The state of one device.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Device {
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
    /// Only where windows are asked for.
    #[serde(skip)]
    pub(super) windows: Option<Box<Windows>>,
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
        open(&devices.get(&name).0).recent.note(None, 7, 1.5, crate::reference::reading::Level::Low);
        assert!(open(&devices.get(&name).0).recent.verdict_of(7).is_some());
        assert!(devices.forget("m") && !devices.forget("m") && devices.find("m").is_none());
        assert!(open(&devices.get(&name).0).recent.verdict_of(7).is_none());
    }

    #[test]
    fn a_device_takes_less_than_a_kibibyte() {
        assert!(size_of::<Mutex<Device>>() < 1_024, "{}", size_of::<Mutex<Device>>());
    }
}
