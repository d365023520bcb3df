//! One device as its worker holds it: plan, book, what the plan still does to it, and the handle that wakes its task.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

use super::fault::Ailment;
use super::ledger::Ledger;
use super::pause::{Hold, WaitTracker};
use super::reconnect::Role;
use crate::clock::Tick;
use crate::fault::{Ending, Weather};
use crate::fleet::Reading;
use crate::protocol::Suspended;
use crate::record::{FleetId, PhaseId, Qos};
use crate::scenario::{DevicePlan, Exchange, Fleet, Hit, Model, Outage};

/// A connection on which nothing was under way for so long may have been closed by the peer, nanoseconds. Below that, finding
/// out would cost a system call for every reading, and no peer is so impatient.
const IDLE_NS: u64 = 50_000_000;

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
    /// `None`: when it has something to send.
    pub(super) connect_at: Option<Tick>,
    pub(super) leave_at: Option<Tick>,
    /// No reading of a closed device is due before, or then and later.
    pub(super) starts: Tick,
    pub(super) ends: Tick,
    pub(super) plan: RefCell<DevicePlan>,
    pub(super) ledger: RefCell<Ledger>,
    /// Whether a reading could be handed to the transport now.
    pub(super) linked: Cell<bool>,
    pub(super) attempt: Cell<Option<Attempt>>,
    /// When the plan was last seen to keep it from being answered.
    pub(super) excused: Cell<Tick>,
    /// Readings that were answered or heard, in all.
    pub(super) answered: Cell<u64>,
    /// What keeps it from sending, and has kept it so far.
    pub(super) stay: Cell<WaitTracker>,
    pub(super) role: Role,
    /// When the `Expire` entry for the ledger that was put into the timer queue last is due.
    pub(super) expiry_at: Cell<Option<Tick>>,
    /// When the next keep-alive is due, while an entry for it stands in the timer queue.
    pub(super) keep_alive_at: Cell<Option<Tick>>,
    /// The last seeded anomaly that was flagged, by its number; 0 before the first.
    pub(super) found: Cell<u32>,
    /// A reading that is to be sent once more.
    pub(super) repeat: RefCell<Option<(PhaseId, Reading)>>,
    pub(super) policy: ConnectionPolicy,
    /// Faults that hit it, and whether any of them concerns its readings.
    pub(super) hits: Box<[Hit]>,
    pub(super) ailing: bool,
    /// What acts on its connection, where a fault ever can.
    pub(super) weather: Option<Rc<Weather>>,
    /// A fault cuts its connection: how.
    pub(super) struck: Cell<Option<Ending>>,
    /// A fault cut off its last attempt to connect.
    pub(super) barred: Cell<bool>,
    /// For when an entry was last put into the timer queue, because held bytes or messages are due then.
    pub(super) bell_at: Cell<Option<Tick>>,
    /// Whether its session outlives its connections, and what is to be completed on the next.
    pub(super) lasting: bool,
    pub(super) suspended: RefCell<Option<Suspended>>,
    pub(super) ailments: RefCell<Vec<Ailment>>,
    /// Its own task is looking at everything that could concern it: nobody needs to wake it.
    pub(super) attentive: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// What the plan makes of the device's connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionPolicy {
    /// An outage that has not begun.
    outage: Cell<Option<Outage>>,
    /// Until when it stays offline.
    offline_until: Cell<Tick>,
    /// A fault keeps it away.
    grounded: Cell<bool>,
    /// How long a device that connects on demand stays after its last answer, nanoseconds.
    awake_ns: Option<u64>,
    /// Its last answer, or its connection.
    stirred: Cell<Tick>,
    /// When it may fall asleep, while an entry for it stands in the timer queue.
    pub(super) rest_armed: Cell<Option<Tick>>,
    /// Time between two stored readings that are sent after an outage, nanoseconds.
    flush_gap_ns: Option<u64>,
    /// When the last outage ended: readings due before are stored ones.
    resumed: Cell<Tick>,
    /// When the next stored reading may go out, and whether an entry for it stands in the timer queue.
    flush_at: Cell<Tick>,
    pub(super) flush_armed: Cell<bool>,
}

