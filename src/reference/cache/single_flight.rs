//! One inference for all who wait for the same answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::reference::model::Key;

/// Inferences under way, each with those who wait for it.
#[derive(Debug)]
pub(in crate::reference) struct SingleFlight<W> {
    waiting: Mutex<HashMap<Key, Vec<W>>>,
}

/// The duty to bring a flight to its end. If it is dropped before (its worker crashed), those who wait are dropped with it.
#[derive(Debug)]
pub(in crate::reference) struct Leader<W> {
    flights: Arc<SingleFlight<W>>,
    key: Key,
    finished: bool,
}

impl<W> SingleFlight<W> {
    pub(in crate::reference) fn new() -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::default() })
    }

    /// Waits for the inference of `key` that is under way, or is the one to make it.
    pub(in crate::reference) fn join(self: &Arc<Self>, key: Key, waiting: W) -> Result<(), (Leader<W>, W)> {
        let mut flights = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(followers) = flights.get_mut(&key) {
            followers.push(waiting);
            return Ok(());
        }
        flights.insert(key, Vec::new());
        Err((Leader { flights: Arc::clone(self), key, finished: false }, waiting))
    }

    /// The duty to make the inference of `key`, if nobody has it.
    pub(in crate::reference) fn lead(self: &Arc<Self>, key: Key) -> Option<Leader<W>> {
        let mut flights = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if flights.contains_key(&key) {
            return None;
        }
        flights.insert(key, Vec::new());
        Some(Leader { flights: Arc::clone(self), key, finished: false })
    }
}

impl<W> Leader<W> {
    /// Ends the flight; gives those who waited.
    pub(in crate::reference) fn finish(mut self) -> Vec<W> {
        self.finished = true;
        self.take()
    }

    fn take(&self) -> Vec<W> {
        self.flights
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key)
            .unwrap_or_default()
    }
}

impl<W> Drop for Leader<W> {
    fn drop(&mut self) {
        // Once finished, the key may be somebody else's flight.
        if !self.finished {
            // Outside the lock: what is dropped calls for an answer of its own.
            drop(self.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::detector::Vector;

    #[test]
    fn one_leads_the_others_wait_and_a_crash_lets_the_next_one_lead() {
        let flights = SingleFlight::new();
        let key = Key { vector: Vector::default(), model: 0, version: 1 };
        let (leader, first) = flights.join(key, 1).unwrap_err();
        assert_eq!(first, 1);
        assert!(flights.join(key, 2).is_ok() && flights.join(key, 3).is_ok() && flights.lead(key).is_none());
        assert_eq!(leader.finish(), [2, 3]);
        let leader = flights.lead(key).expect("nobody leads");
        assert!(flights.join(key, 4).is_ok());
        drop(leader);
        assert!(flights.join(key, 5).is_err(), "a flight that crashed is over");
    }
}
