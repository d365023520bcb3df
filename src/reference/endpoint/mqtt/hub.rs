//! The meeting point of all connections: delivers messages, takes readings to the pipeline and brings their verdicts back.

mod feed;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mqtt_proto::QoS;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::archive::Archive;
use super::codec::Message;
use super::codec::packet::{ForwardedProperties, Options, ReplyPath, Will};
use super::codec::reason::ReasonCode;
use super::outbox::Waste;
use super::peer::{End, Peer};
use super::quota::InFlightQuota;
use super::registry::{Claim, Due, Registry};
use super::router::{Id, Router};
use super::topic;
use crate::clock::{Tick, WallTime};
use crate::reference::admission::{Question, Sender};
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
    /// It is decided; what an acknowledgement is to say, `None` if its publisher is to hear nothing at all.
    Decided(Option<ReasonCode>),
    /// All instances are asked whether it may pass.
    Asked(Question, Reading),
}

/// Who publishes a reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct Publisher<'a> {
    pub(super) peer: &'a Peer,
    pub(super) sender: Sender<'a>,
    /// Where it wants to be answered.
    pub(super) reply_path: Option<&'a Rc<ReplyPath>>,
    /// Whether it hears of a refusal by the reason in the acknowledgement, and so not by a message.
    pub(super) hears_reasons: bool,
}

/// What all connections share; they run on one thread.
#[derive(Debug)]
pub(in crate::reference) struct Hub {
    pub(super) dispatcher: Rc<Dispatcher>,
    router: RefCell<Router>,
    archive: RefCell<Archive>,
    registry: RefCell<Registry>,
    quota: RefCell<InFlightQuota>,
    /// Where answers are to go besides, of readings under way whose publishers say so.
    reply_paths: RefCell<HashMap<ReadingId, Rc<ReplyPath>>>,
    /// Whether connections wait for room in the queue.
    blocked: Cell<bool>,
    /// Buffers used for a moment at a time, kept for their memory.
    found: RefCell<Vec<(Id, Options)>>,
    topic: RefCell<String>,
    pub(super) input: RefCell<Vec<u8>>,
    emptied: Notify,
    /// Told when something is due of clients that are away sooner than it was.
    hastened: Notify,
    /// How the identifiers begin that clients are given who have not chosen one.
    prefix: String,
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
            reply_paths: RefCell::default(),
            blocked: Cell::new(false),
            found: RefCell::default(),
            topic: RefCell::default(),
            input: RefCell::new(vec![0; INPUT]),
            emptied: Notify::new(),
            hastened: Notify::new(),
            // Clients may show an identifier again that another service before this one has given them.
            prefix: format!("squall-{:x}-", WallTime::now().epoch_ns()),
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

    /// Gives a client that has just connected its name. If it has a session that goes on, and it is `wanted`, then that is to be used
    /// from now on.
    pub(super) fn claim(&self, name: &Rc<str>, fresh: &Rc<Peer>, wanted: bool) -> Option<Rc<Peer>> {
        // A session that is due to be forgotten is not found any more, whether or not that has been noticed.
        let now = self.dispatcher.pipeline.now();
        self.expire(now);
        let claim = self.registry.borrow_mut().claim(name, fresh, wanted);
        match claim {
            Claim::Resumed(peer) => {
                // One that waits is not sent to say that a client is gone which is there [MQTT-3.1.3-9].
                if let Some(will) = peer.will.take().filter(|will| will.delay_s == 0) {
                    self.execute(&will, now);
                }
                Some(peer)
            }
            Claim::Begun(ended) => {
                if let Some(ended) = ended {
                    self.cancel(&ended);
                    self.execute_of(&ended, now);
                }
                None
            }
        }
    }

    /// An identifier that nobody has, for a client that has not chosen one [MQTT-3.1.3-6]; with what its name begins with.
    pub(super) fn assign(&self, realm: &str, peer: &Peer) -> String {
        let mut assigned = format!("{}{}", self.prefix, peer.id);
        // Somebody may have guessed it.
        while !self.registry.borrow().is_free(&format!("{realm}{assigned}")) {
            assigned.push('x');
        }
        assigned
    }

    /// Lets a client go whose connection ends, with its last will if it has one: a lasting session is kept, any other ends too.
    pub(super) fn part(&self, peer: &Peer) {
        let now = self.dispatcher.pipeline.now();
        if peer.is_lasting() {
            let prompt = peer.will.borrow_mut().take_if(|will| will.delay_s == 0);
            let before = self.registry.borrow().next_due();
            let due = self.registry.borrow_mut().put_away(peer, now);
            if before.is_none_or(|before| self.registry.borrow().next_due().is_some_and(|due| due < before)) {
                self.hastened.notify_one();
            }
            if let Some(will) = prompt {
                self.execute(&will, now);
            }
            self.settle(due, now);
        } else {
            peer.detach();
            self.registry.borrow_mut().remove(peer);
            self.cancel(peer);
            self.execute_of(peer, now);
        }
    }

