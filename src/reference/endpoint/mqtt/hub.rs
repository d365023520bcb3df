//! The meeting point of all connections: delivers messages, takes readings to the pipeline and brings their verdicts back.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use mqtt_proto::QoS;
use tokio::sync::Notify;

use super::frame::Message;
use super::peer::{End, Peer};
use super::quota::InFlightQuota;
use super::registry::{Claim, Registry};
use super::router::{Archive, Id, Router};
use super::topic;
use crate::clock::Tick;
use crate::reference::admission::{Question, Sender};
use crate::reference::alert::LoggedAlert;
use crate::reference::answer::{Answer, ReadingId, Reason};
use crate::reference::endpoint::dispatcher::{Dispatcher, MQTT, Refusal, Ruling};
use crate::reference::metric::Endpoint;
use crate::reference::pipeline::Submission;
use crate::reference::reading::{BadReading, Reading};
use crate::service::RefusalNotice;

/// Bytes read from a socket at once. The buffer is shared by all connections, so that an idle one has none.
const INPUT: usize = 16 * 1024;

/// What becomes of a reading that was published.
#[derive(Debug)]
pub(super) enum Taken {
    /// It is decided; false if its publisher is to hear nothing at all.
    Decided(bool),
    /// All instances are asked whether it may pass.
    Asked(Question, Reading),
}

/// What all connections share; they run on one thread.
#[derive(Debug)]
pub(in crate::reference) struct Hub {
    pub(super) dispatcher: Rc<Dispatcher>,
    router: RefCell<Router>,
    archive: RefCell<Archive>,
    registry: RefCell<Registry>,
    quota: RefCell<InFlightQuota>,
    /// Whether connections wait for room in the queue.
    blocked: Cell<bool>,
    /// Buffers used for a moment at a time, kept for their memory.
    found: RefCell<Vec<(Id, QoS)>>,
    topic: RefCell<String>,
    pub(super) input: RefCell<Vec<u8>>,
    emptied: Notify,
}

impl Hub {
    /// A hub without connections.
    pub(in crate::reference) fn new(dispatcher: Rc<Dispatcher>) -> Self {
        Self {
            dispatcher,
            router: RefCell::default(),
            archive: RefCell::default(),
            registry: RefCell::default(),
            quota: RefCell::default(),
            blocked: Cell::new(false),
            found: RefCell::default(),
            topic: RefCell::default(),
            input: RefCell::new(vec![0; INPUT]),
            emptied: Notify::new(),
        }
    }

    /// Connections open now.
    pub(super) fn connections(&self) -> usize {
        self.registry.borrow().connections()
    }

    /// Registers a connection. Its number is that of the client it is given.
    pub(super) fn enter(&self) -> Rc<Peer> {
        self.dispatcher.metrics.mqtt_connections.inc();
        self.registry.borrow_mut().enter()
    }

    /// Forgets a connection.
    pub(super) fn leave(&self, peer: &Peer, connection: Id) {
        self.registry.borrow_mut().leave(peer, connection);
        self.dispatcher.metrics.mqtt_connections.dec();
        if self.connections() == 0 {
            self.emptied.notify_one();
        }
    }

    /// Gives a client that has just connected its name. If it has a session that goes on, then that is to be used from now on.
    pub(super) fn claim(&self, name: &Rc<str>, fresh: &Rc<Peer>, is_lasting: bool) -> Option<Rc<Peer>> {
        // A session that is due to be forgotten is not found any more, whether or not that has been noticed.
        self.expire(self.dispatcher.pipeline.now());
        let claim = self.registry.borrow_mut().claim(name, fresh, is_lasting);
        match claim {
            Claim::Resumed(peer) => Some(peer),
            Claim::Begun(ended) => {
                if let Some(ended) = ended {
                    self.cancel(&ended);
                }
                None
            }
        }
    }

    /// Lets a client go whose connection ends: a lasting session is kept, any other ends too.
    pub(super) fn part(&self, peer: &Peer) {
        if peer.is_lasting() {
            let forgotten = self.registry.borrow_mut().put_away(peer, self.dispatcher.pipeline.now());
            self.lose(&forgotten);
        } else {
            peer.detach();
            self.registry.borrow_mut().remove(peer);
            self.cancel(peer);
        }
    }

