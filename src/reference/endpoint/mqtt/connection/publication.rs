//! PUBLISH: messages and readings of a client, and how they are acknowledged.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use mqtt_proto::{QosPid, TopicName};

use super::{AckKind, Connection, End, ReasonCode, Reply, Version};
use crate::clock::Tick;
use crate::reference::admission::{Question, Sender};
use crate::reference::endpoint::mqtt::codec::packet::{Publish, ReplyPath};
use crate::reference::endpoint::mqtt::codec::{Expiry, Message};
use crate::reference::endpoint::mqtt::hub::{Publisher, Taken};
use crate::reference::endpoint::mqtt::session::{MOST_OPEN, RECEIVE_MAXIMUM};
use crate::reference::endpoint::mqtt::{admission, topic};
use crate::reference::endpoint::suspicion::Suspicion;
use crate::reference::reading::Reading;
use crate::reference::token::Grant;
use crate::service::{FaultKind, RefusalNotice};

/// A reading about which all instances are asked.
pub(super) struct Asked {
    question: Question,
    reading: Reading,
    arrived: Tick,
    /// How it was published.
    pid: QosPid,
    reply_path: Option<Rc<ReplyPath>>,
}

/// Bytes that response topic and correlation data of a reading may have together.
const LONGEST_PATH: usize = 1_024;

impl Connection {
    /// Whether the client hears what became of a message by the reason in its acknowledgement.
    fn hears_reasons(&self, pid: QosPid) -> bool {
        self.version == Some(Version::V5) && pid != QosPid::Level0
    }

    pub(super) fn publish(&mut self, grant: &Grant, publish: &Publish) -> Result<(), End> {
        let topic = self.aliases.resolve(publish.topic.clone(), publish.alias).map_err(End::Expelled)?;
        let pid = publish.qos_pid;
        if let Err(reason) = judge(grant, &topic, publish) {
            return self.refuse_message(pid, reason);
        }
        if let QosPid::Level2(pid) = publish.qos_pid
            && !self.open(pid.value())?
        {
            self.acknowledge(QosPid::Level2(pid), ReasonCode::Success);
            return Ok(());
        }
        let now = self.hub.dispatcher.pipeline.now();
        let device = topic::reading_device(&topic);
        let is_prompt = !self.hears_reasons(pid) && (device.is_none() || !self.withholds());
        if is_prompt {
            self.acknowledge(pid, ReasonCode::Success);
        }
        if *topic == *topic::BROADCAST {
            let reason = self.hub.take_broadcast(&publish.payload, now);
            if !is_prompt {
                self.acknowledge(pid, reason);
            }
            return Ok(());
        }
        let is_heard = self.pass_on(&topic, publish, now);
        let Some(device) = device else {
            if !is_prompt {
                let reason = if is_heard { ReasonCode::Success } else { ReasonCode::NoSubscribers };
                self.acknowledge(pid, reason);
            }
            return Ok(());
        };
        match self.hub.reading(
            self.publisher(grant, pid, publish.reply_path.as_ref()),
            device,
            &publish.payload,
            now,
        ) {
            Taken::Decided(reason) => self.conclude(pid, reason),
            Taken::Asked(question, reading) => {
                let reply_path = publish.reply_path.clone();
                self.asked.replace(Some(Box::new(Asked {
                    question,
                    reading,
                    arrived: now,
                    pid,
                    reply_path,
                })));
            }
        }
        Ok(())
    }

    /// Delivers a message; whether anybody is subscribed to it.
    fn pass_on(&self, topic: &TopicName, publish: &Publish, now: Tick) -> bool {
        let Publish { payload, properties, .. } = publish;
        let qos = publish.qos_pid.qos();
        if publish.retain {
            self.hub.retain((topic, payload), qos, properties);
        }
        let message = Message {
            retained: publish.retain,
            properties: &properties.encoded,
            expiry: Expiry::of(properties, now),
            ..Message::plain(topic, payload, qos)
        };
        self.hub.publish(&message, Some(self.peer.id))
    }

