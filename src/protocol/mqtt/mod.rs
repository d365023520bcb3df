//! MQTT 3.1.1 and 5: one PUBLISH per reading, pipelined, at any quality of service.

mod breach;
mod driver;
mod grammar;
mod inflight;
mod packet;
mod packet_fault;
mod raw;
mod received;
mod refusal;
mod resume;
mod session_state;
mod settings;
mod share;
#[cfg(test)]
mod tests;
mod topic;
mod v5;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use self::breach::BREACH;
pub(super) use self::driver::MqttDriver;
use self::inflight::{Ack, Progress};
use self::packet::{Inbound, Publish, announced};
use self::packet_fault::PacketFaults;
use self::received::Received;
use self::resume::ResumeGuard;
use self::session_state::State;
pub use self::settings::MqttSettings;
use self::settings::Usage;
use self::topic::{Subscription, Topics};
use self::v5::Five;
use self::v5::reason::{FIRST_FAILURE, NO_SUBSCRIBERS};
pub use self::v5::settings::V5Settings;
use super::buffer::{Inbox, Outbox};
use super::correlator::{Correlator, Match};
use super::fault_injector::{Codec, OwnedMessage};
use super::keep_alive::KeepAlive;
use super::note::Notes;
use super::pipeline::Pipeline;
use super::{Endpoint, Event, Failure, Identity, Login, Message, SessionState, Settings, fault_injector};
use crate::net::Connection;
use crate::record::{Close, Qos};

/// With so many bytes waiting for the socket nothing more is read: acknowledgements to a broker that does not read would pile up.
const MAX_QUEUED: usize = 64 * 1024;

