//! How readings ended, and what the audit found of their order.

use crate::record::Outcomes;

/// How readings ended, and how many were answered again or out of order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ReadingCounts {
    pub(crate) outcomes: Outcomes,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
}

impl ReadingCounts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.outcomes.add(&other.outcomes);
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
    }
}
