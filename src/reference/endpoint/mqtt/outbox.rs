//! What is on its way to one client: bytes to be written, messages not yet acknowledged, messages that wait their turn.

use std::collections::VecDeque;

use mqtt_proto::{Pid, QoS};

use super::codec::packet::{AckKind, Connect, Options, Reply, Version};
use super::codec::reason::ReasonCode;
use super::codec::{self, Expiry, Message};
use super::window::{Stage, WINDOW, Window};
use crate::clock::Tick;

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
    bytes: Box<[u8]>,
    /// Until when it may wait.
    expiry: Option<Expiry>,
    /// Where the packet identifier stands.
    place: u32,
    /// Where the seconds until it expires stand; 0: nowhere.
    expiry_place: u32,
    stage: Stage,
}

/// What a client says of how it is to be talked to, for as long as its connection lasts.
#[derive(Debug, Clone, Copy)]
struct Manner {
    version: Version,
    /// Messages of `QoS` 1 and 2 that it takes without having acknowledged them [MQTT-3.3.4-9].
    receive_maximum: usize,
    /// Bytes of the largest packet that it takes [MQTT-3.1.2-24].
    maximum_packet: usize,
}

impl Default for Manner {
    fn default() -> Self {
        Self { version: Version::V3, receive_maximum: WINDOW, maximum_packet: usize::MAX }
    }
}

/// Messages that came to nothing since this was last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Waste {
    /// They were larger than the client takes.
    pub(super) oversized: u64,
    /// They waited for longer than they may.
    pub(super) expired: u64,
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
    manner: Manner,
    waste: Waste,
}

impl Outbox {
    /// Takes note of how the client that has just connected is to be talked to.
    pub(super) fn greet(&mut self, connect: &Connect) {
        self.manner = Manner {
            version: connect.version,
            receive_maximum: usize::from(connect.receive_maximum),
            maximum_packet: connect.maximum_packet,
        };
    }

    /// The version of MQTT that is spoken.
    pub(super) const fn version(&self) -> Version {
        self.manner.version
    }

    /// Adds a packet that is not a message. The caller reads no further packets while [`Self::unwritten`] is large.
    pub(super) fn push(&mut self, reply: &Reply<'_>) {
        codec::encode(reply, self.manner.version, &mut self.bytes);
    }

    /// Prepares for the connection to break: from now on, what is not acknowledged can be sent again.
    pub(super) fn make_lasting(&mut self) {
        self.window.keep_copies();
    }

    /// What the connection has still to write, if another one takes its place, with a last word.
    pub(super) fn farewell(&self, reason: ReasonCode) -> Vec<u8> {
        let mut bytes = self.unwritten().to_vec();
        codec::encode(&Reply::Disconnect(reason), self.manner.version, &mut bytes);
        bytes
    }

    /// Takes note that the connection has ended. What was to be written on it is lost; messages wait from now on.
    pub(super) fn detach(&mut self) {
        self.is_away = true;
        self.bytes = Vec::new();
        self.written = 0;
        self.manner = Manner { version: self.manner.version, ..Manner::default() };
        self.window.shrink();
        self.waiting.shrink_to_fit();
    }

    /// Takes note of a new connection: sends again what was not acknowledged, then what has come meanwhile.
    pub(super) fn resume(&mut self, now: Tick) {
        self.is_away = false;
        self.window.repeat(self.manner.receive_maximum, &mut self.bytes);
        self.refill(now);
    }

