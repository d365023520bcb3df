//! The plan for a device's connection: when it is cut, may be made, sleeps, and sends stored readings.

use std::cell::Cell;
use std::num::NonZeroU64;

use crate::clock::{Skip, Tick};
use crate::scenario::{Fleet, Outage};

/// No outage: it never begins. An `Option` would take more room in every idle device.
const NONE: Outage = Outage { from: Tick::FAR, until: Tick::FAR };

/// The plan for the device's connection.
#[derive(Debug)]
pub(super) struct ConnectionPolicy {
    /// An outage that has not begun, or [`NONE`].
    outage: Cell<Outage>,
    /// Until when it stays offline.
    offline_until: Cell<Tick>,
    /// A fault keeps it away.
    kept_away: Cell<bool>,
    /// How long a device that connects on demand stays after its last answer, nanoseconds.
    awake_ns: Option<NonZeroU64>,
    /// Its last answer, or its connection.
    last_activity: Cell<Tick>,
    /// Time between two stored readings that are sent after an outage, nanoseconds.
    flush_gap_ns: Option<NonZeroU64>,
    /// When the last outage ended: readings due before are stored ones.
    resumed: Cell<Tick>,
    /// When the next stored reading may go out.
    flush_at: Cell<Tick>,
}

impl ConnectionPolicy {
    pub(super) fn of(fleet: &Fleet, outage: Option<Outage>) -> Self {
        let behaviour = &fleet.behaviour;
        let awake_ns = fleet.on_demand().then(|| behaviour.sleepy.map_or(0, crate::units::Span::as_ns));
        let flush_gap_ns = behaviour.flush.map_or(0, |rate| (1e9 / rate.as_per_second()) as u64);
        Self::new(outage, awake_ns, flush_gap_ns)
    }

    /// `awake_ns`: how long a device that connects on demand stays; `flush_gap_ns`: between two stored readings, 0: none.
    fn new(outage: Option<Outage>, awake_ns: Option<u64>, flush_gap_ns: u64) -> Self {
        Self {
            outage: Cell::new(outage.unwrap_or(NONE)),
            offline_until: Cell::default(),
            kept_away: Cell::default(),
            awake_ns: awake_ns.map(|ns| NonZeroU64::new(ns).unwrap_or(NonZeroU64::MIN)),
            last_activity: Cell::default(),
            flush_gap_ns: NonZeroU64::new(flush_gap_ns),
            resumed: Cell::default(),
            flush_at: Cell::default(),
        }
    }

    /// The outage that has not begun.
    pub(super) fn outage(&self) -> Option<Outage> {
        Some(self.outage.get()).filter(|outage| *outage != NONE)
    }

    /// The run leaves out `skip`. `under_way` is when the plan's outage would have ended, if it has begun.
    pub(super) fn leave_out(&self, skip: Skip, under_way: Option<Tick>) {
        let left = self.outage().map(|outage| outage.shortened(skip));
        if let Some(left) = left {
            self.outage.set(left.unwrap_or(NONE));
        }
        for at in [&self.offline_until, &self.resumed] {
            // What a fault or a back-off keeps away is kept for as long as before.
            if under_way == Some(at.get()) {
                at.set(skip.moved(at.get()));
            }
        }
    }

    /// Whether the connection is to be cut at `now`; it is cut once.
    pub(super) fn cuts(&self, now: Tick) -> bool {
        let outage = self.outage.get();
        if outage.from > now {
            return false;
        }
        self.outage.set(NONE);
        self.offline_until.set(outage.until);
        self.resumed.set(outage.until);
        true
    }

    /// The first instant, not before `now`, at which the plan allows a connection.
    pub(super) fn online_at(&self, now: Tick) -> Tick {
        // An outage that begins while there is no connection has nothing to cut.
        self.cuts(now);
        if self.kept_away.get() { Tick::FAR } else { self.offline_until.get().max(now) }
    }

    /// As [`Self::online_at`], without taking an outage that begins.
    pub(super) fn online_at_or_later(&self, now: Tick) -> Tick {
        let begun = self.outage().filter(|outage| outage.from <= now).map(|outage| outage.until);
        if self.kept_away.get() {
            Tick::FAR
        } else {
            self.offline_until.get().max(begun.unwrap_or_default()).max(now)
        }
    }

