//! The plan digest: one hash of everything that shapes a plan.
//!
//! Canonical form: lines of `key=value` in a fixed order, floats as the hexadecimal of their bits, times in whole
//! nanoseconds. Each fleet is hashed by itself, with the expanded plan of its devices, and the hashes are combined
//! in the order of the fleets' names; so the order in the file cannot matter.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::model::{Fleet, Model};
use super::plan::Plan;
use crate::arrival::Law;
use crate::fleet::Shape;
use crate::record::FleetId;

/// A fleet's devices are all expanded up to this number; of a larger fleet, this many evenly spaced ones.
const DEVICES: u32 = 512;

/// Readings expanded of each such device.
const READINGS: usize = 16;

/// The digest of `plan` in hexadecimal.
pub(super) fn of(plan: &Plan) -> String {
    let mut whole = Sha256::new();
    whole.update(timing(plan));
    let mut first = 0;
    for (at, fleet) in plan.scenario().fleets.iter().enumerate() {
        let mut hash = Sha256::new();
        hash.update(settings(fleet));
        expand(plan, fleet, first, &mut hash);
        whole.update(hash.finalize());
        debug_assert_eq!(plan.fleet(FleetId(at as u16)).name, fleet.name);
        first += fleet.devices;
    }
    hex(&whole.finalize())
}

fn timing(plan: &Plan) -> String {
    let (scenario, mut text) = (plan.scenario(), String::from("squall plan 1\n"));
    let run = &scenario.run;
    let spans = [
        ("warm_up", run.warm_up),
        ("drain", run.drain),
        ("interval", run.interval),
        ("connect_timeout", run.connect_timeout),
    ];
    line(&mut text, "seed", scenario.seed);
    line(&mut text, "connect_rate", bits(run.connect_rate.as_per_second()));
    for (key, span) in spans {
        line(&mut text, key, span.as_ns());
    }
    for phase in &scenario.phases {
        line(&mut text, "phase", &phase.name);
        line(&mut text, "duration", phase.duration.as_ns());
        line(&mut text, "load", bits(phase.load));
    }
    text
}

fn settings(fleet: &Fleet) -> String {
    let mut text = String::new();
    line(&mut text, "fleet", &fleet.name);
    line(&mut text, "protocol", fleet.protocol);
    line(&mut text, "devices", fleet.devices);
    match &fleet.model {
        Model::Open { rate, arrival, backlog } => {
            line(&mut text, "rate", bits(rate.as_per_second()));
            line(&mut text, "arrival", arrival.name());
            if let Law::Constant { jitter } = arrival {
                line(&mut text, "jitter", bits(*jitter));
            }
            line(&mut text, "backlog", backlog);
        }
        Model::Closed { think } => line(&mut text, "think", think.as_ns()),
    }
    line(&mut text, "in_flight", fleet.in_flight);
    line(&mut text, "timeout", fleet.timeout.as_ns());
    if let Some(budget) = fleet.budget {
        line(&mut text, "budget", budget.as_ns());
    }
    line(&mut text, "close", fleet.close);
    if let Some(mqtt) = fleet.mqtt {
        line(&mut text, "qos", mqtt.qos as u8);
        line(&mut text, "keep_alive", mqtt.keep_alive.as_ns());
    }
    line(&mut text, "backoff_first", fleet.backoff.first.as_ns());
    line(&mut text, "backoff_max", fleet.backoff.max.as_ns());
    line(&mut text, "backoff_jitter", bits(fleet.backoff.jitter));
    signal(&mut text, fleet);
    text
}

fn signal(text: &mut String, fleet: &Fleet) {
    let (name, level, first, second) = match fleet.signal.shape {
        Shape::Constant { level } => ("constant", level, bits(0.0), bits(0.0)),
        Shape::Sine { level, amplitude, period_ns } => {
            ("sine", level, bits(amplitude), period_ns.to_string())
        }
        Shape::Walk { level, step, range } => ("walk", level, bits(step), bits(range)),
    };
    line(text, "signal", name);
    line(text, "level", bits(level));
    line(text, "swing", first);
    line(text, "extent", second);
    line(text, "noise", bits(fleet.signal.noise));
    line(text, "spikes", bits(fleet.signal.anomalies.spikes));
    line(text, "shifts", bits(fleet.signal.anomalies.shifts));
    line(text, "size", bits(fleet.signal.anomalies.size));
}

/// Hashes the first due instants and payloads of the fleet's sample of devices. A closed fleet has no due
/// instants; its payloads are taken as of the first instant of sending.
fn expand(plan: &Plan, fleet: &Fleet, first: u32, hash: &mut Sha256) {
    let sample = fleet.devices.min(DEVICES);
    let mut payload = Vec::with_capacity(128);
    for nth in 0..sample {
        let index = u64::from(nth) * u64::from(fleet.devices) / u64::from(sample);
        let mut device = plan.device(first + index as u32);
        for _ in 0..READINGS {
            let due = match fleet.model {
                Model::Open { .. } => device.next_due(),
                Model::Closed { .. } => Some(plan.sending_starts()),
            };
            let Some(due) = due else { break };
            let reading = device.device.reading(due);
            payload.clear();
            device.device.encode(&reading, &mut payload);
            hash.update(due.0.to_le_bytes());
            hash.update(&payload);
        }
    }
}

fn line(text: &mut String, key: &str, value: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{key}={value}");
}

fn bits(value: f64) -> String {
    // Both zeros mean the same plan.
    format!("{:016x}", (value + 0.0).to_bits())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