    /// Adds a message at the lesser quality of the message and the subscription; whether there was room for it.
    /// A message of `QoS` 0 for a client that is away is not meant to be kept, and so is not a loss.
    pub(super) fn offer(&mut self, message: &Message<'_>, granted: Options, now: Tick) -> bool {
        let Manner { version, maximum_packet, .. } = self.manner;
        let qos = message.qos.min(granted.qos);
        let message =
            &Message { retained: message.retained && (granted.keeps_retain || message.is_kept), ..*message };
        let (size, unwritten) = (message.size(version, qos), self.unwritten().len());
        let stage = match qos {
            QoS::Level0 if self.is_away => return true,
            // As if it had been sent [MQTT-3.1.2-25].
            _ if size > maximum_packet => return false,
            QoS::Level0 if unwritten + self.waiting_bytes + size > MOST_BYTES => return false,
            QoS::Level0 => {
                message.encode(version, qos, now, &mut self.bytes);
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
            let places = message.encode(version, qos, now, &mut self.bytes);
            self.begin(start, places.pid - start, stage);
            return true;
        }
        if self.waiting.len() >= MOST_WAITING {
            return false;
        }
        let mut bytes = Vec::with_capacity(size);
        let places = message.encode(version, qos, now, &mut bytes);
        self.waiting_bytes += bytes.len();
        self.waiting.push_back(QueuedMessage {
            bytes: bytes.into(),
            expiry: message.expiry,
            // Packets are shorter than 4 GiB.
            place: places.pid as u32,
            expiry_place: places.expiry.unwrap_or(0) as u32,
            stage,
        });
        true
    }

    /// Takes note of a PUBACK.
    pub(super) fn acknowledged(&mut self, pid: Pid, now: Tick) {
        if self.window.received(pid, Stage::Acknowledge) {
            self.refill(now);
        }
    }

    /// Takes note of a PUBREC and answers it, unless it ends the exchange by saying no [MQTT-4.3.3-4]. An unknown one is answered
    /// too, so that the client can finish.
    pub(super) fn received(&mut self, pid: Pid, is_failure: bool, now: Tick) {
        let known = self.window.received(pid, Stage::Receive) || self.window.is_released(pid);
        if is_failure {
            self.completed(pid, now);
            return;
        }
        let reason = if known { ReasonCode::Success } else { ReasonCode::UnknownIdentifier };
        self.push(&Reply::Ack(AckKind::Pubrel, pid, reason));
    }

    /// Takes note of a PUBCOMP.
    pub(super) fn completed(&mut self, pid: Pid, now: Tick) {
        if self.window.completed(pid) {
            self.refill(now);
        }
    }

    /// What came to nothing since this was last asked.
    pub(super) fn take_waste(&mut self) -> Waste {
        std::mem::take(&mut self.waste)
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

    /// Sends what waits, as far as the window is open, without what has waited for too long [MQTT-3.3.2-5] or is larger than the
    /// client takes by now.
    fn refill(&mut self, now: Tick) {
        self.window.repeat_more(&mut self.bytes);
        while self.has_room()
            && let Some(QueuedMessage { mut bytes, expiry, place, expiry_place, stage }) =
                self.waiting.pop_front()
        {
            self.waiting_bytes -= bytes.len();
            let left_s = expiry.map(|expiry| expiry.left_s(now));
            if left_s == Some(None) {
                self.waste.expired += 1;
                continue;
            }
            if bytes.len() > self.manner.maximum_packet {
                self.waste.oversized += 1;
                continue;
            }
            let at = expiry_place as usize;
            if let Some(Some(left_s)) = left_s
                && at > 0
                && let Some(field) = bytes.get_mut(at..at + 4)
            {
                field.copy_from_slice(&left_s.to_be_bytes());
            }
            let start = self.bytes.len();
            self.bytes.extend_from_slice(&bytes);
            self.begin(start, place as usize, stage);
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
    use mqtt_proto::v3::Packet;

    use super::super::codec::packet::ForwardedProperties;
    use super::*;

    const NOW: Tick = Tick(0);
    const LEVEL_0: Options = Options::of(QoS::Level0);
    const LEVEL_1: Options = Options::of(QoS::Level1);
    const LEVEL_2: Options = Options::of(QoS::Level2);

    fn message(payload: &[u8], qos: QoS) -> Message<'_> {
        Message::plain("t", payload, qos)
    }

    fn pid(value: u16) -> Pid {
        Pid::try_from(value).unwrap()
    }

    /// Everything that is to be written, which then counts as written.
    fn take(outbox: &mut Outbox) -> Vec<Packet> {
        let (mut packets, mut bytes) = (Vec::new(), outbox.unwritten().to_vec());
        outbox.wrote(bytes.len());
        while let Some(packet) = Packet::decode(&bytes).unwrap() {
            bytes.drain(..packet.encode_len().unwrap());
            packets.push(packet);
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
                assert!(outbox.offer(&message(b"x", published), Options::of(granted), NOW));
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
        outbox.offer(&message(b"x", QoS::Level2), LEVEL_2, NOW);
        assert_eq!(identifiers(&take(&mut outbox)), [1]);
        outbox.acknowledged(pid(1), NOW);
        outbox.completed(pid(1), NOW);
        assert_eq!(outbox.undelivered(), 1, "neither a PUBACK nor an early PUBCOMP ends it");
        outbox.received(pid(1), false, NOW);
        outbox.received(pid(1), false, NOW);
        assert_eq!(take(&mut outbox), [Packet::Pubrel(pid(1)), Packet::Pubrel(pid(1))]);
        assert_eq!((outbox.undelivered(), outbox.window.len()), (0, 1));
        outbox.completed(pid(1), NOW);
        assert_eq!(outbox.window.len(), 0);
        outbox.received(pid(9), false, NOW);
        assert_eq!(take(&mut outbox), [Packet::Pubrel(pid(9))]);
    }

    #[test]
    fn a_client_that_acknowledges_nothing_gets_a_window_and_then_loses_the_newest() {
        let mut outbox = Outbox::default();
        let payloads: Vec<[u8; 4]> = (0..3_000_u32).map(u32::to_be_bytes).collect();
        let taken = payloads
            .iter()
            .filter(|payload| outbox.offer(&message(*payload, QoS::Level1), LEVEL_1, NOW))
            .count();
        assert_eq!(taken, WINDOW + MOST_WAITING);
        assert_eq!(take(&mut outbox).len(), WINDOW);
        assert!(outbox.offer(&message(b"", QoS::Level0), LEVEL_1, NOW), "QoS 0 needs no window");
        take(&mut outbox);
        for index in 1..=WINDOW as u16 {
            outbox.acknowledged(pid(index), NOW);
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
        let taken = (0..20).filter(|_| outbox.offer(&message(&large, QoS::Level0), LEVEL_0, NOW)).count();
        assert_eq!(taken, 5);
        outbox.wrote(150_000);
        assert!(!outbox.offer(&message(&large, QoS::Level0), LEVEL_0, NOW));
        outbox.wrote(60_000);
        assert!(outbox.offer(&message(&large, QoS::Level0), LEVEL_0, NOW));
        assert_eq!(outbox.unwritten().len(), 6 * (200_000 + 4 + 3) - 210_000);
        outbox.wrote(usize::MAX / 2);
        assert!(outbox.bytes.capacity() <= IDLE_CAPACITY);
    }

    #[test]
    fn identifiers_wrap_past_zero_and_wait_for_one_that_is_still_open() {
        let mut outbox = Outbox::default();
        outbox.offer(&message(b"", QoS::Level1), LEVEL_1, NOW);
        for _ in 2..=u16::MAX {
            outbox.offer(&message(b"", QoS::Level1), LEVEL_1, NOW);
            let last = identifiers(&take(&mut outbox)).last().copied().unwrap();
            outbox.acknowledged(pid(last), NOW);
        }
        outbox.offer(&message(b"late", QoS::Level1), LEVEL_1, NOW);
        assert!(take(&mut outbox).is_empty(), "identifier 1 is still open");
        outbox.acknowledged(pid(1), NOW);
        assert_eq!(identifiers(&take(&mut outbox)), [1]);
    }

    #[test]
    fn what_comes_while_the_client_is_away_waits_without_an_identifier_and_qos_0_not_at_all() {
        let mut outbox = Outbox::default();
        outbox.make_lasting();
        outbox.offer(&message(b"unwritten", QoS::Level1), LEVEL_1, NOW);
        outbox.detach();
        assert!(outbox.unwritten().is_empty());
        assert!(outbox.offer(&message(b"", QoS::Level0), LEVEL_2, NOW), "it is not a loss");
        for payload in [b"b", b"c"] {
            assert!(outbox.offer(&message(payload, QoS::Level2), LEVEL_2, NOW));
        }
        assert!(outbox.unwritten().is_empty());
        outbox.resume(NOW);
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
    fn what_waits_says_what_is_left_of_its_time_and_is_left_out_once_that_has_passed() {
        const SECOND: u64 = 1_000_000_000;
        let manner = Manner { version: Version::V5, receive_maximum: 1, ..Manner::default() };
        let mut outbox = Outbox { manner, ..Outbox::default() };
        outbox.resume(NOW);
        for (payload, expiry_s) in [(b"a", Some(1)), (b"b", Some(2)), (b"c", Some(9)), (b"d", None)] {
            let properties = ForwardedProperties { expiry_s, ..ForwardedProperties::default() };
            let message = Message { expiry: Expiry::of(&properties, NOW), ..message(payload, QoS::Level1) };
            assert!(outbox.offer(&message, LEVEL_1, NOW));
        }
        // What has been sent has been sent in time [MQTT-3.3.2-5] [MQTT-3.3.2-6].
        let sent = |outbox: &mut Outbox| {
            let bytes = outbox.unwritten().to_vec();
            outbox.wrote(bytes.len());
            bytes
        };
        assert_eq!(sent(&mut outbox), b"\x32\x0c\0\x01t\0\x01\x05\x02\0\0\0\x01a");
        outbox.acknowledged(pid(1), Tick(2 * SECOND));
        assert_eq!(sent(&mut outbox), b"\x32\x0c\0\x01t\0\x02\x05\x02\0\0\0\x07c");
        outbox.manner.maximum_packet = 8;
        outbox.acknowledged(pid(2), Tick(20 * SECOND));
        assert_eq!(sent(&mut outbox), b"");
        assert_eq!(outbox.take_waste(), Waste { oversized: 1, expired: 1 });
        assert_eq!((outbox.take_waste(), outbox.kept_bytes()), (Waste::default(), 0));
    }

    #[test]
    fn a_client_that_is_away_has_the_bounds_of_one_that_does_not_read() {
        let mut outbox = Outbox::default();
        outbox.make_lasting();
        for _ in 0..10 {
            outbox.offer(&message(b"x", QoS::Level1), LEVEL_1, NOW);
        }
        outbox.detach();
        let taken = (0..2_000).filter(|_| outbox.offer(&message(b"x", QoS::Level1), LEVEL_1, NOW)).count();
        assert_eq!((taken, outbox.undelivered()), (MOST_WAITING, MOST_WAITING + 10));
        assert_eq!(outbox.kept_bytes(), (OVERHEAD + 2 + 3 + 2 + 1) * (MOST_WAITING + 10));
        outbox.resume(NOW);
        let packets = take(&mut outbox);
        assert_eq!(packets.len(), WINDOW, "more than the window is not under way");
        for index in 1..=2 * WINDOW as u16 {
            outbox.acknowledged(pid(index), NOW);
        }
        assert_eq!((take(&mut outbox).len(), outbox.undelivered(), outbox.kept_bytes()), (10, 0, 0));

        let large = vec![0; 200_000];
        let offer = |outbox: &mut Outbox| outbox.offer(&message(&large, QoS::Level1), LEVEL_1, NOW);
        assert_eq!((0..20).filter(|_| offer(&mut outbox)).count(), 5);
        take(&mut outbox);
        assert!(!offer(&mut outbox), "copies count, written or not");
        outbox.detach();
        assert!(!offer(&mut outbox));
        outbox.resume(NOW);
        assert_eq!(take(&mut outbox).len(), 5);
    }
}
