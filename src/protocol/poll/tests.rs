//! Pollers: what they ask for, what they take for an answer, and what they tell.

pub(in crate::protocol) mod peer;

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use proptest::prelude::*;

use super::super::fault_injector::Codec as _;
use super::super::harness::script::{Script, context};
use super::super::{Endpoint, Event, Failure, Hearing, Identity, OwnSettings, Roster, Settings};
use super::{Pace, PollSettings, Poller};
use crate::record::{ErrorKind, Protocol};

/// An event: its number, and the device and the reading that it is about.
type Told = (u64, u32, u64);

fn settings(own: PollSettings) -> Settings {
    let roster = Roster(Arc::new(|device: &str| device.strip_prefix("m-")?.parse().ok()));
    Settings { hearing: Hearing::Others(roster), own: OwnSettings::of(own), ..Settings::default() }
}

fn since(name: Option<&str>) -> PollSettings {
    PollSettings { since: name.map(Into::into), ..PollSettings::default() }
}

fn open_as(
    script: Script,
    own: PollSettings,
    identity: &Identity,
    pace: Pace,
) -> Result<Poller<Script>, Failure> {
    let endpoint = Endpoint::resolve(Protocol::named("poll"), "http://127.0.0.1:81/events?x=1").unwrap();
    let settings = settings(own);
    match pin!(Poller::open(script, &endpoint, &settings, identity, pace)).poll(&mut context()) {
        Poll::Ready(opened) => opened,
        Poll::Pending => panic!("the response is there"),
    }
}

fn open(replies: &[Vec<u8>], own: PollSettings) -> Poller<Script> {
    let script = Script::new().data(&reply("", "[]")).data(&replies.concat());
    open_as(script, own, &Identity::of("d"), Pace::OnCall).unwrap()
}

