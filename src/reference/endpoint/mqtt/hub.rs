//! The meeting point of all connections: delivers messages, takes readings to the pipeline and brings their verdicts back.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use mqtt_proto::QoS;
use tokio::sync::{Notify, mpsc};

use super::frame::Message;
use super::outbox::Outbox;
use super::router::{Archive, Id, Router};
use super::topic;
use crate::clock::Tick;
use crate::reference::metric::Metrics;
use crate::reference::pipeline::{Alert, Pipeline, Refusal, ReplyTo};
use crate::reference::reading::{BadReading, Reading, Verdict, encode_shed};

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
pub(super) struct Hub {
    pub(super) pipeline: Arc<Pipeline>,
    metrics: Arc<Metrics>,
    router: RefCell<Router>,
    archive: RefCell<Archive>,
    peers: RefCell<HashMap<Id, Rc<Peer>>>,
    /// Which connection a client identifier belongs to.
    clients: RefCell<HashMap<Rc<str>, Id>>,
    /// Devices with readings under way: the connection they are charged to, and how many.
    pending: RefCell<HashMap<Arc<str>, (Id, usize)>>,
    verdicts: mpsc::Sender<Verdict>,
    /// Buffers used for a moment at a time, kept for their memory.
    found: RefCell<Vec<(Id, QoS)>>,
    topic: RefCell<String>,
    pub(super) input: RefCell<Vec<u8>>,
    last: Cell<Id>,
    emptied: Notify,
}

