//! What outlives a connection of an MQTT session that the broker keeps (MQTT 3.1.1 §3.1.2.4, §4.4).

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::super::fault_injector::OwnedMessage;
use super::super::{Event, Failure, Message};
use super::Mqtt;
use super::inflight::{Again, InFlight, Kept};
use super::packet::{self, Ack, Publish};
use crate::record::Qos;

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
        let told = state.early.iter().filter_map(|event| match event {
            Event::Closed { seq, .. } => Some(*seq),
            Event::Heard { .. } | Event::Writable => None,
        });
        state.in_flight.seqs().chain(told).collect::<Vec<_>>().into_iter()
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

/// A session between CONNACK and the end of its handshake. If that fails, or is given up, what it has resumed goes back where
/// it came from.
pub(super) struct ResumeGuard<'a, S> {
    pub(super) session: &'a mut Mqtt<S>,
    pub(super) home: Option<&'a SessionState>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> ResumeGuard<'a, S> {
    /// Has the session resume what is in `home`; `present`: so does the broker.
    pub(super) fn new(
        session: &'a mut Mqtt<S>,
        home: Option<&'a SessionState>,
        present: bool,
    ) -> Result<Self, Failure> {
        let homecoming = Self { session, home };
        if let Some(home) = home {
            homecoming.session.state = home.take();
            homecoming.session.resume(present)?;
        }
        Ok(homecoming)
    }
}

impl<S> Drop for ResumeGuard<'_, S> {
    fn drop(&mut self) {
        if let Some(home) = self.home {
            home.put_back(std::mem::take(&mut self.session.state));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Mqtt<S> {
    /// Sends again what was in flight, before anything new.
    ///
    /// A broker that still has the session gets each packet as it was, PUBLISH marked as a duplicate (§4.4). To one that has
    /// not, the identifiers mean nothing: a PUBLISH is a new message to it. But a reading that it has confirmed by PUBREC must
    /// not be published again [MQTT-4.3.3-1]: with PUBREC the broker took charge of it, and another PUBLISH could deliver it a
    /// second time. So its exchange is complete, as far as this end can ever know; and what the broker had begun to deliver at
    /// `QoS` 2 begins anew.
    fn resume(&mut self, present: bool) -> Result<(), Failure> {
        let retain = self.settings.retain;
        let mut owned = Vec::new();
        for (pid, again) in self.state.in_flight.again() {
            match again {
                Again::Publish(qos, Kept { topic, payload }) => {
                    let publish = Publish { qos, pid, retain, topic, payload };
                    let encode = if present { packet::encode_again } else { packet::encode_publish };
                    encode(&publish, self.outbox.tail())?;
                }
                Again::Release if present => packet::encode_ack(Ack::Pubrel, pid, self.outbox.tail()),
                Again::Release => owned.push(pid),
            }
        }
        if !present {
            self.state.received.clear();
        }
        for pid in owned {
            if let Some(event) = self.acknowledge(Ack::Pubcomp, pid)? {
                self.state.keep(event);
            }
        }
        Ok(())
    }

    /// Ends the session without a word and keeps what the next connection has to take up; `None` if the broker forgets the
    /// session, too. `unsent` are readings that the session was going to send, `untold` what it was going to tell.
    pub(super) fn into_state(
        mut self,
        unsent: impl IntoIterator<Item = OwnedMessage>,
        untold: impl IntoIterator<Item = Event>,
    ) -> Option<SessionState> {
        if self.settings.clean_session {
            return None;
        }
        for message in unsent {
            let Message { seq, payload, address } = message.message();
            if self.settings.qos != Qos::AtMostOnce
                && let Ok(topic) = self.topics.of_reading(address)
                && let Some(pid) = self.state.in_flight.begin(seq, self.settings.qos)
            {
                self.state.in_flight.keep(pid, topic, payload);
            }
        }
        for event in untold {
            self.state.keep(event);
        }
        Some(SessionState::new(self.state))
    }
}
