//! `squall lab grade`: the labs of many students, judged from their folders.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::{CliError, screen};
use crate::lab::{LABS, Lab, LabFolder, LabJudgement, LabVerdict, Progress, judge};
use crate::results::StoredRun;

/// Runs of a lab that are looked at, the last ones.
const MOST_RUNS: usize = 50;

/// A lab of a student.
#[derive(Debug, Serialize)]
struct Row<'r> {
    folder: String,
    student: &'r str,
    lab: &'r str,
    /// `passed`, `failed`, `unjudged`, or `not run`.
    verdict: &'r str,
    /// Of those that were made before the first run; empty without one.
    predictions_right: Option<usize>,
    predictions: Option<usize>,
    runs: usize,
    hints: u8,
    run: String,
    /// Where it was sent, if that was not the bundled service; empty without one.
    own_service: String,
    note: String,
}

/// Prints a row for every lab of every folder.
pub(super) fn grade(folders: &[PathBuf]) -> Result<Exit, CliError> {
    let mut table = csv::Writer::from_writer(Vec::new());
    for folder in folders {
        let progress = Progress::load(folder).map_err(CliError::failed)?;
        for lab in LABS {
            table.serialize(row(folder, lab, &progress)).map_err(CliError::failed)?;
        }
    }
    let text = table.into_inner().map_err(|error| CliError::failed(error.error()))?;
    screen::print(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Fine)
}

fn row<'r>(folder: &Path, lab: &'static Lab, progress: &'r Progress) -> Row<'r> {
    let own = progress.labs.get(lab.name).cloned().unwrap_or_default();
    let (best, mut notes) = best(folder, lab, own.student.as_deref(), &own.runs);
    if best.is_some() && progress.nameless().contains(&lab.name) {
        notes.push("begun without a name, with everybody's numbers".to_owned());
    }
    let verdict = best.as_ref().map_or("not run", |judged| judged.verdict.name());
    Row {
        folder: folder.display().to_string(),
        student: progress.student.as_deref().unwrap_or_default(),
        lab: lab.name,
        verdict,
        predictions_right: best.as_ref().map(LabJudgement::right),
        predictions: best.as_ref().map(|judged| judged.predictions.len()),
        runs: own.runs.len(),
        hints: own.hints,
        own_service: best.as_ref().and_then(|judged| judged.own_service.clone()).unwrap_or_default(),
        run: best.map(|judged| judged.run).unwrap_or_default(),
        note: notes.join("; "),
    }
}

/// The best judgement of all runs, the first of its kind, and what is wrong with runs that cannot be taken
/// for the student's.
fn best(
    folder: &Path,
    lab: &'static Lab,
    student: Option<&str>,
    runs: &[String],
) -> (Option<LabJudgement>, Vec<String>) {
    let mut best: Option<LabJudgement> = None;
    let mut notes = Vec::new();
    let own = LabFolder::new(folder, lab);
    let before = runs.iter().map(|run| own.run(run)).find(|run| run.join("run.json").is_file());
    for run in &runs[runs.len().saturating_sub(MOST_RUNS)..] {
        let stored = StoredRun::load(&own.run(run)).map_err(|error| error.to_string());
        match stored.and_then(|run| judge(&run, before.as_deref())) {
            Ok(judged) if judged.lab != lab.name || judged.student.as_deref() != student => {
                notes.push(format!("{run} is another lab's, or another student's"));
            }
            Ok(judged) => {
                let is_better = best.as_ref().is_none_or(|best| {
                    best.verdict != LabVerdict::Passed && judged.verdict == LabVerdict::Passed
                });
                if is_better {
                    best = Some(judged);
                }
            }
            Err(error) => notes.push(error),
        }
    }
    (best, notes)
}
