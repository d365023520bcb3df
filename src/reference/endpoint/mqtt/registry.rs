//! Who is known: clients that are connected, and lasting sessions of clients that are away.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use mqtt_proto::QoS;

use super::codec::Message;
use super::codec::packet::{Options, Will};
use super::outbox::OVERHEAD;
use super::peer::{Absence, Peer};
use super::router::Id;
use crate::clock::Tick;

/// Sessions kept for clients that are away.
const MOST_AWAY: usize = 10_000;

/// Bytes of all that is kept for clients that are away.
const MOST_AWAY_BYTES: usize = 64 * 1024 * 1024;

/// How long a client may be away before its session is forgotten, nanoseconds.
pub(super) const AWAY_FOR: u64 = 60 * 60 * 1_000_000_000;

/// What came of a client's claim to its name.
#[derive(Debug)]
pub(super) enum Claim {
    /// Its session goes on.
    Resumed(Rc<Peer>),
    /// It begins a new one. What it had before, if anything, has ended.
    Begun(Option<Rc<Peer>>),
}

/// What is due of a client that is away.
#[derive(Debug)]
pub(super) enum Due {
    /// Its last will is to be published; its session goes on.
    Will(Box<Will>),
    /// Its session is over.
    Over(Rc<Peer>),
}

/// All clients, by their numbers, and by their names.
#[derive(Debug, Default)]
pub(super) struct Registry {
    peers: HashMap<Id, Rc<Peer>>,
    names: HashMap<Rc<str>, Id>,
    /// Clients that are away and since when, those away for longest first.
    away: BTreeSet<(Tick, Id)>,
    /// The same, by when something is to be done about them.
    due: BTreeSet<(Tick, Id)>,
    away_bytes: Cell<usize>,
    connections: usize,
    last: Id,
}

impl Registry {
    /// Connections open now.
    pub(super) fn connections(&self) -> usize {
        self.connections
    }

    /// The client of a number.
    pub(super) fn get(&self, id: Id) -> Option<&Rc<Peer>> {
        self.peers.get(&id)
    }

    /// All clients, in no order.
    pub(super) fn peers(&self) -> impl Iterator<Item = &Rc<Peer>> {
        self.peers.values()
    }

    /// Takes a connection in, as a client without a name.
    pub(super) fn enter(&mut self) -> Rc<Peer> {
        self.last += 1;
        let peer = Rc::new(Peer::new(self.last));
        self.peers.insert(peer.id, Rc::clone(&peer));
        self.connections += 1;
        peer
    }

    /// Takes note that the connection `peer` came with has ended, whoever it belongs to by now.
    pub(super) fn leave(&mut self, peer: &Peer, connection: Id) {
        self.connections -= 1;
        if peer.is_of(connection) {
            self.remove(peer);
        }
    }

    /// Gives a client its name. The client that had it before loses its connection (§3.1.4-2), and its session too unless that is a
    /// lasting one by the same version of MQTT and is `wanted`.
    pub(super) fn claim(&mut self, name: &Rc<str>, fresh: &Rc<Peer>, wanted: bool) -> Claim {
        let old = self.names.get(name).and_then(|id| self.peers.get(id)).cloned();
        if let Some(old) = &old {
            old.oust();
            self.call_back(old);
        }
        let version = |peer: &Peer| peer.outbox.borrow().version();
        match old {
            Some(old) if wanted && old.is_lasting() && version(&old) == version(fresh) => {
                self.peers.remove(&fresh.id);
                old.attach(fresh);
                Claim::Resumed(old)
            }
            old => {
                if let Some(old) = &old {
                    self.remove(old);
                }
                fresh.introduce(name);
                self.names.insert(Rc::clone(name), fresh.id);
                Claim::Begun(old)
            }
        }
    }

    /// Whether nobody has this name.
    pub(super) fn is_free(&self, name: &str) -> bool {
        !self.names.contains_key(name)
    }

    /// Ends a session.
    pub(super) fn remove(&mut self, peer: &Peer) {
        self.call_back(peer);
        self.peers.remove(&peer.id);
        if let Some(name) = peer.name()
            && self.names.get(name) == Some(&peer.id)
        {
            self.names.remove(name);
        }
    }