fn reply(fields: &str, list: &str) -> Vec<u8> {
    let body = format!("{{\"last\":7,\"alerts\":{list}}}");
    format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn list(events: &[Told]) -> String {
    let event = |(id, device, seq): &Told| format!(r#"{{"id":{id},"device":"m-{device}","seq":{seq}}}"#);
    format!("[{}]", events.iter().map(event).collect::<Vec<_>>().join(", "))
}

/// What a session tells until it waits or ends, as device and number.
fn heard(session: &mut Poller<Script>) -> (Vec<(u32, u64)>, Option<Failure>) {
    let mut heard = Vec::new();
    loop {
        match session.poll_event(&mut context()) {
            Poll::Ready(Ok(Event::Heard { sender, seq, .. })) => heard.push((sender, seq)),
            Poll::Ready(Ok(Event::Replied | Event::Asks)) => {}
            Poll::Ready(Ok(event)) => panic!("{event:?}"),
            Poll::Ready(Err(failure)) => return (heard, Some(failure)),
            Poll::Pending => return (heard, None),
        }
    }
}

/// What it tells after its next turn.
fn turn(session: &mut Poller<Script>) -> (Vec<(u32, u64)>, Option<Failure>) {
    session.keep_alive(&mut context()).unwrap();
    heard(session)
}

fn written(session: &mut Poller<Script>) -> String {
    String::from_utf8(session.stream.take_written()).unwrap()
}

#[test]
fn each_turn_asks_once_for_what_came_after_the_last_number() {
    let replies = [
        reply("ETag: \"a\"\r\n", &list(&[(3, 7, 1), (4, 8, 1)])),
        reply("ETag: W/\"b\"\r\n", "[]"),
        b"HTTP/1.1 304 Not Modified\r\nETag: W/\"b\"\r\n\r\n".to_vec(),
        b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
    ];
    let mut session = open(&[], since(Some("from")));
    let first = written(&mut session);
    assert!(first.starts_with("GET /events?x=1 HTTP/1.1\r\nHost: 127.0.0.1:81\r\n"), "{first}");
    assert!(first.contains("\r\nAccept: application/json\r\n") && first.ends_with("\r\n\r\n"), "{first}");
    assert!(!first.contains("If-None-Match") && !first.contains("Content-"), "{first}");
    assert_eq!(heard(&mut session).0, []);
    assert_eq!(written(&mut session), "", "it waits for its turn");
    let mut asked = Vec::new();
    for (answer, told) in replies.iter().zip([vec![(7, 1), (8, 1)], vec![], vec![], vec![]]) {
        session.keep_alive(&mut context()).unwrap();
        asked.push(written(&mut session));
        session.stream.push(answer);
        let (found, failure) = heard(&mut session);
        assert_eq!((found, failure.map(|failure| failure.to_string())), (told, None));
    }
    let targets: Vec<&str> = asked.iter().map(|request| request.split(' ').nth(1).unwrap()).collect();
    assert_eq!(targets, ["/events?x=1", "/events?x=1&from=4", "/events?x=1&from=4", "/events?x=1&from=4"]);
    let tags: Vec<Option<&str>> =
        asked.iter().map(|it| it.lines().find_map(|line| line.strip_prefix("If-None-Match: "))).collect();
    // The first tag was of another question.
    assert_eq!(tags, [None, None, Some("W/\"b\""), Some("W/\"b\"")]);
    assert_eq!(session.take_requests(), 5);
}

#[test]
fn what_happened_before_it_was_there_is_passed_over_and_a_connection_changes_nothing() {
    let script = Script::new()
        .data(&reply("", &list(&[(1, 7, 1), (2, 7, 2)])))
        .data(&reply("", &list(&[(3, 7, 3)])))
        .data(&reply("", "[]"))
        .data(&reply("", &list(&[(4, 7, 4)])))
        .end();
    let mut session = open_as(script, since(Some("after")), &Identity::of("d"), Pace::OnCall).unwrap();
    assert_eq!(written(&mut session).matches("GET ").count(), 3);
    let (told, failure) = turn(&mut session);
    assert_eq!((told, failure.map(|it| it.kind)), (vec![(7, 4)], Some(ErrorKind::Closed)));
    let resume = session.suspend(Vec::new(), Vec::new());
    let identity = Identity { resume, ..Identity::of("d") };
    let script = Script::new().data(&reply("", &list(&[(5, 7, 5)])));
    let mut again = open_as(script, since(Some("after")), &identity, Pace::AtOnce).unwrap();
    assert_eq!(heard(&mut again).0, [(7, 5)]);
    let asked = written(&mut again);
    assert!(asked.starts_with("GET /events?x=1&after=4 ") && asked.contains("after=5 "), "{asked}");
}

#[test]
fn the_next_of_long_polls_goes_out_as_soon_as_one_is_answered_and_is_held() {
    let own = PollSettings { hold: Some("wait=30".into()), ..since(Some("after")) };
    let script = Script::new().data(&reply("", "[]"));
    let mut session = open_as(script, own, &Identity::of("d"), Pace::AtOnce).unwrap();
    assert!(!written(&mut session).contains("wait"), "nobody would stand before something happens");
    assert_eq!(heard(&mut session).0, []);
    assert!(written(&mut session).starts_with("GET /events?x=1&wait=30 "));
    for (answer, told) in [
        (reply("", &list(&[(1, 7, 1)])), vec![(7, 1)]),
        (b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), vec![]),
        (reply("", &list(&[(2, 7, 2), (3, 8, 1)])), vec![(7, 2), (8, 1)]),
    ] {
        session.stream.push(&answer);
        assert_eq!(heard(&mut session).0, told);
        assert_eq!(written(&mut session).matches("&wait=30 ").count(), 1);
    }
    session.keep_alive(&mut context()).unwrap();
    let failure = session.keep_alive(&mut context()).unwrap_err();
    assert!(failure.to_string().contains("unanswered"), "{failure}");
}

#[test]
fn the_gap_between_long_polls_is_told_as_it_begins_and_as_it_ends() {
    let own = PollSettings { hold: Some("wait=30".into()), ..since(Some("after")) };
    let script = Script::new().data(&reply("", "[]"));
    let mut session = open_as(script, own, &Identity::of("d"), Pace::AtOnce).unwrap();
    heard(&mut session);
    session.stream.push(&reply("", &list(&[(1, 7, 1), (2, 8, 1)])));
    written(&mut session);
    let mut told = Vec::new();
    while let Poll::Ready(event) = session.poll_event(&mut context()) {
        told.push(match event.unwrap() {
            Event::Replied => "replied",
            Event::Heard { .. } => "heard",
            Event::Asks => "asks",
            event => panic!("{event:?}"),
        });
        assert_eq!(written(&mut session), "", "nothing is asked before its instant can be taken");
        if told.last() == Some(&"asks") {
            break;
        }
    }
    assert_eq!(told, ["replied", "heard", "heard", "asks"]);
    assert!(session.has_more() && session.poll_event(&mut context()).is_pending());
    assert!(!session.has_more() && written(&mut session).starts_with("GET /events?x=1&after=2&wait=30 "));
}

#[test]
fn only_a_list_of_events_is_taken_for_one() {
    let with = |answer: &str| {
        let script = Script::new().data(format!("HTTP/1.1 {answer}").as_bytes()).end();
        open_as(script, PollSettings::default(), &Identity::of("d"), Pace::OnCall)
    };
    for answer in
        ["204 No Content\r\n\r\n", "200 OK\r\nContent-Length: 13\r\n\r\n{\"alerts\":[]}", "200 OK\r\n\r\n"]
    {
        assert!(with(answer).is_ok(), "{answer}");
    }
    for (answer, said, for_good) in [
        ("404 Not Found\r\nContent-Length: 0\r\n\r\n", "404", true),
        ("429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", "429", false),
        ("503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "503", false),
        ("200 OK\r\nContent-Length: 2\r\n\r\n{}", "no list at `/alerts`", true),
        ("200 OK\r\nContent-Length: 6\r\n\r\n<html>", "not JSON", false),
        ("200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "compresses", false),
        ("200 OK\r\nContent-Length: 9\r\n\r\n{}", "in the middle", false),
    ] {
        let failure = with(answer).unwrap_err();
        assert!(failure.reason.sentence.contains(said), "{answer}: {failure}");
        assert_eq!(failure.reason.final_refusal, for_good, "{answer}");
    }
    let mut session = open(&[b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_vec()], since(None));
    assert!(turn(&mut session).1.is_none(), "the next turn may go better");
    assert!(session.notes.take_remark().unwrap().1.sentence.contains("503"));
}

#[test]
fn a_turn_that_comes_before_the_answer_is_left_out_and_ten_of_them_end_the_connection() {
    let mut session = open(&[], since(None));
    session.keep_alive(&mut context()).unwrap();
    written(&mut session);
    for _ in 0..9 {
        session.keep_alive(&mut context()).unwrap();
    }
    assert_eq!(written(&mut session), "");
    assert_eq!(session.notes.take_remark().map(|(count, _)| count), Some(9));
    assert!(session.keep_alive(&mut context()).is_err());
}

/// What a server answers by a schedule, turn by turn: events that it repeats, puts in another order, doubles and leaves out.
fn schedule() -> impl Strategy<Value = Vec<Vec<Told>>> {
    let event = (1_u64..60).prop_map(|id| (id, (id % 3) as u32, id / 3 + 1));
    proptest::collection::vec(proptest::collection::vec(event, 0..12), 1..12)
}

proptest! {
    #[test]
    fn what_is_told_is_the_schedule(schedule in schedule()) {
        let replies: Vec<Vec<u8>> = schedule.iter().map(|events| reply("", &list(events))).collect();
        // Who asks for what is new is told all that comes; where lists overlap, an event of an earlier one is passed over.
        let (mut asking, mut known) = (open(&[], since(Some("after"))), HashSet::new());
        let mut overlapping = open(&[], since(None));
        for (events, answer) in schedule.iter().zip(&replies) {
            let told = |events: &[Told]| events.iter().map(|(_, device, seq)| (*device, *seq)).collect::<Vec<_>>();
            for session in [&mut asking, &mut overlapping] {
                session.stream.push(answer);
            }
            prop_assert_eq!(turn(&mut asking).0, told(events));
            let news: Vec<Told> = events.iter().filter(|(id, ..)| !known.contains(id)).copied().collect();
            prop_assert_eq!(turn(&mut overlapping).0, told(&news));
            known.extend(events.iter().map(|(id, ..)| *id));
        }
    }

    #[test]
    fn chunks_and_pieces_change_nothing(
        schedule in schedule(),
        chunks in proptest::collection::vec(1_usize..40, 1..20),
        cuts in proptest::collection::vec(any::<usize>(), 0..30),
    ) {
        let mut answers = Vec::new();
        for (nth, events) in schedule.iter().enumerate() {
            let body = format!("{{\"alerts\":{}}}", list(events));
            if nth % 2 == 0 {
                answers.extend(reply("", &list(events)));
                continue;
            }
            answers.extend(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let (mut rest, mut sizes) = (body.as_str(), chunks.iter().cycle());
            while !rest.is_empty() {
                let (chunk, more) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
                answers.extend(format!("{:x};part\r\n{chunk}\r\n", chunk.len()).bytes());
                rest = more;
            }
            answers.extend(b"0\r\nX-Trailer: y\r\n\r\n");
        }
        let script = Script::new().cut(&answers, &cuts);
        let mut session = open_as(script, since(Some("after")), &Identity::of("d"), Pace::AtOnce).unwrap();
        let expected: Vec<(u32, u64)> =
            schedule.iter().flatten().map(|(_, device, seq)| (*device, *seq)).collect();
        let (told, failure) = heard(&mut session);
        prop_assert_eq!((told, failure.map(|failure| failure.to_string())), (expected, None));
    }
}
