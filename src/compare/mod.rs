//! Whether one build is slower than another: statistics over stored runs, from pairs of runs to a verdict.
//!
//! The unit of inference is a pair of runs, never a request: requests of one run share its machine state, so tests over
//! them call two identical builds different most of the time.

mod comparison;

pub use comparison::{
    Cell, CellVerdict, Comparison, Design, Figure, Group, Look, Pairing, SCHEMA, Side, Support, Verdict,
};
