//! When a worker sleeps, when it stays awake, and how well it came round.

use std::cell::Cell;

use tokio::sync::Notify;

use super::stall::StallStats;
use crate::clock::{Monotonic, Tick};

/// With less than this to the next deadline a worker stays awake, nanoseconds: a thread that sleeps so shortly wakes late, and
/// falling asleep and waking costs as much as staying awake.
pub(super) const AWAKE_NS: u64 = 50_000;

/// For so long after a reading was sent or answered, while others are under way, a worker stays awake for the replies,
/// nanoseconds: asleep it would stamp them as late as it wakes, and a quick service would look slower than it is.
const ATTENTIVE_NS: u64 = 100_000;

/// One worker's sleep. Shared between its main loop and the tasks of its devices, all on one thread.
#[derive(Debug, Default)]
pub(super) struct IdlePolicy {
    /// What the pacer sleeps towards; `None` while the worker is awake.
    armed: Cell<Option<Tick>>,
    rearm: Notify,
    /// Whether a device's task has run since the last iteration of the main loop.
    had_activity: Cell<bool>,
    /// When a reading was last sent or answered.
    active: Cell<Tick>,
    /// When the main loop was to come round again: at once where it only let the devices' tasks run.
    due: Cell<Option<Tick>>,
    stalls: Cell<StallStats>,
    /// What stood still before shapes no figure.
    from: Cell<Tick>,
    /// Time spent awake with nothing to do, nanoseconds.
    waited_ns: Cell<u64>,
}

impl IdlePolicy {
    /// One that counts from `from` on how often its loop stands still.
    pub(super) fn from(from: Tick) -> Self {
        Self { from: Cell::new(from), ..Self::default() }
    }

    /// What stands still counts from `from` on instead.
    pub(super) fn count_from(&self, from: Tick) {
        self.from.set(from);
    }

    /// Something is to be done at `at`: wakes the main loop if it would sleep past it.
    pub(super) fn expect(&self, at: Tick) {
        if self.armed.get().is_some_and(|armed| at < armed) {
            self.armed.set(Some(at));
            self.rearm.notify_one();
        }
    }

    /// Lets due readings go out while the thread is awake anyway.
    pub(super) fn nudge(&self, now: Tick) {
        if self.armed.get().is_some_and(|armed| now >= armed) {
            self.rearm.notify_one();
        }
    }

    /// Wakes the main loop from any wait.
    pub(super) fn interrupt(&self) {
        self.rearm.notify_one();
    }

    /// A device's task runs.
    pub(super) fn note_activity(&self) {
        self.had_activity.set(true);
    }

    /// A reading was sent at `at`: wakes the main loop to stay awake for the reply.
    pub(super) fn sent(&self, at: Tick) {
        self.active.set(at);
        if self.armed.take().is_some() {
            self.rearm.notify_one();
        }
    }

    /// A reading was answered at `at`.
    pub(super) fn heard(&self, at: Tick) {
        self.active.set(at);
    }

    /// The main loop has come round at `now`.
    pub(super) fn come_round(&self, now: Tick) {
        if let Some(due) = self.due.take().filter(|due| *due >= self.from.get()) {
            let mut stalls = self.stalls.get();
            stalls.add(due, now);
            self.stalls.set(stalls);
        }
    }

    /// Whether sleeping towards `deadline` would do harm; `open` says that readings are under way.
    pub(super) fn must_stay_awake(&self, now: Tick, deadline: Tick, open: bool) -> bool {
        deadline.since(now) < AWAKE_NS || open && now.since(self.active.get()) < ATTENTIVE_NS
    }

    /// Lets the devices' tasks run, then returns. With nothing to do it yields the core to other processes.
    pub(super) async fn stay_awake(&self, clock: &Monotonic, now: Tick) {
        self.due.set(Some(now));
        self.had_activity.set(false);
        tokio::task::yield_now().await;
        if !self.had_activity.get() {
            std::thread::yield_now();
            self.waited_ns.set(self.waited_ns.get() + clock.now().since(now));
        }
    }

    /// The main loop is about to sleep towards `deadline`.
    pub(super) fn fall_asleep(&self, deadline: Tick) {
        self.armed.set(Some(deadline));
        self.due.set(Some(deadline));
    }

    /// Ready when the main loop is to look again before its deadline.
    pub(super) async fn interrupted(&self) {
        self.rearm.notified().await;
    }

    /// The main loop has woken.
    pub(super) fn wake(&self) {
        self.armed.set(None);
    }

    /// When the main loop stood still.
    pub(super) fn stalls(&self) -> StallStats {
        self.stalls.get()
    }

    /// Time spent awake with nothing to do, nanoseconds.
    pub(super) fn waited_ns(&self) -> u64 {
        self.waited_ns.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_stays_awake_for_what_is_near_and_for_replies() {
        let (us, idle) = (1_000, IdlePolicy::default());
        idle.heard(Tick(1_000 * us));
        // (now, deadline, open) in microseconds
        for (now, deadline, open, awake) in [
            (2_000, 2_049, false, true),
            (2_000, 2_050, false, false),
            (2_000, 1_900, false, true),
            (1_099, 9_000, true, true),
            (1_100, 9_000, true, false),
            (1_099, 9_000, false, false),
        ] {
            let found = idle.must_stay_awake(Tick(now * us), Tick(deadline * us), open);
            assert_eq!(found, awake, "{now} {deadline} {open}");
        }
    }

    #[test]
    fn a_loop_that_comes_round_late_has_stood_still() {
        let (ms, idle) = (1_000_000, IdlePolicy::default());
        idle.come_round(Tick(50 * ms));
        assert_eq!(idle.stalls(), StallStats::default());
        for (due, now) in [(100, 101), (200, 260), (300, 312), (400, 390)] {
            idle.fall_asleep(Tick(due * ms));
            idle.wake();
            idle.come_round(Tick(now * ms));
        }
        let expected =
            StallStats { count: 2, total_ns: 72 * ms, longest_ns: 60 * ms, longest_at: Tick(260 * ms) };
        assert_eq!(idle.stalls(), expected);
    }
}
