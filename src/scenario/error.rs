//! Why there is no scenario.

use std::path::PathBuf;

use crate::language::Diagnostics;

/// Why there is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file could not be read.
    #[error("cannot read {}: {reason}; {remedy}", path.display())]
    Unreadable {
        /// As given.
        path: PathBuf,
        /// The operating system's words, or what the file is instead of UTF-8 text.
        reason: String,
        /// What to do about it.
        remedy: String,
    },
    /// The text was read, and something in it is wrong.
    #[error(transparent)]
    Faulty(#[from] Diagnostics),
}
