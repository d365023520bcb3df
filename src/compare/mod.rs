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
mod statistic;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::specimen;

pub use comparison::Comparison;
pub(crate) use comparison::{
    Cell, Decision, Figure, Group, InterimLook, Pairing, Support, Unanswered, Withdrawal,
};
#[cfg(test)]
pub(crate) use comparison::{CellDecision, Design, SCHEMA, Side};
pub(crate) use decision::{Rule, Settings, Thresholds};
pub(crate) use evidence::{Evidence, Refusal};
pub(crate) use judge::{Pair, confirm, paired, unpaired};
pub(crate) use noise::{Detectable, NoiseProfile};
#[cfg(test)]
pub(crate) use self_test::{Demand, Rates, Row};
pub(crate) use self_test::{LOOK_ALPHAS, LOOKS, SelfTest, self_test};
pub(crate) use simulation::{random_order, repeats};
pub(crate) use statistic::t_tail;
