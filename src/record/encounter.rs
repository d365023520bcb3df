//! What devices met that was, or may have been, another run's.

use serde::{Deserialize, Serialize};

/// Counts of one fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Encounters {
    /// Answers and deliveries that were taken for this run's and name no run, on topics that other runs share.
    pub unnamed: u64,
    /// Devices for which the peer had kept a session before they first connected in this run.
    pub sessions_found: u64,
    /// Devices that were cut off again and again soon after they had connected, as by another client with their identifier.
    pub taken_over: u64,
    /// Sessions that the peer keeps and that were removed after the run.
    pub sessions_removed: u64,
    /// Those that were not: the peer did not answer in time, or refused.
    pub sessions_left: u64,
}

impl Encounters {
    /// Adds those of another worker, or shard.
    pub fn add(&mut self, other: Self) {
        let Self { unnamed, sessions_found, taken_over, sessions_removed, sessions_left } = other;
        self.unnamed += unnamed;
        self.sessions_found += sessions_found;
        self.taken_over += taken_over;
        self.sessions_removed += sessions_removed;
        self.sessions_left += sessions_left;
    }

    /// Whether there is nothing to tell.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
