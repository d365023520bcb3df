//! How much may be sent: quotas by the generic cell rate algorithm, one word of state per device.

use std::sync::Arc;

use quick_cache::unsync::Cache;

use crate::clock::Tick;
use crate::service::{Admission as Setup, Quota};

/// The generic cell rate algorithm (ITU-T I.371) as a virtual schedule: the state is the instant at which the next event
/// would be due if they came as evenly as the rate says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gcra {
    /// From one event to the next at the sustained rate, nanoseconds.
    interval: u64,
    /// How far ahead of the schedule events may be, nanoseconds.
    tolerance: u64,
}

impl Gcra {
    pub(super) fn new(quota: Quota) -> Self {
        let interval = (1e9 / quota.rate.as_per_second()).ceil().max(1.0) as u64;
        Self { interval, tolerance: interval.saturating_mul(u64::from(quota.burst.max(1)) - 1) }
    }

    /// Lets an event at `now` pass and moves the schedule, or says how many nanoseconds it is too early; for one of `share`
    /// gates that divide the rate among them.
    fn pass(self, due: &mut u64, now: Tick, share: u64) -> Result<(), u64> {
        let early = due.saturating_sub(now.0);
        if early > self.tolerance {
            return Err(early - self.tolerance);
        }
        *due = (*due).max(now.0).saturating_add(self.interval.saturating_mul(share));
        Ok(())
    }
}

/// Whether a sender has shown a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Authenticated,
    AnonymousPolicy,
}

/// The gate before the queue. One per instance, on the serving thread: nothing is locked.
#[derive(Debug)]
pub(super) struct Gate {
    device: Option<Gcra>,
    anonymous_device: Option<Gcra>,
    total: Option<Gcra>,
    /// Schedules by device. They outlive connections: who connects anew starts with no fresh quota.
    schedules: Cache<Arc<str>, u64>,
    all: u64,
    /// Gates that share the quotas, this one included.
    gates: u64,
}

impl Gate {
    /// A gate that remembers up to `devices` devices.
    pub(super) fn new(setup: &Setup, devices: usize) -> Self {
        Self {
            device: setup.device.map(Gcra::new),
            anonymous_device: setup.anonymous_device.map(Gcra::new),
            total: setup.total.map(Gcra::new),
            schedules: Cache::new(devices.max(1)),
            all: 0,
            gates: 1,
        }
    }

    /// Divides the quotas by so many gates, at least 1.
    pub(super) const fn share_among(&mut self, gates: u64) {
        self.gates = if gates == 0 { 1 } else { gates };
    }

    /// Lets a reading of `device` pass at `now`, or says in how many nanoseconds it may come.
    pub(super) fn pass(&mut self, device: &Arc<str>, class: Class, now: Tick) -> Result<(), u64> {
        let own = if class == Class::AnonymousPolicy { self.anonymous_device } else { self.device };
        // Both are asked before either is charged: who is refused by one must not use up the other.
        let mut all = self.all;
        if let Some(total) = self.total {
            total.pass(&mut all, now, self.gates)?;
        }
        if let Some(own) = own {
            let mut due = self.schedules.get(device).copied().unwrap_or(0);
            own.pass(&mut due, now, self.gates)?;
            self.schedules.insert(Arc::clone(device), due);
        }
        self.all = all;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::units::Rate;

    fn quota(rate: &str, burst: u32) -> Quota {
        Quota { rate: rate.parse::<Rate>().unwrap(), burst }
    }

    #[test]
    fn who_sends_more_than_it_may_gets_exactly_burst_and_rate() {
        let gcra = Gcra::new(quota("10/s", 5));
        let (mut due, mut passed) = (0, 0);
        for ms in 0..10_000 {
            passed += u32::from(gcra.pass(&mut due, Tick(ms * 1_000_000), 1).is_ok());
        }
        assert_eq!(passed, 5 - 1 + 100, "burst + rate × time, the first of the rate at the beginning");
    }

    #[test]
    fn the_wait_is_as_long_as_is_said() {
        let gcra = Gcra::new(quota("10/s", 1));
        let mut due = 0;
        assert_eq!(gcra.pass(&mut due, Tick(1_000), 1), Ok(()));
        let wait = gcra.pass(&mut due, Tick(1_000), 1).unwrap_err();
        assert_eq!(wait, 100_000_000);
        assert!(gcra.pass(&mut due, Tick(1_000 + wait - 1), 1).is_err());
        assert_eq!(gcra.pass(&mut due, Tick(1_000 + wait), 1), Ok(()));
    }

    proptest! {
        /// In any stretch of time no more pass than burst + rate × stretch allow.
        #[test]
        fn no_stretch_passes_more_than_it_may(
            gaps in proptest::collection::vec(0_u64..400_000_000, 2..200),
            burst in 1_u32..8,
        ) {
            let gcra = Gcra::new(quota("10/s", burst));
            let (mut due, mut now, mut passed) = (0, 0, Vec::new());
            for gap in gaps {
                now += gap;
                if gcra.pass(&mut due, Tick(now), 1).is_ok() {
                    passed.push(now);
                }
            }
            for (index, from) in passed.iter().enumerate() {
                for (count, to) in passed[index..].iter().enumerate() {
                    let most = f64::from(burst) + (to - from) as f64 / 1e8;
                    prop_assert!(count as f64 + 1.0 <= most + 1e-6, "{} in {} ns", count + 1, to - from);
                }
            }
        }
    }

    #[test]
    fn a_refusal_charges_nobody() {
        let setup = Setup { device: Some(quota("1/s", 1)), total: Some(quota("1/s", 2)), ..Setup::default() };
        let mut gate = Gate::new(&setup, 10);
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        assert!(gate.pass(&one, Class::Authenticated, Tick(0)).is_ok());
        for _ in 0..5 {
            assert!(gate.pass(&one, Class::Authenticated, Tick(0)).is_err());
        }
        assert!(
            gate.pass(&other, Class::Authenticated, Tick(0)).is_ok(),
            "one's refusals took nothing from other"
        );
        assert!(gate.pass(&"third".into(), Class::Authenticated, Tick(0)).is_err());
    }

    #[test]
    fn gates_that_share_a_quota_let_as_many_pass_together_as_one_alone() {
        let setup = Setup { total: Some(quota("100/s", 1)), ..Setup::default() };
        let passed = |gates: u64| {
            let mut gate = Gate::new(&setup, 10);
            gate.share_among(gates);
            let ticks = (0..10_000).map(|ms| Tick(ms * 1_000_000));
            ticks.filter(|now| gate.pass(&"m".into(), Class::Authenticated, *now).is_ok()).count() as u64
        };
        assert_eq!([passed(1), 2 * passed(2), 4 * passed(4)], [1_000; 3]);
    }
}
