//! `squall check`: validates scenarios and shows what they plan, without sending anything.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use serde_json::json;

use url::Url;

use super::CliError;
use super::args::CheckArgs;
use super::exit::Exit;
use super::{node, screen};
use crate::budget::Budget;
use crate::clock::Tick;
use crate::display::{
    self, BudgetOutline, ChartPoint, EventOutline, FaultOutline, FleetOutline, Memory, Outline, PhaseOutline,
};
use crate::engine::Descriptors;
use crate::fleet::RunFacts;
use crate::record::{FleetId, MessagePattern, RunToken, Shard};
use crate::results::Host;
use crate::run::{bundled, certificate, churn, preflight, target};
use crate::scenario::{Fleet, Model, Overrides, Plan, Scenario, ScenarioError, load_budgets};

/// Columns of the chart.
const COLUMNS: u64 = 64;
/// Windows in which the peak is looked for.
const WINDOWS: u64 = 3_600;
/// Devices of a fleet that joins or leaves on which chart and peak rest.
const SAMPLE: u32 = 256;
/// Devices and readings of each whose payloads are measured.
const PAYLOADS: (u32, usize) = (16, 4);

/// Any address that is not this machine's.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Checks every file; the exit code says whether all are sound.
pub(super) fn check(args: &CheckArgs) -> Result<Exit, CliError> {
    let overrides = args.overrides.read()?;
    let (mut found, mut faulty) = (Vec::new(), Vec::new());
    for (nth, path) in args.scenarios.iter().enumerate() {
        match plan(path, &overrides, args.budget.as_deref()) {
            Ok(plan) => {
                let outline = outline(path, &plan);
                let nodes = args.nodes.map(|cores| node::sizings(&plan, cores));
                if args.json {
                    let mut value = serde_json::to_value(&outline).map_err(CliError::failed)?;
                    if let (Some((_, sizings)), Some(fields)) = (&nodes, value.as_object_mut()) {
                        fields.insert("nodes".to_owned(), node::json(sizings));
                    }
                    found.push(value);
                } else {
                    let gap = if nth > 0 { "\n" } else { "" };
                    let (width, style) = (screen::width(screen::USUAL), screen::style());
                    let nodes = nodes.map(|nodes| format!("\n{}\n", node::text(&nodes, width, style)));
                    let text = display::outline(&outline, width, style);
                    screen::print(&format!("{gap}{text}\n{}", nodes.unwrap_or_default()))?;
                }
            }
            Err(error) if args.json => {
                found.push(problems(path, &error));
                faulty.push(None);
            }
            Err(error) => faulty.push(Some(error.to_string())),
        }
    }
    if args.json {
        let text = screen::json(&found)?;
        screen::print_line(&text)?;
    }
    if faulty.is_empty() {
        return Ok(Exit::Fine);
    }
    let messages: Vec<String> = faulty.into_iter().flatten().collect();
    if messages.is_empty() { Ok(Exit::Usage) } else { Err(CliError::usage(messages.join("\nerror: "))) }
}

/// The plan of the scenario in the file `path`, with the budgets of the file `budget` added.
fn plan(path: &Path, overrides: &Overrides, budget: Option<&Path>) -> Result<Plan, ScenarioError> {
    let mut scenario = Scenario::load(path, overrides)?;
    if let Some(file) = budget {
        let budgets = load_budgets(file, &scenario, overrides.environment.clone())?;
        scenario.budgets.extend(budgets);
    }
    scenario.handshakes_apply()?;
    let plan = Plan::new(scenario);
    plan.budgets_have_data()?;
    Ok(plan)
}

/// What is wrong with a file, for programs.
fn problems(path: &Path, error: &ScenarioError) -> serde_json::Value {
    let problems: Vec<_> = match error {
        ScenarioError::Faulty(faults) => faults
            .problems
            .iter()
            .map(|problem| {
                json!({
                    "line": problem.line(),
                    "column": problem.column(),
                    "key": problem.key,
                    "message": problem.message,
                    "help": problem.help,
                })
            })
            .collect(),
        ScenarioError::Unreadable { .. } => vec![json!({ "message": error.to_string() })],
    };
    json!({ "file": path.display().to_string(), "problems": problems })
}

