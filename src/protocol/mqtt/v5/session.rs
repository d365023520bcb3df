//! How a session speaks MQTT 5, where that differs from MQTT 3.1.1.

use std::io;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use super::packet::{self, Inbound, Message};
use super::property::{Properties, REASON_STRING, SERVER_REFERENCE, TOPIC_ALIAS, USER_PROPERTY, Value, put};
use super::reason::{self, FIRST_FAILURE, NO_SUBSCRIBERS};
use super::{Five, Terms};
use crate::protocol::mqtt::Mqtt;
use crate::protocol::mqtt::inflight::{Ack, Progress};
use crate::protocol::mqtt::packet::Publish;
use crate::protocol::mqtt::received::Received;
use crate::protocol::verdict::Reply;
use crate::protocol::{Answer, Event, Failure, Message as Reading};
use crate::record::{Close, Code, ErrorKind, Qos, Reason, TraceContext};

impl<S: AsyncRead + AsyncWrite + Unpin> Mqtt<S> {
    /// The next packet of MQTT 5 in the inbox, judged.
    pub(in super::super) fn decode_five(&mut self) -> Result<Option<Received>, Failure> {
        let Some(five) = &mut self.five else { return Ok(None) };
        let Some((size, packet)) = packet::decode(self.inbox.unread())? else { return Ok(None) };
        let received = match packet {
            Inbound::Connack { present, reason, properties } => {
                five.terms = Terms::of(properties);
                five.greeting = said(properties).map(Into::into);
                Received::Connack { code: reason, present }
            }
            Inbound::Publish { publish, properties } => {
                let Message { qos, pid, retain, payload, .. } = publish;
                let topic = five.topic_of(&publish, properties)?;
                let listens = !retain && self.topics.listens_to(topic);
                let matched = match &five.tag {
                    _ if !listens => None,
                    Some(tag) => tag.read(properties),
                    None => self.correlator.read(payload),
                };
                let most = usize::from(five.own.receive_maximum);
                let received = &self.state.received;
                if qos == Qos::ExactlyOnce && received.len() >= most && !received.contains(&pid) {
                    return Err(overrun(most));
                }
                self.pipeline.notes.received(payload.len() as u64);
                self.pipeline.note(matched.as_ref(), payload);
                Received::Publish { qos, pid, matched }
            }
            Inbound::Ack { ack, pid, reason, properties } => {
                if reason >= FIRST_FAILURE {
                    five.words = said(properties).map(|words| (pid, words.into()));
                }
                Received::Ack(ack, pid, reason)
            }
            Inbound::Suback { pid, reason, properties } => {
                five.greeting = said(properties).map(Into::into);
                let granted = match reason {
                    0 => Some(Qos::AtMostOnce),
                    1 => Some(Qos::AtLeastOnce),
                    2 => Some(Qos::ExactlyOnce),
                    _ => None,
                };
                Received::Suback { pid, granted, code: reason }
            }
            Inbound::Pingresp => Received::Pingresp,
            Inbound::Disconnect { reason, properties } => return Err(ended(reason, properties)),
        };
        self.inbox.consume(size);
        Ok(Some(received))
    }

    /// Hands a reading to the socket, under an alias where one may stand for its topic.
    pub(in super::super) fn put_reading(
        five: &mut Five,
        (outbox, stream): (&mut crate::protocol::buffer::Outbox, &mut S),
        cx: &mut Context<'_>,
        publish: &Publish<'_>,
        reading: &Reading<'_>,
    ) -> Result<Poll<io::Result<()>>, Failure> {
        let (topic, alias) = five.alias_of(publish.topic);
        let single = five.single(alias, reading.seq, reading.trace);
        let message = Message { topic, ..message_of(publish) };
        let parts = [&*five.fixed, &*single];
        let composed =
            outbox.compose(stream, cx, |out| packet::encode_publish(&message, parts, false, out))?;
        if let Some(alias) = alias.filter(|_| !topic.is_empty()) {
            five.stated.insert(publish.topic.into(), alias);
        }
        Ok(composed)
    }

