//! Where message faults act on the broker's packets: whole ones, before the session takes note of them.

use super::super::hold_queue::HoldQueue;
use super::inflight::Ack;
use super::received::Received;
use crate::clock::Tick;
use crate::fault::MessageKind;
use crate::net::{Decision, MessageFaults};

/// The packets of one connection that faults hold up, and what decides about the others.
#[derive(Debug)]
pub(super) struct PacketFaults {
    message_faults: MessageFaults,
    held: Vec<(MessageKind, HoldQueue<Received>)>,
    /// CONNACK has vanished: the session waits for it, and takes nothing else.
    deaf: bool,
}

impl PacketFaults {
    pub(super) const fn new(message_faults: MessageFaults) -> Self {
        Self { message_faults, held: Vec::new(), deaf: false }
    }

    /// Takes out a packet whose time has come.
    pub(super) fn take_due(&mut self) -> Option<Received> {
        if self.held.is_empty() {
            return None;
        }
        let now = self.message_faults.now();
        for (_, hold_queue) in &mut self.held {
            hold_queue.lift(&self.message_faults);
        }
        let first =
            self.held.iter_mut().min_by_key(|(_, hold_queue)| hold_queue.first_due().unwrap_or(Tick::FAR));
        let packet = first.and_then(|(_, hold_queue)| hold_queue.take_due(now));
        self.held.retain(|(_, hold_queue)| !hold_queue.is_empty());
        packet
    }

    /// Whether nothing may be read for now.
    pub(super) fn blocks(&self) -> bool {
        // Nothing comes before CONNACK, even if that is late.
        self.held.iter().any(|(kind, hold_queue)| hold_queue.blocks() || *kind == MessageKind::Connack)
    }

    /// Whether [`Self::take_due`] has something.
    pub(super) fn has_due(&self) -> bool {
        !self.held.is_empty() && {
            let now = self.message_faults.now();
            self.held.iter().any(|(_, hold_queue)| hold_queue.first_due().is_some_and(|at| at <= now))
        }
    }

    /// Decides about a packet that has come; `None` if it is gone, or comes later.
    pub(super) fn meet(&mut self, packet: Received) -> Option<Received> {
        if self.deaf {
            return None;
        }
        let Some(kind) = kind(&packet) else { return Some(packet) };
        let place = self.held.iter().position(|(of, _)| *of == kind);
        if place.is_none() && !self.message_faults.touches(kind) {
            return Some(packet);
        }
        let place = place.unwrap_or_else(|| {
            self.held.push((kind, HoldQueue::default()));
            self.held.len() - 1
        });
        let (_, hold_queue) = self.held.get_mut(place)?;
        let decision =
            if hold_queue.is_full() { Decision::Pass } else { self.message_faults.decide(kind, |_| true) };
        match decision {
            Decision::Pass | Decision::Duplicate => hold_queue.overtake(),
            Decision::Drop => self.deaf = kind == MessageKind::Connack,
            Decision::Delay(wait_ns) => hold_queue.put_until(packet, self.message_faults.wake_after(wait_ns)),
            Decision::Hold { depth, activation } => hold_queue.put_behind(packet, depth, activation),
        }
        if decision == Decision::Duplicate {
            hold_queue.put_until(packet, Tick::ZERO);
        }
        self.held.retain(|(_, hold_queue)| !hold_queue.is_empty());
        matches!(decision, Decision::Pass | Decision::Duplicate).then_some(packet)
    }
}

