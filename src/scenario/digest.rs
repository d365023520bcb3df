//! The plan digest: one hash of everything that shapes a plan.
//!
//! Canonical form: a line for every value of the scenario that is not its default, in the order of the language's tables,
//! floats in their shortest exact form, times in whole nanoseconds. So a new key changes no digest of scenarios that do
//! not use it. Each fleet is hashed by itself, with the expanded plan of its devices counted from the start of sending,
//! and the hashes are combined in the order of the fleets' names; so neither the order in the file nor another fleet can
//! change a fleet's part.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::model::Model;
use super::plan::Plan;
use crate::clock::Tick;
use crate::fleet::RunFacts;
use crate::record::FleetId;
use crate::units::hex;

/// A fleet's devices are all expanded up to this number; of a larger fleet, this many evenly spaced ones.
const DEVICES: u32 = 512;

/// Readings expanded of each such device.
const READINGS: usize = 16;

/// The digest of `plan` in hexadecimal.
pub(super) fn of(plan: &Plan) -> String {
    let mut whole = Sha256::new();
    whole.update(timing(plan));
    for fleet in 0..plan.scenario().fleets.len() {
        whole.update(plan.fleet_digest(FleetId(fleet as u16)));
    }
    hex(&whole.finalize())
}

/// The digest of one fleet, whose first device has the global index `first`.
pub(super) fn of_fleet(plan: &Plan, id: FleetId, first: u32) -> String {
    let fleet = plan.fleet(id);
    let mut hash = Sha256::new();
    hash.update(format!("squall fleet 2\nname={}\nseed={}\n", fleet.name, plan.scenario().seed));
    hash.update(fleet.canonical.reveal());
    // What a fleet is given elsewhere: the default of its connect rate, and its factors by phase.
    hash.update(format!("connect_rate={:?}\n", fleet.behaviour.connect_rate.as_per_second()));
    for phase in &plan.scenario().phases {
        hash.update(format!("{}={:?}\n", phase.duration.as_ns(), phase.load_of(&fleet.name)));
    }
    expand(plan, id, first, &mut hash);
    hex(&hash.finalize())
}

fn timing(plan: &Plan) -> String {
    let (scenario, mut text) = (plan.scenario(), String::from("squall plan 2\n"));
    // Writing to a String cannot fail.
    let _ = writeln!(text, "seed={}", scenario.seed);
    text.push_str(&scenario.canonical);
    for phase in &scenario.phases {
        let _ = writeln!(text, "phase={} {}", phase.name, phase.duration.as_ns());
        text.push_str(&phase.canonical);
    }
    text.push_str(&scenario.fault_canonical);
    text
}

/// Hashes the first due instants and payloads of the fleet's sample of devices. A closed fleet has no due
/// instants; its payloads are taken as of the first instant of sending.
fn expand(plan: &Plan, id: FleetId, first: u32, hash: &mut Sha256) {
    let (fleet, origin) = (plan.fleet(id), plan.sending_starts());
    // Counted from the start of sending; what lies before it, backwards.
    let relative = |at: Tick| at.0.wrapping_sub(origin.0).to_le_bytes();
    let sample = fleet.devices.min(DEVICES);
    let mut payload = Vec::with_capacity(128);
    for nth in 0..sample {
        let index = u64::from(nth) * u64::from(fleet.devices) / u64::from(sample);
        let mut device = plan.device(first + index as u32);
        let outage = device.outage.map(|outage| [outage.from, outage.until]);
        for at in
            [device.connect_at, device.leave_at].into_iter().chain(outage.into_iter().flatten().map(Some))
        {
            hash.update(at.map_or([0xff; 8], relative));
        }
        if let Some(at) = device.device.upgrade_at() {
            *at = Tick(at.since(origin));
        }
        for _ in 0..READINGS {
            let due = match fleet.model {
                Model::Open { .. } => device.next_due(),
                Model::Closed { .. } => Some(device.starts),
                Model::Subscriber => None,
            };
            let Some(due) = due else { break };
            let reading = device.device.reading(due);
            payload.clear();
            let shifted = crate::fleet::Reading { intended: Tick(due.since(origin)), ..reading };
            device.device.encode(&shifted, RunFacts::default(), &mut payload);
            hash.update(relative(due));
            hash.update(&payload);
        }
    }
}
