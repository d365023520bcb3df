//! What outlives a connection of an MQTT session that the broker keeps (MQTT 3.1.1 §3.1.2.4, §4.4).

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::super::{Event, SessionState};
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

/// What an MQTT session that the broker keeps had in flight when its connection ended: the device's next takes it up.
///
/// An attempt to connect takes the contents out once the broker has accepted it, and puts back what is left of them if it fails
/// after all, so the same value serves the next attempt.
///
/// A reading that the broker has acknowledged is no longer in it, though its verdict, which the broker keeps for the device,
/// may still come.
pub(super) fn suspended(state: State) -> SessionState {
    SessionState::new(RefCell::new(state), Duration::ZERO)
}

pub(super) fn take(suspended: &SessionState) -> State {
    suspended.get::<RefCell<State>>().map(RefCell::take).unwrap_or_default()
}

pub(super) fn put_back(suspended: &SessionState, state: State) {
    if let Some(kept) = suspended.get::<RefCell<State>>() {
        kept.replace(state);
    }
}

/// Sequence numbers of the readings whose end the next connection will tell of, in no particular order; one that was sent
/// twice stands there twice.
#[cfg(test)]
pub(super) fn seqs(suspended: &SessionState) -> Vec<u64> {
    let Some(kept) = suspended.get::<RefCell<State>>() else { return Vec::new() };
    let state = kept.borrow();
    let early = state.early.iter().filter_map(|event| match event {
        Event::Closed { seq, .. } => Some(*seq),
        Event::Heard { .. } | Event::Replied | Event::Asks | Event::Writable => None,
    });
    state.in_flight.seqs().chain(early).collect()
}