    /// Keeps the session of a client whose connection has ended. Gives what is due, which may be the sessions of others that
    /// are forgotten for it.
    pub(super) fn put_away(&mut self, peer: &Peer, now: Tick) -> Vec<Due> {
        peer.detach();
        let over = now.plus_ns(peer.lasts_ns().min(AWAY_FOR));
        let due = peer.will_due(now).map_or(over, |will| will.min(over));
        let absence = Absence { since: now, bytes: peer.kept_bytes(), over, due };
        peer.absence.set(Some(absence));
        self.away.insert((now, peer.id));
        self.due.insert((due, peer.id));
        self.away_bytes.set(self.away_bytes.get() + absence.bytes);
        let mut found = self.expire(now);
        while self.away.len() > MOST_AWAY || self.away_bytes.get() > MOST_AWAY_BYTES {
            let Some((_, id)) = self.away.first().copied() else { break };
            found.extend(self.forget(id));
        }
        found
    }

    /// When something is due of a client that is away.
    pub(super) fn next_due(&self) -> Option<Tick> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Forgets the sessions of clients that have been away for too long, and hands over last wills that are due.
    pub(super) fn expire(&mut self, now: Tick) -> Vec<Due> {
        let mut found = Vec::new();
        while let Some((due, id)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            let peer = self.peers.get(&id).cloned();
            let Some((peer, absence)) = peer.and_then(|peer| Some((Rc::clone(&peer), peer.absence.get()?)))
            else {
                self.due.pop_first();
                continue;
            };
            if absence.over <= now {
                found.extend(self.forget(id));
                continue;
            }
            self.due.remove(&(due, id));
            self.due.insert((absence.over, id));
            let will = peer.will.take();
            let freed = will.as_ref().map_or(0, |will| will.bytes());
            peer.absence.set(Some(Absence { due: absence.over, bytes: absence.bytes - freed, ..absence }));
            self.away_bytes.set(self.away_bytes.get() - freed);
            found.extend(will.map(Due::Will));
        }
        found
    }

    /// Keeps a message for a client that is away; false if there was no room for it.
    pub(super) fn keep(&self, peer: &Peer, message: &Message<'_>, granted: Options, now: Tick) -> bool {
        let Some(absence) = peer.absence.get() else { return false };
        let full = self.away_bytes.get() + message.most_bytes() + OVERHEAD > MOST_AWAY_BYTES;
        if full && message.qos.min(granted.qos) != QoS::Level0 {
            return false;
        }
        let mut outbox = peer.outbox.borrow_mut();
        let before = outbox.kept_bytes();
        let taken = outbox.offer(message, granted, now);
        let more = outbox.kept_bytes() - before;
        peer.absence.set(Some(Absence { bytes: absence.bytes + more, ..absence }));
        self.away_bytes.set(self.away_bytes.get() + more);
        taken
    }

    fn forget(&mut self, id: Id) -> Option<Due> {
        let peer = self.peers.get(&id).cloned()?;
        self.remove(&peer);
        Some(Due::Over(peer))
    }

