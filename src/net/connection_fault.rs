//! What acts on one device's connection at present: set by the engine, obeyed by the byte stream and by the codecs.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use super::active_fault::ActiveFault;
use super::lingering::LingeringSocket;
use super::message_fault::MessageFaultState;
use crate::clock::Tick;
use crate::seed::{Seed, Stream};

/// The clock of a connection, which can wake whoever drives it.
pub trait EngineTimer {
    /// The present instant.
    fn now(&self) -> Tick;

    /// Has the driver of connection `who` poll it again at `at`, or soon after.
    fn wake_at(&self, at: Tick, who: u32);
}

/// What acts on the connection of one device. Shared by the engine, which sets it, and by the parts that obey it.
pub struct ConnectionFaults {
    timer: Rc<dyn EngineTimer>,
    who: u32,
    seed: Seed,
    /// Number of the device among those of its seed: what its random streams are numbered by.
    device: u32,
    /// Changes with the active.
    version: Cell<u32>,
    active: RefCell<Vec<ActiveFault>>,
    /// Connections begun so far.
    connections: Cell<u32>,
    /// What message faults have done.
    message_state: RefCell<MessageFaultState>,
    /// Connections the device let go of while their peers could not hear of it.
    lingering: RefCell<Vec<LingeringSocket>>,
    /// When the last fault ended that severs connections.
    mended: Cell<Option<Tick>>,
}

/// Orphans of one device; of more the oldest is let go of at once.
const MOST_LINGERING: usize = 4;

/// The same object: what acts on one device acts on no other.
impl PartialEq for ConnectionFaults {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for ConnectionFaults {}

impl ConnectionFaults {
    /// No faults yet, for device number `device` of those with this seed, which `timer` knows as `who`.
    pub fn new(timer: Rc<dyn EngineTimer>, who: u32, seed: Seed, device: u32) -> Self {
        Self {
            timer,
            who,
            seed,
            device,
            version: Cell::new(0),
            active: RefCell::default(),
            connections: Cell::new(0),
            message_state: RefCell::default(),
            lingering: RefCell::default(),
            mended: Cell::new(None),
        }
    }

    /// Changes what acts on the device's connection, at once. The caller has to wake the task that drives it.
    pub fn set(&self, active: Vec<ActiveFault>) {
        let lingering = self.lingering.take();
        let (still_unheard, heard): (Vec<_>, Vec<_>) =
            lingering.into_iter().partition(|socket| socket.is_unheard(&active));
        *self.lingering.borrow_mut() = still_unheard;
        if self.severs() && !active.iter().any(|one| one.fault.effect.severs()) {
            self.mended.set(Some(self.timer.now()));
        }
        *self.active.borrow_mut() = active;
        self.version.set(self.version.get().wrapping_add(1));
        heard.into_iter().for_each(LingeringSocket::release);
    }

    /// Keeps a connection whose peer is not to learn yet that it is over. See [`LingeringSocket`].
    pub(super) fn keep(&self, socket: LingeringSocket) {
        let mut lingering = self.lingering.borrow_mut();
        if lingering.len() >= MOST_LINGERING {
            lingering.remove(0).release();
        }
        lingering.push(socket);
    }

    /// Changes with every [`ConnectionFaults::set`]; 0 before the first.
    pub fn version(&self) -> u32 {
        self.version.get()
    }

    /// Whether nothing acts on the connection.
    pub fn is_clear(&self) -> bool {
        self.active.borrow().is_empty()
    }

    /// Whether a fault was on at `since` or later that ends connections, or keeps them from being made.
    pub fn severed_since(&self, since: Tick) -> bool {
        self.severs() || self.mended.get() >= Some(since)
    }

    fn severs(&self) -> bool {
        self.active.borrow().iter().any(|one| one.fault.effect.severs())
    }

    /// Hands what acts on the connection to `look`.
    pub(super) fn consult<T>(&self, look: impl FnOnce(&[ActiveFault]) -> T) -> T {
        look(&self.active.borrow())
    }

    /// What acts on the connection.
    pub fn active(&self) -> Vec<ActiveFault> {
        self.active.borrow().clone()
    }

    /// Notes that a connection begins, and gives its number within the device.
    pub fn begin_connection(&self) -> u32 {
        let number = self.connections.get();
        self.connections.set(number.wrapping_add(1));
        number
    }

    /// What message faults have done to the device's messages.
    pub(super) const fn message_state(&self) -> &RefCell<MessageFaultState> {
        &self.message_state
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

impl fmt::Debug for ConnectionFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionFaults")
            .field("device", &self.device)
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}
