//! A run leaves out a part of its plan: what the plan still has for devices and faults comes earlier, or never.

use super::device::Device;
use super::timer::{Entry, Task};
use super::worker::Worker;
use crate::clock::{Skip, Tick};
use crate::record::Sink;

/// Readings that are drawn and passed by before the worker looks at what else is due: a long part of a busy plan has millions.
const DRAWS: usize = 1_000;

impl<S: Sink> Worker<S> {
    /// Takes in what has been left out of the plan since it last looked; true if there was anything. All workers hear of it before
    /// its instant comes, so that none has done anything yet that lies behind it.
    pub(super) fn follow_course(&self) -> bool {
        let course = &self.layout().course;
        let mut any = false;
        while let Some(skip) = course.skips().nth(self.skips.get()) {
            self.skips.set(self.skips.get() + 1);
            self.leave_out(skip);
            any = true;
        }
        any
    }

    fn leave_out(&self, skip: Skip) {
        self.timers.borrow_mut().rearrange(|entry| self.moved(entry, skip));
        for device in &self.devices {
            if device.leave_out(skip) {
                self.expect_presence(device, skip.at);
            }
        }
        self.faults.leave_out(skip);
        self.idle.count_from(self.plan.measuring_starts());
    }

    /// When comes what was to come by `entry`; `None`: it does not.
    fn moved(&self, entry: &Entry, skip: Skip) -> Option<Tick> {
        let Entry { at, slot, task } = *entry;
        let device = self.devices.get(slot as usize)?;
        match task {
            Task::Due if self.is_open_model(device.fleet) => {
                let place = skip.place(at);
                if place.is_none() {
                    self.undrawn.borrow_mut().push(slot);
                }
                place
            }
            // The first readings of a device that joins; the others follow what the service answers.
            Task::Due if device.starts() >= skip.at => Some(skip.moved(at)),
            Task::Fault(number) => self.hit_at(number, at, skip),
            Task::Due | Task::Wake | Task::Alarm(_) => Some(at),
        }
    }

    /// Puts an entry into the timer queue for everything from `from` on that the plan has for the connection of `device`.
    pub(super) fn expect_presence(&self, device: &Device, from: Tick) {
        let (ends, outage) = {
            let plan = device.plan.borrow();
            ([plan.connect_at, plan.leave_at], plan.outage)
        };
        let outage = outage.into_iter().flat_map(|outage| [outage.from, outage.until]);
        for at in ends.into_iter().flatten().chain(outage).filter(|at| *at >= from) {
            self.schedule(at, device, Task::Wake);
        }
    }

    /// Draws the next reading of `device`. One that the run leaves out is passed by, as if it had come: what follows is the same.
    pub(super) fn plan_next(&self, device: &Device) {
        let next = device.plan.borrow_mut().next_due();
        match next.map(|planned| self.layout().course.place(planned)) {
            None => {}
            Some(Some(at)) => self.schedule(at, device, Task::Due),
            Some(None) => self.undrawn.borrow_mut().push(device.slot),
        }
    }

    /// Draws on for devices whose next reading is not known yet; true once it is known of all of them.
    pub(super) fn draw_on(&self) -> bool {
        for _ in 0..DRAWS {
            let slot = self.undrawn.borrow_mut().pop();
            let Some(slot) = slot else { return true };
            if let Some(device) = self.devices.get(slot as usize) {
                self.plan_next(device);
            }
        }
        self.undrawn.borrow().is_empty()
    }
}