impl Hub {
    /// A hub without connections. `verdicts` leads back to whoever calls [`Self::verdict`].
    pub(super) fn new(
        pipeline: Arc<Pipeline>,
        metrics: Arc<Metrics>,
        verdicts: mpsc::Sender<Verdict>,
    ) -> Self {
        Self {
            pipeline,
            metrics,
            router: RefCell::default(),
            archive: RefCell::default(),
            peers: RefCell::default(),
            clients: RefCell::default(),
            pending: RefCell::default(),
            verdicts,
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
        self.metrics.mqtt_connections.inc();
        peer
    }

    /// Forgets a connection.
    pub(super) fn leave(&self, id: Id) {
        if self.peers.borrow_mut().remove(&id).is_some() {
            self.metrics.mqtt_connections.dec();
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
            self.metrics.mqtt_dropped.inc();
        }
    }

    /// Takes a reading that was published for `device` to the pipeline.
    pub(super) fn reading(&self, peer: &Peer, device: &str, payload: &[u8], arrived: Tick) {
        let bad = match Reading::parse(payload) {
            Ok(reading) if &*reading.device == device => return self.submit(peer, reading, arrived),
            Ok(Reading { device: said, seq, .. }) => {
                let reason = format!("the topic is that of `{device}`, the reading says `{said}`");
                BadReading { device: Some(device.into()), seq: Some(seq), reason }
            }
            Err(bad) => bad,
        };
        self.metrics.bad.inc();
        self.answer(device, || bad.encode());
    }

    fn submit(&self, peer: &Peer, reading: Reading, arrived: Tick) {
        let (device, seq) = (Arc::clone(&reading.device), reading.seq);
        // Every reading under way holds a sender. Were the channel too small for all their verdicts, some would be lost.
        let unread = self.verdicts.max_capacity() - self.verdicts.capacity();
        let submitted = if self.verdicts.strong_count() + unread > self.verdicts.max_capacity() {
            self.metrics.received.inc();
            self.metrics.shed(arrived);
            Err(Refusal::QueueFull)
        } else {
            self.pipeline.submit(reading, arrived, ReplyTo::Stream(self.verdicts.clone()))
        };
        match submitted {
            Ok(()) => self.charge(peer, device),
            Err(refusal) => {
                if refusal == Refusal::Stopping {
                    // Its worker is gone, and the verdicts it owed with it.
                    self.settle(&device, usize::MAX);
                }
                self.answer(&device, || encode_shed(&device, seq));
            }
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

    /// Publishes a verdict that came out of the pipeline.
    pub(super) fn verdict(&self, verdict: &Verdict) {
        self.settle(&verdict.device, 1);
        self.answer(&verdict.device, || verdict.encode());
    }

    /// Forgets what is pending if nothing is under way any more: what a lost worker still owed never comes.
    pub(super) fn write_off(&self) {
        if self.verdicts.strong_count() > 1 || self.verdicts.capacity() < self.verdicts.max_capacity() {
            return;
        }
        let owed: Vec<(Id, usize)> = self.pending.borrow_mut().drain().map(|(_, owed)| owed).collect();
        for (id, count) in owed {
            self.relieve(id, count);
        }
    }

    fn answer(&self, device: &str, text: impl FnOnce() -> String) {
        let mut topic = self.topic.take();
        topic::write_verdict_topic(&mut topic, device);
        self.publish_with(&topic, QoS::Level1, |deliver| deliver(text().as_bytes()));
        self.topic.replace(topic);
    }

    /// Publishes an alert.
    pub(super) fn alert(&self, alert: &Alert) {
        let topic = topic::alert_topic(alert.level.name(), &alert.device);
        let payload = alert.text.as_bytes();
        self.publish(&Message { topic: &topic, payload, qos: QoS::Level1, retained: false });
    }

    /// Counts alerts that were missed because the endpoint was too slow.
    pub(super) fn alerts_missed(&self, count: u64) {
        self.metrics.mqtt_dropped.inc_by(count);
    }

    /// Counts a connection that was refused.
    pub(super) fn refused(&self) {
        self.metrics.connections_refused.inc();
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
    use super::*;
    use crate::clock::Monotonic;
    use crate::reference::config::Config;

    fn hub() -> (Hub, mpsc::Receiver<Verdict>) {
        let metrics = Arc::new(Metrics::default());
        let (pipeline, _) = Pipeline::start(&Config::default(), Monotonic::start(), &metrics).unwrap();
        let (sender, verdicts) = mpsc::channel(4);
        (Hub::new(Arc::new(pipeline), metrics, sender), verdicts)
    }

    #[test]
    fn readings_under_way_are_charged_to_one_connection_and_relieved_by_their_verdicts() {
        let (hub, _verdicts) = hub();
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
        hub.settle("a", usize::MAX);
        assert_eq!(due(&one, &other), (1, 0), "a lost worker's debt is forgiven at once");
        let under_way = hub.verdicts.clone();
        hub.write_off();
        assert_eq!(due(&one, &other), (1, 0), "something is still under way");
        drop(under_way);
        hub.write_off();
        assert_eq!(due(&one, &other), (0, 0));
        assert!(hub.pending.borrow().is_empty());
        hub.pipeline.stop();
    }

    #[test]
    fn no_more_readings_go_out_than_there_is_room_for_verdicts() {
        let (hub, mut verdicts) = hub();
        let peer = hub.enter();
        let payload = br#"{"device":"d","seq":1,"value":1}"#;
        for _ in 0..100 {
            hub.reading(&peer, "d", payload, hub.pipeline.now());
        }
        assert_eq!((peer.pending.get(), hub.metrics.received.get()), (4, 100));
        assert_eq!(hub.metrics.shed_total(), 96);
        for left in (0..4).rev() {
            hub.verdict(&verdicts.blocking_recv().unwrap());
            assert_eq!(peer.pending.get(), left);
        }
        hub.pipeline.stop();
    }

    #[test]
    fn an_alert_reaches_subscribers_whatever_its_device_is_called() {
        let (hub, _verdicts) = hub();
        let peer = hub.enter();
        hub.subscribe(peer.id, "alerts/+/+", QoS::Level0);
        let level = crate::reference::reading::Level::High;
        hub.alert(&Alert { device: "a/b#".into(), level, text: "{}".into() });
        assert_eq!(peer.outbox.borrow().unwritten(), b"\x30\x14\0\x10alerts/high/a_b_{}");
        hub.pipeline.stop();
    }
}