    /// Forgets the sessions of clients that have been away for too long, and publishes last wills that are due.
    pub(super) fn expire(&self, now: Tick) {
        let due = self.registry.borrow_mut().expire(now);
        self.settle(due, now);
    }

    /// Forgets retained messages whose time has passed.
    pub(super) fn clear(&self, now: Tick) {
        self.archive.borrow_mut().expire(now);
    }

    /// Returns when something is due of clients that are away.
    pub(super) async fn something_due(&self) {
        loop {
            let hastened = self.hastened.notified();
            let Some(due) = self.registry.borrow().next_due() else {
                hastened.await;
                continue;
            };
            let patience = Duration::from_nanos(due.since(self.dispatcher.pipeline.now()));
            if timeout(patience, hastened).await.is_err() {
                return;
            }
        }
    }

    fn settle(&self, due: Vec<Due>, now: Tick) {
        for due in due {
            match due {
                Due::Will(will) => self.execute(&will, now),
                Due::Over(peer) => {
                    self.cancel(&peer);
                    self.dispatcher.metrics.mqtt_dropped.inc_by(peer.outbox.borrow().undelivered() as u64);
                    self.execute_of(&peer, now);
                }
            }
        }
    }

    /// Publishes the last will of a client whose session is over, if it has one.
    fn execute_of(&self, peer: &Peer, now: Tick) {
        if let Some(will) = peer.will.take() {
            self.execute(&will, now);
        }
    }

    fn execute(&self, will: &Will, now: Tick) {
        if *will.topic == *topic::BROADCAST {
            self.take_broadcast(&will.payload, now);
            return;
        }
        if will.retain {
            self.retain((&will.topic, &will.payload), will.qos, &will.properties);
        }
        self.publish(&will.message(now), None);
    }

    /// Removes all subscriptions of a client.
    fn cancel(&self, peer: &Peer) {
        let mut router = self.router.borrow_mut();
        for filter in peer.filters.take() {
            router.unsubscribe(peer.id, &filter);
        }
    }

    /// Adds a subscription.
    pub(super) fn subscribe(&self, id: Id, filter: &str, options: Options) {
        self.router.borrow_mut().subscribe(id, filter, options);
    }

    /// Removes a subscription.
    pub(super) fn unsubscribe(&self, id: Id, filter: &str) {
        self.router.borrow_mut().unsubscribe(id, filter);
    }

    /// Sends a new subscriber what is retained for it.
    pub(super) fn replay(&self, peer: &Peer, filter: &str, granted: Options) {
        let now = self.dispatcher.pipeline.now();
        self.archive.borrow().each(filter, now, |message| self.deliver(peer, &message, granted, now));
    }

    /// Keeps a message for subscribers to come.
    pub(super) fn retain(&self, message: (&str, &Bytes), qos: QoS, properties: &ForwardedProperties) {
        self.archive.borrow_mut().keep(message, qos, properties, self.dispatcher.pipeline.now());
    }

    /// Delivers a message that client `from` has published to all who are subscribed to its topic; whether anybody is.
    pub(super) fn publish(&self, message: &Message<'_>, from: Option<Id>) -> bool {
        self.publish_with(message.topic, from, |deliver| deliver(message))
    }

