//! What outlives a connection of an MQTT session that the broker keeps (MQTT 3.1.1 §3.1.2.4, §4.4).

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::rc::Rc;

use super::super::Event;
use super::inflight::InFlight;

/// Most events that wait to be told because they came during a handshake.
const MOST_EARLY: usize = 16_384;

/// The device's side of a session.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Readings without their last acknowledgement.
    pub(super) in_flight: InFlight,
    /// Identifiers of inbound `QoS` 2 messages between PUBREC and PUBREL.
    pub(super) received: BTreeSet<u16>,
    /// What has happened and could not be told yet.
    pub(super) early: VecDeque<Event>,
}

impl State {
    /// Keeps an event until somebody polls for one; false if there are too many.
    pub(super) fn keep(&mut self, event: Event) -> bool {
        let room = self.early.len() < MOST_EARLY;
        if room {
            self.early.push_back(event);
        }
        room
    }
}

/// What an MQTT session that the broker keeps had in flight when its connection ended. The device's next connection takes it
/// up: see [`Identity::resume`](crate::protocol::Identity::resume).
///
/// Clones are one and the same. An attempt to connect takes the contents out once the broker has accepted it, and puts back
/// what is left of them if it fails after all, so the same value serves the next attempt.
///
/// A reading that the broker has acknowledged is no longer in it, though its verdict, which the broker keeps for the device,
/// may still come.
#[derive(Clone)]
pub struct SessionState(Rc<RefCell<State>>);

impl SessionState {
    pub(super) fn new(state: State) -> Self {
        Self(Rc::new(RefCell::new(state)))
    }

    pub(super) fn take(&self) -> State {
        self.0.take()
    }

    pub(super) fn put_back(&self, state: State) {
        self.0.replace(state);
    }

    /// Sequence numbers of the readings whose end the next connection will tell of, in no particular order; one that was sent
    /// twice stands there twice.
    #[cfg(test)]
    pub(super) fn seqs(&self) -> impl Iterator<Item = u64> + use<> {
        let state = self.0.borrow();
        let early = state.early.iter().filter_map(|event| match event {
            Event::Closed { seq, .. } => Some(*seq),
            Event::Heard { .. } | Event::Writable => None,
        });
        state.in_flight.seqs().chain(early).collect::<Vec<_>>().into_iter()
    }
}

/// Clones are one and the same.
impl PartialEq for SessionState {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SessionState {}

impl fmt::Debug for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.borrow();
        f.debug_struct("SessionState")
            .field("in_flight", &state.in_flight)
            .field("received", &state.received)
            .field("early", &state.early)
            .finish()
    }
}
