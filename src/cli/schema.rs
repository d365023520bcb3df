//! `squall schema`: the language of scenarios, for editors and for people.

use super::CliError;
use super::args::SchemaArgs;
use super::exit::Exit;
use super::screen;
use crate::scenario;

/// Prints the JSON Schema, or the reference.
pub(super) fn schema(args: &SchemaArgs) -> Result<Exit, CliError> {
    let text = if args.markdown { scenario::manual() } else { screen::json(&scenario::schema())? + "\n" };
    screen::print(&text)?;
    Ok(Exit::Fine)
}
