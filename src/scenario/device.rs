//! One device's part in a plan.

use std::sync::Arc;

use rand::RngExt;

use super::surge::{FaultHit, Surges};
use super::timeline::Outage;
use crate::arrival::Arrivals;
use crate::clock::{Skip, Tick};
use crate::fleet::Device;
use crate::record::FleetId;
use crate::seed::Seed;
use crate::units::Span;

/// Names of a fleet's random streams.
#[derive(Debug)]
pub(super) struct StreamLabels {
    pub(super) arrival: Arc<str>,
    pub(super) backoff: Arc<str>,
    pub(super) phase: Arc<str>,
    pub(super) repeat: Arc<str>,
    pub(super) retry: Arc<str>,
}

/// One device's part in the plan, drawn as it is asked for. Everything in it depends on the seed, the fleet's own
/// settings and the phases only; other fleets merely share the connect phase, and so move the whole plan by its length.
#[derive(Debug, Clone)]
pub struct DevicePlan {
    /// Its fleet.
    pub fleet: FleetId,
    /// Its number within the fleet, from 0.
    pub index: u32,
    /// When it opens its connection; `None`: when its first reading is due.
    pub connect_at: Option<Tick>,
    /// When it goes for good, where it does.
    pub leave_at: Option<Tick>,
    /// A stretch in which the plan keeps it offline.
    pub outage: Option<Outage>,
    /// No reading is due before.
    pub starts: Tick,
    /// No reading is due then or later.
    pub ends: Tick,
    /// What it reads and how it writes it.
    pub device: Device,
    /// Faults that hit it, in the order of the plan.
    pub hits: Box<[FaultHit]>,
    pub(super) arrivals: Option<Arrivals>,
    pub(super) surges: Option<Box<Surges>>,
    /// The next reading of `arrivals`, held while those of a spike come first.
    pub(super) held: Option<Tick>,
    pub(super) repeat_one_in: u32,
    pub(super) draws: DeviceDraws,
}

impl DevicePlan {
    /// When its next reading is due by the plan, within warm-up and measured phases; `None` when no more come, and always for
    /// a closed fleet. Instants never go back.
    pub fn next_due(&mut self) -> Option<Tick> {
        let Some(surges) = self.surges.as_deref_mut() else { return self.arrivals.as_mut()?.next() };
        let regular = self.held.take().or_else(|| self.arrivals.as_mut()?.next());
        match (regular, surges.peek()) {
            (Some(at), Some(further)) if further < at => {
                self.held = regular;
                surges.pop()
            }
            (None, Some(_)) => surges.pop(),
            _ => regular,
        }
    }

    /// The run leaves out `skip`: moves the instants at which it is to come, to be there and to go. What is not in `next_due`, which
    /// counts on by the plan. Whether one has moved.
    pub(crate) fn leave_out(&mut self, skip: Skip) -> bool {
        let before = (self.connect_at, self.leave_at, self.outage, self.starts);
        let upgrade = self.device.upgrade_at();
        for at in [self.connect_at.as_mut(), self.leave_at.as_mut(), upgrade].into_iter().flatten() {
            *at = skip.moved(*at);
        }
        (self.starts, self.ends) = (skip.moved(self.starts), skip.moved(self.ends));
        self.outage = self.outage.and_then(|outage| outage.shortened(skip));
        before != (self.connect_at, self.leave_at, self.outage, self.starts)
    }

    /// The wait before attempt `attempt` (from 0) to reconnect after a connection failed: `min(first × 2ⁿ, max)`
    /// less a seeded random part of it. Successive calls draw anew.
    pub fn backoff(&mut self, attempt: u32) -> Span {
        self.draws.wait(self.index, attempt)
    }

    /// Where in every period of its turns the device has its own, a number of [0, 1): the seed's choice, the same whenever it is asked.
    pub fn phase(&self) -> f64 {
        self.draws.phase(self.index)
    }

    /// A number of [0, 1) for the wait after attempt `number` at reading `seq`: the seed's choice, the same whenever it is asked.
    pub fn retry_draw(&self, seq: u64, number: u8) -> f64 {
        self.draws.retry(self.index, seq, number)
    }

    /// Whether reading `seq` is sent twice: the seed's choice, the same whenever it is asked.
    pub fn repeats(&self, seq: u64) -> bool {
        self.repeat_one_in > 0 && self.draws.repeats(self.index, seq, self.repeat_one_in)
    }
}

/// What a device draws now and then. Streams are made anew for each draw, so that a device that never needs one holds
/// none.
#[derive(Debug, Clone)]
pub(super) struct DeviceDraws {
    pub(super) backoff: super::model::Backoff,
    pub(super) labels: Arc<StreamLabels>,
    pub(super) seed: Seed,
    pub(super) taken: u32,
}

impl DeviceDraws {
    fn wait(&mut self, device: u32, attempt: u32) -> Span {
        let backoff = self.backoff;
        let doublings = i32::try_from(attempt.min(64)).unwrap_or(64);
        let longest = (backoff.first.as_secs_f64() * 2_f64.powi(doublings)).min(backoff.max.as_secs_f64());
        let index = u64::from(device) << 32 | u64::from(self.taken);
        let mut stream = self.seed.stream(&self.labels.backoff, index);
        self.taken = self.taken.wrapping_add(1);
        Span::from_secs_f64(longest * (1.0 - backoff.jitter * stream.random::<f64>()))
    }

    fn phase(&self, device: u32) -> f64 {
        self.seed.stream(&self.labels.phase, device.into()).random()
    }

    fn retry(&self, device: u32, seq: u64, number: u8) -> f64 {
        let mut stream = self.seed.stream(&self.labels.retry, u64::from(device) << 40 ^ seq);
        // One number per attempt, in their order.
        (1..number).fold(stream.random(), |_, _| stream.random())
    }

    fn repeats(&self, device: u32, seq: u64, one_in: u32) -> bool {
        let mut stream = self.seed.stream(&self.labels.repeat, u64::from(device) << 40 ^ seq);
        stream.random_ratio(1, one_in)
    }
}
