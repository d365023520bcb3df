//! The WebSocket session against scripted frames and against a real server over an in-memory stream.

pub(super) mod peer;

use std::future::poll_fn;
use std::io;

use futures_util::{SinkExt, StreamExt};
use proptest::prelude::*;
use tokio::io::DuplexStream;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as RawFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::super::script::{Script, context};
use super::super::{Answer, Correlation, OwnSettings};
use super::*;
use crate::record::{Close, ErrorKind, Protocol, Reason};

fn closing(close: Close) -> Settings {
    Settings { close, ..Settings::default() }
}

fn replying(pointer: Option<&str>) -> Settings {
    let correlation = pointer.map_or(Correlation::Order, |pointer| Correlation::Pointer(pointer.into()));
    Settings { correlation, ..closing(Close::Reply) }
}

fn message(seq: u64, payload: &[u8]) -> Message<'_> {
    Message { seq, payload, address: None }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn session(stream: Script, settings: &Settings) -> Ws<Script> {
    let socket = block_on(WebSocketStream::from_raw_socket(stream, Role::Client, Some(config())));
    Ws::over(socket, settings, &Identity::of("d"))
}

/// An unmasked frame as servers send it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    let mut bytes = vec![first, payload.len() as u8];
    bytes.extend_from_slice(payload);
    bytes
}

fn ok(seq: u64) -> Event {
    Event::Closed { seq, answer: Answer::Ok, stages: None, flagged: None }
}

/// Polls to the end: the events, then the failure if there was one.
fn outcome(session: &mut Ws<Script>) -> (Vec<Event>, Option<Failure>) {
    let mut events = Vec::new();
    loop {
        match session.poll_event(&mut context()) {
            Poll::Ready(Ok(event)) => events.push(event),
            Poll::Ready(Err(failure)) => return (events, Some(failure)),
            Poll::Pending => return (events, None),
        }
    }
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
    let shed = Event::Closed { seq: 2, answer: Answer::Shed, stages: None, flagged: None };
    let error =
        Event::Closed { seq: 4, answer: Answer::Error(ErrorKind::Status), stages: None, flagged: None };
    assert_eq!(events, [ok(1), shed, error, ok(1)]);
    let goodbye = "the server closed the WebSocket with code 1001 (going away): bye";
    assert_eq!(failure, Some(Failure::closed(goodbye).with_code("WebSocket close", 1001)));
    assert_eq!(session.stray(), 2);
    let written = as_server(session.socket.get_ref().written());
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
    session.socket.get_mut().accept(3);
    session.send(&mut context(), &message(3, b"{\"seq\":3}")).unwrap();
    assert!(!session.ready());
    assert_eq!(session.send(&mut context(), &message(4, b"{}")), Err(Failure::not_ready()));
    assert_eq!(outcome(&mut session), (vec![], None));
    session.socket.get_mut().accept(usize::MAX);
    assert_eq!(outcome(&mut session), (vec![Event::Writable], None));
    let expected =
        [Frame::text("{\"seq\":1}"), Frame::Binary(Bytes::from_static(b"\xff")), Frame::text("{\"seq\":3}")];
    assert_eq!(as_server(session.socket.get_ref().written()), expected);
}

#[test]
fn fire_and_forget_closes_when_the_bytes_are_handed_over() {
    let echo = frame(0x81, br#"{"device":"d","seq":1}"#);
    let mut session = session(Script::new().data(&echo), &closing(Close::Sent));
    session.send(&mut context(), &message(1, b"{}")).unwrap();
    session.socket.get_mut().accept(4);
    session.send(&mut context(), &message(2, b"{}")).unwrap();
    assert_eq!(outcome(&mut session), (vec![ok(1)], None));
    session.socket.get_mut().accept(usize::MAX);
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
    session.socket.get_mut().push(&replies.concat());
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
    session.socket.get_mut().push(&replies.concat());
    assert_eq!(outcome(&mut session), (vec![ok(7), ok(8)], None));
    session.send(&mut context(), &message(3, b"{}")).unwrap();
    session.socket.get_mut().push(&frame(0x81, b"").repeat(3));
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
            let settings = Settings { own: OwnSettings::of(WsSettings { mode }), ..closing(Close::Verdict) };
            let mut session = session(Script::new(), &settings);
            let sent = session.send(&mut context(), &message(1, payload));
            assert_eq!(
                as_server(session.socket.get_ref().written()),
                Vec::from_iter(expected.clone()),
                "{mode:?}"
            );
            let refusal =
                sent.err().map(|failure| (failure.kind, failure.reason.sentence.contains("use binary")));
            assert_eq!(refusal, expected.is_none().then_some((ErrorKind::Protocol, true)));
        }
    }
}

