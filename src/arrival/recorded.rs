//! The recorded law: instants taken from a recording, dealt out to the devices of a fleet.

use std::sync::Arc;

/// One device's entries of a recording.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    times: Arc<[u64]>,
    next: usize,
    devices: usize,
}

impl Recorded {
    /// The entries `device`, `device + devices`, … of `times`; no devices count as one.
    pub(super) fn new(times: &Arc<[u64]>, device: u32, devices: u32) -> Self {
        Self { times: Arc::clone(times), next: device as usize, devices: devices.max(1) as usize }
    }

    /// The next point, nanoseconds of operational time; `None` after the last.
    pub(super) fn next(&mut self) -> Option<f64> {
        let at = *self.times.get(self.next)?;
        self.next = self.next.saturating_add(self.devices);
        Some(at as f64)
    }
}

/// The number of the device's entries before `operational` nanoseconds.
pub(super) fn count(times: &[u64], device: u32, devices: u32, operational: f64) -> f64 {
    let before = times.partition_point(|at| (*at as f64) < operational);
    before.saturating_sub(device as usize).div_ceil(devices.max(1) as usize) as f64
}
