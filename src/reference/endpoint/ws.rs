//! WebSocket: one reading per message in, one verdict per message out, any number under way up to a bound.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::{SinkExt, StreamExt};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::Sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::GaugeGuard;
use super::dispatcher::{Dispatcher, Refusal, ReplyChannel};
use super::http::{Content, LARGEST_BODY, error, forbidden, reply};
use crate::reference::admission::{Sender, Source};
use crate::reference::alert::{Filter, Notice, Subscription};
use crate::reference::answer::{Answer, Reason};
use crate::reference::feed::{FeedReader, Read};
use crate::reference::metric::Endpoint;
use crate::reference::pipeline::Submission;
use crate::reference::reading::Reading;
use crate::reference::token::Grant;

/// Readings of one connection that may be under way; beyond that its socket is not read.
const UNDER_WAY: usize = 256;
/// After so long a silence the peer is asked whether it is still there; after another it is taken for dead.
const SILENCE: Duration = Duration::from_secs(60);
/// How long the closing handshake may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a connection is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// It brings readings, from there.
    Readings(Arc<Grant>, Rc<Source>),
    /// It wants the alerts that fit, from the one after this number on.
    Alerts(Filter, Option<u64>),
    /// It wants what is logged, as it comes.
    Feed(FeedReader),
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const VERSION: HeaderName = HeaderName::from_static("sec-websocket-version");
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");

/// Answers a request to change protocols, and serves the connection after that (RFC 6455 §4.2).
pub(super) fn upgrade(
    request: Request<Incoming>,
    dispatcher: &Rc<Dispatcher>,
    purpose: Purpose,
) -> Response<Content> {
    if !wants_websocket(request.headers()) {
        let mut answer =
            reply(StatusCode::UPGRADE_REQUIRED, "text/plain; charset=utf-8", "speak WebSocket here\n");
        answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        answer.headers_mut().insert(VERSION, HeaderValue::from_static("13"));
        return answer;
    }
    let Some(accept) = accept(request.headers()) else {
        return error(StatusCode::BAD_REQUEST, "the Sec-WebSocket-Key is not one of 16 bytes in Base64");
    };
    let dispatcher = Rc::clone(dispatcher);
    let serving = Rc::clone(&dispatcher);
    serving.serve_socket(async move {
        // The peer may leave before the change of protocols is done.
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        let config = WebSocketConfig::default()
            .read_buffer_size(4 * 1024)
            .write_buffer_size(0)
            .max_write_buffer_size(LARGEST_BODY * 4)
            .max_message_size(Some(LARGEST_BODY))
            .max_frame_size(Some(LARGEST_BODY));
        let socket =
            WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
        match purpose {
            Purpose::Readings(grant, source) => {
                converse(socket, &dispatcher, Sender { grant: &grant, source: &source }).await;
            }
            Purpose::Alerts(filter, after) => match dispatcher.alert_log.subscribe(filter, after) {
                Some(alerts) => tell(socket, &dispatcher, Feed::Alerts(alerts)).await,
                None => say_farewell(socket, Some((CloseCode::Again, "too many subscribers"))).await,
            },
            Purpose::Feed(reader) => tell(socket, &dispatcher, Feed::Log(reader)).await,
        }
    });
    let mut answer = Response::new(Content::whole(""));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(ACCEPT, accept);
    answer
}

fn wants_websocket(headers: &HeaderMap) -> bool {
    let lists = |name: HeaderName, word: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(word))
    };
    lists(UPGRADE, "websocket")
        && lists(CONNECTION, "upgrade")
        && headers.get(&VERSION).is_some_and(|v| v == "13")
}

/// The answer to the one key of a handshake; `None` if that is not 16 bytes in Base64 (RFC 6455 §4.2.1).
fn accept(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut keys = headers.get_all(&KEY).iter();
    let key = keys.next().filter(|_| keys.next().is_none())?.as_bytes();
    let is_sound = BASE64.decode(key).is_ok_and(|bytes| bytes.len() == 16);
    HeaderValue::try_from(derive_accept_key(key)).ok().filter(|_| is_sound)
}

