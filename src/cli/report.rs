//! `squall report`: a stored run once more, as a screen, as JSON, or as what CI takes.

use std::io::Write;

use super::CliError;
use super::all;
use super::args::ReportArgs;
use super::exit::Exit;
use super::export::{self, ExportArgs, Subject};
use super::screen;
use crate::display;
use crate::results::{Report, RunState};

/// Prints the run and writes what is asked for.
pub(super) fn report(args: &ReportArgs) -> Result<Exit, CliError> {
    args.outputs.prepare(Subject::Run)?;
    let report = Report::load(&args.run).map_err(|error| {
        let unfinished = crate::results::load_manifest(&args.run)
            .is_ok_and(|manifest| manifest.state != RunState::Complete);
        let why = if unfinished { "; the run did not come to its end" } else { "" };
        CliError::failed(format!("{error}{why}"))
    })?;
    if let Some(told) = &report.rebuilt {
        // Nobody reading it changes nothing.
        let _ = writeln!(std::io::stderr(), "note: {told}");
    }
    tell(&report, &args.outputs, args.json)?;
    Ok(Exit::Fine)
}

/// Writes the outputs that are asked for and prints the report. In this order: a screen that nobody reads must cost no file.
pub(super) fn tell(report: &Report, outputs: &ExportArgs, json: bool) -> Result<(), CliError> {
    all([
        export::run_outputs(outputs, report),
        print(report, json),
        export::run_annotations(outputs, report, json),
    ])
}

/// Prints a report to standard output, as tables or as JSON.
pub(super) fn print(report: &Report, json: bool) -> Result<(), CliError> {
    let text = if json {
        serde_json::to_string_pretty(report).map_err(CliError::failed)?
    } else {
        display::verdict(report, screen::width(screen::USUAL), screen::style())
    };
    screen::print_line(&text)
}
