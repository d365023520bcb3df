//! What devices met that was, or may have been, another run's.

use serde::{Deserialize, Serialize};

/// Counts of one fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Encounters {
    /// Answers and deliveries that were taken for this run's and name no run, on topics that other runs share.
    pub unnamed: u64,
}

impl Encounters {
    /// Adds those of another worker, or shard.
    pub fn add(&mut self, other: Self) {
        let Self { unnamed } = other;
        self.unnamed += unnamed;
    }
}
