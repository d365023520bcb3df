//! The names behind the small indexes that samples carry: phases and fleets of one run.

use serde::{Deserialize, Serialize};

use super::{DeliveryGuarantee, FaultId, FaultInfo, Protocol};
use crate::clock::{Course, Skip, Tick};

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

/// One phase of the plan, `start` inclusive to `end` exclusive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseInfo {
    /// Name as the scenario writes it; free of commas, spaces and dots.
    pub name: String,
    /// What it is for.
    pub role: PhaseRole,
    /// First instant of the phase by the plan, nanoseconds since the run began. [`Layout::begins`] knows when it came.
    pub start: Tick,
    /// First instant after the phase by the plan; see [`Layout::ends`].
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
    /// Its devices send nothing, and hear the readings of others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hears: bool,
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
    /// What the run leaves out of its plan; clones share it. Shards leave nothing out.
    #[serde(skip)]
    pub course: Course,
}

/// The end of a phase that a run leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Omission {
    /// Of which phase.
    pub(crate) phase: PhaseId,
    /// From which instant on, and for how long.
    pub(crate) skip: Skip,
    /// Faults of which an activation lies in it, so that it never begins.
    pub(crate) faults: Vec<FaultId>,
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

    /// The phase in which the instant `at` of the run lies; instants after the last phase (the drain) belong to the last.
    pub fn phase_at(&self, at: Tick) -> PhaseId {
        let at = self.course.planned(at);
        let after = self.phases.partition_point(|phase| phase.start <= at);
        PhaseId(after.saturating_sub(1) as u16)
    }

    /// When the run comes to `phase`.
    pub fn begins(&self, phase: &PhaseInfo) -> Tick {
        self.course.moved(phase.start)
    }

    /// When the run comes to the end of `phase`.
    pub fn ends(&self, phase: &PhaseInfo) -> Tick {
        self.course.moved(phase.end)
    }

    /// When the run comes to the end of the last phase.
    pub fn end(&self) -> Tick {
        self.phases.last().map_or(Tick::ZERO, |phase| self.ends(phase))
    }

    /// The part of `phase` that the run does not leave out, by the plan: its beginning, for only the end of a phase is ever left out.
    pub(crate) fn kept(&self, phase: &PhaseInfo) -> (Tick, Tick) {
        (phase.start, phase.start.plus_ns(self.ends(phase).since(self.begins(phase))))
    }

    /// What the run leaves out of its plan, in the order of time.
    pub(crate) fn omissions(&self) -> impl Iterator<Item = Omission> + '_ {
        let skips = self.course.skips().enumerate();
        skips.map(|(nth, skip)| {
            let is_in = |planned: (Tick, Tick)| {
                let mut earlier = self.course.skips().take(nth);
                let left = earlier.try_fold(planned, |left, skip| skip.shortened(left));
                left.is_some_and(|left| skip.shortened(left).is_none())
            };
            let faults =
                (0..).zip(&self.faults).filter(|(_, fault)| fault.activations.iter().any(|on| is_in(*on)));
            Omission {
                phase: self.phase_at(Tick(skip.at.0.saturating_sub(1))),
                skip,
                faults: faults.map(|(number, _)| FaultId(number)).collect(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn layout() -> Layout {
        let phase = |name: &str, role, from: u64, to: u64| PhaseInfo {
            name: name.into(),
            role,
            start: Tick(from * S),
            end: Tick(to * S),
        };
        let fault = |name: &str, activations: &[(u64, u64)]| FaultInfo {
            name: name.into(),
            layer: "network".into(),
            kind: "latency".into(),
            cuts: false,
            counted: false,
            devices: 1,
            fleets: Vec::new(),
            activations: activations.iter().map(|(from, to)| (Tick(from * S), Tick(to * S))).collect(),
        };
        Layout {
            phases: vec![
                phase("connect", PhaseRole::Connect, 0, 1),
                phase("calm", PhaseRole::Measured, 1, 11),
                phase("storm", PhaseRole::Measured, 11, 31),
                phase("after", PhaseRole::Measured, 31, 41),
            ],
            fleets: Vec::new(),
            interval_ns: S,
            faults: vec![
                fault("early", &[(2, 3)]),
                fault("twice", &[(8, 9), (20, 25)]),
                fault("across", &[(25, 33)]),
            ],
            course: Course::default(),
        }
    }

    #[test]
    fn phases_that_end_early_are_followed_by_the_others_at_once() {
        let layout = layout();
        let shared = layout.clone();
        layout.course.leave_out(Skip { at: Tick(5 * S), length_ns: 6 * S });
        layout.course.leave_out(Skip { at: Tick(12 * S), length_ns: 13 * S });
        let bounds: Vec<_> = shared
            .phases
            .iter()
            .map(|phase| (shared.begins(phase).0 / S, shared.ends(phase).0 / S))
            .collect();
        assert_eq!(bounds, [(0, 1), (1, 5), (5, 12), (12, 22)]);
        assert_eq!(shared.end(), Tick(22 * S));
        for (at, phase) in [(0, 0), (4, 1), (5, 2), (11, 2), (12, 3), (90, 3)] {
            assert_eq!(shared.phase_at(Tick(at * S)), PhaseId(phase), "{at}");
        }
        assert_eq!(shared.kept(&shared.phases[2]), (Tick(11 * S), Tick(18 * S)));
        let told: Vec<_> = shared
            .omissions()
            .map(|one| (one.phase.0, one.skip.at.0 / S, one.skip.length_ns / S, one.faults))
            .collect();
        // The fault across the end of its phase begins later, but it begins.
        assert_eq!(told, [(1, 5, 6, vec![FaultId(1)]), (2, 12, 13, vec![FaultId(1)])]);
    }
}
