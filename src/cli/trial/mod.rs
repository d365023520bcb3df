//! A service under test as a process of its own, and single runs against it: what comparisons of builds and searches for a capacity
//! have in common.

pub(super) mod args;
pub(super) mod build;
pub(super) mod generator;
pub(super) mod pin;
mod process;
mod readiness;
pub(super) mod record;

pub(super) use process::StopResult;
