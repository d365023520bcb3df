//! `squall report`: a stored run once more, as a screen, as JSON, or as what CI takes.

use super::args::{ReportArgs, ReportScreenArgs};
#[cfg(unix)]
use super::capacity;
use super::exit::Exit;
use super::export::{self, ExportArgs, Subject};
use super::screen;
use super::{CliError, all, stored};
use crate::display::{self, Style, View};
use crate::results::{LazyHistory, Report, RunState};

/// Prints the run and writes what is asked for.
pub(super) fn report(args: &ReportArgs) -> Result<Exit, CliError> {
    #[cfg(unix)]
    if let Some(folder) = args.run.as_deref().filter(|folder| capacity::is_search(folder)) {
        return capacity::again(folder, args);
    }
    args.outputs.prepare(Subject::Run)?;
    let directory = &stored::run(args.run.as_deref())?;
    let report = Report::load(directory).map_err(|error| {
        let unfinished = crate::results::load_manifest(directory)
            .is_ok_and(|manifest| manifest.state != RunState::Complete);
        let why = if unfinished { "; the run did not come to its end" } else { "" };
        CliError::failed(format!("{error}{why}"))
    })?;
    if let Some(rebuilt) = &report.rebuilt {
        screen::note(&format!("note: {rebuilt}"));
    }
    tell(&report, &args.outputs, args.screen)?;
    Ok(Exit::Fine)
}

/// Writes the outputs that are asked for and prints the report. In this order: a screen that nobody reads must cost no file.
pub(super) fn tell(report: &Report, outputs: &ExportArgs, screen: ReportScreenArgs) -> Result<(), CliError> {
    let history = LazyHistory::of(&report.directory);
    all([
        export::run_outputs(outputs, report, &history),
        print(report, &history, screen),
        export::run_annotations(outputs, report, screen.json),
    ])
}

/// Prints a report to standard output, as tables or as JSON.
pub(super) fn print(
    report: &Report,
    history: &LazyHistory<'_>,
    asked: ReportScreenArgs,
) -> Result<(), CliError> {
    let text = if asked.json {
        screen::json(report)?
    } else {
        // What cannot be read any more is not drawn; the figures are those of the report all the same.
        let style = if asked.plain { Style::PLAIN } else { screen::style() };
        let view = View { width: screen::width(screen::USUAL), verbose: asked.verbose, style };
        display::verdict(report, history.get().ok(), view)
    };
    screen::print_line(&text)
}
