//! `squall lab run`: a lab as the student has it, from the answers to the judgement.

use std::path::Path;
use std::sync::Arc;

use super::args::LabScreenArgs;
use super::{before, conclude, load, progress, save};
use crate::cli::CliError;
use crate::cli::exit::Exit;
use crate::cli::run::{InterruptHandler, progress as lines};
use crate::lab::{Assignment, Lab, LabFolder, judge};
use crate::record::Protocol;
use crate::run::{Conclusion, Observer, Run, Settings};
use crate::scenario::{Overrides, Plan, Scenario};

/// Runs and judges.
pub(super) fn run(
    root: &Path,
    lab: &'static Lab,
    targets: &[(Protocol, String)],
    asked: LabScreenArgs,
) -> Result<Exit, CliError> {
    let mut progress = progress(root)?;
    let folder = LabFolder::new(root, lab);
    let assignment = folder.assignment(progress.student_of(lab.name)).map_err(CliError::usage)?;
    let run = prepare(&assignment, &folder.scenario(), &Overrides::default(), targets, &folder.runs())?;
    let observer: Arc<dyn Observer> = Arc::new(lines(asked.json, &run));
    let interrupts = Arc::new(InterruptHandler(Arc::clone(&observer)));
    let finished = run.start(vec![observer, interrupts])?.wait()?;
    if finished.conclusion == Conclusion::Interrupted {
        return Err(CliError::new(Exit::Interrupted, &"interrupted: a lab is judged by a whole run"));
    }
    if let Some(why) = &finished.unwritten {
        return Err(CliError::failed(why));
    }
    let directory = finished.directory();
    progress.of(lab.name).runs.push(folder.kept(directory));
    progress.last = Some(lab.name.to_owned());
    save(&progress, root)?;
    let judged = judge(&load(directory)?, before(root, lab, &progress).as_deref());
    let judged = judged.map_err(CliError::failed)?;
    conclude(root, lab, &mut progress, &judged, asked)
}

/// The run of an assignment whose scenario lies at `source`, which leaves its directory under `out`.
pub(super) fn prepare(
    assignment: &Assignment,
    source: &Path,
    overrides: &Overrides,
    targets: &[(Protocol, String)],
    out: &Path,
) -> Result<Run, CliError> {
    let source = source.display().to_string();
    let scenario = Scenario::parse(&source, &assignment.scenario, overrides).map_err(CliError::usage)?;
    let settings = Settings {
        out: out.to_owned(),
        lab: Some(assignment.facts.clone()),
        profile: crate::run::profile::place(),
        ..Settings::default()
    };
    Ok(Run::prepare(Plan::new(scenario), targets, settings)?)
}