/// What `plan` comes to.
fn outline(path: &Path, plan: &Plan) -> Outline {
    let scenario = plan.scenario();
    let (begin, end) = (plan.sending_starts(), plan.end());
    let window_ns = (end.since(begin) / WINDOWS).max(1_000_000_000).min(end.since(begin).max(1));
    let (peak_rate, peak_at) = peak(plan, begin, end, window_ns);
    let fleets: Vec<FleetOutline> = ids(plan).map(|id| fleet(plan, id)).collect();
    let phases = phases(plan);
    let readings = measured_readings(plan);
    let bytes_between = |from: Tick, to: Tick| {
        let of = |(id, fleet): (FleetId, &FleetOutline)| {
            let own = plan.estimated_between(id, from, to, SAMPLE).unwrap_or(0.0);
            own * (fleet.payload_bytes + framing(plan.fleet(id)))
        };
        ids(plan).zip(&fleets).map(of).sum::<f64>() / (to.since(from) as f64 / 1e9)
    };
    let allowed = Descriptors::read().map(|limits| limits.hard);
    let devices = u64::from(plan.devices());
    let memory = preflight::memory(plan, Shard::WHOLE);
    let is_bundled = bundled::objection(scenario).is_none() && !has_target(scenario);
    Outline {
        scenario: scenario.name.clone(),
        about: scenario.about.clone(),
        file: path.display().to_string(),
        seed: scenario.seed.0,
        plan_digest: plan.digest().to_owned(),
        devices: plan.devices(),
        duration_s: end.as_secs_f64(),
        readings,
        mean_rate: plan.expected_rate(),
        peak_rate,
        window_s: window_ns as f64 / 1e9,
        sampled: scenario.fleets.iter().any(is_sampled),
        mean_bytes_per_s: bytes_between(plan.measuring_starts(), end),
        peak_bytes_per_s: bytes_between(peak_at, peak_at.plus_ns(window_ns).min(end)),
        memory: Memory { with_reference: is_bundled.then_some(memory.with_reference), alone: memory.alone },
        descriptors: display::Descriptors {
            with_reference: is_bundled.then_some(2 * devices + Descriptors::OVERHEAD),
            alone: devices + Descriptors::OVERHEAD,
            allowed,
        },
        notes: notes(plan, allowed),
        fleets,
        phases,
        events: events(plan),
        faults: faults(plan),
        budgets: scenario.budgets.iter().map(budget).collect(),
        chart: profile(plan, begin, end),
    }
}

fn ids(plan: &Plan) -> impl Iterator<Item = FleetId> {
    (0..plan.scenario().fleets.len()).map(|nth| FleetId(nth as u16))
}

fn is_sampled(fleet: &Fleet) -> bool {
    let moving = fleet.behaviour.join.is_some() || fleet.behaviour.leave.is_some();
    moving && fleet.devices > SAMPLE
}

/// Expected readings of all open fleets from `from` to before `to`.
fn estimate(plan: &Plan, from: Tick, to: Tick) -> f64 {
    ids(plan).filter_map(|id| plan.estimated_between(id, from, to, SAMPLE)).sum()
}

/// The highest rate in any window, and where the window begins.
fn peak(plan: &Plan, begin: Tick, end: Tick, window_ns: u64) -> (f64, Tick) {
    let mut best = (0.0, begin);
    let mut from = begin;
    while from < end {
        let to = from.plus_ns(window_ns).min(end);
        // The last window may be a short one; a rate over a whole window is what the others say.
        let rate = estimate(plan, from, to) / (window_ns as f64 / 1e9);
        if rate > best.0 {
            best = (rate, from);
        }
        from = to;
    }
    best
}

