//! Faults that begin and end, and what devices and connections feel of it.

use std::rc::{Rc, Weak};
use std::sync::Arc;

use rand::RngExt;

use super::control::FaultSwitch;
use super::device::Device;
use super::sensor::Activation;
use super::timer::{Alarm, Task};
use super::worker::{Stage, Worker};
use crate::clock::Tick;
use crate::fault::{DeviceFault, Effect, Ending};
use crate::net::{ActiveFault, ConnectionFaults, EngineTimer};
use crate::record::{ErrorKind, Sink};
use crate::scenario::{DevicePlan, Plan};
use crate::seed::Seed;

impl<S: Sink> Worker<S> {
    /// Begins and ends what is due by plan.
    pub(super) fn turn_faults(&self, now: Tick) {
        while let Some(edge) = self.faults.pop_due(now) {
            let Some(held) = self.faults.list.get(usize::from(edge.fault)) else { continue };
            if !edge.on && held.ended.get() == Some(edge.occurrence) {
                continue;
            }
            if edge.on {
                held.begun.set(Some(edge.occurrence));
            }
            held.open.set(edge.on.then_some(edge.occurrence));
            let devices = self.switch(edge.fault, edge.on, edge.at, now);
            self.faults.note(edge.fault, (edge.occurrence, edge.on), Some(edge.at), now, devices);
        }
    }

    /// Switches a fault by hand.
    pub(super) fn apply_switch(&self, switch: FaultSwitch, now: Tick) {
        let number = switch.fault.0;
        let Some(held) = self.faults.list.get(usize::from(number)) else { return };
        // Once the end has begun everything stays mended.
        if self.stage() != Stage::Running {
            return;
        }
        if switch.on {
            held.live.set(Some(Activation { occurrence: switch.occurrence, since: now }));
        } else if held.live.get().is_some_and(|live| live.occurrence == switch.occurrence) {
            held.live.set(None);
        } else if held.open.get() == Some(switch.occurrence) {
            held.ended.set(held.open.take());
        } else {
            // It is over already.
            return;
        }
        let devices = self.switch(number, switch.on, now, now);
        self.faults.note(number, (switch.occurrence, switch.on), None, now, devices);
    }

    /// Ends everything that is on: nothing may keep what is open from being settled.
    pub(super) fn heal(&self, now: Tick) {
        self.faults.edges.borrow_mut().clear();
        for (number, held) in self.faults.list.iter().enumerate() {
            let number = number as u16;
            let planned = held.open.take();
            held.ended.set(planned.or(held.ended.get()));
            let live = held.live.take();
            for (occurrence, end) in planned
                .map(|occurrence| {
                    (
                        occurrence,
                        held.fault
                            .schedule
                            .and_then(|when| when.activation(occurrence))
                            .map(|(_, until)| until),
                    )
                })
                .into_iter()
                .chain(live.map(|live| (live.occurrence, None)))
            {
                let devices = self.switch(number, false, now, now);
                self.faults.note(number, (occurrence, false), end, now, devices);
            }
        }
    }

    /// Lets the devices that the fault hits feel that it began or ended at `from`; gives their number.
    fn switch(&self, number: u16, on: bool, from: Tick, now: Tick) -> u32 {
        let mut devices = 0;
        let by_hand = self.faults.list.get(usize::from(number)).is_some_and(|held| held.live.get().is_some());
        for device in &self.devices {
            let hit = device.hits.iter().find(|hit| hit.fault == number).copied();
            let Some(hit) = hit else { continue };
            devices += 1;
            if on && hit.late_ns > 0 && !by_hand {
                self.schedule(from.plus_ns(hit.late_ns), device, Task::Strike(number));
            } else {
                self.strike(device, number, on, now);
            }
        }
        devices
    }

    /// Lets one device feel that a fault that hits it began or ended.
    pub(super) fn strike(&self, device: &Device, number: u16, on: bool, now: Tick) {
        let Some(held) = self.faults.list.get(usize::from(number)) else { return };
        match held.fault.effect {
            Effect::Device(DeviceFault::Disconnect { ending }) if on => device.struck.set(Some(ending)),
            // One that comes late may find it ended by hand.
            Effect::Device(DeviceFault::Offline { ending }) if on && self.faults.keeps_away(device, now) => {
                device.struck.set(Some(ending));
                device.policy.ground();
            }
            Effect::Device(DeviceFault::Offline { .. })
                if device.policy.is_grounded() && !self.faults.keeps_away(device, now) =>
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
            since: activation.since,
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
    // A seed of the fleet's own: what befalls its devices must not depend on which other fleets there are.
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
        Ending::Fin => ErrorKind::Closed,
        Ending::Reset => ErrorKind::Reset,
    }
}
