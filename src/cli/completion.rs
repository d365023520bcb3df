//! `squall completions`: what a shell reads to complete commands, options and their values.

use clap::CommandFactory as _;

use super::CliError;
use super::args::{Args, CompletionsArgs};
use super::exit::Exit;
use super::screen;
use super::url;

/// Prints the script for a shell.
pub(super) fn completions(args: &CompletionsArgs) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    let mut command = typed();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    screen::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Fine)
}

/// The commands as they are typed: the options of a URL stand behind it, and no word for a command before it.
fn typed() -> clap::Command {
    let whole = Args::command();
    let (unnamed, named): (Vec<_>, Vec<_>) =
        whole.get_subcommands().cloned().partition(|command| command.get_name() == url::COMMAND);
    let options = unnamed.iter().flat_map(clap::Command::get_opts).cloned();
    let about = whole.get_about().cloned().unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    clap::Command::new("squall").about(about).version(version).args(options).subcommands(named)
}
