//! What a search found, told: on the screen, as JSON, and as a page.

use std::path::Path;

use super::args::OutputArgs;
use super::record::{self, Record};
use crate::capacity::{Answer, Verdict};
use crate::cli::export::seen_from;
use crate::cli::trial::record::State;
use crate::cli::{CliError, all, screen};
use crate::display::capacity::{Outline, TrialOutline};
use crate::display::{self, Style};
use crate::page::capacity::{Origin, page};
use crate::results::load_manifest;
use crate::units::plural;

/// Prints what was found, and writes the page where one is asked for. In this order: a screen that nobody reads must cost no file.
///
/// # Errors
/// If something cannot be written or printed.
pub(super) fn tell(record: &Record, folder: &Path, output: &OutputArgs) -> Result<(), CliError> {
    let answer = record.answer();
    let outline = answer.as_ref().map(|answer| outline(record, answer, folder));
    let written = output.html.as_ref().zip(outline.as_ref()).map_or(Ok(()), |(file, outline)| {
        let text = page(outline, &origin(record, folder), &|path| seen_from(file, path));
        std::fs::write(file, text)
            .map_err(|error| CliError::failed(format!("cannot write {} (html): {error}", file.display())))
    });
    all([written, print(record, outline.as_ref(), output)])
}

fn print(record: &Record, outline: Option<&Outline<'_>>, output: &OutputArgs) -> Result<(), CliError> {
    if output.json {
        return screen::print_line(&screen::json(record)?);
    }
    let Some(outline) = outline else { return Ok(()) };
    let style = if output.plain { Style::PLAIN } else { screen::style() };
    screen::print_line(&display::capacity(outline, screen::width(screen::USUAL), style))
}

/// What there is to tell of a search.
fn outline<'a>(record: &'a Record, answer: &'a Answer, folder: &Path) -> Outline<'a> {
    let trials = record.trials.iter().map(|trial| TrialOutline {
        is_bound: trial.p99_at_least,
        validity: trial.validity,
        reasons: &trial.reasons,
        budgets: &trial.budgets,
    });
    Outline {
        scenario: &record.head.scenario,
        demands: &record.head.demands,
        answer,
        trials: trials.collect(),
        planned_per_s: record.head.planned_per_s,
        took_s: record.head.took_s,
        remarks: remarks(record),
        folder: folder.display().to_string(),
    }
}

/// How the search was made, and why it ended, a sentence each.
fn remarks(record: &Record) -> Vec<String> {
    let mut remarks = vec![service(record)];
    let late = record.trials.iter().filter(|trial| !trial.recovery.is_recovered).count();
    if late > 0 {
        remarks.push(format!(
            "before {} the service had not recovered from the one before",
            plural(late as u64, "probe")
        ));
    }
    let unjudged = record.trials.iter().filter(|trial| trial.probe.verdict == Verdict::Unjudged).count();
    if unjudged > 0 {
        remarks.push(format!(
            "{} could not be judged, for too few readings or for what the run says of itself",
            plural(unjudged as u64, "probe")
        ));
    }
    remarks.extend(match record.head.state {
        State::Interrupted => Some("interrupted: this is what was known by then".to_owned()),
        State::Complete | State::Failed => {
            record.head.ended_by.as_ref().map(|why| format!("the search ended early: {why}"))
        }
        State::Running => {
            Some("the search is under way, or was killed: this is what was known by then".to_owned())
        }
    });
    remarks
}

/// Whose capacity it is, and how it stood between probes.
fn service(record: &Record) -> String {
    let waited: f64 = record.trials.iter().map(|trial| trial.recovery.waited_s).sum();
    match (record.service.kind.as_str(), record.service.fresh) {
        ("bundled", _) => "every probe had a bundled reference system of its own".to_owned(),
        (_, true) => "every probe had a service of its own, freshly started".to_owned(),
        _ => {
            let how = record.trials.last().map(|trial| trial.recovery.how.as_str()).unwrap_or_default();
            format!(
                "one service took all probes; between them it was waited for {waited:.1} s in all ({how})"
            )
        }
    }
}

/// How the search was made, for its page.
fn origin(record: &Record, folder: &Path) -> Origin {
    let settings = &record.head.settings;
    let command = record.service.command.clone().unwrap_or_default();
    let percent = |share: f64| format!("{} %", share * 100.0);
    let facts = vec![
        ("what had to hold", record.head.demands.join("; ")),
        ("loads", format!("from {} to {} times the scenario's", settings.lowest, settings.highest)),
        ("precision", percent(settings.precision)),
        ("confidence", percent(settings.confidence)),
        ("a probe measures", format!("{} s", settings.probe_s)),
        ("time allowed", display::length(settings.allowance_s)),
        ("service", service(record)),
        ("started by", command),
        ("targets", record.service.targets.join(" ")),
        ("overrides", record.head.overrides.join(" ")),
        ("seed", settings.seed.clone()),
        ("started", record.head.started.clone()),
        ("ended", record.head.ended.clone().unwrap_or_default()),
    ];
    let runs: Vec<_> = record.trials.iter().map(|trial| folder.join(&trial.run)).collect();
    Origin {
        facts,
        first: runs.first().and_then(|run| load_manifest(run).ok()),
        runs,
        files: [record::FILE, record::TABLE].map(|file| folder.join(file)).to_vec(),
        started: record.head.started.clone(),
        tool_version: record.head.tool_version.clone(),
    }
}
