//! `squall phase`: ends the phase under way of a running test.

use std::path::Path;
use std::time::Duration;

use clap::Subcommand;

use super::CliError;
use super::call::{WhichRun, choose, lost, present};
use super::exit::Exit;
use super::screen;
use crate::run::control::protocol::Request;

/// What it means that nothing runs.
const NONE: &str = "no running test was found: it must be started by the same user on this machine, and with the same \
                    XDG_RUNTIME_DIR";

/// How long a run may take to answer.
const ANSWERING: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help(Exit::OF_TOOLS))]
pub(super) struct PhaseArgs {
    #[command(subcommand)]
    pub(super) command: PhaseCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum PhaseCommand {
    /// End the phase under way: what the plan still has in it is left out, and what follows comes earlier
    End {
        #[command(flatten)]
        run: WhichRun,
    },
}

/// Ends a phase.
pub(super) fn phase(args: &PhaseArgs) -> Result<Exit, CliError> {
    let PhaseCommand::End { run } = &args.command;
    let mut call = choose(present(), run.run.as_deref(), Path::new("."), NONE)?;
    let reply = call.ask(&Request::EndPhase, ANSWERING).map_err(|error| lost(&call.run, &error))?;
    match (reply.error, reply.phase) {
        (Some(error), _) => Err(CliError::usage(error)),
        (None, Some(phase)) => {
            screen::print(&format!("{}\n", phase.sentence()))?;
            Ok(Exit::Fine)
        }
        (None, None) => Err(CliError::failed("the run does not know this order: it is of another version")),
    }
}
