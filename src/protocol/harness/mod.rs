//! What tests, fuzzing and benches drive sessions with. No part of the program.

#[cfg(fuzzing)]
pub mod fuzz;
#[cfg(feature = "internals")]
pub mod internals;
pub(super) mod script;
