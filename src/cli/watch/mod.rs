//! `squall watch`: a live screen of a run under way, or of one that has ended, made from its files.

pub(super) mod args;
mod choice;
mod order;
pub(super) mod session;
mod still;
mod terminal;
pub(super) mod viewer;
mod web;

use std::io::{self, IsTerminal};

use super::CliError;
use super::exit::Exit;
use args::WatchArgs;
use choice::Choice;
use session::Session;

/// Shows the run until the user leaves it.
pub(super) fn watch(args: &WatchArgs) -> Result<Exit, CliError> {
    let Choice { directory, order } = choice::choose(args)?;
    let mut session = Session::open(&directory, order, args)?;
    if let Some(address) = args.live_on {
        web::serve(&mut session, address, args.of.is_some())?;
        return Ok(Exit::Fine);
    }
    let terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
    if args.still || !terminal || std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        still::print(&mut session, args.size)?;
        return Ok(Exit::Fine);
    }
    terminal::show(&mut session)?;
    Ok(Exit::Fine)
}
