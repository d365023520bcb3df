//! WebSocket: one reading per message in, one verdict per message out, any number under way up to a bound.

use std::rc::Rc;

use futures_util::{SinkExt, StreamExt};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::http::{LARGEST_BODY, reply};
use super::{Counted, Door};
use crate::reference::pipeline::ReplyTo;
use crate::reference::reading::{Reading, Verdict, encode_shed};

/// Readings of one connection that may be under way; beyond that its socket is not read.
const UNDER_WAY: usize = 256;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const VERSION: HeaderName = HeaderName::from_static("sec-websocket-version");
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");

/// Answers a request to change protocols, and serves the connection after that (RFC 6455 §4.2).
pub(super) fn upgrade(request: Request<Incoming>, door: &Rc<Door>) -> Response<Full<bytes::Bytes>> {
    let headers = request.headers();
    let key = headers.get(&KEY).filter(|_| wants_websocket(headers));
    let Some(accept) = key.and_then(|key| HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok())
    else {
        let mut answer =
            reply(StatusCode::UPGRADE_REQUIRED, "text/plain; charset=utf-8", "speak WebSocket here\n");
        answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        answer.headers_mut().insert(VERSION, HeaderValue::from_static("13"));
        return answer;
    };
    let door = Rc::clone(door);
    tokio::task::spawn_local(async move {
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
        converse(socket, &door).await;
    });
    let mut answer = Response::new(Full::default());
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

async fn converse(mut socket: Socket, door: &Door) {
    let _open = Counted::new(&door.metrics.ws_connections);
    let (sender, mut verdicts) = mpsc::channel::<Verdict>(UNDER_WAY);
    let mut under_way = 0;
    let mut stop = door.stop.clone();
    let farewell = loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break Some((CloseCode::Away, "the service stops")),
            Some(verdict) = verdicts.recv(), if under_way > 0 => {
                let mut next = Some(verdict);
                while let Some(verdict) = next {
                    under_way -= 1;
                    if socket.feed(Message::text(verdict.encode())).await.is_err() {
                        break;
                    }
                    next = verdicts.try_recv().ok();
                }
                if socket.flush().await.is_err() {
                    break None;
                }
            }
            message = socket.next(), if under_way < UNDER_WAY => match message {
                Some(Ok(Message::Text(text))) => match take_in(text.as_bytes(), door, &sender) {
                    None => under_way += 1,
                    Some(answer) => if socket.send(Message::text(answer)).await.is_err() { break None },
                },
                Some(Ok(Message::Binary(bytes))) => match take_in(&bytes, door, &sender) {
                    None => under_way += 1,
                    Some(answer) => if socket.send(Message::text(answer)).await.is_err() { break None },
                },
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                    // The pong to a ping is queued by the codec; it must leave even if nothing else does.
                    if socket.flush().await.is_err() { break None }
                }
                Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                    break Some((CloseCode::Size, "a reading is at most 64 KiB"));
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => break None,
            },
        }
    };
    if let Some((code, reason)) = farewell {
        let frame = CloseFrame { code, reason: reason.into() };
        // A peer that is gone cannot be told.
        let _ = socket.close(Some(frame)).await;
    }
}

/// Hands a message to the pipeline; gives the answer where there is one at once.
fn take_in(bytes: &[u8], door: &Door, verdicts: &mpsc::Sender<Verdict>) -> Option<String> {
    let arrived = door.pipeline.now();
    let reading = match Reading::parse(bytes) {
        Ok(reading) => reading,
        Err(bad) => {
            door.metrics.bad.inc();
            return Some(bad.encode());
        }
    };
    let (device, seq) = (reading.device.clone(), reading.seq);
    let taken = door.pipeline.submit(reading, arrived, ReplyTo::Stream(verdicts.clone()));
    taken.is_err().then(|| encode_shed(&device, seq))
}
