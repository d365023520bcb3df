//! What people see: progress while a run lasts, and the table at its end. Figures come in, text goes out.

mod activation;
mod budget;
mod chart;
mod comparison;
mod delivery;
mod detection;
mod dot;
pub(crate) mod failure;
pub(crate) mod figure;
mod grid;
mod isolation;
mod outline;
mod progress;
mod recovery;
mod style;
mod verdict;

pub(crate) use activation::FaultOutline;
pub(crate) use comparison::{comparison, estimate, finding, length, self_test};
pub(crate) use figure::time;
pub(crate) use outline::{
    BudgetOutline, ChartPoint, Descriptors, EventOutline, FleetOutline, Memory, Outline, PhaseOutline,
    outline,
};
pub(crate) use progress::{Progress, ProgressMode};
pub(crate) use style::Style;
pub(crate) use verdict::{connection_title, verdict};
