//! One device's session, whatever protocol it speaks.

use std::task::{Context, Poll};

use super::fault_injector::{self, FaultInjector};
use super::http::Http;
use super::mqtt::Mqtt;
use super::note::{self, Notes, Unmatched};
use super::ws::Ws;
use super::{Endpoint, Failure, Identity, Message, SessionState, Settings};
use crate::net::Link;
use crate::record::{ErrorKind, Protocol, Reason, Stages, Traffic};

/// What a session has to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A reading was answered, or answered again: the session does not remember what was answered before.
    Closed {
        /// Its sequence number.
        seq: u64,
        /// How it was answered.
        answer: Answer,
        /// Stage times, where the peer reported them.
        stages: Option<Stages>,
        /// Whether the peer judged the reading anomalous; `None` without a judgement.
        flagged: Option<bool>,
    },
    /// A reading of another device was heard: see [`Hearing::Others`](super::Hearing::Others).
    Heard {
        /// Number of the device that sent it, by the roster.
        sender: u32,
        /// Its sequence number.
        seq: u64,
    },
    /// [`Session::ready`] became true again, though no reading was closed.
    Writable,
}

/// How a reading was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// As it should be.
    Ok,
    /// The service said no.
    Shed,
    /// It failed.
    Error(ErrorKind),
}

/// A connected session of one device. Boxed, so that an idle slot of the engine costs two words.
#[derive(Debug)]
pub enum Session {
    /// HTTP/1.1.
    Http(Box<FaultInjector<Http>>),
    /// WebSocket.
    Ws(Box<FaultInjector<Ws>>),
    /// MQTT 3.1.1.
    Mqtt(Box<FaultInjector<Mqtt>>),
}

impl Session {
    /// Connects a device to `endpoint` and shakes hands, until a reading could be sent.
    ///
    /// Knows no time-out: drop the future to give up.
    ///
    /// # Errors
    /// [`Failure`], if the connection or the handshake fails, or the protocol cannot carry what `identity` presents.
    pub async fn connect(
        endpoint: &Endpoint,
        settings: &Settings,
        identity: &Identity,
    ) -> Result<Self, Failure> {
        let dialing = Link::dial(endpoint.address(), identity.source, identity.faults.clone());
        let link = dialing.await.map_err(|error| {
            endpoint.scarcity().note(&error);
            Failure::io(&error)
        })?;
        Self::open(link, endpoint, settings, identity).await
    }

    /// Shakes hands over a connection already made: nothing for HTTP, the upgrade for WebSocket, CONNECT and, where
    /// `settings.close` needs one, SUBSCRIBE for MQTT.
    ///
    /// # Errors
    /// [`Failure`], if the handshake fails, or the protocol cannot carry what `identity` presents.
    pub async fn open(
        link: Link,
        endpoint: &Endpoint,
        settings: &Settings,
        identity: &Identity,
    ) -> Result<Self, Failure> {
        let message_faults = fault_injector::message_faults(identity);
        Ok(match endpoint.protocol() {
            Protocol::Http => {
                let http = Http::new(link, endpoint, settings, identity)?;
                Self::Http(Box::new(FaultInjector::new(http, message_faults, settings)))
            }
            Protocol::Ws => {
                let ws = Ws::open(link, endpoint, settings, identity).await?;
                Self::Ws(Box::new(FaultInjector::new(ws, message_faults, settings)))
            }
            Protocol::Mqtt => {
                let mqtt = Mqtt::open(link, endpoint, settings, identity).await?;
                Self::Mqtt(Box::new(FaultInjector::new(mqtt, message_faults, settings)))
            }
        })
    }

    /// Whether a reading may be sent now.
    ///
    /// False while bytes of an earlier one wait for the socket, while an HTTP reply is outstanding, while MQTT has no
    /// packet identifier left, while too many replies are awaited in order, and once the peer has announced the end of the connection.
    pub fn ready(&self) -> bool {
        match self {
            Self::Http(session) => session.ready(),
            Self::Ws(session) => session.ready(),
            Self::Mqtt(session) => session.ready(),
        }
    }

    /// Encodes a reading and hands to the socket what it takes at once; the rest follows in [`Self::poll_event`].
    ///
    /// # Errors
    /// [`Failure`], if the connection is broken, the protocol cannot carry the payload or the address, or the session
    /// was not [`ready`](Self::ready).
    pub fn send(&mut self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<(), Failure> {
        match self {
            Self::Http(session) => session.send(cx, message),
            Self::Ws(session) => session.send(cx, message),
            Self::Mqtt(session) => session.send(cx, message),
        }
    }

    /// Drives reads and pending writes until there is something to tell.
    ///
    /// An event is returned the moment it is decoded, before any further I/O, so that its time can be taken; poll again
    /// until `Pending`. Nothing is lost when a poll is the last for a while.
    ///
    /// # Errors
    /// [`Failure`] ends the session, also when the peer closes an idle connection in an orderly way.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Failure>> {
        match self {
            Self::Http(session) => session.poll_event(cx),
            Self::Ws(session) => session.poll_event(cx),
            Self::Mqtt(session) => session.poll_event(cx),
        }
    }

