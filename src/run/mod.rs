//! A run, from a plan and its targets to its files.

pub(crate) mod control;
