//! The frozen-server proof, in a binary of its own so that nothing else runs beside it.
//!
//! A server answers one reading per millisecond and connection, but freezes once for 2 s. The response times a run must
//! show follow from the plan by a closed recursion: reading k is taken up when it is due or when the one before it is
//! answered, whichever is later. The run's percentiles must agree with that; its service times show how small a closed
//! loop would have made the freeze look.
#![cfg(test)]

mod frozen;
mod support;