    /// A fault keeps the device away until further notice.
    pub(super) fn keep_away(&self) {
        self.kept_away.set(true);
    }

    /// Whether one does.
    pub(super) const fn is_kept_away(&self) -> bool {
        self.kept_away.get()
    }

    /// It may connect from `at` on.
    pub(super) fn release(&self, at: Tick) {
        self.kept_away.set(false);
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
    pub(super) fn note_activity(&self, at: Tick) {
        self.last_activity.set(at);
    }

    /// How long ago it was answered, or connected, nanoseconds.
    pub(super) fn quiet_ns(&self, now: Tick) -> u64 {
        now.since(self.last_activity.get())
    }

    /// When the device may go to sleep if nothing more happens.
    pub(super) fn rest_at(&self) -> Option<Tick> {
        self.awake_ns.map(|awake_ns| self.last_activity.get().plus_ns(awake_ns.get()))
    }

    /// When the reading that was due at `intended` may go out after an outage; `None`: at once.
    pub(super) fn flush_at(&self, intended: Tick) -> Option<Tick> {
        let stored = intended < self.resumed.get();
        self.flush_gap_ns.filter(|_| stored).map(|_| self.flush_at.get().max(self.resumed.get()))
    }

    /// Notes that a stored reading goes out, which was allowed from `allowed` on, at `now`. A gap that the generator or the
    /// service was late for is not made up by a burst.
    pub(super) fn flushed(&self, allowed: Tick, now: Tick) {
        let gap_ns = self.flush_gap_ns.map_or(0, NonZeroU64::get);
        let late = now.since(allowed) >= gap_ns;
        self.flush_at.set(if late { now } else { allowed }.plus_ns(gap_ns));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(outage: Option<(u64, u64)>, awake_ns: Option<u64>, flush_gap_ns: u64) -> ConnectionPolicy {
        let outage = outage.map(|(from, until)| Outage { from: Tick(from), until: Tick(until) });
        ConnectionPolicy::new(outage, awake_ns, flush_gap_ns)
    }

    #[test]
    fn an_outage_cuts_once_and_keeps_the_device_away() {
        let policy = policy(Some((100, 300)), None, 0);
        assert_eq!(policy.online_at(Tick(50)), Tick(50));
        assert!(!policy.cuts(Tick(99)));
        assert!(policy.cuts(Tick(100)));
        assert!(!policy.cuts(Tick(100)));
        assert_eq!(policy.online_at(Tick(150)), Tick(300));
        assert_eq!(policy.online_at(Tick(400)), Tick(400));
    }

    #[test]
    fn an_outage_that_finds_no_connection_still_keeps_the_device_away() {
        let policy = policy(Some((100, 300)), None, 0);
        assert_eq!(policy.online_at(Tick(120)), Tick(300));
        assert!(!policy.cuts(Tick(350)));
    }

    #[test]
    fn an_outage_that_is_left_out_never_begins_and_one_under_way_ends_early() {
        // (what is left out, looked at before it, outage) → when it is online, seen at 120
        for (skip, begun, outage, online) in [
            ((90, 300), false, (100, 300), 120),
            ((110, 300), true, (100, 300), 120),
            ((200, 60), true, (100, 300), 240),
            ((90, 30), false, (100, 300), 270),
            ((400, 60), true, (100, 300), 300),
            ((90, 10), false, (130, 300), 290),
        ] {
            let policy = policy(Some(outage), None, 0);
            assert!(!begun || policy.cuts(Tick(105)));
            let skip = Skip { at: Tick(skip.0), length_ns: skip.1 };
            policy.leave_out(skip, Some(Tick(outage.1)));
            assert_eq!(policy.online_at(Tick(120)), Tick(online), "{skip:?}");
        }
    }

    #[test]
    fn stored_readings_go_out_at_their_rate_and_newer_ones_at_once() {
        let policy = policy(Some((100, 300)), None, 10);
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
        let policy = policy(None, Some(20), 0);
        assert!(policy.on_demand());
        policy.note_activity(Tick(100));
        assert_eq!(policy.rest_at(), Some(Tick(120)));
        assert_eq!(self::policy(None, None, 0).rest_at(), None);
    }
}
