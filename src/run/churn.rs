//! Foresees connections that are made anew: each keeps a port of this machine for a while after its end.

use std::net::IpAddr;

use crate::clock::Tick;
use crate::record::{FleetId, Protocol, Shard};
use crate::results::Host;
use crate::scenario::{Model, Plan};
use crate::units::figure::count;

/// Ephemeral ports of an address where the system does not tell: Linux's default range.
pub(crate) const USUAL_PORTS: u64 = 28_232;

/// Windows in which the busiest is looked for.
const WINDOWS: u64 = 600;

/// Devices of a fleet that joins or leaves on which a forecast rests.
const SAMPLE: u32 = 256;

/// What to say of a plan whose connections to one target need more ports than there are: `sources` addresses have `ports` each,
/// and one is free again `rest_s` seconds after its connection. `None` if they suffice.
pub(crate) fn note(
    plan: &Plan,
    shard: Shard,
    protocol: Protocol,
    (sources, ports, rest_s): (u64, u64, u64),
) -> Option<String> {
    let connections = connections(plan, shard, protocol, rest_s.saturating_mul(1_000_000_000));
    let available = ports.saturating_mul(sources.max(1));
    (connections > available as f64).then(|| {
        format!(
            "note: {protocol} fleets make up to {} connections within {rest_s} s (fresh ones, and reconnects), but \
             a port is taken for so long after its connection, and {} are there: name further addresses of this machine \
             with --source-ip, widen net.ipv4.ip_local_port_range, or use lasting connections; a run that has no port left is \
             invalid",
            count(connections.round() as u64),
            count(available)
        )
    })
}

/// How long a port rests after a connection to `target`, seconds.
pub(crate) fn rest_s(target: Option<IpAddr>) -> u64 {
    Host::port_rest(target.is_none_or(|ip| ip.is_loopback())).as_secs()
}

/// Connections of the fleets of `protocol` that are open or ended no longer than `rest_ns` ago, at the worst.
fn connections(plan: &Plan, shard: Shard, protocol: Protocol, rest_ns: u64) -> f64 {
    let fleets = (0..plan.scenario().fleets.len()).map(|at| FleetId(at as u16));
    let fleets: Vec<_> = fleets.filter(|id| plan.fleet(*id).protocol == protocol).collect();
    let devices: f64 = fleets.iter().map(|id| f64::from(plan.devices_of(*id, shard))).sum();
    let (begin, end) = (plan.sending_starts(), plan.end());
    let step_ns = (end.since(begin) / WINDOWS).max(rest_ns / 4).max(1);
    let mut worst = 0.0_f64;
    let mut from = begin;
    while from < end {
        let to = from.plus_ns(rest_ns).min(end);
        let made: f64 = fleets.iter().map(|id| anew(plan, *id, from, to)).sum();
        worst = worst.max(made);
        from = from.plus_ns(step_ns);
    }
    devices + worst / f64::from(shard.of())
}

/// Connections of a fleet that are made from `from` to before `to` in place of earlier ones. How many a closed fleet makes only a
/// run can tell.
fn anew(plan: &Plan, id: FleetId, from: Tick, to: Tick) -> f64 {
    let fleet = plan.fleet(id);
    let per_reading = match fleet.model {
        Model::Open { .. } if fleet.on_demand() => {
            plan.estimated_between(id, from, to, SAMPLE).unwrap_or(0.0)
        }
        _ => 0.0,
    };
    let faults = plan.layout().faults.iter().filter(|fault| fault.cuts && fault.fleets.contains(&id));
    let cuts: f64 = faults
        .map(|fault| {
            let activations =
                fault.activations.iter().filter(|(start, _)| *start >= from && *start < to).count();
            // The devices of several fleets are told together.
            activations as f64 * f64::from(fault.devices.min(fleet.devices))
        })
        .sum();
    let planned = fleet.behaviour.cut.map_or(0.0, |cut| {
        let at = begin_of(plan).plus_ns(cut.at.as_ns());
        if at >= from && at < to { f64::from(fleet.devices) } else { 0.0 }
    });
    per_reading + cuts + planned
}

/// What the instants of a fleet's behaviour count from.
fn begin_of(plan: &Plan) -> Tick {
    plan.sending_starts()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Overrides, Scenario};

    fn plan(fleet: &str, more: &str) -> Plan {
        let text = format!(
            "[scenario]\nname = \"churn\"\n[run]\nwarm_up = \"0s\"\n[[phase]]\nname = \"steady\"\nduration = \"300s\"\n\
             [fleet.meters]\nprotocol = \"http\"\ndevices = 100\n{fleet}\n{more}"
        );
        Plan::new(Scenario::parse("churn.toml", &text, &Overrides::default()).unwrap())
    }

    #[test]
    fn connections_made_anew_are_foreseen() {
        let storms = "[[fault]]\nname = \"storm\"\nkind = \"disconnect\"\nstart = \"10s\"\nevery = \"20s\"\ntimes = 5\n";
        let fresh = "rate = \"10/s\"\nhttp = { fresh = true }";
        // (fleet, more, seconds that a port rests) → connections at the worst
        for (fleet, more, rest_s, expected) in [
            ("rate = \"10/s\"", "", 60, 100.0),
            (fresh, "", 60, 60_100.0),
            (fresh, "", 1, 1_100.0),
            ("rate = \"10/s\"", storms, 60, 400.0),
            ("rate = \"10/s\"", storms, 1, 200.0),
            ("model = \"closed\"\nhttp = { fresh = true }", "", 60, 100.0),
        ] {
            let plan = plan(fleet, more);
            let found = connections(&plan, Shard::WHOLE, Protocol::named("http"), rest_s * 1_000_000_000);
            assert!((found - expected).abs() <= 0.02 * expected, "{fleet} {more} {rest_s}: {found}");
            assert!(connections(&plan, Shard::WHOLE, Protocol::named("mqtt"), 1) < 1.0);
        }
    }

    #[test]
    fn too_few_ports_are_said_before_the_run() {
        let plan = plan("rate = \"10/s\"\nhttp = { fresh = true }", "");
        let noted =
            |sources, rest_s| note(&plan, Shard::WHOLE, Protocol::named("http"), (sources, 28_232, rest_s));
        let text = noted(0, 60).unwrap();
        assert!(
            text.contains("60,100 connections within 60 s") && text.contains("28,232 are there"),
            "{text}"
        );
        assert_eq!(noted(3, 60), None);
        assert_eq!(noted(1, 1), None);
    }
}
