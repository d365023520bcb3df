//! `squall report`: a stored run once more, as a screen, as JSON, or as what CI takes.

use std::io::{self, IsTerminal, Write};

use super::CliError;
use super::all;
use super::args::ReportArgs;
use super::exit::Exit;
use super::export::{self, ExportArgs, Subject};
use crate::display::{self, Style};
use crate::results::{Report, RunState};

/// Width of the report where the terminal does not say.
const WIDTH: usize = 100;

/// Prints the run and writes what is asked for.
pub(super) fn report(args: &ReportArgs) -> Result<Exit, CliError> {
    args.outputs.prepare(Subject::Run)?;
    let report = Report::load(&args.run).map_err(|error| {
        let unfinished = crate::results::load_manifest(&args.run)
            .is_ok_and(|manifest| manifest.state != RunState::Complete);
        let why = if unfinished { "; the run did not come to its end" } else { "" };
        CliError::failed(format!("{error}{why}"))
    })?;
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
    let mut out = io::stdout().lock();
    let printed = if json {
        serde_json::to_string_pretty(report).map_err(CliError::failed)?
    } else {
        display::verdict(report, WIDTH, Style::of(out.is_terminal()))
    };
    writeln!(out, "{}", printed.trim_end())
        .map_err(|error| CliError::failed(format!("cannot print: {error}")))
}
