//! Tampering with readings and verdicts, over all protocols alike: what passes over the wire, and what is told.

use std::cell::Cell;
use std::rc::Rc;

use proptest::prelude::*;

use super::super::harness::script::{Script, context};
use super::super::http::Http;
use super::super::mqtt::Mqtt;
use super::super::tcp::Tcp;
use super::super::tests::fault_harness::{FaultHarness, every, later};
use super::super::ws::Ws;
use super::super::{Answer, Correlation, Endpoint, MqttSettings, OwnSettings};
use super::*;
use crate::fault::Tampering;
use crate::record::{ErrorKind, Protocol, Qos};

const READING: MessageKind = MessageKind::Reading;
const VERDICT: MessageKind = MessageKind::Verdict;

/// A codec over a scripted stream, and the peer at the other end of it.
trait Peer: Codec<Carrier = Script> + Sized {
    const PROTOCOL: Protocol;

    fn connect(settings: &Settings, identity: &Identity) -> Self;

    fn stream(&mut self) -> &mut Script;

    /// Takes the first of the messages in `bytes`, and gives its sequence number and the answer to it.
    fn answer(bytes: &mut Vec<u8>) -> Option<(u64, Vec<u8>)>;

    /// How readings close here.
    fn usual() -> Settings;
}

fn endpoint(protocol: Protocol) -> Endpoint {
    Endpoint::resolve(protocol, &format!("{protocol}://127.0.0.1:9")).unwrap()
}

fn seq_in(text: &[u8]) -> u64 {
    std::str::from_utf8(text).unwrap().trim().parse().unwrap()
}

fn verdict(seq: u64) -> String {
    format!(r#"{{"type":"verdict","device":"d","seq":{seq}}}"#)
}

impl Peer for Http<Script> {
    const PROTOCOL: Protocol = Protocol::named("http");

    fn connect(settings: &Settings, identity: &Identity) -> Self {
        Self::new(Script::new(), &endpoint(Protocol::named("http")), settings, identity).unwrap()
    }

    fn stream(&mut self) -> &mut Script {
        self.stream_mut()
    }

    fn answer(bytes: &mut Vec<u8>) -> Option<(u64, Vec<u8>)> {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        // Payloads are three digits.
        let request: Vec<u8> = bytes.drain(..head + 3).collect();
        let verdict = verdict(seq_in(&request[head..]));
        let head_of_reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", verdict.len());
        Some((seq_in(&request[head..]), (head_of_reply + &verdict).into_bytes()))
    }

    fn usual() -> Settings {
        Settings::default()
    }
}

impl Peer for Ws<Script> {
    const PROTOCOL: Protocol = Protocol::named("ws");

    fn connect(settings: &Settings, identity: &Identity) -> Self {
        Self::past_upgrade(Script::new(), settings, identity)
    }

    fn stream(&mut self) -> &mut Script {
        self.stream_mut()
    }

    fn answer(bytes: &mut Vec<u8>) -> Option<(u64, Vec<u8>)> {
        if bytes.is_empty() {
            return None;
        }
        let size = usize::from(bytes[1] & 0x7f);
        let frame: Vec<u8> = bytes.drain(..6 + size).collect();
        let text: Vec<u8> = (0..size).map(|i| frame[6 + i] ^ frame[2 + i % 4]).collect();
        let verdict = verdict(seq_in(&text));
        Some((seq_in(&text), [&[0x81, verdict.len() as u8], verdict.as_bytes()].concat()))
    }

    fn usual() -> Settings {
        Settings { close: Close::Verdict, ..Settings::default() }
    }
}

impl Peer for Mqtt<Script> {
    const PROTOCOL: Protocol = Protocol::named("mqtt");

    fn connect(settings: &Settings, identity: &Identity) -> Self {
        Self::new(Script::new(), settings, identity).unwrap()
    }

    fn stream(&mut self) -> &mut Script {
        self.stream_mut()
    }

    fn answer(bytes: &mut Vec<u8>) -> Option<(u64, Vec<u8>)> {
        if bytes.is_empty() {
            return None;
        }
        let packet: Vec<u8> = bytes.drain(..2 + usize::from(bytes[1])).collect();
        let (rest, seq) = packet.split_at(packet.len() - 3);
        let pid = &rest[rest.len() - 2..];
        Some((seq_in(seq), vec![0x40, 2, pid[0], pid[1]]))
    }

    fn usual() -> Settings {
        let mqtt = MqttSettings { qos: Qos::AtLeastOnce, ..MqttSettings::default() };
        Settings { close: Close::Ack, own: OwnSettings::of(mqtt), ..Settings::default() }
    }
}

impl Peer for Tcp<Script> {
    const PROTOCOL: Protocol = Protocol::named("tcp");

    fn connect(settings: &Settings, identity: &Identity) -> Self {
        Self::new(Script::new(), settings, identity)
    }

    fn stream(&mut self) -> &mut Script {
        self.stream_mut()
    }

    fn answer(bytes: &mut Vec<u8>) -> Option<(u64, Vec<u8>)> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = bytes.drain(..=end).collect();
        let seq = seq_in(&line);
        Some((seq, format!("{{\"id\":{seq}}}\n").into_bytes()))
    }

    fn usual() -> Settings {
        let correlation = Correlation::Pointer("/id".into());
        Settings { close: Close::Reply, correlation, ..Settings::default() }
    }
}

