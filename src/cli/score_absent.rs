//! `squall score` in a build without the bundled system, whose detector it scores.

use super::CliError;
use super::args::ScoreArgs;
use super::exit::Exit;

pub(super) fn score(_: &ScoreArgs) -> Result<Exit, CliError> {
    Err(CliError::failed("this build of squall has no bundled system (feature `reference`) to score"))
}
