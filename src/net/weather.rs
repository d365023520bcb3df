//! What acts on one device's connection at present: set by the engine, obeyed by the byte stream and by the codecs.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::orphan::Orphan;
use super::tamper::Docket;
use crate::clock::Tick;
use crate::fault::Fault;
use crate::seed::{Seed, Stream};

/// The clock of a connection, which can wake whoever drives it.
pub trait Timer {
    /// The present instant.
    fn now(&self) -> Tick;

    /// Has the driver of connection `who` poll it again at `at`, or soon after.
    fn wake_at(&self, at: Tick, who: u32);
}

/// A fault that is on for a device.
#[derive(Debug, Clone)]
pub struct Front {
    /// The fault.
    pub fault: Arc<Fault>,
    /// Its place in the plan's list.
    pub number: u16,
    /// Which of its spells.
    pub turn: u32,
    /// When it reached the device.
    pub since: Tick,
    /// How often it acted, over all devices that share this.
    pub tally: Rc<Cell<u64>>,
}

/// What acts on the connection of one device. Shared by the engine, which sets it, and by the parts that obey it.
pub struct Weather {
    timer: Rc<dyn Timer>,
    who: u32,
    seed: Seed,
    /// Number of the device among those of its seed: what its random streams are numbered by.
    device: u32,
    /// Changes with the fronts.
    version: Cell<u32>,
    fronts: RefCell<Vec<Front>>,
    /// Connections begun so far.
    connections: Cell<u32>,
    /// What message faults have done.
    docket: RefCell<Docket>,
    /// Connections the device let go of while their peers could not hear of it.
    orphans: RefCell<Vec<Orphan>>,
    /// When the last fault ended that severs connections.
    mended: Cell<Option<Tick>>,
}

/// Orphans of one device; of more the oldest is let go of at once.
const MOST_ORPHANS: usize = 4;

/// The same object: what acts on one device acts on no other.
impl PartialEq for Weather {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Weather {}

impl Weather {
    /// Fair weather for device number `device` of those with this seed, which `timer` knows as `who`.
    pub fn new(timer: Rc<dyn Timer>, who: u32, seed: Seed, device: u32) -> Self {
        Self {
            timer,
            who,
            seed,
            device,
            version: Cell::new(0),
            fronts: RefCell::default(),
            connections: Cell::new(0),
            docket: RefCell::default(),
            orphans: RefCell::default(),
            mended: Cell::new(None),
        }
    }

    /// Changes what acts on the device's connection, at once. Whoever drives it must be woken by the caller.
    pub fn set(&self, fronts: Vec<Front>) {
        let orphans = self.orphans.take();
        let (still_unheard, heard): (Vec<_>, Vec<_>) =
            orphans.into_iter().partition(|orphan| orphan.is_unheard(&fronts));
        *self.orphans.borrow_mut() = still_unheard;
        if self.severs() && !fronts.iter().any(|front| front.fault.effect.severs()) {
            self.mended.set(Some(self.timer.now()));
        }
        *self.fronts.borrow_mut() = fronts;
        self.version.set(self.version.get().wrapping_add(1));
        heard.into_iter().for_each(Orphan::release);
    }

    /// Keeps a connection whose peer is not to learn yet that it is over. See [`Orphan`].
    pub(super) fn keep(&self, orphan: Orphan) {
        let mut orphans = self.orphans.borrow_mut();
        if orphans.len() >= MOST_ORPHANS {
            orphans.remove(0).release();
        }
        orphans.push(orphan);
    }

    /// Changes with every [`Weather::set`]; 0 before the first.
    pub fn version(&self) -> u32 {
        self.version.get()
    }

    /// Whether nothing acts on the connection.
    pub fn is_fair(&self) -> bool {
        self.fronts.borrow().is_empty()
    }

    /// Whether a fault was on at `since` or later that ends connections, or keeps them from being made.
    pub fn severed_since(&self, since: Tick) -> bool {
        self.severs() || self.mended.get() >= Some(since)
    }

    fn severs(&self) -> bool {
        self.fronts.borrow().iter().any(|front| front.fault.effect.severs())
    }

    /// Hands what acts on the connection to `look`.
    pub(super) fn consult<T>(&self, look: impl FnOnce(&[Front]) -> T) -> T {
        look(&self.fronts.borrow())
    }

    /// What acts on the connection.
    pub fn fronts(&self) -> Vec<Front> {
        self.fronts.borrow().clone()
    }

    /// Notes that a connection begins, and gives its number within the device.
    pub fn begin_connection(&self) -> u32 {
        let number = self.connections.get();
        self.connections.set(number.wrapping_add(1));
        number
    }

    /// What message faults have done to the device's messages.
    pub(super) const fn docket(&self) -> &RefCell<Docket> {
        &self.docket
    }

    /// The present instant.
    pub fn now(&self) -> Tick {
        self.timer.now()
    }

    /// Has the driver of the connection poll it again at `at`.
    pub fn wake_at(&self, at: Tick) {
        self.timer.wake_at(at, self.who);
    }

    /// The random stream of `fault` for `what` (such as `up`) of the device's connection number `connection`.
    pub fn stream(&self, fault: &str, what: &str, connection: u32) -> Stream {
        let index = u64::from(self.device) << 32 | u64::from(connection);
        self.seed.stream(&format!("fault/{fault}/{what}"), index)
    }
}

impl fmt::Debug for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weather")
            .field("device", &self.device)
            .field("fronts", &self.fronts)
            .finish_non_exhaustive()
    }
}
