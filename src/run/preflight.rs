//! What a run needs of this machine, checked before anything is sent: descriptors, ports, memory, all at once.

use std::net::IpAddr;

use super::RunError;
use super::churn::{self, USUAL_PORTS};
use super::target::Targets;
use crate::engine::{self, Descriptors};
use crate::protocol::Endpoint;
use crate::record::{FleetId, Protocol, Shard};
use crate::results::Host;
use crate::scenario::{Fleet, Plan};

/// Makes sure that the machine has what the run needs, and settles where connections come from. Gives what the user should
/// know.
///
/// # Errors
/// One error that names every limit that is too low, and what to do.
pub(crate) fn ensure(
    plan: &Plan,
    shard: Shard,
    targets: &mut Targets,
    given: &[IpAddr],
) -> Result<Vec<String>, RunError> {
    let mut faults = Vec::new();
    let mut notes = Vec::new();
    let devices = u64::from(shard.count(0, plan.devices()));
    let needed = devices * targets.descriptors_per_device() + Descriptors::OVERHEAD;
    faults.extend(Descriptors::ensure(needed).err().map(|error| error.to_string()));
    let ports = Host::ephemeral_ports().unwrap_or(USUAL_PORTS);
    for endpoint in &mut targets.endpoints {
        let needed = connections(plan, shard, endpoint.protocol());
        match engine::sources(needed, ports, endpoint.address().ip(), given) {
            Ok(sources) => {
                faults.extend(endpoint.come_from(&sources).err().map(|error| error.to_string()));
                notes.extend(announcement(endpoint, &sources, given));
                let (target, held) = (Some(endpoint.address().ip()), sources.len() as u64);
                let places = (held, ports, churn::rest_s(target));
                notes.extend(churn::note(plan, shard, endpoint.protocol(), places));
            }
            Err(error) => faults.push(error.to_string()),
        }
    }
    let memory = memory(plan, shard);
    let needed = if targets.server.is_some() { memory.with_reference } else { memory.alone };
    match judge_memory(needed, Host::available_memory()) {
        Some(Memory::Short(text)) => faults.push(text),
        Some(Memory::Tight(text)) => notes.push(text),
        None => {}
    }
    faults.dedup();
    if faults.is_empty() { Ok(notes) } else { Err(RunError::failed(faults.join("\n       "))) }
}

/// Connections to the target of `protocol` that are open at the same time.
fn connections(plan: &Plan, shard: Shard, protocol: Protocol) -> u64 {
    let fleets = (0..plan.scenario().fleets.len()).map(|at| FleetId(at as u16));
    let fleets = fleets.filter(|fleet| plan.fleet(*fleet).protocol == protocol);
    fleets.map(|fleet| u64::from(plan.devices_of(fleet, shard))).sum()
}

/// Source addresses that the run chose by itself are told.
fn announcement(endpoint: &Endpoint, sources: &[IpAddr], given: &[IpAddr]) -> Option<String> {
    let (first, last) = (sources.first()?, sources.last()?);
    given.is_empty().then(|| {
        format!(
            "note: {} connections come from {first} to {last}: one address has too few ports for them",
            endpoint.protocol()
        )
    })
}

/// Memory that a run needs, bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryDemand {
    /// With the bundled reference system in the same process.
    pub(crate) with_reference: u64,
    pub(crate) alone: u64,
    /// What of it every process takes, however few devices it has.
    pub(crate) fixed: u64,
}

/// What a connection over TLS takes besides, bytes.
pub(crate) const TLS: u64 = 7 << 10;

/// Memory of a run of `shard`: what the process takes by itself, a connection's session and book, histograms by phase and fleet, and
/// the bundled system's queue, cache, connections and detectors. Rounded from peak resident sizes of runs with 100, 900, 4 000
/// and 8 000 devices.
pub(crate) fn memory(plan: &Plan, shard: Shard) -> MemoryDemand {
    const BASE: u64 = 12 << 20;
    const CELL: u64 = 216 << 10;
    const REFERENCE: (u64, u64) = (20 << 20, 7 << 10);
    const REFERENCE_TLS: u64 = 12 << 10;
    let scenario = plan.scenario();
    let each = |fleet: &Fleet| {
        // With a target from elsewhere, a table on TLS says as much.
        let tls = fleet.tls.is_some() || scenario.is_tls(fleet);
        fleet.facts.idle_bytes + if tls { TLS } else { 0 }
    };
    let fleets = (0..plan.scenario().fleets.len()).map(|nth| FleetId(nth as u16));
    let connections: u64 =
        fleets.map(|id| u64::from(plan.devices_of(id, shard)) * each(plan.fleet(id))).sum();
    let layout = plan.layout();
    let fixed = BASE + CELL * (layout.phases.len() * layout.fleets.len()) as u64;
    let alone = fixed + connections;
    let served = REFERENCE.1 + if scenario.reference.tls.is_some() { REFERENCE_TLS } else { 0 };
    MemoryDemand { with_reference: alone + REFERENCE.0 + served * u64::from(plan.devices()), alone, fixed }
}

#[derive(Debug, PartialEq, Eq)]
enum Memory {
    Short(String),
    Tight(String),
}

/// Whether `needed` bytes fit into those `available`, `None` being unknown.
fn judge_memory(needed: u64, available: Option<u64>) -> Option<Memory> {
    let available = available?;
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let facts = format!("the run takes about {} MiB, and {} MiB are free", mib(needed), mib(available));
    if needed > available {
        return Some(Memory::Short(format!(
            "{facts}: use fewer devices, or more machines with a share of the devices each"
        )));
    }
    (needed > available / 5 * 4).then(|| Memory::Tight(format!("note: {facts}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_judged_before_the_run() {
        const MIB: u64 = 1 << 20;
        assert_eq!(judge_memory(500 * MIB, None), None);
        assert_eq!(judge_memory(799 * MIB, Some(1_000 * MIB)), None);
        let tight = judge_memory(900 * MIB, Some(1_000 * MIB));
        let text = "note: the run takes about 900 MiB, and 1000 MiB are free".to_owned();
        assert_eq!(tight, Some(Memory::Tight(text)));
        assert!(matches!(judge_memory(1_001 * MIB, Some(1_000 * MIB)), Some(Memory::Short(_))));
    }
}
