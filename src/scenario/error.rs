//! Why there is no scenario.

use std::path::PathBuf;

use crate::language::Diagnostics;

/// Why there is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file could not be read.
    #[error("cannot read {}: {reason}; give the path of a scenario file, for example scenarios/quickstart.toml", path.display())]
    Unreadable {
        /// As given.
        path: PathBuf,
        /// The operating system's words.
        reason: String,
    },
    /// The text was read, and something in it is wrong.
    #[error(transparent)]
    Faulty(#[from] Diagnostics),
}