    /// Delivers a message that is only made if someone is subscribed to its topic.
    fn publish_with(
        &self,
        topic: &str,
        from: Option<Id>,
        make: impl FnOnce(&mut dyn FnMut(&Message<'_>)),
    ) -> bool {
        let mut found = self.found.take();
        self.router.borrow().collect(topic, from, &mut found);
        let is_heard = !found.is_empty();
        if is_heard {
            let (registry, now) = (self.registry.borrow(), self.dispatcher.pipeline.now());
            make(&mut |message| {
                for (id, granted) in &found {
                    if let Some(peer) = registry.get(*id) {
                        self.deliver(peer, message, *granted, now);
                    }
                }
            });
        }
        self.found.replace(found);
        is_heard
    }

    fn deliver(&self, peer: &Peer, message: &Message<'_>, granted: Options, now: Tick) {
        let taken = if peer.absence.get().is_some() {
            self.registry.borrow().keep(peer, message, granted, now)
        } else {
            peer.outbox.borrow_mut().offer(message, granted, now)
        };
        if taken {
            peer.wake();
        } else {
            self.dispatcher.metrics.mqtt_dropped.inc();
        }
    }

    /// Counts what came to nothing on its way to a client.
    pub(super) fn count_waste(&self, peer: &Peer) {
        let Waste { oversized, expired } = peer.outbox.borrow_mut().take_waste();
        if oversized + expired > 0 {
            self.dispatcher.metrics.mqtt_dropped.inc_by(oversized);
            self.dispatcher.metrics.mqtt_expired.inc_by(expired);
        }
    }

    /// Takes a reading that was published for `device` to the pipeline.
    pub(super) fn reading(&self, from: Publisher<'_>, device: &str, payload: &[u8], arrived: Tick) -> Taken {
        let bad = match Reading::parse(payload) {
            Ok(reading) if &*reading.device == device => {
                return match self.dispatcher.ask(&reading.device, from.sender, arrived) {
                    Ruling::Here(ruled) => Taken::Decided(self.submit(from, ruled, reading, arrived)),
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
        if from.hears_reasons {
            return Taken::Decided(Some(ReasonCode::ImplementationSpecific));
        }
        self.publish_answer(device, from.reply_path, || bad.encode());
        Taken::Decided(Some(ReasonCode::Success))
    }

    /// Takes a reading to the pipeline about which all instances were asked, as they have `ruled`; what an acknowledgement is to say,
    /// `None` if its publisher is to hear nothing at all.
    pub(super) fn take_up(
        &self,
        from: Publisher<'_>,
        ruled: Option<Result<(), u64>>,
        reading: Reading,
        arrived: Tick,
    ) -> Option<ReasonCode> {
        let ruled = self.dispatcher.decide(ruled, &reading.device, from.sender, arrived);
        self.submit(from, ruled, reading, arrived)
    }

    fn submit(
        &self,
        from: Publisher<'_>,
        ruled: Result<(), Refusal>,
        reading: Reading,
        arrived: Tick,
    ) -> Option<ReasonCode> {
        let id = reading.id();
        let refusal = match ruled {
            Err(refusal) => refusal,
            Ok(()) => match self.dispatcher.submit(reading, arrived, MQTT) {
                Submission::Taken => {
                    if let Some(reply_path) = from.reply_path {
                        // Each is answered, so there are no more of them than readings under way.
                        self.reply_paths.borrow_mut().insert(id.clone(), Rc::clone(reply_path));
                    }
                    self.quota.borrow_mut().charge(&self.registry.borrow(), from.peer, id.device);
                    return Some(ReasonCode::Success);
                }
                Submission::Refused(reason, retry_ms) => Refusal::Shed(reason, retry_ms),
                // Only a level that is full on its own: a full queue is noticed before the reading is read.
                Submission::Blocked(_) => {
                    self.dispatcher.metrics.turn_away(Reason::QueueFull);
                    Refusal::Shed(Reason::QueueFull, 1_000)
                }
            },
        };
        self.refused(refusal, id, from)
    }

    /// Tells a publisher of a refusal, as far as it is to hear of it; `None` if not even by an acknowledgement.
    fn refused(&self, refusal: Refusal, id: ReadingId, from: Publisher<'_>) -> Option<ReasonCode> {
        let hint = self.dispatcher.pipeline.setup().admission.mqtt;
        let is_error = refusal == Refusal::Failed;
        let is_told = is_error || hint == RefusalNotice::Verdict;
        if is_told && from.hears_reasons {
            return Some(if is_error { ReasonCode::Unspecified } else { ReasonCode::QuotaExceeded });
        }
        if is_told {
            let device = Arc::clone(&id.device);
            let mut answer = refusal.answer(id);
            let text = || self.dispatcher.encode(&mut answer, Endpoint::Mqtt);
            self.publish_answer(&device, from.reply_path, text);
        }
        (is_error || hint != RefusalNotice::Withhold).then_some(ReasonCode::Success)
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
        let reply_path = self.reply_paths.borrow_mut().remove(answer.id());
        self.quota.borrow_mut().settle(&self.registry.borrow(), &device, 1);
        let silent = matches!(answer, Answer::Shed(_))
            && self.dispatcher.pipeline.setup().admission.mqtt != RefusalNotice::Verdict;
        let copies = if silent { 0 } else { answer.copies() };
        for _ in 0..copies {
            let text = || self.dispatcher.encode(&mut answer, Endpoint::Mqtt);
            self.publish_answer(&device, reply_path.as_ref(), text);
        }
    }

    /// Publishes an answer where verdicts are and, if that is another topic, where its publisher wants to have it.
    fn publish_answer(
        &self,
        device: &str,
        reply_path: Option<&Rc<ReplyPath>>,
        text: impl FnOnce() -> String,
    ) {
        let mut topic = self.topic.take();
        topic::write_verdict_topic(&mut topic, device);
        let properties = reply_path.map_or(&[][..], |path| &path.property);
        if let Some(path) = reply_path.filter(|path| *path.topic != *topic) {
            let text = text();
            for topic in [&topic, &*path.topic] {
                let message = Message::plain(topic, text.as_bytes(), QoS::Level1);
                self.publish(&Message { properties, ..message }, None);
            }
        } else {
            self.publish_with(&topic, None, |deliver| {
                let text = text();
                deliver(&Message { properties, ..Message::plain(&topic, text.as_bytes(), QoS::Level1) });
            });
        }
        self.topic.replace(topic);
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
