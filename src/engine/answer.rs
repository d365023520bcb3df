//! What comes back: how an event of a session is booked.

use super::delivery::Delivery;
use super::device::Device;
use super::ledger::{Closing, Settled};
use super::worker::{Stage, Worker};
use crate::clock::Tick;
use crate::protocol::{Answer, Event, Session};
use crate::record::{AuditFinding, Outcome, Sink, Stray};

/// Books one event that was decoded at `at`.
pub(super) fn take_in<S: Sink>(
    worker: &Worker<S>,
    device: &Device,
    session: &mut dyn Session,
    event: Event,
    at: Tick,
) {
    if let Event::Heard { sender, seq, named } = event {
        if worker.stage() == Stage::Standing {
            let heard = (1, Some("a reading heard before the run began"));
            return worker.unmatched(device, Stray::Unasked, heard, at);
        }
        worker.answered_by(device, named);
        device.answered.set(device.answered.get() + 1);
        let subscriber = worker.global(device);
        return worker.hear(Delivery { sender, seq, subscriber, by: device.fleet, at });
    }
    if let Event::Closed { seq, answer, stages, flagged, named } = event {
        let outcome = match answer {
            Answer::Ok => Outcome::Ok,
            Answer::Shed => Outcome::Shed,
            Answer::Error(kind) => Outcome::Error(kind),
        };
        let settled = device.ledger.borrow_mut().close(seq, Closing { outcome, stages, flagged }, at);
        match settled {
            Settled::Closed { sample, reordered } => {
                device.answered.set(device.answered.get() + 1);
                device.policy.note_activity(at);
                worker.answered_by(device, named);
                if reordered {
                    worker.finding(device, AuditFinding::Reordered, sample.phase, seq);
                }
                let reason = (outcome != Outcome::Ok).then(|| session.explain(seq, answer));
                worker.settle(device, &sample, reason.as_ref());
            }
            Settled::AuditFinding(finding) => {
                worker.finding(device, finding, worker.layout().phase_at(at), seq);
            }
            Settled::Stray => {
                let first = format!("an answer to reading {seq}, which was never sent");
                worker.unmatched(device, Stray::Unasked, (1, Some(&first)), at);
            }
        }
    }
    let can_send = session.ready() && device.ledger.borrow().has_room();
    if can_send && !device.can_send.replace(can_send) {
        device.ledger.borrow_mut().unblock(at);
    }
    device.can_send.set(can_send);
}
