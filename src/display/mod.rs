//! What people see: progress while a run lasts, and the table at its end. Figures come in, text goes out.

mod detection;
pub mod figure;
mod grid;
mod progress;
mod style;
mod verdict;

pub use progress::{Progress, ProgressMode};
pub use style::Style;
pub use verdict::verdict;
