//! `squall capacity`: the highest load at which a service keeps to its budgets, found by short runs.

pub(in crate::cli) mod args;
mod demand;
mod measurement;
pub(in crate::cli) mod pair;
mod prober;
mod range;
mod record;
mod recovery;
mod report;
mod search;
mod service;

use std::path::Path;

use args::{CapacityArgs, OutputArgs};
use demand::Demand;
use range::settings;
use record::Record;
use report::tell;
use search::Search;
use service::Service;

use super::args::ReportArgs;
use super::exit::{Exit, OnInconclusive};
use super::export::{ExportArgs, Subject};
use super::trial::record::State;
use super::{CliError, settle};
use crate::capacity::{Answer, End, Finding};
use crate::language::Environment;

/// Looks for the capacity of a service.
pub(super) fn capacity(args: &CapacityArgs) -> Result<Exit, CliError> {
    let changes = args.changes.overrides(args.probe_length);
    let mut scenario = changes.scenario(&args.scenario)?;
    let demand = Demand::read(&args.search.budgets)?;
    demand.add_to(&mut scenario, Environment::Process)?;
    let service = Service::of(args, &scenario)?;
    let settings = settings(&args.search, (&args.scenario, &changes), &scenario, &demand)?;
    page_of(&args.output).prepare(Subject::Run)?;
    let mut search = Search::begin(args, scenario, settings, (service, &demand))?;
    let state = search.run();
    let told = tell(search.record(), search.folder(), &args.output);
    let exit = exit(state?, search.record().answer().as_ref(), args.output.on_inconclusive);
    settle(exit, told)
}

/// Whether `folder` is that of a search.
pub(super) fn is_search(folder: &Path) -> bool {
    folder.join(record::FILE).is_file()
}

/// Prints a stored search once more, and writes its page.
pub(super) fn again(folder: &Path, args: &ReportArgs) -> Result<Exit, CliError> {
    if let Some(what) = args.outputs.beside_page() {
        return Err(CliError::usage(format!(
            "{what} is of a run, and {} is a search for a capacity: give one of the runs in it",
            folder.display()
        )));
    }
    args.outputs.prepare(Subject::Run)?;
    let record = Record::load(folder)?;
    let output = OutputArgs {
        on_inconclusive: OnInconclusive::Pass,
        html: args.outputs.html.clone(),
        plain: args.screen.plain,
        json: args.screen.json,
    };
    tell(&record, folder, &output)?;
    Ok(Exit::Fine)
}

/// The page as the outputs of runs have it, to be looked at before anything is sent.
fn page_of(output: &OutputArgs) -> ExportArgs {
    ExportArgs { html: output.html.clone(), ..ExportArgs::default() }
}

/// What a search comes to for the exit code.
const fn exit(state: State, answer: Option<&Answer>, on_inconclusive: OnInconclusive) -> Exit {
    let open = match on_inconclusive {
        OnInconclusive::Pass => Exit::Fine,
        OnInconclusive::Fail => Exit::Inconclusive,
    };
    match (state, answer) {
        (State::Interrupted, _) => Exit::Interrupted,
        (_, None) => Exit::Invalid,
        (_, Some(answer)) => match answer.finding {
            Finding::Knee { .. } | Finding::AtLeast { end: End::Highest { .. }, .. } => Exit::Fine,
            Finding::AtLeast { end: End::Generator { .. }, .. } | Finding::Unknown => Exit::Invalid,
            Finding::AtMost { .. } => Exit::Budget,
            Finding::Open { .. } | Finding::Unsteady { .. } => open,
        },
    }
}
