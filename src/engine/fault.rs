//! Faults that act on devices: their time lines, and their effects on readings.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use rand::RngExt;

use super::device::Device;
use super::sensor::{EPISODES, SensorFaultState};
use crate::clock::{Skip, Tick};
use crate::fault::{self, Activation, DeviceFault, Effect, Fault, Sensor, TimeLine, Transition};
use crate::fleet::Reading;
use crate::record::{AnomalyKind, AnomalyMark, FaultId, SwitchEvent, SwitchLog};
use crate::scenario::{FaultHit, Plan};
use crate::seed::Stream;

/// Readings of a shifted level that count as anomalous; from then on the new level is normal.
const SETTLING: u32 = 10;

/// One fault in one worker.
#[derive(Debug)]
pub(super) struct FaultState {
    pub(super) fault: Arc<Fault>,
    pub(super) line: RefCell<TimeLine>,
    /// How often it acted on devices of this worker, in all and at the beginning of the present activation.
    pub(super) tally: Rc<Cell<u64>>,
    before: Cell<u64>,
}

/// The faults of a worker's devices.
#[derive(Debug)]
pub(super) struct Faults {
    pub(super) list: Vec<FaultState>,
    /// When the next of them begins or ends by itself.
    next: Cell<Tick>,
    log: SwitchLog,
}

impl Faults {
    pub(super) fn new(plan: &Plan, log: SwitchLog) -> Self {
        let line = |fault: &Fault| {
            let schedule = fault.schedule.filter(|_| fault.effect.by_device());
            TimeLine::new(schedule, Tick::FAR, plan.layout().course.clone())
        };
        let state = |fault: &Arc<Fault>| FaultState {
            fault: Arc::clone(fault),
            line: RefCell::new(line(fault)),
            tally: Rc::default(),
            before: Cell::new(0),
        };
        let faults =
            Self { list: plan.faults().iter().map(state).collect(), next: Cell::new(Tick::FAR), log };
        faults.plan_next();
        faults
    }

    /// When the next fault begins or ends by itself.
    pub(super) const fn next(&self) -> Tick {
        self.next.get()
    }

    /// The run leaves out `skip`, which its course says already.
    pub(super) fn leave_out(&self, skip: Skip) {
        self.list.iter().for_each(|held| held.line.borrow_mut().leave_out(skip));
        self.plan_next();
    }

    /// To be called after every change of a time line.
    pub(super) fn plan_next(&self) {
        self.next.set(self.due().map_or(Tick::FAR, |((at, _), _)| at));
    }

    /// The fault that begins or ends next, and when; what ends comes before what begins.
    fn due(&self) -> Option<((Tick, bool), u16)> {
        let due = |(number, held): (u16, &FaultState)| Some((held.line.borrow().due()?, number));
        (0..).zip(&self.list).filter_map(due).min()
    }

    /// Takes the next step that is due at `now`.
    pub(super) fn step(&self, now: Tick) -> Option<(u16, Transition)> {
        if self.next.get() > now {
            return None;
        }
        let (_, number) = self.due()?;
        let step = self.list.get(usize::from(number))?.line.borrow_mut().step(now);
        self.plan_next();
        step.map(|step| (number, step))
    }

    /// The faults that are on at `at` for a device with these hits.
    pub(super) fn active(
        &self,
        hits: &[FaultHit],
        at: Tick,
    ) -> impl Iterator<Item = (&FaultState, FaultHit, Activation)> {
        hits.iter().filter_map(move |hit| {
            let held = self.list.get(usize::from(hit.fault))?;
            let activation = held.line.borrow().at(at, hit.late_ns)?;
            Some((held, *hit, activation))
        })
    }

    /// Whether any of these has an effect that is `wanted`.
    pub(super) fn any(&self, hits: &[FaultHit], wanted: fn(&Effect) -> bool) -> bool {
        hits.iter().any(|hit| {
            let held = self.list.get(usize::from(hit.fault));
            held.is_some_and(|held| wanted(&held.fault.effect))
        })
    }

    /// Whether the planned activation that began last was stopped by hand.
    pub(super) fn was_stopped(&self, number: u16) -> bool {
        self.list.get(usize::from(number)).is_none_or(|held| held.line.borrow().was_stopped())
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
        self.log.note(SwitchEvent { fault, occurrence, on, planned, at, devices, acted, remark: None });
    }

    /// Whether a fault keeps the device away.
    pub(super) fn keeps_away(&self, device: &Device, now: Tick) -> bool {
        self.active(&device.hits, now)
            .any(|(held, ..)| matches!(held.fault.effect, Effect::Device(DeviceFault::Offline { .. })))
    }

    /// Applies sensor faults to a reading.
    pub(super) fn disturb_sensors(&self, plan: &Plan, device: &Device, reading: &mut Reading) {
        for (held, hit, activation) in self.active(&device.hits, reading.intended) {
            let Effect::Device(DeviceFault::Sensor { trouble, size }) = held.fault.effect else { continue };
            let mut sensor_faults = device.sensor_faults.borrow_mut();
            let episodes =
                sensor_faults.iter().map(|sensor_fault| sensor_fault.episode).max().unwrap_or(EPISODES);
            let place = sensor_faults.iter().position(|sensor_fault| sensor_fault.fault == hit.fault);
            let place = place.unwrap_or_else(|| {
                let more = std::iter::once(SensorFaultState::of(hit.fault));
                *sensor_faults = std::mem::take(&mut *sensor_faults).into_iter().chain(more).collect();
                sensor_faults.len() - 1
            });
            let Some(sensor_fault) = sensor_faults.get_mut(place) else { continue };
            let fresh = sensor_fault.occurrence.replace(activation.occurrence) != Some(activation.occurrence);
            if fresh {
                (sensor_fault.episode, sensor_fault.readings) = (episodes + 1, 0);
            }
            sensor_fault.readings += 1;
            let age_s = reading.intended.since(activation.start) as f64 / 1e9;
            let mut stream = draw(plan, device, &held.fault.name, reading.seq);
            sensor_fault.held.show(trouble, size, (age_s, fresh), &mut stream, reading.values.as_mut_slice());
            let kind = match trouble {
                Sensor::Stuck => AnomalyKind::Stuck,
                Sensor::Drift => AnomalyKind::Drift,
                Sensor::Shift => AnomalyKind::Shift,
                Sensor::Noise => AnomalyKind::Variance,
            };
            if kind != AnomalyKind::Shift || sensor_fault.readings <= SETTLING {
                let episode = sensor_fault.episode;
                reading.mark = reading.mark.or(Some(AnomalyMark { kind, episode, onset: fresh }));
            }
        }
    }

    /// By how much the device's clock is ahead at `at`, nanoseconds.
    pub(super) fn skew_ns(&self, device: &Device, at: Tick) -> i64 {
        let skews =
            self.active(&device.hits, at).filter_map(|(held, _, activation)| match held.fault.effect {
                Effect::Device(DeviceFault::ClockSkew { offset_ns, drift_ppm }) => {
                    let drift = drift_ppm / 1e6 * at.since(activation.start) as f64;
                    Some(offset_ns.saturating_add(drift as i64))
                }
                _ => None,
            });
        skews.fold(0, i64::saturating_add)
    }

    /// Applies payload faults to a reading.
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
