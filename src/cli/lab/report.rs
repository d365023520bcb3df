//! `squall lab report`: all labs of a student on one page.

use std::path::Path;

use super::{before, load, progress};
use crate::cli::exit::Exit;
use crate::cli::{CliError, screen};
use crate::display::Tone;
use crate::lab::{LABS, Lab, LabFolder, LabJudgement, LabProgress, LabStanding, LabVerdict, judge};
use crate::page::exercise::{Exercise, exercises};
use crate::results::{Report, replace_text};
use crate::units::plural;

/// Writes the page.
pub(super) fn report(root: &Path, html: &Path) -> Result<Exit, CliError> {
    let progress = progress(root)?;
    let mut done = Vec::new();
    for lab in LABS {
        let Some(own) = progress.labs.get(lab.name) else { continue };
        // The run that passed, or the last one.
        let Some(run) = own.passed.as_ref().or(own.runs.last()) else { continue };
        let run = load(&LabFolder::new(root, lab).run(run))?;
        let judged = judge(&run, before(root, lab, &progress).as_deref()).map_err(CliError::failed)?;
        done.push((lab, judged, run.report, effort(own, progress.student.as_deref())));
    }
    if done.is_empty() {
        return Err(CliError::usage("no lab has been run yet; begin with squall lab"));
    }
    let chapters: Vec<_> =
        done.iter().map(|(lab, judged, report, effort)| chapter(lab, judged, report, effort)).collect();
    let page = exercises(progress.student.as_deref().unwrap_or_default(), &chapters, LABS.len());
    let written = replace_text(html, &page.map_err(CliError::failed)?);
    written.map_err(|error| CliError::failed(format!("cannot write {}: {error}", html.display())))?;
    screen::print(&format!("{}\n", html.display()))?;
    Ok(Exit::Fine)
}

/// What it took, and whose numbers the lab has if they are not the student's.
fn effort(own: &LabProgress, student: Option<&str>) -> String {
    let words = format!("{}, {}", plural(own.runs.len() as u64, "run"), plural(u64::from(own.hints), "hint"));
    match student {
        Some(_) if own.student.is_none() => words + ", begun without a name",
        _ => words,
    }
}

fn chapter<'r>(lab: &'static Lab, judged: &LabJudgement, report: &'r Report, effort: &str) -> Exercise<'r> {
    let (verdict, tone) = match judged.verdict {
        LabVerdict::Passed => ("passed", Tone::Good),
        LabVerdict::Failed => ("not yet", Tone::Bad),
        LabVerdict::Unjudged => ("cannot be judged", Tone::Warning),
    };
    let predictions = judged.predictions.iter().map(|asked| {
        let measured = asked.shown().into_iter().chain(asked.remark.clone()).collect::<Vec<_>>().join(". ");
        let truth = format!("{} ({})", asked.truth, asked.formula);
        let said = match &asked.said_first {
            Some(first) => format!("{first} at the first run, which counts; {} now", asked.said),
            None => asked.said.clone(),
        };
        [asked.ask.clone(), said, truth, measured]
    });
    let laws = judged.laws.iter().map(|law| {
        let (word, tone) = match law.standing {
            LabStanding::Kept => ("holds", Tone::Good),
            LabStanding::Broken => ("broken", Tone::Bad),
            LabStanding::Unjudged => ("cannot be judged", Tone::Warning),
        };
        ([law.law.clone(), word.to_owned(), law.figures.clone()], tone)
    });
    Exercise {
        name: lab.name,
        title: lab.title(),
        verdict,
        tone,
        predictions: predictions.collect(),
        laws: laws.collect(),
        account: judged.account.clone(),
        effort: effort.to_owned(),
        why: judged.why.clone(),
        report,
    }
}
