//! What people see: progress while a run lasts, and the table at its end. Figures come in, text goes out.

mod activation;
pub(crate) mod budget;
mod bundled;
pub(crate) mod capacity;
mod chart;
pub(crate) mod comparison;
pub(crate) mod delivery;
pub(crate) mod detection;
mod dot;
pub(crate) mod failure;
pub(crate) mod figure;
mod glossary;
mod grid;
pub(crate) mod isolation;
mod outline;
mod progress;
pub(crate) mod recovery;
mod spark;
pub(crate) mod stage;
mod style;
mod table;
pub(crate) mod verdict;

pub(crate) use activation::FaultOutline;
pub(crate) use capacity::{capacity, factor, progress as capacity_progress};
pub(crate) use comparison::{comparison, estimate, finding, length, self_test};
pub(crate) use dot::pairs;
pub(crate) use figure::time;
pub(crate) use grid::{fitted, hanging, wrap};
pub(crate) use outline::{
    BudgetOutline, ChartPoint, Descriptors, EventOutline, FleetOutline, Memory, Outline, PhaseOutline,
    outline,
};
pub(crate) use progress::{Progress, ProgressMode};
pub(crate) use style::{Style, Tone};
pub(crate) use verdict::{View, kind_title, verdict};