    /// Whether [`Self::poll_event`] may have something to tell without reading from the socket.
    pub fn has_more(&self) -> bool {
        match self {
            Self::Http(session) => session.has_more(),
            Self::Ws(session) => session.has_more(),
            Self::Mqtt(session) => session.has_more(),
        }
    }

    /// Whether the session can go on once a reading has timed out.
    ///
    /// Not where the reply that is missing would shift all later ones: over HTTP, and over WebSocket with
    /// [`Correlation::Order`](super::Correlation::Order). Such a session is to be dropped, and what was sent on it given
    /// up. An MQTT session goes on in any case: the broker would pass late replies on to the next connection, where they
    /// would answer readings before their time, which is worse than answering them late.
    pub fn survives_timeout(&self) -> bool {
        match self {
            Self::Http(_) => false,
            Self::Ws(session) => session.codec.survives_timeout(),
            Self::Mqtt(_) => true,
        }
    }

    /// To be called every [`Settings::keep_alive`]: pings the peer if nothing was sent since the last call.
    /// HTTP knows no ping.
    ///
    /// # Errors
    /// [`Failure`], if the ping of the last call is still unanswered or the connection is broken.
    pub fn keep_alive(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Http(_) => Ok(()),
            Self::Ws(session) => session.codec.keep_alive(cx),
            Self::Mqtt(session) => session.codec.keep_alive(cx),
        }
    }

    /// Says goodbye as the protocol asks and shuts the connection down; ready when done or when the connection broke.
    /// A peer that does not answer keeps a WebSocket waiting: bound the time, then drop the session.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Http(session) => session.poll_close(cx),
            Self::Ws(session) => session.poll_close(cx),
            Self::Mqtt(session) => session.poll_close(cx),
        }
    }

    /// Ends the session at once, without a goodbye, and gives what is to be handed to the device's next connection in
    /// [`Identity::resume`]: for an MQTT session that the broker keeps
    /// ([`MqttSettings::clean_session`](super::MqttSettings::clean_session)). `None` where each connection begins anew.
    ///
    /// With it the broker and the next connection complete every exchange of `QoS` 1 and 2, as MQTT 3.1.1 §4.4 demands; the
    /// sender's part is to keep in flight the readings that were under way.
    pub fn suspend(self) -> Option<SessionState> {
        let Self::Mqtt(session) = self else { return None };
        let (session, unsent, untold) = session.into_parts();
        session.suspend(unsent, untold)
    }

    /// Has the next [`Self::poll_event`] ask the socket itself what has come, and not the runtime what it has heard of: before
    /// something is sent on a connection that was idle for so long that the peer may have closed it.
    pub fn look(&mut self) {
        match self {
            Self::Http(session) => session.codec.stream_mut().look(),
            Self::Ws(session) => session.codec.stream_mut().look(),
            Self::Mqtt(session) => session.codec.stream_mut().look(),
        }
    }

    /// Resets the connection (RST) without a goodbye. The session is unusable afterwards.
    pub fn abort(&mut self) {
        self.link_mut().abort();
    }

    fn notes_mut(&mut self) -> &mut Notes {
        match self {
            Self::Http(session) => session.codec.notes_mut(),
            Self::Ws(session) => session.codec.notes_mut(),
            Self::Mqtt(session) => session.codec.notes_mut(),
        }
    }

    fn link_mut(&mut self) -> &mut Link {
        match self {
            Self::Http(session) => session.codec.stream_mut(),
            Self::Ws(session) => session.codec.stream_mut(),
            Self::Mqtt(session) => session.codec.stream_mut(),
        }
    }

    /// Why reading `seq`, which an event has just closed with something else than [`Answer::Ok`], was answered so.
    pub fn explain(&mut self, seq: u64, answer: Answer) -> Reason {
        self.notes_mut().explain(seq).unwrap_or_else(|| note::plain(answer))
    }

    /// Messages received since the last call that answered no reading of this device: unreadable, unasked for, or another
    /// device's. `None` if there were none.
    pub fn take_unmatched(&mut self) -> Option<Unmatched> {
        self.notes_mut().take_unmatched()
    }

    /// Bytes that went both ways since the last call; payloads that were sent are the caller's to count.
    pub fn take_traffic(&mut self) -> Traffic {
        let (wire_sent, wire_received) = self.link_mut().take_traffic();
        let payload_received = self.notes_mut().take_payload();
        Traffic { wire_sent, wire_received, payload_sent: 0, payload_received }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_aborted_session_is_a_reset_to_its_peer() {
        use tokio::io::AsyncReadExt;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let endpoint = Endpoint::resolve(Protocol::Http, &url).unwrap();
        let (settings, identity) = (Settings::default(), Identity::of("d"));
        let mut session = Session::connect(&endpoint, &settings, &identity).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        session.abort();
        let error = peer.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn an_idle_session_is_small() {
        // Buffers come on top: at most 1 KiB each way when idle, and 4 KiB more for WebSocket.
        let sizes = [
            size_of::<Session>(),
            size_of::<FaultInjector<Http>>(),
            size_of::<FaultInjector<Mqtt>>(),
            size_of::<FaultInjector<Ws>>(),
        ];
        assert!(sizes.iter().zip([16, 416, 512, 544]).all(|(size, limit)| *size <= limit), "{sizes:?}");
    }
}
