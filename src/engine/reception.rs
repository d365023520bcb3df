//! What the devices of a worker hear of the readings of others: how it is booked, and what is lost.

use std::cell::RefMut;

use tokio::sync::mpsc::error::TrySendError;

use super::audit::Hearing;
use super::consumer::{ConsumerFleet, Heard, Missed, Part};
use super::delivery::{Delivery, Notice};
use super::device::Device;
use super::ledger::Delivered;
use super::origin::Origin;
use super::worker::Worker;
use crate::clock::Tick;
use crate::record::{AuditFinding, Code, FleetId, Kind, Outcome, Reason, Sample, Sink, Stray};

/// Why a delivery was lost.
fn undelivered() -> Reason {
    Reason::new(
        Code::word("undelivered"),
        "not heard within the time-out, though others of the fleet heard it",
    )
}

/// The same, where it came after all.
fn too_late() -> Reason {
    Reason::new(Code::word("late"), "heard only after the time-out")
}

impl<S: Sink> Worker<S> {
    /// A device of this worker heard a reading of another at `heard.at`.
    pub(super) fn hear(&self, device: &Device, heard: Delivery) {
        self.expire_deliveries(heard.at);
        self.consume(device, heard);
        if !self.hearers.contains(&Some(heard.by)) {
            return;
        }
        // Another shard's reading is that shard's business.
        let Some(owner) = self.share.owner(heard.sender) else { return };
        if owner == self.share.index {
            self.deliver(heard);
        } else {
            self.tell(owner, Notice::Delivered(heard));
        }
    }

