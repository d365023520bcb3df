//! The WebSocket session against scripted frames and against a real server over an in-memory stream.

mod deflate;
pub(super) mod peer;
mod upgrade;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use futures_util::{SinkExt, Stream, StreamExt};
use proptest::prelude::*;
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as RawFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::super::harness::script::{Script, context, outcome};
use super::super::{Answer, Correlation, OwnSettings};
use super::*;
use crate::record::{Close, ErrorKind, Protocol};

fn closing(close: Close) -> Settings {
    Settings { close, ..Settings::default() }
}

fn replying(pointer: Option<&str>) -> Settings {
    let correlation = pointer.map_or(Correlation::Order, |pointer| Correlation::Pointer(pointer.into()));
    Settings { correlation, ..closing(Close::Reply) }
}

fn message(seq: u64, payload: &[u8]) -> Message<'_> {
    Message::new(seq, payload)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn session(stream: Script, settings: &Settings) -> Ws<Script> {
    Ws::past_upgrade(stream, settings, &Identity::of("d"))
}

/// An unmasked frame as servers send it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    let mut bytes = vec![first, payload.len() as u8];
    bytes.extend_from_slice(payload);
    bytes
}

fn ok(seq: u64) -> Event {
    Event::Closed { seq, answer: Answer::Ok, stages: None, flagged: None, arm: None, named: false }
}

/// The messages a peer reads from masked client frames.
fn as_server(bytes: &[u8]) -> Vec<Frame> {
    let script = Script::new().data(bytes);
    let mut socket = block_on(WebSocketStream::from_raw_socket(script, Role::Server, None));
    let mut messages = Vec::new();
    while let Poll::Ready(Some(Ok(message))) = Pin::new(&mut socket).poll_next(&mut context()) {
        messages.push(message);
    }
    messages
}

