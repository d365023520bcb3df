//! What the devices of a fleet met that was, or may have been, another run's: the counts.

use std::cell::Cell;

use crate::record::Encounters;
use crate::scenario::Fleet;

/// What one worker's devices of a fleet met.
#[derive(Debug)]
pub(super) struct EncounterCounter {
    /// Whether what answers its readings can come from anybody who publishes, on topics that other runs share.
    pub(super) is_open: bool,
    pub(super) met: Cell<Encounters>,
}

impl EncounterCounter {
    pub(super) fn new(fleet: &Fleet) -> Self {
        let is_open = fleet.facts.hears_others && !fleet.exchange.is_isolated(fleet.close);
        Self { is_open, met: Cell::default() }
    }

    pub(super) fn add(&self, more: Encounters) {
        let mut met = self.met.get();
        met.add(more);
        self.met.set(met);
    }
}
