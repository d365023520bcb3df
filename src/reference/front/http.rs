//! HTTP through a front: each request to the instance that the rule gives it, over connections that stay open.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1 as client;
use hyper::header::{
    CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{Instances, Seated, key, order};
use crate::reference::endpoint::http::{LARGEST_LIST, TOO_LARGE};

/// A request's head and body must be there within this time of the one before.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of a head.
const BUFFER: usize = 16 * 1024;

/// What is said of one hop and not passed on (RFC 9110 §7.6.1).
const HOP: [HeaderName; 3] = [CONNECTION, TRANSFER_ENCODING, HeaderName::from_static("keep-alive")];

/// Why nobody answers.
pub(super) const UNREACHED: &str = "no instance of the service can be reached";

pub(super) type Reply = Response<Content>;

/// The body of a reply.
pub(super) enum Content {
    /// The front's own words.
    Own(Full<Bytes>),
    /// An instance's, which has the request until its end.
    Passed { body: Incoming, _seat: Seated },
}

impl Body for Content {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never: Infallible| match never {}),
            Self::Passed { body, .. } => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::Passed { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => body.size_hint(),
            Self::Passed { body, .. } => body.size_hint(),
        }
    }
}

/// A reply of the front's own.
pub(super) fn own(status: StatusCode, text: String) -> Reply {
    let mut reply = Response::new(Content::Own(Full::new(text.into())));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// Why a request is not answered by an instance.
pub(super) fn error(status: StatusCode, reason: &str) -> Reply {
    own(status, json!({ "type": "error", "reason": reason }).to_string())
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    /// To whom the rule gives it.
    Shared,
    /// To the same as the connection's first of this kind: what is heard is numbered by its instance.
    Lasting,
    /// To the first that lives: what one asks it, another could not go on with.
    First,
    /// To all that live.
    All,
    /// To nobody: the front answers.
    Front,
}

impl Route {
    fn of(method: &Method, path: &str) -> Self {
        const HEARD: [&str; 4] = ["/v1/alerts", "/v1/windows", "/v1/verdicts", "/v1/broadcast"];
        const ORDERS: [&str; 4] = ["/v1/faults", "/v1/realtime", "/v1/cache", "/v1/experiment"];
        if path == "/v1/instances" {
            Self::Front
        } else if method == Method::POST && ORDERS.contains(&path) {
            Self::All
        } else if method == Method::POST && path == "/v1/broadcast" {
            Self::Shared
        } else if HEARD.iter().any(|heard| path.starts_with(heard)) {
            Self::Lasting
        } else if ["/v1/readings", "/v1/stream"].contains(&path) || path.starts_with("/v1/devices/") {
            Self::Shared
        } else {
            Self::First
        }
    }
}

/// One client's connection.
pub(super) struct Visit {
    peer: SocketAddr,
    pub(super) instances: Rc<Instances>,
    /// Connections to instances that wait for the next request.
    idle: RefCell<HashMap<usize, client::SendRequest<Full<Bytes>>>>,
    /// Whom it hears.
    home: RefCell<Option<usize>>,
    /// What goes on after a change of protocols.
    tunnel: RefCell<Option<JoinHandle<()>>>,
}

/// Serves a client until it goes away.
pub(super) async fn pass(stream: TcpStream, peer: SocketAddr, instances: Rc<Instances>) {
    let visit = Rc::new(Visit {
        peer,
        instances,
        idle: RefCell::default(),
        home: RefCell::default(),
        tunnel: RefCell::default(),
    });
    let guest = Rc::clone(&visit);
    let service = service_fn(move |request| {
        let visit = Rc::clone(&guest);
        async move { Ok::<_, Infallible>(visit.answer(request).await) }
    });
    // A client that breaks the protocol or goes away ends its own connection; nobody else need know.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    let tunnel = visit.tunnel.borrow_mut().take();
    if let Some(tunnel) = tunnel {
        let _ = tunnel.await;
    }
}

impl Visit {
    async fn answer(self: Rc<Self>, mut request: Request<Incoming>) -> Reply {
        let upgrade = request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
        let (mut head, body) = request.into_parts();
        let body = Limited::new(body, LARGEST_LIST).collect();
        let body = match tokio::time::timeout(PATIENCE, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(fault)) if fault.is::<http_body_util::LengthLimitError>() => {
                return error(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE);
            }
            Ok(Err(_)) => return error(StatusCode::BAD_REQUEST, "the body broke off"),
            Err(_) => return error(StatusCode::REQUEST_TIMEOUT, "the body did not come within 120 s"),
        };
        tidy(&mut head.headers, upgrade.is_some());
        match Route::of(&head.method, head.uri.path()) {
            Route::All => order::to_all(&self, &head, body).await,
            Route::Front => order::report(&self, &head).await,
            route => self.share_out(route, &head, body, upgrade).await,
        }
    }

    /// Passes a request on to one instance, and to another as long as none has heard of it.
    async fn share_out(
        &self,
        route: Route,
        head: &Parts,
        body: Bytes,
        mut upgrade: Option<OnUpgrade>,
    ) -> Reply {
        let key = key::device(head, &body).unwrap_or_else(|| self.peer.to_string());
        let mut tried = Vec::new();
        while let Some(seat) = self.seat(route, &key, &tried) {
            let index = seat.index();
            match self.send(index, head, &body).await {
                Ok(reply) => {
                    if reply.status() == StatusCode::SWITCHING_PROTOCOLS
                        && let Some(client) = upgrade.take()
                    {
                        return self.tunnel(reply, client, seat);
                    }
                    let (mut head, body) = reply.into_parts();
                    tidy(&mut head.headers, false);
                    return Response::from_parts(head, Content::Passed { body, _seat: seat });
                }
                Err(Failure::Unsent) => tried.push(index),
                Err(Failure::Broken) => {
                    let reason = "the instance that had the request went away before it answered";
                    return error(StatusCode::BAD_GATEWAY, reason);
                }
            }
        }
        error(StatusCode::SERVICE_UNAVAILABLE, UNREACHED)
    }

    fn seat(&self, route: Route, key: &str, tried: &[usize]) -> Option<Seated> {
        let kept = match route {
            Route::First => self.instances.first(tried),
            Route::Lasting => self.home.borrow().and_then(|home| self.instances.take(home, tried)),
            _ => None,
        };
        if kept.is_some() || route == Route::First {
            return kept;
        }
        let seat = self.instances.choose(key, tried)?;
        if route == Route::Lasting {
            *self.home.borrow_mut() = Some(seat.index());
        }
        Some(seat)
    }

    /// Sends a request to an instance, over a connection that is there already or a new one.
    pub(super) async fn send(
        &self,
        index: usize,
        head: &Parts,
        body: &Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let idle = self.idle.borrow_mut().remove(&index);
        if let Some(mut way) = idle
            && way.ready().await.is_ok()
        {
            match way.try_send_request(remade(head, body)).await {
                Ok(reply) => {
                    self.idle.borrow_mut().insert(index, way);
                    return Ok(reply);
                }
                // Closed for its silence at this very moment? Then nobody has heard of the request.
                Err(mut failed) => {
                    if failed.take_message().is_none() {
                        return Err(Failure::Broken);
                    }
                }
            }
        }
        let stream = self.instances.connect_http(index).await.map_err(|_| Failure::Unsent)?;
        let (mut way, line) = client::handshake(TokioIo::new(stream)).await.map_err(|_| Failure::Unsent)?;
        tokio::task::spawn_local(line.with_upgrades());
        let reply = way.send_request(remade(head, body)).await.map_err(|_| Failure::Broken)?;
        self.idle.borrow_mut().insert(index, way);
        Ok(reply)
    }

    /// After a change of protocols bytes go both ways until either side ends.
    fn tunnel(&self, mut reply: Response<Incoming>, client: OnUpgrade, seat: Seated) -> Reply {
        let instance = hyper::upgrade::on(&mut reply);
        *self.tunnel.borrow_mut() = Some(tokio::task::spawn_local(async move {
            let _seat = seat;
            if let (Ok(client), Ok(instance)) = tokio::join!(client, instance) {
                let _ = copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(instance)).await;
            }
        }));
        let (head, _) = reply.into_parts();
        Response::from_parts(head, Content::Own(Full::default()))
    }
}