const fn kind(packet: &Received) -> Option<MessageKind> {
    Some(match packet {
        Received::Connack { .. } => MessageKind::Connack,
        Received::Publish { .. } => MessageKind::Publish,
        Received::Ack(Ack::Puback, ..) => MessageKind::Puback,
        Received::Ack(Ack::Pubrec, ..) => MessageKind::Pubrec,
        Received::Ack(Ack::Pubcomp, ..) => MessageKind::Pubcomp,
        Received::Pingresp => MessageKind::Pingresp,
        Received::Ack(Ack::Pubrel, ..) | Received::Suback { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::harness::script::{Script, context};
    use super::super::super::tests::fault_harness::{FaultHarness, every, later};
    use super::super::super::{Endpoint, Event, Failure, Identity};
    use super::super::Mqtt;
    use super::super::tests::{CONNACK, ack, message, publish, settings};
    use crate::fault::{Action, MessageKind, Tampering};
    use crate::record::{Close, ErrorKind, Protocol, Qos};
    use std::task::Poll;

    use super::*;
    use crate::protocol::fault_injector::Codec;

    const OWN: &str = "devices/d/readings";

    fn polled(session: &mut Mqtt<Script>) -> Vec<u64> {
        let mut closed = Vec::new();
        while let Poll::Ready(event) = session.poll_event(&mut context()) {
            if let Event::Closed { seq, .. } = event.unwrap() {
                closed.push(seq);
            }
        }
        closed
    }

    /// Identifiers of the acknowledgements of one kind that the device wrote.
    fn acknowledged(written: &[u8], of: Ack) -> Vec<u64> {
        let first = ack(of, 1)[0];
        let packets = written.chunks_exact(4).filter(|packet| packet[0] == first);
        packets.map(|packet| u64::from(packet[3])).collect()
    }

    /// Sends five readings, of which the broker returns one packet of `kind` each, and gives the order in which they took
    /// effect, with how many were stray.
    fn effects(harness: &FaultHarness, kind: MessageKind) -> (Vec<u64>, u64) {
        use MessageKind as K;
        let (close, qos) = match kind {
            K::Puback => (Close::Ack, Qos::AtLeastOnce),
            K::Pubrec | K::Pubcomp => (Close::Ack, Qos::ExactlyOnce),
            _ => (Close::Delivery, Qos::AtLeastOnce),
        };
        let mut session = Mqtt::new(Script::new(), &settings(close, qos), &harness.identity()).unwrap();
        for seq in 1..=5 {
            session.send(&mut context(), &message(seq, b"")).unwrap();
        }
        if kind == K::Pubcomp {
            session.stream.push(&[1, 2, 3, 4, 5].map(|pid| ack(Ack::Pubrec, pid)).concat());
            polled(&mut session);
        }
        session.stream.take_written();
        let packet = |pid: u16| match kind {
            K::Puback => ack(Ack::Puback, pid),
            K::Pubrec => ack(Ack::Pubrec, pid),
            K::Pubcomp => ack(Ack::Pubcomp, pid),
            _ => publish(OWN, Qos::AtLeastOnce, pid, &format!(r#"{{"seq":{pid}}}"#)),
        };
        session.stream.push(&[1, 2, 3, 4, 5].map(packet).concat());
        let mut closed = polled(&mut session);
        harness.set_clock(100);
        closed.extend(polled(&mut session));
        harness.clear();
        closed.extend(polled(&mut session));
        assert!(session.packet_faults.as_ref().unwrap().held.is_empty());
        let written = session.stream.take_written();
        if kind == K::Pubrec {
            return (acknowledged(&written, Ack::Pubrel), session.stray());
        }
        if kind == K::Publish {
            // The broker gets its acknowledgement when, and as often as, the device sees the message.
            assert_eq!(acknowledged(&written, Ack::Puback), closed);
        }
        (closed, session.stray())
    }

    #[test]
    fn every_act_is_done_to_every_packet_of_the_broker() {
        use MessageKind as K;
        let table = [
            (Action::Drop, [1, 3, 5, 0, 0, 0, 0]),
            (Action::Duplicate, [1, 2, 2, 3, 4, 4, 5]),
            (later(100), [1, 3, 5, 2, 4, 0, 0]),
            (Action::Reorder { depth: 1 }, [1, 3, 2, 5, 4, 0, 0]),
            (Action::Reorder { depth: 9 }, [1, 3, 5, 2, 4, 0, 0]),
        ];
        for (act, order) in table {
            for kind in [K::Publish, K::Puback, K::Pubrec, K::Pubcomp] {
                let harness = FaultHarness::new();
                let tally = harness.bring(every(2, kind, act.clone()));
                let mut expected: Vec<_> = order.into_iter().filter(|seq| *seq > 0).collect();
                let mut stray = 0;
                if act == Action::Duplicate && matches!(kind, K::Puback | K::Pubcomp) {
                    // The exchange is over: nothing comes of it.
                    expected.dedup();
                    stray = 2;
                }
                assert_eq!(effects(&harness, kind), (expected, stray), "{kind:?} {act:?}");
                assert_eq!(tally.get(), 2);
            }
        }
    }

    #[test]
    fn packets_of_other_kinds_pass() {
        let harness = FaultHarness::new();
        harness.bring(every(1, MessageKind::Puback, Action::Drop));
        assert_eq!(effects(&harness, MessageKind::Pubcomp), (vec![1, 2, 3, 4, 5], 0));
        let harness = FaultHarness::new();
        harness.bring(every(1, MessageKind::Reading, Action::Drop));
        assert_eq!(effects(&harness, MessageKind::Publish), (vec![1, 2, 3, 4, 5], 0));
    }

    #[test]
    fn a_ping_whose_answer_vanishes_is_unanswered() {
        let table: [(Option<Tampering>, bool); 3] = [
            (None, true),
            (Some(every(1, MessageKind::Pingresp, Action::Drop)), false),
            (Some(every(1, MessageKind::Pingresp, later(50))), false),
        ];
        for (tampering, alive) in table {
            let harness = FaultHarness::new();
            tampering.map(|tampering| harness.bring(tampering));
            let settings = settings(Close::Ack, Qos::AtLeastOnce);
            let mut session =
                Mqtt::new(Script::new().data(&[0xd0, 0]), &settings, &harness.identity()).unwrap();
            session.keep_alive(&mut context()).unwrap();
            assert_eq!(polled(&mut session), [0; 0]);
            assert_eq!(session.keep_alive(&mut context()).is_ok(), alive);
            harness.set_clock(50);
            assert_eq!(session.has_more(), harness.take_wakes() == [50]);
        }
    }

    fn shake_hands(harness: &FaultHarness, replies: &[u8]) -> Poll<Result<(), Failure>> {
        let settings = settings(Close::Ack, Qos::AtLeastOnce);
        let endpoint = Endpoint::resolve(Protocol::named("mqtt"), "mqtt://127.0.0.1").unwrap();
        let identity = harness.identity();
        let mut opening = Box::pin(Mqtt::open(Script::new().data(replies), &endpoint, &settings, &identity));
        let first = opening.as_mut().poll(&mut context());
        if first.is_ready() {
            return first.map_ok(drop);
        }
        harness.set_clock(100);
        opening.as_mut().poll(&mut context()).map_ok(drop)
    }

    #[test]
    fn a_handshake_waits_for_a_connack_that_vanished_or_is_late() {
        let harness = FaultHarness::new();
        let tally = harness.bring(every(1, MessageKind::Connack, Action::Drop));
        // The broker goes on as if it had been seen.
        let replies = [CONNACK, &publish(OWN, Qos::AtLeastOnce, 1, "")].concat();
        assert!(shake_hands(&harness, &replies).is_pending());
        assert_eq!(tally.get(), 1);
        let harness = FaultHarness::new();
        harness.bring(every(1, MessageKind::Connack, later(100)));
        assert_eq!(shake_hands(&harness, &replies), Poll::Ready(Ok(())));
    }

    #[test]
    fn held_up_packets_stop_the_reading_once_there_are_too_many() {
        let harness = FaultHarness::new();
        harness.bring(every(1, MessageKind::Publish, later(100)));
        let settings = settings(Close::Delivery, Qos::AtMostOnce);
        let mut session = Mqtt::new(Script::new(), &settings, &harness.identity()).unwrap();
        for seq in 1..=100 {
            session.stream.push(&publish(OWN, Qos::AtMostOnce, 0, &format!(r#"{{"seq":{seq}}}"#)));
        }
        assert_eq!(polled(&mut session), [0; 0]);
        assert_eq!(harness.take_wakes().len(), 64);
        harness.set_clock(100);
        assert_eq!(polled(&mut session), (1..=64).collect::<Vec<_>>());
        harness.set_clock(200);
        assert_eq!(polled(&mut session), (65..=100).collect::<Vec<_>>());
    }

    #[test]
    fn a_second_connack_is_the_brokers_mistake_whoever_made_it() {
        let harness = FaultHarness::new();
        harness.bring(every(1, MessageKind::Connack, Action::Duplicate));
        let settings = settings(Close::Verdict, Qos::AtLeastOnce);
        let endpoint = Endpoint::resolve(Protocol::named("mqtt"), "mqtt://127.0.0.1").unwrap();
        let identity = Identity { faults: harness.identity().faults, ..Identity::of("d") };
        let opening = Mqtt::open(Script::new().data(CONNACK), &endpoint, &settings, &identity);
        let Poll::Ready(Err(failure)) = std::pin::pin!(opening).as_mut().poll(&mut context()) else {
            panic!("it is opened")
        };
        assert_eq!(failure.kind, ErrorKind::Protocol);
    }
}
