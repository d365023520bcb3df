//! HTTP: readings by POST, alerts, control and observation by GET, and the way up to WebSocket, over hyper's server.

mod admission;
mod alert;
mod audit;
mod cache;
mod content;
mod control;
mod experiment;
mod fault;
mod feed;
mod guard;
mod hold;
mod job;
mod judge;
mod state;
mod tag;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ALLOW, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE, X_FRAME_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinSet;

pub(super) use self::admission::forbidden;
pub(super) use self::content::Content;
pub(in crate::reference) use self::guard::Guard;
use self::guard::share;
pub(in crate::reference) use self::judge::{LARGEST_LIST, TOO_LARGE};
use super::dispatcher::{Dispatcher, ReplyChannel};
use super::resettable::{ResetFlag, ResettableStream};
use super::suspicion::Suspicion;
use super::{GaugeGuard, ws};
use crate::reference::admission::{Sender, Source};
use crate::reference::reading::BadReading;
use crate::reference::tls::{Arrival, Port, Wire};
use crate::service::{FaultKind, SIGNATURE};

/// Largest body of a request, bytes.
pub(super) const LARGEST_BODY: usize = 64 * 1024;
/// A request's head must be complete within this time of the one before; slow or silent connections end here.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);
/// hyper's buffer per connection, bytes: bounds the head of a request.
const BUFFER: usize = 16 * 1024;

/// Longest silence towards a request whose answer vanished on purpose; its connection ends then.
const LONGEST_SILENCE: Duration = Duration::from_secs(600);

pub(super) type Reply = Response<Content>;

/// With a reply: what the service did, having been told to, beyond answering.
#[derive(Debug, Clone)]
struct Done(String);

/// With a reply: what whoever asked for it is called.
#[derive(Debug, Clone)]
struct Asker(Arc<str>);

/// `reply`, with the note that the service did `what`.
fn done(what: impl Into<String>, mut reply: Reply) -> Reply {
    reply.extensions_mut().insert(Done(what.into()));
    reply
}

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection ends without an answer")]
struct Hangup;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

const INDEX: &str = "\
squall reference system: real-time anomaly detection

