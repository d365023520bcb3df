//! Messages of `QoS` 1 and 2 under way to one client: their identifiers, how far each has come, and copies where they may have
//! to be sent again.

use std::collections::VecDeque;

use mqtt_proto::Pid;

use super::codec;

/// Messages that may be under way at once; further ones wait.
pub(super) const WINDOW: usize = 1_024;

/// Capacity, in messages, that is kept when none is under way.
const IDLE_CAPACITY: usize = 64;

/// How far the delivery of a message has come, up to its receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// `QoS` 1: the PUBACK is due.
    Acknowledge,
    /// `QoS` 2: the PUBREC is due.
    Receive,
}

/// A PUBLISH whose receipt the client has not confirmed.
#[derive(Debug)]
struct Unconfirmed {
    pid: u16,
    stage: Stage,
    /// The whole packet as it was sent; only where the session may outlive its connection.
    copy: Option<Box<[u8]>>,
}

/// The window onto one client.
#[derive(Debug)]
pub(super) struct Window {
    /// Oldest first.
    open: VecDeque<Unconfirmed>,
    /// Identifiers of `QoS` 2 messages that were received and whose PUBCOMP is due, in the order of their PUBRECs.
    released: VecDeque<u16>,
    copied_bytes: usize,
    next: u16,
    keeps_copies: bool,
    /// How many may be under way at once.
    limit: usize,
    /// Of the open ones the newest so many are due again on this connection and wait for room.
    held: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            open: VecDeque::new(),
            released: VecDeque::new(),
            copied_bytes: 0,
            next: 1,
            keeps_copies: false,
            limit: WINDOW,
            held: 0,
        }
    }
}

impl Window {
    /// Keeps copies from now on, so that messages can be sent again.
    pub(super) fn keep_copies(&mut self) {
        self.keeps_copies = true;
    }

    /// Whether another message may get under way. Identifiers are given out in turn, so of the open messages only the oldest can
    /// still have the next one: then it is waited for.
    pub(super) fn has_room(&self) -> bool {
        self.held == 0
            && self.len() < self.limit
            && self.open.front().is_none_or(|oldest| oldest.pid != self.next)
            && !self.released.contains(&self.next)
    }

    /// Takes a PUBLISH in and gives it the next identifier, which stands at `place`.
    pub(super) fn begin(&mut self, publish: &mut [u8], place: usize, stage: Stage) {
        let pid = self.next;
        self.next = self.next.checked_add(1).unwrap_or(1);
        if let Some(field) = publish.get_mut(place..place + 2) {
            field.copy_from_slice(&pid.to_be_bytes());
        }
        let copy = self.keeps_copies.then(|| {
            self.copied_bytes += publish.len();
            Box::from(&*publish)
        });
        self.open.push_back(Unconfirmed { pid, stage, copy });
    }

    /// Takes note that a message that had come as far as `stage` was received; whether there was one.
    pub(super) fn received(&mut self, pid: Pid, stage: Stage) -> bool {
        // Acknowledgements come in order, so the one looked for is nearly always the first.
        let at = self.open.iter().position(|open| open.pid == pid.value() && open.stage == stage);
        let sent = self.open.len() - self.held;
        let Some(open) = at.and_then(|index| self.open.remove(index)) else { return false };
        if at.is_some_and(|index| index >= sent) {
            self.held -= 1;
        }
        self.copied_bytes -= open.copy.map_or(0, |copy| copy.len());
        if stage == Stage::Receive {
            self.released.push_back(open.pid);
        }
        if self.open.is_empty() {
            self.open.shrink_to(IDLE_CAPACITY);
        }
        true
    }

    /// Whether the PUBCOMP of a message is due.
    pub(super) fn is_released(&self, pid: Pid) -> bool {
        self.released.contains(&pid.value())
    }

