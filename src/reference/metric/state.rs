//! What is counted of the state that outlives a crash.

use crate::metric::{Family, Kind};
use crate::reference::state::Report;

impl Report {
    pub(super) fn families(&self) -> Vec<Family> {
        let counter = |name, help, count: u64| Family::of(Kind::Counter, name, help).with([], count as f64);
        let gauge = |name, help, value: f64| Family::of(Kind::Gauge, name, help).with([], value);
        vec![
            counter("state_readings", "Readings entered in the journal", self.readings),
            counter("state_snapshots", "Snapshots that are whole", self.snapshots),
            counter("state_failures", "Attempts at writing the state that failed", self.failures),
            gauge("state_up", "1 while the state is written down", f64::from(self.failure.is_none())),
            gauge("state_bytes", "Bytes of snapshot and journal", self.bytes as f64),
            gauge(
                "state_restored_devices",
                "Devices whose state was restored at the start",
                self.restored.devices as f64,
            ),
            gauge(
                "state_restored_readings",
                "Readings of the journal that were replayed at the start",
                self.restored.readings as f64,
            ),
        ]
    }
}
