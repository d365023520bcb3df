//! `squall report`: a stored run once more, as a screen, as JSON, or as what CI takes.

use std::io::Write;
use std::path::Path;

use super::args::{ReportArgs, ReportScreenArgs};
use super::exit::Exit;
use super::export::{self, ExportArgs, Subject};
use super::screen;
use super::{CliError, all, folder};
use crate::display::{self, Style, View};
use crate::results::{History, Report, RunState};
use crate::units::plural;

/// Prints the run and writes what is asked for.
pub(super) fn report(args: &ReportArgs) -> Result<Exit, CliError> {
    args.outputs.prepare(Subject::Run)?;
    let directory = run_directory(&args.run)?;
    let report = Report::load(directory).map_err(|error| {
        let unfinished = crate::results::load_manifest(directory)
            .is_ok_and(|manifest| manifest.state != RunState::Complete);
        let why = if unfinished { "; the run did not come to its end" } else { "" };
        CliError::failed(format!("{error}{why}"))
    })?;
    if let Some(rebuilt) = &report.rebuilt {
        // Nobody reading it changes nothing.
        let _ = writeln!(std::io::stderr(), "note: {rebuilt}");
    }
    tell(&report, &args.outputs, args.screen)?;
    Ok(Exit::Fine)
}

/// Runs named where the directory of several is given.
const MOST_NAMED: usize = 3;

/// The directory of the run at `path`, which may be its manifest.
pub(super) fn run_directory(path: &Path) -> Result<&Path, CliError> {
    if path.file_name().is_some_and(|name| name == "run.json") && path.is_file() {
        return Ok(folder::of(path));
    }
    if path.join("run.json").exists() {
        return Ok(path);
    }
    let beneath = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut runs: Vec<_> = beneath.filter(|entry| entry.join("run.json").is_file()).collect();
    if runs.is_empty() {
        return Ok(path);
    }
    runs.sort();
    let shown = path.display();
    // The newest is named last by its time, and is the likeliest to be meant.
    let named: Vec<_> = runs.iter().rev().take(MOST_NAMED).map(|run| run.display().to_string()).collect();
    let more = if runs.len() > named.len() { ", …" } else { "" };
    let message = format!(
        "{shown} is not a run but holds {}: give one, {}{more}",
        plural(runs.len() as u64, "run"),
        named.join(", ")
    );
    Err(CliError::failed(message))
}

/// Writes the outputs that are asked for and prints the report. In this order: a screen that nobody reads must cost no file.
pub(super) fn tell(report: &Report, outputs: &ExportArgs, screen: ReportScreenArgs) -> Result<(), CliError> {
    all([
        export::run_outputs(outputs, report),
        print(report, screen),
        export::run_annotations(outputs, report, screen.json),
    ])
}

/// Prints a report to standard output, as tables or as JSON.
pub(super) fn print(report: &Report, asked: ReportScreenArgs) -> Result<(), CliError> {
    let text = if asked.json {
        serde_json::to_string_pretty(report).map_err(CliError::failed)?
    } else {
        // What cannot be read any more is not drawn; the figures are those of the report all the same.
        let history = History::load(&report.directory).ok();
        let style = if asked.plain { Style::PLAIN } else { screen::style() };
        let view = View { width: screen::width(screen::USUAL), verbose: asked.verbose, style };
        display::verdict(report, history.as_ref(), view)
    };
    screen::print_line(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_found_by_its_manifest_and_named_where_its_parent_is_given() {
        let out = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c", "d"] {
            std::fs::create_dir(out.path().join(name)).unwrap();
            std::fs::write(out.path().join(name).join("run.json"), "{}").unwrap();
        }
        let run = out.path().join("a");
        for given in [run.clone(), run.join("run.json")] {
            assert_eq!(run_directory(&given).unwrap(), run);
        }
        let error = run_directory(out.path()).unwrap_err().message;
        let newest = out.path().join("d").display().to_string();
        assert!(
            error.contains(&format!("holds 4 runs: give one, {newest}")) && error.ends_with('…'),
            "{error}"
        );
        let nowhere = out.path().join("e");
        assert_eq!(run_directory(&nowhere).unwrap(), nowhere);
    }
}
