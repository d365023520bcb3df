//! What a worker's thread used of its time between two instants.

use std::time::Duration;

use crate::clock::{Tick, thread_cpu_time, thread_wait_time};

/// The state of a thread's accounts at one instant.
#[derive(Debug, Clone, Copy)]
pub(super) struct CpuSample {
    at: Tick,
    cpu: Option<Duration>,
    starved: Option<Duration>,
    /// Time awake with nothing to do, nanoseconds.
    waited_ns: u64,
}

/// Shares of the time between two looks, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Use {
    pub(super) busy: f64,
    pub(super) starved: Option<f64>,
}

impl CpuSample {
    /// The calling thread's accounts at `now`, of which `waited_ns` was waiting.
    pub(super) fn read(now: Tick, waited_ns: u64) -> Self {
        Self { at: now, cpu: thread_cpu_time(), starved: thread_wait_time(), waited_ns }
    }

    /// What was used until `later`; `None` if no time has passed or the system does not tell.
    pub(super) fn until(&self, later: &Self) -> Option<Use> {
        let wall = later.at.since(self.at) as f64;
        if wall <= 0.0 {
            return None;
        }
        let share = |ns: u128| (ns as f64 / wall).clamp(0.0, 1.0);
        let waited = u128::from(later.waited_ns - self.waited_ns);
        let cpu = later.cpu?.saturating_sub(self.cpu?).as_nanos();
        let starved = later.starved.zip(self.starved).map(|(later, earlier)| {
            // Also while it waits: a process that takes the core meanwhile may keep it.
            share(later.saturating_sub(earlier).as_nanos())
        });
        Some(Use { busy: share(cpu.saturating_sub(waited)), starved })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_leaves_waiting_out_and_starving_does_not() {
        let account = |at_ms: u64, cpu: u64, starved: u64, waited: u64| CpuSample {
            at: Tick(at_ms * 1_000_000),
            cpu: Some(Duration::from_millis(cpu)),
            starved: Some(Duration::from_millis(starved)),
            waited_ns: waited * 1_000_000,
        };
        let from = account(1_000, 100, 10, 50);
        assert_eq!(from.until(&account(2_000, 900, 10, 350)), Some(Use { busy: 0.5, starved: Some(0.0) }));
        assert_eq!(from.until(&account(2_000, 400, 510, 150)), Some(Use { busy: 0.2, starved: Some(0.5) }));
        // A core shared while waiting: more wall time than processor time was waited.
        assert_eq!(from.until(&account(2_000, 300, 710, 850)), Some(Use { busy: 0.0, starved: Some(0.7) }));
        assert_eq!(from.until(&from), None);
    }
}
