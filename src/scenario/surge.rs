//! Which faults hit a device, and the further readings of a producer spike.

use std::sync::Arc;

use super::model::Fleet;
use crate::arrival::{ArrivalProcess, Arrivals, Load, expected_count};
use crate::clock::Tick;
use crate::fault::{DeviceFault, Draw, Effect, Fault};
use crate::seed::Seed;
use crate::units::Rate;

/// A fault that hits a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultHit {
    /// Its place in [`Plan::faults`](super::Plan::faults).
    pub fault: u16,
    /// How long after the start of each activation it reaches the device, nanoseconds.
    pub late_ns: u64,
}

/// The draw of `fault` among the devices of `fleet`; `None` if it does not concern them.
pub(super) fn draw(fault: &Fault, fleet: &Fleet, seed: Seed) -> Option<Draw> {
    (fault.effect.by_device() && fault.is_meant_for(&fleet.name))
        .then(|| Draw::new(seed, &fault.name, &fleet.name, fleet.devices, fault.share))
}

/// How many times the planned rate comes on top of it while the fault is on, where it is a spike.
fn surplus(fault: &Fault) -> Option<f64> {
    match fault.effect {
        Effect::Device(DeviceFault::Spike { factor }) => Some(factor - 1.0).filter(|surplus| *surplus > 0.0),
        _ => None,
    }
}

/// What a device's further readings are drawn from.
#[derive(Debug, Clone)]
pub(super) struct SurgeSource {
    pub(super) fleet: Arc<str>,
    pub(super) process: ArrivalProcess,
    pub(super) rate: Rate,
    pub(super) recorded_rate: Option<Arc<Load>>,
    pub(super) load: Arc<Load>,
    /// The stretch in which readings of the device may come due.
    pub(super) window: (Tick, Tick),
    pub(super) seed: Seed,
    pub(super) index: u32,
}

/// The further readings of one spike for one device, one activation after the other.
#[derive(Debug, Clone)]
struct Surge {
    fault: Arc<Fault>,
    late_ns: u64,
    occurrence: u32,
    arrivals: Option<Arrivals>,
    next: Option<Tick>,
}

/// The further readings of all spikes that hit a device, in the order of time.
#[derive(Debug, Clone)]
pub(super) struct Surges {
    source: SurgeSource,
    each: Vec<Surge>,
}

impl Surges {
    /// `None` where no spike hits the device.
    pub(super) fn of(
        hits: &[FaultHit],
        faults: &[Arc<Fault>],
        source: impl FnOnce() -> Option<SurgeSource>,
    ) -> Option<Box<Self>> {
        let spikes = hits.iter().filter_map(|hit| {
            let fault = faults.get(usize::from(hit.fault))?;
            surplus(fault)?;
            fault.schedule?;
            Some(Surge {
                fault: Arc::clone(fault),
                late_ns: hit.late_ns,
                occurrence: 0,
                arrivals: None,
                next: None,
            })
        });
        let each: Vec<Surge> = spikes.collect();
        if each.is_empty() {
            return None;
        }
        let mut surges = Box::new(Self { source: source()?, each });
        for surge in &mut surges.each {
            surge.advance(&surges.source);
        }
        Some(surges)
    }

    /// When the next one is due.
    pub(super) fn peek(&self) -> Option<Tick> {
        self.each.iter().filter_map(|surge| surge.next).min()
    }

    /// Takes it.
    pub(super) fn pop(&mut self) -> Option<Tick> {
        let next = self.peek()?;
        let surge = self.each.iter_mut().find(|surge| surge.next == Some(next))?;
        surge.advance(&self.source);
        Some(next)
    }
}

impl Surge {
    fn advance(&mut self, source: &SurgeSource) {
        loop {
            self.next = self.arrivals.as_mut().and_then(Iterator::next);
            if self.next.is_some() {
                return;
            }
            let Some(activation) =
                self.fault.schedule.and_then(|schedule| schedule.activation(self.occurrence))
            else {
                return;
            };
            let from = activation.start.plus_ns(self.late_ns);
            self.arrivals = self.activation(source, from, activation.end);
            self.occurrence += 1;
        }
    }

    fn activation(&self, source: &SurgeSource, from: Tick, until: Tick) -> Option<Arrivals> {
        let (from, until) = (from.max(source.window.0), until.min(source.window.1));
        if from >= until {
            return None;
        }
        let rate = Rate::per_second(source.rate.as_per_second() * surplus(&self.fault)?)?;
        let index = u64::from(source.index) << 32 | u64::from(self.occurrence);
        let stream =
            source.seed.stream(&format!("fault/{}/arrival/{}", self.fault.name, source.fleet), index);
        let arrivals = Arrivals::new(
            &source.process,
            rate,
            source.recorded_rate.clone(),
            Arc::clone(&source.load),
            stream,
        );
        Some(arrivals.between(from, until))
    }
}

/// Devices at which a ramp is looked at.
const STEPS: u32 = 64;

/// Expected further readings of a spike among the devices of a draw, due from `from` to before `to`. Where devices are hit
/// one after the other it is summed over at most 64 of them.
pub(super) fn expected(fault: &Fault, draw: &Draw, source: &SurgeSource, from: Tick, to: Tick) -> f64 {
    let (Some(surplus), Some(schedule)) = (surplus(fault), fault.schedule) else { return 0.0 };
    let Some(rate) = Rate::per_second(source.rate.as_per_second() * surplus) else { return 0.0 };
    let steps = if fault.ramp_ns == 0 { 1 } else { draw.hit().clamp(1, STEPS) };
    let mut sum = 0.0;
    for activation in schedule.activations() {
        for step in 0..steps {
            let rank = (u64::from(step) * 2 + 1) * u64::from(draw.hit()) / (2 * u64::from(steps));
            let start = activation.start.plus_ns(draw.lateness_ns(rank as u32, fault.ramp_ns));
            let (from, to) = (from.max(start), to.min(activation.end));
            if from < to {
                sum += expected_count(
                    &source.process,
                    rate,
                    source.recorded_rate.as_deref(),
                    &source.load,
                    from,
                    to,
                );
            }
        }
    }
    sum / f64::from(steps) * f64::from(draw.hit())
}

/// The largest factor that spikes can put on the rate of a fleet at any instant.
pub(super) fn peak(faults: &[Arc<Fault>], fleet: &Fleet, seed: Seed) -> f64 {
    let surplus = faults.iter().filter_map(|fault| {
        let hit = draw(fault, fleet, seed)?.hit();
        Some(surplus(fault)? * f64::from(hit) / f64::from(fleet.devices.max(1)))
    });
    1.0 + surplus.sum::<f64>()
}
