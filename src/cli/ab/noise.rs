//! Noise profiles: what a build compared with itself shows, kept by machine and scenario, and what that lets one see.

use std::path::{Path, PathBuf};

use super::args::{JudgeArgs, TrialArgs};
use super::experiment::{Experiment, Outcome};
use super::print;
use crate::cli::CliError;
use crate::cli::exit::Exit;
use crate::cli::trial::build::Build;
use crate::clock::WallTime;
use crate::compare::{Detectable, NoiseProfile, Settings};
use crate::results::Host;
use crate::scenario::{Plan, Scenario};

/// What the user asked a comparison with itself of.
pub(in crate::cli) struct NoiseRequest<'a> {
    pub(in crate::cli) scenario: &'a Path,
    /// Command that starts the build; without one, the bundled reference system.
    pub(in crate::cli) command: Option<&'a str>,
    pub(in crate::cli) trial: &'a TrialArgs,
    pub(in crate::cli) judge: &'a JudgeArgs,
    /// Where to keep the profile, if not where it is looked for.
    pub(in crate::cli) profile: Option<&'a Path>,
}

/// Compares a build with itself, and keeps what that shows of the machine.
pub(in crate::cli) fn calibrate(request: &NoiseRequest<'_>) -> Result<Exit, CliError> {
    let overrides = request.trial.overrides.read()?;
    let scenario = Scenario::load(request.scenario, &overrides).map_err(CliError::usage)?;
    let bundled = bundled(request.scenario)?;
    let command = request.command.unwrap_or(&bundled);
    let build = |label| {
        let trial = request.trial;
        Build::new(label, Some(command), &[], (&trial.targets, &trial.launch), &scenario)
    };
    let builds = [build("a")?, build("again")?];
    let settings = request.judge.settings(&[], scenario.seed)?;
    let plan = Plan::new(scenario);
    let path = place(request.profile, &plan)?;
    let mut experiment =
        Experiment::begin(request.scenario, &plan, &builds, request.trial, (&settings, false))?;
    let comparison = match experiment.run()? {
        Outcome::Complete(comparison) => comparison,
        Outcome::Interrupted(_) => return Ok(Exit::Interrupted),
        Outcome::GaveUp(_, error) => return Err(error),
    };
    let profile = NoiseProfile::of(&comparison, plan.digest(), Host::here(), WallTime::now().to_string());
    store(&path, &profile)?;
    print(&comparison, Some(experiment.folder()), request.judge)?;
    experiment.tell(&seen(&profile, &request.trial.pairs.0, &settings));
    experiment.tell(&format!("kept in {}", path.display()));
    Ok(Exit::Fine)
}

/// The command that starts the bundled reference system as the scenario sets it up.
fn bundled(scenario: &Path) -> Result<String, CliError> {
    let own = std::env::current_exe().map_err(CliError::failed)?;
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    Ok(format!(
        "{} serve --http-port {{port}} --mqtt-port {{port2}} --config {}",
        quoted(&own),
        quoted(scenario)
    ))
}

/// Where the profile of a plan is kept: by its digest, beside what is known of the machine.
fn place(named: Option<&Path>, plan: &Plan) -> Result<PathBuf, CliError> {
    let digest: String = plan.digest().chars().take(16).collect();
    let kept = || Some(crate::run::profile::place()?.parent()?.join("noise").join(format!("{digest}.json")));
    named
        .map(Path::to_owned)
        .or_else(kept)
        .ok_or_else(|| CliError::usage("no place to keep the noise profile: name one with --profile FILE"))
}

fn store(path: &Path, profile: &NoiseProfile) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(profile).map_err(CliError::failed)? + "\n";
    crate::cli::calibrate::store(path, &text)
}

/// What is known beforehand of what a comparison will see.
pub(super) fn promise(named: Option<&Path>, plan: &Plan, looks: &[u32], settings: &Settings) -> String {
    let Ok(path) = place(named, plan) else { return String::new() };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if named.is_some() => {
            return format!("note: no noise profile in {}: {error}", path.display());
        }
        Err(_) => {
            return "no noise profile of this scenario on this machine; `squall calibrate --aa SCENARIO` would say which change \
                    can be seen"
                .to_owned();
        }
    };
    match NoiseProfile::read(&text, plan.digest(), &Host::here()) {
        Ok(profile) => seen(&profile, looks, settings),
        Err(error) => format!("note: the noise profile {} is not used: {error}", path.display()),
    }
}

/// Which changes so many pairs show nine times out of ten.
fn seen(profile: &NoiseProfile, looks: &[u32], settings: &Settings) -> String {
    let pairs = looks.last().copied().unwrap_or_default();
    let seen = profile.detectable(pairs, settings);
    let seen = seen.iter().filter(|cell| cell.group.is_all() && cell.figure.quantile().is_some());
    let noises = seen
        .map(|Detectable { figure, change, .. }| format!("{} from {:.1} %", figure.name(), change * 100.0));
    let noises: Vec<_> = noises.collect();
    if noises.is_empty() {
        return "the noise profile has no figure with samples to be judged by: run longer, or at a higher rate".to_owned();
    }
    let day = profile.measured.get(..10).unwrap_or_default();
    format!(
        "{pairs} pairs show changes of all fleets nine times out of ten at {}; noise measured {day}",
        noises.join(", ")
    )
}