POST /v1/readings        {\"device\":\"meters-00017\",\"seq\":42,\"value\":21.5} -> a verdict; a list of them -> a list
GET  /v1/stream          the same over WebSocket, one reading or verdict per message
GET  /v1/alerts          the last alerts; ?after=ID&wait_ms=30000 waits for new ones (long polling)
GET  /v1/alerts/stream   alerts as server-sent events
GET  /v1/alerts/ws       alerts over WebSocket
GET  /v1/windows         windows that were closed; ?since=ID&wait_ms=30000 waits for the next
GET  /v1/verdicts        the last verdicts on readings of all devices; ?after=ID&wait_ms=30000 waits for the next
GET  /v1/broadcast       what was said to all, the same way; POST {\"goal\":\"1:0\"} says it
GET  /v1/…/stream        these three as server-sent events, and /v1/…/ws over WebSocket
GET  /v1/realtime        what it does now; POST {\"operation\":\"start\"|\"stop\"|\"pause\"|\"status\"}
GET  /v1/experiment      champion and challenger; POST {\"operation\":\"promote\"|\"rollback\"}
GET  /v1/devices/NAME    its windows, and the model that judges it
GET  /v1/connections     who is connected where, over all instances; ?device=NAME for one
GET  /v1/dead-letters    what could not be processed, and why
GET  /v1/audit           who told it what, and when; ?after=ID&wait_ms=30000 waits for the next
POST /v1/cache           {\"operation\":\"flush\"|\"version\"|\"device\"|\"keys\"|\"warm\"}
GET  /v1/faults          what goes wrong on purpose; POST breaks it, if it was started with --faults
GET  /v1/jobs            classes of jobs; POST {\"class\":\"NAME\"} submits one
GET  /v1/jobs/NUMBER     how a job is; /v1/jobs/dead-letters has those that failed in all their tries
GET  /v1/jobs/stream     progress as server-sent events; ?job=NUMBER or ?class=NAME
GET  /v1/state           what of the devices' state outlives a crash; POST /v1/state/snapshot takes a snapshot
GET  /health             healthy, degraded or unhealthy, with reasons; /live and /ready for probes
GET  /metrics            for Prometheus
GET  /openapi.json       all of this, for machines; browsers get a live page here
";

/// Where the state of a device is shown.
const DEVICES: &str = "/v1/devices/";
/// What moves, as it moves: for browsers.
const PAGE: &str = include_str!("page.html");
/// What the page may do: what it does.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
                           connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const OPENAPI: &str = include_str!("openapi.json");

/// Accepts connections until the service stops, then lets open ones finish what they are at.
pub(in crate::reference) async fn serve(port: Port, dispatcher: Rc<Dispatcher>, guard: Guard) {
    let guard = Rc::new(guard);
    let mut connections = JoinSet::new();
    let mut stop = dispatcher.stop.clone();
    loop {
        let arrival = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            arrival = port.accept() => arrival,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        if connections.len() < dispatcher.max_connections {
            connections.spawn_local(meet(arrival, Rc::clone(&dispatcher), Rc::clone(&guard)));
        } else {
            dispatcher.metrics.connections_refused.inc();
        }
    }
    drop(port);
    while connections.join_next().await.is_some() {}
    dispatcher.sockets_ended().await;
}

async fn meet(arrival: Arrival, dispatcher: Rc<Dispatcher>, guard: Rc<Guard>) {
    let mut stop = dispatcher.stop.clone();
    let stream = tokio::select! {
        biased;
        stream = arrival.enter(&dispatcher.metrics) => stream,
        _ = stop.wait_for(|stop| *stop) => None,
    };
    if let Some(stream) = stream {
        converse(stream, dispatcher, guard).await;
    }
}

async fn converse(stream: Wire, dispatcher: Rc<Dispatcher>, guard: Rc<Guard>) {
    let _open = GaugeGuard::new(&dispatcher.metrics.http_connections);
    let Ok((reached, peer)) = stream.ends() else { return };
    // While new connections are refused, one is let in as far as its first request: only by its path is it known.
    let reset_flag = dispatcher.faults().is_on(FaultKind::Refuse).then(ResetFlag::default);
    let stream = ResettableStream::new(stream, reset_flag.clone());
    let mut stop = dispatcher.stop.clone();
    let (channel, source) = (Rc::new(dispatcher.response_channel()), Rc::new(Source::new(peer.ip())));
    let service = service_fn(move |request: Request<Incoming>| {
        let (dispatcher, channel, guard) = (Rc::clone(&dispatcher), Rc::clone(&channel), Rc::clone(&guard));
        let source = Rc::clone(&source);
        let refused = reset_flag.as_ref().filter(|_| is_refused(request.uri().path(), &dispatcher));
        refused.inspect(|reset_flag| reset_flag.reset());
        let is_refused = refused.is_some();
        async move {
            if is_refused {
                return Err(Hangup);
            }
            if let Some(refusal) = guard.refusal(&request, reached.ip()) {
                if refusal.status() != StatusCode::BAD_REQUEST {
                    dispatcher.suspect(Suspicion::Foreign, peer.ip());
                }
                return Ok(refusal);
            }
            let guest = guard.guest(request.headers());
            let run = request.headers().get(SIGNATURE).cloned();
            let mut reply = answer(request, &dispatcher, &channel, &source, guest.is_some()).await?;
            let by_token = reply.headers().contains_key(WWW_AUTHENTICATE);
            if let Some(suspicion) = Suspicion::of(reply.status(), by_token) {
                dispatcher.suspect(suspicion, peer.ip());
            }
            let extensions = reply.extensions_mut();
            if let (Some(Done(what)), Some(Asker(who))) = (extensions.remove(), extensions.remove()) {
                dispatcher.note_act(&what, &who, peer, run.as_ref().and_then(|run| run.to_str().ok()));
            }
            if let Some(page) = guest {
                share(&mut reply, page);
            }
            Ok(reply)
        }
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

/// Whether a request on a new connection is refused on purpose. What undoes it is not, nor what tells of it.
fn is_refused(path: &str, dispatcher: &Dispatcher) -> bool {
    !["/v1/faults", "/health", "/live", "/ready"].contains(&path)
        && dispatcher.faults().strikes(FaultKind::Refuse)
}

/// Says nothing for as long as its client waits, or nearly.
async fn keep_silent(dispatcher: &Dispatcher) -> Hangup {
    let mut stop = dispatcher.stop.clone();
    let _ = tokio::time::timeout(LONGEST_SILENCE, stop.wait_for(|stop| *stop)).await;
    Hangup
}

async fn answer(
    request: Request<Incoming>,
    dispatcher: &Rc<Dispatcher>,
    channel: &ReplyChannel,
    source: &Rc<Source>,
    by_guest: bool,
) -> Result<Reply, Hangup> {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    // What a browser asks before it lets a foreign page send.
    if method == Method::OPTIONS && by_guest {
        return Ok(reply(StatusCode::NO_CONTENT, TEXT, ""));
    }
    let grant = match admission::admit(&request, dispatcher) {
        Ok(grant) => grant,
        Err(denial) => return Ok(admission::refusal(&denial)),
    };
    if path == "/v1/readings" && method == Method::POST {
        return judge::judge(request, dispatcher, channel, Sender { grant: &grant, source }).await;
    }
    let asker = Asker(Arc::clone(grant.who()));
    let mut reply = match (path.as_str(), method) {
        ("/v1/stream", Method::GET) => {
            ws::upgrade(request, dispatcher, ws::Purpose::Readings(grant, Rc::clone(source)))
        }
        ("/v1/alerts" | "/v1/alerts/stream" | "/v1/alerts/ws", Method::GET) => {
            alert::tell(request, dispatcher, &grant).await
        }
        (feed, Method::GET) if feed::is_told(feed) => feed::tell(request, dispatcher, &grant).await,
        ("/v1/broadcast", Method::POST) => feed::say(request, dispatcher).await,
        ("/v1/broadcast", _) => not_allowed("GET, POST"),
        (feed, _) if feed::is_told(feed) => not_allowed("GET"),
        ("/v1/realtime", Method::GET) => control::status(dispatcher),
        ("/v1/realtime", Method::POST) => control::operate(request, dispatcher).await,
        ("/v1/cache", Method::POST) => cache::operate(request, dispatcher).await,
        ("/v1/faults", Method::GET) => fault::list(dispatcher),
        ("/v1/faults", Method::POST) => fault::operate(request, dispatcher).await,
        ("/v1/jobs", Method::GET) => job::list(dispatcher),
        ("/v1/jobs", Method::POST) => job::submit(request, dispatcher).await,
        ("/v1/jobs/stream", Method::GET) => job::watch(&request, dispatcher),
        ("/v1/experiment", Method::GET) => experiment::report(dispatcher),
        ("/v1/experiment", Method::POST) => experiment::operate(request, dispatcher, grant.who()).await,
        ("/v1/connections", Method::GET) => control::connections(dispatcher, request.uri().query(), &grant),
        ("/v1/dead-letters", Method::GET) => control::dead_letters(dispatcher),
        ("/v1/state", Method::GET) => state::show(dispatcher),
        ("/v1/state/snapshot", Method::POST) => state::snapshot(dispatcher).await,
        ("/v1/audit", Method::GET) => audit::list(&request, dispatcher).await,
        ("/health", Method::GET | Method::HEAD) => control::health(dispatcher, request.uri().query()),
        ("/live", Method::GET | Method::HEAD) => control::live(),
        ("/ready", Method::GET | Method::HEAD) => control::ready(dispatcher),
        ("/metrics", Method::GET | Method::HEAD) => control::metrics(request.headers(), dispatcher),
        ("/openapi.json", Method::GET | Method::HEAD) => reply(StatusCode::OK, JSON, OPENAPI),
        ("/", Method::GET | Method::HEAD) if wants_page(request.headers()) => page(),
        ("/", Method::GET | Method::HEAD) => reply(StatusCode::OK, TEXT, INDEX),
        ("/v1/readings" | "/v1/cache" | "/v1/state/snapshot", _) => not_allowed("POST"),
        ("/v1/realtime" | "/v1/faults" | "/v1/jobs" | "/v1/experiment", _) => not_allowed("GET, POST"),
        (
            "/v1/stream" | "/v1/alerts" | "/v1/alerts/stream" | "/v1/alerts/ws" | "/v1/connections"
            | "/v1/dead-letters" | "/v1/audit" | "/v1/state" | "/health" | "/live" | "/ready" | "/metrics"
            | "/openapi.json" | "/",
            _,
        ) => not_allowed("GET"),
        (path, Method::GET) if path.starts_with(DEVICES) => {
            control::device(dispatcher, &path[DEVICES.len()..], &grant)
        }
        (path, Method::GET) if path.starts_with(job::JOBS) => job::show(dispatcher, &path[job::JOBS.len()..]),
        (path, _) if path.starts_with(DEVICES) || path.starts_with(job::JOBS) => not_allowed("GET"),
        (path, _) => {
            let hint = format!("there is no {path} here; GET / names what there is\n");
            reply(StatusCode::NOT_FOUND, TEXT, hint)
        }
    };
    reply.extensions_mut().insert(asker);
    Ok(reply)
}

/// The live page. No other page may frame it: its buttons would be pressed by those who do not see them.
fn page() -> Reply {
    let mut page = reply(StatusCode::OK, HTML, PAGE);
    page.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    page.headers_mut().insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    page
}

/// Whether whoever asks can show a page.
fn wants_page(headers: &HeaderMap) -> bool {
    headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

/// A reason as JSON.
pub(super) fn error(status: StatusCode, reason: &str) -> Reply {
    let bad = BadReading { device: None, seq: None, run: None, reason: reason.to_owned() };
    reply(status, JSON, bad.encode())
}

/// A refusal that says when to try again, in whole seconds as the header wants it.
fn busy(mut reply: Reply, retry_ms: u64) -> Reply {
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_ms.div_ceil(1_000).max(1)));
    reply
}

fn not_allowed(allowed: &'static str) -> Reply {
    let mut reply = reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, format!("use {allowed} here\n"));
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    reply
}

/// What serialises always: structs of strings and numbers.
fn json(value: &impl serde::Serialize) -> Reply {
    reply(StatusCode::OK, JSON, serde_json::to_string(value).unwrap_or_default())
}

pub(super) fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Content::whole(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}
