//! The meeting point of all connections: delivers messages, takes readings to the pipeline and brings their verdicts back.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use mqtt_proto::QoS;
use tokio::sync::Notify;

use super::frame::Message;
use super::outbox::Outbox;
use super::router::{Archive, Id, Router};
use super::topic;
use crate::clock::Tick;
use crate::reference::admission::Class;
use crate::reference::alert::Posted;
use crate::reference::endpoint::desk::{Desk, MQTT};
use crate::reference::job::{Answer, Reason, Shed};
use crate::reference::pipeline::Submitted;
use crate::reference::reading::{BadReading, Reading, Verdict};
use crate::service::Hint;

/// Readings of one connection that may wait for their verdicts; beyond that its socket is not read.
pub(super) const MOST_PENDING: usize = 1_024;

/// Bytes read from a socket at once. The buffer is shared by all connections, so that an idle one has none.
const INPUT: usize = 16 * 1024;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By DISCONNECT, which also discards the last will.
    Graceful,
    /// Any other way: then the last will is published.
    Ungraceful,
    /// The client was not let in.
    Refused,
    /// The service stops.
    Stopped,
}

/// The side of a connection that others see.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: Id,
    pub(super) outbox: RefCell<Outbox>,
    /// Readings that wait for their verdicts.
    pub(super) pending: Cell<usize>,
    /// Whether it has stopped reading and wants to hear when it may go on.
    pub(super) held: Cell<bool>,
    pub(super) closing: Cell<Option<End>>,
    /// Whether it is at work right now, and so will look at its outbox without being woken.
    pub(super) awake: Cell<bool>,
    pub(super) waker: RefCell<Option<Waker>>,
}

impl Peer {
    fn wake(&self) {
        if !self.awake.get()
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }

    fn close(&self, end: End) {
        self.closing.set(Some(end));
        self.wake();
    }
}

/// What all connections share; they run on one thread.
#[derive(Debug)]
pub(in crate::reference) struct Hub {
    pub(super) desk: Rc<Desk>,
    router: RefCell<Router>,
    archive: RefCell<Archive>,
    peers: RefCell<HashMap<Id, Rc<Peer>>>,
    /// Which connection a client identifier belongs to.
    clients: RefCell<HashMap<Rc<str>, Id>>,
    /// Devices with readings under way: the connection they are charged to, and how many.
    pending: RefCell<HashMap<Arc<str>, (Id, usize)>>,
    /// Whether connections wait for room in the queue.
    blocked: Cell<bool>,
    /// Buffers used for a moment at a time, kept for their memory.
    found: RefCell<Vec<(Id, QoS)>>,
    topic: RefCell<String>,
    pub(super) input: RefCell<Vec<u8>>,
    last: Cell<Id>,
    emptied: Notify,
}

impl Hub {
    /// A hub without connections.
    pub(in crate::reference) fn new(desk: Rc<Desk>) -> Self {
        Self {
            desk,
            router: RefCell::default(),
            archive: RefCell::default(),
            peers: RefCell::default(),
            clients: RefCell::default(),
            pending: RefCell::default(),
            blocked: Cell::new(false),
            found: RefCell::default(),
            topic: RefCell::default(),
            input: RefCell::new(vec![0; INPUT]),
            last: Cell::new(0),
            emptied: Notify::new(),
        }
    }

    /// Connections open now.
    pub(super) fn connections(&self) -> usize {
        self.peers.borrow().len()
    }

    /// Registers a connection.
    pub(super) fn enter(&self) -> Rc<Peer> {
        self.last.set(self.last.get() + 1);
        let peer = Rc::new(Peer {
            id: self.last.get(),
            outbox: RefCell::default(),
            pending: Cell::new(0),
            held: Cell::new(false),
            closing: Cell::new(None),
            awake: Cell::new(false),
            waker: RefCell::new(None),
        });
        self.peers.borrow_mut().insert(peer.id, Rc::clone(&peer));
        self.desk.metrics.mqtt_connections.inc();
        peer
    }

