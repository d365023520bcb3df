//! The names that a plan gives to formulas: `phase.day.duration`, `fleet.meters.rate`,
//! `reference.queue.deadline`.

use super::formula::Quantity;
use crate::clock::Tick;
use crate::fault::Fault;
use crate::scenario::{Fleet, LoadProfile, Model, Plan};
use crate::service::Setup;
use crate::units::Span;

/// The value of `name`, which has dots in it, or why it has none in this plan.
pub(super) fn named(plan: &Plan, name: &str) -> Result<Quantity, String> {
    let parts: Vec<&str> = name.split('.').collect();
    match parts.as_slice() {
        ["measured", "duration"] => Ok(between(plan.measuring_starts(), plan.end())),
        ["phase", phase, key] => of_phase(plan, phase, key),
        ["fleet", fleet, key] => {
            of_fleet(found(&plan.scenario().fleets, "fleet", fleet, |own| &own.name)?, key)
        }
        ["fault", fault, key] => {
            let fault = found(plan.faults(), "fault", fault, |own| &own.name)?;
            of_fault(fault, plan.measuring_starts(), key)
        }
        ["run", key] => of_run(plan, key),
        ["reference", keys @ ..] => of_reference(&plan.scenario().reference, &keys.join(".")),
        _ => Err(format!(
            "`{name}` is no name of a plan; these begin with phase., fleet., fault., run., reference. or are measured.duration"
        )),
    }
}

/// The one of `all` that is called `wanted`.
fn found<'a, T>(
    all: &'a [T],
    what: &str,
    wanted: &str,
    name: impl Fn(&T) -> &String,
) -> Result<&'a T, String> {
    all.iter().find(|own| name(own) == wanted).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|own| name(own).as_str()).collect();
        format!("the plan has no {what} `{wanted}`; there are: {}", names.join(", "))
    })
}

fn unknown(what: &str, key: &str, known: &str) -> Result<Quantity, String> {
    Err(format!("`{key}` is unknown of {what}; there are: {known}"))
}

fn span(span: Span) -> Quantity {
    Quantity::seconds(span.as_secs_f64())
}

/// What may be absent, which says so.
fn some(found: Option<Quantity>, what: &str) -> Result<Quantity, String> {
    found.ok_or_else(|| format!("the plan states no {what}"))
}

fn between(from: Tick, to: Tick) -> Quantity {
    Quantity::seconds(to.since(from) as f64 / 1e9)
}

fn of_phase(plan: &Plan, name: &str, key: &str) -> Result<Quantity, String> {
    let phases = &plan.layout().phases;
    let phase = found(phases, "phase", name, |own| &own.name)?;
    let duration = between(phase.start, phase.end);
    let planned = || plan.expected_in_all(phase.start, phase.end);
    match key {
        "duration" => Ok(duration),
        "planned" => Ok(Quantity::number(planned())),
        "rate" => Ok(Quantity::per_second(planned() / duration.value)),
        "peak" => Ok(Quantity::per_second(peak(plan, name))),
        "burst" => some(burst(plan, name).map(span), "bursts in this phase"),
        _ => unknown("a phase", key, "duration, planned, rate, peak, burst"),
    }
}

/// The largest rate of all open fleets together in the phase called `name`, readings per second, if their
/// peaks fall together.
fn peak(plan: &Plan, name: &str) -> f64 {
    let scenario = plan.scenario();
    let phase = scenario.phases.iter().find(|phase| phase.name == name);
    let of = |fleet: &Fleet| match &fleet.model {
        Model::Open { rate, .. } => {
            let load = phase.map_or(1.0, |phase| phase.load_of(&fleet.name).peak());
            rate.as_per_second() * f64::from(fleet.devices) * load
        }
        Model::Closed { .. } | Model::Subscriber => 0.0,
    };
    scenario.fleets.iter().map(of).sum()
}

/// How long a burst lasts in the phase called `name`.
fn burst(plan: &Plan, name: &str) -> Option<Span> {
    let phase = plan.scenario().phases.iter().find(|phase| phase.name == name)?;
    match phase.load {
        LoadProfile::Bursts { length, .. } => Some(length),
        _ => None,
    }
}

