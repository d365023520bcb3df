//! Streams of events: what a session asks for, what it takes for an answer, and what it tells.

pub(super) mod peer;

use std::fmt::Write as _;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use proptest::prelude::*;

use super::super::fault_injector::Codec as _;
use super::super::harness::script::{Script, context};
use super::super::{
    Correlation, Endpoint, Event, Failure, Hearing, Identity, Roster, SessionState, Settings,
};
use super::Sse;
use crate::record::{ErrorKind, Protocol};

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n";

fn settings() -> Settings {
    let roster = Roster(Arc::new(|device: &str| device.strip_prefix("m-")?.parse().ok()));
    let correlation = Correlation::Source { device: "/device".into(), seq: "/seq".into() };
    Settings { hearing: Hearing::Others(roster), correlation, ..Settings::default() }
}

fn open_as(mut script: Script, identity: &Identity) -> (Result<Sse<Script>, Failure>, String) {
    let endpoint = Endpoint::resolve(Protocol::named("sse"), "http://127.0.0.1:81/events?x=1").unwrap();
    let settings = settings();
    let mut written = Vec::new();
    let opened = {
        let mut opening = Box::pin(Sse::open(&mut script, &endpoint, &settings, identity));
        match opening.as_mut().poll(&mut context()) {
            Poll::Ready(opened) => {
                opened.map(|sse| (sse.inbox, sse.body, sse.parser, sse.correlator, sse.notes, sse.has_asked))
            }
            Poll::Pending => panic!("the response is there"),
        }
    };
    written.extend_from_slice(&script.take_written());
    let opened = opened.map(|(inbox, body, parser, correlator, notes, has_asked)| Sse {
        stream: script,
        inbox,
        body,
        parser,
        correlator,
        notes,
        has_asked,
    });
    (opened, String::from_utf8(written).unwrap())
}

fn open(script: Script) -> Result<Sse<Script>, Failure> {
    open_as(script, &Identity::of("d")).0
}

/// What a session tells until it waits or ends, as device and number.
fn heard(session: &mut Sse<Script>) -> (Vec<(u32, u64)>, Option<Failure>) {
    let mut heard = Vec::new();
    loop {
        match session.poll_event(&mut context()) {
            Poll::Ready(Ok(Event::Heard { sender, seq, .. })) => heard.push((sender, seq)),
            Poll::Ready(Ok(event)) => panic!("{event:?}"),
            Poll::Ready(Err(failure)) => return (heard, Some(failure)),
            Poll::Pending => return (heard, None),
        }
    }
}

fn event(device: u32, seq: u64) -> String {
    format!("id: {seq}\nevent: alert\ndata: {{\"device\":\"m-{device}\",\ndata: \"seq\":{seq}}}\n\n")
}

#[test]
fn the_request_asks_for_events_and_says_what_was_heard_last() {
    let script = || Script::new().data(HEAD.as_bytes());
    let (_, first) = open_as(script(), &Identity::of("d"));
    assert!(first.starts_with("GET /events?x=1 HTTP/1.1\r\nHost: 127.0.0.1:81\r\n"), "{first}");
    assert!(first.contains("\r\nAccept: text/event-stream\r\n") && first.ends_with("\r\n\r\n"), "{first}");
    assert!(!first.contains("Last-Event-ID") && !first.contains("Content-"), "{first}");

    let mut session = open(script().data(b"retry: 1500\nid: 7\n\n")).unwrap();
    assert_eq!(heard(&mut session).0, []);
    let left = session.suspend(Vec::new(), Vec::new()).unwrap();
    assert_eq!(left.pause(), Duration::from_millis(1_500));
    let headers = vec![("accept".to_owned(), "text/*".to_owned())];
    let (again, next) = open_as(script(), &Identity { resume: Some(left), headers, ..Identity::of("d") });
    assert!(next.contains("\r\nLast-Event-ID: 7\r\n") && next.contains("\r\naccept: text/*\r\n"), "{next}");
    assert!(!next.contains("text/event-stream"), "{next}");
    // A connection without events changes nothing.
    assert_eq!(
        again.unwrap().suspend(Vec::new(), Vec::new()).map(|left| left.pause()),
        Some(Duration::from_millis(1_500))
    );
    assert!(open(script()).unwrap().suspend(Vec::new(), Vec::new()).is_none());
    // Another protocol's is passed over.
    let strange = Some(SessionState::new(7_u8, Duration::ZERO));
    assert!(
        !open_as(script(), &Identity { resume: strange, ..Identity::of("d") }).1.contains("Last-Event-ID")
    );
}

