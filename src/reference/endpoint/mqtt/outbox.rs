//! What is on its way to one client: bytes to be written, messages not yet acknowledged, messages that wait their turn.

use std::collections::VecDeque;

use mqtt_proto::v3::Packet;
use mqtt_proto::{Pid, QoS};

use super::frame::{self, Message};

/// Messages of `QoS` 1 and 2 that may be unacknowledged at once; further ones wait.
const WINDOW: usize = 1_024;

/// Messages that may wait for the window.
const MOST_WAITING: usize = 1_024;

/// Bytes of messages that may be on their way to one client, written or waiting.
const MOST_BYTES: usize = 1024 * 1024;

/// Capacity, in bytes, that is kept when nothing is under way.
const IDLE_CAPACITY: usize = 1_024;

/// Written bytes that are cut off the front of a buffer that never runs empty.
const CUT: usize = 64 * 1024;

/// How far the delivery of a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// `QoS` 1: the PUBACK is due.
    Acknowledge,
    /// `QoS` 2: the PUBREC is due.
    Receive,
    /// `QoS` 2: the PUBCOMP is due.
    Complete,
}

/// A PUBLISH that waits for the window, complete but for its packet identifier.
#[derive(Debug)]
struct Waiting {
    bytes: Vec<u8>,
    place: usize,
    stage: Stage,
}

/// The way out to one client. Nothing is kept for redelivery: that is due only when a session outlives its connection,
/// and none does here.
#[derive(Debug)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    written: usize,
    /// Oldest first.
    open: VecDeque<(u16, Stage)>,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    next: u16,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            written: 0,
            open: VecDeque::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            next: 1,
        }
    }
}

impl Outbox {
    /// Adds a packet that is no message. The caller reads no further packets while [`Self::unwritten`] is large.
    pub(super) fn push(&mut self, packet: &Packet) {
        frame::encode(packet, &mut self.bytes);
    }

    /// Adds the answer to a SUBSCRIBE.
    pub(super) fn push_suback(&mut self, pid: Pid, granted: &[Option<QoS>]) {
        frame::encode_suback(pid, granted, &mut self.bytes);
    }

    /// Adds a message at the lesser quality of the message and the subscription; whether there was room for it.
    pub(super) fn offer(&mut self, message: &Message<'_>, granted: QoS) -> bool {
        if self.bytes.len() - self.written + self.waiting_bytes + message.most_bytes() > MOST_BYTES {
            return false;
        }
        let qos = message.qos.min(granted);
        let stage = match qos {
            QoS::Level0 => {
                message.encode(qos, &mut self.bytes);
                return true;
            }
            QoS::Level1 => Stage::Acknowledge,
            QoS::Level2 => Stage::Receive,
        };
        if self.waiting.is_empty() && self.has_room() {
            let place = message.encode(qos, &mut self.bytes);
            self.identify(place, stage);
            return true;
        }
        if self.waiting.len() >= MOST_WAITING {
            return false;
        }
        let mut bytes = Vec::new();
        let place = message.encode(qos, &mut bytes);
        self.waiting_bytes += bytes.len();
        self.waiting.push_back(Waiting { bytes, place, stage });
        true
    }

    /// Takes note of a PUBACK.
    pub(super) fn acknowledged(&mut self, pid: Pid) {
        self.close(pid, Stage::Acknowledge);
    }

    /// Takes note of a PUBREC and answers it. An unknown one is answered too, so that the client can finish.
    pub(super) fn received(&mut self, pid: Pid) {
        if let Some((_, stage)) = self.open.iter_mut().find(|(open, _)| *open == pid.value())
            && *stage == Stage::Receive
        {
            *stage = Stage::Complete;
        }
        self.push(&Packet::Pubrel(pid));
    }

    /// Takes note of a PUBCOMP.
    pub(super) fn completed(&mut self, pid: Pid) {
        self.close(pid, Stage::Complete);
    }

