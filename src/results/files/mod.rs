//! The files of a run: what each holds, how it is written, and how it is read back.

pub(super) mod anomaly;
pub(super) mod batch_codec;
pub(super) mod demand;
pub(super) mod detection;
pub(super) mod directory;
pub(super) mod distribution;
pub(super) mod event;
pub(super) mod failure;
pub(super) mod figures;
pub(super) mod fleet;
pub(super) mod history;
pub(super) mod history_log;
pub(super) mod hlog;
pub(super) mod host;
pub(super) mod manifest;
pub(super) mod manifest_store;
pub(super) mod millis;
pub(super) mod outage;
mod packed;
pub(super) mod plan;
mod rebuilt;
pub(super) mod replaced;
pub(super) mod report;
pub(super) mod seal;
pub(super) mod service;
pub(super) mod shard;
pub(super) mod table;
