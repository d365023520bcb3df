//! What CI takes: JUnit, GitHub summaries and annotations, comments, Bencher, github-action-benchmark, OpenMetrics, CSV and
//! percentile files, and the page for people. Values come in, text goes out; the same values give the same text.
//!
//! Every format has a file of its own, which states its name, what it is for and its writers, and one line of [`TABLE`]:
//! `--format`, its help and its refusals come from there.

pub mod bencher;
pub mod benchmark_action;
pub mod comment;
mod comparison_table;
mod finding;
mod format;
pub(crate) mod github;
pub mod hgrm;
mod html;
pub mod junit;
mod markdown;
mod measure;
pub mod openmetrics;
mod page;

pub use format::Nothing;
pub(crate) use format::{Format, Writer};

/// All formats, in the order of help texts.
pub(crate) const TABLE: [&Format; 10] = [
    &html::FORMAT,
    &junit::FORMAT,
    &github::FORMAT,
    &comment::FORMAT,
    &bencher::FORMAT,
    &benchmark_action::SMALLER,
    &benchmark_action::BIGGER,
    &openmetrics::FORMAT,
    &comparison_table::FORMAT,
    &hgrm::FORMAT,
];

/// Pretty JSON with a line break at its end.
fn json(value: &impl serde::Serialize) -> String {
    // Maps with text as keys and finite numbers cannot fail.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::specimen;
