//! What fleets are to hear by the pattern that their scenario states: due as soon as the reading has ended ok, heard or not.
//!
//! Of a shared subscription each reading is for one consumer, which may be any worker's. The first that hears it claims it by its mark
//! among the [origins](super::origin); the worker of the device that sent it claims it as lost when its time is over.

use super::consumer::{Heard, Part, ReadingId};
use super::delivery::Notice;
use super::device::Device;
use super::unclaimed::Expecting;
use super::worker::Worker;
use crate::clock::Tick;
use crate::record::{Code, FleetId, Kind, Outcome, Reason, Sample, Sink};

/// Why a reading that was for any of a group was lost.
fn unheard() -> Reason {
    Reason::new(
        Code::word("undelivered"),
        "heard by none of those that share the subscription within the time-out",
    )
}

impl<S: Sink> Worker<S> {
    /// A reading of `device` has ended: if it did so ok it is due to all who are to hear it.
    pub(super) fn expect_deliveries(&self, device: &Device, sample: &Sample) {
        let expecting = &self.expecting[usize::from(device.fleet.0)];
        let Some(origins) = self.wires.origins.as_ref().filter(|_| sample.outcome == Outcome::Ok) else {
            return;
        };
        let (sender, seq, intended) = (self.global(device), sample.seq, sample.intended);
        for &Expecting { by, nth, is_group, timeout_ns } in expecting {
            if is_group {
                let deadline = intended.plus_ns(timeout_ns);
                if !origins.is_told(sender, seq, nth)
                    && self.unclaimed.borrow_mut().insert(by, (sender, seq), intended, deadline)
                {
                    self.open();
                    self.idle.expect(deadline);
                }
            } else if origins.tell(sender, seq, nth) {
                let notice = Notice::Published { by, sender, seq, intended };
                self.take_notice(notice);
                self.tell_others(notice);
            }
        }
    }

    /// One of the group has heard of a reading: whether it is the first.
    pub(super) fn claim(
        &self,
        device: &Device,
        (by, nth): (FleetId, u32),
        (sender, seq): ReadingId,
        heard: Heard,
    ) -> Heard {
        let Some(origins) = self.wires.origins.as_ref().filter(|_| heard.part != Part::Duplicate) else {
            return heard;
        };
        if !origins.tell(sender, seq, nth) {
            let part = if heard.part == Part::Delivery { Part::Duplicate } else { Part::Late };
            return Heard { due: 0, part, ..heard };
        }
        if heard.part == Part::Delivery {
            let part = self.consumers_of(by).map_or(0, |mut consumers| consumers.take_part(device.slot));
            self.sink.borrow_mut().part(by, part);
        }
        match self.share.owner(sender) {
            Some(owner) if owner == self.share.index => self.claimed(by, (sender, seq)),
            Some(owner) => self.tell(owner, Notice::Claimed { by, sender, seq }),
            None => {}
        }
        let part = if heard.part == Part::Delivery { Part::Delivery } else { Part::Lost };
        Heard { due: 1, part, ..heard }
    }

    /// A reading of a device of this worker is claimed by one of fleet `by`.
    pub(super) fn claimed(&self, by: FleetId, reading: ReadingId) {
        if self.unclaimed.borrow_mut().remove(by, reading) {
            self.shut();
        }
    }

    /// What groups had to hear before `before` and did not is lost, as is known at `now`.
    pub(super) fn lose_unclaimed(&self, before: Tick, now: Tick) {
        let over = self.unclaimed.borrow_mut().expire(before);
        for (by, (sender, seq), intended) in over {
            let nth = self.expecting.iter().flatten().find(|expecting| expecting.by == by).map(|own| own.nth);
            let lost = self
                .wires
                .origins
                .as_ref()
                .zip(nth)
                .is_some_and(|(origins, nth)| origins.tell(sender, seq, nth));
            let device = self.devices.get(self.share.slot(sender));
            if let Some(device) = device.filter(|_| lost) {
                self.plan_deliveries(by, intended, 1);
                // No one of the group was to hear it: it stands against the first.
                let sample = self.delivery(device, (intended, now), seq, Outcome::Lost);
                let sample = Sample { fleet: by, device: 0, kind: Kind::Delivery, ..sample };
                self.settle(device, &sample, Some(&unheard()));
            }
            self.shut();
        }
    }
}
