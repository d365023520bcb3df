//! How much a service can take: the load factor up to which it keeps to its budgets, found by short probes; pure.
//!
//! A driver asks a [`Search`] for the next factor, measures there, and notes what it saw. The search reads no clock and never blocks; the
//! driver may stop at any instant with what is known by then.

mod answer;
mod comparison;
mod posterior;
mod probe;
mod regression;
mod scalability;
mod search;
mod settings;
#[cfg(test)]
mod tests;
mod trend;

pub(crate) use answer::{Answer, End, Finding};
pub(crate) use comparison::{Comparison, PairedSearch, PairedSettings, PairedStep};
pub(crate) use probe::{Probe, Verdict};
pub(crate) use scalability::Scalability;
pub(crate) use search::{Search, Step};
pub(crate) use settings::Settings;