    /// Forgets the sessions of clients that have been away for too long.
    pub(super) fn expire(&self, now: Tick) {
        let forgotten = self.registry.borrow_mut().expire(now);
        self.lose(&forgotten);
    }

    fn lose(&self, forgotten: &[Rc<Peer>]) {
        for peer in forgotten {
            self.cancel(peer);
            self.dispatcher.metrics.mqtt_dropped.inc_by(peer.outbox.borrow().undelivered() as u64);
        }
    }

    /// Removes all subscriptions of a client.
    fn cancel(&self, peer: &Peer) {
        let mut router = self.router.borrow_mut();
        for filter in peer.filters.take() {
            router.unsubscribe(peer.id, &filter);
        }
    }

    /// Adds a subscription.
    pub(super) fn subscribe(&self, id: Id, filter: &str, qos: QoS) {
        self.router.borrow_mut().subscribe(id, filter, qos);
    }

    /// Removes a subscription.
    pub(super) fn unsubscribe(&self, id: Id, filter: &str) {
        self.router.borrow_mut().unsubscribe(id, filter);
    }

    /// Sends a new subscriber what is retained for it.
    pub(super) fn replay(&self, peer: &Peer, filter: &str, granted: QoS) {
        self.archive.borrow().each(filter, |topic, kept| {
            let message = Message { topic, payload: &kept.payload, qos: kept.qos, retained: true };
            self.deliver(peer, &message, granted);
        });
    }

    /// Keeps a message for subscribers to come.
    pub(super) fn retain(&self, topic: &str, payload: &Bytes, qos: QoS) {
        self.archive.borrow_mut().keep(topic, payload, qos);
    }

    /// Delivers a message to all who are subscribed to its topic.
    pub(super) fn publish(&self, message: &Message<'_>) {
        self.publish_with(message.topic, message.qos, |deliver| deliver(message.payload));
    }

    /// Delivers a message that is only made if someone is subscribed to its topic.
    fn publish_with(&self, topic: &str, qos: QoS, make: impl FnOnce(&mut dyn FnMut(&[u8]))) {
        let mut found = self.found.take();
        self.router.borrow().collect(topic, &mut found);
        if !found.is_empty() {
            let registry = self.registry.borrow();
            make(&mut |payload| {
                let message = Message { topic, payload, qos, retained: false };
                for (id, granted) in &found {
                    if let Some(peer) = registry.get(*id) {
                        self.deliver(peer, &message, *granted);
                    }
                }
            });
        }
        self.found.replace(found);
    }

    fn deliver(&self, peer: &Peer, message: &Message<'_>, granted: QoS) {
        let taken = if peer.absence.get().is_some() {
            self.registry.borrow().keep(peer, message, granted)
        } else {
            peer.outbox.borrow_mut().offer(message, granted)
        };
        if taken {
            peer.wake();
        } else {
            self.dispatcher.metrics.mqtt_dropped.inc();
        }
    }

    /// Takes a reading that was published for `device` to the pipeline.
    pub(super) fn reading(
        &self,
        peer: &Peer,
        sender: Sender<'_>,
        device: &str,
        payload: &[u8],
        arrived: Tick,
    ) -> Taken {
        let bad = match Reading::parse(payload) {
            Ok(reading) if &*reading.device == device => {
                return match self.dispatcher.ask(&reading.device, sender, arrived) {
                    Ruling::Here(ruled) => Taken::Decided(self.submit(peer, ruled, reading, arrived)),
                    Ruling::Together(question) => Taken::Asked(question, reading),
                };
            }
            Ok(Reading { device: said, seq, run, .. }) => {
                let reason = format!("the topic is that of `{device}`, the reading says `{said}`");
                BadReading { device: Some(device.into()), seq: Some(seq), run, reason }
            }
            Err(bad) => bad,
        };
        self.dispatcher.bad(arrived, Endpoint::Mqtt, &bad.reason, payload);
        self.publish_answer(device, || bad.encode());
        Taken::Decided(true)
    }