    /// Takes note of a PUBCOMP; whether one was due.
    pub(super) fn completed(&mut self, pid: Pid) -> bool {
        let Some(index) = self.released.iter().position(|released| *released == pid.value()) else {
            return false;
        };
        self.released.remove(index);
        if self.released.is_empty() {
            self.released.shrink_to(IDLE_CAPACITY);
        }
        true
    }

    /// Begins a new connection, on which the client takes up to `most` messages that it has not acknowledged: appends what is due
    /// again of each PUBLISH, marked as repeated, as far as that goes, and each PUBREL.
    pub(super) fn repeat(&mut self, most: usize, out: &mut Vec<u8>) {
        self.limit = most.min(WINDOW);
        self.held = if self.keeps_copies { self.open.len() } else { 0 };
        out.reserve(self.copied_bytes);
        self.repeat_more(out);
        for pid in &self.released {
            codec::encode_pubrel(*pid, out);
        }
    }

    /// Appends what is due again and has waited for room.
    pub(super) fn repeat_more(&mut self, out: &mut Vec<u8>) {
        while self.held > 0 && self.len() - self.held < self.limit {
            let next = self.open.len() - self.held;
            self.held -= 1;
            if let Some(copy) = self.open.get_mut(next).and_then(|open| open.copy.as_mut()) {
                codec::mark_repeated(copy);
                out.extend_from_slice(copy);
            }
        }
    }

    /// Gives spare capacity back.
    pub(super) fn shrink(&mut self) {
        self.open.shrink_to_fit();
        self.released.shrink_to_fit();
    }

    /// Messages whose receipt the client has not confirmed.
    pub(super) fn undelivered(&self) -> usize {
        self.open.len()
    }

    /// Messages under way.
    pub(super) fn len(&self) -> usize {
        self.open.len() + self.released.len()
    }

    /// Bytes of all copies.
    pub(super) fn copied_bytes(&self) -> usize {
        self.copied_bytes
    }
}

#[cfg(test)]
mod tests {
    use mqtt_proto::QoS;
    use mqtt_proto::v3::Packet;

    use super::super::codec::Message;
    use super::super::codec::packet::Version;
    use super::*;
    use crate::clock::Tick;

    fn pid(value: u16) -> Pid {
        Pid::try_from(value).unwrap()
    }

    fn begin(window: &mut Window, payload: &[u8], qos: QoS) {
        let mut bytes = Vec::new();
        let message = Message { retained: true, ..Message::plain("t", payload, qos) };
        let place = message.encode(Version::V3, qos, Tick(0), &mut bytes).pid;
        let stage = if qos == QoS::Level1 { Stage::Acknowledge } else { Stage::Receive };
        window.begin(&mut bytes, place, stage);
    }

    /// What is sent on a new connection, in words.
    fn repeated(window: &mut Window) -> Vec<String> {
        let mut bytes = Vec::new();
        window.repeat(WINDOW, &mut bytes);
        words(bytes)
    }

    fn words(mut bytes: Vec<u8>) -> Vec<String> {
        let mut words = Vec::new();
        while let Some(packet) = Packet::decode(&bytes).unwrap() {
            bytes.drain(..packet.encode_len().unwrap());
            words.push(match packet {
                Packet::Publish(publish) => {
                    assert!(publish.dup && publish.retain, "the copy differs in DUP only");
                    let pid = publish.qos_pid.pid().unwrap().value();
                    format!("PUBLISH {pid} {}", String::from_utf8_lossy(&publish.payload))
                }
                Packet::Pubrel(pid) => format!("PUBREL {}", pid.value()),
                other => panic!("{other:?}"),
            });
        }
        assert!(bytes.is_empty());
        words
    }