#[test]
fn only_a_stream_of_events_is_taken_for_one() {
    let with = |head: &str| open(Script::new().data(format!("HTTP/1.1 {head}\r\n\r\n").as_bytes()).end());
    for head in [
        "200 OK\r\nContent-Type: text/event-stream",
        "200\r\ncontent-type:Text/Event-Stream ; charset=utf-8\r\nTransfer-Encoding: chunked",
        "100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/event-stream",
    ] {
        assert!(with(head).is_ok(), "{head}");
    }
    for (head, said, for_good) in [
        ("404 Not Found", "404", true),
        ("429 Too Many Requests", "429", false),
        ("503 Service Unavailable", "503", false),
        ("204 No Content", "204", false),
        ("200 OK\r\nContent-Type: text/html", "`text/html`, and not text/event-stream", true),
        ("200 OK", "``", true),
        ("200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip", "compresses", false),
        ("101 Switching Protocols", "switched protocols", false),
    ] {
        let failure = with(head).unwrap_err();
        assert_eq!(failure.kind, ErrorKind::Protocol, "{head}");
        assert!(failure.reason.sentence.contains(said), "{head}: {failure}");
        assert_eq!(failure.reason.final_refusal, for_good, "{head}");
    }
}

#[test]
fn events_are_told_one_by_one_and_what_names_no_reading_is_counted() {
    let stream =
        [&*event(7, 1), ": beat\n\n", &event(8, 2), "data: {\"count\":3}\n\n", &event(7, 9)].concat();
    let mut session = open(Script::new().data(HEAD.as_bytes()).data(stream.as_bytes()).end()).unwrap();
    assert!(!session.ready());
    let (told, failure) = heard(&mut session);
    assert_eq!(told, [(7, 1), (8, 2), (7, 9)]);
    assert_eq!(failure.unwrap().kind, ErrorKind::Closed);
    let unmatched = session.notes.take_unmatched().unwrap();
    assert_eq!((unmatched.count, unmatched.first.as_deref()), (1, Some("{\"count\":3}")));
}

#[test]
fn a_stream_ends_where_its_framing_says() {
    let (one, two) = (event(7, 1), event(7, 2));
    let with = |framing: &str, body: &str| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{framing}\r\n");
        let mut session = open(Script::new().data(head.as_bytes()).data(body.as_bytes())).unwrap();
        let (told, failure) = heard(&mut session);
        (told.len(), failure.map(|failure| failure.kind))
    };
    let length = format!("Content-Length: {}\r\n", one.len());
    let chunked = "Transfer-Encoding: chunked\r\n";
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    for (framing, body, expected) in [
        ("", one.clone() + &two, (2, None)),
        (&length, one.clone() + &two, (1, Some(ErrorKind::Closed))),
        (chunked, chunk(&one) + &chunk(&two), (2, None)),
        (chunked, chunk(&(one.clone() + &two)), (2, None)),
        (chunked, chunk(&one[..9]) + &chunk(&one[9..]) + "0\r\n\r\n", (1, Some(ErrorKind::Closed))),
        (chunked, chunk(&one) + "xyz\r\n", (1, Some(ErrorKind::Protocol))),
        (chunked, format!("2\r\n{one}"), (0, Some(ErrorKind::Protocol))),
    ] {
        assert_eq!(with(framing, &body), expected, "{framing} {body:?}");
    }
}

proptest! {
    #[test]
    fn chunks_and_pieces_change_nothing(
        readings in proptest::collection::vec((0_u32..3, 0_u64..100), 0..12),
        chunks in proptest::collection::vec(1_usize..40, 1..20),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let stream: String = readings.iter().map(|(device, seq)| event(*device, *seq)).collect();
        let mut body = String::from("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        let (mut rest, mut sizes) = (stream.as_str(), chunks.iter().cycle());
        while !rest.is_empty() {
            let (chunk, more) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            write!(body, "{:x};part\r\n{chunk}\r\n", chunk.len()).unwrap();
            rest = more;
        }
        let head = body.find("\r\n\r\n").unwrap() + 4;
        let script = Script::new().data(&body.as_bytes()[..head]).cut(&body.as_bytes()[head..], &cuts);
        let mut session = open(script).unwrap();
        prop_assert_eq!(heard(&mut session), (readings, None));
    }
}
