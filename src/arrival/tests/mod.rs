//! Tests of the arrival processes, and the statistic that they share.

mod distribution;
mod statistic;
mod timeline;
