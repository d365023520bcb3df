//! The end and the new beginning of an MQTT session that the broker keeps (MQTT 3.1.1 §4.4).

use tokio::io::{AsyncRead, AsyncWrite};

use super::super::fault_injector::OwnedMessage;
use super::super::{Event, Failure, Message, SessionState};
use super::Mqtt;
use super::inflight::{Ack, Again, Kept};
use super::packet::{self, Publish};
use super::session_state::{put_back, suspended, take};
use crate::record::Qos;

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
        let guard = Self { session, home };
        if let Some(home) = home {
            guard.session.state = take(home);
            guard.session.resume(present)?;
        }
        Ok(guard)
    }
}

impl<S> Drop for ResumeGuard<'_, S> {
    fn drop(&mut self) {
        if let Some(home) = self.home {
            put_back(home, std::mem::take(&mut self.session.state));
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
                Again::Publish(..) if let Some(five) = &mut self.five => five.owe(pid),
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
            if let Some(event) = self.acknowledge(Ack::Pubcomp, pid, 0)? {
                self.state.keep(event);
            }
        }
        self.release_owed()
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
            let Message { seq, payload, address, .. } = message.message();
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
        Some(suspended(self.state))
    }
}
