//! Tests of all protocols together.

pub(super) mod contract;
pub(super) mod fault_harness;
