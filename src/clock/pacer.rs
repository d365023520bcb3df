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

/// One worker's alarm clock. Must be made and used inside a tokio runtime with I/O (and time, for the fallback).
#[derive(Debug)]
pub struct Pacer {
    clock: Monotonic,
    alarm: Option<alarm::Alarm>,
}

impl Pacer {
    /// A pacer on `clock`, by the best mechanism this system has.
    pub fn new(clock: Monotonic) -> Self {
        Self { clock, alarm: alarm::Alarm::new().ok() }
    }

    /// The mechanism in use.
    pub fn kind(&self) -> PacerKind {
        if self.alarm.is_some() { PacerKind::TimerFd } else { PacerKind::TokioTimer }
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
