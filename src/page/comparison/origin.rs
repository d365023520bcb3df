//! What a comparison does not say of itself, since it holds no path and no time of day: where its runs lie, and how they were made.

use std::path::PathBuf;

/// How a comparison was made.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    /// Facts by name: commands, order, machine.
    pub(crate) facts: Vec<(&'static str, String)>,
    /// Files of the comparison itself.
    pub(crate) files: Vec<PathBuf>,
    /// Its runs in the order of time, those that do not count too.
    pub(crate) trials: Vec<Trial>,
}

/// A pair of runs, or a run alone where runs are not paired.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trial {
    /// Its number among its kind, from 1.
    pub(crate) number: u32,
    /// Whether it was made to confirm what the others show.
    pub(crate) is_fresh: bool,
    /// Whether the base ran first, where that is known.
    pub(crate) base_first: Option<bool>,
    /// Directories of the runs of base and candidate.
    pub(crate) runs: [Option<PathBuf>; 2],
    /// Why it does not count; it was run again.
    pub(crate) discarded: Option<String>,
}
