//! `squall completions`: what a shell reads to complete commands, options and their values.

use clap::CommandFactory as _;

use super::CliError;
use super::args::{Args, CompletionsArgs};
use super::exit::Exit;
use super::screen;

/// Prints the script for a shell.
pub(super) fn completions(args: &CompletionsArgs) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    let mut command = Args::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    screen::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Fine)
}
