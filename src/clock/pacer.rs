//! Waking at an absolute instant, within tens of microseconds.
//!
//! tokio's timer wheel has a resolution of 1 ms. On Linux the pacer therefore awaits a `timerfd` armed with an
//! absolute `CLOCK_MONOTONIC` deadline; elsewhere it falls back to tokio's timer and says so in [`Pacer::kind`].

use std::fmt;
use std::io;

use super::{Monotonic, Tick};

/// Which mechanism a pacer wakes by; stands in the manifest of every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacerKind {
    /// Linux `timerfd`, absolute deadlines.
    TimerFd,
    /// tokio's timer wheel, 1 ms resolution.
    TokioTimer,
}

impl PacerKind {
    /// What pacers wake by on this system, as long as it has descriptors to give.
    pub const fn expected() -> Self {
        if cfg!(target_os = "linux") { Self::TimerFd } else { Self::TokioTimer }
    }

    /// What is to be known of a run whose readings it sends; `None` if nothing speaks against it.
    pub(crate) const fn shortcoming(self) -> Option<&'static str> {
        match self {
            Self::TimerFd => None,
            Self::TokioTimer => Some(
                "readings leave up to some milliseconds late here, by a timer of 1 ms: response times below that are the generator's \
                 own; Linux has a finer one",
            ),
        }
    }

    /// The word used in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TimerFd => "timerfd",
            Self::TokioTimer => "tokio-timer",
        }
    }
}

impl fmt::Display for PacerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How much before a deadline a pacer may wake at most, nanoseconds: beyond that a machine wakes threads so late that staying
/// awake in time would cost it a core.
const MOST_LEAD_NS: u64 = 100_000;

/// How far one wake-up moves the lead, nanoseconds.
const STEP_NS: u64 = 200;

/// One worker's alarm clock. Must be made and used inside a tokio runtime with I/O (and time, for the fallback).
#[derive(Debug)]
pub struct Pacer {
    clock: Monotonic,
    alarm: Option<alarm::Alarm>,
    lead: WakeLead,
}

/// How long this machine takes to wake a thread, learnt from one wake-up after the other.
///
/// A wake-up later than the lead raises it by three steps, any other lowers it by one: it settles where a quarter of the
/// wake-ups come later (stochastic approximation of a quantile, Robbins and Monro 1951).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct WakeLead(u64);

impl WakeLead {
    fn learn(&mut self, overslept_ns: u64) {
        self.0 = if overslept_ns > self.0 {
            (self.0 + 3 * STEP_NS).min(MOST_LEAD_NS)
        } else {
            self.0.saturating_sub(STEP_NS)
        };
    }
}

impl Pacer {
    /// A pacer on `clock`, by the best mechanism this system has.
    pub fn new(clock: Monotonic) -> Self {
        Self { clock, alarm: alarm::Alarm::new().ok(), lead: WakeLead::default() }
    }

    /// The mechanism in use.
    pub fn kind(&self) -> PacerKind {
        if self.alarm.is_some() { PacerKind::TimerFd } else { PacerKind::TokioTimer }
    }

    /// Returns a little before `deadline`, by about as long as this machine takes to wake a thread, or after it; at once if it
    /// has passed. A caller that must be neither early nor late stays awake for the rest.
    /// Dropping the future disarms nothing, which is harmless: the next call sets the deadline anew.
    ///
    /// # Errors
    /// If the operating system refuses to arm or read the timer.
    pub async fn doze_until(&mut self, deadline: Tick) -> io::Result<()> {
        let alarm = Tick(deadline.0.saturating_sub(self.lead.0));
        if self.clock.now() < alarm {
            self.sleep_until(alarm).await?;
            self.lead.learn(self.clock.now().since(alarm));
        }
        Ok(())
    }

