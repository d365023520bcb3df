//! What fuzzing and benches drive the bundled system with. No part of the program.

#[cfg(fuzzing)]
pub mod fuzz;
#[cfg(feature = "internals")]
pub mod internals;