    /// Ends reading `seq` unsent, whose PUBLISH would be of `size` bytes.
    pub(in super::super) fn refuse_size(&mut self, seq: u64, size: usize) {
        let most = self.five.as_ref().map_or(usize::MAX, |five| five.terms.maximum_packet);
        let sentence =
            format!("the reading takes {size} bytes, and the broker takes packets of {most} at most");
        self.pipeline.notes.failed(seq, Reason::new(Code::word("packet size"), sentence));
        self.state.keep(Reply { answer: Answer::Error(ErrorKind::Protocol), ..Reply::ok(seq) }.into());
    }

    /// Sends what is owed of an earlier connection, as far as the receive maximum lets it out [MQTT-3.3.4-9].
    pub(in super::super) fn release_owed(&mut self) -> Result<(), Failure> {
        loop {
            let Some(five) = &mut self.five else { return Ok(()) };
            let out = self.state.in_flight.len().saturating_sub(five.owed.len());
            if out >= usize::from(five.terms.receive_maximum) {
                return Ok(());
            }
            let Some(pid) = five.owed.pop_front() else { return Ok(()) };
            let Some((qos, seq, kept)) = self.state.in_flight.kept(pid) else { continue };
            let (retain, topic, payload) = (self.settings.retain, &*kept.topic, &*kept.payload);
            let message = Message { qos, pid, retain, topic, payload };
            let single = five.single(None, seq, None);
            let size = packet::publish_size(&message, five.fixed.len() + single.len());
            if size <= five.terms.maximum_packet {
                let parts = [&*five.fixed, &*single];
                packet::encode_publish(&message, parts, self.present, self.outbox.tail())?;
                continue;
            }
            let awaiting = if qos == Qos::ExactlyOnce { Ack::Pubrec } else { Ack::Puback };
            if let Progress::Complete(seq) = self.state.in_flight.refuse(awaiting, pid) {
                self.refuse_size(seq, size);
            }
        }
    }

    /// What becomes of reading `seq` once its last acknowledgement has come.
    pub(in super::super) fn completed(
        &mut self,
        (ack, pid): (Ack, u16),
        seq: u64,
        code: u8,
    ) -> Option<Event> {
        if code == NO_SUBSCRIBERS {
            self.remark_unheard();
        }
        let told = (self.closes == Close::Ack).then(|| Reply::ok(seq).into());
        if code < FIRST_FAILURE {
            return told;
        }
        let words = self.five.as_mut().and_then(|five| five.words.take());
        let words = words.filter(|(of, _)| *of == pid).map(|(_, words)| words);
        let reason = reason::of_reading(ack.name(), code, words.as_deref());
        // With PUBREC the broker took charge of the message, whatever follows; and what was closed before is not closed again.
        if ack == Ack::Pubcomp || self.closes == Close::Sent {
            self.pipeline.notes.remark(ack.name(), reason.sentence);
            return told;
        }
        self.pipeline.notes.failed(seq, reason);
        Some(Reply { answer: reason::answer(code), ..Reply::ok(seq) }.into())
    }

    /// The broker took a reading that nobody subscribes to.
    pub(in super::super) fn remark_unheard(&mut self) {
        let sentence = "the broker took readings to which nobody subscribes";
        self.pipeline.notes.remark("no subscribers", sentence);
    }

    /// Takes the broker's terms, or leaves.
    pub(in super::super) fn agree(&mut self) -> Result<(), Failure> {
        let Some(five) = &self.five else { return Ok(()) };
        if let Some(objection) = five.objection(self.settings) {
            return Err(objection);
        }
        if let Some(remark) = five.expiry_remark(self.settings) {
            self.pipeline.notes.remark("session expiry", remark);
        }
        Ok(())
    }

    /// The subscription that SUBACK refused with `code`.
    pub(in super::super) fn unsubscribed(&self, code: u8) -> Failure {
        let Some(five) = &self.five else {
            let refusal = "the broker refused the subscription to the device's topic: SUBACK 128";
            return Failure::protocol(refusal).with_code("SUBACK", 128);
        };
        reason::unsubscribed(code, five.greeting.as_deref())
    }

    /// Remarks on a PUBREL for what is not known; gives the reason for PUBCOMP.
    pub(in super::super) fn release_code(&self, known: bool) -> u8 {
        if known || self.five.is_none() { 0 } else { reason::UNKNOWN_IDENTIFIER }
    }
}

