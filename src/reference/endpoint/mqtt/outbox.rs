//! What is on its way to one client: bytes to be written, messages not yet acknowledged, messages that wait their turn.

use std::collections::VecDeque;

use mqtt_proto::v3::Packet;
use mqtt_proto::{Pid, QoS};

use super::frame::{self, Message};
use super::window::{Stage, Window};

/// Messages that may wait for the window.
const MOST_WAITING: usize = 1_024;

/// Bytes of messages that may be on their way to one client, written or waiting.
const MOST_BYTES: usize = 1024 * 1024;

/// Capacity, in bytes, that is kept when nothing is under way.
const IDLE_CAPACITY: usize = 1_024;

/// Written bytes that are cut off the front of a buffer that never runs empty.
const CUT: usize = 64 * 1024;

/// What a message that is kept takes beside its bytes, with some reserve for how queues grow.
pub(super) const OVERHEAD: usize = 96;

/// A PUBLISH that waits for the window, complete but for its packet identifier.
#[derive(Debug)]
struct QueuedMessage {
    bytes: Vec<u8>,
    place: usize,
    stage: Stage,
}

/// The way out to one client. It outlives a connection if its session does.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    written: usize,
    window: Window,
    waiting: VecDeque<QueuedMessage>,
    waiting_bytes: usize,
    is_away: bool,
}

impl Outbox {
    /// Adds a packet that is not a message. The caller reads no further packets while [`Self::unwritten`] is large.
    pub(super) fn push(&mut self, packet: &Packet) {
        frame::encode(packet, &mut self.bytes);
    }

    /// Adds the answer to a SUBSCRIBE.
    pub(super) fn push_suback(&mut self, pid: Pid, granted: &[Option<QoS>]) {
        frame::encode_suback(pid, granted, &mut self.bytes);
    }

    /// Prepares for the connection to break: from now on, what is not acknowledged can be sent again.
    pub(super) fn make_lasting(&mut self) {
        self.window.keep_copies();
    }

    /// Takes note that the connection has ended. What was to be written on it is lost; messages wait from now on.
    pub(super) fn detach(&mut self) {
        self.is_away = true;
        self.bytes = Vec::new();
        self.written = 0;
        self.window.shrink();
        self.waiting.shrink_to_fit();
    }

    /// Takes note of a new connection: sends again what was not acknowledged, then what has come meanwhile.
    pub(super) fn resume(&mut self) {
        self.is_away = false;
        self.window.repeat(&mut self.bytes);
        self.refill();
    }

    /// Adds a message at the lesser quality of the message and the subscription; whether there was room for it.
    /// A message of `QoS` 0 for a client that is away is not meant to be kept, and so is not a loss.
    pub(super) fn offer(&mut self, message: &Message<'_>, granted: QoS) -> bool {
        let (size, unwritten) = (message.most_bytes(), self.unwritten().len());
        let qos = message.qos.min(granted);
        let stage = match qos {
            QoS::Level0 if self.is_away => return true,
            QoS::Level0 if unwritten + self.waiting_bytes + size > MOST_BYTES => return false,
            QoS::Level0 => {
                message.encode(qos, &mut self.bytes);
                return true;
            }
            QoS::Level1 => Stage::Acknowledge,
            QoS::Level2 => Stage::Receive,
        };
        // What is copied is mostly written already, and else would be counted twice.
        if unwritten.max(self.window.copied_bytes()) + self.waiting_bytes + size > MOST_BYTES {
            return false;
        }
        if self.waiting.is_empty() && self.has_room() {
            let start = self.bytes.len();
            let place = message.encode(qos, &mut self.bytes);
            self.begin(start, place - start, stage);
            return true;
        }
        if self.waiting.len() >= MOST_WAITING {
            return false;
        }
        let mut bytes = Vec::new();
        let place = message.encode(qos, &mut bytes);
        self.waiting_bytes += bytes.len();
        self.waiting.push_back(QueuedMessage { bytes, place, stage });
        true
    }

    /// Takes note of a PUBACK.
    pub(super) fn acknowledged(&mut self, pid: Pid) {
        if self.window.received(pid, Stage::Acknowledge) {
            self.refill();
        }
    }

    /// Takes note of a PUBREC and answers it. An unknown one is answered too, so that the client can finish.
    pub(super) fn received(&mut self, pid: Pid) {
        self.window.received(pid, Stage::Receive);
        self.push(&Packet::Pubrel(pid));
    }

