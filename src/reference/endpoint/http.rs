//! HTTP: readings by POST, health, metrics, and the way up to WebSocket, over hyper's server.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::{Counted, Door, ws};
use crate::reference::health::Status;
use crate::reference::pipeline::{Refusal, ReplyTo};
use crate::reference::reading::{BadReading, Reading, encode_shed};

/// Largest body of a request, bytes.
pub(super) const LARGEST_BODY: usize = 64 * 1024;
/// A request's head must be complete within this time of the one before; slow or silent connections end here.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);
/// A request's body must follow its head within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// hyper's buffer per connection, bytes: bounds the head of a request.
const BUFFER: usize = 16 * 1024;

type Reply = Response<Full<Bytes>>;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
/// What `prometheus-client` writes.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const INDEX: &str = "\
squall reference system: real-time anomaly detection

POST /v1/readings   {\"device\":\"meters-00017\",\"seq\":42,\"value\":21.5} -> a verdict
GET  /v1/stream     the same over WebSocket, one reading or verdict per message
GET  /health        healthy, degraded or unhealthy, with reasons
GET  /metrics       for Prometheus
";

/// Accepts connections until the service stops, then lets open ones finish what they are at.
pub(in crate::reference) async fn serve(listener: TcpListener, door: Rc<Door>) {
    let mut connections = JoinSet::new();
    let mut stop = door.stop.clone();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, _)) if connections.len() < door.max_connections => {
                connections.spawn_local(converse(stream, Rc::clone(&door)));
            }
            Ok(_) => drop(door.metrics.connections_refused.inc()),
            // Out of descriptors, most likely: wait for some to come back instead of spinning.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn converse(stream: TcpStream, door: Rc<Door>) {
    let _open = Counted::new(&door.metrics.http_connections);
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut stop = door.stop.clone();
    let service = service_fn(move |request| {
        let door = Rc::clone(&door);
        async move { Ok::<_, Infallible>(answer(request, &door).await) }
    });
    let mut connection = Box::pin(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades(),
    );
    // A peer that breaks the protocol or goes away ends its own connection; nobody else need know.
    tokio::select! {
        _ = &mut connection => {}
        _ = stop.wait_for(|stop| *stop) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn answer(request: Request<Incoming>, door: &Rc<Door>) -> Reply {
    let method = request.method().clone();
    match (request.uri().path(), method) {
        ("/v1/readings", Method::POST) => judge(request, door).await,
        ("/v1/stream", Method::GET) => ws::upgrade(request, door),
        ("/health", Method::GET | Method::HEAD) => health(door),
        ("/metrics", Method::GET | Method::HEAD) => {
            reply(StatusCode::OK, METRICS, door.metrics.encode(door.pipeline.snapshot()))
        }
        ("/", Method::GET | Method::HEAD) => reply(StatusCode::OK, TEXT, INDEX),
        ("/v1/readings", _) => not_allowed("POST"),
        ("/v1/stream" | "/health" | "/metrics" | "/", _) => not_allowed("GET"),
        (path, _) => {
            let hint = format!("there is no {path} here; GET / names what there is\n");
            reply(StatusCode::NOT_FOUND, TEXT, hint)
        }
    }
}

async fn judge(request: Request<Incoming>, door: &Door) -> Reply {
    const TOO_LARGE: &str = "a reading is at most 64 KiB";
    // A length that is announced need not be waited for.
    if request.body().size_hint().lower() > LARGEST_BODY as u64 {
        return fault(door, StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE);
    }
    let body = Limited::new(request.into_body(), LARGEST_BODY).collect();
    let bytes = match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return fault(door, StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE);
        }
        Ok(Err(_)) => return fault(door, StatusCode::BAD_REQUEST, "the body broke off"),
        Err(_) => return fault(door, StatusCode::REQUEST_TIMEOUT, "the body did not come within 10 s"),
    };
    let arrived = door.pipeline.now();
    let reading = match Reading::parse(&bytes) {
        Ok(reading) => reading,
        Err(bad) => {
            door.metrics.bad.inc();
            return reply(StatusCode::BAD_REQUEST, JSON, bad.encode());
        }
    };
    let (sender, verdict) = oneshot::channel();
    let (device, seq) = (reading.device.clone(), reading.seq);
    let taken = door.pipeline.submit(reading, arrived, ReplyTo::Once(sender));
    match (taken, verdict) {
        (Ok(()), verdict) => match verdict.await {
            Ok(verdict) => reply(StatusCode::OK, JSON, verdict.encode()),
            Err(_) => busy(StatusCode::SERVICE_UNAVAILABLE, encode_shed(&device, seq)),
        },
        (Err(Refusal::QueueFull | Refusal::Stopping), _) => {
            busy(StatusCode::SERVICE_UNAVAILABLE, encode_shed(&device, seq))
        }
    }
}

fn health(door: &Door) -> Reply {
    let health = door.pipeline.health();
    let status = match health.status {
        Status::Healthy | Status::Degraded => StatusCode::OK,
        Status::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    };
    // A struct of strings and numbers always serialises.
    reply(status, JSON, serde_json::to_string(&health).unwrap_or_default())
}

fn fault(door: &Door, status: StatusCode, reason: &str) -> Reply {
    door.metrics.bad.inc();
    let bad = BadReading { device: None, seq: None, reason: reason.to_owned() };
    reply(status, JSON, bad.encode())
}

fn busy(status: StatusCode, body: String) -> Reply {
    let mut reply = reply(status, JSON, body);
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    reply
}

fn not_allowed(allowed: &'static str) -> Reply {
    let mut reply = reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, format!("use {allowed} here\n"));
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    reply
}

pub(super) fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}
