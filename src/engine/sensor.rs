//! What the sensors of a device remember of faults that make them misbehave.

use crate::fault;

/// Numbers of anomalies that come by faults begin beyond those of the signal.
pub(super) const EPISODES: u32 = 1_000_000;

/// What a device's sensors remember of one fault.
#[derive(Debug)]
pub(super) struct SensorFaultState {
    pub(super) fault: u16,
    pub(super) held: fault::Held,
    /// The activation that its readings were last taken in.
    pub(super) occurrence: Option<u32>,
    /// Number of the present activation among all of the device.
    pub(super) episode: u32,
    /// Readings since the present activation began.
    pub(super) readings: u32,
}

impl SensorFaultState {
    pub(super) fn of(fault: u16) -> Self {
        Self { fault, held: fault::Held::default(), occurrence: None, episode: EPISODES, readings: 0 }
    }
}