fn conversation() -> Vec<u8> {
    [
        frame(0x81, br#"{"type":"verdict","device":"d","seq":1}"#),
        frame(0x01, br#"{"type":"shed","#),
        frame(0x89, b"are you there"),
        frame(0x00, br#""device":"d","#),
        frame(0x80, br#""seq":2}"#),
        frame(0x81, br#"{"type":"verdict","device":"other","seq":3}"#),
        frame(0x81, b"no json"),
        frame(0x82, br#"{"type":"error","device":"d","seq":4}"#),
        frame(0x8a, b""),
        frame(0x81, br#"{"device":"d","seq":1}"#),
        frame(0x88, b"\x03\xe9bye"),
    ]
    .concat()
}

fn check_conversation(cuts: &[usize]) {
    let bytes = conversation();
    let mut session = session(Script::new().cut(&bytes, cuts), &closing(Close::Verdict));
    let (events, failure) = outcome(&mut session);
    let shed =
        Event::Closed { seq: 2, answer: Answer::Shed, stages: None, flagged: None, arm: None, named: false };
    let error = Event::Closed {
        seq: 4,
        answer: Answer::Error(ErrorKind::Status),
        stages: None,
        flagged: None,
        arm: None,
        named: false,
    };
    assert_eq!(events, [ok(1), shed, error, ok(1)]);
    let goodbye = "the server closed the WebSocket with code 1001 (going away): bye";
    assert_eq!(failure, Some(Failure::closed(goodbye).with_code("WebSocket close", 1001)));
    assert_eq!(session.stray(), 2);
    let written = as_server(session.stream.written());
    assert_eq!(written[0], Frame::Pong(Bytes::from_static(b"are you there")));
    assert!(matches!(written[1], Frame::Close(_)), "{written:?}");
}

#[test]
fn a_conversation_reads_the_same_cut_at_every_byte() {
    check_conversation(&[]);
    for at in 1..conversation().len() {
        check_conversation(&[at]);
    }
    check_conversation(&(0..conversation().len()).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn a_conversation_reads_the_same_in_random_pieces(cuts in proptest::collection::vec(any::<usize>(), 0..20)) {
        check_conversation(&cuts);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (_, failure) = outcome(&mut session(Script::new().data(&bytes).end(), &closing(Close::Verdict)));
        prop_assert!(failure.is_some());
    }
}

#[test]
fn broken_frames_and_connections_keep_their_kind() {
    let table = [
        (Script::new().data(&[0x83, 0]), ErrorKind::Protocol),
        (Script::new().data(&[0xc1, 0]), ErrorKind::Protocol),
        (Script::new().data(&[0x81, 0x80, 0, 0, 0, 0]), ErrorKind::Protocol),
        (Script::new().data(&[0x81, 1, 0xff]), ErrorKind::Protocol),
        (Script::new().data(&[0x80, 0]), ErrorKind::Protocol),
        (Script::new().data(&[0x82, 127, 0, 0, 0, 0, 0xff, 0, 0, 0]), ErrorKind::Protocol),
        (Script::new().data(&[0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0]), ErrorKind::Protocol),
        (Script::new().data(&[0x01, 1, b'a', 0x81, 1, b'b']), ErrorKind::Protocol),
        (Script::new().data(&[0x01, 1, 0xc3, 0x80, 1, b'b']), ErrorKind::Protocol),
        (Script::new().data(&[0x09, 1, b'a']), ErrorKind::Protocol),
        (Script::new().data(&[0x89, 126, 0, 126]), ErrorKind::Protocol),
        (Script::new().data(&[0x8b, 0]), ErrorKind::Protocol),
        (Script::new().data(&[0x88, 1, 3]), ErrorKind::Protocol),
        (Script::new().data(&[0x88, 2, 3, 0xed]), ErrorKind::Protocol),
        (Script::new().data(&[0x88, 3, 3, 0xe8, 0xff]), ErrorKind::Protocol),
        (Script::new().data(&[0x88, 0]), ErrorKind::Closed),
        (Script::new().data(&[0x81, 9, b'{']).end(), ErrorKind::Closed),
        (Script::new().end(), ErrorKind::Closed),
        (Script::new().error(io::ErrorKind::ConnectionReset), ErrorKind::Reset),
    ];
    for (script, kind) in table {
        let shown = format!("{script:?}");
        let (events, failure) = outcome(&mut session(script, &closing(Close::Verdict)));
        let failure = failure.map(|failure| failure.kind);
        assert_eq!((events, failure), (vec![], Some(kind)), "{shown}");
    }
}

#[test]
fn readings_are_pipelined_and_back_pressure_is_told() {
    let mut session = session(Script::new(), &closing(Close::Verdict));
    session.send(&mut context(), &message(1, b"{\"seq\":1}")).unwrap();
    session.send(&mut context(), &message(2, b"\xff")).unwrap();
    assert!(session.ready());
    session.stream.accept(3);
    session.send(&mut context(), &message(3, b"{\"seq\":3}")).unwrap();
    assert!(!session.ready());
    assert_eq!(session.send(&mut context(), &message(4, b"{}")), Err(Failure::not_ready()));
    assert_eq!(outcome(&mut session), (vec![], None));
    session.stream.accept(usize::MAX);
    assert_eq!(outcome(&mut session), (vec![Event::Writable], None));
    let expected =
        [Frame::text("{\"seq\":1}"), Frame::Binary(Bytes::from_static(b"\xff")), Frame::text("{\"seq\":3}")];
    assert_eq!(as_server(session.stream.written()), expected);
}

#[test]
fn fire_and_forget_closes_when_the_bytes_are_handed_over() {
    let echo = frame(0x81, br#"{"device":"d","seq":1}"#);
    let mut session = session(Script::new().data(&echo), &closing(Close::Sent));
    session.send(&mut context(), &message(1, b"{}")).unwrap();
    session.stream.accept(4);
    session.send(&mut context(), &message(2, b"{}")).unwrap();
    assert_eq!(outcome(&mut session), (vec![ok(1)], None));
    session.stream.accept(usize::MAX);
    assert_eq!(outcome(&mut session), (vec![ok(2)], None));

    let mut seq = 10;
    while session.ready() {
        session.send(&mut context(), &message(seq, b"{}")).unwrap();
        seq += 1;
    }
    let (events, failure) = outcome(&mut session);
    assert_eq!((events, failure), ((10..seq).map(ok).collect(), None));
    assert!(session.ready());
}

#[test]
fn replies_are_found_by_pointer_late_doubled_unknown_or_malformed() {
    let mut session = session(Script::new(), &replying(Some("/meta/id")));
    assert!(session.survives_timeout());
    for seq in 1..=3 {
        session.send(&mut context(), &message(seq, b"{}")).unwrap();
    }
    let replies = [
        frame(0x81, br#"{"meta":{"id":2},"device":"other"}"#),
        frame(0x82, br#"{"meta":{"id":"1"}}"#),
        frame(0x81, br#"{"meta":{"id":2}}"#),
        frame(0x81, br#"{"meta":{"id":99}}"#),
        frame(0x81, br#"{"meta":{}}"#),
        frame(0x81, b"not json"),
        frame(0x82, b"\xff\xfe"),
        frame(0x81, br#"{"meta":{"id":3}}"#),
    ];
    session.stream.push(&replies.concat());
    // Doubles and numbers never sent are told: who keeps the books can tell what they are.
    assert_eq!(outcome(&mut session), ([2, 1, 2, 99, 3].map(ok).to_vec(), None));
    assert_eq!(session.stray(), 3);
}

#[test]
fn replies_in_order_answer_whatever_waits_longest() {
    let mut session = session(Script::new().data(&frame(0x81, b"welcome")), &replying(None));
    assert!(!session.survives_timeout());
    assert_eq!(outcome(&mut session), (vec![], None));
    for seq in [7, 8, 9] {
        session.send(&mut context(), &message(seq, b"{}")).unwrap();
    }
    let replies = [frame(0x81, b"ack"), frame(0x89, b"ping"), frame(0x82, b"\xff"), frame(0x8a, b"")];
    session.stream.push(&replies.concat());
    assert_eq!(outcome(&mut session), (vec![ok(7), ok(8)], None));
    session.send(&mut context(), &message(3, b"{}")).unwrap();
    session.stream.push(&frame(0x81, b"").repeat(3));
    assert_eq!(outcome(&mut session), (vec![ok(9), ok(3)], None));
    assert_eq!(session.stray(), 2);
}

#[test]
fn readings_travel_in_the_kind_of_message_the_fleet_declares() {
    let text = || Frame::text("{}");
    let binary = |bytes: &'static [u8]| Frame::Binary(Bytes::from_static(bytes));
    let table = [
        (WsMode::Auto, [Some(text()), Some(binary(b"\xff"))]),
        (WsMode::Text, [Some(text()), None]),
        (WsMode::Binary, [Some(binary(b"{}")), Some(binary(b"\xff"))]),
    ];
    for (mode, expected) in table {
        for (payload, expected) in [&b"{}"[..], b"\xff"].into_iter().zip(expected) {
            let settings = Settings {
                own: OwnSettings::of(WsSettings { mode, ..WsSettings::default() }),
                ..closing(Close::Verdict)
            };
            let mut session = session(Script::new(), &settings);
            let sent = session.send(&mut context(), &message(1, payload));
            assert_eq!(as_server(session.stream.written()), Vec::from_iter(expected.clone()), "{mode:?}");
            let refusal =
                sent.err().map(|failure| (failure.kind, failure.reason.sentence.contains("use binary")));
            assert_eq!(refusal, expected.is_none().then_some((ErrorKind::Protocol, true)));
        }
    }
}

#[test]
fn a_silent_period_is_pinged_and_a_silent_server_given_up() {
    let mut session = session(Script::new(), &closing(Close::Verdict));
    session.send(&mut context(), &message(1, b"{}")).unwrap();
    session.keep_alive(&mut context()).unwrap();
    assert_eq!(as_server(session.stream.written()).len(), 1);
    session.keep_alive(&mut context()).unwrap();
    assert_eq!(as_server(session.stream.written())[1], Frame::Ping(Bytes::new()));
    session.stream.push(&frame(0x8a, b""));
    assert_eq!(outcome(&mut session), (vec![], None));
    session.keep_alive(&mut context()).unwrap();
    assert_eq!(session.keep_alive(&mut context()).unwrap_err().kind, ErrorKind::Network);
}

async fn handshake(
    serve: impl AsyncFnOnce(WebSocketStream<DuplexStream>),
    drive: impl AsyncFnOnce(Ws<DuplexStream>),
) {
    let (near, far) = tokio::io::duplex(64);
    let endpoint = Endpoint::resolve(Protocol::named("ws"), "ws://127.0.0.1:9/v1/stream?x=1").unwrap();
    let server = async { serve(tokio_tungstenite::accept_async(far).await.unwrap()).await };
    let client = async {
        drive(Ws::open(near, &endpoint, &closing(Close::Verdict), &Identity::of("d")).await.unwrap()).await;
    };
    tokio::join!(server, client);
}

#[test]
fn a_real_server_is_upgraded_answered_and_left_in_order() {
    let server = async |mut socket: WebSocketStream<DuplexStream>| {
        for seq in 1..=100_u64 {
            assert_eq!(socket.next().await.unwrap().unwrap(), Frame::text(format!(r#"{{"seq":{seq}}}"#)));
            socket.send(Frame::Ping(Bytes::from_static(b"p"))).await.unwrap();
            let (head, tail) = (r#"{"type":"verdict","device":"d","#, format!(r#""seq":{seq}}}"#));
            let first = RawFrame::message(Bytes::from(head), OpCode::Data(Data::Text), false);
            let last = RawFrame::message(Bytes::from(tail), OpCode::Data(Data::Continue), true);
            socket.send(Frame::Frame(first)).await.unwrap();
            socket.send(Frame::Frame(last)).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), Frame::Pong(Bytes::from_static(b"p")));
        }
        let Frame::Close(Some(frame)) = socket.next().await.unwrap().unwrap() else { panic!("no goodbye") };
        assert_eq!(frame.code, CloseCode::Normal);
        assert!(socket.next().await.is_none());
    };
    let client = async |mut session: Ws<DuplexStream>| {
        for seq in 1..=100_u64 {
            let payload = format!(r#"{{"seq":{seq}}}"#);
            poll_fn(|cx| Poll::Ready(session.send(cx, &message(seq, payload.as_bytes())))).await.unwrap();
            loop {
                let event = poll_fn(|cx| session.poll_event(cx)).await.unwrap();
                if matches!(event, Event::Closed { .. }) {
                    break assert_eq!(event, ok(seq));
                }
            }
        }
        poll_fn(|cx| session.poll_close(cx)).await;
    };
    block_on(handshake(server, client));
}

/// A frame of `size` bytes in all but its header, as servers send it.
fn long_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, 127];
    bytes.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn limited(max_message: usize, deflate: bool) -> Settings {
    let own = OwnSettings::of(WsSettings { deflate, max_message, ..WsSettings::default() });
    Settings { own, ..closing(Close::Verdict) }
}

#[test]
fn a_large_message_is_read_and_its_memory_given_back() {
    let mut verdict = br#"{"type":"verdict","device":"d","seq":1,"more":""#.to_vec();
    verdict.resize((20 << 20) - 2, b'x');
    verdict.extend_from_slice(b"\"}");
    let (first, rest) = verdict.split_at(7 << 20);
    let pieces =
        [long_frame(0x01, first), frame(0x89, b"p"), long_frame(0x00, rest), frame(0x80, b"")].concat();
    for bytes in [long_frame(0x81, &verdict), pieces] {
        let mut stream = Script::new();
        bytes.chunks(1 << 20).for_each(|chunk| stream.push(chunk));
        let mut session = session(stream, &closing(Close::Verdict));
        assert_eq!(outcome(&mut session), (vec![ok(1)], None));
        assert_eq!(reader::held(), 0);
        assert!(format!("{:?}", session.reader).contains("partial: None"));
    }
}

#[test]
fn a_message_beyond_the_limit_is_refused_by_its_name_before_it_has_come() {
    let table = [
        (long_frame(0x82, &[b'x'; 1_000]), None),
        (long_frame(0x82, &[b'x'; 1_001]), Some("more than 1000B (max_message)")),
        ([long_frame(0x02, &[b'x'; 600]), long_frame(0x80, &[b'x'; 400])].concat(), None),
        ([long_frame(0x02, &[b'x'; 600]), vec![0x80, 126, 1, 0x91]].concat(), Some("more than 1000B")),
        (vec![0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0], Some("more than 1000B")),
    ];
    for (bytes, refusal) in table {
        let mut session = session(Script::new().data(&bytes), &limited(1_000, false));
        let found = outcome(&mut session).1.map(|failure| failure.reason.sentence.into_owned());
        match (&found, refusal) {
            (None, None) => {}
            (Some(sentence), Some(words)) => assert!(sentence.contains(words), "{sentence}"),
            _ => panic!("{found:?}, not {refusal:?}"),
        }
    }
    let default = vec![0x82, 127, 0, 0, 0, 0, 4, 0, 0, 1];
    let failure = outcome(&mut session(Script::new().data(&default), &closing(Close::Verdict))).1.unwrap();
    assert_eq!(failure.reason.sentence, "the server sent a message of more than 64MiB (max_message)");
}

#[test]
fn what_all_devices_of_a_worker_hold_is_bounded() {
    let unfinished = [vec![0x02, 126, 4, 0], vec![b'x'; 1_000]].concat();
    let mut first = session(Script::new().data(&unfinished), &closing(Close::Verdict));
    assert_eq!(outcome(&mut first), (vec![], None));
    assert_eq!(reader::held(), 1_000);
    reader::hold(reader::MOST_HELD - 1_500);
    let failure = outcome(&mut session(Script::new().data(&unfinished), &closing(Close::Verdict))).1.unwrap();
    assert_eq!(failure.kind, ErrorKind::Resource);
    assert!(failure.reason.sentence.contains("more than 256MiB together"), "{failure}");
    drop(first);
    assert_eq!(reader::held(), reader::MOST_HELD - 1_500);
}
