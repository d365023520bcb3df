//! MQTT 3.1.1: one PUBLISH per reading, pipelined, at any quality of service.

mod inflight;
#[cfg(test)]
mod oracle;
mod packet;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mqtt_proto::TopicName;
use mqtt_proto::v3::ConnectReturnCode;
use tokio::io::{AsyncRead, AsyncWrite};

use self::inflight::{InFlight, Progress};
use self::packet::{Ack, Inbound, Publish};
use super::buffer::{Inbox, Outbox};
use super::handed::Handed;
use super::pulse::Pulse;
use super::verdict::{self, Reply};
use super::{Answer, Endpoint, Event, Failure, Settings};
use crate::fault::Link;
use crate::record::{Close, Qos};

/// With this many bytes waiting for the socket nothing more is read: a broker that sends without reading
/// would otherwise make acknowledgements pile up.
const MAX_QUEUED: usize = 64 * 1024;

/// The SUBSCRIBE is over before the first PUBLISH, so any identifier is free.
const SUBSCRIBE_PID: u16 = 1;

/// An MQTT session. See [`Session`](super::Session) for what the methods promise.
#[derive(Debug)]
pub struct Mqtt<S = Link> {
    stream: S,
    outbox: Outbox,
    inbox: Inbox,
    device: Box<str>,
    topic: Box<str>,
    close: Close,
    qos: Qos,
    in_flight: InFlight,
    /// Identifiers of inbound `QoS` 2 messages between PUBREC and PUBREL.
    received: BTreeSet<u16>,
    handed: Handed,
    /// Bytes wait for the socket.
    blocked: bool,
    /// Whoever sends was last told that the session is not ready.
    stalled: bool,
    pulse: Pulse,
    leaving: bool,
    stray: u64,
}

/// A packet from the broker, judged and free of the receive buffer.
#[derive(Debug, Clone, Copy)]
enum Received {
    Connack(ConnectReturnCode),
    Suback { pid: u16, granted: bool },
    Publish { qos: Qos, pid: u16, reply: Option<Reply> },
    Ack(Ack, u16),
    Pingresp,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Mqtt<S> {
    /// CONNECT, CONNACK and, where `settings.close` needs it, SUBSCRIBE and SUBACK over `stream`.
    pub(super) async fn open(
        stream: S,
        endpoint: &Endpoint,
        settings: &Settings,
        device: &str,
    ) -> Result<Self, Failure> {
        let mut session = Self::new(stream, settings, device)?;
        let login = endpoint.credentials().map(|login| (login.user.as_str(), login.password.as_deref()));
        let keep_alive = announced(settings.keep_alive);
        packet::encode_connect(device, keep_alive, login, session.outbox.tail())?;
        let Received::Connack(code) = poll_fn(|cx| session.poll_packet(cx)).await? else {
            return Err(Failure::protocol("the broker sent another packet before CONNACK"));
        };
        if code != ConnectReturnCode::Accepted {
            return Err(Failure::protocol(format!("the broker refused the connection: {}", refusal(code))));
        }
        if let Some((topic, qos)) = session.subscription() {
            session.subscribe(&topic, qos).await?;
        }
        Ok(session)
    }

    fn new(stream: S, settings: &Settings, device: &str) -> Result<Self, Failure> {
        let topic = format!("devices/{device}/readings");
        if device.is_empty() || TopicName::is_invalid(&topic) {
            return Err(Failure::protocol(format!("`{device}` cannot be part of an MQTT topic")));
        }
        Ok(Self {
            stream,
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            device: device.into(),
            topic: topic.into(),
            close: settings.close,
            qos: settings.qos,
            in_flight: InFlight::default(),
            received: BTreeSet::new(),
            handed: Handed::default(),
            blocked: false,
            stalled: false,
            pulse: Pulse::default(),
            leaving: false,
            stray: 0,
        })
    }

    /// Topic and quality of service of what closes readings, if they are closed by a message.
    fn subscription(&self) -> Option<(String, Qos)> {
        match self.close {
            Close::Verdict => Some((format!("devices/{}/verdicts", self.device), Qos::AtLeastOnce)),
            Close::Delivery => Some((self.topic.to_string(), self.qos)),
            Close::Response | Close::Ack | Close::Sent => None,
        }
    }

    async fn subscribe(&mut self, topic: &str, qos: Qos) -> Result<(), Failure> {
        packet::encode_subscribe(SUBSCRIBE_PID, topic, qos, self.outbox.tail())?;
        loop {
            match poll_fn(|cx| self.poll_packet(cx)).await? {
                Received::Suback { pid: SUBSCRIBE_PID, granted: true } => return Ok(()),
                Received::Suback { .. } => {
                    return Err(Failure::protocol(format!("the broker refused the subscription to {topic}")));
                }
                // Messages may overtake SUBACK (§3.8.4). None can answer a reading, for none was sent.
                other => drop(self.handle(other)?),
            }
        }
    }

    pub(super) fn ready(&self) -> bool {
        !self.blocked && !self.handed.is_full() && (self.qos == Qos::AtMostOnce || self.in_flight.has_room())
    }

    pub(super) const fn stray(&self) -> u64 {
        self.stray
    }

    pub(super) fn send(&mut self, cx: &mut Context<'_>, seq: u64, payload: &[u8]) -> Result<(), Failure> {
        if !self.ready() {
            return Err(Failure::not_ready());
        }
        let pid = match self.qos {
            Qos::AtMostOnce => 0,
            qos => self.in_flight.begin(seq, qos).ok_or_else(Failure::not_ready)?,
        };
        packet::encode_publish(&self.topic, self.qos, pid, payload, self.outbox.tail())?;
        self.write(cx)?;
        if self.close == Close::Sent {
            self.handed.push(seq);
        }
        self.stalled = !self.ready();
        Ok(())
    }

    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Failure>> {
        loop {
            if let Some(event) = self.pending_event() {
                return Poll::Ready(Ok(event));
            }
            while let Some(packet) = self.decode()? {
                if let Some(event) = self.handle(packet)? {
                    self.stalled &= !self.ready();
                    return Poll::Ready(Ok(event));
                }
            }
            self.write(cx)?;
            if !self.has_pending_event() {
                ready!(self.poll_read(cx))?;
            }
        }
    }

    pub(super) fn keep_alive(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        if self.pulse.beat()? && !self.blocked {
            packet::encode_pingreq(self.outbox.tail());
            self.write(cx)?;
            self.pulse.pinged();
            self.stalled = !self.ready();
        }
        Ok(())
    }

    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.leaving {
            self.leaving = true;
            packet::encode_disconnect(self.outbox.tail());
        }
        if ready!(self.outbox.poll_write(&mut self.stream, cx)).is_err() {
            return Poll::Ready(());
        }
        Pin::new(&mut self.stream).poll_shutdown(cx).map(drop)
    }

