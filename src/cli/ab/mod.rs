//! `squall ab`: two builds, pairs of runs in a random order, and a verdict.

pub(in crate::cli) mod args;
mod build;
mod experiment;
mod generator;
pub(in crate::cli) mod noise;
mod pin;
mod process;
mod readiness;
pub(in crate::cli) mod record;
mod repeat;

use std::path::Path;

use args::{AbArgs, JudgeArgs, OnInconclusive};
use build::builds;
use experiment::{Experiment, Outcome};

use super::CliError;
use super::exit::Exit;
use super::export::{Subject, comparison_outputs};
use super::screen;
use crate::compare::{Comparison, Decision, Unanswered};
use crate::display;
use crate::scenario::{Plan, Scenario};

/// Width of the table where the terminal does not say.
const WIDTH: usize = 110;

/// Compares two builds.
pub(super) fn ab(args: &AbArgs) -> Result<Exit, CliError> {
    let overrides = args.trial.overrides.read()?;
    let scenario = Scenario::load(&args.scenario, &overrides).map_err(CliError::usage)?;
    let builds = builds(args, &scenario)?;
    args.outputs.prepare(Subject::Comparison)?;
    let settings = args.judge.settings(&args.trial.pairs.0, scenario.seed)?;
    let plan = Plan::new(scenario);
    let mut experiment =
        Experiment::begin(&args.scenario, &plan, &builds, &args.trial, (&settings, !args.no_confirm))?;
    experiment.tell(&noise::promise(args.noise.as_deref(), &plan, &args.trial.pairs.0, &settings));
    let outcome = experiment.run();
    conclude(&experiment, outcome, args)
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