/// Why an instance did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// It never heard of the request.
    Unsent,
    /// It may have done what was asked.
    Broken,
}

fn remade(head: &Parts, body: &Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = head.uri.clone();
    *request.headers_mut() = head.headers.clone();
    request
}

/// Takes out what is said of one hop, unless that is to become another protocol.
fn tidy(headers: &mut HeaderMap, upgrades: bool) {
    for name in HOP.iter().filter(|name| !upgrades || **name != CONNECTION) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_where_their_answers_make_sense() {
        for (method, path, expected) in [
            (Method::POST, "/v1/readings", Route::Shared),
            (Method::GET, "/v1/stream", Route::Shared),
            (Method::GET, "/v1/devices/m-1", Route::Shared),
            (Method::GET, "/v1/alerts/stream", Route::Lasting),
            (Method::GET, "/v1/windows", Route::Lasting),
            (Method::GET, "/v1/broadcast/ws", Route::Lasting),
            (Method::POST, "/v1/broadcast", Route::Shared),
            (Method::POST, "/v1/faults", Route::All),
            (Method::GET, "/v1/faults", Route::First),
            (Method::POST, "/v1/realtime", Route::All),
            (Method::GET, "/metrics", Route::First),
            (Method::GET, "/", Route::First),
            (Method::POST, "/v1/jobs", Route::First),
            (Method::GET, "/v1/instances", Route::Front),
        ] {
            assert_eq!(Route::of(&method, path), expected, "{method} {path}");
        }
    }
}
