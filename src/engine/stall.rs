//! Notices when the machine itself stands still, as virtual machines do now and then: a thread that only sleeps and measures
//! by how much it overslept. What a worker's lag cannot tell apart from its own slowness, this can.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::clock::{Monotonic, Quotas, Throttling, Tick};
use crate::scenario::Plan;

/// How long the thread sleeps at a time: 200 wakes a second, about a thousandth of a core.
const NAP: Duration = Duration::from_millis(5);
/// Overslept by at least this long, the machine counts as having stood still; less is ordinary scheduling.
const LEAST_NS: u64 = 10_000_000;

/// When something stood still during a run: the machine, or a worker's loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StallStats {
    /// How often.
    pub count: u64,
    /// Altogether, nanoseconds.
    pub total_ns: u64,
    /// The longest, nanoseconds.
    pub longest_ns: u64,
    /// When the longest ended.
    pub longest_at: Tick,
}

impl StallStats {
    /// Takes in that what was due at `due` happened at `woke`.
    pub(super) fn add(&mut self, due: Tick, woke: Tick) {
        let overslept = woke.since(due);
        if overslept < LEAST_NS {
            return;
        }
        self.count += 1;
        self.total_ns += overslept;
        if overslept > self.longest_ns {
            (self.longest_ns, self.longest_at) = (overslept, woke);
        }
    }
}

/// What a watch saw in its time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StallReport {
    /// When the machine, or this process as a whole, stood still.
    pub(super) standstills: StallStats,
    /// How a quota of processor time held this process up; `None` where there is none.
    pub(super) throttling: Option<Throttling>,
}

/// A watch that runs until it is stopped.
#[derive(Debug)]
pub(super) struct StallDetector {
    over: Arc<AtomicBool>,
    thread: JoinHandle<StallReport>,
}

impl StallDetector {
    /// Watches over the measured phases of `plan`: what happens before shapes no figure, and quotas are looked at until their end.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start(clock: Monotonic, plan: Arc<Plan>) -> io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let body = move || {
            let mut standstills = StallStats::default();
            let (mut before, mut after) = (None, None);
            while !ended.load(Ordering::Relaxed) {
                let begun = clock.now();
                // Both come earlier once the run leaves out something of its plan.
                let (from, until) = (plan.measuring_starts(), plan.end());
                if begun >= from && before.is_none() {
                    before = Some(Quotas::read());
                }
                if begun >= until && after.is_none() {
                    after = Some(Quotas::read());
                }
                let due = clock.now() + NAP;
                thread::sleep(NAP);
                if due >= from {
                    standstills.add(due, clock.now());
                }
            }
            let throttling = before.and_then(|before| after.unwrap_or_else(Quotas::read).since(&before));
            StallReport { standstills, throttling }
        };
        Ok(Self { over, thread: thread::Builder::new().name("squall-watch".into()).spawn(body)? })
    }

    /// Ends the watch and gives what it saw.
    pub(super) fn stop(self) -> StallReport {
        self.over.store(true, Ordering::Relaxed);
        // It cannot panic; if it did, it would have seen nothing.
        self.thread.join().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_oversleeping_counts() {
        let ms = 1_000_000;
        let mut seen = StallStats::default();
        for (due, woke) in [(5, 6), (10, 19), (20, 30), (40, 190), (200, 220)] {
            seen.add(Tick(due * ms), Tick(woke * ms));
        }
        let expected =
            StallStats { count: 3, total_ns: 180 * ms, longest_ns: 150 * ms, longest_at: Tick(190 * ms) };
        assert_eq!(seen, expected);
    }
}
