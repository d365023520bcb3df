//! `squall ab`: two builds, pairs of runs in a random order, and a verdict.

pub(in crate::cli) mod args;
mod experiment;
pub(in crate::cli) mod noise;
pub(in crate::cli) mod record;
mod repeat;

use std::path::Path;

use args::{AbArgs, JudgeArgs, TrialArgs};
use experiment::{Experiment, Outcome};

use super::CliError;
use super::capacity::pair::{PairRequest, pair};
use super::exit::{Exit, OnInconclusive};
use super::export::{Subject, comparison_outputs};
use super::screen;
use super::trial::build::Build;
use super::trial::pin;
use crate::compare::{Comparison, Decision, Unanswered};
use crate::display;
use crate::scenario::{Plan, Scenario};

/// Width of the table where the terminal does not say.
const WIDTH: usize = 110;

/// Compares two builds.
pub(super) fn ab(args: &AbArgs) -> Result<Exit, CliError> {
    let scenario = args.trial.overrides.scenario(&args.scenario)?;
    let builds = builds(args, &scenario)?;
    if args.capacity {
        return by_capacity(args, builds);
    }
    if let Some(option) = args.search.given() {
        return Err(CliError::usage(format!(
            "{option} is about a capacity: give --capacity, too, or leave it out"
        )));
    }
    args.outputs.prepare(Subject::Comparison)?;
    let settings = args.judge.settings(&args.trial.pairs.0, scenario.seed)?;
    let plan = Plan::new(scenario);
    let mut experiment =
        Experiment::begin(&args.scenario, &plan, &builds, &args.trial, (&settings, !args.no_confirm))?;
    experiment.tell(&noise::promise(args.noise.as_deref(), &plan, &args.trial.pairs.0, &settings));
    let outcome = experiment.run();
    conclude(&experiment, outcome, args)
}

/// The two builds of `args`.
///
/// # Errors
/// If it is not known where they listen, or an address is wrong.
pub(in crate::cli) fn builds(args: &AbArgs, scenario: &Scenario) -> Result<[Build; 2], CliError> {
    if let (None, None, Some((protocol, url))) = (&args.a, &args.b, args.trial.targets.first()) {
        return Err(CliError::usage(format!(
            "--target {protocol}={url} says where started builds listen, and none is started: give --a and --b, or leave it out"
        )));
    }
    let a = Build::new(
        &args.a_label,
        args.a.as_deref(),
        &args.a_url,
        (&args.trial.targets, &args.trial.launch),
        scenario,
    )?;
    let b = Build::new(
        &args.b_label,
        args.b.as_deref(),
        &args.b_url,
        (&args.trial.targets, &args.trial.launch),
        scenario,
    )?;
    if a.label == b.label {
        return Err(CliError::usage(format!(
            "both builds are called `{}`: give them names of their own",
            a.label
        )));
    }
    Ok([a, b])
}

/// Compares two builds by how much they can take.
fn by_capacity(args: &AbArgs, builds: [Build; 2]) -> Result<Exit, CliError> {
    if args.outputs.asks() {
        return Err(CliError::usage(
            "outputs for CI are not made of capacities: leave them out, or take --json",
        ));
    }
    let TrialArgs { launch, overrides, generator, .. } = &args.trial;
    pin::check("--pin-target", launch.pin_target.as_ref())?;
    pin::check("--pin-generator", generator.pin_generator.as_ref())?;
    let paired = pair(PairRequest {
        file: &args.scenario,
        builds,
        search: &args.search,
        changes: overrides,
        generator,
        alpha: args.judge.alpha,
    })?;
    if args.judge.json {
        screen::print_line(&screen::json(&paired.record)?)?;
    } else {
        let text = display::capacity::pair(&paired.outline(), screen::width(WIDTH), screen::style());
        screen::print_line(&text)?;
    }
    Ok(match paired.comparison.decision {
        _ if paired.is_interrupted => Exit::Interrupted,
        Decision::Regression => Exit::Regression,
        Decision::Inconclusive if args.judge.on_inconclusive == OnInconclusive::Fail => Exit::Inconclusive,
        _ => Exit::Fine,
    })
}

/// Prints the comparison, as far as there is one, and says how the process exits.
fn conclude(
    experiment: &Experiment<'_>,
    outcome: Result<Outcome, CliError>,
    args: &AbArgs,
) -> Result<Exit, CliError> {
    let outcome = outcome?;
    if let Some(comparison) = outcome.comparison() {
        print(comparison, Some(experiment.folder()), &args.judge)?;
        if !matches!(outcome, Outcome::Interrupted(_)) {
            comparison_outputs(&args.outputs, (comparison, &experiment.origin()), args.judge.json)?;
        }
    }
    match outcome {
        Outcome::Complete(comparison) => exit(&comparison, &args.judge),
        Outcome::Interrupted(_) => Ok(Exit::Interrupted),
        Outcome::GaveUp(_, error) => Err(error),
    }
}

/// Prints a comparison as a table or as JSON.
pub(super) fn print(
    comparison: &Comparison,
    folder: Option<&Path>,
    judge: &JudgeArgs,
) -> Result<(), CliError> {
    let text = if judge.json {
        screen::json(comparison)?
    } else {
        display::comparison(comparison, folder, screen::width(WIDTH), screen::style())
    };
    screen::print_line(&text)
}

/// What a comparison means for the exit code.
///
/// # Errors
/// If the candidate answered nothing, or nothing of a fleet, which is no difference between builds.
pub(super) fn exit(comparison: &Comparison, judge: &JudgeArgs) -> Result<Exit, CliError> {
    let open = comparison.verdict == Decision::Inconclusive && !comparison.not_worse;
    let unanswered: Vec<_> = comparison.unanswered.iter().map(Unanswered::sentence).collect();
    Ok(match comparison.verdict {
        Decision::Regression if comparison.gates => Exit::Regression,
        _ if !unanswered.is_empty() => return Err(CliError::failed(unanswered.join("; "))),
        Decision::Inconclusive
            if open && comparison.gates && judge.on_inconclusive == OnInconclusive::Fail =>
        {
            Exit::Inconclusive
        }
        _ => Exit::Fine,
    })
}