    /// What is to be written next.
    pub(super) fn unwritten(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// Takes note that `count` bytes have been written.
    pub(super) fn wrote(&mut self, count: usize) {
        self.written = (self.written + count).min(self.bytes.len());
        if self.written == self.bytes.len() {
            self.written = 0;
            self.bytes.clear();
            self.bytes.shrink_to(IDLE_CAPACITY);
        } else if self.written >= CUT {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }

    fn close(&mut self, pid: Pid, stage: Stage) {
        // Acknowledgements come in order, so the one looked for is nearly always the first.
        let Some(index) = self.open.iter().position(|open| *open == (pid.value(), stage)) else { return };
        self.open.remove(index);
        while self.has_room()
            && let Some(Waiting { bytes, place, stage }) = self.waiting.pop_front()
        {
            self.waiting_bytes -= bytes.len();
            let start = self.bytes.len();
            self.bytes.extend_from_slice(&bytes);
            self.identify(start + place, stage);
        }
        if self.open.is_empty() {
            self.open.shrink_to(IDLE_CAPACITY / size_of::<(u16, Stage)>());
            self.waiting.shrink_to(0);
        }
    }

    /// Whether the window is open. Identifiers are given out in turn, so the next one can be taken only by the oldest
    /// message that is still open: then it is waited for.
    fn has_room(&self) -> bool {
        self.open.len() < WINDOW && self.open.front().is_none_or(|(oldest, _)| *oldest != self.next)
    }

    /// Gives the PUBLISH whose identifier stands at `place` the next one.
    fn identify(&mut self, place: usize, stage: Stage) {
        let pid = self.next;
        self.next = self.next.checked_add(1).unwrap_or(1);
        if let Some(field) = self.bytes.get_mut(place..place + 2) {
            field.copy_from_slice(&pid.to_be_bytes());
        }
        self.open.push_back((pid, stage));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: &[u8], qos: QoS) -> Message<'_> {
        Message { topic: "t", payload, qos, retained: false }
    }

    fn pid(value: u16) -> Pid {
        Pid::try_from(value).unwrap()
    }

    /// Everything that is to be written, which then counts as written.
    fn take(outbox: &mut Outbox) -> Vec<Packet> {
        let (mut packets, mut bytes) = (Vec::new(), outbox.unwritten().to_vec());
        outbox.wrote(bytes.len());
        while let Some((packet, length)) = frame::decode(&bytes).unwrap() {
            packets.push(packet);
            bytes.drain(..length);
        }
        assert!(bytes.is_empty());
        packets
    }

    fn identifiers(packets: &[Packet]) -> Vec<u16> {
        let publish = |packet: &Packet| match packet {
            Packet::Publish(publish) => publish.qos_pid.pid().map(Pid::value),
            _ => None,
        };
        packets.iter().filter_map(publish).collect()
    }

    #[test]
    fn the_quality_is_the_lesser_of_message_and_subscription() {
        for published in [QoS::Level0, QoS::Level1, QoS::Level2] {
            for granted in [QoS::Level0, QoS::Level1, QoS::Level2] {
                let mut outbox = Outbox::default();
                assert!(outbox.offer(&message(b"x", published), granted));
                let packets = take(&mut outbox);
                let [Packet::Publish(publish)] = packets.as_slice() else { panic!("{packets:?}") };
                assert_eq!(publish.qos_pid.qos(), published.min(granted));
                assert_eq!(&publish.payload[..], b"x");
            }
        }
    }

    #[test]
    fn an_exactly_once_delivery_takes_its_four_steps() {
        let mut outbox = Outbox::default();
        outbox.offer(&message(b"x", QoS::Level2), QoS::Level2);
        assert_eq!(identifiers(&take(&mut outbox)), [1]);
        outbox.acknowledged(pid(1));
        outbox.completed(pid(1));
        assert_eq!(outbox.open, [(1, Stage::Receive)], "neither a PUBACK nor an early PUBCOMP ends it");
        outbox.received(pid(1));
        outbox.received(pid(1));
        assert_eq!(take(&mut outbox), [Packet::Pubrel(pid(1)), Packet::Pubrel(pid(1))]);
        outbox.completed(pid(1));
        assert!(outbox.open.is_empty());
        outbox.received(pid(9));
        assert_eq!(take(&mut outbox), [Packet::Pubrel(pid(9))]);
    }

    #[test]
    fn a_client_that_acknowledges_nothing_gets_a_window_and_then_loses_the_newest() {
        let mut outbox = Outbox::default();
        let payloads: Vec<[u8; 4]> = (0..3_000_u32).map(u32::to_be_bytes).collect();
        let taken = payloads
            .iter()
            .filter(|payload| outbox.offer(&message(*payload, QoS::Level1), QoS::Level1))
            .count();
        assert_eq!(taken, WINDOW + MOST_WAITING);
        assert_eq!(take(&mut outbox).len(), WINDOW);
        assert!(outbox.offer(&message(b"", QoS::Level0), QoS::Level1), "QoS 0 needs no window");
        take(&mut outbox);
        for index in 1..=WINDOW as u16 {
            outbox.acknowledged(pid(index));
        }
        let packets = take(&mut outbox);
        assert_eq!(identifiers(&packets), (WINDOW as u16 + 1..=2 * WINDOW as u16).collect::<Vec<_>>());
        let Packet::Publish(last) = packets.last().unwrap() else { panic!() };
        assert_eq!(&last.payload[..], &payloads[WINDOW + MOST_WAITING - 1], "what waits stays in order");
        assert_eq!(outbox.waiting_bytes, 0);
    }

    #[test]
    fn bytes_on_their_way_are_bounded() {
        let mut outbox = Outbox::default();
        let large = vec![0; 200_000];
        let taken = (0..20).filter(|_| outbox.offer(&message(&large, QoS::Level0), QoS::Level0)).count();
        assert_eq!(taken, 5);
        outbox.wrote(150_000);
        assert!(!outbox.offer(&message(&large, QoS::Level0), QoS::Level0));
        outbox.wrote(60_000);
        assert!(outbox.offer(&message(&large, QoS::Level0), QoS::Level0));
        assert_eq!(outbox.unwritten().len(), 6 * (200_000 + 4 + 3) - 210_000);
        outbox.wrote(usize::MAX / 2);
        assert!(outbox.bytes.capacity() <= IDLE_CAPACITY);
    }

    #[test]
    fn identifiers_wrap_past_zero_and_wait_for_one_that_is_still_open() {
        let mut outbox = Outbox::default();
        outbox.offer(&message(b"", QoS::Level1), QoS::Level1);
        for _ in 2..=u16::MAX {
            outbox.offer(&message(b"", QoS::Level1), QoS::Level1);
            let last = identifiers(&take(&mut outbox)).last().copied().unwrap();
            outbox.acknowledged(pid(last));
        }
        outbox.offer(&message(b"late", QoS::Level1), QoS::Level1);
        assert!(take(&mut outbox).is_empty(), "identifier 1 is still open");
        outbox.acknowledged(pid(1));
        assert_eq!(identifiers(&take(&mut outbox)), [1]);
    }
}