    /// Takes note of a PUBCOMP.
    pub(super) fn completed(&mut self, pid: Pid) {
        if self.window.completed(pid) {
            self.refill();
        }
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

    /// Messages whose receipt the client has not confirmed.
    pub(super) fn undelivered(&self) -> usize {
        self.window.undelivered() + self.waiting.len()
    }

    /// About what it takes in memory, beside itself and what is to be written.
    pub(super) fn kept_bytes(&self) -> usize {
        let messages = self.window.len() + self.waiting.len();
        self.window.copied_bytes() + self.waiting_bytes + OVERHEAD * messages
    }

    /// Sends what waits, as far as the window is open.
    fn refill(&mut self) {
        while self.has_room()
            && let Some(QueuedMessage { bytes, place, stage }) = self.waiting.pop_front()
        {
            self.waiting_bytes -= bytes.len();
            let start = self.bytes.len();
            self.bytes.extend_from_slice(&bytes);
            self.begin(start, place, stage);
        }
        if self.window.len() == 0 {
            self.waiting.shrink_to(0);
        }
    }

    fn has_room(&self) -> bool {
        !self.is_away && self.window.has_room()
    }

    /// Lets the PUBLISH that takes the bytes from `start` on get under way; its identifier stands `place` bytes on.
    fn begin(&mut self, start: usize, place: usize, stage: Stage) {
        self.window.begin(self.bytes.get_mut(start..).unwrap_or_default(), place, stage);
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::WINDOW;
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
        assert_eq!(outbox.undelivered(), 1, "neither a PUBACK nor an early PUBCOMP ends it");
        outbox.received(pid(1));
        outbox.received(pid(1));
        assert_eq!(take(&mut outbox), [Packet::Pubrel(pid(1)), Packet::Pubrel(pid(1))]);
        assert_eq!((outbox.undelivered(), outbox.window.len()), (0, 1));
        outbox.completed(pid(1));
        assert_eq!(outbox.window.len(), 0);
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

    #[test]
    fn what_comes_while_the_client_is_away_waits_without_an_identifier_and_qos_0_not_at_all() {
        let mut outbox = Outbox::default();
        outbox.make_lasting();
        outbox.offer(&message(b"unwritten", QoS::Level1), QoS::Level1);
        outbox.detach();
        assert!(outbox.unwritten().is_empty());
        assert!(outbox.offer(&message(b"", QoS::Level0), QoS::Level2), "it is not a loss");
        for payload in [b"b", b"c"] {
            assert!(outbox.offer(&message(payload, QoS::Level2), QoS::Level2));
        }
        assert!(outbox.unwritten().is_empty());
        outbox.resume();
        let packets = take(&mut outbox);
        let sent = |packet: &Packet| {
            let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
            (publish.dup, publish.payload.to_vec())
        };
        let expected = [(true, b"unwritten".to_vec()), (false, b"b".to_vec()), (false, b"c".to_vec())];
        assert_eq!(packets.iter().map(sent).collect::<Vec<_>>(), expected);
        assert_eq!(identifiers(&packets), [1, 2, 3]);
    }

    #[test]
    fn a_client_that_is_away_has_the_bounds_of_one_that_does_not_read() {
        let mut outbox = Outbox::default();
        outbox.make_lasting();
        for _ in 0..10 {
            outbox.offer(&message(b"x", QoS::Level1), QoS::Level1);
        }
        outbox.detach();
        let taken = (0..2_000).filter(|_| outbox.offer(&message(b"x", QoS::Level1), QoS::Level1)).count();
        assert_eq!((taken, outbox.undelivered()), (MOST_WAITING, MOST_WAITING + 10));
        assert_eq!(outbox.kept_bytes(), (OVERHEAD + 2 + 3 + 2 + 1) * (MOST_WAITING + 10));
        outbox.resume();
        let packets = take(&mut outbox);
        assert_eq!(packets.len(), WINDOW, "more than the window is not under way");
        for index in 1..=2 * WINDOW as u16 {
            outbox.acknowledged(pid(index));
        }
        assert_eq!((take(&mut outbox).len(), outbox.undelivered(), outbox.kept_bytes()), (10, 0, 0));

        let large = vec![0; 200_000];
        let offer = |outbox: &mut Outbox| outbox.offer(&message(&large, QoS::Level1), QoS::Level1);
        assert_eq!((0..20).filter(|_| offer(&mut outbox)).count(), 5);
        take(&mut outbox);
        assert!(!offer(&mut outbox), "copies count, written or not");
        outbox.detach();
        assert!(!offer(&mut outbox));
        outbox.resume();
        assert_eq!(take(&mut outbox).len(), 5);
    }
}