    /// Takes a reading to the pipeline about which all instances were asked, as they have `ruled`; false if its publisher is to hear
    /// nothing at all.
    pub(super) fn take_up(
        &self,
        peer: &Peer,
        sender: Sender<'_>,
        ruled: Option<Result<(), u64>>,
        reading: Reading,
        arrived: Tick,
    ) -> bool {
        let ruled = self.dispatcher.decide(ruled, &reading.device, sender, arrived);
        self.submit(peer, ruled, reading, arrived)
    }

    fn submit(&self, peer: &Peer, ruled: Result<(), Refusal>, reading: Reading, arrived: Tick) -> bool {
        let id = reading.id();
        let refusal = match ruled {
            Err(refusal) => refusal,
            Ok(()) => match self.dispatcher.submit(reading, arrived, MQTT) {
                Submission::Taken => {
                    self.quota.borrow_mut().charge(&self.registry.borrow(), peer, id.device);
                    return true;
                }
                Submission::Refused(reason, retry_ms) => Refusal::Shed(reason, retry_ms),
                // Only a level that is full on its own: a full queue is noticed before the reading is read.
                Submission::Blocked(_) => {
                    self.dispatcher.metrics.turn_away(Reason::QueueFull);
                    Refusal::Shed(Reason::QueueFull, 1_000)
                }
            },
        };
        self.refused(refusal, id)
    }

    /// Tells a publisher of a refusal, as far as it is to hear of it; false if not even by an acknowledgement.
    fn refused(&self, refusal: Refusal, id: ReadingId) -> bool {
        let hint = self.dispatcher.pipeline.setup().admission.mqtt;
        let is_error = refusal == Refusal::Failed;
        if is_error || hint == RefusalNotice::Verdict {
            let device = Arc::clone(&id.device);
            let mut answer = refusal.answer(id);
            self.publish_answer(&device, || self.dispatcher.encode(&mut answer, Endpoint::Mqtt));
        }
        is_error || hint != RefusalNotice::Withhold
    }

    /// Whether readings are not even to be read for now: the queue is full and set up to push back. The caller is woken
    /// when there may be room again.
    pub(super) fn is_blocked(&self) -> bool {
        let full = self.dispatcher.pipeline.pushes_back();
        if full {
            self.blocked.set(true);
        }
        full
    }

    /// Lets those who wait for room look again.
    pub(in crate::reference) fn look_again(&self) {
        if self.blocked.get() && !self.dispatcher.pipeline.pushes_back() {
            self.blocked.set(false);
            let registry = self.registry.borrow();
            registry.peers().filter(|peer| peer.held.get()).for_each(|peer| peer.wake());
        }
    }

    /// Publishes what came of a reading.
    pub(in crate::reference) fn answer(&self, mut answer: Answer) {
        let device = Arc::clone(&answer.id().device);
        self.quota.borrow_mut().settle(&self.registry.borrow(), &device, 1);
        let silent = matches!(answer, Answer::Shed(_))
            && self.dispatcher.pipeline.setup().admission.mqtt != RefusalNotice::Verdict;
        let copies = if silent { 0 } else { answer.copies() };
        for _ in 0..copies {
            self.publish_answer(&device, || self.dispatcher.encode(&mut answer, Endpoint::Mqtt));
        }
    }

    fn publish_answer(&self, device: &str, text: impl FnOnce() -> String) {
        let mut topic = self.topic.take();
        topic::write_verdict_topic(&mut topic, device);
        self.publish_with(&topic, QoS::Level1, |deliver| deliver(text().as_bytes()));
        self.topic.replace(topic);
    }

    /// Publishes an alert.
    pub(in crate::reference) fn alert(&self, logged: &LoggedAlert) {
        let topic = topic::alert_topic(logged.alert.level.name(), logged.alert.device.as_deref());
        let payload = logged.text.as_bytes();
        self.publish(&Message { topic: &topic, payload, qos: QoS::Level1, retained: false });
    }

    /// Tells every connection to close, and returns when the last one has.
    pub(super) async fn close(&self) {
        let peers: Vec<Rc<Peer>> = self.registry.borrow().peers().cloned().collect();
        for peer in peers {
            peer.close(End::Stopped);
        }
        while self.connections() > 0 {
            self.emptied.notified().await;
        }
    }
}

#[cfg(test)]
mod tests;
