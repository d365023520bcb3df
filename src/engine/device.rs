//! One device as its worker holds it: plan, book, what the plan still does to it, and the handle that wakes its task.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

use super::ledger::{Ledger, Outstanding};
use super::pause::{Hold, WaitTracker};
use super::policy::ConnectionPolicy;
use super::reconnect::Role;
use super::sensor::SensorFaultState;
use crate::clock::{Skip, Tick};
use crate::fault::Ending;
use crate::fleet::Reading;
use crate::net::{ConnectionFaults, DeviceTls};
use crate::protocol::SessionState;
use crate::record::{FleetId, PhaseId};
use crate::scenario::{DevicePlan, FaultHit, Fleet, Model};

/// A connection on which nothing was under way for so long may have been closed by the peer, nanoseconds. Below that, finding
/// out would cost a system call for every reading, and no peer is so impatient.
const IDLE_NS: u64 = 50_000_000;

/// A connection attempt without an outcome yet.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) phase: PhaseId,
    pub(super) intended: Tick,
    pub(super) actual: Tick,
    /// When TLS' handshake began and ended, as far as it did.
    pub(super) handshake: Option<(Tick, Option<Tick>)>,
    /// When the connection was made, though the server may still refuse the device.
    pub(super) made: Option<Tick>,
    /// What was sent since then and closed by that, in its order.
    pub(super) held: Vec<Held>,
}

/// A reading that counts as sent once the server can no longer refuse the device.
#[derive(Debug)]
pub(super) struct Held {
    /// The reading; `None` for one that was sent once more.
    pub(super) open: Option<Outstanding>,
    pub(super) seq: u64,
    /// When it had been sent.
    pub(super) at: Tick,
}

impl Attempt {
    /// The step at which it stands; `None` once the connection is made.
    const fn step(&self) -> Option<&'static str> {
        match (self.made, self.handshake) {
            (Some(_), _) => None,
            (None, Some((_, None))) => Some("the TLS handshake"),
            (None, Some((_, Some(_)))) => Some("the handshake of the protocol over TLS"),
            (None, None) => Some("the TCP connection or the handshake of the protocol"),
        }
    }
}

/// One device. Shared between its own task and its worker's pacer loop, both on one thread.
#[derive(Debug)]
pub(super) struct Device {
    /// Place in the worker's list of devices.
    pub(super) slot: u32,
    pub(super) fleet: FleetId,
    pub(super) plan: RefCell<DevicePlan>,
    pub(super) ledger: RefCell<Ledger>,
    /// Whether a reading could be handed to the transport now.
    pub(super) can_send: Cell<bool>,
    pub(super) attempt: RefCell<Option<Box<Attempt>>>,
    /// When the plan was last seen to keep it from being answered.
    pub(super) excused: Cell<Tick>,
    /// Readings that were answered or delivered, in all.
    pub(super) answered: Cell<u64>,
    /// What keeps it from sending, and has kept it so far.
    pub(super) wait: Cell<WaitTracker>,
    pub(super) role: Role,
    /// When its last request for what others sent was answered, until the next goes out.
    pub(super) replied: Cell<Option<Tick>>,
    /// When the next keep-alive is due, once there is a connection.
    pub(super) keep_alive_at: Cell<Option<Tick>>,
    /// The last seeded anomaly that was flagged, by its number; 0 before the first.
    pub(super) found: Cell<u32>,
    /// A reading that is to be sent once more.
    pub(super) repeat: RefCell<Option<Box<(PhaseId, Reading)>>>,
    pub(super) policy: ConnectionPolicy,
    /// Faults that hit it, and whether any of them concerns its readings.
    pub(super) hits: Box<[FaultHit]>,
    pub(super) has_reading_faults: bool,
    /// What it shakes hands with, where its connections are not plain.
    pub(super) tls: Option<DeviceTls>,
    /// What acts on its connection, where a fault ever can.
    pub(super) faults: Option<Rc<ConnectionFaults>>,
    /// A fault cuts its connection: how.
    pub(super) cut: Cell<Option<Ending>>,
    /// A fault cut off its last attempt to connect.
    pub(super) attempt_cut: Cell<bool>,
    /// Whether its session outlives its connections, and what is to be completed on the next.
    pub(super) lasting: bool,
    pub(super) suspended: RefCell<Option<SessionState>>,
    pub(super) sensor_faults: RefCell<Box<[SensorFaultState]>>,
    /// Whether it subscribed before the run began; `None`: it has not tried, or is not waited for.
    pub(super) stood: Cell<Option<bool>>,
    /// Its own task is looking at everything that could concern it: it needs no waking.
    pub(super) attentive: Cell<bool>,
    /// The peer may know it from this run.
    pub(super) introduced: Cell<bool>,
    /// Attempts to connect so far.
    pub(super) attempts: Cell<u32>,
    /// Connections in a row that the peer cut off soon and for no visible cause.
    pub(super) cut_off: Cell<u8>,
    waker: RefCell<Option<Waker>>,
}