/// An MQTT session. See [`Session`](super::Session) for what the methods promise.
#[derive(Debug)]
pub(super) struct Mqtt<S = Connection> {
    stream: S,
    outbox: Outbox,
    inbox: Inbox,
    correlator: Correlator,
    topics: Topics,
    settings: Usage,
    closes: Close,
    /// What MQTT 5 adds; `None` where MQTT 3.1.1 is spoken.
    five: Option<Box<Five>>,
    /// What outlives the connection, if the broker keeps the session.
    state: State,
    pipeline: Pipeline,
    keep_alive: KeepAlive,
    packet_faults: Option<PacketFaults>,
    leaving: bool,
    /// The broker had the session.
    present: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Mqtt<S> {
    /// CONNECT, CONNACK and, where `settings.close` needs it, SUBSCRIBE and SUBACK over `stream`.
    pub(super) async fn open(
        stream: S,
        endpoint: &Endpoint,
        settings: &Settings,
        identity: &Identity,
    ) -> Result<Self, Failure> {
        let mut session = Self::new(stream, settings, identity)?;
        let login = identity.login.as_ref().or(endpoint.credentials());
        let (clean, keep_alive) = (session.settings.clean_session, announced(settings.keep_alive));
        session.put_connect(identity, keep_alive, login)?;
        let (code, present) = match poll_fn(|cx| session.poll_packet(cx)).await? {
            Received::Connack { code, present } => (code, present),
            other => {
                return Err(Failure::protocol(format!("the broker sent {} before CONNACK", other.name())));
            }
        };
        if code != 0 {
            return Err(session.five.as_ref().map_or_else(|| refusal::of(code), |five| five.refused(code)));
        }
        session.present = present;
        session.agree()?;
        if present && clean {
            session.pipeline.notes.remark(BREACH, breach::NOT_CLEAN);
        }
        let most = session.five.as_ref().map(|five| five.receive_maximum());
        let mut guard = ResumeGuard::new(&mut session, identity.resume.as_ref(), present)?;
        guard.session.state.in_flight.limit(most);
        poll_fn(|cx| Poll::Ready(guard.session.write(cx))).await?;
        guard.session.subscribe().await?;
        guard.home = None;
        drop(guard);
        Ok(session)
    }

    pub(super) fn new(stream: S, settings: &Settings, identity: &Identity) -> Result<Self, Failure> {
        let own: MqttSettings = settings.own.get();
        let topics = Topics::new(settings, identity)?;
        Ok(Self {
            stream,
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            correlator: Correlator::new(settings, &identity.device),
            five: Five::of(settings, identity, topics.listened()),
            topics,
            settings: Usage::from(&own),
            closes: settings.close,
            state: State::default(),
            pipeline: Pipeline::new(settings),
            keep_alive: KeepAlive::default(),
            packet_faults: fault_injector::message_faults(identity).map(PacketFaults::new),
            leaving: false,
            present: false,
        })
    }

    fn put_connect(
        &mut self,
        identity: &Identity,
        keep_alive: u16,
        login: Option<&Login>,
    ) -> Result<(), Failure> {
        let (clean, out) = (self.settings.clean_session, self.outbox.tail());
        match &self.five {
            Some(five) => {
                v5::packet::encode_connect(identity, (clean, five.settings()), keep_alive, login, out)
            }
            None => packet::encode_connect(identity, clean, keep_alive, login, out),
        }
    }

    /// Subscribes to what closes readings, if they are closed by a message.
    async fn subscribe(&mut self) -> Result<(), Failure> {
        let Some(Subscription { filter, qos, .. }) = &self.topics.listening else { return Ok(()) };
        let own = self.state.in_flight.spare();
        if self.five.is_some() {
            v5::packet::encode_subscribe(own, filter, *qos, self.outbox.tail());
        } else {
            packet::encode_subscribe(own, filter, *qos, self.outbox.tail())?;
        }
        loop {
            match poll_fn(|cx| self.poll_packet(cx)).await? {
                Received::Suback { pid, .. } if pid != own => {
                    return Err(Failure::protocol(format!(
                        "the broker sent a SUBACK for packet identifier {pid}, though SUBSCRIBE had {own}"
                    )));
                }
                Received::Suback { granted, code, .. } => return self.subscribed(granted, code),
                // Messages may overtake SUBACK (§3.8.4). They can answer readings only if earlier connections have sent some.
                other => {
                    if let Some(event) = self.handle(other)?
                        && (self.settings.clean_session || !self.state.keep(event))
                    {
                        self.pipeline.strayed();
                    }
                }
            }
        }
    }

    /// The broker has answered the subscription.
    fn subscribed(&mut self, granted: Option<Qos>, code: u8) -> Result<(), Failure> {
        let Some(granted) = granted else {
            return Err(self.unsubscribed(code));
        };
        if let Some(listening) = &mut self.topics.listening {
            // What a stored session had been granted before is not known.
            listening.granted = (!self.present).then_some(granted);
            if let Some((code, sentence)) = breach::granted(listening.qos, granted) {
                self.pipeline.notes.remark(code, sentence);
            }
        }
        Ok(())
    }

    /// The broker did something, as `sentence` says, that nothing asked it to do.
    fn unasked(&mut self, sentence: &'static str) {
        if self.packet_faults.is_some() {
            // It may be the doing of a fault.
            self.pipeline.strayed();
        } else {
            self.pipeline.notes.remark(BREACH, sentence);
        }
    }

    /// Whether MQTT itself would take a further reading.
    fn has_room(&self) -> bool {
        self.settings.qos == Qos::AtMostOnce || self.state.in_flight.has_room()
    }

    #[cfg(test)]
    pub(super) fn stray(&self) -> u64 {
        self.pipeline.stray()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + fmt::Debug> Codec for Mqtt<S> {
    type Carrier = S;
    const SERIAL: bool = false;

    fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    fn ready(&self) -> bool {
        self.pipeline.is_open() && self.has_room()
    }

    fn has_more(&self) -> bool {
        !self.state.early.is_empty()
            || !self.inbox.unread().is_empty()
            || self.packet_faults.as_ref().is_some_and(PacketFaults::has_due)
    }

    fn notes_mut(&mut self) -> &mut Notes {
        &mut self.pipeline.notes
    }

    fn send(&mut self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<(), Failure> {
        if !self.ready() {
            return Err(Failure::not_ready());
        }
        let Usage { qos, retain, .. } = self.settings;
        let topic = self.topics.of_reading(message.address)?;
        let mut publish = Publish { qos, pid: 0, retain, topic, payload: message.payload };
        if let Some(size) = self.five.as_ref().and_then(|five| five.excess(&publish, message)) {
            self.refuse_size(message.seq, size);
            return Ok(());
        }
        publish.pid = match qos {
            Qos::AtMostOnce => 0,
            qos => self.state.in_flight.begin(message.seq, qos).ok_or_else(Failure::not_ready)?,
        };
        if publish.pid != 0 && !self.settings.clean_session {
            self.state.in_flight.keep(publish.pid, topic, message.payload);
        }
        self.keep_alive.spoke();
        let (outbox, stream) = (&mut self.outbox, &mut self.stream);
        let composed = match &mut self.five {
            Some(five) => Self::put_reading(five, (outbox, stream), cx, &publish, message)?,
            None => outbox.compose(stream, cx, |out| packet::encode_publish(&publish, out))?,
        };
        self.wrote(composed)?;
        self.pipeline.sent(message.seq);
        self.pipeline.note_readiness(self.ready());
        Ok(())
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Failure>> {
        if let Some(event) = self.state.early.pop_front() {
            self.pipeline.note_readiness(self.ready());
            return Poll::Ready(Ok(event));
        }
        loop {
            while let Some(packet) = self.next_packet()? {
                if let Some(event) = self.handle(packet)? {
                    self.pipeline.note_readiness(self.ready());
                    return Poll::Ready(Ok(event));
                }
            }
            self.write(cx)?;
            if let Some(event) = self.pipeline.pending(self.has_room()) {
                return Poll::Ready(Ok(event));
            }
            ready!(self.poll_read(cx))?;
        }
    }

    fn keep_alive(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        if self.keep_alive.beat()? && !self.pipeline.is_blocked() {
            packet::encode_pingreq(self.outbox.tail());
            self.write(cx)?;
            self.keep_alive.pinged();
        }
        Ok(())
    }

    fn take_requests(&mut self) -> u64 {
        let is_new = |it: &mut Subscription| !std::mem::replace(&mut it.is_counted, true);
        (self.correlator.hears_others() && self.topics.listening.as_mut().is_some_and(is_new)).into()
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.leaving {
            self.leaving = true;
            packet::encode_disconnect(self.outbox.tail());
        }
        if ready!(self.outbox.poll_write(&mut self.stream, cx)).is_err() {
            return Poll::Ready(());
        }
        Pin::new(&mut self.stream).poll_shutdown(cx).map(drop)
    }

    fn keep_alive_period(&self) -> Option<Duration> {
        self.five.as_ref().and_then(|five| five.keep_alive_period())
    }

    fn is_resumed(&self) -> bool {
        self.present
    }

    fn suspend(self, unsent: Vec<OwnedMessage>, untold: Vec<Event>) -> Option<SessionState> {
        self.into_state(unsent, untold)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Mqtt<S> {
    /// The next packet, whatever it is: for the handshake.
    fn poll_packet(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, Failure>> {
        loop {
            self.write(cx)?;
            if let Some(packet) = self.next_packet()? {
                return Poll::Ready(Ok(packet));
            }
            ready!(self.poll_read(cx))?;
        }
    }

    /// Reads once, unless too much waits to be written: then the socket's readiness to write wakes the task.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if self.outbox.len() > MAX_QUEUED && self.pipeline.is_blocked() {
            return Poll::Pending;
        }
        // Time will wake it.
        if self.packet_faults.as_ref().is_some_and(PacketFaults::blocks) {
            return Poll::Pending;
        }
        Poll::Ready(match ready!(self.inbox.poll_read(&mut self.stream, cx)) {
            Ok(0) => Err(self.lost(Failure::closed("the broker closed the connection"))),
            Ok(_) => Ok(()),
            Err(error) => Err(self.lost(Failure::io(&error))),
        })
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        if !self.outbox.is_empty() {
            self.keep_alive.spoke();
        }
        let written = self.outbox.poll_write(&mut self.stream, cx);
        self.wrote(written)
    }

    fn wrote(&mut self, written: Poll<io::Result<()>>) -> Result<(), Failure> {
        match written {
            Poll::Ready(Ok(())) => self.pipeline.wrote(true),
            Poll::Ready(Err(error)) => return Err(self.lost(Failure::io(&error))),
            Poll::Pending => self.pipeline.wrote(false),
        }
        Ok(())
    }

    /// Says what the broker may have meant by ending the connection: `failure` tells that it did.
    fn lost(&self, failure: Failure) -> Failure {
        let asked = self.settings.qos == Qos::ExactlyOnce && !self.state.in_flight.is_empty();
        if asked && !self.pipeline.acknowledged { breach::unanswered(failure) } else { failure }
    }

    /// The next packet that has come and is not held up.
    fn next_packet(&mut self) -> Result<Option<Received>, Failure> {
        loop {
            if let Some(packet_faults) = &mut self.packet_faults {
                if let Some(packet) = packet_faults.take_due() {
                    return Ok(Some(packet));
                }
                if packet_faults.blocks() {
                    return Ok(None);
                }
            }
            let Some(packet) = self.decode()? else { return Ok(None) };
            let Some(packet_faults) = &mut self.packet_faults else { return Ok(Some(packet)) };
            if let Some(packet) = packet_faults.meet(packet) {
                return Ok(Some(packet));
            }
        }
    }

    fn decode(&mut self) -> Result<Option<Received>, Failure> {
        if self.five.is_some() {
            return self.decode_five();
        }
        let Some((size, packet)) = packet::decode(self.inbox.unread())? else { return Ok(None) };
        let received = match packet {
            Inbound::Publish(publish) => {
                let matched = self.correlate(&publish);
                self.pipeline.notes.received(publish.payload.len() as u64);
                self.pipeline.note(matched.as_ref(), publish.payload);
                Received::Publish { qos: publish.qos, pid: publish.pid, matched }
            }
            Inbound::Connack { code, present } => Received::Connack { code: code as u8, present },
            Inbound::Suback { pid, granted } => Received::Suback { pid, granted, code: 0x80 },
            Inbound::Ack(ack, pid) => Received::Ack(ack, pid, 0),
            Inbound::Pingresp => Received::Pingresp,
        };
        self.inbox.consume(size);
        Ok(Some(received))
    }

    /// What a message says about a reading. A retained one was published before this session subscribed.
    fn correlate(&self, publish: &Publish<'_>) -> Option<Match> {
        if publish.retain || !self.topics.listens_to(publish.topic) {
            return None;
        }
        self.correlator.read(publish.payload)
    }

    fn handle(&mut self, packet: Received) -> Result<Option<Event>, Failure> {
        match packet {
            Received::Publish { qos, pid, matched } => Ok(self.receive(qos, pid, matched)),
            Received::Ack(Ack::Pubrel, pid, _) => {
                let known = self.state.received.remove(&pid);
                let code = self.release_code(known);
                v5::packet::encode_ack(Ack::Pubcomp, pid, code, self.outbox.tail());
                Ok(None)
            }
            Received::Ack(ack, pid, code) => self.acknowledge(ack, pid, code),
            Received::Pingresp => {
                if !self.keep_alive.answered() {
                    self.unasked(breach::PINGRESP_UNASKED);
                }
                Ok(None)
            }
            Received::Suback { .. } => {
                self.unasked(breach::SUBACK_UNASKED);
                Ok(None)
            }
            Received::Connack { .. } => Err(Failure::protocol("the broker sent a second CONNACK")),
        }
    }

    fn receive(&mut self, qos: Qos, pid: u16, matched: Option<Match>) -> Option<Event> {
        let granted = self.topics.listening.as_ref().and_then(|listening| listening.granted);
        if let Some(breach) = granted.and_then(|granted| breach::delivered(granted, qos)) {
            self.pipeline.notes.remark(BREACH, breach);
        }
        match qos {
            Qos::AtMostOnce => {}
            Qos::AtLeastOnce => packet::encode_ack(Ack::Puback, pid, self.outbox.tail()),
            Qos::ExactlyOnce => {
                packet::encode_ack(Ack::Pubrec, pid, self.outbox.tail());
                if !self.state.received.insert(pid) {
                    return None;
                }
            }
        }
        self.pipeline.answered(matched)
    }

    /// `code`: the reason that MQTT 5 gives with it.
    fn acknowledge(&mut self, ack: Ack, pid: u16, code: u8) -> Result<Option<Event>, Failure> {
        self.pipeline.acknowledged = true;
        let refused = ack == Ack::Pubrec && code >= FIRST_FAILURE;
        let in_flight = &mut self.state.in_flight;
        let progress = if refused { in_flight.refuse(ack, pid) } else { in_flight.acknowledge(ack, pid) };
        match progress {
            Progress::Complete(seq) => {
                self.release_owed()?;
                return Ok(self.completed((ack, pid), seq, code));
            }
            Progress::Release => {
                if code == NO_SUBSCRIBERS {
                    self.remark_unheard();
                }
                packet::encode_ack(Ack::Pubrel, pid, self.outbox.tail());
            }
            Progress::Unknown => {
                self.unasked(breach::unknown(ack));
                // A broker that still holds a message we know nothing of can let go of it.
                if ack == Ack::Pubrec && !refused {
                    let code = self.release_code(false);
                    v5::packet::encode_ack(Ack::Pubrel, pid, code, self.outbox.tail());
                }
            }
            Progress::Wrong(awaiting) => return Err(breach::out_of_turn(ack, awaiting)),
        }
        Ok(None)
    }
}