fn of_fleet(fleet: &Fleet, key: &str) -> Result<Quantity, String> {
    let devices = f64::from(fleet.devices);
    let rate = match &fleet.model {
        Model::Open { rate, .. } => Some(rate.as_per_second()),
        Model::Closed { .. } | Model::Subscriber => None,
    };
    let per_second = |rate: Option<f64>| some(rate.map(Quantity::per_second), "rate of this fleet");
    match key {
        "devices" => Ok(Quantity::number(devices)),
        "rate" => per_second(rate),
        "offered" => per_second(rate.map(|rate| rate * devices)),
        "in_flight" => Ok(Quantity::number(f64::from(fleet.in_flight))),
        "timeout" => Ok(span(fleet.timeout)),
        "budget" => some(fleet.budget.map(span), "budget of this fleet"),
        "think" => match &fleet.model {
            Model::Closed { think } => Ok(span(*think)),
            Model::Open { .. } | Model::Subscriber => some(None, "think time of this fleet"),
        },
        "spikes" => some(spikes(fleet).map(Quantity::number), "spikes of this fleet"),
        "every" => some(fleet.turn().map(span), "interval of this fleet, which does not poll"),
        _ => unknown(
            "a fleet",
            key,
            "devices, rate, offered, in_flight, timeout, budget, think, spikes, every",
        ),
    }
}

/// The share of a fleet's readings that are spikes, where it has one sensor a device.
fn spikes(fleet: &Fleet) -> Option<f64> {
    match fleet.device_model.channels.as_slice() {
        [channel] => Some(channel.signal.anomalies.spikes).filter(|share| *share > 0.0),
        _ => None,
    }
}

fn of_fault(fault: &Fault, begin: Tick, key: &str) -> Result<Quantity, String> {
    let schedule = || fault.schedule.ok_or_else(|| "the fault is on by hand only".to_owned());
    let seconds = |ns: u64| Ok(Quantity::seconds(ns as f64 / 1e9));
    match key {
        "start" => Ok(between(begin, schedule()?.start)),
        "duration" => seconds(schedule()?.duration_ns),
        "every" => seconds(schedule()?.every_ns),
        "times" => Ok(Quantity::number(f64::from(schedule()?.times))),
        "share" => Ok(Quantity::number(fault.share)),
        _ => unknown("a fault", key, "start, duration, every, times, share"),
    }
}

fn of_run(plan: &Plan, key: &str) -> Result<Quantity, String> {
    let run = plan.scenario().run;
    match key {
        "warm_up" => Ok(span(run.warm_up)),
        "drain" => Ok(span(run.drain)),
        "interval" => Ok(span(run.interval)),
        _ => unknown("a run", key, "warm_up, drain, interval"),
    }
}

fn of_reference(setup: &Setup, key: &str) -> Result<Quantity, String> {
    let number = |number: usize| Ok(Quantity::number(number as f64));
    let quota = setup.admission.device;
    match key {
        "workers" => number(setup.workers.count),
        "inference.cost" => Ok(span(setup.inference.cost)),
        "queue.capacity" => number(setup.queue.capacity),
        "queue.deadline" => some(setup.queue.deadline.map(span), "deadline of the queue"),
        "admission.device.rate" => {
            some(quota.map(|quota| Quantity::per_second(quota.rate.as_per_second())), "quota of a device")
        }
        "admission.device.burst" => {
            some(quota.map(|quota| Quantity::number(f64::from(quota.burst))), "quota of a device")
        }
        "cache.capacity" => number(setup.cache.capacity),
        "cache.ttl" => some(setup.cache.ttl.map(span), "lifetime of what is cached"),
        _ => unknown(
            "the bundled service",
            key,
            "workers, inference.cost, queue.capacity, queue.deadline, admission.device.rate, admission.device.burst, \
             cache.capacity, cache.ttl",
        ),
    }
}
