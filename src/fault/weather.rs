//! What acts on one device's connection at present: set by the engine, obeyed by the byte stream and by the codecs.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::schedule::Fault;
use crate::clock::Tick;
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
    /// Global index of the device: what its random streams are numbered by.
    device: u32,
    /// Changes with the fronts.
    version: Cell<u32>,
    fronts: RefCell<Vec<Front>>,
    /// Connections begun so far.
    connections: Cell<u32>,
}

impl Weather {
    /// Fair weather for the device with global index `device`, which `timer` knows as `who`.
    pub fn new(timer: Rc<dyn Timer>, who: u32, seed: Seed, device: u32) -> Self {
        Self {
            timer,
            who,
            seed,
            device,
            version: Cell::new(0),
            fronts: RefCell::default(),
            connections: Cell::new(0),
        }
    }

    /// Changes what acts on the device's connection, at once. Whoever drives it must be woken by the caller.
    pub fn set(&self, fronts: Vec<Front>) {
        *self.fronts.borrow_mut() = fronts;
        self.version.set(self.version.get().wrapping_add(1));
    }

    /// Changes with every [`Weather::set`]; 0 before the first.
    pub fn version(&self) -> u32 {
        self.version.get()
    }

    /// Whether nothing acts on the connection.
    pub fn is_fair(&self) -> bool {
        self.fronts.borrow().is_empty()
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
