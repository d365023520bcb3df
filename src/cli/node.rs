//! `squall check --nodes`: how many machines a plan needs, of what size, and why.

use crate::display::{Style, Tone, wrap};
use crate::run::node::{COST, Demand, Limit, Sizing};
use crate::scenario::Plan;
use crate::units::figure::{count, plural, rate};

/// The sizes of machines that are reckoned with: the one that is named, or the usual ones.
pub(super) fn sizings(plan: &Plan, cores: Option<u32>) -> (Demand, Vec<Sizing>) {
    let demand = Demand::of(plan);
    let sizes = cores.map_or_else(|| COST.node.cores.clone(), |cores| vec![cores]);
    let sizings = sizes.into_iter().map(|cores| demand.on(cores, &COST)).collect();
    (demand, sizings)
}

/// What they come to, for people.
pub(super) fn text((demand, sizings): &(Demand, Vec<Sizing>), width: usize, style: Style) -> String {
    let mut lines = vec![style.paint("machines, on paper (docs/scale.md)", Tone::Strong)];
    for sizing in sizings {
        let spoken = style.spoken(&sentence(sizing));
        lines.extend(wrap(&spoken, width));
    }
    if demand.is_open_ended {
        let note = "note: fleets that send when they are answered, and those that only hear, count as idle here: how much they do, only a run can tell";
        lines.extend(wrap(note, width));
    }
    lines.join("\n")
}

fn sentence(sizing: &Sizing) -> String {
    let Sizing { cores, shards, limits, devices, readings_per_s, memory, source_addresses } = sizing;
    let needs: Vec<String> =
        limits.iter().map(|(limit, machines)| format!("{} {}", limit.name(), machine(*machines))).collect();
    let decides = limits.first().map_or("", |(limit, _)| limit.name());
    let (of, each) = if *shards > 1 { (" each", " each") } else { ("", "") };
    let addresses = match source_addresses {
        0 | 1 => String::new(),
        many => format!(", from {} of its own{each}", plural(*many, "address")),
    };
    format!(
        "{cores} cores: {} with {}, {} readings/s and {} MiB{of}{addresses}; {decides} decides (machines needed: {})",
        plural(*shards, "shard"),
        plural(*devices, "device"),
        rate(*readings_per_s),
        count(memory.div_ceil(1 << 20)),
        needs.join(", "),
    )
}

/// A number of machines, as exact as it is known.
fn machine(machines: f64) -> String {
    if machines < 0.01 { "<0.01".to_owned() } else { format!("{machines:.2}") }
}

/// The limits by name, for programs.
pub(super) fn json(sizings: &[Sizing]) -> serde_json::Value {
    let one = |sizing: &Sizing| {
        let limits: serde_json::Map<String, serde_json::Value> = sizing
            .limits
            .iter()
            .map(|(limit, machines): &(Limit, f64)| (limit.name().to_owned(), (*machines).into()))
            .collect();
        serde_json::json!({
            "cores": sizing.cores,
            "shards": sizing.shards,
            "decides": sizing.limits.first().map(|(limit, _)| limit.name()),
            "machines_by_limit": limits,
            "devices_each": sizing.devices,
            "readings_per_s_each": sizing.readings_per_s,
            "memory_bytes_each": sizing.memory,
            "source_addresses_each": sizing.source_addresses,
        })
    };
    sizings.iter().map(one).collect()
}