    /// Forgets a connection.
    pub(super) fn leave(&self, id: Id) {
        if self.peers.borrow_mut().remove(&id).is_some() {
            self.desk.metrics.mqtt_connections.dec();
        }
        if self.connections() == 0 {
            self.emptied.notify_one();
        }
    }

    /// Makes `id` the connection of a client identifier; an older one of the same name is closed (§3.1.4-2).
    pub(super) fn claim(&self, client: &Rc<str>, id: Id) {
        let old = self.clients.borrow_mut().insert(Rc::clone(client), id);
        if let Some(old) = old.and_then(|old| self.peers.borrow().get(&old).cloned()) {
            old.close(End::Ungraceful);
        }
    }

    /// Gives a client identifier up, unless another connection has taken it over.
    pub(super) fn disclaim(&self, client: &str, id: Id) {
        let mut clients = self.clients.borrow_mut();
        if clients.get(client) == Some(&id) {
            clients.remove(client);
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
            let peers = self.peers.borrow();
            make(&mut |payload| {
                let message = Message { topic, payload, qos, retained: false };
                for (id, granted) in &found {
                    if let Some(peer) = peers.get(id) {
                        self.deliver(peer, &message, *granted);
                    }
                }
            });
        }
        self.found.replace(found);
    }

    fn deliver(&self, peer: &Peer, message: &Message<'_>, granted: QoS) {
        if peer.outbox.borrow_mut().offer(message, granted) {
            peer.wake();
        } else {
            self.desk.metrics.mqtt_dropped.inc();
        }
    }

    /// Takes a reading that was published for `device` to the pipeline; false if its publisher is to hear nothing at all.
    pub(super) fn reading(
        &self,
        peer: &Peer,
        class: Class,
        device: &str,
        payload: &[u8],
        arrived: Tick,
    ) -> bool {
        let bad = match Reading::parse(payload) {
            Ok(reading) if &*reading.device == device => return self.submit(peer, class, reading, arrived),
            Ok(Reading { device: said, seq, .. }) => {
                let reason = format!("the topic is that of `{device}`, the reading says `{said}`");
                BadReading { device: Some(device.into()), seq: Some(seq), reason }
            }
            Err(bad) => bad,
        };
        self.desk.bad(arrived, "mqtt", &bad.reason, payload);
        self.publish_answer(device, || bad.encode());
        true
    }

    fn submit(&self, peer: &Peer, class: Class, reading: Reading, arrived: Tick) -> bool {
        let (device, seq) = (Arc::clone(&reading.device), reading.seq);
        let (reason, retry_ms) = match self.desk.admit(&device, class, arrived) {
            Err(refusal) => refusal,
            Ok(()) => match self.desk.submit(reading, arrived, MQTT) {
                Submitted::Taken => {
                    self.charge(peer, device);
                    return true;
                }
                Submitted::Refused(reason, retry_ms) => (reason, retry_ms),
                // Only a level that is full on its own: a full queue is noticed before the reading is read.
                Submitted::Blocked(_) => (Reason::QueueFull, 1_000),
            },
        };
        self.refused(&Shed { device, seq, reason, retry_ms })
    }

    /// Tells a publisher of a refusal, as far as it is to hear of it; false if not even by an acknowledgement.
    fn refused(&self, shed: &Shed) -> bool {
        let hint = self.desk.pipeline.setup().admission.mqtt;
        if hint == Hint::Verdict {
            self.publish_answer(&shed.device, || shed.encode());
        }
        hint != Hint::Withhold
    }

    /// Whether readings are not even to be read for now: the queue is full and set up to push back. Whoever asked is woken
    /// when there may be room again.
    pub(super) fn is_blocked(&self) -> bool {
        let full = self.desk.pipeline.pushes_back();
        if full {
            self.blocked.set(true);
        }
        full
    }

