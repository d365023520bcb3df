//! One client as others see it: its session, and the hold on its connection while it has one.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use super::outbox::Outbox;
use super::router::{self, Id};
use super::session::Inbound;
use crate::clock::Tick;

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

/// Since when a client is away, and what it was found to take in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Absence {
    pub(super) since: Tick,
    pub(super) bytes: usize,
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
    is_lasting: Cell<bool>,
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
            is_lasting: Cell::new(false),
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
    pub(super) fn introduce(&self, name: &Rc<str>, is_lasting: bool) {
        // It introduces itself once: a second CONNECT is a violation.
        let _ = self.name.set(Rc::clone(name));
        self.is_lasting.set(is_lasting);
        if is_lasting {
            self.outbox.borrow_mut().make_lasting();
        }
    }

    /// The client's identifier, if it has chosen one.
    pub(super) fn name(&self) -> Option<&Rc<str>> {
        self.name.get()
    }

    /// Whether its session outlives its connection.
    pub(super) fn is_lasting(&self) -> bool {
        self.is_lasting.get()
    }

    /// Whether it still belongs to the connection of this number.
    pub(super) fn is_of(&self, connection: Id) -> bool {
        self.connection.get() == connection
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
            + self.inbound.borrow().most_bytes()
            + self.outbox.borrow().kept_bytes()
    }
}
