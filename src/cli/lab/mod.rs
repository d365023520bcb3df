//! `squall lab`: exercises that are predicted, run, mended and judged.

pub(super) mod args;
mod grade;
mod report;
mod run;
mod verify;

use std::path::{Path, PathBuf};

use args::{LabArgs, LabCommand, LabScreenArgs};

use super::exit::Exit;
use super::{CliError, screen};
use crate::lab::{
    HINTS, LABS, Lab, LabFolder, LabJudgement, LabVerdict, Progress, Screen, hint as lab_hint, judge,
    judgement, list, student_name,
};
use crate::results::StoredRun;

/// Does what is asked.
pub(super) fn lab(args: &LabArgs) -> Result<Exit, CliError> {
    let root = args.dir.as_path();
    match args.command.as_ref().unwrap_or(&LabCommand::List) {
        LabCommand::List => show_list(root),
        LabCommand::Start { lab, student } => start(root, named(lab)?, student.as_deref()),
        LabCommand::Run { lab, targets, screen } => run::run(root, named(lab)?, targets, *screen),
        LabCommand::Check { lab, run, screen } => check(root, named(lab)?, run.as_deref(), *screen),
        LabCommand::Hint { lab, depth } => hint(root, named(lab)?, *depth),
        LabCommand::Report { html } => report::report(root, html),
        LabCommand::Verify { labs, all, tries, student, out } => {
            let chosen: Result<Vec<_>, _> = labs.iter().map(|name| named(name)).collect();
            let chosen = if *all { LABS.iter().collect() } else { chosen? };
            let student = student.as_deref().map(student_name).transpose().map_err(CliError::usage)?;
            verify::verify(&chosen, *tries, student.as_deref(), out)
        }
        LabCommand::Grade { folders } => grade::grade(folders),
    }
}

/// The lab of this name.
fn named(name: &str) -> Result<&'static Lab, CliError> {
    Lab::named(name).ok_or_else(|| {
        let names: Vec<_> = LABS.iter().map(|lab| lab.name).collect();
        let help = match crate::language::nearest(name, names.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("there are: {}", names.join(", ")),
        };
        CliError::usage(format!("there is no lab `{name}`; {help}"))
    })
}

/// What standard output shows.
fn terminal() -> Screen {
    Screen { style: screen::style(), width: screen::width(screen::USUAL) }
}

fn progress(root: &Path) -> Result<Progress, CliError> {
    Progress::load(root).map_err(CliError::failed)
}

fn save(progress: &Progress, root: &Path) -> Result<(), CliError> {
    progress
        .save(root)
        .map_err(|error| CliError::failed(format!("cannot write under {}: {error}", root.display())))
}

fn load(run: &Path) -> Result<StoredRun, CliError> {
    StoredRun::load(run).map_err(CliError::failed)
}

fn show_list(root: &Path) -> Result<Exit, CliError> {
    screen::print(&list(&started(root, progress(root)?), terminal()))?;
    Ok(Exit::Fine)
}

/// The progress with those labs alone that are under `root`: a hint may have been asked for of others, and folders may
/// have been moved away or copied.
fn started(root: &Path, mut progress: Progress) -> Progress {
    let labs = LABS.iter().filter(|lab| LabFolder::new(root, lab).is_started());
    progress.labs = labs.map(|lab| (lab.name.to_owned(), progress.of(lab.name).clone())).collect();
    progress
}

fn start(root: &Path, lab: &'static Lab, student: Option<&str>) -> Result<Exit, CliError> {
    let mut progress = progress(root)?;
    if let Some(student) = student {
        let student = student_name(student).map_err(CliError::usage)?;
        if let Some(other) = progress.student.as_ref().filter(|other| **other != student) {
            let message =
                format!("{} holds the labs of {other}; give another folder with --dir", root.display());
            return Err(CliError::usage(message));
        }
        progress.student = Some(student);
    }
    let folder = LabFolder::new(root, lab);
    folder.start(progress.student.as_deref()).map_err(CliError::failed)?;
    let owner = progress.student.clone();
    progress.of(lab.name).student = owner;
    progress.last = Some(lab.name.to_owned());
    save(&progress, root)?;
    for other in progress.nameless().into_iter().filter(|_| student.is_some()) {
        if let Some(folder) =
            Lab::named(other).map(|lab| LabFolder::new(root, lab)).filter(LabFolder::is_started)
        {
            let place = folder.path().display();
            screen::note(&format!(
                "note: {other} was begun without a name and keeps its numbers; move {place} away to begin it anew"
            ));
        }
    }
    let answers = folder.answers();
    screen::print(&format!(
        "{}\nread {}, fill in {}\nnext: squall lab run {}\n",
        lab.title(),
        folder.readme().display(),
        answers.display(),
        lab.name
    ))?;
    Ok(Exit::Fine)
}

