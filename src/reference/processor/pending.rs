//! A reading that a worker has begun, and what becomes of it when the worker crashes.

use std::sync::Arc;

use crate::clock::Tick;
use crate::reference::answer::Unanswered;
use crate::reference::detector::Defects;
use crate::reference::device::{Handle, Signal, open};
use crate::reference::model::Key;
use crate::reference::state::{Entry, Journal};

/// A reading between its features and its score.
#[derive(Debug)]
pub(in crate::reference) struct PendingReading {
    /// None once it is answered.
    pub(super) unanswered: Option<Unanswered>,
    pub(super) name: Arc<str>,
    pub(super) device: Handle,
    /// What both models see.
    pub(super) keys: [Key; 2],
    pub(super) variant: usize,
    /// What is wrong with the reading as data.
    pub(super) defects: Defects,
    /// Which of its device's readings it is.
    pub(super) order: u64,
    pub(super) undo: Option<Undo>,
    pub(super) taken: Tick,
    pub(super) featured: Tick,
    pub(super) looked: Tick,
}

/// What takes back a reading that a crashed worker had begun.
#[derive(Debug)]
pub(super) struct Undo {
    /// What was known of the signal before.
    pub(super) before: Box<Signal>,
    pub(super) journal: Option<Arc<Journal>>,
}

impl Drop for PendingReading {
    fn drop(&mut self) {
        // Its worker crashed: the reading was not worked on, and is new when it is sent again.
        let Some(Unanswered { reading, .. }) = &self.unanswered else { return };
        let mut state = open(&self.device);
        state.recent.retract(reading.run, reading.seq);
        state.under_way = state.under_way.saturating_sub(1);
        if let Some(Undo { before, journal }) = self.undo.take()
            && state.take_back(self.order, &before)
            && let Some(journal) = journal
        {
            journal.enter(Entry::Device(Arc::clone(&self.name), Box::new(state.clone())));
        }
    }
}
