//! `squall run`: a scenario's fleets against a target, from the file to the report.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;

use super::args::RunArgs;
use super::exit::Exit;
use super::export::Subject;
use super::signal::Interrupts;
use super::watch::viewer::{self, Notes, PageServer, Viewer};
use super::{CliError, report, screen, settle, shard, unanswered};
use crate::display::{Progress, ProgressMode, Style};
use crate::run::{Finished, Observer, Run, Settings, Steering, profile};
use crate::scenario::{Plan, Scenario, load_budgets};

/// Runs the scenario and reports.
pub(super) fn run(args: &RunArgs) -> Result<Exit, CliError> {
    let terminal = (args.live || args.live_on.is_some()).then(viewer::has_terminal).transpose()?;
    let live = args.live && terminal == Some(true);
    let scenario = load(args)?;
    args.outputs.prepare(Subject::Run)?;
    let (part, note) = shard::part(args)?;
    let settings = Settings {
        out: args.out.clone(),
        label: args.label.clone(),
        workers: args.workers.map(usize::from),
        source_ips: args.source_ips.clone(),
        part,
        token: args.run_token,
        profile: profile::place(),
        notes: note.into_iter().collect(),
    };
    let run = Run::prepare(Plan::new(scenario), &args.targets, settings)?;
    let notes = Arc::new(Notes::default());
    let observer: Arc<dyn Observer> = if live { notes.clone() } else { Arc::new(progress(args, &run)) };
    let interrupts = Arc::new(InterruptHandler(Arc::clone(&observer)));
    let handle = run.start(vec![Arc::clone(&observer), interrupts])?;
    let page = page(args, handle.directory(), &observer);
    // It has the terminal until the run has ended.
    let viewer = live.then(|| live_screen(handle.directory(), &notes)).flatten();
    let finished = handle.wait();
    drop((viewer, page));
    conclude(finished?, args)
}

/// The process that serves the run as a page, if one is asked for: a run is not lost for want of it.
fn page(args: &RunArgs, directory: &Path, notes: &Arc<dyn Observer>) -> Option<PageServer> {
    // Where it is has to be said, however quiet the run is.
    let told: Arc<dyn Observer> = if args.quiet { Arc::new(Notes::default()) } else { Arc::clone(notes) };
    let started = PageServer::start(directory, args.live_on?, told);
    started.inspect_err(|error| notes.note(&format!("note: {}", error.message))).ok()
}

/// The process with the live screen: a run is not lost for want of it either.
fn live_screen(directory: &Path, notes: &Arc<Notes>) -> Option<Viewer> {
    let started = Viewer::start(directory, notes);
    started.inspect_err(|error| notes.note(&format!("note: {}", error.message))).ok()
}

fn load(args: &RunArgs) -> Result<Scenario, CliError> {
    let overrides = args.overrides.read()?;
    let mut scenario = Scenario::load(&args.scenario, &overrides).map_err(CliError::usage)?;
    if let Some(file) = &args.budget {
        let budgets = load_budgets(file, &scenario, overrides.environment).map_err(CliError::usage)?;
        scenario.budgets.extend(budgets);
    }
    Ok(scenario)
}

fn progress(args: &RunArgs, run: &Run) -> Progress {
    let terminal = io::stderr().is_terminal();
    let mode = match (args.quiet, terminal) {
        (true, _) => ProgressMode::Quiet,
        (false, true) => ProgressMode::Live(screen::progress_width()),
        (false, false) => ProgressMode::Lines,
    };
    Progress::start(Arc::clone(run.layout()), mode, Style::of(terminal))
}

/// Ends the run when the user interrupts it: in an orderly way first, then at once.
struct InterruptHandler(Arc<dyn Observer>);

impl Observer for InterruptHandler {
    fn begin(&self, steering: &Steering) -> io::Result<()> {
        let (steering, screen) = (steering.clone(), Arc::clone(&self.0));
        let interrupts = Interrupts::listen(move |count| {
            if count == 1 {
                steering.finish();
                screen.note("interrupted: settling what is open; Ctrl-C again ends at once");
            } else {
                steering.abort();
            }
        });
        interrupts.map(drop)
    }
}

/// Prints the report, writes what is asked for, and says how the process exits.
fn conclude(mut finished: Finished, args: &RunArgs) -> Result<Exit, CliError> {
    let exit = Exit::from(finished.conclusion);
    let reported = finished.report().map_err(CliError::from).and_then(|report| {
        report::tell(&report, &args.outputs, args.screen)?;
        let why = finished.unwritten.as_ref().or(finished.refused.as_ref());
        Ok(why.cloned().unwrap_or_else(|| unanswered(&report)))
    });
    let why = reported.as_ref().ok().cloned().unwrap_or_default();
    let exit = match settle(exit, reported.map(drop)) {
        Ok(Exit::Failed) => return Err(CliError::failed(why)),
        Err(error) => {
            finished.record_exit(error.exit.code());
            return Err(error);
        }
        Ok(exit) => exit,
    };
    settle(exit, finished.keys_recorded.map_err(CliError::from))
}
