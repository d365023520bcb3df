//! What CI takes: JUnit, GitHub summaries and annotations, comments, Bencher, github-action-benchmark, OpenMetrics, CSV and
//! percentile files. Values come in, text goes out; the same values give the same text.
//!
//! Every format has a file of its own, and in it a function for a run and one for a comparison where both make sense.

pub mod bencher;
pub mod benchmark_action;
pub mod comment;
pub(crate) mod comparison_table;
mod finding;
pub(crate) mod github;
pub mod hgrm;
pub mod junit;
mod markdown;
mod measure;
pub mod openmetrics;
mod page;

pub use measure::Nothing;

#[cfg(test)]
pub(crate) mod specimen;

/// Pretty JSON with a line break at its end.
fn json(value: &impl serde::Serialize) -> String {
    // Maps with text as keys and finite numbers cannot fail.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests;
