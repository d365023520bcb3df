//! Faults that act on devices: when they are on for whom, by plan or by hand, and what they do to readings.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::sync::Arc;

use rand::RngExt;

use super::device::Device;
use super::sensor::{Activation, EPISODES, SensorFaultState};
use crate::clock::Tick;
use crate::fault::{self, DeviceFault, Effect, Fault, Sensor};
use crate::fleet::Reading;
use crate::record::{AnomalyKind, FaultId, Mark, Switch, SwitchLog};
use crate::scenario::{Hit, Plan};
use crate::seed::Stream;

/// Readings of a shifted level that count as anomalous; from then on the new level is normal.
const SETTLING: u32 = 10;

/// An instant at which a fault begins or ends by plan. What ends comes before what begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge {
    pub(super) at: Tick,
    pub(super) on: bool,
    pub(super) fault: u16,
    pub(super) occurrence: u32,
}

/// A fault as one worker holds it.
#[derive(Debug)]
pub(super) struct FaultState {
    pub(super) fault: Arc<Fault>,
    /// How often it acted on devices of this worker, in all and at the beginning of the present activation.
    pub(super) tally: Rc<Cell<u64>>,
    pub(super) before: Cell<u64>,
    /// Switched on by hand.
    pub(super) live: Cell<Option<Activation>>,
    /// A planned activation that was ended by hand.
    pub(super) ended: Cell<Option<u32>>,
    /// The planned activation that began last.
    pub(super) begun: Cell<Option<u32>>,
    /// The planned activation whose beginning was logged, and whose end was not.
    pub(super) open: Cell<Option<u32>>,
}

/// The faults of a worker's devices.
#[derive(Debug)]
pub(super) struct Faults {
    pub(super) list: Vec<FaultState>,
    pub(super) edges: RefCell<BinaryHeap<Reverse<Edge>>>,
    log: SwitchLog,
}

impl Faults {
    pub(super) fn new(plan: &Plan, log: SwitchLog) -> Self {
        let held = |fault: &Arc<Fault>| FaultState {
            fault: Arc::clone(fault),
            tally: Rc::default(),
            before: Cell::new(0),
            live: Cell::new(None),
            ended: Cell::new(None),
            begun: Cell::new(None),
            open: Cell::new(None),
        };
        let first = |(number, fault): (usize, &Arc<Fault>)| {
            let schedule = fault.schedule.filter(|_| fault.effect.by_device())?;
            let (at, _) = schedule.activation(0)?;
            Some(Reverse(Edge { at, on: true, fault: number as u16, occurrence: 0 }))
        };
        Self {
            list: plan.faults().iter().map(held).collect(),
            edges: RefCell::new(plan.faults().iter().enumerate().filter_map(first).collect()),
            log,
        }
    }

    /// When the next fault begins or ends by plan.
    pub(super) fn next(&self) -> Tick {
        self.edges.borrow().peek().map_or(Tick::FAR, |Reverse(edge)| edge.at)
    }

    pub(super) fn pop_due(&self, now: Tick) -> Option<Edge> {
        let mut edges = self.edges.borrow_mut();
        let Reverse(edge) = *edges.peek().filter(|Reverse(edge)| edge.at <= now)?;
        edges.pop();
        let schedule = self.list.get(usize::from(edge.fault))?.fault.schedule?;
        if edge.on {
            if let Some((_, until)) = schedule.activation(edge.occurrence) {
                edges.push(Reverse(Edge { at: until, on: false, ..edge }));
            }
            if let Some((from, _)) = schedule.activation(edge.occurrence + 1) {
                edges.push(Reverse(Edge { at: from, occurrence: edge.occurrence + 1, ..edge }));
            }
        }
        Some(edge)
    }

    /// The activation of the fault that is on at `at` for a device that it hits.
    fn activation(&self, hit: Hit, at: Tick) -> Option<Activation> {
        let held = self.list.get(usize::from(hit.fault))?;
        if let Some(live) = held.live.get().filter(|live| live.since <= at) {
            return Some(live);
        }
        let schedule = held.fault.schedule?;
        let occurrence =
            schedule.on_at(at, hit.late_ns).filter(|occurrence| held.ended.get() != Some(*occurrence))?;
        let (from, _) = schedule.activation(occurrence)?;
        Some(Activation { occurrence, since: from.plus_ns(hit.late_ns) })
    }

    /// The faults that are on at `at` for a device with these hits.
    pub(super) fn active(
        &self,
        hits: &[Hit],
        at: Tick,
    ) -> impl Iterator<Item = (&FaultState, Hit, Activation)> {
        hits.iter().filter_map(move |hit| {
            Some((self.list.get(usize::from(hit.fault))?, *hit, self.activation(*hit, at)?))
        })
    }

