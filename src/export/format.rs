//! What every output for CI states about itself; [`TABLE`](super::TABLE) lists them all.

use std::path::Path;

use hdrhistogram::Histogram;

use crate::compare::Comparison;
use crate::page::comparison::Origin;
use crate::results::{History, LoadError, Report};

/// An output: one per file of this room, and one line of the table.
#[derive(Debug)]
pub(crate) struct Format {
    /// As `--format NAME=FILE` has it.
    pub(crate) name: &'static str,
    /// What it is and who takes it: for help and for `docs/ci.md`.
    pub(crate) about: &'static str,
    pub(crate) run: Writer<Report>,
    pub(crate) comparison: Writer<Comparison>,
}

/// Makes a text of a comparison and of the runs that its origin names; the last argument gives the way to a file as seen from the
/// text's place, a relative path.
pub(crate) type ComparisonPage =
    fn(&Comparison, &Origin, &dyn Fn(&Path) -> String) -> Result<String, LoadError>;

/// How an output is made of a run or of a comparison.
#[derive(Debug)]
pub(crate) enum Writer<S> {
    /// One text.
    Text(fn(&S) -> Result<String, Nothing>),
    /// One text, made of the run's history too; told where its files lie as seen from the text's place: a relative path.
    Page(fn(&S, &History, &str) -> String),
    /// One text, made of the files of the compared runs too.
    Compared(ComparisonPage),
    /// One text for every distribution in the log of a run: a file of its total, or a folder with all of them.
    Distribution(fn(&Histogram<u64>) -> String),
    /// It is not, and why.
    Unsuited(&'static str),
}

/// There is nothing to follow over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing was measured, or the measurement is invalid, and an empty list is refused where it goes")]
pub struct Nothing;
