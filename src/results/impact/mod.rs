//! What faults did to the service: the level before, the activation, and the recovery.

pub(super) mod level;
pub(super) mod tracker;
pub(super) mod watch;
