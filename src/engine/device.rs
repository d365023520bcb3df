//! One device as its worker holds it: plan, book, and the handle that wakes its task.

use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};

use super::ledger::Ledger;
use crate::clock::Tick;
use crate::record::{FleetId, PhaseId};
use crate::scenario::DevicePlan;

/// A connection attempt under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) phase: PhaseId,
    pub(super) intended: Tick,
    pub(super) actual: Tick,
}

/// One device. Shared between its own task and its worker's pacer loop, both on one thread.
#[derive(Debug)]
pub(super) struct Device {
    /// Place in the worker's list of devices.
    pub(super) slot: u32,
    pub(super) fleet: FleetId,
    pub(super) connect_at: Tick,
    pub(super) plan: RefCell<DevicePlan>,
    pub(super) ledger: RefCell<Ledger>,
    /// Whether a reading could be handed to the transport now.
    pub(super) linked: Cell<bool>,
    pub(super) attempt: Cell<Option<Attempt>>,
    /// Readings that were answered, in all.
    pub(super) answered: Cell<u64>,
    /// Whether an `Expire` entry for the ledger stands in the agenda.
    pub(super) expiry_armed: Cell<bool>,
    /// When the next keep-alive is due, while an entry for it stands in the agenda.
    pub(super) keep_alive_at: Cell<Option<Tick>>,
    /// The last seeded anomaly that was flagged, by its number; 0 before the first.
    pub(super) found: Cell<u32>,
    waker: RefCell<Option<Waker>>,
}

impl Device {
    pub(super) fn new(slot: u32, plan: DevicePlan, ledger: Ledger) -> Self {
        Self {
            slot,
            fleet: plan.fleet,
            connect_at: plan.connect_at,
            plan: RefCell::new(plan),
            ledger: RefCell::new(ledger),
            linked: Cell::new(false),
            attempt: Cell::new(None),
            answered: Cell::new(0),
            expiry_armed: Cell::new(false),
            keep_alive_at: Cell::new(None),
            found: Cell::new(0),
            waker: RefCell::new(None),
        }
    }

    /// Wakes the device's task.
    pub(super) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Makes [`Device::wake`] reach the task that polls with `cx`.
    pub(super) fn listen(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        match &*waker {
            Some(present) if present.will_wake(cx.waker()) => {}
            _ => *waker = Some(cx.waker().clone()),
        }
    }
}