fn profile(plan: &Plan, begin: Tick, end: Tick) -> Vec<ChartPoint> {
    let length_ns = end.since(begin);
    let edge =
        |nth: u64| begin.plus_ns((u128::from(length_ns) * u128::from(nth) / u128::from(COLUMNS)) as u64);
    let rate = |from: Tick, to: Tick| estimate(plan, from, to) / (to.since(from).max(1) as f64 / 1e9);
    let columns = (0..COLUMNS).map(|nth| (edge(nth), edge(nth + 1))).filter(|(from, to)| from < to);
    columns
        .map(|(from, to)| {
            let quarter = |nth: u64| from.plus_ns(to.since(from) / 4 * nth);
            let quarters = (0..4).map(|nth| rate(quarter(nth), quarter(nth + 1)));
            let average = rate(from, to);
            ChartPoint { t_s: from.as_secs_f64(), rate: average, peak: quarters.fold(average, f64::max) }
        })
        .collect()
}

fn fleet(plan: &Plan, id: FleetId) -> FleetOutline {
    let fleet = plan.fleet(id);
    let open = match &fleet.model {
        Model::Open { rate, arrival, recorded_rate, .. } => Some((*rate, arrival, recorded_rate)),
        Model::Closed { .. } | Model::Subscriber => None,
    };
    let arrival = match open {
        Some((_, _, Some(_))) => Some("recorded-rate"),
        Some((_, process, None)) => Some(process.name()),
        None => fleet.pattern().map(MessagePattern::name),
    };
    FleetOutline {
        name: fleet.name.clone(),
        protocol: fleet.protocol.to_string(),
        devices: fleet.devices,
        model: match fleet.model {
            Model::Open { .. } => "open",
            Model::Closed { .. } => "closed",
            Model::Subscriber => "subscriber",
        }
        .to_owned(),
        arrival: arrival.map(str::to_owned),
        // What a recording says depends on the instant.
        rate: open
            .filter(|(rate, _, recorded_rate)| recorded_rate.is_none() && rate.as_per_second() > 0.0)
            .map(|(rate, ..)| rate.as_per_second() * f64::from(fleet.devices)),
        close: if fleet.hears() { String::new() } else { fleet.close.to_string() },
        payload_bytes: if fleet.hears() { 0.0 } else { payload_bytes(plan, id) },
    }
}

/// Mean size of a sample of payloads.
fn payload_bytes(plan: &Plan, id: FleetId) -> f64 {
    let first: u32 = plan.scenario().fleets[..usize::from(id.0)].iter().map(|fleet| fleet.devices).sum();
    let devices = plan.fleet(id).devices;
    let sample = devices.min(PAYLOADS.0);
    let (mut bytes, mut count) = (Vec::new(), 0_u32);
    // As long as any.
    let facts = RunFacts { token: Some(RunToken::UNSET), ..RunFacts::default() };
    for nth in 0..sample {
        let index = u64::from(nth) * u64::from(devices) / u64::from(sample);
        let mut device = plan.device(first + index as u32).device;
        for _ in 0..PAYLOADS.1 {
            let reading = device.reading(plan.sending_starts());
            device.encode(&reading, facts, &mut bytes);
            count += 1;
        }
    }
    bytes.len() as f64 / f64::from(count.max(1))
}

/// Bytes around a payload, as the protocols frame it: a request line with its usual headers, a masked frame, a PUBLISH.
fn framing(fleet: &Fleet) -> f64 {
    let device = fleet.name.len() + 6;
    fleet.exchange.framing(device) as f64
}

fn phases(plan: &Plan) -> Vec<PhaseOutline> {
    let layout = plan.layout();
    layout
        .phases
        .iter()
        .map(|phase| {
            let readings: Vec<Option<f64>> =
                ids(plan).map(|id| plan.expected_between(id, phase.start, phase.end)).collect();
            PhaseOutline {
                name: phase.name.clone(),
                start_s: phase.start.as_secs_f64(),
                duration_s: phase.end.since(phase.start) as f64 / 1e9,
                total: readings.iter().flatten().sum(),
                readings,
            }
        })
        .collect()
}

fn measured_readings(plan: &Plan) -> f64 {
    plan.expected_in_all(plan.measuring_starts(), plan.end())
}

