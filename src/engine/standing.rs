//! Before a run begins: the devices that only listen connect and subscribe, so that nothing is sent that they cannot hear.

use std::io;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::attempt::arm_keep_alive;
use super::control::{Control, Order};
use super::device::Device;
use super::drive::drive;
use super::pause::Reachability;
use super::reconnect::Role;
use super::task_end::see_off;
use super::timer::{Alarm, Task, TimerQueue};
use super::worker::{CLOSE_TIMEOUT, Stage, Worker};
use crate::clock::{Monotonic, Pacer, Tick};
use crate::fleet::RunFacts;
use crate::record::{FleetId, Sink};

/// The main loop looks up at least so often, nanoseconds.
const LOOK_NS: u64 = 1_000_000_000;

/// When a run begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    /// The run's clock.
    pub(super) clock: Monotonic,
    /// Unix time at its beginning, nanoseconds.
    pub(super) epoch_ns: u64,
}

/// How a worker tells that its listeners stand, and hears that the run begins.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) stand: mpsc::SyncSender<Vec<FleetStanding>>,
    pub(super) start: oneshot::Receiver<Start>,
}

/// How many devices of a fleet that only listens have subscribed before a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FleetStanding {
    /// The fleet.
    pub(crate) fleet: FleetId,
    /// Devices that have.
    pub(crate) stood: u32,
    /// Devices whose first attempt failed; they try again once the run has begun.
    pub(crate) gave_up: u32,
}

/// The same of all fleets, and how long it took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// By fleet; empty where none is waited for.
    pub(crate) fleets: Vec<FleetStanding>,
    /// From the first attempt until the last device stood or gave up.
    pub(crate) waited: Duration,
}

impl Standing {
    /// Takes in what one worker says of its devices.
    pub(super) fn add(&mut self, fleets: &[FleetStanding]) {
        for one in fleets {
            match self.fleets.iter_mut().find(|known| known.fleet == one.fleet) {
                Some(known) => {
                    known.stood += one.stood;
                    known.gave_up += one.gave_up;
                }
                None => self.fleets.push(*one),
            }
        }
        self.fleets.sort_by_key(|known| known.fleet.0);
    }
}

impl<S: Sink> Worker<S> {
    /// Whether sending waits for `device` to subscribe.
    pub(super) fn is_awaited(&self, device: &Device) -> bool {
        let joins = self.plan.fleet(device.fleet).behaviour.join.is_some();
        device.role == Role::Listener && device.connect_at().is_some() && !joins
    }

    /// Has the devices that only listen connect, tells when each of them has subscribed or given up, and holds their
    /// connections until the run begins. No attempt outlives its time-out, so the wait is bounded; an order to end the run ends
    /// it at once. `None`: the run never will begin.
    pub(super) async fn stand(
        self: &Rc<Self>,
        drives: &mut JoinSet<()>,
        Call { stand, mut start }: Call,
        control: &Control,
    ) -> io::Result<Option<Start>> {
        let mut orders = control.subscribe();
        let mut pacer = Pacer::new(self.clock.get());
        let listeners: Vec<&Rc<Device>> =
            self.devices.iter().filter(|device| self.is_awaited(device)).collect();
        for device in &listeners {
            self.schedule(device.connect_at().unwrap_or_default(), device, Task::Wake);
            drives.spawn_local(drive(Rc::clone(self), Rc::clone(device)));
        }
        let mut stand = Some(stand);
        loop {
            let now = self.clock.now();
            self.attend(now);
            let goes_on = *orders.borrow_and_update() == Order::Run;
            if !goes_on && stand.is_some() {
                self.leave_off(drives, &listeners).await;
            }
            if listeners.iter().all(|device| device.stood.get().is_some())
                && let Some(stand) = stand.take()
            {
                // Nobody who listens: the run was given up.
                let _ = stand.send(standing(&listeners));
            }
            let next = self.timers.borrow().next().unwrap_or(Tick::FAR).min(now.plus_ns(LOOK_NS));
            self.idle.fall_asleep(next);
            tokio::select! {
                biased;
                () = self.idle.interrupted() => {}
                start = &mut start => return Ok(start.ok()),
                Ok(()) = orders.changed() => {}
                woke = pacer.doze_until(next) => woke?,
            }
            self.idle.wake();
        }
    }

    /// Ends what has been begun before the run's own clock: it begins, and ends, with nothing open.
    async fn leave_off(&self, drives: &mut JoinSet<()>, listeners: &[&Rc<Device>]) {
        self.enter(Stage::Closing);
        // A peer that does not let go in time is simply left.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, see_off(drives)).await;
        for device in listeners.iter().filter(|device| device.stood.get().is_none()) {
            device.stood.set(Some(false));
        }
    }

    /// The run's own clock begins: what was to be done by the old one is to be done by the new one.
    pub(super) fn start(&self, start: Start) {
        let before = self.clock.now();
        self.clock.set(start.clock);
        self.run.set(RunFacts { epoch_ns: start.epoch_ns, ..self.run.get() });
        *self.timers.borrow_mut() = TimerQueue::new(self.devices.len());
        self.reach.iter().for_each(|reach| *reach.borrow_mut() = Reachability::default());
        let now = self.clock.now();
        for device in &self.devices {
            if let Some(at) = device.keep_alive_at.take() {
                if self.settings[usize::from(device.fleet.0)].turns.is_some() {
                    arm_keep_alive(self, device, None, now);
                    continue;
                }
                let at = now.plus_ns(at.since(before));
                device.keep_alive_at.set(Some(at));
                self.wake_at(at, device, Alarm::KeepAlive);
            }
        }
        self.enter(Stage::Running);
    }
}

fn standing(listeners: &[&Rc<Device>]) -> Vec<FleetStanding> {
    let mut standing = Standing::default();
    for device in listeners {
        let stood = u32::from(device.stood.get() == Some(true));
        standing.add(&[FleetStanding { fleet: device.fleet, stood, gave_up: 1 - stood }]);
    }
    standing.fleets
}
