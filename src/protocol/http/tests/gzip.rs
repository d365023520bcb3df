//! Compressed bodies, of requests and of replies.

use super::super::super::compression;
use super::*;

fn asking(gzip_requests: bool, gzip_replies: bool) -> HttpSettings {
    HttpSettings { gzip_requests, gzip_replies, ..HttpSettings::default() }
}

fn packed(plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    assert!(compression::gzip(plain, &mut packed));
    packed
}

fn verdict(more: usize) -> Vec<u8> {
    let more = "x".repeat(more);
    format!(r#"{{"type":"verdict","device":"d","seq":7,"anomaly":true,"stages":{{"total_ns":9}},"more":"{more}"}}"#)
        .into_bytes()
}

/// What a reply with `head` and `body` comes to where `asked` says whether compressed ones were asked for.
fn answered(asked: bool, status: u16, head: &str, body: &[u8]) -> (Event, Option<String>) {
    let length = body.len();
    let mut bytes = format!("HTTP/1.1 {status} x\r\n{head}Content-Length: {length}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    let cuts: Vec<usize> = (0..bytes.len()).step_by(1_000).collect();
    let stream = Script::new().cut(&bytes, &cuts);
    let mut session = session_of(stream, asking(false, asked), &Identity::of("d")).unwrap();
    session.send(&mut context(), &message(7, b"{}")).unwrap();
    let Poll::Ready(Ok(event)) = session.poll_event(&mut context()) else { panic!("no answer") };
    assert_eq!(session.notes.take_payload(), length as u64);
    assert!(session.ready());
    let reason = session.notes.explain(7);
    (event, reason.map(|reason| reason.sentence.into_owned() + reason.sample.as_deref().unwrap_or_default()))
}

fn closed(answer: Answer, judged: bool) -> Event {
    let stages = judged.then_some(Stages { total_ns: 9, ..Stages::default() });
    Event::Closed { seq: 7, answer, stages, flagged: judged.then_some(true), arm: None, named: false }
}

#[test]
fn requests_are_compressed_where_they_have_a_body() {
    let reading = br#"{"seq":1,"value":21.5,"value":21.5,"value":21.5,"value":21.5}"#;
    for (method, payload, compressed) in
        [("POST", &reading[..], true), ("POST", b"", false), ("GET", b"", false), ("GET", b"x", true)]
    {
        let identity = Identity { method: method.to_owned(), ..Identity::of("d") };
        let mut session = session_of(Script::new(), asking(true, false), &identity).unwrap();
        let elsewhere = Message { address: Some("/b?y=2"), ..message(1, payload) };
        session.send(&mut context(), &elsewhere).unwrap();
        let written = session.stream.take_written();
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut fields);
        let httparse::Status::Complete(head) = request.parse(&written).unwrap() else { panic!("incomplete") };
        assert_eq!(request.path, Some("/b?y=2"));
        let value = |name: &str| {
            let found = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
            found.map(|field| std::str::from_utf8(field.value).unwrap())
        };
        assert_eq!(value("content-encoding"), compressed.then_some("gzip"), "{method}");
        assert_eq!(value("accept-encoding"), None);
        let mut plain = written[head..].to_vec();
        if compressed {
            assert_eq!(value("content-length"), Some(&*plain.len().to_string()));
            let body = std::mem::take(&mut plain);
            compression::gunzip(&body, true, 1_000, &mut plain).unwrap();
        }
        assert_eq!(plain, payload);
    }
}

#[test]
fn compressed_replies_are_asked_for_and_read() {
    let mut session = session_of(Script::new(), asking(false, true), &Identity::of("d")).unwrap();
    session.send(&mut context(), &message(1, b"{}")).unwrap();
    let written = String::from_utf8(session.stream.take_written()).unwrap();
    assert!(written.contains("\r\nAccept-Encoding: gzip\r\n") && !written.contains("Content-Encoding"));

    let gzip = "Content-Encoding: gzip\r\n";
    let small = packed(&verdict(0));
    // Beyond what is kept of it once it is no longer compressed, the verdict is not looked for.
    let bomb = packed(&verdict(64 << 20));
    let table = [
        (true, 200, gzip, small.clone(), closed(OK, true), None),
        (true, 200, "content-encoding : X-GZIP\r\n", small.clone(), closed(OK, true), None),
        (true, 200, "", verdict(0), closed(OK, true), None),
        (true, 200, "Content-Encoding: identity\r\n", small.clone(), closed(OK, false), None),
        (true, 200, "Content-Encoding: br, gzip\r\n", small.clone(), closed(OK, false), None),
        (false, 200, gzip, small.clone(), closed(OK, false), None),
        (true, 200, gzip, bomb, closed(OK, false), None),
        (true, 204, gzip, Vec::new(), closed(OK, false), None),
        (true, 500, gzip, packed(b"out of order"), closed(STATUS, false), Some("out of order")),
        (false, 500, gzip, packed(b"out of order"), closed(STATUS, false), Some("out of order")),
        (false, 500, "", packed(b"out of order"), closed(STATUS, false), Some("out of order")),
        (
            false,
            500,
            "Content-Encoding: br\r\n",
            vec![0xff; 300],
            closed(STATUS, false),
            Some("300 bytes of br"),
        ),
        (true, 500, gzip, b"plain".to_vec(), closed(STATUS, false), Some("plain")),
        (
            true,
            200,
            gzip,
            verdict(0),
            closed(Answer::Error(ErrorKind::Protocol), false),
            Some("gzip, and is not"),
        ),
        (
            true,
            200,
            gzip,
            small[..40].to_vec(),
            closed(Answer::Error(ErrorKind::Protocol), false),
            Some("is not"),
        ),
    ];
    for (asked, status, head, body, expected, words) in table {
        let (event, reason) = answered(asked, status, head, &body);
        assert_eq!(event, expected, "{status} {head} {reason:?}");
        match (&reason, words) {
            (None, None) => {}
            (Some(reason), Some(words)) => assert!(reason.contains(words), "{reason}"),
            _ => panic!("{reason:?}, not {words:?}"),
        }
    }
}

#[test]
fn a_long_compressed_reply_is_kept_in_part_and_read_as_far() {
    let mut noise: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    noise.splice(0..0, *b"unavailable: ");
    let (event, reason) = answered(true, 503, "Content-Encoding: gzip\r\n", &packed(&noise));
    assert_eq!(event, closed(Answer::Shed, false));
    assert!(reason.unwrap().contains("unavailable"));
}
