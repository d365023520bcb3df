//! How many machines a plan needs, on paper: what it demands, what a machine of so many cores gives, and which limit comes first.

mod cost;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub(crate) use cost::{COST, Cost};

use super::preflight;
use crate::engine::Descriptors;
use crate::record::{FleetId, Shard};
use crate::scenario::{Model, Plan};

/// What a plan demands of all its machines together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Demand {
    /// Devices, a connection each.
    pub(crate) devices: u64,
    /// Readings of open fleets per second at the peak.
    pub(crate) readings_per_s: f64,
    /// Processor seconds of squall per second then.
    pub(crate) processor: f64,
    /// TCP segments per second then, both ways together.
    pub(crate) segments_per_s: f64,
    /// Memory that grows with the devices, bytes, the kernel's included.
    pub(crate) memory: f64,
    /// Memory that every process takes, bytes.
    pub(crate) memory_each: u64,
    /// The most connections to one target.
    pub(crate) connections: u64,
    /// Whether there are fleets whose rate only a run can tell.
    pub(crate) is_open_ended: bool,
}

/// What there is only so much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    Processor,
    Memory,
    Descriptors,
    Packets,
}

impl Limit {
    /// The word for people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Processor => "processor",
            Self::Memory => "memory",
            Self::Descriptors => "descriptors",
            Self::Packets => "packets",
        }
    }
}

/// What a plan comes to on machines of one size.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Sizing {
    /// Cores of each.
    pub(crate) cores: u32,
    /// Machines, with a shard of the plan each.
    pub(crate) shards: u64,
    /// Machines that each limit alone asks for, before they are rounded up; the largest first.
    pub(crate) limits: Vec<(Limit, f64)>,
    /// Of one shard.
    pub(crate) devices: u64,
    pub(crate) readings_per_s: f64,
    /// Memory of one, bytes, the kernel's included.
    pub(crate) memory: u64,
    /// Addresses of its own that each needs, so that its ports suffice for one target.
    pub(crate) source_addresses: u64,
}

impl Demand {
    /// That of `plan`.
    pub(crate) fn of(plan: &Plan) -> Self {
        let scenario = plan.scenario();
        let memory = preflight::memory(plan, Shard::WHOLE);
        let devices = u64::from(plan.devices());
        let kernel = COST.connection.kernel_bytes * devices;
        let fleets = || (0..scenario.fleets.len()).map(|nth| FleetId(nth as u16));
        let (mut readings_per_s, mut processor, mut segments_per_s) = (0.0, 0.0, 0.0);
        for id in fleets() {
            let fleet = plan.fleet(id);
            let rate = plan.peak_rate_of(id).unwrap_or(0.0);
            let tls = fleet.tls.is_some() || scenario.is_tls(fleet);
            readings_per_s += rate;
            processor += rate * COST.seconds(fleet.protocol.name(), tls);
            segments_per_s += rate * COST.segments(fleet.protocol.name());
        }
        let to = |protocol| {
            let own = fleets().filter(|id| plan.fleet(*id).protocol == protocol);
            own.map(|id| u64::from(plan.fleet(id).devices)).sum::<u64>()
        };
        Self {
            devices,
            readings_per_s,
            processor,
            segments_per_s,
            memory: (memory.alone - memory.fixed + kernel) as f64,
            memory_each: memory.fixed,
            connections: scenario.fleets.iter().map(|fleet| to(fleet.protocol)).max().unwrap_or(0),
            is_open_ended: scenario.fleets.iter().any(|fleet| !matches!(fleet.model, Model::Open { .. })),
        }
    }

    /// What it comes to on machines of `cores` cores, one process on each.
    pub(crate) fn on(&self, cores: u32, cost: &Cost) -> Sizing {
        let (node, cores_given) = (&cost.node, f64::from(cores));
        let memory_given =
            cores_given * node.memory_per_core as f64 * node.memory_share - self.memory_each as f64;
        let descriptors_given = node.descriptors.saturating_sub(Descriptors::OVERHEAD) as f64;
        let mut limits = vec![
            (Limit::Processor, self.processor / (cores_given * node.share)),
            (Limit::Memory, self.memory / memory_given.max(1.0)),
            (Limit::Descriptors, self.devices as f64 / descriptors_given),
            (Limit::Packets, self.segments_per_s / node.segments_per_s),
        ];
        limits.sort_by(|one, other| other.1.total_cmp(&one.1));
        let shards = (limits[0].1.ceil() as u64).max(1);
        Sizing {
            cores,
            shards,
            limits,
            devices: self.devices.div_ceil(shards),
            readings_per_s: self.readings_per_s / shards as f64,
            memory: self.memory_each + (self.memory / shards as f64) as u64,
            source_addresses: self.connections.div_ceil(shards).div_ceil(node.ports.max(1)),
        }
    }
}