/// Serves a connection that brings readings.
async fn converse(mut socket: Socket, dispatcher: &Rc<Dispatcher>, sender: Sender<'_>) {
    let _open = GaugeGuard::new(&dispatcher.metrics.ws_connections);
    let channel = dispatcher.reply_channel();
    let mut under_way = 0_usize;
    let mut heart = Heartbeat::new();
    let mut stop = dispatcher.stop.clone();
    let farewell = loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break Some((CloseCode::Away, "the service stops")),
            answer = channel.next(), if under_way > 0 => {
                let mut next = Some(answer);
                while let Some(mut answer) = next {
                    under_way -= 1;
                    if send(&mut socket, dispatcher, &mut answer).await.is_err() {
                        break;
                    }
                    next = channel.try_next();
                }
                if socket.flush().await.is_err() {
                    break None;
                }
            }
            message = socket.next(), if under_way < UNDER_WAY => {
                heart.heard();
                let bytes = match message {
                    Some(Ok(Message::Text(text))) => bytes::Bytes::from(text),
                    Some(Ok(Message::Binary(bytes))) => bytes,
                    other => match other_than_readings(other, &mut socket).await {
                        Ok(()) => continue,
                        Err(farewell) => break farewell,
                    },
                };
                match take_in(&bytes, dispatcher, sender, &channel).await {
                    None => under_way += 1,
                    Some(answer) => if socket.send(Message::text(answer)).await.is_err() { break None },
                }
            },
            () = heart.beat() => if let Err(farewell) = heart.check(&mut socket).await { break farewell },
        }
    };
    say_farewell(socket, farewell).await;
}

/// Sends an answer, as often as it is to be sent, without flushing.
async fn send(socket: &mut Socket, dispatcher: &Dispatcher, answer: &mut Answer) -> Result<(), Error> {
    let copies = answer.copies();
    if copies == 0 {
        return Ok(());
    }
    let message = Message::text(dispatcher.encode(answer, Endpoint::Ws));
    for _ in 1..copies {
        socket.feed(message.clone()).await?;
    }
    socket.feed(message).await
}

/// What a connection is told of.
enum Feed {
    Alerts(Subscription),
    Log(FeedReader),
}

impl Feed {
    /// What is told next, or why nothing is any more.
    async fn next(&mut self) -> Result<String, &'static str> {
        let missed = |count| format!("{{\"type\":\"missed\",\"count\":{count}}}");
        match self {
            Self::Alerts(alerts) => match alerts.next().await {
                Notice::Alert(logged) => Ok(logged.text.to_string()),
                ref lost @ (Notice::Missed(_) | Notice::Forgotten { .. }) => {
                    Ok(format!("{{\"type\":\"missed\",{}}}", lost.loss().unwrap_or_default()))
                }
                Notice::Cut => Err("too slow for the alerts"),
            },
            Self::Log(reader) => match reader.next().await {
                Read::Message(logged) => Ok(logged.text.clone()),
                Read::Missed(count) => Ok(missed(count)),
            },
        }
    }
}

/// Serves a connection that wants to be told. What it says is passed over.
async fn tell(mut socket: Socket, dispatcher: &Rc<Dispatcher>, mut feed: Feed) {
    let _open = GaugeGuard::new(&dispatcher.metrics.ws_connections);
    let mut heart = Heartbeat::new();
    let mut stop = dispatcher.stop.clone();
    let farewell = loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break Some((CloseCode::Away, "the service stops")),
            next = feed.next() => {
                let text = match next {
                    Ok(text) => text,
                    Err(why) => break Some((CloseCode::Policy, why)),
                };
                if socket.send(Message::text(text)).await.is_err() { break None }
            }
            message = socket.next() => {
                heart.heard();
                match message {
                    Some(Ok(Message::Text(_) | Message::Binary(_))) => {}
                    other => if let Err(farewell) = other_than_readings(other, &mut socket).await { break farewell },
                }
            }
            () = heart.beat() => if let Err(farewell) = heart.check(&mut socket).await { break farewell },
        }
    };
    say_farewell(socket, farewell).await;
}

