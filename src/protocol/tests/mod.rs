//! Tests of all protocols together.

pub(super) mod contract;
