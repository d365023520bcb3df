//! Figures as Prometheus has them: its text formats are read here, and what of a page is wanted is told apart.

mod exposition;
mod selection;

pub(crate) use exposition::{SeriesKind, SeriesSample, read};
pub(crate) use selection::Selection;
