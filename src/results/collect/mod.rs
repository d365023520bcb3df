//! From the workers' parts of an interval to the files, the totals and the reports on a run.

pub(super) mod budget;
pub(super) mod collector;
pub(super) mod interval;
pub(super) mod measurement;
pub(super) mod metric_board;
pub(super) mod pause;
pub(super) mod pipeline;
pub(super) mod refusal;
pub(super) mod run_files;
pub(super) mod stored;
pub(super) mod total;