    /// Lets those who wait for room look again.
    pub(in crate::reference) fn look_again(&self) {
        if self.blocked.get() && !self.desk.pipeline.pushes_back() {
            self.blocked.set(false);
            let peers = self.peers.borrow();
            peers.values().filter(|peer| peer.held.get()).for_each(|peer| peer.wake());
        }
    }

    /// Charges a reading under way to a connection. A device that several connections speak for is charged, all in all,
    /// to the last of them: the sum stays right, and one look-up finds whom a verdict relieves.
    fn charge(&self, peer: &Peer, device: Arc<str>) {
        let mut pending = self.pending.borrow_mut();
        let entry = pending.entry(device).or_insert((peer.id, 0));
        if entry.0 != peer.id {
            let (before, count) = std::mem::replace(entry, (peer.id, entry.1));
            self.relieve(before, count);
            peer.pending.set(peer.pending.get() + count);
        }
        entry.1 += 1;
        peer.pending.set(peer.pending.get() + 1);
    }

    /// Takes up to `count` readings of a device off the account of the connection they are charged to.
    fn settle(&self, device: &str, count: usize) {
        let mut pending = self.pending.borrow_mut();
        let Some((id, due)) = pending.get_mut(device) else { return };
        let (id, count) = (*id, count.min(*due));
        *due -= count;
        if *due == 0 {
            pending.remove(device);
        }
        self.relieve(id, count);
    }

    fn relieve(&self, id: Id, count: usize) {
        if let Some(peer) = self.peers.borrow().get(&id) {
            peer.pending.set(peer.pending.get().saturating_sub(count));
            // Woken half way down, so that a connection at its bound does not stop and go with every verdict.
            if peer.held.get() && peer.pending.get() <= MOST_PENDING / 2 {
                peer.wake();
            }
        }
    }

    /// Publishes what came of a reading.
    pub(in crate::reference) fn answer(&self, mut answer: Answer) {
        let (Answer::Verdict(Verdict { device, .. }) | Answer::Shed(Shed { device, .. })) = &answer;
        let device = Arc::clone(device);
        self.settle(&device, 1);
        let silent =
            matches!(answer, Answer::Shed(_)) && self.desk.pipeline.setup().admission.mqtt != Hint::Verdict;
        if !silent {
            self.publish_answer(&device, || self.desk.encode(&mut answer));
        }
    }

    fn publish_answer(&self, device: &str, text: impl FnOnce() -> String) {
        let mut topic = self.topic.take();
        topic::write_verdict_topic(&mut topic, device);
        self.publish_with(&topic, QoS::Level1, |deliver| deliver(text().as_bytes()));
        self.topic.replace(topic);
    }

    /// Publishes an alert.
    pub(in crate::reference) fn alert(&self, posted: &Posted) {
        let topic = topic::alert_topic(posted.alert.level.name(), &posted.alert.device);
        let payload = posted.text.as_bytes();
        self.publish(&Message { topic: &topic, payload, qos: QoS::Level1, retained: false });
    }