impl Device {
    pub(super) fn new(
        slot: u32,
        mut plan: DevicePlan,
        fleet: &Fleet,
        ledger: Ledger,
        tls: Option<DeviceTls>,
        (faults, has_reading_faults): (Option<Rc<ConnectionFaults>>, bool),
    ) -> Self {
        Self {
            hits: std::mem::take(&mut plan.hits),
            tls,
            faults,
            has_reading_faults,
            cut: Cell::new(None),
            attempt_cut: Cell::new(false),
            lasting: fleet.exchange.is_lasting(),
            suspended: RefCell::default(),
            sensor_faults: RefCell::default(),
            slot,
            fleet: plan.fleet,
            // A reading due before the device may connect waits for the rate at which its fleet connects.
            wait: Cell::new(WaitTracker::new(if plan.connect_at.is_some() {
                Hold::Own
            } else {
                Hold::Service
            })),
            role: if fleet.model == Model::Subscriber { Role::Listener } else { Role::Sender },
            policy: ConnectionPolicy::of(fleet, plan.outage),
            stood: Cell::new(None),
            attentive: Cell::new(false),
            plan: RefCell::new(plan),
            ledger: RefCell::new(ledger),
            can_send: Cell::new(false),
            attempt: RefCell::default(),
            excused: Cell::new(Tick::ZERO),
            answered: Cell::new(0),
            replied: Cell::new(None),
            keep_alive_at: Cell::new(None),
            found: Cell::new(0),
            repeat: RefCell::new(None),
            introduced: Cell::new(false),
            attempts: Cell::new(0),
            cut_off: Cell::new(0),
            waker: RefCell::new(None),
        }
    }

    /// The step at which its attempt to connect stands, while one is under way.
    pub(super) fn unfinished(&self) -> Option<&'static str> {
        self.attempt.borrow().as_ref().and_then(|attempt| attempt.step())
    }

    /// Whether it has nothing more to send or to wait for.
    pub(super) fn is_settled(&self) -> bool {
        self.ledger.borrow().is_settled() && self.repeat.borrow().is_none() && !self.holds()
    }

    /// Whether the server may still refuse it, which takes itself for connected.
    pub(super) fn awaits_admission(&self) -> bool {
        self.attempt.borrow().as_ref().is_some_and(|attempt| attempt.made.is_some())
    }

    /// Takes what it has sent that hangs on that.
    pub(super) fn take_held(&self) -> Vec<Held> {
        let mut attempt = self.attempt.borrow_mut();
        attempt.as_mut().map(|attempt| std::mem::take(&mut attempt.held)).unwrap_or_default()
    }

    /// Whether what it has sent hangs on that.
    fn holds(&self) -> bool {
        self.attempt.borrow().as_ref().is_some_and(|attempt| !attempt.held.is_empty())
    }

    /// Whether a fault of the scenario that severs connections acted on its own at `since` or later.
    pub(super) fn was_severed(&self, since: Tick) -> bool {
        self.faults.as_ref().is_some_and(|faults| faults.severed_since(since))
    }

    /// Whether something is due and nothing was under way for long enough that the peer may have closed the connection as idle.
    pub(super) fn has_idled(&self, now: Tick) -> bool {
        self.policy.quiet_ns(now) >= IDLE_NS && self.ledger.borrow().is_idle() && !self.is_settled()
    }

    /// The run leaves out `skip`: what the plan still has for its connection comes earlier. Whether there is anything.
    pub(super) fn leave_out(&self, skip: Skip) -> bool {
        let mut plan = self.plan.borrow_mut();
        self.policy.leave_out(skip, plan.outage.map(|outage| outage.until));
        plan.leave_out(skip)
    }

    /// When the plan has it connect; `None`: when it has something to send.
    pub(super) fn connect_at(&self) -> Option<Tick> {
        self.plan.borrow().connect_at
    }

    /// When the plan has it leave for good.
    fn leave_at(&self) -> Option<Tick> {
        self.plan.borrow().leave_at
    }

    /// No reading of a closed device is due before.
    pub(super) fn starts(&self) -> Tick {
        self.plan.borrow().starts
    }

    /// No reading is due then or later.
    pub(super) fn ends(&self) -> Tick {
        self.plan.borrow().ends
    }

    /// Whether it is to go for good at `now`.
    pub(super) fn leaves(&self, now: Tick) -> bool {
        self.leave_at().is_some_and(|at| at <= now)
    }

    /// Wakes the device's task, unless it is looking already.
    pub(super) fn wake(&self) {
        if self.attentive.get() {
            return;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_stands_at_the_step_that_is_not_finished() {
        let (none, some) = (None, Some(Tick(1)));
        let table = [
            (None, none, Some("the TCP connection or the handshake of the protocol")),
            (Some((Tick(1), None)), none, Some("the TLS handshake")),
            (Some((Tick(1), some)), none, Some("the handshake of the protocol over TLS")),
            (Some((Tick(1), some)), some, None),
        ];
        for (handshake, made, expected) in table {
            let (intended, actual) = (Tick::ZERO, Tick::ZERO);
            let attempt = Attempt { phase: PhaseId(0), intended, actual, handshake, made, held: Vec::new() };
            assert_eq!(attempt.step(), expected);
        }
    }
}