    fn publisher<'a>(
        &'a self,
        grant: &'a Grant,
        pid: QosPid,
        reply_path: Option<&'a Rc<ReplyPath>>,
    ) -> Publisher<'a> {
        let sender = Sender { grant, source: &self.source };
        Publisher { peer: &self.peer, sender, reply_path, hears_reasons: self.hears_reasons(pid) }
    }

    /// Refuses a message. Who has no other way to hear of it is disconnected (MQTT 3.1.1 §3.3.5).
    fn refuse_message(&self, pid: QosPid, reason: ReasonCode) -> Result<(), End> {
        if reason == ReasonCode::NotAuthorized {
            self.hub.dispatcher.suspect(Suspicion::Right, self.source.address());
        }
        if !self.hears_reasons(pid) {
            return Err(End::Expelled(reason));
        }
        self.acknowledge(pid, reason);
        Ok(())
    }

    /// Takes note of a message of `QoS` 2; whether it is new.
    fn open(&self, pid: u16) -> Result<bool, End> {
        let (most, reason) = match self.version {
            Some(Version::V5) => (RECEIVE_MAXIMUM.into(), ReasonCode::ReceiveMaximum),
            _ => (MOST_OPEN, ReasonCode::QuotaExceeded),
        };
        self.peer.inbound.borrow_mut().publish(pid, most).map_err(|_| End::Expelled(reason))
    }

    /// Whether a refusal is to show in a missing acknowledgement: only then must that wait for the reading to be taken.
    fn withholds(&self) -> bool {
        self.hub.dispatcher.pipeline.setup().admission.mqtt == RefusalNotice::Withhold
    }

    /// Acknowledges a reading whose acknowledgement has waited for what becomes of it, if its publisher is to hear of it.
    fn conclude(&self, pid: QosPid, reason: Option<ReasonCode>) {
        match (pid, reason) {
            _ if !self.withholds() && !self.hears_reasons(pid) => {}
            (pid, Some(reason)) => self.acknowledge(pid, reason),
            // Sent again it is a new one: this one was not taken.
            (QosPid::Level2(pid), None) => {
                self.peer.inbound.borrow_mut().release(pid.value());
            }
            _ => {}
        }
    }

    /// Takes up the reading about which all instances were asked, once there is an answer.
    pub(super) fn take_up(&self, cx: &mut Context<'_>) {
        let mut asked = self.asked.borrow_mut();
        let Some(waiting) = asked.as_mut() else { return };
        let Poll::Ready(ruled) = Pin::new(&mut waiting.question).poll(cx) else { return };
        let waiting = asked.take();
        drop(asked);
        self.rule(waiting, ruled.ok());
    }

    pub(super) fn rule(&self, asked: Option<Box<Asked>>, ruled: Option<Result<(), u64>>) {
        let (Some(asked), Some(grant)) = (asked, &self.grant) else { return };
        let Asked { reading, arrived, pid, reply_path, .. } = *asked;
        let from = self.publisher(grant, pid, reply_path.as_ref());
        let reason = self.hub.take_up(from, ruled, reading, arrived);
        self.conclude(pid, reason);
    }

    fn acknowledge(&self, pid: QosPid, reason: ReasonCode) {
        let faults = self.hub.dispatcher.faults();
        let (kind, pid) = match pid {
            QosPid::Level0 => return,
            QosPid::Level1(pid) => (AckKind::Puback, pid),
            QosPid::Level2(pid) => (AckKind::Pubrec, pid),
        };
        // An exchange that is refused is over [MQTT-4.3.3-9].
        if reason.is_failure() && kind == AckKind::Pubrec {
            self.peer.inbound.borrow_mut().release(pid.value());
        }
        if !faults.strikes(FaultKind::PubackWithheld) {
            self.send(&Reply::Ack(kind, pid, reason));
        }
    }
}

/// Whether a message may be published, and answered where it says.
fn judge(grant: &Grant, topic: &str, publish: &Publish) -> Result<(), ReasonCode> {
    let reply_topic = publish.reply_path.as_ref().map(|path| &*path.topic);
    // Only the service answers, and that to readings alone; whom others may answer they judge themselves.
    let reply_topic = reply_topic.filter(|_| topic::reading_device(topic).is_some());
    if ![Some(topic), reply_topic].into_iter().flatten().all(|topic| admission::may_publish(grant, topic)) {
        return Err(ReasonCode::NotAuthorized);
    }
    let is_long = publish.reply_path.as_ref().is_some_and(|path| path.len() > LONGEST_PATH);
    if is_long && reply_topic.is_some() { Err(ReasonCode::QuotaExceeded) } else { Ok(()) }
}