    /// Whether any of these has an effect that is `wanted`.
    pub(super) fn any(&self, hits: &[Hit], wanted: fn(&Effect) -> bool) -> bool {
        hits.iter().any(|hit| {
            let held = self.list.get(usize::from(hit.fault));
            held.is_some_and(|held| wanted(&held.fault.effect))
        })
    }

    /// Whether a hand has ended the planned activation that began last.
    pub(super) fn was_stopped(&self, number: u16) -> bool {
        let held = self.list.get(usize::from(number));
        held.is_none_or(|held| held.ended.get().is_some() && held.ended.get() == held.begun.get())
    }

    pub(super) fn note(
        &self,
        number: u16,
        activation: (u32, bool),
        planned: Option<Tick>,
        at: Tick,
        devices: u32,
    ) {
        let Some(held) = self.list.get(usize::from(number)) else { return };
        let (occurrence, on) = activation;
        let acted = if on { 0 } else { held.tally.get() - held.before.get() };
        if on {
            held.before.set(held.tally.get());
        }
        let fault = FaultId(number);
        self.log.note(Switch { fault, occurrence, on, planned, at, devices, acted, remark: None });
    }

    /// Whether a fault keeps the device away.
    pub(super) fn keeps_away(&self, device: &Device, now: Tick) -> bool {
        self.active(&device.hits, now)
            .any(|(held, ..)| matches!(held.fault.effect, Effect::Device(DeviceFault::Offline { .. })))
    }

    /// Lets the sensors of a device misbehave, if a fault wants them to.
    pub(super) fn misread(&self, plan: &Plan, device: &Device, reading: &mut Reading) {
        for (held, hit, activation) in self.active(&device.hits, reading.intended) {
            let Effect::Device(DeviceFault::Sensor { trouble, size }) = held.fault.effect else { continue };
            let mut ailments = device.sensor_faults.borrow_mut();
            let episodes = ailments.iter().map(|ailment| ailment.episode).max().unwrap_or(EPISODES);
            let place = ailments.iter().position(|ailment| ailment.fault == hit.fault);
            let place = place.unwrap_or_else(|| {
                ailments.push(SensorFaultState::of(hit.fault));
                ailments.len() - 1
            });
            let Some(ailment) = ailments.get_mut(place) else { continue };
            let fresh = ailment.activation.replace(activation) != Some(activation);
            if fresh {
                (ailment.episode, ailment.readings) = (episodes + 1, 0);
            }
            ailment.readings += 1;
            let age_s = reading.intended.since(activation.since) as f64 / 1e9;
            let mut stream = draw(plan, device, &held.fault.name, reading.seq);
            ailment.held.show(trouble, size, (age_s, fresh), &mut stream, reading.values.as_mut_slice());
            let kind = match trouble {
                Sensor::Stuck => AnomalyKind::Stuck,
                Sensor::Drift => AnomalyKind::Drift,
                Sensor::Shift => AnomalyKind::Shift,
                Sensor::Noise => AnomalyKind::Variance,
            };
            if kind != AnomalyKind::Shift || ailment.readings <= SETTLING {
                let episode = ailment.episode;
                reading.mark = reading.mark.or(Some(Mark { kind, episode, onset: fresh }));
            }
        }
    }

    /// By how much the device's clock is ahead at `at`, nanoseconds.
    pub(super) fn skew_ns(&self, device: &Device, at: Tick) -> i64 {
        let skews =
            self.active(&device.hits, at).filter_map(|(held, _, activation)| match held.fault.effect {
                Effect::Device(DeviceFault::ClockSkew { offset_ns, drift_ppm }) => {
                    let drift = drift_ppm / 1e6 * at.since(activation.since) as f64;
                    Some(offset_ns.saturating_add(drift as i64))
                }
                _ => None,
            });
        skews.fold(0, i64::saturating_add)
    }

    /// Damages the payload of a reading, if a fault wants it.
    pub(super) fn damage(&self, plan: &Plan, device: &Device, reading: &Reading, payload: &mut Vec<u8>) {
        for (held, ..) in self.active(&device.hits, reading.intended) {
            let Effect::Device(DeviceFault::Payload { damage, chance, size }) = held.fault.effect else {
                continue;
            };
            let mut stream = draw(plan, device, &held.fault.name, reading.seq);
            if stream.random::<f64>() < chance {
                fault::damage(damage, size, &mut stream, payload);
                held.tally.set(held.tally.get() + 1);
            }
        }
    }
}

/// The random stream of one fault for one reading.
fn draw(plan: &Plan, device: &Device, fault: &str, seq: u64) -> Stream {
    let fleet = &plan.fleet(device.fleet).name;
    let index = u64::from(device.plan.borrow().index) << 40 ^ seq;
    plan.scenario().seed.stream(&format!("fault/{fault}/reading/{fleet}"), index)
}
