//! `squall watch`: a live screen of a run under way, or of one that has ended, made from its files.

pub(super) mod args;
mod choice;
mod frame_writer;
mod order;
pub(super) mod session;
mod still;
mod switchboard;
mod terminal;
pub(super) mod viewer;
mod web;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::CliError;
use super::exit::Exit;
use super::signal::Interrupts;
use args::WatchArgs;
use choice::Choice;
use session::Session;

/// Shows the run until the user leaves it.
pub(super) fn watch(args: &WatchArgs) -> Result<Exit, CliError> {
    let Choice { directory, order } = choice::choose(args)?;
    // Opening reads all that the run has recorded so far.
    give_way();
    let mut session = Session::open(&directory, order, args)?;
    if let Some(address) = args.live_on {
        web::serve(&mut session, address, args.of.is_some())?;
        return Ok(Exit::Fine);
    }
    if args.still || !has_terminal() {
        still::print(&mut session, args.size)?;
        return Ok(Exit::Fine);
    }
    terminal::show(&mut session)?;
    Ok(Exit::Fine)
}

/// Leaves the processor to everybody else, above all to the run that is looked at.
fn give_way() {
    const LEAST_PRIORITY: i32 = 19;
    // A system that does not let it is watched all the same.
    let _ = rustix::process::nice(LEAST_PRIORITY);
}

/// Whether there is a terminal to draw on and to read keys from.
fn has_terminal() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal() && io::stdin().is_terminal() && !dumb
}

/// Whether the process has been told to end, from now on.
///
/// # Errors
/// If the system refuses the handler or its thread.
fn interrupted() -> Result<Arc<AtomicBool>, CliError> {
    let told = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&told);
    Interrupts::listen(move |_| heard.store(true, Ordering::Relaxed)).map_err(CliError::failed)?;
    Ok(told)
}