/// A session under a harness, and what has been seen of it.
struct Rig<C> {
    harness: FaultHarness,
    injector: FaultInjector<C>,
    /// Sequence numbers the peer has read.
    wire: Vec<u64>,
    /// Sequence numbers that were told as closed.
    told: Vec<u64>,
    failure: Option<Failure>,
}

impl<C: Peer> Rig<C> {
    fn new(settings: &Settings) -> Self {
        let harness = FaultHarness::new();
        let identity = harness.identity();
        let injector = FaultInjector::new(C::connect(settings, &identity), settings, &identity);
        Self { harness, injector, wire: Vec::new(), told: Vec::new(), failure: None }
    }

    fn usual() -> Self {
        Self::new(&C::usual())
    }

    fn send(&mut self, seq: u64) {
        let payload = format!("{seq:03}");
        let message = Message::new(seq, payload.as_bytes());
        self.injector.send(&mut context(), &message).unwrap();
    }

    /// Polls to the end.
    fn poll(&mut self) {
        while self.failure.is_none()
            && let Poll::Ready(polled) = self.injector.poll_event(&mut context())
        {
            match polled {
                Ok(Event::Closed { seq, answer, .. }) => {
                    assert_eq!(answer, Answer::Ok);
                    self.told.push(seq);
                }
                Ok(Event::Writable) => assert!(self.injector.ready(), "told to be ready"),
                Ok(Event::Heard { .. } | Event::Replied | Event::Asks) => panic!("nothing is heard here"),
                Err(failure) => self.failure = Some(failure),
            }
        }
    }

    /// The peer answers, and the session polls, until nothing happens any more.
    fn settle(&mut self) {
        loop {
            self.poll();
            let mut bytes = self.injector.codec.stream().take_written();
            let mut answers = Vec::new();
            while let Some((seq, answer)) = C::answer(&mut bytes) {
                self.wire.push(seq);
                answers.extend(answer);
            }
            assert_eq!(bytes, b"", "half a message");
            if answers.is_empty() {
                return;
            }
            self.injector.codec.stream().push(&answers);
        }
    }

    fn converse(&mut self, seqs: std::ops::RangeInclusive<u64>) {
        for seq in seqs {
            self.send(seq);
            self.settle();
        }
    }

    /// Converses nine times under the fault, then lets time pass, then ends the fault.
    fn under(tampering: Tampering) -> (Self, Rc<Cell<u64>>) {
        let mut rig = Self::usual();
        let tally = rig.harness.bring(tampering);
        rig.converse(1..=9);
        rig.harness.set_clock(1_000);
        rig.settle();
        rig.harness.clear();
        rig.settle();
        assert!(
            rig.injector.ready() && rig.injector.held.is_none(),
            "{} {:?}",
            C::PROTOCOL,
            rig.injector.held
        );
        (rig, tally)
    }
}