    #[test]
    fn what_is_due_again_is_what_was_not_received_and_then_what_was_not_completed() {
        let mut window = Window::default();
        window.keep_copies();
        for (payload, qos) in
            [(b"a", QoS::Level2), (b"b", QoS::Level1), (b"c", QoS::Level2), (b"d", QoS::Level2)]
        {
            begin(&mut window, payload, qos);
        }
        assert!(window.received(pid(3), Stage::Receive) && window.received(pid(1), Stage::Receive));
        assert!(!window.received(pid(3), Stage::Receive) && !window.received(pid(2), Stage::Receive));
        let due = ["PUBLISH 2 b", "PUBLISH 4 d", "PUBREL 3", "PUBREL 1"];
        assert_eq!(repeated(&mut window), due, "PUBRELs in the order of the PUBRECs");
        assert_eq!(repeated(&mut window), due, "and again on the connection after that");
        assert_eq!((window.undelivered(), window.len()), (2, 4));
        assert!(window.received(pid(2), Stage::Acknowledge) && window.received(pid(4), Stage::Receive));
        assert_eq!(window.copied_bytes(), 0);
        for due in [3, 1, 4] {
            assert!(window.completed(pid(due)) && !window.completed(pid(due)));
        }
        assert_eq!((repeated(&mut window).len(), window.len()), (0, 0));
    }

    #[test]
    fn what_is_due_again_waits_for_room_that_the_client_has_and_goes_first() {
        let mut window = Window::default();
        window.keep_copies();
        for payload in [b"a", b"b", b"c"] {
            begin(&mut window, payload, QoS::Level1);
        }
        begin(&mut window, b"d", QoS::Level2);
        window.received(pid(4), Stage::Receive);
        let mut bytes = Vec::new();
        window.repeat(2, &mut bytes);
        assert_eq!(words(bytes), ["PUBLISH 1 a", "PUBREL 4"], "an exchange that is not over counts");
        let more = |window: &mut Window| {
            let mut bytes = Vec::new();
            window.repeat_more(&mut bytes);
            words(bytes)
        };
        assert!(more(&mut window).is_empty() && !window.has_room());
        window.completed(pid(4));
        assert_eq!(more(&mut window), ["PUBLISH 2 b"]);
        assert!(window.received(pid(3), Stage::Acknowledge), "acknowledged before it was sent again");
        window.received(pid(1), Stage::Acknowledge);
        assert!(more(&mut window).is_empty() && window.has_room());
        begin(&mut window, b"e", QoS::Level1);
        assert!(!window.has_room());
    }

    #[test]
    fn no_copies_are_kept_unless_asked_for_and_none_longer_than_needed() {
        let mut window = Window::default();
        begin(&mut window, &[0; 1_000], QoS::Level1);
        assert_eq!((window.copied_bytes(), repeated(&mut window).len()), (0, 0));
        window.keep_copies();
        for _ in 1..WINDOW {
            assert!(window.has_room());
            begin(&mut window, b"1234", QoS::Level2);
        }
        assert!(!window.has_room());
        assert_eq!(window.copied_bytes(), (WINDOW - 1) * (2 + 3 + 2 + 4));
        for open in 2..=WINDOW as u16 {
            window.received(pid(open), Stage::Receive);
        }
        assert_eq!(window.copied_bytes(), 0, "whoever has sent a PUBREC has the message");
        assert!(!window.has_room(), "but the identifiers are in use");
        for open in 2..=WINDOW as u16 {
            window.completed(pid(open));
        }
        window.received(pid(1), Stage::Acknowledge);
        assert!(window.open.capacity() <= IDLE_CAPACITY && window.released.capacity() <= IDLE_CAPACITY);
    }

    #[test]
    fn an_identifier_is_not_given_out_while_its_pubcomp_is_due() {
        let mut window = Window { next: u16::MAX, ..Window::default() };
        begin(&mut window, b"", QoS::Level2);
        window.received(pid(u16::MAX), Stage::Receive);
        assert!(window.has_room());
        window.next = u16::MAX;
        assert!(!window.has_room());
        window.completed(pid(u16::MAX));
        assert!(window.has_room());
    }
}
