//! Whether one build is slower than another: statistics over stored runs, from pairs of runs to a verdict.
//!
//! The unit of inference is a pair of runs, never a request: requests of one run share its machine state, so tests over
//! them call two identical builds different most of the time.

mod comparison;
mod decision;
mod evidence;
mod judge;
mod noise;
mod reason;
mod self_test;
mod simulation;
#[cfg(test)]
pub(crate) mod specimen;
mod statistic;
#[cfg(test)]
mod tests;

pub use comparison::{
    Cell, CellVerdict, Comparison, Design, Figure, Group, Look, Pairing, SCHEMA, Side, Support, Verdict,
    Withdrawal,
};
pub use decision::{Settings, Thresholds};
pub use evidence::{Evidence, Refusal};
pub use judge::{Pair, confirm, paired, unpaired};
pub use noise::{Detectable, NOISE_SCHEMA, NoiseCell, NoiseError, NoiseProfile};
pub use self_test::{Demand, LOOK_ALPHAS, LOOKS, Rates, Row, SelfTest, self_test};
pub use simulation::random_order;
