//! The tests that measure, in a binary of their own so that nothing else runs beside them: one after the other.
#![cfg(test)]

mod alone;
mod calibration;
mod frozen;
mod queueing;
mod stall;
mod starvation;
mod support;
