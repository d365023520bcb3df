//! The recorded process: instants taken from a recording, dealt out to the devices of a fleet.

use std::fmt;
use std::sync::Arc;

/// Instants, nanoseconds of operational time, ascending, wherever they are kept.
pub trait Instants: fmt::Debug + Send + Sync {
    /// The one behind `nth` others; `None` behind the last.
    fn get(&self, nth: usize) -> Option<u64>;

    /// How many there are before `operational` nanoseconds.
    fn before(&self, operational: f64) -> usize;
}

impl Instants for Box<[u64]> {
    fn get(&self, nth: usize) -> Option<u64> {
        self.as_ref().get(nth).copied()
    }

    fn before(&self, operational: f64) -> usize {
        self.partition_point(|at| (*at as f64) < operational)
    }
}

/// The instants of a recording, shared by the devices of a fleet. Equal is only what is the same.
#[derive(Debug, Clone)]
pub struct Recording(Arc<dyn Instants>);

impl Recording {
    /// The recording that `instants` are.
    pub fn new(instants: impl Instants + 'static) -> Self {
        Self(Arc::new(instants))
    }
}

impl PartialEq for Recording {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// One device's entries of a recording.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    times: Recording,
    next: usize,
    devices: usize,
}

impl Recorded {
    /// The entries `device`, `device + devices`, … of `times`; no devices count as one.
    pub(super) fn new(times: &Recording, device: u32, devices: u32) -> Self {
        Self { times: times.clone(), next: device as usize, devices: devices.max(1) as usize }
    }

    /// The next point, nanoseconds of operational time; `None` after the last.
    pub(super) fn next(&mut self) -> Option<f64> {
        let at = self.times.0.get(self.next)?;
        self.next = self.next.saturating_add(self.devices);
        Some(at as f64)
    }
}

/// The number of the device's entries before `operational` nanoseconds.
pub(super) fn count(times: &Recording, device: u32, devices: u32, operational: f64) -> f64 {
    let before = times.0.before(operational);
    before.saturating_sub(device as usize).div_ceil(devices.max(1) as usize) as f64
}
