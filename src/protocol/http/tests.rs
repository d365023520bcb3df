//! The HTTP session against scripted servers.

mod gzip;
pub(super) mod peer;

use std::io;

use proptest::prelude::*;

use super::super::OwnSettings;
use super::super::harness::script::{Script, context};
use super::*;
use crate::record::{Protocol, Stages};

const OK: Answer = Answer::Ok;
const STATUS: Answer = Answer::Error(ErrorKind::Status);

fn session(stream: Script) -> Http<Script> {
    session_of(stream, HttpSettings::default(), &Identity::of("d")).unwrap()
}

fn session_of(stream: Script, http: HttpSettings, identity: &Identity) -> Result<Http<Script>, Failure> {
    let endpoint = Endpoint::resolve(Protocol::named("http"), "http://127.0.0.1:9/in?x=1").unwrap();
    Http::new(stream, &endpoint, &Settings { own: OwnSettings::of(http), ..Settings::default() }, identity)
}

fn message(seq: u64, payload: &[u8]) -> Message<'_> {
    Message::new(seq, payload)
}

/// Sends reading 7 and polls to the end: the answers, then the failure if there was one.
fn outcome(stream: Script) -> (Vec<Answer>, Option<(ErrorKind, String)>) {
    let mut session = session(stream);
    session.send(&mut context(), &message(7, b"{}")).unwrap();
    let mut answers = Vec::new();
    loop {
        match session.poll_event(&mut context()) {
            Poll::Ready(Ok(Event::Closed { seq, answer, .. })) => {
                assert_eq!(seq, 7);
                answers.push(answer);
            }
            Poll::Ready(Ok(_)) => {
                panic!("HTTP becomes ready by closing only")
            }
            Poll::Ready(Err(Failure { kind, reason })) => {
                return (answers, Some((kind, reason.sentence.into_owned())));
            }
            Poll::Pending => return (answers, None),
        }
    }
}

/// (response, answer, failure afterwards). The stream ends after the response if it is marked so.
type Case = (&'static str, Option<Answer>, Option<ErrorKind>);

const OPEN: &[Case] = &[
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Some(OK), None),
    ("HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\n{}", Some(OK), None),
    ("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", Some(OK), None),
    ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", Some(OK), None),
    ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", Some(OK), None),
    ("HTTP/1.1 204 No Content\r\n\r\n", Some(OK), None),
    ("HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", Some(OK), None),
    ("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", Some(STATUS), None),
    ("HTTP/1.1 429 Slow down\r\nContent-Length: 0\r\n\r\n", Some(Answer::Shed), None),
    ("HTTP/1.1 503 Busy\r\nContent-Length: 1\r\n\r\nx", Some(Answer::Shed), None),
    ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Some(STATUS), None),
    ("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /x\r\n\r\n", Some(STATUS), None),
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Some(OK), None),
    (
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        Some(OK),
        None,
    ),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", Some(OK), None),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\nA;x=y\r\n0123456789\r\n00\r\n\r\n",
        Some(OK),
        None,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\na\r\n1\r\nb\r\n0\r\nX: 1\r\nY: 2\r\n\r\n",
        Some(OK),
        None,
    ),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nContent-Length: 2\r\n\r\n{}", Some(OK), None),
    ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}", Some(OK), None),
    // What servers should not write, and what it means.
    ("HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n{}", Some(OK), None),
    ("HTTP/1.1 200 OK\r\nContent-Length \t:2\r\nX  : y\r\n\r\n{}", Some(OK), None),
    ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\tc\r\nContent-Length: 2\r\n\r\n{}", Some(OK), None),
    ("HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\nX:\r\n \r\n\r\n{}", Some(OK), None),
    ("HTTP/1.1 200 OK\nX: a\n b\nContent-Length: 2\n\n{}", Some(OK), None),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\tchunked\r\n\r\n1\r\na\r\n0\r\n\r\n", Some(OK), None),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", Some(OK), None),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\ntransfer-encoding: Identity\r\n\r\n{}", Some(OK), None),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked,\r\n\r\n1\na\n0\n\n",
        Some(OK),
        None,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1 ; a=\"b;c\"\r\na\r\n000;z\r\nX: 1\n\r\n",
        Some(OK),
        None,
    ),
    ("HTTP/1.1  200  OK\r\nContent-Length: 0\r\n\r\n", Some(OK), None),
    ("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", Some(OK), None),
    ("HTTP/1.1 200 gr\u{fc}n\r\nContent-Length: 0\r\n\r\n", Some(OK), None),
    ("\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Some(OK), None),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}\r\n", Some(OK), None),
    ("HTTP/1.1 999 Request denied\r\nContent-Length: 2\r\n\r\nno", Some(STATUS), None),
    (
        "HTTP/1.1 199 Odd\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        Some(OK),
        None,
    ),
    ("HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n", Some(OK), None),
    ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", Some(STATUS), None),
    (
        "HTTP/1.0 200 OK\r\nConnection: foo\r\nConnection: Keep-Alive, bar\r\nContent-Length: 0\r\n\r\n",
        Some(OK),
        None,
    ),
    // The server asks for the connection to end.
    (
        "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection :\r\n close\r\nContent-Length: 0\r\n\r\n",
        Some(OK),
        Some(ErrorKind::Closed),
    ),
    (
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        Some(OK),
        Some(ErrorKind::Closed),
    ),
    (
        "HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 0\r\n\r\n",
        Some(OK),
        Some(ErrorKind::Closed),
    ),
    ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", Some(OK), Some(ErrorKind::Closed)),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 99\r\n\r\n0\r\n\r\n",
        Some(OK),
        Some(ErrorKind::Closed),
    ),
    // Broken responses.
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}surplus", Some(OK), Some(ErrorKind::Protocol)),
    ("HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab", None, Some(ErrorKind::Protocol)),
    ("HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab", None, Some(ErrorKind::Protocol)),
    ("HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n", None, Some(ErrorKind::Protocol)),
    ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", None, Some(ErrorKind::Protocol)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", None, Some(ErrorKind::Protocol)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", None, Some(ErrorKind::Protocol)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\nab", None, Some(ErrorKind::Protocol)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", None, Some(ErrorKind::Protocol)),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        None,
        Some(ErrorKind::Protocol),
    ),
    ("HTTP/1.1 101 Switching Protocols\r\n\r\n", None, Some(ErrorKind::Protocol)),
    ("HTTP/1.1 099 Odd\r\n\r\n", None, Some(ErrorKind::Protocol)),
    ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", None, Some(ErrorKind::Protocol)),
    ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n , 2\r\n\r\nab", None, Some(ErrorKind::Protocol)),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: x\r\n\r\n",
        None,
        Some(ErrorKind::Protocol),
    ),
    ("HTTP/2 200\r\n\r\n", None, Some(ErrorKind::Protocol)),
    ("SSH-2.0-OpenSSH\r\n", None, Some(ErrorKind::Protocol)),
    ("\x16\x03\x01\x02", None, Some(ErrorKind::Protocol)),
    // Not finished: keep waiting.
    ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", None, None),
    ("HTTP/1.1 200 OK\r\n\r\nbody until the end", None, None),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", None, None),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nabc", None, None),
    ("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nabc", None, None),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc", None, None),
];