    /// This worker's devices of `fleet`, if it only hears.
    pub(super) fn consumers_of(&self, fleet: FleetId) -> Option<RefMut<'_, ConsumerFleet>> {
        let consumers = self.consumers.borrow_mut();
        RefMut::filter_map(consumers, |all| all.iter_mut().find(|own| own.fleet == fleet)).ok()
    }

    pub(super) fn tell(&self, worker: usize, notice: Notice) {
        // One that has left had nothing open: it ended with the drain, or by an error that ends the run.
        if let Some(Err(TrySendError::Full(_))) = self.wires.out.get(worker).map(|out| out.try_send(notice)) {
            self.undelivered.set(self.undelivered.get() + 1);
        }
    }

    pub(super) fn tell_others(&self, notice: Notice) {
        let others = (0..self.share.count).filter(|worker| *worker != self.share.index);
        others.for_each(|worker| self.tell(worker, notice));
    }

    /// Another worker tells something, or this one itself.
    pub(super) fn take_notice(&self, notice: Notice) {
        match notice {
            Notice::Delivered(heard) => self.deliver(heard),
            Notice::Claimed { by, sender, seq } => self.claimed(by, (sender, seq)),
            Notice::Published { by, sender, seq, intended } => {
                let due = self.consumers_of(by).and_then(|mut fleet| fleet.publish((sender, seq), intended));
                self.plan_deliveries(by, intended, due.unwrap_or(0));
            }
        }
    }

    /// Books a delivery with the fleet that hears it.
    fn consume(&self, device: &Device, heard: Delivery) {
        let Delivery { sender, seq, by, at, .. } = heard;
        let Some(origins) = &self.wires.origins else { return };
        let intended = match origins.find(sender, seq) {
            Origin::Due(intended) => intended,
            Origin::Forgotten => return self.heard(device, AuditFinding::Unaudited, at, seq),
            Origin::Unknown => {
                let first = format!("reading {seq} of a device that has not sent it");
                return self.unmatched(device, Stray::Unasked, (1, Some(&first)), at);
            }
        };
        let Some(mut fleet) = self.consumers_of(by) else { return };
        let mut heard = fleet.hear(device.slot, (sender, seq), intended, at);
        let (nth, is_group) = (fleet.nth, fleet.is_group());
        drop(fleet);
        if is_group {
            heard = self.claim(device, (by, nth), (sender, seq), heard);
        }
        let Heard { due, news, part, reordered, audited } = heard;
        self.plan_deliveries(by, intended, due);
        if news && origins.tell(sender, seq, nth) {
            self.tell_others(Notice::Published { by, sender, seq, intended });
        }
        if reordered {
            self.heard(device, AuditFinding::Reordered, intended, seq);
        }
        if !audited {
            self.heard(device, AuditFinding::Unaudited, intended, seq);
        }
        match part {
            Part::Delivery => {
                self.settle(device, &self.delivery(device, (intended, at), seq, Outcome::Ok), None);
            }
            Part::Lost => {
                let lost = self.delivery(device, (intended, at), seq, Outcome::Lost);
                self.settle(device, &lost, Some(&too_late()));
                self.heard(device, AuditFinding::Late, intended, seq);
            }
            Part::Late => self.heard(device, AuditFinding::Late, intended, seq),
            Part::Duplicate => self.heard(device, AuditFinding::Duplicated, intended, seq),
        }
    }

    /// A device asks at `at` for what others send. Since the reply to its last request it had asked for nothing: what happened in between
    /// waited for squall, not for the service.
    pub(super) fn asks_again(&self, device: &Device, at: Tick) {
        let Some(replied) = device.replied.take() else { return };
        let gap = Sample { kind: Kind::Gap, ..self.delivery(device, (replied, at), 0, Outcome::Ok) };
        let mut sink = self.sink.borrow_mut();
        sink.planned(gap.phase, gap.fleet, gap.kind);
        sink.sent(gap.phase, gap.fleet, gap.kind);
        sink.completed(&gap);
    }

    /// So many deliveries to a fleet are due of a reading that came due at `intended`.
    pub(super) fn plan_deliveries(&self, fleet: FleetId, intended: Tick, due: u32) {
        let phase = self.layout().phase_at(intended);
        for _ in 0..due {
            self.sink.borrow_mut().planned(phase, fleet, Kind::Delivery);
            self.open();
        }
        if due > 0 {
            self.idle.expect(self.next_lost_delivery());
        }
    }

    /// The audit found something about what `device` heard, in the phase of `at`.
    fn heard(&self, device: &Device, finding: AuditFinding, at: Tick, seq: u64) {
        let (phase, index) = (self.layout().phase_at(at), device.plan.borrow().index);
        let about = (phase, device.fleet, Kind::Delivery);
        self.sink.borrow_mut().finding(about, finding, index, seq);
    }

    /// When the next delivery is lost unless it comes.
    pub(super) fn next_lost_delivery(&self) -> Tick {
        let consumers = self.consumers.borrow();
        let unclaimed = self.unclaimed.borrow().next_deadline();
        consumers.iter().map(ConsumerFleet::next_deadline).fold(unclaimed, Tick::min)
    }

    /// Deliveries that had to come before `now` and did not are lost.
    pub(super) fn expire_deliveries(&self, now: Tick) {
        if self.next_lost_delivery() <= now {
            self.lose_deliveries(now, now);
        }
    }

    /// Deliveries that had to come before `before` are lost, as is known at `now`.
    pub(super) fn lose_deliveries(&self, before: Tick, now: Tick) {
        let mut consumers = self.consumers.borrow_mut();
        let missed: Vec<Missed> = consumers.iter_mut().flat_map(|fleet| fleet.expire(before)).collect();
        drop(consumers);
        self.lose_unclaimed(before, now);
        let reason = undelivered();
        for Missed { slot, seq, intended } in missed {
            let Some(device) = self.devices.get(slot as usize) else { continue };
            self.settle(device, &self.delivery(device, (intended, now), seq, Outcome::Lost), Some(&reason));
        }
    }

    /// A device of a fleet that only hears has a connection since `at`, or is gone for good.
    pub(super) fn listens(&self, device: &Device, since: Option<Tick>) {
        let Some(mut fleet) = self.consumers_of(device.fleet) else { return };
        match since {
            Some(at) => fleet.join(device.slot, at),
            None => fleet.leave(device.slot),
        }
    }

    /// The record of a delivery to `device` of reading `seq` of another, which came due at `intended` and was heard, or given up, at
    /// `completed`.
    pub(super) fn delivery(
        &self,
        device: &Device,
        (intended, completed): (Tick, Tick),
        seq: u64,
        outcome: Outcome,
    ) -> Sample {
        Sample {
            phase: self.layout().phase_at(intended),
            fleet: device.fleet,
            device: device.plan.borrow().index,
            kind: Kind::Delivery,
            seq,
            intended,
            eligible: None,
            actual: None,
            completed,
            outcome,
            stages: None,
            mark: None,
            flagged: None,
            arm: None,
            attempts: 0,
            own_wait_ns: 0,
            plan_wait_ns: 0,
        }
    }

    /// Records that a subscriber heard a reading of a device of this worker, which may end by that.
    fn deliver(&self, heard: Delivery) {
        let Some(device) = self.devices.get(self.share.slot(heard.sender)) else { return };
        if self.hearers[usize::from(device.fleet.0)] != Some(heard.by) {
            return;
        }
        let delivered = device.ledger.borrow_mut().deliver(heard.seq, heard.at);
        if delivered == Delivered::Stray {
            return;
        }
        let phase = self.layout().phase_at(heard.at);
        if delivered == Delivered::Late {
            self.finding(device, AuditFinding::Late, phase, heard.seq);
        }
        match self.audience.borrow_mut().hear(device.slot, heard.subscriber, heard.seq) {
            Hearing::InOrder => {}
            Hearing::Finding(finding) => self.finding(device, finding, phase, heard.seq),
            Hearing::Unaudited => self.finding(device, AuditFinding::Unaudited, phase, heard.seq),
        }
        let Delivered::First(sample) = delivered else { return };
        device.answered.set(device.answered.get() + 1);
        device.policy.note_activity(heard.at);
        if !device.can_send.get() {
            device.ledger.borrow_mut().unblock(heard.at);
        }
        self.settle(device, &sample, None);
        device.wake();
    }
}