fn events(plan: &Plan) -> Vec<EventOutline> {
    let events = plan.events().into_iter();
    events
        .map(|event| EventOutline {
            start_s: event.at.as_secs_f64(),
            end_s: event.until.as_secs_f64(),
            what: event.what.to_owned(),
            fleet: event.fleet,
            devices: event.devices,
        })
        .collect()
}

fn faults(plan: &Plan) -> Vec<FaultOutline> {
    let seconds = |(from, until): &(Tick, Tick)| (from.as_secs_f64(), until.as_secs_f64());
    let faults = plan.layout().faults.iter().map(|fault| FaultOutline {
        name: fault.name.clone(),
        layer: fault.layer.to_string(),
        kind: fault.kind.to_string(),
        devices: fault.devices,
        activations: fault.activations.iter().map(seconds).collect(),
    });
    faults.collect()
}

fn budget(budget: &Budget) -> BudgetOutline {
    BudgetOutline {
        name: budget.name.clone(),
        scope: budget.scope.to_string(),
        demands: budget.conditions.iter().map(ToString::to_string).collect(),
        abort_on_fail: budget.abort_on_fail,
        grace_s: budget.grace.as_secs_f64(),
    }
}

fn notes(plan: &Plan, allowed: Option<u64>) -> Vec<String> {
    let mut notes = Vec::new();
    let scenario = plan.scenario();
    let needed = u64::from(plan.devices()) + Descriptors::OVERHEAD;
    if let Some(allowed) = allowed.filter(|allowed| needed > *allowed) {
        notes.push(format!(
            "this process may open {allowed} descriptors, but {needed} are needed: raise the limit (ulimit -n {needed})"
        ));
    }
    for fleet in scenario.fleets.iter().filter(|fleet| matches!(fleet.model, Model::Closed { .. })) {
        notes.push(format!("`{}` sends when it is answered: how much, only a run can tell", fleet.name));
    }
    notes.extend(plan.unmeasured());
    if let Some(align) = scenario.run.align {
        notes.push(format!(
            "a run waits until sending starts at a whole multiple of {align} on the wall clock"
        ));
    }
    let insecure = |fleet: &&Fleet| fleet.tls.as_ref().is_some_and(|tls| tls.settings.insecure);
    notes.extend(scenario.fleets.iter().filter(insecure).map(|fleet| {
        format!("`{}` accepts any certificate of its target: who answers is not known", fleet.name)
    }));
    let ports = Host::ephemeral_ports().unwrap_or(churn::USUAL_PORTS);
    for protocol in target::spoken(scenario) {
        let url = scenario.target.of(protocol).map(|text| Url::parse(text.value()).ok());
        let host = url.as_ref().map(|url| url.as_ref().and_then(Url::host_str));
        // Without a target it is the bundled system, on this machine.
        let host = host.filter(|host| *host != Some("localhost"));
        let address = host.map(|host| host.and_then(|host| host.parse().ok()).unwrap_or(ELSEWHERE));
        let places = (1, ports, churn::rest_s(address));
        let note = churn::note(plan, Shard::WHOLE, protocol, places);
        notes.extend(note.map(|note| note.trim_start_matches("note: ").to_owned()));
    }
    if !scenario.budgets.is_empty() && !scenario.budgets.iter().any(Budget::looks_at_failures) {
        notes.push(
            "no budget looks at failures: a service that answers fast and wrong, or not at all, may keep to all of them; add for \
             example error_rate = \"<1%\""
                .to_owned(),
        );
    }
    let objection =
        if has_target(scenario) { bundled::unserved(scenario) } else { bundled::objection(scenario) };
    notes.extend(objection);
    notes.extend(certificate::unusable(&scenario.reference).filter(|_| !has_target(scenario)));
    notes
}

/// Whether the scenario states the target of a fleet.
fn has_target(scenario: &Scenario) -> bool {
    scenario.fleets.iter().any(|fleet| scenario.target.of(fleet.protocol).is_some())
}