    fn pending_event(&mut self) -> Option<Event> {
        let event = self.handed.pop(self.blocked);
        if event.is_some() || (self.stalled && self.ready()) {
            self.stalled = !self.ready();
            return event.or(Some(Event::Writable));
        }
        None
    }

    fn has_pending_event(&self) -> bool {
        self.handed.has_closed(self.blocked) || (self.stalled && self.ready())
    }

    /// The next packet, whatever it is: for the handshake.
    fn poll_packet(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, Failure>> {
        loop {
            self.write(cx)?;
            if let Some(packet) = self.decode()? {
                return Poll::Ready(Ok(packet));
            }
            ready!(self.poll_read(cx))?;
        }
    }

    /// Reads once, unless too much waits to be written: then the socket's readiness to write wakes the task.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if self.outbox.len() > MAX_QUEUED && self.blocked {
            return Poll::Pending;
        }
        Poll::Ready(match ready!(self.inbox.poll_read(&mut self.stream, cx)) {
            Ok(0) => Err(Failure::closed("the broker closed the connection")),
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::io(&error)),
        })
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        if !self.outbox.is_empty() {
            self.pulse.spoke();
        }
        match self.outbox.poll_write(&mut self.stream, cx) {
            Poll::Ready(Ok(())) => self.blocked = false,
            Poll::Ready(Err(error)) => return Err(Failure::io(&error)),
            Poll::Pending => self.blocked = true,
        }
        Ok(())
    }

    fn decode(&mut self) -> Result<Option<Received>, Failure> {
        let Some((size, packet)) = packet::decode(self.inbox.unread())? else { return Ok(None) };
        let received = match packet {
            Inbound::Publish(publish) => {
                Received::Publish { qos: publish.qos, pid: publish.pid, reply: self.judge(&publish) }
            }
            Inbound::Connack(code) => Received::Connack(code),
            Inbound::Suback { pid, granted } => Received::Suback { pid, granted },
            Inbound::Ack(ack, pid) => Received::Ack(ack, pid),
            Inbound::Pingresp => Received::Pingresp,
        };
        self.inbox.consume(size);
        Ok(Some(received))
    }

    /// What a message says about a reading. A retained one was published before this session subscribed.
    fn judge(&self, publish: &Publish<'_>) -> Option<Reply> {
        if publish.retain {
            return None;
        }
        match self.close {
            Close::Verdict => {
                let rest = publish.topic.strip_prefix("devices/")?.strip_prefix(&*self.device)?;
                if rest == "/verdicts" { verdict::read(publish.payload, &self.device) } else { None }
            }
            Close::Delivery if publish.topic == &*self.topic => {
                let seq = verdict::own_reading(publish.payload, &self.device)?;
                Some(Reply { seq, answer: Answer::Ok, stages: None, flagged: None })
            }
            _ => None,
        }
    }

    fn handle(&mut self, packet: Received) -> Result<Option<Event>, Failure> {
        match packet {
            Received::Publish { qos, pid, reply } => Ok(self.receive(qos, pid, reply)),
            Received::Ack(Ack::Pubrel, pid) => {
                self.received.remove(&pid);
                packet::encode_ack(Ack::Pubcomp, pid, self.outbox.tail());
                Ok(None)
            }
            Received::Ack(ack, pid) => self.acknowledge(ack, pid),
            Received::Pingresp => {
                self.pulse.answered();
                Ok(None)
            }
            Received::Suback { .. } => {
                self.stray += 1;
                Ok(None)
            }
            Received::Connack(_) => Err(Failure::protocol("the broker sent a second CONNACK")),
        }
    }

    fn receive(&mut self, qos: Qos, pid: u16, reply: Option<Reply>) -> Option<Event> {
        match qos {
            Qos::AtMostOnce => {}
            Qos::AtLeastOnce => packet::encode_ack(Ack::Puback, pid, self.outbox.tail()),
            Qos::ExactlyOnce => {
                packet::encode_ack(Ack::Pubrec, pid, self.outbox.tail());
                if !self.received.insert(pid) {
                    return None;
                }
            }
        }
        let Some(Reply { seq, answer, stages, flagged }) = reply else {
            self.stray += 1;
            return None;
        };
        Some(Event::Closed { seq, answer, stages, flagged })
    }

    fn acknowledge(&mut self, ack: Ack, pid: u16) -> Result<Option<Event>, Failure> {
        match self.in_flight.acknowledge(ack, pid) {
            Progress::Complete(seq) if self.close == Close::Ack => {
                return Ok(Some(Event::Closed { seq, answer: Answer::Ok, stages: None, flagged: None }));
            }
            Progress::Complete(_) => {}
            Progress::Release => packet::encode_ack(Ack::Pubrel, pid, self.outbox.tail()),
            Progress::Unknown => {
                self.stray += 1;
                // A broker that still holds a message we know nothing of can let go of it.
                if ack == Ack::Pubrec {
                    packet::encode_ack(Ack::Pubrel, pid, self.outbox.tail());
                }
            }
            Progress::Wrong => {
                return Err(Failure::protocol(format!("the broker sent {ack:?} out of turn")));
            }
        }
        Ok(None)
    }
}

/// The keep-alive of CONNECT in seconds: see [`Settings::keep_alive`].
fn announced(period: Duration) -> u16 {
    let seconds = period.saturating_mul(2).as_millis().div_ceil(1000);
    u16::try_from(seconds).unwrap_or(u16::MAX)
}

const fn refusal(code: ConnectReturnCode) -> &'static str {
    match code {
        ConnectReturnCode::Accepted => "accepted",
        ConnectReturnCode::UnacceptableProtocolVersion => "it does not speak MQTT 3.1.1",
        ConnectReturnCode::IdentifierRejected => "it rejects the device's name as client identifier",
        ConnectReturnCode::ServerUnavailable => "it is unavailable",
        ConnectReturnCode::BadUserNameOrPassword => {
            "wrong user name or password (give them as mqtt://user:password@host)"
        }
        ConnectReturnCode::NotAuthorized => "not authorized (give credentials as mqtt://user:password@host)",
    }
}
