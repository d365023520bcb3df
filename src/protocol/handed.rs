//! Readings closed by being handed to the socket, until their event is fetched.

use std::collections::VecDeque;

use super::{Answer, Event};

/// Most readings handed over between two polls for events; the session is not ready for more.
const BOUND: usize = 64;

/// Sequence numbers in the order of writing. At most the last one can still be on its way to the socket.
#[derive(Debug, Default)]
pub(super) struct Handed {
    seqs: VecDeque<u64>,
}

impl Handed {
    pub(super) fn push(&mut self, seq: u64) {
        self.seqs.push_back(seq);
    }

    pub(super) fn is_full(&self) -> bool {
        self.seqs.len() >= BOUND
    }

    /// Whether a reading is closed; `blocked` says that the bytes of the last one still wait for the socket.
    pub(super) fn has_closed(&self, blocked: bool) -> bool {
        self.seqs.len() > usize::from(blocked)
    }

    /// The next reading that is closed, if there is one.
    pub(super) fn pop(&mut self, blocked: bool) -> Option<Event> {
        if !self.has_closed(blocked) {
            return None;
        }
        let seq = self.seqs.pop_front()?;
        Some(Event::Closed { seq, answer: Answer::Ok, stages: None, flagged: None })
    }
}