/// What comes of offering a sub-protocol to a server that answers with `selected`.
fn negotiated(offered: Option<&str>, selected: Option<&'static str>) -> Result<Option<String>, Failure> {
    let (near, far) = tokio::io::duplex(1024);
    let endpoint = Endpoint::resolve(Protocol::named("ws"), "ws://127.0.0.1:9").unwrap();
    let identity = Identity { subprotocol: offered.map(str::to_owned), ..Identity::of("d") };
    let mut asked = None;
    #[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
    let answer = |request: &Request, mut response: Response| {
        asked =
            request.headers().get("Sec-WebSocket-Protocol").map(|value| value.to_str().unwrap().to_owned());
        if let Some(selected) = selected {
            response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(selected));
        }
        Ok(response)
    };
    let opened = block_on(async {
        let settings = closing(Close::Verdict);
        tokio::join!(accept_hdr_async(far, answer), Ws::open(near, &endpoint, &settings, &identity)).1
    });
    opened.map(|_| asked)
}

#[test]
fn a_server_must_select_the_sub_protocol_that_is_offered() {
    assert_eq!(negotiated(None, None), Ok(None));
    assert_eq!(negotiated(Some("ocpp1.6"), Some("ocpp1.6")), Ok(Some("ocpp1.6".to_owned())));
    let table = [
        (Some("ocpp1.6"), None, "did not select the sub-protocol"),
        (Some("ocpp1.6"), Some("mqtt"), "selected a sub-protocol that was not offered"),
        (None, Some("mqtt"), "though none was offered"),
    ];
    for (offered, selected, expected) in table {
        let failure = negotiated(offered, selected).unwrap_err();
        assert_eq!(failure.kind, ErrorKind::Protocol);
        assert!(failure.reason.sentence.contains(expected), "{failure}");
    }
}

#[test]
fn a_silent_period_is_pinged_and_a_silent_server_given_up() {
    let mut session = session(Script::new(), &closing(Close::Verdict));
    session.send(&mut context(), &message(1, b"{}")).unwrap();
    session.keep_alive(&mut context()).unwrap();
    assert_eq!(as_server(session.socket.get_ref().written()).len(), 1);
    session.keep_alive(&mut context()).unwrap();
    assert_eq!(as_server(session.socket.get_ref().written())[1], Frame::Ping(Bytes::new()));
    session.socket.get_mut().push(&frame(0x8a, b""));
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
                match poll_fn(|cx| session.poll_event(cx)).await.unwrap() {
                    Event::Heard { .. } | Event::Writable => {}
                    closed @ Event::Closed { .. } => break assert_eq!(closed, ok(seq)),
                }
            }
        }
        poll_fn(|cx| session.poll_close(cx)).await;
    };
    block_on(handshake(server, client));
}

#[test]
fn a_refused_upgrade_says_with_what_status() {
    let endpoint = Endpoint::resolve(Protocol::named("ws"), "ws://127.0.0.1:9").unwrap();
    let open = |script| {
        block_on(Ws::open(script, &endpoint, &closing(Close::Verdict), &Identity::of("d"))).unwrap_err()
    };
    for (status, for_good) in
        [(404, true), (401, true), (429, false), (408, false), (503, false), (200, false)]
    {
        let response = format!("HTTP/1.1 {status} Any\r\nContent-Length: 2\r\n\r\nno");
        let refused = open(Script::new().data(response.as_bytes()));
        let sentence = format!("the server answered the upgrade with {}", crate::record::status_line(status));
        let expected = Failure::protocol(sentence).with_code("HTTP", status.into()).final_if(for_good);
        assert_eq!(
            Failure { reason: Box::new(Reason { sample: None, ..*refused.reason }), ..refused },
            expected
        );
    }
    assert_eq!(open(Script::new().data(b"SSH-2.0-OpenSSH\r\n\r\n")).kind, ErrorKind::Protocol);
    assert_eq!(open(Script::new().end()).kind, ErrorKind::Closed);
    assert_eq!(open(Script::new().error(io::ErrorKind::ConnectionReset)).kind, ErrorKind::Reset);
}