fn check_acts<C: Peer>() {
    // What overtakes the last one must come before the fault ends.
    let table: [(Tampering, &[u64], u64); 8] = [
        (every(3, READING, Action::Drop), &[1, 2, 4, 5, 7, 8], 3),
        (every(1, READING, Action::Drop), &[], 9),
        (every(3, READING, Action::Duplicate), &[1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9], 3),
        (every(4, READING, later(1_000)), &[1, 2, 3, 5, 6, 7, 9, 4, 8], 2),
        (every(1, READING, later(7)), &[1, 2, 3, 4, 5, 6, 7, 8, 9], 9),
        (every(4, READING, Action::Reorder { depth: 1 }), &[1, 2, 3, 5, 4, 6, 7, 9, 8], 2),
        (every(4, READING, Action::Reorder { depth: 3 }), &[1, 2, 3, 5, 6, 7, 4, 9, 8], 2),
        (every(9, READING, Action::Reorder { depth: 3 }), &[1, 2, 3, 4, 5, 6, 7, 8, 9], 1),
    ];
    for (tampering, order, acted) in table {
        let (rig, tally) = Rig::<C>::under(tampering.clone());
        assert_eq!(rig.wire, order, "{} {tampering:?}", C::PROTOCOL);
        assert_eq!(rig.told, order, "{} {tampering:?}", C::PROTOCOL);
        assert_eq!(tally.get(), acted, "{} {tampering:?}", C::PROTOCOL);
        // The same done to the answers: the service has everything once, and in order.
        let tampering = Tampering { message: VERDICT, ..tampering };
        let (rig, tally) = Rig::<C>::under(tampering.clone());
        assert_eq!(rig.wire, [1, 2, 3, 4, 5, 6, 7, 8, 9], "{} {tampering:?}", C::PROTOCOL);
        assert_eq!(rig.told, order, "{} {tampering:?}", C::PROTOCOL);
        assert_eq!(tally.get(), acted, "{} {tampering:?}", C::PROTOCOL);
    }
}

#[test]
fn every_act_is_done_to_readings_and_verdicts_over_http() {
    check_acts::<Http<Script>>();
}

#[test]
fn every_act_is_done_to_readings_and_verdicts_over_ws() {
    check_acts::<Ws<Script>>();
}

#[test]
fn every_act_is_done_to_readings_and_verdicts_over_mqtt() {
    check_acts::<Mqtt<Script>>();
}

#[test]
fn every_act_is_done_to_readings_and_replies_over_tcp() {
    check_acts::<Tcp<Script>>();
}

/// What a delivery audit by sequence numbers finds: lost, duplicated, reordered.
fn audit(told: &[u64], sent: u64) -> [u64; 3] {
    let (mut seen, mut top, mut found) = (vec![false; sent as usize + 1], 0, [sent, 0, 0]);
    for seq in told {
        if std::mem::replace(&mut seen[*seq as usize], true) {
            found[1] += 1;
            continue;
        }
        found[0] -= 1;
        found[2] += u64::from(*seq < top);
        top = top.max(*seq);
    }
    found
}

fn check_audit<C: Peer>(kind: MessageKind, act: &Action, chance: f64, nth: u64) {
    let mut rig = Rig::<C>::usual();
    let tally = rig.harness.bring(Tampering { chance, most: Some(10), ..every(nth, kind, act.clone()) });
    rig.converse(1..=180);
    // Readings that nothing is done to overtake what is still held up.
    rig.harness.set_clock(10);
    rig.converse(181..=200);
    rig.harness.set_clock(20);
    rig.harness.clear();
    rig.settle();
    let (acted, found) = (tally.get(), audit(&rig.told, 200));
    let expected = match act {
        Action::Drop => [acted, 0, 0],
        Action::Duplicate => [0, acted, 0],
        // Delayed or held, all that was struck is overtaken by what follows.
        Action::Delay(_) | Action::Reorder { .. } => [0, 0, acted],
    };
    assert_eq!(found, expected, "{} {kind:?} {act:?}", C::PROTOCOL);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_audit_finds_exactly_what_was_injected(chance in 0.4..=1.0_f64, nth in 1..4_u64, depth in 1..4_u32) {
        for kind in [READING, VERDICT] {
            // At least so many that 10 are struck among the first 180: what follows overtakes everything that waits.
            for act in [Action::Drop, Action::Duplicate, Action::Reorder { depth }, later(5)] {
                check_audit::<Http<Script>>(kind, &act, chance, nth);
                check_audit::<Ws<Script>>(kind, &act, chance, nth);
                check_audit::<Mqtt<Script>>(kind, &act, chance, nth);
                check_audit::<Tcp<Script>>(kind, &act, chance, nth);
            }
        }
    }
}

