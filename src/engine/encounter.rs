//! What the devices of a fleet met that was, or may have been, another run's.

use std::cell::Cell;

use super::device::Device;
use super::worker::Worker;
use crate::record::{Encounters, Sink};
use crate::scenario::Fleet;

/// What one worker's devices of a fleet met.
#[derive(Debug)]
pub(super) struct EncounterCounter {
    /// Whether what answers its readings can come from anybody who publishes, on topics that other runs share.
    is_open: bool,
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

impl<S: Sink> Worker<S> {
    /// What `device` waited for, or listened to, came in a message; `named` says that it names this run.
    pub(super) fn answered_by(&self, device: &Device, named: bool) {
        let counter = &self.encounters[usize::from(device.fleet.0)];
        if !named && counter.is_open {
            counter.add(Encounters { unnamed: 1, ..Encounters::default() });
        }
    }
}
