//! What fuzzing feeds: sessions over a stream that deals a peer's bytes in pieces. Only compiled for `cargo fuzz`.
//!
//! Every input is read in one piece and in pieces of the fuzzer's choice. How a network cuts a stream of bytes must not change
//! what they say.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::super::fault_injector::Codec;
use super::super::http::Http;
use super::super::mqtt::Mqtt;
use super::super::poll::{Pace, PollSettings, Poller};
use super::super::ws::Ws;
use super::super::{
    Correlation, Endpoint, Event, Failure, Hearing, HttpSettings, Identity, Message, MqttSettings,
    OwnSettings, Roster, Settings, V5Settings,
};
use super::script::{Script, context};
use crate::record::{Close, ErrorKind, Protocol, Qos};

/// Events of one input at most: an input that says more than it has bytes has gone wrong.
const MOST: usize = 1 << 20;

/// What a peer said: events, and how it ended.
type Said = (Vec<Event>, Option<ErrorKind>);

/// The selector, where to cut, and the peer's bytes.
fn split(data: &[u8]) -> Option<(u8, Vec<usize>, &[u8])> {
    let (&[selector, a, b, c], bytes) = data.split_first_chunk::<4>()?;
    let cuts = [a, b, c].map(|cut| usize::from(cut) * (bytes.len() + 1) / 256);
    Some((selector, cuts.to_vec(), bytes))
}

fn endpoint(protocol: Protocol) -> Endpoint {
    let url = match protocol.name() {
        "http" => "http://127.0.0.1:9/in",
        "ws" => "ws://127.0.0.1:9/in",
        _ => "mqtt://127.0.0.1:9",
    };
    Endpoint::resolve(protocol, url).expect("a sound URL without a name to look up")
}

fn reading(seq: u64) -> Message<'static> {
    Message::new(seq, b"{\"device\":\"d\",\"seq\":1}")
}

/// Polls until nothing more comes. `Writable` says nothing about the peer's bytes.
fn hear(mut poll: impl FnMut() -> Poll<Result<Event, Failure>>) -> Said {
    let mut events = Vec::new();
    loop {
        match poll() {
            Poll::Ready(Ok(Event::Writable)) => {}
            Poll::Ready(Ok(event)) => events.push(event),
            Poll::Ready(Err(failure)) => return (events, Some(failure.kind)),
            Poll::Pending => return (events, None),
        }
        assert!(events.len() < MOST, "more events than bytes");
    }
}

fn agree(whole: &Said, cut: &Said) {
    assert_eq!(whole, cut, "how the bytes were cut changed what they say");
}

/// An HTTP peer's bytes, as the answer to one request or, cut up, to several in turn.
pub fn http(data: &[u8]) {
    let Some((selector, cuts, bytes)) = split(data) else { return };
    let settings = Settings {
        own: OwnSettings::of(HttpSettings { fresh: selector & 1 != 0, ..HttpSettings::default() }),
        ..Settings::default()
    };
    let method = if selector & 2 != 0 { "HEAD" } else { "POST" };
    let identity = Identity { method: method.to_owned(), ..Identity::of("d") };
    let first = |stream: Script| {
        let mut session = Http::new(stream.end(), &endpoint(Protocol::named("http")), &settings, &identity)
            .expect("a sound request");
        let mut said: Vec<Result<Event, ErrorKind>> = Vec::new();
        for seq in 1..=16 {
            if !session.ready() || session.send(&mut context(), &reading(seq)).is_err() {
                break;
            }
            match session.poll_event(&mut context()) {
                Poll::Ready(Ok(event @ Event::Closed { seq: closed, .. })) => {
                    assert_eq!(closed, seq, "an answer to a request that was not sent");
                    said.push(Ok(event));
                }
                Poll::Ready(Ok(event)) => panic!("HTTP does not say {event:?}"),
                Poll::Ready(Err(failure)) => {
                    said.push(Err(failure.kind));
                    break;
                }
                Poll::Pending => panic!("the stream has ended, and the session waits"),
            }
        }
        said
    };
    // What follows the first response belongs to no request if it comes with it, and to the next one if it comes later.
    let whole = first(Script::new().data(bytes)).into_iter().next();
    let cut = first(Script::new().cut(bytes, &cuts)).into_iter().next();
    assert_eq!(whole, cut, "how the bytes were cut changed what they say");
}

