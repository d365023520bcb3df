//! One device's session, whatever protocol it speaks.

use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use super::note::{self, Unmatched};
use super::{Answer, Event, Failure, Message, RetryAfter, SessionState};
use crate::net::Connection;
use crate::record::{Reason, Traffic};

/// A connected session of one device, whatever protocol it speaks. Boxed, so that an idle slot of the engine costs two words.
pub trait Session: fmt::Debug {
    /// Whether a reading may be sent now.
    ///
    /// False while bytes of an earlier one wait for the socket, while the one reading that may be under way is, while the
    /// protocol has no identifier left, while too many replies are awaited in order, and once the peer has announced the end
    /// of the connection.
    fn ready(&self) -> bool;

    /// Encodes a reading and hands to the socket what it takes at once; the rest follows in [`Self::poll_event`].
    ///
    /// # Errors
    /// [`Failure`], if the connection is broken, the protocol cannot carry the payload or the address, or the session
    /// was not [`ready`](Self::ready).
    fn send(&mut self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<(), Failure>;

    /// Drives reads and pending writes until there is something to tell.
    ///
    /// An event is returned the moment it is decoded, before any further I/O, so that its time can be taken; poll again
    /// until `Pending`. Nothing is lost when a poll is the last for a while.
    ///
    /// # Errors
    /// [`Failure`] ends the session, also when the peer closes an idle connection in an orderly way.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Failure>>;

    /// Whether [`Self::poll_event`] may have something to tell without reading from the socket.
    fn has_more(&self) -> bool;

    /// Says goodbye as the protocol asks and shuts the connection down; ready when done or when the connection broke.
    /// A peer that does not answer may keep it waiting: bound the time, then drop the session.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Whether the session can go on once a reading has timed out.
    ///
    /// Not where the reply that is missing would shift all later ones. Such a session is to be dropped, and what was sent on it
    /// given up. An MQTT session goes on in any case: the broker would pass late replies on to the next connection, where they
    /// would answer readings before their time, which is worse than answering them late.
    fn survives_timeout(&self) -> bool {
        true
    }

    /// What has come of an answer that is not whole: a sentence that follows what is said of a time-out. `None` if nothing has.
    fn half_answered(&self) -> Option<&'static str> {
        None
    }

    /// To be called every [`Settings::keep_alive`](super::Settings::keep_alive): pings the peer if nothing was sent since the
    /// last call, where the protocol knows a ping.
    ///
    /// # Errors
    /// [`Failure`], if the ping of the last call is still unanswered or the connection is broken.
    fn keep_alive(&mut self, _: &mut Context<'_>) -> Result<(), Failure> {
        Ok(())
    }

    /// How often [`Self::keep_alive`] is to be called instead, as the peer wants it; zero for never, `None` where it says nothing.
    fn keep_alive_period(&self) -> Option<Duration> {
        None
    }

    /// Ends the session at once, without a goodbye, and gives what is to be handed to the device's next connection in
    /// [`Identity::resume`](super::Identity::resume). `None` where each connection begins anew.
    ///
    /// With it peer and next connection complete every exchange under way, as MQTT 3.1.1 §4.4 demands at `QoS` 1 and 2; the
    /// sender's part is to keep in flight the readings that were under way.
    fn suspend(self: Box<Self>) -> Option<SessionState> {
        None
    }

    /// Whether the peer had kept a session of the device, which this connection takes up.
    fn is_resumed(&self) -> bool {
        false
    }

    /// Has the next [`Self::poll_event`] ask the socket itself what has come, and not the runtime what it has heard of: before
    /// something is sent on a connection that was idle for so long that the peer may have closed it.
    fn look(&mut self) {}

    /// Whether the peer may still refuse the device itself, though the session can be used: over TLS 1.3 a server judges the
    /// device's certificate when the device takes itself for connected. An error of kind [`ErrorKind::Tls`](crate::record::ErrorKind::Tls) is then such a
    /// refusal, and nothing that was sent has reached the service.
    fn awaits_admission(&mut self) -> bool {
        false
    }

    /// Resets the connection (RST) without a goodbye. The session is unusable afterwards.
    fn abort(&mut self);

    /// Why reading `seq`, which an event has just closed with something else than [`Answer::Ok`], was answered so.
    fn explain(&mut self, _seq: u64, answer: Answer) -> Reason {
        note::plain(answer)
    }

    /// How long the service that has just refused reading `seq` asks to be left alone; to be asked before [`Self::explain`].
    fn retry_after(&mut self, _seq: u64) -> Option<RetryAfter> {
        None
    }

    /// Messages received since the last call that answered no reading of this device, those of one kind at a time. `None` if there
    /// are no more.
    fn take_unmatched(&mut self) -> Option<Unmatched> {
        None
    }

    /// What the peer does other than it was asked to, with its code, and how often since it was last taken; readings go on all the
    /// same. `None` if there is no more.
    fn take_remark(&mut self) -> Option<(u64, Reason)> {
        None
    }

    /// Bytes that went both ways since the last call; payloads that were sent are the caller's to count.
    fn take_traffic(&mut self) -> Traffic;
}

/// What carries the bytes of a session.
pub(super) trait Carrier {
    /// See [`Session::look`].
    fn look(&mut self) {}

    /// See [`Session::awaits_admission`].
    fn awaits_admission(&self) -> bool {
        false
    }

    /// See [`Session::abort`].
    fn abort(&mut self) {}

    /// Bytes sent and received since the last call.
    fn take_traffic(&mut self) -> (u64, u64) {
        (0, 0)
    }
}

impl Carrier for Connection {
    fn look(&mut self) {
        Self::look(self);
    }

    fn awaits_admission(&self) -> bool {
        Self::awaits_admission(self)
    }

    fn abort(&mut self) {
        Self::abort(self);
    }

    fn take_traffic(&mut self) -> (u64, u64) {
        Self::take_traffic(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault_injector::FaultInjector;
    use super::super::http::Http;
    use super::super::mqtt::Mqtt;
    use super::super::ws::Ws;
    use super::super::{Endpoint, Identity, Session, Settings, connect};
    use crate::record::Protocol;

    #[tokio::test]
    async fn an_aborted_session_is_a_reset_to_its_peer() {
        use tokio::io::AsyncReadExt;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let endpoint = Endpoint::resolve(Protocol::named("http"), &url).unwrap();
        let (settings, identity) = (Settings::default(), Identity::of("d"));
        let mut session = connect(&endpoint, &settings, &identity).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        session.abort();
        let error = peer.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn an_idle_session_is_small() {
        // Buffers come on top: at most 1 KiB each way when idle, and 4 KiB more for WebSocket.
        let sizes = [
            size_of::<Box<dyn Session>>(),
            size_of::<FaultInjector<Http>>(),
            size_of::<FaultInjector<Mqtt>>(),
            size_of::<FaultInjector<Ws>>(),
        ];
        assert!(sizes.iter().zip([16, 424, 528, 544]).all(|(size, limit)| *size <= limit), "{sizes:?}");
    }
}
