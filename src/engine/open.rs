//! Gauges and counts of a fleet beside its outcomes: open and overdue readings, bytes, messages that answered nothing.

use super::device::Device;
use super::reconnect::Role;
use super::worker::{Stage, Worker};
use crate::clock::Tick;
use crate::protocol::{Failure, Session};
use crate::record::{Ages, ErrorKind, FleetId, Gauge, Reason, Sink, Stray, Traffic};

impl<S: Sink> Worker<S> {
    /// Tells the sink what every fleet has open at `now`, and its bytes. Once per interval: it looks at every device.
    pub(super) fn report_open(&self, now: Tick) {
        self.report_traffic(now);
        let (mut gauge, mut overdue) = (Gauge::default(), Ages::default());
        // Devices stand in the order of their fleets.
        for fleet in self.devices.chunk_by(|one, other| one.fleet == other.fleet) {
            let Some(first) = fleet.first() else { continue };
            for device in fleet {
                self.gauge(device, now, (&mut gauge, &mut overdue));
            }
            gauge.take_ages(&mut overdue);
            self.sink.borrow_mut().gauge(first.fleet, &gauge);
            gauge.reset();
        }
    }

    /// Adds what `device` has open. What it cannot send because of the plan counts as open, and as overdue only once the plan has
    /// let it go for as long as the time-out.
    fn gauge(&self, device: &Device, now: Tick, gauges: (&mut Gauge, &mut Ages)) {
        if self.stage() == Stage::Running && is_kept_away(device, now) {
            device.excused.set(now);
        }
        device.ledger.borrow().gauge(device.excused.get(), now, gauges);
    }

    /// Tells the sink the bytes since the last call.
    pub(super) fn report_traffic(&self, now: Tick) {
        let mut sink = self.sink.borrow_mut();
        for (traffic, fleet) in self.traffic.iter().zip(0..) {
            let traffic = traffic.take();
            if traffic != Traffic::default() {
                sink.traffic(FleetId(fleet), now, traffic);
            }
        }
    }

    /// Bytes went both ways on a connection of `device`.
    pub(super) fn carried(&self, device: &Device, more: Traffic) {
        if let Some(traffic) = self.traffic.get(usize::from(device.fleet.0)) {
            let mut sum = traffic.get();
            sum.add(more);
            traffic.set(sum);
        }
    }

    /// Takes in what the session has noted besides its events.
    pub(super) fn note(&self, device: &Device, session: &mut dyn Session) {
        self.carried(device, session.take_traffic());
        while let Some((count, remark)) = session.take_remark() {
            self.remark(device, &remark, count);
        }
        while let Some(unmatched) = session.take_unmatched() {
            let heard = (unmatched.count, unmatched.first.as_deref());
            self.unmatched(device, unmatched.stray, heard, self.clock.now());
            if device.role == Role::Listener {
                // Any message shows that a listener's connection is of use.
                device.answered.set(device.answered.get() + unmatched.count);
            }
        }
    }

    /// The peer of `device` did other than it was asked to, `count` times.
    pub(super) fn remark(&self, device: &Device, remark: &Reason, count: u64) {
        let index = device.plan.borrow().index;
        self.sink.borrow_mut().remark(device.fleet, self.clock.now(), index, remark, count);
    }

    /// The connection of `device` has ended by `failure`, of which no reading ends: nothing else would name a breach of the protocol.
    pub(super) fn breached(&self, device: &Device, failure: &Failure) {
        // It may be the doing of a fault.
        let sound = device.faults.as_ref().is_none_or(|faults| faults.is_clear());
        if sound && failure.kind == ErrorKind::Protocol {
            self.remark(device, &failure.reason, 1);
        }
    }

    /// Messages answered none of the device's readings.
    pub(super) fn unmatched(&self, device: &Device, stray: Stray, heard: (u64, Option<&str>), at: Tick) {
        let index = device.plan.borrow().index;
        self.sink.borrow_mut().unmatched(device.fleet, at, index, stray, heard);
    }
}

/// Whether the plan, rather than the service, keeps the device from being answered: it is offline, asleep, stored readings
/// are being held back, or a fault of the scenario acts on its connection.
fn is_kept_away(device: &Device, now: Tick) -> bool {
    let flushing = device.ledger.borrow().next_intended();
    device.policy.online_at_or_later(now) > now
        || flushing.and_then(|intended| device.policy.flush_at(intended)).is_some_and(|at| at > now)
        || device.faults.as_ref().is_some_and(|faults| !faults.is_clear())
}
