//! What people see: progress while a run lasts, and the table at its end. Figures come in, text goes out.

mod budget;
mod chart;
mod comparison;
mod delivery;
mod detection;
mod failure;
pub mod figure;
mod grid;
mod outline;
mod progress;
mod recovery;
mod spell;
mod style;
mod verdict;

pub use comparison::{comparison, estimate, finding, length, self_test};
pub use figure::time;
pub use outline::{
    BudgetOutline, ChartPoint, Descriptors, EventOutline, FleetOutline, Memory, Outline, PhaseOutline,
    outline,
};
pub use progress::{Progress, ProgressMode};
pub use spell::FaultOutline;
pub use style::Style;
pub use verdict::verdict;
