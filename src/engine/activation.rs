//! Beginnings and ends of faults, and their effects on devices and connections.

use std::rc::{Rc, Weak};
use std::sync::Arc;

use rand::RngExt;

use super::control::FaultSwitch;
use super::device::Device;
use super::timer::{Alarm, Task};
use super::worker::{Stage, Worker};
use crate::clock::{Skip, Tick};
use crate::fault::{DeviceFault, Effect, Ending};
use crate::net::{ActiveFault, ConnectionFaults, EngineTimer};
use crate::record::{ErrorKind, Sink};
use crate::scenario::{DevicePlan, Plan};
use crate::seed::Seed;

impl<S: Sink> Worker<S> {
    /// Begins and ends what is due.
    pub(super) fn advance_faults(&self, now: Tick) {
        while let Some((number, step)) = self.faults.step(now) {
            let devices = self.switch(number, step.on, now);
            self.faults.note(number, (step.occurrence, step.on), step.planned, now, devices);
        }
    }

    /// Switches a fault by hand.
    pub(super) fn apply_switch(&self, switch: FaultSwitch, now: Tick) {
        let number = switch.fault.0;
        let Some(held) = self.faults.list.get(usize::from(number)) else { return };
        // Once the end has begun no fault comes back.
        if self.stage() != Stage::Running {
            return;
        }
        let current = held.line.borrow().current();
        let same = current.is_some_and(|current| current.occurrence == switch.occurrence);
        let changed = if switch.on {
            // The end of an earlier activation by hand may have been missed.
            if current.is_some_and(|current| current.by_hand) {
                held.line.borrow_mut().stop(now);
            }
            held.line.borrow_mut().start(switch.occurrence, now, None).is_ok()
        } else {
            same && held.line.borrow_mut().stop(now).is_some()
        };
        self.faults.plan_next();
        // Otherwise it is over already, or the plan has just begun the fault.
        if changed {
            let devices = self.switch(number, switch.on, now);
            self.faults.note(number, (switch.occurrence, switch.on), None, now, devices);
        }
    }

    /// Ends every fault that is on: none may keep open readings from being settled.
    pub(super) fn end_faults(&self, now: Tick) {
        for (number, held) in (0..).zip(&self.faults.list) {
            let ended = held.line.borrow_mut().finish(now);
            if let Some(ended) = ended {
                let devices = self.switch(number, false, now);
                let planned = (!ended.by_hand).then_some(ended.end);
                self.faults.note(number, (ended.occurrence, false), planned, now, devices);
            }
        }
        self.faults.plan_next();
    }

    /// Applies the beginning or end of a fault to the devices that it hits; gives their number.
    fn switch(&self, number: u16, on: bool, now: Tick) -> u32 {
        let Some(held) = self.faults.list.get(usize::from(number)) else { return 0 };
        // By hand it hits all of them at once.
        let planned = held.line.borrow().planned_start().filter(|_| on);
        let mut devices = 0;
        for device in &self.devices {
            let hit = device.hits.iter().find(|hit| hit.fault == number).copied();
            let Some(hit) = hit else { continue };
            devices += 1;
            match planned.filter(|_| hit.late_ns > 0).map(|start| start.plus_ns(hit.late_ns)) {
                Some(planned) => {
                    let at = self
                        .layout()
                        .course
                        .skips()
                        .try_fold(planned, |at, skip| self.hit_at(number, at, skip));
                    if let Some(at) = at {
                        self.schedule(at, device, Task::Fault(number));
                    }
                }
                None => self.apply_fault(device, number, on, now),
            }
        }
        devices
    }

    /// When fault `number` reaches a device that it was to reach at `at`, in a run that leaves out `skip`. What lasts reaches it
    /// all the same; `None`: what is but an instant does not.
    pub(super) fn hit_at(&self, number: u16, at: Tick, skip: Skip) -> Option<Tick> {
        let lasts =
            self.faults.list.get(usize::from(number)).is_some_and(|held| !held.fault.effect.is_instant());
        skip.place(at).or(lasts.then_some(skip.at))
    }

    /// Applies the beginning or end of a fault to one device that it hits.
    pub(super) fn apply_fault(&self, device: &Device, number: u16, on: bool, now: Tick) {
        let Some(held) = self.faults.list.get(usize::from(number)) else { return };
        match held.fault.effect {
            Effect::Device(DeviceFault::Disconnect { ending }) if on => device.cut.set(Some(ending)),
            // For a device that is hit late it may have been ended by hand.
            Effect::Device(DeviceFault::Offline { ending }) if on && self.faults.keeps_away(device, now) => {
                device.cut.set(Some(ending));
                device.policy.keep_away();
            }
            Effect::Device(DeviceFault::Offline { .. })
                if device.policy.is_kept_away() && !self.faults.keeps_away(device, now) =>
            {
                self.come_back(device, now);
            }
            Effect::Network(_) | Effect::Message(_) => self.refresh(device, now),
            _ => return,
        }
        device.wake();
    }

    /// Lets a device connect again, by its back-off.
    pub(super) fn come_back(&self, device: &Device, now: Tick) {
        let wait = device.plan.borrow_mut().backoff(0);
        let at = now.plus_ns(wait.as_ns());
        device.policy.release(at);
        self.schedule(at, device, Task::Wake);
    }

    fn refresh(&self, device: &Device, now: Tick) {
        let Some(connection_faults) = &device.faults else { return };
        let active =
            self.faults.active(&device.hits, now).filter(|(held, ..)| held.fault.effect.on_connections());
        let active = active.map(|(held, hit, activation)| ActiveFault {
            fault: Arc::clone(&held.fault),
            number: hit.fault,
            occurrence: activation.occurrence,
            since: activation.start,
            tally: Rc::clone(&held.tally),
        });
        connection_faults.set(active.collect());
    }
}

/// The connection of a device that faults can reach.
pub(super) fn connection_faults<S: Sink>(
    worker: &Weak<Worker<S>>,
    plan: &Plan,
    slot: u32,
    device: &DevicePlan,
) -> Rc<ConnectionFaults> {
    let waker = Rc::new(DeviceWaker { worker: worker.clone() });
    // A seed of the fleet's own: the faults of its devices must not depend on which other fleets there are.
    let label = format!("fault/fleet/{}", plan.fleet(device.fleet).name);
    let seed = Seed(plan.scenario().seed.stream(&label, 0).random());
    Rc::new(ConnectionFaults::new(waker, slot, seed, device.index))
}

/// Wakes a device when bytes or messages that were held are due.
struct DeviceWaker<S> {
    worker: Weak<Worker<S>>,
}

impl<S: Sink> EngineTimer for DeviceWaker<S> {
    fn now(&self) -> Tick {
        self.worker.upgrade().map_or(Tick::ZERO, |worker| worker.clock.now())
    }

    fn wake_at(&self, at: Tick, who: u32) {
        let Some(worker) = self.worker.upgrade() else { return };
        let Some(device) = worker.devices.get(who as usize) else { return };
        worker.wake_at(at, device, Alarm::Held);
    }
}

/// How a connection that a fault cuts ends, as an error of what was under way on it.
pub(super) const fn error_of(ending: Ending) -> ErrorKind {
    match ending {
        Ending::Fin | Ending::Died => ErrorKind::Closed,
        Ending::Reset => ErrorKind::Reset,
    }
}
