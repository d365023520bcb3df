//! One exchange of each protocol over a stream in memory, for the benches. Compiled with the feature `internals` only; no part of
//! the API.

use std::task::Poll;

use super::super::fault_injector::Codec;
use super::super::http::Http;
use super::super::mqtt::Mqtt;
use super::super::ws::Ws;
use super::super::{Endpoint, Event, Failure, Identity, Message, MqttSettings, OwnSettings, Settings};
use super::script::{Script, context};
use crate::record::{Close, Protocol, Qos};

const PAYLOAD: &[u8] = b"{\"device\":\"d\",\"seq\":1,\"intended_ns\":12345678901,\"value\":21.5312}";
const VERDICT: &[u8] =
    b"{\"type\":\"verdict\",\"device\":\"d\",\"seq\":1,\"score\":0.1,\"anomaly\":false,\"level\":\"none\",\"stages\":{\"queue_ns\":1200,\"cache_ns\":300,\"inference_ns\":51000,\"total_ns\":54000}}";

fn verdicts() -> Settings {
    Settings { close: Close::Verdict, ..Settings::default() }
}

fn message() -> Message<'static> {
    Message::new(1, PAYLOAD)
}

/// # Panics
/// If the reply does not close the reading: the benches are wrong then.
fn closed(polled: &Poll<Result<Event, Failure>>) {
    assert!(matches!(polled, Poll::Ready(Ok(Event::Closed { .. }))), "{polled:?}");
}

/// Writes a request and reads its response with a verdict, again and again.
///
/// # Panics
/// If the session is broken.
pub fn http() -> impl FnMut() {
    let endpoint = Endpoint::resolve(Protocol::named("http"), "http://127.0.0.1:9/in").expect("a sound URL");
    let mut session =
        Http::new(Script::new(), &endpoint, &verdicts(), &Identity::of("d")).expect("a sound request");
    let mut reply = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        VERDICT.len()
    )
    .into_bytes();
    reply.extend_from_slice(VERDICT);
    move || {
        session.send(&mut context(), &message()).expect("the stream takes everything");
        session.stream_mut().take_written();
        session.stream_mut().push(&reply);
        closed(&session.poll_event(&mut context()));
    }
}

/// Writes a text frame and reads the verdict's, again and again.
///
/// # Panics
/// If the session is broken.
pub fn ws() -> impl FnMut() {
    let settings = verdicts();
    let mut session = Ws::past_upgrade(Script::new(), &settings, &Identity::of("d"));
    let mut reply = vec![0x81, 126];
    reply.extend_from_slice(&(VERDICT.len() as u16).to_be_bytes());
    reply.extend_from_slice(VERDICT);
    move || {
        session.send(&mut context(), &message()).expect("the stream takes everything");
        session.stream_mut().take_written();
        session.stream_mut().push(&reply);
        closed(&session.poll_event(&mut context()));
    }
}

/// Writes a PUBLISH at `QoS` 1 and reads its PUBACK, again and again.
///
/// # Panics
/// If the session is broken.
pub fn mqtt() -> impl FnMut() {
    let mqtt = MqttSettings { qos: Qos::AtLeastOnce, ..MqttSettings::default() };
    let settings = Settings { close: Close::Ack, own: OwnSettings::of(mqtt), ..Settings::default() };
    let mut session = Mqtt::new(Script::new(), &settings, &Identity::of("d")).expect("sound settings");
    move || {
        session.send(&mut context(), &message()).expect("the stream takes everything");
        let written = session.stream_mut().take_written();
        let at = written.len() - PAYLOAD.len() - 2;
        session.stream_mut().push(&[0x40, 2, written[at], written[at + 1]]);
        closed(&session.poll_event(&mut context()));
    }
}