const ENDED: &[Case] = &[
    ("", None, Some(ErrorKind::Closed)),
    ("HTTP/1.1 20", None, Some(ErrorKind::Closed)),
    ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", None, Some(ErrorKind::Closed)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", None, Some(ErrorKind::Closed)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", None, Some(ErrorKind::Closed)),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Some(OK), Some(ErrorKind::Closed)),
    ("HTTP/1.1 200 OK\r\n\r\nbody until the end", Some(OK), Some(ErrorKind::Closed)),
    ("HTTP/1.0 500 Oops\r\n\r\n", Some(STATUS), Some(ErrorKind::Closed)),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", Some(OK), Some(ErrorKind::Closed)),
];

#[test]
fn responses_are_read_as_rfc_9112_frames_them() {
    for (cases, ended) in [(OPEN, false), (ENDED, true)] {
        for &(response, answer, failure) in cases {
            let finish = |script: Script| if ended { script.end() } else { script };
            let expected = (answer.into_iter().collect::<Vec<_>>(), failure);
            let whole = outcome(finish(Script::new().data(response.as_bytes())));
            assert_eq!(
                (whole.0.clone(), whole.1.clone().map(|(kind, _)| kind)),
                expected,
                "{response:?} {whole:?}"
            );
            for at in 1..response.len() {
                let (answers, found) = outcome(finish(Script::new().cut(response.as_bytes(), &[at])));
                assert_eq!((answers, found.map(|(kind, _)| kind)), expected, "{response:?} cut at {at}");
            }
        }
    }
}

proptest! {
    #[test]
    fn cutting_a_response_anywhere_changes_nothing(
        case in 0..OPEN.len(), cuts in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        let bytes = OPEN[case].0.as_bytes();
        prop_assert_eq!(outcome(Script::new().data(bytes)), outcome(Script::new().cut(bytes, &cuts)));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), http in any::<bool>()) {
        let mut all = if http { b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec() } else { Vec::new() };
        all.extend(bytes);
        let (answers, _) = outcome(Script::new().data(&all).end());
        prop_assert!(answers.len() <= 1);
    }
}

