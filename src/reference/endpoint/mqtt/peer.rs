//! One client as others see it: its session, and the hold on its connection while it has one.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use super::codec::packet::Will;
use super::codec::reason::ReasonCode;
use super::outbox::Outbox;
use super::router::{self, Id};
use super::session::Inbound;
use crate::clock::Tick;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By DISCONNECT, which also discards the last will.
    Graceful,
    /// By a DISCONNECT that keeps it, or without a word: then the last will is published.
    Ungraceful,
    /// By the service, for this reason: then, too.
    Expelled(ReasonCode),
    /// The client was not let in.
    Refused,
    /// The service stops.
    Stopped,
}

/// Since when a client is away, and what it was found to take in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Absence {
    pub(super) since: Tick,
    pub(super) bytes: usize,
    /// When its session is over.
    pub(super) over: Tick,
    /// When its last will is due, or its session over.
    pub(super) due: Tick,
}

/// The number no connection has.
const NONE: Id = 0;

/// A client: for as long as its connection, or beyond it if it has asked for a lasting session.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: Id,
    /// The connection all this belongs to now.
    connection: Cell<Id>,
    /// The client's identifier; none if it did not choose one, for then nobody can take it over.
    name: OnceCell<Rc<str>>,
    /// How long its session outlives its connection, nanoseconds; 0: not at all.
    lasts_ns: Cell<u64>,
    /// To be published if the connection ends ungracefully.
    pub(super) will: RefCell<Option<Box<Will>>>,
    /// What the connection of this number has still to write, though another has taken its place.
    farewell: RefCell<Option<(Id, Vec<u8>)>>,
    /// The registry's note.
    pub(super) absence: Cell<Option<Absence>>,
    pub(super) outbox: RefCell<Outbox>,
    pub(super) inbound: RefCell<Inbound>,
    /// The filters it is subscribed to.
    pub(super) filters: RefCell<Vec<Box<str>>>,
    /// Readings that wait for their verdicts.
    pub(super) pending: Cell<usize>,
    /// Whether its connection has stopped reading and wants to hear when it may go on.
    pub(super) held: Cell<bool>,
    pub(super) closing: Cell<Option<End>>,
    /// Whether its connection is at work right now, and so will look at its outbox without being woken.
    pub(super) awake: Cell<bool>,
    pub(super) waker: RefCell<Option<Waker>>,
}

impl Peer {
    /// A client that has just connected. Its number is never used again.
    pub(super) fn new(id: Id) -> Self {
        Self {
            id,
            connection: Cell::new(id),
            name: OnceCell::new(),
            lasts_ns: Cell::new(0),
            will: RefCell::new(None),
            farewell: RefCell::new(None),
            absence: Cell::new(None),
            outbox: RefCell::default(),
            inbound: RefCell::default(),
            filters: RefCell::default(),
            pending: Cell::new(0),
            held: Cell::new(false),
            closing: Cell::new(None),
            awake: Cell::new(false),
            waker: RefCell::new(None),
        }
    }

    /// Gives a client the name it has chosen.
    pub(super) fn introduce(&self, name: &Rc<str>) {
        // It introduces itself once: a second CONNECT is a violation.
        let _ = self.name.set(Rc::clone(name));
    }

    /// Has its session outlive its connection for so long, nanoseconds.
    pub(super) fn last_for(&self, ns: u64) {
        self.lasts_ns.set(ns);
        if ns > 0 {
            self.outbox.borrow_mut().make_lasting();
        }
    }

    /// The client's identifier, if it has chosen one.
    pub(super) fn name(&self) -> Option<&Rc<str>> {
        self.name.get()
    }

    /// How long its session outlives its connection, nanoseconds.
    pub(super) fn lasts_ns(&self) -> u64 {
        self.lasts_ns.get()
    }

    /// Whether its session outlives its connection.
    pub(super) fn is_lasting(&self) -> bool {
        self.lasts_ns.get() > 0
    }

    /// When its last will is to be published, if its connection ends now.
    pub(super) fn will_due(&self, now: Tick) -> Option<Tick> {
        let will = self.will.borrow();
        let delay_s = will.as_ref()?.delay_s;
        Some(now.plus_ns(u64::from(delay_s) * 1_000_000_000))
    }

    /// Whether it still belongs to the connection of this number.
    pub(super) fn is_of(&self, connection: Id) -> bool {
        self.connection.get() == connection
    }

    /// Takes it from its connection, if it has one, because another shows the same name [MQTT-3.1.4-3].
    pub(super) fn oust(&self) {
        let connection = self.connection.get();
        if connection != NONE {
            let words = self.outbox.borrow().farewell(ReasonCode::SessionTakenOver);
            self.farewell.replace((!words.is_empty()).then_some((connection, words)));
        }
        self.detach();
    }

    /// What a connection that it was taken from has still to write.
    pub(super) fn take_farewell(&self, connection: Id) -> Option<Vec<u8>> {
        self.farewell.take().filter(|(of, _)| *of == connection).map(|(_, words)| words)
    }

    /// Takes it from its connection, which ends if it has not.
    pub(super) fn detach(&self) {
        self.connection.set(NONE);
        self.held.set(false);
        self.outbox.borrow_mut().detach();
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Gives it, having none, the connection that `fresh` came with.
    pub(super) fn attach(&self, fresh: &Self) {
        self.connection.set(fresh.connection.replace(NONE));
        self.awake.set(fresh.awake.get());
        self.waker.replace(fresh.waker.take());
    }

    pub(super) fn wake(&self) {
        if !self.awake.get()
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }

    /// Asks its connection to end.
    pub(super) fn close(&self, end: End) {
        self.closing.set(Some(end));
        self.wake();
    }

    /// About what it takes in memory.
    pub(super) fn kept_bytes(&self) -> usize {
        let filters = self.filters.borrow().iter().map(|filter| router::most_bytes(filter)).sum::<usize>();
        size_of::<Self>()
            + self.name().map_or(0, |name| 2 * size_of::<Rc<str>>() + name.len())
            + filters
            + self.will.borrow().as_ref().map_or(0, |will| will.bytes())
            + self.inbound.borrow().most_bytes()
            + self.outbox.borrow().kept_bytes()
    }
}
