//! What jobs do.

use std::sync::{Arc, Mutex, PoisonError};

use super::board::Attempt;
use super::chance;
use crate::reference::model::Key;
use crate::reference::processor::Shared;
use crate::service::{JobClass, Work};

/// What jobs work on.
#[derive(Debug)]
pub(super) struct Workplace {
    shared: Arc<Shared>,
    /// What the last warming found in the cache: what there is to warm with after a flush.
    warmed: Mutex<Vec<Key>>,
}

impl Workplace {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), warmed: Mutex::default() }
    }

    /// Does what jobs of this class do. Cut short by a crash and done anew it comes to the same.
    ///
    /// # Errors
    /// Why the try failed, in a sentence.
    pub(super) fn labour(&self, attempt: &Attempt, class: &JobClass, seed: u64) -> Result<(), String> {
        if chance::fails(seed, attempt.number, attempt.nth, class.failure) {
            return Err(format!("it failed on purpose, as {} of the tries of its class do", class.failure));
        }
        match class.does {
            Work::Simulate => {}
            Work::CacheWarm => self.warm(class.scores),
            Work::SessionCleanup => {
                let now = self.shared.lasting(self.shared.clock.now());
                let forgotten = self.shared.devices.forget_silent(now, class.idle.as_ns());
                tracing::debug!(forgotten, "devices that were silent for long");
            }
        }
        Ok(())
    }

    /// Computes up to `most` scores anew: those in the cache, or where it is empty those that were there the last time.
    fn warm(&self, most: usize) {
        let mut keys = self.shared.cache.keys(most);
        let mut warmed = self.warmed.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.is_empty() {
            keys.clone_from(&warmed);
        } else {
            warmed.clone_from(&keys);
        }
        drop(warmed);
        self.shared.warm(&keys);
    }
}
