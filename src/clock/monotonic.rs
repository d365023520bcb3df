//! The monotonic clock every stamp of a run is read from.

use std::time::{Duration, Instant};

use super::Tick;

/// The run's clock: a copyable origin, so that all threads stamp on one time line.
#[derive(Debug, Clone, Copy)]
pub struct Monotonic {
    origin: Instant,
    /// The origin on the operating system's own scale, for absolute timers; nanoseconds of `CLOCK_MONOTONIC`.
    origin_os_ns: u64,
}

impl Monotonic {
    /// A clock whose [`Tick::ZERO`] is now.
    #[expect(clippy::disallowed_methods, reason = "the clock room is where time is read")]
    pub fn start() -> Self {
        let before = os_monotonic_ns();
        let origin = Instant::now();
        let after = os_monotonic_ns();
        Self { origin, origin_os_ns: before.midpoint(after) }
    }

    /// The instant now.
    ///
    /// Read several times per reading: on Linux, where the standard library's instants are `CLOCK_MONOTONIC` too, without
    /// the detour over its arithmetic.
    #[cfg(target_os = "linux")]
    pub fn now(&self) -> Tick {
        Tick(os_monotonic_ns().saturating_sub(self.origin_os_ns))
    }

    /// The instant now.
    #[cfg(not(target_os = "linux"))]
    pub fn now(&self) -> Tick {
        Tick(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// `at` on the operating system's monotonic scale, as absolute timers want it.
    pub(super) fn os_ns(&self, at: Tick) -> u64 {
        self.origin_os_ns.saturating_add(at.0)
    }

    /// `at` as the standard library's instant, for tokio's timers.
    pub fn instant(&self, at: Tick) -> Instant {
        let far = Duration::from_secs(60 * 60 * 24 * 365);
        self.origin + Duration::from_nanos(at.0).min(far)
    }

    /// The smallest non-zero step seen between two successive readings, nanoseconds: this clock's useful resolution.
    pub fn resolution_ns(&self) -> u64 {
        let mut least = u64::MAX;
        for _ in 0..1_000 {
            let first = self.now();
            let mut next = self.now();
            while next == first {
                next = self.now();
            }
            least = least.min(next.since(first));
        }
        least
    }
}

#[cfg(unix)]
fn os_monotonic_ns() -> u64 {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |t| t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64)
}

#[cfg(not(unix))]
fn os_monotonic_ns() -> u64 {
    0
}

/// Processor time the calling thread has used so far; `None` where the system does not tell.
#[cfg(unix)]
pub(crate) fn thread_cpu_time() -> Option<Duration> {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).ok().map(Duration::from)
}

/// Processor time the calling thread has used so far; `None` where the system does not tell.
#[cfg(not(unix))]
pub fn thread_cpu_time() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_runs_backwards_and_resolves_below_a_microsecond() {
        let clock = Monotonic::start();
        let mut last = clock.now();
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
        assert!(clock.resolution_ns() < 1_000, "resolution {} ns", clock.resolution_ns());
    }

    #[test]
    fn the_two_scales_of_the_origin_agree() {
        // Between looking at one and at the other the machine may stand still, but not every time.
        let apart = |_| {
            let clock = Monotonic::start();
            let os = os_monotonic_ns();
            clock.os_ns(clock.now()).abs_diff(os)
        };
        let least = (0..100).map(apart).min().unwrap();
        assert!(least < 5_000_000, "scales differ by {least} ns");
    }
}