impl ConnectionPolicy {
    fn of(fleet: &Fleet, outage: Option<Outage>) -> Self {
        let behaviour = &fleet.behaviour;
        Self {
            outage: Cell::new(outage),
            awake_ns: fleet.on_demand().then(|| behaviour.sleepy.map_or(0, crate::units::Span::as_ns)),
            flush_gap_ns: behaviour.flush.map(|rate| (1e9 / rate.as_per_second()) as u64),
            ..Self::default()
        }
    }

    /// The outage that has not begun.
    pub(super) const fn outage(&self) -> Option<Outage> {
        self.outage.get()
    }

    /// Whether the connection is to be cut at `now`; it is cut once.
    pub(super) fn cuts(&self, now: Tick) -> bool {
        let Some(outage) = self.outage.get().filter(|outage| outage.from <= now) else { return false };
        self.outage.set(None);
        self.offline_until.set(outage.until);
        self.resumed.set(outage.until);
        true
    }

    /// The first instant, not before `now`, at which the plan allows a connection.
    pub(super) fn online_at(&self, now: Tick) -> Tick {
        // An outage that begins while there is no connection has nothing to cut.
        self.cuts(now);
        if self.grounded.get() { Tick::FAR } else { self.offline_until.get().max(now) }
    }

    /// As [`Self::online_at`], for whoever only looks: an outage that begins is not taken.
    pub(super) fn online_at_or_later(&self, now: Tick) -> Tick {
        let begun = self.outage.get().filter(|outage| outage.from <= now).map(|outage| outage.until);
        if self.grounded.get() {
            Tick::FAR
        } else {
            self.offline_until.get().max(begun.unwrap_or_default()).max(now)
        }
    }

    /// A fault keeps the device away until further notice.
    pub(super) fn ground(&self) {
        self.grounded.set(true);
    }

    /// Whether one does.
    pub(super) const fn is_grounded(&self) -> bool {
        self.grounded.get()
    }

    /// It may connect from `at` on.
    pub(super) fn release(&self, at: Tick) {
        self.grounded.set(false);
        // The plan may keep it away for longer.
        let at = self.offline_until.get().max(at);
        self.offline_until.set(at);
        self.resumed.set(at);
    }

    /// When the last outage ended.
    pub(super) const fn resumed(&self) -> Tick {
        self.resumed.get()
    }

    pub(super) const fn on_demand(&self) -> bool {
        self.awake_ns.is_some()
    }

    /// Notes that the device was answered, or connected.
    pub(super) fn stir(&self, at: Tick) {
        self.stirred.set(at);
    }

    /// How long ago it was answered, or connected, nanoseconds.
    pub(super) fn quiet_ns(&self, now: Tick) -> u64 {
        now.since(self.stirred.get())
    }

    /// When the device may go to sleep if nothing more happens.
    pub(super) fn rest_at(&self) -> Option<Tick> {
        self.awake_ns.map(|awake_ns| self.stirred.get().plus_ns(awake_ns))
    }

    /// When the reading that was due at `intended` may go out after an outage; `None`: at once.
    pub(super) fn flush_at(&self, intended: Tick) -> Option<Tick> {
        let stored = intended < self.resumed.get();
        self.flush_gap_ns.filter(|_| stored).map(|_| self.flush_at.get().max(self.resumed.get()))
    }

    /// Notes that a stored reading goes out, which was allowed from `allowed` on, at `now`. A gap that the generator or the
    /// service was late for is not made up by a burst.
    pub(super) fn flushed(&self, allowed: Tick, now: Tick) {
        let gap_ns = self.flush_gap_ns.unwrap_or_default();
        let late = now.since(allowed) >= gap_ns;
        self.flush_at.set(if late { now } else { allowed }.plus_ns(gap_ns));
    }
}

