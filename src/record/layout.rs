//! The names behind the small indexes that samples carry: phases and fleets of one run.

use serde::{Deserialize, Serialize};

use super::{DeliveryGuarantee, FaultId, FaultInfo, Protocol};
use crate::clock::Tick;

/// Index of a phase in [`Layout::phases`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PhaseId(pub u16);

/// Index of a fleet in [`Layout::fleets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FleetId(pub u16);

/// What a phase is for; decides whether its samples belong to the headline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseRole {
    /// The fleets connect; no reading is due.
    Connect,
    /// Readings are sent and recorded, but kept out of the headline.
    WarmUp,
    /// A measured phase.
    Measured,
}

/// One phase of the time line, `start` inclusive to `end` exclusive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseInfo {
    /// Name as the scenario writes it; free of commas, spaces and dots.
    pub name: String,
    /// What it is for.
    pub role: PhaseRole,
    /// First instant of the phase, nanoseconds since the run began.
    pub start: Tick,
    /// First instant after the phase.
    pub end: Tick,
}

/// One fleet, as far as records need to know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FleetInfo {
    /// Name as the scenario writes it; free of commas, spaces and dots.
    pub name: String,
    /// Protocol its devices speak.
    pub protocol: Protocol,
    /// Number of devices.
    pub devices: u32,
    /// A failed reading counts in the response-time percentiles as at least this long, nanoseconds.
    pub timeout_ns: u64,
    /// Latency budget of a reading, nanoseconds, where the scenario states one.
    pub budget_ns: Option<u64>,
    /// What it expects of the service's delivery.
    pub expects: DeliveryGuarantee,
    /// Share of its readings, 0 to 1, whose trace context is flagged as sampled; `None` where they have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<f64>,
}

impl FleetInfo {
    /// What device number `device` calls itself in its payloads.
    pub fn device_name(&self, device: u32) -> String {
        format!("{}-{device:05}", self.name)
    }
}

/// Names and bounds of everything a [`Sample`](super::Sample) refers to by index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layout {
    /// Phases in the order of time.
    pub phases: Vec<PhaseInfo>,
    /// Fleets, sorted by name.
    pub fleets: Vec<FleetInfo>,
    /// Length of a recording interval, nanoseconds.
    pub interval_ns: u64,
    /// Faults, in the order of the scenario.
    pub faults: Vec<FaultInfo>,
}

impl Layout {
    /// The phase with index `id`.
    ///
    /// # Panics
    /// If `id` is not of this layout.
    pub fn phase(&self, id: PhaseId) -> &PhaseInfo {
        &self.phases[usize::from(id.0)]
    }

    /// The fleet with index `id`.
    ///
    /// # Panics
    /// If `id` is not of this layout.
    pub fn fleet(&self, id: FleetId) -> &FleetInfo {
        &self.fleets[usize::from(id.0)]
    }

    /// The fault with index `id`.
    ///
    /// # Panics
    /// If `id` is not of this layout.
    pub fn fault(&self, id: FaultId) -> &FaultInfo {
        &self.faults[usize::from(id.0)]
    }

    /// The phase in which `at` lies; instants after the last phase (the drain) belong to the last.
    pub fn phase_at(&self, at: Tick) -> PhaseId {
        let after = self.phases.partition_point(|phase| phase.start <= at);
        PhaseId(after.saturating_sub(1) as u16)
    }
}