    /// Tells every connection to close, and returns when the last one has.
    pub(super) async fn close(&self) {
        let peers: Vec<Rc<Peer>> = self.peers.borrow().values().cloned().collect();
        for peer in peers {
            peer.close(End::Stopped);
        }
        while self.connections() > 0 {
            self.emptied.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::clock::Monotonic;
    use crate::reference::alert::{Alert, Board};
    use crate::reference::job::Word;
    use crate::reference::metric::Metrics;
    use crate::reference::pipeline::Pipeline;
    use crate::reference::reading::Level;
    use crate::service::{Admission, Alerts, Setup};

    fn hub_of(setup: &Setup, room: usize) -> (Hub, mpsc::Receiver<Word>) {
        let metrics = Arc::new(Metrics::default());
        let (back, words) = mpsc::channel(64);
        let (pipeline, _) = Pipeline::start(setup, Monotonic::start(), &metrics, back).unwrap();
        let (_, stop) = watch::channel(false);
        let desk = Desk::new(Arc::new(pipeline), metrics, stop, 10, room);
        (Hub::new(Rc::new(desk)), words)
    }

    #[test]
    fn readings_under_way_are_charged_to_one_connection_and_relieved_by_their_verdicts() {
        let (hub, _words) = hub_of(&Setup::default(), 4);
        let (one, other) = (hub.enter(), hub.enter());
        let due = |one: &Peer, other: &Peer| (one.pending.get(), other.pending.get());
        hub.charge(&one, "a".into());
        hub.charge(&one, "a".into());
        hub.charge(&one, "b".into());
        assert_eq!(due(&one, &other), (3, 0));
        hub.charge(&other, "a".into());
        assert_eq!(due(&one, &other), (1, 3), "the device speaks through the other connection now");
        hub.settle("a", 1);
        hub.settle("never", 1);
        assert_eq!(due(&one, &other), (1, 2));
        hub.settle("a", 2);
        hub.settle("b", 1);
        assert_eq!(due(&one, &other), (0, 0));
        assert!(hub.pending.borrow().is_empty());
        hub.desk.pipeline.stop();
    }

    const READING: &[u8] = br#"{"device":"d","seq":1,"value":1}"#;

    #[test]
    fn no_more_readings_go_out_than_there_is_room_for_verdicts() {
        let (hub, mut words) = hub_of(&Setup::default(), 4);
        let peer = hub.enter();
        for _ in 0..100 {
            assert!(hub.reading(&peer, Class::Authenticated, "d", READING, hub.desk.pipeline.now()));
        }
        assert_eq!((peer.pending.get(), hub.desk.metrics.received.get()), (4, 100));
        assert_eq!(hub.desk.metrics.shed_total(), 96);
        for left in (0..4).rev() {
            let Some(Word::Answer(ticket, answer)) = words.blocking_recv() else { panic!() };
            assert_eq!(ticket, MQTT);
            hub.answer(answer);
            assert_eq!(peer.pending.get(), left);
        }
        hub.desk.pipeline.stop();
    }

    #[test]
    fn publishers_hear_of_refusals_as_much_as_they_are_to() {
        for (mqtt, acknowledged, told) in
            [(Hint::Verdict, true, true), (Hint::Silence, true, false), (Hint::Withhold, false, false)]
        {
            let setup = Setup { admission: Admission { mqtt, ..Admission::default() }, ..Setup::default() };
            let (hub, _words) = hub_of(&setup, 0);
            let peer = hub.enter();
            hub.subscribe(peer.id, "devices/d/verdicts", QoS::Level0);
            let heard = hub.reading(&peer, Class::Authenticated, "d", READING, hub.desk.pipeline.now());
            assert_eq!(heard, acknowledged, "{}", mqtt.name());
            assert_eq!(!peer.outbox.borrow().unwritten().is_empty(), told, "{}", mqtt.name());
            hub.desk.pipeline.stop();
        }
    }

    #[test]
    fn an_alert_reaches_subscribers_whatever_its_device_is_called() {
        let (hub, _words) = hub_of(&Setup::default(), 4);
        let peer = hub.enter();
        hub.subscribe(peer.id, "alerts/+/+", QoS::Level0);
        let alert = Alert { device: "a/b#".into(), seq: 1, level: Level::High, score: 9.0, at_ms: 1 };
        let posted = Board::new(&Alerts::default()).post(alert);
        hub.alert(&posted);
        let outbox = peer.outbox.borrow();
        let sent = String::from_utf8_lossy(outbox.unwritten());
        assert!(sent.contains("alerts/high/a_b_{\"type\":\"alert\",\"id\":1,\"device\":\"a/b#\""), "{sent}");
        hub.desk.pipeline.stop();
    }
}