type Farewell = Option<(CloseCode, &'static str)>;

/// Handles what is not a reading; gives how the connection ends if it does.
async fn other_than_readings(
    message: Option<Result<Message, Error>>,
    socket: &mut Socket,
) -> Result<(), Farewell> {
    match message {
        // The pong to a ping is queued by the codec; it must leave even if nothing else does.
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
            socket.flush().await.map_err(|_| None)
        }
        Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
            Err(Some((CloseCode::Size, "a reading is at most 64 KiB")))
        }
        Some(Err(Error::Utf8(_))) => Err(Some((CloseCode::Invalid, "a text message is UTF-8"))),
        Some(Err(Error::Protocol(_))) => Err(Some((CloseCode::Protocol, "that is not WebSocket"))),
        Some(Ok(_) | Err(_)) | None => Err(None),
    }
}

async fn say_farewell(mut socket: Socket, farewell: Farewell) {
    if let Some((code, reason)) = farewell {
        let frame = CloseFrame { code, reason: reason.into() };
        // A peer that is gone cannot be told, and one that does not listen is not waited for.
        let _ = tokio::time::timeout(FAREWELL, socket.close(Some(frame))).await;
    }
}

/// Tells silent connections from dead ones: after a silence it asks, and what does not answer is closed.
struct Heartbeat {
    next: Pin<Box<Sleep>>,
    asked: bool,
    heard: bool,
}

impl Heartbeat {
    fn new() -> Self {
        Self { next: Box::pin(tokio::time::sleep(SILENCE)), asked: false, heard: false }
    }

    /// Something came in. The timer is set anew when it runs out, not with every message.
    const fn heard(&mut self) {
        self.heard = true;
        self.asked = false;
    }

    async fn beat(&mut self) {
        self.next.as_mut().await;
    }

    async fn check(&mut self, socket: &mut Socket) -> Result<(), Farewell> {
        self.next.set(tokio::time::sleep(SILENCE));
        if std::mem::take(&mut self.heard) {
            return Ok(());
        }
        if std::mem::replace(&mut self.asked, true) {
            return Err(Some((CloseCode::Away, "nothing was heard of you")));
        }
        socket.send(Message::Ping(bytes::Bytes::new())).await.map_err(|_| None)
    }
}

/// Hands a message to the pipeline; gives the answer where there is one at once.
async fn take_in(
    bytes: &[u8],
    dispatcher: &Dispatcher,
    sender: Sender<'_>,
    channel: &ReplyChannel,
) -> Option<String> {
    let arrived = dispatcher.pipeline.now();
    let reading = match Reading::parse(bytes) {
        Ok(reading) => reading,
        Err(bad) => {
            dispatcher.bad(arrived, Endpoint::Ws, &bad.reason, bytes);
            return Some(bad.encode());
        }
    };
    if let Err(denial) = dispatcher.demand_device(sender, &reading.device) {
        return Some(forbidden(&reading, &denial));
    }
    let id = reading.id();
    let refused = |refusal: Refusal| Some(dispatcher.encode(&mut refusal.answer(id.clone()), Endpoint::Ws));
    if let Err(refusal) = dispatcher.admit(&id.device, sender, arrived).await {
        return refused(refusal);
    }
    match dispatcher.submit_patiently(reading, arrived, channel.reply_to()).await {
        Submission::Taken => None,
        Submission::Refused(reason, retry_ms) => refused(Refusal::Shed(reason, retry_ms)),
        // Who waits patiently is not blocked.
        Submission::Blocked(_) => refused(Refusal::Shed(Reason::QueueFull, 1_000)),
    }
}