impl Five {
    /// The topic of a message, by its alias if it has none [MQTT-3.3.2-8] [MQTT-3.3.2-9] [MQTT-3.3.2-12].
    fn topic_of<'a>(
        &'a mut self,
        publish: &Message<'a>,
        properties: Properties<'_>,
    ) -> Result<&'a str, Failure> {
        let Some(alias) = properties.small(TOPIC_ALIAS) else {
            let unnamed = "the broker sent a PUBLISH without a topic or an alias for one";
            let named = !publish.topic.is_empty();
            return if named { Ok(publish.topic) } else { Err(Failure::protocol(unnamed)) };
        };
        let most = self.own.topic_aliases;
        if alias > most {
            return Err(Failure::protocol(format!(
                "the broker sent a PUBLISH with a topic alias above the maximum of {most}"
            )));
        }
        if !publish.topic.is_empty() {
            self.heard.insert(alias, publish.topic.into());
            return Ok(publish.topic);
        }
        let unknown = "the broker sent a PUBLISH with a topic alias that it has not stated before";
        self.heard.get(&alias).map(|topic| &**topic).ok_or_else(|| Failure::protocol(unknown))
    }

    /// The topic to write and the alias to write with it, if any.
    fn alias_of<'a>(&self, topic: &'a str) -> (&'a str, Option<u16>) {
        if let Some(alias) = self.stated.get(topic) {
            return ("", Some(*alias));
        }
        // [MQTT-3.2.2-17] [MQTT-3.2.2-18]
        let most = self.own.topic_aliases.min(self.terms.alias_maximum);
        let next = u16::try_from(self.stated.len()).unwrap_or(u16::MAX).saturating_add(1);
        (topic, (next <= most).then_some(next))
    }

    /// Bytes of the PUBLISH of a reading, if that is more than the broker takes [MQTT-3.2.2-15].
    pub(in super::super) fn excess(&self, publish: &Publish<'_>, reading: &Reading<'_>) -> Option<usize> {
        if self.terms.maximum_packet == usize::MAX {
            return None;
        }
        let (topic, alias) = self.alias_of(publish.topic);
        let properties = self.fixed.len() + self.single(alias, reading.seq, reading.trace).len();
        let size = packet::publish_size(&Message { topic, ..message_of(publish) }, properties);
        (size > self.terms.maximum_packet).then_some(size)
    }

    /// The encoded properties of one reading alone.
    fn single(&self, alias: Option<u16>, seq: u64, trace: Option<TraceContext>) -> Vec<u8> {
        let mut single = Vec::new();
        if let Some(alias) = alias {
            put(TOPIC_ALIAS, Value::Number(alias.into()), &mut single);
        }
        if let Some(tag) = &self.tag {
            tag.put(seq, &mut single);
        }
        if let Some(trace) = trace {
            put(USER_PROPERTY, Value::Pair("traceparent", &trace.to_string()), &mut single);
        }
        single
    }

    /// A reading of an earlier connection has to go out again.
    pub(in super::super) fn owe(&mut self, pid: u16) {
        self.owed.push_back(pid);
    }
}

fn message_of<'a>(publish: &Publish<'a>) -> Message<'a> {
    let &Publish { qos, pid, retain, topic, payload } = publish;
    Message { qos, pid, retain, topic, payload }
}

fn said(properties: Properties<'_>) -> Option<&str> {
    properties.text(REASON_STRING)
}

/// The broker leaves, as it says.
fn ended(code: u8, properties: Properties<'_>) -> Failure {
    let failure = reason::ended(code, said(properties));
    match properties.text(SERVER_REFERENCE) {
        Some(server) => {
            let server: String = server.chars().take(80).collect();
            failure.followed_by(&format!("(it names another server: {server})"))
        }
        None => failure,
    }
}

/// More messages than the device takes without having acknowledged them [MQTT-3.3.4-7].
fn overrun(most: usize) -> Failure {
    Failure::protocol(format!(
        "the broker sent more messages of QoS 2 at once than the receive maximum of {most}"
    ))
    .with_code("breach of receive maximum", most as u32)
}
