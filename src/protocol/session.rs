//! One device's session, whatever protocol it speaks.

use std::task::{Context, Poll};
use std::time::Duration;

use super::http::Http;
use super::mqtt::Mqtt;
use super::ws::Ws;
use super::{Endpoint, Failure};
use crate::fault::Link;
use crate::record::{Close, ErrorKind, Protocol, Qos, Stages};

/// How the devices of one fleet use their sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// What closes a reading.
    pub close: Close,
    /// Quality of service of MQTT publishes; without meaning elsewhere.
    pub qos: Qos,
    /// How often [`Session::keep_alive`] is called; zero if never.
    ///
    /// MQTT announces twice this to the broker (in whole seconds, at most 65 535): a device that sent something just
    /// after one call may stay silent until the call after next.
    pub keep_alive: Duration,
}

impl Settings {
    /// Whether a fleet of `protocol` can work like this.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what is possible.
    pub fn check(&self, protocol: Protocol) -> Result<(), String> {
        let possible: &[Close] = match protocol {
            Protocol::Http => &[Close::Response],
            Protocol::Ws => &[Close::Verdict, Close::Sent],
            Protocol::Mqtt => &[Close::Verdict, Close::Ack, Close::Delivery, Close::Sent],
        };
        if !possible.contains(&self.close) {
            let words: Vec<_> = possible.iter().map(|close| format!("`{close}`")).collect();
            return Err(format!(
                "a {protocol} reading cannot be closed by `{}`: use {}",
                self.close,
                words.join(" or ")
            ));
        }
        if self.close == Close::Ack && self.qos == Qos::AtMostOnce {
            return Err(
                "QoS 0 has no acknowledgement: use QoS 1 or 2, or another close than `ack`".to_owned()
            );
        }
        Ok(())
    }
}

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
    Http(Box<Http>),
    /// WebSocket.
    Ws(Box<Ws>),
    /// MQTT 3.1.1.
    Mqtt(Box<Mqtt>),
}

impl Session {
    /// Connects `device` to `endpoint` and shakes hands, until a reading could be sent.
    ///
    /// Knows no time-out: drop the future to give up.
    ///
    /// # Errors
    /// [`Failure`], if the connection or the handshake fails.
    pub async fn connect(endpoint: &Endpoint, settings: &Settings, device: &str) -> Result<Self, Failure> {
        let link = Link::dial(endpoint.address(), None).await.map_err(|error| Failure::io(&error))?;
        Self::open(link, endpoint, settings, device).await
    }

    /// Shakes hands over a connection already made: nothing for HTTP, the upgrade for WebSocket, CONNECT and, where
    /// `settings.close` needs one, SUBSCRIBE for MQTT.
    ///
    /// # Errors
    /// [`Failure`], if the handshake fails.
    pub async fn open(
        link: Link,
        endpoint: &Endpoint,
        settings: &Settings,
        device: &str,
    ) -> Result<Self, Failure> {
        Ok(match endpoint.protocol() {
            Protocol::Http => Self::Http(Box::new(Http::new(link, endpoint, device))),
            Protocol::Ws => Self::Ws(Box::new(Ws::open(link, endpoint, settings, device).await?)),
            Protocol::Mqtt => Self::Mqtt(Box::new(Mqtt::open(link, endpoint, settings, device).await?)),
        })
    }

    /// Whether a reading may be sent now.
    ///
    /// False while bytes of an earlier one wait for the socket, while an HTTP reply is outstanding, while MQTT has no
    /// packet identifier left, and once the peer has announced the end of the connection.
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
    /// [`Failure`], if the connection is broken, the payload is larger than the protocol can carry, or the session was
    /// not [`ready`](Self::ready).
    pub fn send(&mut self, cx: &mut Context<'_>, seq: u64, payload: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Http(session) => session.send(cx, seq, payload),
            Self::Ws(session) => session.send(cx, seq, payload),
            Self::Mqtt(session) => session.send(cx, seq, payload),
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

    /// To be called every [`Settings::keep_alive`]: pings the peer if nothing was sent since the last call.
    /// HTTP knows no ping.
    ///
    /// # Errors
    /// [`Failure`], if the ping of the last call is still unanswered or the connection is broken.
    pub fn keep_alive(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Http(_) => Ok(()),
            Self::Ws(session) => session.keep_alive(cx),
            Self::Mqtt(session) => session.keep_alive(cx),
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

    /// Messages received that answered no reading of this device: unreadable, unasked for, or another device's.
    pub fn stray(&self) -> u64 {
        match self {
            Self::Http(_) => 0,
            Self::Ws(session) => session.stray(),
            Self::Mqtt(session) => session.stray(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_must_exist_in_its_protocol() {
        use {Close as C, Protocol as P, Qos as Q};
        let all_qos = [Q::AtMostOnce, Q::AtLeastOnce, Q::ExactlyOnce];
        for protocol in P::ALL {
            for close in C::ALL {
                for qos in all_qos {
                    let expected = match (protocol, close) {
                        (P::Mqtt, C::Ack) => qos != Q::AtMostOnce,
                        (P::Mqtt, close) => close != C::Response,
                        (P::Ws, close) => matches!(close, C::Verdict | C::Sent),
                        (P::Http, close) => close == C::Response,
                    };
                    let settings = Settings { close, qos, keep_alive: Duration::ZERO };
                    let checked = settings.check(protocol);
                    assert_eq!(checked.is_ok(), expected, "{protocol} {close} {qos:?}");
                    assert!(checked.err().is_none_or(|message| message.contains("use ")));
                }
            }
        }
    }

    #[test]
    fn an_idle_session_is_small() {
        // Buffers come on top: at most 1 KiB each way when idle, and 4 KiB more for WebSocket.
        let sizes = [size_of::<Session>(), size_of::<Http>(), size_of::<Mqtt>(), size_of::<Ws>()];
        assert!(sizes.iter().zip([16, 512, 512, 768]).all(|(size, limit)| *size <= limit), "{sizes:?}");
    }
}
