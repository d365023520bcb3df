//! `squall man`: the manual pages, made from the same table as `--help`.

use clap::CommandFactory as _;

use super::args::{Args, ManArgs};
use super::exit::Exit;
use super::screen;
use super::{CliError, folder};

/// Prints the page of the program, or writes one for every command.
pub(super) fn man(args: &ManArgs) -> Result<Exit, CliError> {
    if let Some(out) = &args.out {
        let written = folder::ensure(out).and_then(|()| clap_mangen::generate_to(Args::command(), out));
        written.map_err(|error| {
            CliError::failed(format!(
                "cannot write to {}: {error}; give a folder that can be written",
                out.display()
            ))
        })?;
        return Ok(Exit::Fine);
    }
    let mut page = Vec::new();
    let mut command = Args::command();
    command.build();
    clap_mangen::Man::new(command).render(&mut page).map_err(CliError::failed)?;
    screen::print(&String::from_utf8_lossy(&page))?;
    Ok(Exit::Fine)
}