    /// Returns at `deadline` or just after it, never before; at once if it has passed.
    /// Dropping the future disarms nothing, which is harmless: the next call sets the deadline anew.
    ///
    /// # Errors
    /// If the operating system refuses to arm or read the timer.
    pub async fn sleep_until(&mut self, deadline: Tick) -> io::Result<()> {
        while self.clock.now() < deadline {
            match &mut self.alarm {
                Some(alarm) => alarm.wait(self.clock.os_ns(deadline)).await?,
                None => tokio::time::sleep_until(self.clock.instant(deadline).into()).await,
            }
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
mod alarm {
    //! The `timerfd` behind the pacer.

    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    #[derive(Debug)]
    pub(super) struct Alarm {
        timer: TimerFd,
        /// A second handle on the same timer, registered with the runtime for readiness.
        ready: AsyncFd<OwnedFd>,
    }

    impl Alarm {
        pub(super) fn new() -> io::Result<Self> {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
            let handle = std::os::fd::AsFd::as_fd(&timer).try_clone_to_owned()?;
            #[expect(
                deprecated,
                reason = "the replacement is unsafe to call; an OwnedFd keeps its descriptor open as asked"
            )]
            let ready = AsyncFd::with_interest(handle, Interest::READABLE)?;
            Ok(Self { timer, ready })
        }

        pub(super) async fn wait(&mut self, deadline_os_ns: u64) -> io::Result<()> {
            let at = TimeSpec::from_duration(Duration::from_nanos(deadline_os_ns));
            self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            loop {
                let mut guard = self.ready.readable().await?;
                match self.timer.wait() {
                    Ok(()) => return Ok(()),
                    Err(nix::errno::Errno::EAGAIN) => guard.clear_ready(),
                    Err(nix::errno::Errno::EINTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod alarm {
    //! Nowhere to go but tokio's timer.

    use std::io;

    #[derive(Debug)]
    pub(super) struct Alarm;

    impl Alarm {
        pub(super) fn new() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(super) async fn wait(&mut self, _deadline_os_ns: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pacer_is_never_early_and_does_not_wait_for_the_past() {
        let clock = Monotonic::start();
        let mut pacer = Pacer::new(clock);
        for step in [0, 1, 1_000, 300_000, 2_000_000] {
            let deadline = clock.now().plus_ns(step);
            pacer.sleep_until(deadline).await.unwrap();
            assert!(clock.now() >= deadline);
        }
        pacer.sleep_until(Tick::ZERO).await.unwrap();
    }

    #[test]
    fn only_a_coarse_pacer_has_something_to_say() {
        assert_eq!(PacerKind::TimerFd.shortcoming(), None);
        assert!(PacerKind::TokioTimer.shortcoming().unwrap().contains("1 ms"));
    }

    #[test]
    fn the_lead_settles_where_a_quarter_of_the_wake_ups_come_later() {
        let mut lead = WakeLead::default();
        let (mut above, mut sum) = (0, 0);
        // Wake-ups 0 to 39.9 µs late, evenly: a quarter of them more than 30 µs.
        for turn in 0..200_000_u64 {
            let late = turn * 7919 % 40_000;
            if turn >= 100_000 {
                above += u64::from(late > lead.0);
                sum += lead.0;
            }
            lead.learn(late);
        }
        assert!((24_000..26_000).contains(&above), "{above} of 100 000 above {lead:?}");
        assert!((28_000..32_000).contains(&(sum / 100_000)), "{} ns on average", sum / 100_000);
        for _ in 0..1_000 {
            lead.learn(u64::MAX);
        }
        assert_eq!(lead, WakeLead(MOST_LEAD_NS));
        for _ in 0..1_000 {
            lead.learn(0);
        }
        assert_eq!(lead, WakeLead(0));
    }

    #[tokio::test]
    async fn a_wait_given_up_does_not_disturb_the_next_one() {
        let clock = Monotonic::start();
        let mut pacer = Pacer::new(clock);
        {
            let far = pacer.sleep_until(clock.now().plus_ns(3_600_000_000_000));
            tokio::select! { biased; _ = far => unreachable!("an hour passed"), () = tokio::task::yield_now() => {} }
        }
        let deadline = clock.now().plus_ns(1_000_000);
        pacer.sleep_until(deadline).await.unwrap();
        assert!(clock.now() >= deadline);
    }
}