#[test]
fn a_reading_closed_by_being_sent_is_told_once_and_at_once_whatever_becomes_of_it() {
    let settings = Settings { close: Close::Sent, ..Settings::default() };
    let table: [(Action, &[u64]); 4] = [
        (Action::Drop, &[1, 3]),
        (Action::Duplicate, &[1, 2, 2, 3]),
        (later(50), &[1, 3, 2]),
        (Action::Reorder { depth: 1 }, &[1, 3, 2]),
    ];
    for (act, order) in table {
        let mut rig = Rig::<Ws<Script>>::new(&settings);
        let tally = rig.harness.bring(every(2, READING, act.clone()));
        let sent: Vec<_> = (1..=3).map(|seq| (rig.converse(seq..=seq), rig.told.clone()).1).collect();
        assert_eq!(sent, [vec![1], vec![1, 2], vec![1, 2, 3]], "{act:?}");
        rig.harness.set_clock(50);
        rig.settle();
        assert_eq!((&*rig.wire, &*rig.told), (order, &[1, 2, 3][..]), "{act:?}");
        assert_eq!(tally.get(), 1);
        assert!(rig.injector.held.is_none());
    }
}

#[test]
fn readings_that_vanish_after_closing_press_back_until_their_end_is_told() {
    let mut rig = Rig::<Ws<Script>>::new(&Settings { close: Close::Sent, ..Settings::default() });
    rig.harness.bring(every(1, READING, Action::Drop));
    let mut seq = 0;
    while rig.injector.ready() {
        seq += 1;
        rig.send(seq);
    }
    rig.settle();
    assert_eq!((seq, rig.told.len(), rig.wire.len()), (64, 64, 0));
    assert!(rig.injector.ready());
}

#[test]
fn replies_in_order_stay_with_their_readings() {
    let settings = Settings { close: Close::Reply, correlation: Correlation::Order, ..Settings::default() };
    let table: [(Tampering, &[u64]); 4] = [
        (every(2, READING, Action::Drop), &[1, 3, 5]),
        (every(2, READING, Action::Duplicate), &[1, 2, 2, 3, 4, 4, 5]),
        (every(2, READING, Action::Reorder { depth: 1 }), &[1, 3, 2, 5, 4]),
        (every(2, VERDICT, Action::Drop), &[1, 3, 5]),
    ];
    for (tampering, order) in table {
        let mut rig = Rig::<Ws<Script>>::new(&settings);
        rig.harness.bring(tampering.clone());
        rig.converse(1..=5);
        assert_eq!(rig.told, order, "{tampering:?}");
    }
}

#[test]
fn delayed_readings_press_back_once_there_are_too_many() {
    let mut rig = Rig::<Mqtt<Script>>::usual();
    rig.harness.bring(every(1, READING, later(100)));
    let mut seq = 0;
    while rig.injector.ready() {
        seq += 1;
        rig.send(seq);
    }
    assert_eq!(seq, 64);
    assert_eq!(rig.harness.take_wakes(), [100; 64]);
    let refusal = rig.injector.send(&mut context(), &Message::new(65, b"065"));
    assert_eq!(refusal, Err(Failure::not_ready()));
    rig.settle();
    assert!(rig.wire.is_empty());
    rig.harness.set_clock(100);
    assert_eq!(rig.injector.poll_event(&mut context()), Poll::Ready(Ok(Event::Writable)));
    rig.settle();
    assert_eq!(rig.told, (1..=64).collect::<Vec<_>>());
}

#[test]
fn what_waits_to_be_overtaken_does_not_wait_for_ever() {
    for kind in [READING, VERDICT] {
        let mut rig = Rig::<Ws<Script>>::usual();
        let tally = rig.harness.bring(every(1, kind, Action::Reorder { depth: 1 }));
        rig.converse(1..=65);
        let order: Vec<u64> = std::iter::once(65).chain(1..=64).collect();
        assert_eq!((rig.told.as_slice(), tally.get()), (&*order, 64), "{kind:?}");
    }
}

#[test]
fn delayed_verdicts_leave_further_ones_with_the_peer_once_there_are_too_many() {
    let mut rig = Rig::<Ws<Script>>::usual();
    let tally = rig.harness.bring(every(1, VERDICT, later(100)));
    (1..=80).for_each(|seq| rig.send(seq));
    rig.settle();
    assert_eq!((rig.told.len(), tally.get()), (0, 64));
    rig.harness.set_clock(100);
    assert!(rig.injector.has_more());
    rig.settle();
    assert_eq!((rig.told.len(), tally.get()), (64, 80));
    rig.harness.set_clock(200);
    rig.settle();
    assert_eq!(rig.told, (1..=80).collect::<Vec<_>>());
}

