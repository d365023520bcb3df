//! What a worker records, and hands over at every interval's end.

pub(super) mod anomaly;
pub(super) mod batch;
pub(super) mod cell;
pub(super) mod count;
pub(super) mod counter;
pub(super) mod delivery;
pub(super) mod failure;
pub(super) mod ok_timeline;
pub(super) mod privacy;
pub(super) mod reason_ledger;
pub(super) mod recorder;
pub(super) mod slow_reading;
pub(super) mod stage;