#[test]
fn limits_hold_for_lines_without_end_and_are_named() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let table = [
        (format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(263_000)), "header section is larger than 256 KiB"),
        (format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(1_001)), "more than 1000 header fields"),
        (format!("{chunked}1;{}", "x".repeat(17_000)), "extensions are longer than 16 KiB"),
        (format!("{chunked}0\r\n{}", "A: b\r\n".repeat(44_000)), "trailer section is larger than 256 KiB"),
    ];
    for (response, words) in table {
        for cuts in [&[][..], &[100, 5_000, 200_000]] {
            let (answers, failure) = outcome(Script::new().cut(response.as_bytes(), cuts));
            let (kind, sentence) = failure.unwrap();
            assert_eq!((answers, kind), (vec![], ErrorKind::Protocol));
            assert!(sentence.contains(words), "{sentence}");
        }
    }
}

#[test]
fn a_body_of_any_length_is_counted_and_mostly_forgotten() {
    const PIECE: usize = 1024 * 1024;
    let chunk = [b"100000\r\n", &*vec![b'x'; PIECE], b"\r\n"].concat();
    let table = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 41943040\r\n\r\n", vec![b'x'; PIECE], ""),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk, "0\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\n\r\n", vec![b'x'; PIECE], "end"),
    ];
    for (head, piece, last) in table {
        let mut stream = Script::new().data(head.as_bytes());
        for _ in 0..40 {
            stream.push(&piece);
        }
        let stream = if last == "end" { stream.end() } else { stream.data(last.as_bytes()) };
        let mut session = session(stream);
        session.send(&mut context(), &message(1, b"{}")).unwrap();
        let event = session.poll_event(&mut context());
        let closed =
            Event::Closed { seq: 1, answer: OK, stages: None, flagged: None, arm: None, named: false };
        assert_eq!(event, Poll::Ready(Ok(closed)), "{head}");
        assert_eq!(session.notes.take_payload(), 40 * PIECE as u64);
        assert!(session.reader.held() <= 256, "{}", session.reader.held());
        assert_eq!(session.ready(), last != "end");
    }
}