impl Device {
    pub(super) fn new(
        slot: u32,
        mut plan: DevicePlan,
        fleet: &Fleet,
        ledger: Ledger,
        (weather, ailing): (Option<Rc<Weather>>, bool),
    ) -> Self {
        Self {
            hits: std::mem::take(&mut plan.hits),
            weather,
            ailing,
            struck: Cell::new(None),
            barred: Cell::new(false),
            bell_at: Cell::new(None),
            lasting: matches!(&fleet.exchange, Exchange::Mqtt(mqtt) if !mqtt.clean_session && mqtt.qos != Qos::AtMostOnce),
            suspended: RefCell::default(),
            ailments: RefCell::default(),
            slot,
            fleet: plan.fleet,
            // What is due before its turn to connect waits for the rate at which its fleet connects.
            stay: Cell::new(WaitTracker::new(if plan.connect_at.is_some() {
                Hold::Own
            } else {
                Hold::Service
            })),
            role: if fleet.model == Model::Subscriber { Role::Listener } else { Role::Sender },
            connect_at: plan.connect_at,
            leave_at: plan.leave_at,
            starts: plan.starts,
            ends: plan.ends,
            policy: ConnectionPolicy::of(fleet, plan.outage),
            attentive: Cell::new(false),
            plan: RefCell::new(plan),
            ledger: RefCell::new(ledger),
            linked: Cell::new(false),
            attempt: Cell::new(None),
            excused: Cell::new(Tick::ZERO),
            answered: Cell::new(0),
            expiry_at: Cell::new(None),
            keep_alive_at: Cell::new(None),
            found: Cell::new(0),
            repeat: RefCell::new(None),
            waker: RefCell::new(None),
        }
    }

    /// Whether it has nothing more to send or to wait for.
    pub(super) fn is_settled(&self) -> bool {
        self.ledger.borrow().is_settled() && self.repeat.borrow().is_none()
    }

    /// Whether a fault of the scenario that severs connections acted on its own at `since` or later.
    pub(super) fn was_severed(&self, since: Tick) -> bool {
        self.weather.as_ref().is_some_and(|weather| weather.severed_since(since))
    }

    /// Whether something is due and nothing was under way for long enough that the peer may have closed the connection as idle.
    pub(super) fn has_idled(&self, now: Tick) -> bool {
        self.policy.quiet_ns(now) >= IDLE_NS && self.ledger.borrow().is_idle() && !self.is_settled()
    }

    /// Whether it is to go for good at `now`.
    pub(super) fn leaves(&self, now: Tick) -> bool {
        self.leave_at.is_some_and(|at| at <= now)
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

    fn policy(
        outage: Option<(u64, u64)>,
        awake_ns: Option<u64>,
        flush_gap_ns: Option<u64>,
    ) -> ConnectionPolicy {
        let outage = outage.map(|(from, until)| Outage { from: Tick(from), until: Tick(until) });
        ConnectionPolicy { outage: Cell::new(outage), awake_ns, flush_gap_ns, ..ConnectionPolicy::default() }
    }

    #[test]
    fn an_outage_cuts_once_and_keeps_the_device_away() {
        let policy = policy(Some((100, 300)), None, None);
        assert_eq!(policy.online_at(Tick(50)), Tick(50));
        assert!(!policy.cuts(Tick(99)));
        assert!(policy.cuts(Tick(100)));
        assert!(!policy.cuts(Tick(100)));
        assert_eq!(policy.online_at(Tick(150)), Tick(300));
        assert_eq!(policy.online_at(Tick(400)), Tick(400));
    }

    #[test]
    fn an_outage_that_finds_no_connection_still_keeps_the_device_away() {
        let policy = policy(Some((100, 300)), None, None);
        assert_eq!(policy.online_at(Tick(120)), Tick(300));
        assert!(!policy.cuts(Tick(350)));
    }

    #[test]
    fn stored_readings_go_out_at_their_rate_and_newer_ones_at_once() {
        let policy = policy(Some((100, 300)), None, Some(10));
        assert!(policy.cuts(Tick(100)));
        assert_eq!(policy.flush_at(Tick(120)), Some(Tick(300)));
        policy.flushed(Tick(300), Tick(302));
        assert_eq!(policy.flush_at(Tick(130)), Some(Tick(310)));
        // The service kept the device waiting: no burst makes up for it.
        policy.flushed(Tick(310), Tick(500));
        assert_eq!(policy.flush_at(Tick(140)), Some(Tick(510)));
        assert_eq!(policy.flush_at(Tick(300)), None);
    }

    #[test]
    fn a_sleepy_device_stays_as_long_as_stated_after_its_last_answer() {
        let policy = policy(None, Some(20), None);
        assert!(policy.on_demand());
        policy.stir(Tick(100));
        assert_eq!(policy.rest_at(), Some(Tick(120)));
        assert_eq!(self::policy(None, None, None).rest_at(), None);
    }
}
