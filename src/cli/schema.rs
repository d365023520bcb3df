//! `squall schema`: the language of scenarios, for editors and for people.

use std::io::{self, Write};

use super::CliError;
use super::args::SchemaArgs;
use super::exit::Exit;
use crate::scenario;

/// Prints the JSON Schema, or the reference.
pub(super) fn schema(args: &SchemaArgs) -> Result<Exit, CliError> {
    let text = if args.markdown {
        scenario::manual()
    } else {
        serde_json::to_string_pretty(&scenario::schema()).map_err(CliError::failed)? + "\n"
    };
    let printed = io::stdout().lock().write_all(text.as_bytes());
    printed.map_err(|error| CliError::failed(format!("cannot print: {error}")))?;
    Ok(Exit::Fine)
}
