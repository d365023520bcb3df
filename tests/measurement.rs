//! The tests that measure, in a binary of their own so that nothing else runs beside them: one after the other.
#![cfg(test)]

mod alone;
#[path = "support/authority.rs"]
mod authority;
mod calibration;
#[cfg(target_os = "linux")]
mod exhaustion;
mod frozen;
#[cfg(target_os = "linux")]
mod generator;
mod queueing;
#[path = "support/skip.rs"]
mod skip;
mod stall;
mod starvation;
mod support;
#[cfg(target_os = "linux")]
mod throttling;
#[path = "support/trusted.rs"]
mod trusted;