#[test]
fn what_a_connection_brought_is_told_before_its_end() {
    let mut rig = Rig::<Http<Script>>::new(&Settings {
        own: OwnSettings::of(super::super::HttpSettings { fresh: true, ..Default::default() }),
        ..Settings::default()
    });
    rig.harness.bring(every(1, VERDICT, later(100)));
    rig.send(1);
    rig.settle();
    assert!(rig.told.is_empty() && rig.failure.is_none() && !rig.injector.ready());
    rig.harness.set_clock(100);
    rig.settle();
    assert_eq!(rig.told, [1]);
    assert_eq!(rig.failure.unwrap().kind, ErrorKind::Closed);

    let mut rig = Rig::<Ws<Script>>::usual();
    rig.harness.bring(every(1, VERDICT, Action::Reorder { depth: 9 }));
    rig.converse(1..=2);
    rig.injector.codec.stream().push(&[0x88, 0]);
    rig.poll();
    assert_eq!((rig.told, rig.failure.unwrap().kind), (vec![1, 2], ErrorKind::Closed));
}

#[test]
fn a_connection_for_one_request_carries_no_duplicate() {
    let mut rig = Rig::<Http<Script>>::new(&Settings {
        own: OwnSettings::of(super::super::HttpSettings { fresh: true, ..Default::default() }),
        ..Settings::default()
    });
    let tally = rig.harness.bring(every(1, READING, Action::Duplicate));
    rig.converse(1..=1);
    assert_eq!((rig.wire, rig.told, tally.get()), (vec![1], vec![1], 0));
}

#[test]
fn a_duplicate_that_is_never_answered_ends_the_connection_it_blocks() {
    let mut rig = Rig::<Http<Script>>::usual();
    rig.harness.bring(every(1, READING, Action::Duplicate));
    rig.send(1);
    rig.injector.codec.stream().push(b"HTTP/1.1 204 x\r\n\r\n");
    rig.poll();
    assert_eq!(rig.told, [1]);
    assert!(!rig.injector.ready());
    rig.harness.set_clock(PATIENCE_NS - 1);
    rig.poll();
    assert!(rig.failure.is_none());
    rig.harness.set_clock(PATIENCE_NS);
    rig.poll();
    assert_eq!(rig.failure.unwrap().kind, ErrorKind::Closed);
}

#[test]
fn readiness_that_came_with_a_verdict_that_vanished_is_told_all_the_same() {
    let mut rig = Rig::<Http<Script>>::usual();
    rig.send(1);
    assert!(!rig.injector.ready());
    rig.harness.bring(every(1, VERDICT, Action::Drop));
    rig.injector.codec.stream().push(b"HTTP/1.1 204 x\r\n\r\n");
    assert_eq!(rig.injector.poll_event(&mut context()), Poll::Ready(Ok(Event::Writable)));
    assert!(rig.injector.ready());
    assert_eq!(rig.injector.poll_event(&mut context()), Poll::Pending);
}

#[test]
fn readings_held_up_go_out_before_the_goodbye() {
    let mut rig = Rig::<Ws<Script>>::usual();
    rig.harness.bring(every(1, READING, later(100)));
    (1..=3).for_each(|seq| rig.send(seq));
    let _ = rig.injector.poll_close(&mut context());
    let mut written = rig.injector.codec.stream().take_written();
    let seqs: Vec<_> =
        (0..3).filter_map(|_| Ws::<Script>::answer(&mut written)).map(|(seq, _)| seq).collect();
    assert_eq!(seqs, [1, 2, 3]);
    assert_eq!(written[0], 0x88);
}

#[test]
fn a_session_shows_nothing_of_what_it_holds_up() {
    let mut rig = Rig::<Mqtt<Script>>::usual();
    rig.harness.bring(every(1, READING, later(100)));
    rig.injector.send(&mut context(), &Message::new(1, b"s3cret")).unwrap();
    let (shown, hidden) = (format!("{:?}", rig.injector), format!("{:?}", b"s3cret"));
    assert!(!shown.contains("s3cret") && !shown.contains(hidden.trim_matches(['[', ']'])), "{shown}");
}

#[test]
fn fair_weather_holds_nothing() {
    let mut rig = Rig::<Mqtt<Script>>::usual();
    rig.converse(1..=3);
    assert_eq!(rig.told, [1, 2, 3]);
    assert!(rig.injector.held.is_none());
}
