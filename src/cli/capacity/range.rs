//! The loads that are searched: between which factors, and whether the scenario can be scaled so.

use std::path::Path;

use super::args::SearchArgs;
use super::demand::Demand;
use crate::budget::{LEAST_SUPPORT, Metric, Scope, Subject};
use crate::capacity::Settings;
use crate::cli::CliError;
use crate::cli::amendment::OverrideArgs;
use crate::language::Environment;
use crate::record::{FleetId, PhaseRole};
use crate::scenario::{Model, Plan, Scenario};
use crate::units::plural;

/// Lowest loads that are tried where none is given, the lowest one first at which every budget has enough readings.
const LOWEST: [f64; 4] = [0.1, 0.2, 0.5, 1.0];
/// So many times as many samples as a percentile needs are to be expected beyond it: chance takes some of them.
const MARGIN: u64 = 2;

/// What is asked of the search for the capacity at the scenario in `file`, once it is known that it can be scaled so; `scenario` is as
/// `changes` make it.
///
/// # Errors
/// If it cannot be scaled between the loads, or its budgets cannot be judged there.
pub(in crate::cli) fn settings(
    args: &SearchArgs,
    (file, changes): (&Path, &OverrideArgs),
    scenario: &Scenario,
    demand: &Demand,
) -> Result<Settings, CliError> {
    granular(scenario, args.precision())?;
    let at = |load: f64| -> Result<Plan, CliError> {
        let mut scaled = changes.at(load).scenario(file)?;
        demand.add_to(&mut scaled, Environment::Process)?;
        Ok(Plan::new(scaled))
    };
    let judged = |load: f64| {
        let plan = at(load)?;
        plan.budgets_have_data().map_err(CliError::usage)?;
        supported(&plan).map_err(CliError::usage)
    };
    let highest = args.highest();
    let usual = || LOWEST.into_iter().filter(|load| *load < highest);
    // Where even the highest of them is too low, what is said of it tells how far.
    let lowest = args.lowest.or_else(|| usual().find(|load| judged(*load).is_ok()));
    let lowest = lowest.or_else(|| usual().next_back()).unwrap_or(LOWEST[0]);
    judged(lowest).map_err(|error| {
        let hint = "for a longer probe give --probe-length or --duration, for a higher load --lowest";
        CliError { message: format!("{}\n{hint}", error.message.trim_end()), ..error }
    })?;
    at(highest).map_err(|error| {
        let message = format!("the highest load, --highest {highest}, cannot be: {}", error.message);
        CliError { message, ..error }
    })?;
    let usual = Settings::default();
    let settings = Settings {
        lowest,
        highest,
        precision: args.precision(),
        confidence: args.confidence.unwrap_or(usual.confidence),
        most_probes: args.probes.unwrap_or(usual.most_probes),
        seed: scenario.seed,
    };
    let faults: Vec<_> = settings.faults().iter().map(ToString::to_string).collect();
    if faults.is_empty() { Ok(settings) } else { Err(CliError::usage(faults.join("\n       "))) }
}

/// Refuses closed fleets of so few devices that one of them is more than the precision asked for.
fn granular(scenario: &Scenario, precision: f64) -> Result<(), CliError> {
    let is_closed = |model: &Model| matches!(model, Model::Closed { .. });
    let coarse = scenario
        .fleets
        .iter()
        .filter(|fleet| is_closed(&fleet.model) && f64::from(fleet.devices) * precision < 1.0);
    let coarse: Vec<_> = coarse
        .map(|fleet| format!("`{}` has {}", fleet.name, plural(fleet.devices.into(), "device")))
        .collect();
    if coarse.is_empty() {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "a closed fleet is scaled by whole devices, and {}: one of them is more than the {} % asked for; give it more devices, or a \
         coarser --precision",
        coarse.join(", "),
        precision * 100.0
    )))
}

/// Refuses a load at which a percentile that is to be judged would hang on chance.
fn supported(plan: &Plan) -> Result<(), String> {
    for budget in &plan.scenario().budgets {
        let Some(expected) = expected(plan, &budget.scope) else { continue };
        for condition in &budget.conditions {
            let Metric::Percentile(_, quantile) = condition.metric else { continue };
            let beyond = quantile.samples_beyond(expected);
            if beyond < MARGIN * LEAST_SUPPORT {
                return Err(format!(
                    "`{condition}` of {} would hang on chance in a probe at the lowest load: of about {} only {beyond} lie beyond \
                     {quantile}, and {} are to",
                    budget.scope,
                    plural(expected, "reading"),
                    MARGIN * LEAST_SUPPORT
                ));
            }
        }
    }
    Ok(())
}

/// How many readings a budget is about; `None` where that depends on the service, or it is about something else.
fn expected(plan: &Plan, scope: &Scope) -> Option<u64> {
    if scope.fault.is_some() || scope.subject != Subject::Readings {
        return None;
    }
    let layout = plan.layout();
    let phases = layout.phases.iter().filter(|phase| match &scope.phase {
        Some(name) => phase.name == *name,
        None => phase.role == PhaseRole::Measured,
    });
    let fleets = plan.scenario().fleets.iter().zip(0..).filter(|(fleet, _)| {
        scope.fleet.as_ref().is_none_or(|name| *name == fleet.name)
            && scope.protocol.as_ref().is_none_or(|word| word == fleet.protocol.name())
    });
    let phases: Vec<_> = phases.map(|phase| (phase.start, phase.end)).collect();
    let each = fleets.flat_map(|(_, id)| {
        phases.iter().map(move |(from, to)| plan.expected_between(FleetId(id), *from, *to))
    });
    each.sum::<Option<f64>>().map(|readings| readings.round() as u64)
}