fn check(root: &Path, lab: &'static Lab, run: Option<&Path>, asked: LabScreenArgs) -> Result<Exit, CliError> {
    let mut progress = progress(root)?;
    let directory = match run {
        Some(run) => super::stored::run_directory(run)?.to_owned(),
        None => last_run(root, lab, &progress)?,
    };
    let run = load(&directory)?;
    let judged = judge(&run, before(root, lab, &progress).as_deref()).map_err(CliError::failed)?;
    if judged.lab != lab.name {
        let message = format!("{} is a run of the lab `{}`", directory.display(), judged.lab);
        return Err(CliError::usage(message));
    }
    conclude(root, lab, &mut progress, &judged, asked)
}

/// The run of `lab` that was made last.
fn last_run(root: &Path, lab: &'static Lab, progress: &Progress) -> Result<PathBuf, CliError> {
    let last = progress.labs.get(lab.name).and_then(|own| own.runs.last());
    let last = last.map(|run| LabFolder::new(root, lab).run(run));
    last.ok_or_else(|| {
        CliError::usage(format!("there is no run of this lab yet: squall lab run {}", lab.name))
    })
}

/// The first run of `lab` that is there: its predictions count, and where it is one of the lab as it was given, others
/// are compared with it.
fn before(root: &Path, lab: &'static Lab, progress: &Progress) -> Option<PathBuf> {
    let folder = LabFolder::new(root, lab);
    let mut runs = progress.labs.get(lab.name)?.runs.iter().map(|run| folder.run(run));
    runs.find(|run| run.join("run.json").is_file())
}

/// Prints a judgement, keeps what was reached, and gives the exit code.
fn conclude(
    root: &Path,
    lab: &'static Lab,
    progress: &mut Progress,
    judged: &LabJudgement,
    asked: LabScreenArgs,
) -> Result<Exit, CliError> {
    let (own, folder) = (progress.of(lab.name), LabFolder::new(root, lab));
    // A run from elsewhere may be looked at, and is not the student's.
    let run = own.runs.iter().find(|run| folder.run(run) == Path::new(&judged.run)).cloned();
    let is_own = run.is_some();
    if judged.verdict == LabVerdict::Passed && own.passed.is_none() {
        own.passed = run;
    }
    if asked.json {
        screen::print_line(&screen::json(judged)?)?;
    } else {
        screen::print(&judgement(judged, lab, &started(root, progress.clone()), terminal()))?;
    }
    if is_own {
        if folder.is_edited(&judged.prediction_sha256) {
            screen::note("note: answer.toml was changed after the run began; judged is what it said before");
        }
        save(progress, root)?;
    }
    Ok(match judged.verdict {
        LabVerdict::Passed => Exit::Fine,
        LabVerdict::Failed => Exit::Budget,
        LabVerdict::Unjudged => Exit::Invalid,
    })
}

fn hint(root: &Path, lab: &'static Lab, depth: Option<u8>) -> Result<Exit, CliError> {
    let mut progress = progress(root)?;
    let is_started = LabFolder::new(root, lab).is_started();
    let student = if is_started { progress.student_of(lab.name) } else { progress.student.as_deref() };
    let student = student.map(str::to_owned);
    let own = progress.of(lab.name);
    let depth = depth.unwrap_or(own.hints + 1).min(HINTS);
    own.hints = own.hints.max(depth);
    let text = lab_hint(lab, depth, student.as_deref()).map_err(CliError::failed)?;
    let more =
        if depth < HINTS { format!("\nnext: squall lab hint {} (deeper)", lab.name) } else { String::new() };
    screen::print_line(&format!("hint {depth} of {HINTS}\n\n{text}\n{more}"))?;
    if root.is_dir() {
        save(&progress, root)?;
    }
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests;