    /// Takes a client off the lists of those that are away, if it is there.
    fn call_back(&mut self, peer: &Peer) {
        if let Some(Absence { since, bytes, due, .. }) = peer.absence.take() {
            self.away.remove(&(since, peer.id));
            self.due.remove(&(due, peer.id));
            self.away_bytes.set(self.away_bytes.get() - bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::codec::packet::ForwardedProperties;
    use super::*;

    fn message(payload: &[u8], qos: QoS) -> Message<'_> {
        Message::plain("t", payload, qos)
    }

    const LEVEL_1: Options = Options::of(QoS::Level1);

    fn connect(registry: &mut Registry, name: &str, is_lasting: bool) -> (Rc<Peer>, bool) {
        let fresh = registry.enter();
        let (peer, resumed) = match registry.claim(&Rc::from(name), &fresh, is_lasting) {
            Claim::Resumed(peer) => (peer, true),
            Claim::Begun(_) => (fresh, false),
        };
        peer.last_for(if is_lasting { AWAY_FOR } else { 0 });
        if resumed {
            peer.outbox.borrow_mut().resume(Tick(0));
        }
        (peer, resumed)
    }

    /// The clients of sessions that are over.
    fn over(due: &[Due]) -> Vec<Id> {
        let over = |due: &Due| match due {
            Due::Over(peer) => Some(peer.id),
            Due::Will(_) => None,
        };
        due.iter().filter_map(over).collect()
    }

    /// Puts a lasting session away.
    fn leave(registry: &mut Registry, name: &str, at: u64) -> (Rc<Peer>, Vec<Id>) {
        let (peer, _) = connect(registry, name, true);
        let forgotten = registry.put_away(&peer, Tick(at));
        (peer, over(&forgotten))
    }

    #[test]
    fn a_session_goes_on_only_if_it_was_a_lasting_one_and_is_wanted_as_one() {
        for (was, is_away, wanted) in [
            (true, true, true),
            (true, false, true),
            (true, true, false),
            (true, false, false),
            (false, false, true),
            (false, false, false),
        ] {
            let mut registry = Registry::default();
            let (old, _) = connect(&mut registry, "x", was);
            if is_away {
                registry.put_away(&old, Tick(1));
            }
            let (new, resumed) = connect(&mut registry, "x", wanted);
            assert_eq!((resumed, Rc::ptr_eq(&old, &new)), (was && wanted, was && wanted));
            assert!(!old.is_of(old.id), "its first connection has lost it");
            assert!(new.is_of(2), "it belongs to the second connection");
            assert_eq!((registry.peers.len(), registry.names.len(), registry.away.len()), (1, 1, 0));
        }
    }

    #[test]
    fn the_sessions_away_for_longest_are_forgotten_first() {
        let mut registry = Registry::default();
        let first = leave(&mut registry, "first", 1).0.id;
        let second = leave(&mut registry, "second", 2).0.id;
        for index in 2..MOST_AWAY as u64 {
            assert!(leave(&mut registry, &format!("{index}"), 1 + index).1.is_empty());
        }
        let later = MOST_AWAY as u64 + 1;
        // One that was there meanwhile is not away for longest any more.
        let (peer, forgotten) = leave(&mut registry, "first", later);
        assert_eq!((peer.id, forgotten.len()), (first, 0));
        assert_eq!(leave(&mut registry, "new", later).1, [second]);
        assert_eq!((registry.peers.len(), registry.names.len()), (MOST_AWAY, MOST_AWAY));
        assert!(!connect(&mut registry, "second", true).1 && connect(&mut registry, "first", true).1);
        assert!(
            registry.away_bytes.get() < MOST_AWAY * 1_024,
            "{} for each idle session",
            registry.away_bytes.get() / MOST_AWAY
        );
    }

    #[test]
    fn a_session_is_forgotten_after_an_hour_away_and_not_before() {
        let mut registry = Registry::default();
        let ids = [leave(&mut registry, "a", 5).0.id, leave(&mut registry, "b", 6).0.id];
        assert!(registry.expire(Tick(AWAY_FOR + 4)).is_empty());
        let forgotten = registry.expire(Tick(AWAY_FOR + 5));
        assert_eq!(over(&forgotten), ids[..1]);
        assert!(connect(&mut registry, "b", true).1);
        assert!(registry.expire(Tick(u64::MAX)).is_empty(), "it is not away");
        assert_eq!((registry.away.len(), registry.away_bytes.get()), (0, 0));
    }

    #[test]
    fn bytes_kept_for_all_are_bounded_newest_messages_and_oldest_sessions_go() {
        let mut registry = Registry::default();
        let large = vec![0; 100_000];
        let mut names = (0..).map(|index: u64| (format!("{index}"), index));
        let mut taken = 0;
        let full = 'full: loop {
            let (name, at) = names.next().unwrap();
            let (peer, forgotten) = leave(&mut registry, &name, at);
            assert!(forgotten.is_empty());
            for _ in 0..10 {
                if !registry.keep(&peer, &message(&large, QoS::Level1), LEVEL_1, Tick(0)) {
                    break 'full peer;
                }
                taken += 1;
            }
        };
        assert!((640..=671).contains(&taken), "{taken}");
        assert!(registry.away_bytes.get() <= MOST_AWAY_BYTES);
        assert!(registry.keep(&full, &message(&large, QoS::Level0), LEVEL_1, Tick(0)), "QoS 0 is not a loss");
        // A client that leaves with more than there is room for takes the place of those that are away for longest.
        let (busy, _) = connect(&mut registry, "busy", true);
        for _ in 0..5 {
            assert!(busy.outbox.borrow_mut().offer(&message(&large, QoS::Level1), LEVEL_1, Tick(0)));
        }
        let forgotten = registry.put_away(&busy, Tick(1_000));
        assert_eq!(over(&forgotten), [1]);
        let [Due::Over(forgotten)] = &forgotten[..] else { panic!("{forgotten:?}") };
        assert_eq!(forgotten.outbox.borrow().undelivered(), 10);
        assert!(registry.away_bytes.get() <= MOST_AWAY_BYTES);
        assert!(registry.keep(&full, &message(&large, QoS::Level1), LEVEL_1, Tick(0)), "now there is room");
    }

    fn will(delay_s: u32) -> Will {
        let topic = mqtt_proto::TopicName::try_from("wills").unwrap();
        let properties = ForwardedProperties::default();
        let payload = bytes::Bytes::from_static(b"gone");
        Will { topic, payload, qos: QoS::Level0, retain: false, properties, delay_s }
    }

    #[test]
    fn a_delayed_will_is_due_by_itself_or_with_the_end_of_its_session_and_not_once_the_client_is_back() {
        const SECOND: u64 = 1_000_000_000;
        let mut registry = Registry::default();
        let (early, _) = connect(&mut registry, "early", true);
        early.will.replace(Some(Box::new(will(2))));
        assert!(registry.put_away(&early, Tick(0)).is_empty());
        let (late, _) = connect(&mut registry, "late", true);
        late.last_for(3 * SECOND);
        late.will.replace(Some(Box::new(will(10))));
        assert!(registry.put_away(&late, Tick(0)).is_empty());
        assert_eq!(registry.next_due(), Some(Tick(2 * SECOND)));
        assert!(registry.expire(Tick(2 * SECOND - 1)).is_empty());
        assert!(matches!(registry.expire(Tick(2 * SECOND))[..], [Due::Will(_)]));
        assert_eq!(early.absence.get().unwrap().bytes, early.kept_bytes());
        let [Due::Over(over)] = &registry.expire(Tick(3 * SECOND))[..] else { panic!() };
        assert!(Rc::ptr_eq(over, &late) && over.will.borrow().is_some(), "it goes with the session");
        early.will.replace(Some(Box::new(will(2))));
        connect(&mut registry, "early", true);
        assert_eq!((registry.next_due(), registry.away_bytes.get()), (None, 0));
    }

    proptest! {
        #[test]
        fn the_books_balance_whatever_happens(steps in prop::collection::vec((0_u8..7, 0_usize..4), 1..60)) {
            let mut registry = Registry::default();
            let mut connected: Vec<(Id, Rc<Peer>)> = Vec::new();
            for (now, (step, name)) in steps.into_iter().enumerate() {
                let now = Tick(now as u64 * AWAY_FOR / 20);
                match step {
                    0..=2 => {
                        let (peer, _) = connect(&mut registry, ["a", "b", "c", "d"][name], step > 0);
                        connected.push((registry.last, peer));
                    }
                    3 | 4 if !connected.is_empty() => {
                        let (number, peer) = connected.swap_remove(name % connected.len());
                        if peer.is_of(number) && peer.is_lasting() {
                            registry.put_away(&peer, now);
                        }
                        registry.leave(&peer, number);
                    }
                    5 => {
                        registry.expire(now);
                    }
                    _ => for peer in registry.peers() {
                        let message = message(b"hello", QoS::Level2);
                        if peer.absence.get().is_some() {
                            prop_assert!(registry.keep(peer, &message, LEVEL_1, now));
                        } else {
                            prop_assert!(peer.outbox.borrow_mut().offer(&message, LEVEL_1, now));
                        }
                    },
                }
                let here = connected.iter().filter(|(number, peer)| peer.is_of(*number)).count();
                prop_assert_eq!(registry.connections(), connected.len());
                prop_assert_eq!(registry.peers.len(), here + registry.away.len());
                prop_assert_eq!(registry.names.len(), registry.peers.len());
                let away: Vec<_> = registry.peers().filter(|peer| peer.absence.get().is_some()).collect();
                prop_assert_eq!((away.len(), away.len()), (registry.away.len(), registry.due.len()));
                let bytes: usize = away.iter().map(|peer| peer.kept_bytes()).sum();
                prop_assert_eq!(bytes, registry.away_bytes.get());
            }
        }
    }
}
