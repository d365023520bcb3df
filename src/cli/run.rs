//! `squall run`: a scenario's fleets against a target, from the file to the report.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::{ReportScreenArgs, RunArgs};
use super::exit::Exit;
use super::export::{ExportArgs, Subject};
use super::metrics::{self, MetricsDoor};
use super::signal::Interrupts;
use super::stored::RESULTS;
use super::watch::viewer::{self, Door, Notes, PageServer, Viewer};
use super::{CliError, report, screen, settle, shard, unanswered};
use crate::display::{Progress, ProgressMode, Style};
use crate::results::MetricBoard;
use crate::run::{Finished, Observer, Run, Settings, Steering, profile};
use crate::scenario::{Plan, Scenario, load_budgets};

/// How a run is made and shown, whatever it runs.
#[derive(Debug, clap::Args)]
pub(super) struct ConductArgs {
    /// Directory under which the run's own directory is made
    #[arg(long, value_name = "DIR", default_value = RESULTS)]
    pub(super) out: PathBuf,

    /// Label of the build, appended to the directory name
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) label: String,

    /// Worker threads of the generator [default: half the cores for a target on this machine, otherwise all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) workers: Option<u16>,

    /// Show no progress
    #[arg(long, short)]
    pub(super) quiet: bool,

    /// Show the run on the live screen of `squall watch`, in a process of its own; where there is no terminal,
    /// the usual lines
    #[arg(long, conflicts_with = "quiet")]
    pub(super) live: bool,

    /// Serve the run as a page that follows it, by a process of its own at this address: 127.0.0.1:0 takes a free
    /// port. To be read only, but for the address with a token that switches faults; whoever reaches another address
    /// than a loopback one sees the run
    #[arg(long, value_name = "IP:PORT")]
    pub(super) live_on: Option<SocketAddr>,

    /// Serve the figures so far for Prometheus while the run is on, at /metrics of this port of the loopback, or of IP:PORT
    #[arg(long, value_name = "ADDR", value_parser = metrics::address)]
    pub(super) metrics: Option<SocketAddr>,

    #[command(flatten)]
    pub(super) screen: ReportScreenArgs,

    #[command(flatten)]
    pub(super) outputs: ExportArgs,
}

/// Runs the scenario and reports.
pub(super) fn run(args: &RunArgs) -> Result<Exit, CliError> {
    let conduct = &args.conduct;
    let views = views(conduct)?;
    let scenario = load(args)?;
    conduct.outputs.prepare(Subject::Run)?;
    let (part, note) = shard::part(args)?;
    let settings = Settings {
        source_ips: args.source_ips.clone(),
        serve_on: args.serve_on,
        part,
        token: args.run_token,
        notes: note.into_iter().collect(),
        ..settings(conduct)
    };
    drive(conduct, Run::prepare(Plan::new(scenario), &args.targets, settings)?, views)
}

/// Where a run is shown while it is on, beside what it prints.
#[derive(Debug)]
pub(super) struct Views {
    live: bool,
    door: Option<Door>,
    metrics: Option<MetricsDoor>,
}

/// Prepares what is asked for, before anything is sent: who asked for a page would miss it.
///
/// # Errors
/// If this build has no live screen, or the page cannot be served at its address.
pub(super) fn views(args: &ConductArgs) -> Result<Views, CliError> {
    let terminal = (args.live || args.live_on.is_some()).then(viewer::has_terminal).transpose()?;
    let door = args.live_on.map(Door::open).transpose()?;
    let metrics = args.metrics.map(MetricsDoor::open).transpose()?;
    Ok(Views { live: args.live && terminal == Some(true), door, metrics })
}

/// The settings of a run of a whole plan.
pub(super) fn settings(args: &ConductArgs) -> Settings {
    Settings {
        out: args.out.clone(),
        label: args.label.clone(),
        workers: args.workers.map(usize::from),
        profile: profile::place(),
        metrics: args.metrics.map(|_| MetricBoard::default()),
        ..Settings::default()
    }
}

/// Drives a run that is prepared, and reports.
pub(super) fn drive(args: &ConductArgs, run: Run, views: Views) -> Result<Exit, CliError> {
    let Views { live, door, metrics } = views;
    if let Some((metrics, board)) = metrics.zip(run.metrics()) {
        metrics.serve(board.clone()).map_err(CliError::failed)?;
    }
    let notes = Arc::new(Notes::default());
    let observer: Arc<dyn Observer> = if live { notes.clone() } else { Arc::new(progress(args.quiet, &run)) };
    let interrupts = Arc::new(InterruptHandler(Arc::clone(&observer)));
    let handle = run.start(vec![Arc::clone(&observer), interrupts])?;
    let page = door.and_then(|door| page(door, handle.directory(), &observer, args.quiet));
    // It has the terminal until the run has ended.
    let viewer = live.then(|| live_screen(handle.directory(), &notes)).flatten();
    let finished = handle.wait();
    drop((viewer, page));
    conclude(finished?, args)
}

/// The process that serves the run as a page: a run that is on is not lost for want of it.
fn page(door: Door, directory: &Path, notes: &Arc<dyn Observer>, quiet: bool) -> Option<PageServer> {
    // Where it is has to be said, however quiet the run is.
    let told: Arc<dyn Observer> = if quiet { Arc::new(Notes::default()) } else { Arc::clone(notes) };
    let started = PageServer::start(directory, door, told);
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

/// Shows the progress of `run` on standard error; nothing of it where it is to be `quiet`.
pub(super) fn progress(quiet: bool, run: &Run) -> Progress {
    let terminal = io::stderr().is_terminal();
    let mode = match (quiet, terminal) {
        (true, _) => ProgressMode::Quiet,
        (false, true) => ProgressMode::Live(screen::progress_width()),
        (false, false) => ProgressMode::Lines,
    };
    Progress::start(Arc::clone(run.layout()), mode, Style::of(terminal))
}

/// Ends the run when the user interrupts it: in an orderly way first, then at once.
pub(super) struct InterruptHandler(pub(super) Arc<dyn Observer>);

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
fn conclude(mut finished: Finished, args: &ConductArgs) -> Result<Exit, CliError> {
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