#[test]
fn a_session_serves_one_reading_after_another() {
    let body = r#"{"type":"verdict","device":"d","seq":2,"stages":{"total_ns":9}}"#;
    let mut session = session(Script::new().data(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    session.send(&mut context(), &message(1, b"{\"seq\":1}")).unwrap();
    assert!(!session.ready());
    let event = session.poll_event(&mut context());
    assert_eq!(
        event,
        Poll::Ready(Ok(Event::Closed {
            seq: 1,
            answer: OK,
            stages: None,
            flagged: None,
            arm: None,
            named: false
        }))
    );
    assert!(session.ready());
    assert!(session.poll_event(&mut context()).is_pending());

    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    session.stream.push(response.as_bytes());
    session.stream.take_written();
    session.send(&mut context(), &message(2, b"{\"seq\":2}")).unwrap();
    assert!(session.stream.written().ends_with(b"Content-Length: 9\r\n\r\n{\"seq\":2}"));
    let stages = Some(Stages { total_ns: 9, ..Stages::default() });
    assert_eq!(
        session.poll_event(&mut context()),
        Poll::Ready(Ok(Event::Closed { seq: 2, answer: OK, stages, flagged: None, arm: None, named: false }))
    );
    assert_eq!(session.poll_close(&mut context()), Poll::Ready(()));
    assert!(session.stream.is_shut());
}

#[test]
fn a_blocked_request_is_written_on_by_polling() {
    let mut session = session(Script::new().accepting(10));
    session.send(&mut context(), &message(1, b"{}")).unwrap();
    assert_eq!(session.stream.written().len(), 10);
    session.stream.accept(usize::MAX);
    assert!(session.poll_event(&mut context()).is_pending());
    assert!(session.stream.written().ends_with(b"\r\n\r\n{}"));
    assert_eq!(session.send(&mut context(), &message(2, b"{}")), Err(Failure::not_ready()));
}

#[test]
fn an_early_answer_ends_the_connection() {
    let mut session =
        session(Script::new().accepting(10).data(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"));
    session.send(&mut context(), &message(1, b"{}")).unwrap();
    let event = session.poll_event(&mut context());
    assert_eq!(
        event,
        Poll::Ready(Ok(Event::Closed {
            seq: 1,
            answer: STATUS,
            stages: None,
            flagged: None,
            arm: None,
            named: false
        }))
    );
    assert!(!session.ready());
    assert!(matches!(
        session.poll_event(&mut context()),
        Poll::Ready(Err(Failure { kind: ErrorKind::Closed, .. }))
    ));
}

#[test]
fn failures_of_the_connection_keep_their_kind() {
    let reset = Script::new().error(io::ErrorKind::ConnectionReset);
    assert_eq!(outcome(reset).1.unwrap().0, ErrorKind::Reset);
    let reset = Script::new().data(b"HTTP/1.1 200 OK\r\n").error(io::ErrorKind::ConnectionReset);
    assert_eq!(outcome(reset).1.unwrap().0, ErrorKind::Reset);

    let idle = |script: Script| session(script).poll_event(&mut context());
    let kind = |polled| match polled {
        Poll::Ready(Err(Failure { kind, .. })) => kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(idle(Script::new().end())), ErrorKind::Closed);
    assert_eq!(kind(idle(Script::new().data(b"HTTP/1.1 408 Request Timeout\r\n\r\n"))), ErrorKind::Closed);
    assert_eq!(kind(idle(Script::new().data(b"hello"))), ErrorKind::Protocol);
}

#[test]
fn responses_to_head_have_no_body_whatever_they_say() {
    let identity = Identity { method: "HEAD".to_owned(), ..Identity::of("d") };
    let table = [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ];
    for response in table {
        let mut session = session_of(Script::new(), HttpSettings::default(), &identity).unwrap();
        for seq in 0..3 {
            session.stream.push(response.as_bytes());
            session.send(&mut context(), &message(seq, b"")).unwrap();
            let event = session.poll_event(&mut context());
            let closed =
                Event::Closed { seq, answer: OK, stages: None, flagged: None, arm: None, named: false };
            assert_eq!(event, Poll::Ready(Ok(closed)), "{response}");
            assert!(session.ready());
        }
    }
}

#[test]
fn the_fleet_says_which_statuses_are_good_and_which_shed() {
    let http = |ok: &str, shed: &str| HttpSettings {
        ok: ok.parse().unwrap(),
        shed: shed.parse().unwrap(),
        ..HttpSettings::default()
    };
    let table = [
        (http("2xx", "429"), 201, OK),
        (http("200", "429"), 201, STATUS),
        (http("2xx,404", "429"), 404, OK),
        (http("2xx", "420-429,5xx"), 420, Answer::Shed),
        (http("2xx", "420-429,5xx"), 500, Answer::Shed),
        (http("2xx", "429"), 503, STATUS),
        (http("2xx,429", "429"), 429, OK),
    ];
    for (http, status, expected) in table {
        let response = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
        let stream = Script::new().data(response.as_bytes());
        let mut session = session_of(stream, http.clone(), &Identity::of("d")).unwrap();
        session.send(&mut context(), &message(1, b"{}")).unwrap();
        let closed =
            Event::Closed { seq: 1, answer: expected, stages: None, flagged: None, arm: None, named: false };
        assert_eq!(session.poll_event(&mut context()), Poll::Ready(Ok(closed)), "{status} {http:?}");
    }
}

#[test]
fn a_fresh_connection_ends_in_order_after_its_one_response() {
    let http = HttpSettings { fresh: true, ..HttpSettings::default() };
    let stream = Script::new().data(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let mut session = session_of(stream, http, &Identity::of("d")).unwrap();
    session.send(&mut context(), &message(1, b"{}")).unwrap();
    let written = String::from_utf8(session.stream.take_written()).unwrap();
    assert!(written.contains("\r\nConnection: close\r\n"), "{written}");
    let closed = Event::Closed { seq: 1, answer: OK, stages: None, flagged: None, arm: None, named: false };
    assert_eq!(session.poll_event(&mut context()), Poll::Ready(Ok(closed)));
    assert!(!session.ready());
    let expected = Failure::closed("the connection has served its one reading");
    assert_eq!(session.poll_event(&mut context()), Poll::Ready(Err(expected)));
}

#[test]
fn a_session_prints_none_of_the_secrets_it_sends() {
    let headers = vec![("Authorization".to_owned(), "s3cret".to_owned())];
    let identity = Identity { address: Some("/in?t=s3cret".to_owned()), headers, ..Identity::of("d") };
    let mut session = session_of(Script::new().accepting(0), HttpSettings::default(), &identity).unwrap();
    session.send(&mut context(), &message(1, b"{}")).unwrap();
    let bytes = format!("{:?}", b"s3cret");
    let shown = format!("{session:?}");
    assert!(!shown.contains("s3cret") && !shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
}

#[test]
fn an_address_is_for_one_reading_and_a_bad_one_ends_the_session() {
    let mut session = session(Script::new().data(b"HTTP/1.1 204 x\r\n\r\n"));
    let elsewhere = Message { address: Some("/elsewhere"), ..message(1, b"{}") };
    session.send(&mut context(), &elsewhere).unwrap();
    assert!(session.stream.take_written().starts_with(b"POST /elsewhere HTTP/1.1\r\nHost: 127.0.0.1:9\r\n"));
    assert!(session.poll_event(&mut context()).is_ready());
    let nowhere = Message { address: Some("no where"), ..message(2, b"{}") };
    assert_eq!(session.send(&mut context(), &nowhere).unwrap_err().kind, ErrorKind::Protocol);
    assert_eq!(session.stream.written(), b"");
}