fn settings(selector: u8) -> Settings {
    let close = [Close::Verdict, Close::Reply, Close::Sent, Close::Ack, Close::Delivery];
    let qos = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
    let qos = qos[usize::from(selector >> 4 & 3) % qos.len()];
    let pointer = || Correlation::Pointer("/a/0".into());
    Settings {
        close: close[usize::from(selector & 7) % close.len()],
        correlation: if selector & 8 != 0 { pointer() } else { Correlation::Order },
        own: OwnSettings::of(MqttSettings { qos, ..MqttSettings::default() }),
        hearing: if selector & 64 != 0 {
            Hearing::Others(Roster(Arc::new(|device| (device == "d").then_some(0))))
        } else {
            Hearing::Own
        },
        ..Settings::default()
    }
}

/// A WebSocket peer's bytes after the upgrade, as answers to three readings.
pub fn ws(data: &[u8]) {
    let Some((selector, cuts, bytes)) = split(data) else { return };
    let mut settings = settings(selector);
    if matches!(settings.close, Close::Ack | Close::Delivery) {
        settings.close = Close::Verdict;
    }
    let said = |stream: Script| {
        let mut session = Ws::past_upgrade(stream.end(), &settings, &Identity::of("d"));
        for seq in 1..=3 {
            session.send(&mut context(), &reading(seq)).expect("the stream takes everything");
        }
        hear(|| session.poll_event(&mut context()))
    };
    agree(&said(Script::new().data(bytes)), &said(Script::new().cut(bytes, &cuts)));
}

/// An MQTT broker's bytes: the handshake's too, or as answers to three readings.
pub fn mqtt(data: &[u8]) {
    by_version(data, None);
}

/// The same of MQTT 5.
pub fn mqtt_five(data: &[u8]) {
    by_version(data, Some(V5Settings { topic_aliases: 4, receive_maximum: 3, ..V5Settings::default() }));
}

fn by_version(data: &[u8], five: Option<V5Settings>) {
    let Some((selector, cuts, bytes)) = split(data) else { return };
    let mut settings = settings(selector);
    settings.own = OwnSettings::of(MqttSettings { five, ..settings.own.get() });
    if settings.close == Close::Reply && settings.own.get::<MqttSettings>().qos == Qos::AtMostOnce {
        settings.close = Close::Verdict;
    }
    let identity = Identity::of("d");
    if selector & 128 != 0 {
        let opened = |stream: Script| {
            let at = endpoint(Protocol::named("mqtt"));
            let opening = Mqtt::open(stream.end(), &at, &settings, &identity);
            match pin!(opening).as_mut().poll(&mut context()) {
                Poll::Ready(Ok(mut session)) => hear(|| session.poll_event(&mut context())),
                Poll::Ready(Err(failure)) => (Vec::new(), Some(failure.kind)),
                Poll::Pending => panic!("the stream has ended, and the session waits"),
            }
        };
        return agree(&opened(Script::new().data(bytes)), &opened(Script::new().cut(bytes, &cuts)));
    }
    let said = |stream: Script| {
        let Ok(mut session) = Mqtt::new(stream.end(), &settings, &identity) else {
            return (Vec::new(), None);
        };
        for seq in 1..=3 {
            session.send(&mut context(), &reading(seq)).expect("the stream takes everything");
        }
        hear(|| session.poll_event(&mut context()))
    };
    agree(&said(Script::new().data(bytes)), &said(Script::new().cut(bytes, &cuts)));
}

/// A server's bytes, as replies to one poll after another.
pub fn poll(data: &[u8]) {
    let Some((selector, cuts, bytes)) = split(data) else { return };
    let list = if selector & 1 != 0 { "" } else { "/alerts" };
    let since = (selector & 2 != 0).then(|| "after".into());
    let own = PollSettings { list: list.into(), since, ..PollSettings::default() };
    let hearing = Hearing::Others(Roster(Arc::new(|device| (device == "d").then_some(0))));
    let settings = Settings { hearing, own: OwnSettings::of(own), ..Settings::default() };
    let identity = Identity::of("d");
    let said = |stream: Script| {
        let at = endpoint(Protocol::named("http"));
        match pin!(Poller::open(stream.end(), &at, &settings, &identity, Pace::AtOnce)).poll(&mut context()) {
            Poll::Ready(Ok(mut session)) => hear(|| session.poll_event(&mut context())),
            Poll::Ready(Err(failure)) => (Vec::new(), Some(failure.kind)),
            Poll::Pending => panic!("the stream has ended, and the session waits"),
        }
    };
    agree(&said(Script::new().data(bytes)), &said(Script::new().cut(bytes, &cuts)));
}
