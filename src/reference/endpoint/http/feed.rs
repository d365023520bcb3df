//! What is logged, over HTTP: closed windows, verdicts, and what was said to all. The last ones, long polling, server-sent events, and
//! the way up to WebSocket.

use std::rc::Rc;

use futures_util::{Stream, stream};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::sync::watch;

use super::content::COMMENT_EVERY;
use super::hold::{LONGEST_WAIT_MS, held};
use super::judge::body;
use super::tag::{conditional, tagged};
use super::{Content, JSON, Reply, admission, busy, error, reply};
use crate::reference::broadcast::{Broadcast, LARGEST};
use crate::reference::endpoint::dispatcher::Dispatcher;
use crate::reference::endpoint::ws;
use crate::reference::feed::{FeedLog, FeedReader, Read};
use crate::reference::token::Grant;
use crate::reference::whole::in_query;
use crate::service::Topic;

/// Messages of one answer.
const MOST: usize = 1_000;
/// When to try again after too much was on its way, milliseconds.
const RETRY_MS: u64 = 1_000;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Windows,
    Verdicts,
    Broadcasts,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Windows, Self::Verdicts, Self::Broadcasts];

    const fn path(self) -> &'static str {
        match self {
            Self::Windows => "/v1/windows",
            Self::Verdicts => Topic::Verdicts.path(),
            Self::Broadcasts => Topic::Broadcast.path(),
        }
    }

    /// What is told at a path: of a list, a stream or a socket.
    fn of(path: &str) -> Option<Self> {
        let told = |kind: &Self| {
            path.strip_prefix(kind.path()).is_some_and(|way| ["", "/stream", "/ws"].contains(&way))
        };
        Self::ALL.into_iter().find(told)
    }

    /// The member of an answer that lists them.
    const fn plural(self) -> &'static str {
        match self {
            Self::Windows => "windows",
            Self::Verdicts => "verdicts",
            Self::Broadcasts => "broadcasts",
        }
    }

    /// The name of an event.
    const fn event(self) -> &'static str {
        match self {
            Self::Windows => "window",
            Self::Verdicts => "verdict",
            Self::Broadcasts => "broadcast",
        }
    }

    /// The part of a query that takes the last number.
    const fn since(self) -> &'static str {
        match self {
            Self::Windows => "since",
            Self::Verdicts | Self::Broadcasts => "after",
        }
    }

    /// What a query may ask for.
    const fn keys(self) -> &'static str {
        match self {
            Self::Windows => "since, device, wait_ms and limit",
            Self::Verdicts => "after, device, wait_ms and limit",
            Self::Broadcasts => "after, wait_ms and limit",
        }
    }

    /// Whether one can ask for those of one device.
    fn has_devices(self) -> bool {
        self != Self::Broadcasts
    }

    fn log(self, dispatcher: &Dispatcher) -> &Rc<FeedLog> {
        let feeds = &dispatcher.feeds;
        match self {
            Self::Windows => &feeds.windows,
            Self::Verdicts => &feeds.verdicts,
            Self::Broadcasts => &feeds.broadcasts,
        }
    }
}

/// What a query asks for.
#[derive(Debug, PartialEq)]
struct Query {
    since: Option<u64>,
    device: Option<String>,
    wait_ms: u64,
    limit: usize,
}

impl Query {
    /// Reads `?after=17&device=m-1&wait_ms=30000&limit=100`; what it does not know is refused.
    fn parse(kind: Kind, query: Option<&str>) -> Result<Self, String> {
        let mut asked = Self { since: None, device: None, wait_ms: 0, limit: 100 };
        for (key, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let number = |least, most| in_query(&key, &value, least, most);
            match &*key {
                since if since == kind.since() => asked.since = Some(number(0, u64::MAX)?),
                "device" if kind.has_devices() => asked.device = Some(value.into_owned()),
                "wait_ms" => asked.wait_ms = number(0, LONGEST_WAIT_MS)?,
                "limit" => asked.limit = number(1, MOST as u64)? as usize,
                other => return Err(format!("`{other}` is unknown; there are {}", kind.keys())),
            }
        }
        Ok(asked)
    }
}

/// What is asked for, as far as `grant` goes: who speaks for one device hears of that alone, and of what is for all.
fn query(
    request: &Request<Incoming>,
    kind: Kind,
    dispatcher: &Dispatcher,
    grant: &Grant,
) -> Result<Query, Box<Reply>> {
    let asked = Query::parse(kind, request.uri().query());
    let mut asked = asked.map_err(|reason| Box::new(error(StatusCode::BAD_REQUEST, &reason)))?;
    if let Some(device) = &asked.device {
        grant.demand_device(device).map_err(|denial| Box::new(admission::refusal(&denial)))?;
    }
    if kind.has_devices() {
        asked.device = asked.device.or_else(|| grant.device().map(ToString::to_string));
    }
    if kind == Kind::Windows && dispatcher.pipeline.setup().features.window.is_none() {
        let reason = "there are no windows; set `features.window`";
        return Err(Box::new(error(StatusCode::CONFLICT, reason)));
    }
    kind.log(dispatcher).want();
    Ok(asked)
}

/// Whether something is told at a path.
pub(super) fn is_told(path: &str) -> bool {
    Kind::of(path).is_some()
}

/// `GET` of a path at which something [is told](is_told).
pub(super) async fn tell(request: Request<Incoming>, dispatcher: &Rc<Dispatcher>, grant: &Grant) -> Reply {
    let path = request.uri().path();
    let Some(kind) = Kind::of(path) else { return error(StatusCode::NOT_FOUND, "nothing is told here") };
    if path.ends_with("/stream") {
        stream(&request, kind, dispatcher, grant)
    } else if path.ends_with("/ws") {
        socket(request, kind, dispatcher, grant)
    } else {
        conditional(&request, list(&request, kind, dispatcher, grant).await)
    }
}

/// Those after the number that is asked for, at once if there are any or nobody wants to wait, else when the first comes.
async fn list(request: &Request<Incoming>, kind: Kind, dispatcher: &Dispatcher, grant: &Grant) -> Reply {
    let Query { since, device, wait_ms, limit } = match query(request, kind, dispatcher, grant) {
        Ok(query) => query,
        Err(reply) => return *reply,
    };
    let log = kind.log(dispatcher);
    let mut reader = log.reader(since.unwrap_or(0), device);
    let (mut messages, mut forgotten, mut last) = (Vec::new(), 0, log.last());
    let mut next = reader.try_next();
    if wait_ms > 0 && next.is_none() {
        next = held(wait_ms, dispatcher.stop.clone(), reader.next()).await;
        last = log.last();
    }
    while let Some(read) = next {
        match read {
            Read::Missed(count) => forgotten += count,
            Read::Message(logged) => messages.push(logged),
        }
        if messages.len() >= limit {
            last = messages.last().map_or(last, |logged| logged.id);
            break;
        }
        next = reader.try_next();
    }
    let texts: Vec<&str> = messages.iter().map(|logged| logged.text.as_str()).collect();
    let (plural, texts) = (kind.plural(), texts.join(","));
    tagged(format!("{{\"last\":{last},\"forgotten\":{forgotten},\"{plural}\":[{texts}]}}"))
}

/// Server-sent events; a browser that comes back says which one it heard last.
fn stream(request: &Request<Incoming>, kind: Kind, dispatcher: &Dispatcher, grant: &Grant) -> Reply {
    let Query { since, device, .. } = match query(request, kind, dispatcher, grant) {
        Ok(query) => query,
        Err(reply) => return *reply,
    };
    let heard = request.headers().get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let log = kind.log(dispatcher);
    let since = heard.or(since).unwrap_or_else(|| log.last());
    let events = events(log.reader(since, device), kind, dispatcher.stop.clone());
    let mut reply = Response::new(Content::progress(events));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// What a reader comes to, until the service stops.
fn events(
    reader: FeedReader,
    kind: Kind,
    stop: watch::Receiver<bool>,
) -> impl Stream<Item = String> + 'static {
    stream::unfold((reader, stop), move |(mut reader, mut stop)| async move {
        let read = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return None,
            read = tokio::time::timeout(COMMENT_EVERY, reader.next()) => read,
        };
        let text = match read {
            Err(_) => ": still here\n\n".to_owned(),
            Ok(Read::Missed(count)) => format!("event: missed\ndata: {{\"count\":{count}}}\n\n"),
            Ok(Read::Message(logged)) => {
                format!("id: {}\nevent: {}\ndata: {}\n\n", logged.id, kind.event(), logged.text)
            }
        };
        Some((text, (reader, stop)))
    })
}

/// The same over WebSocket.
fn socket(request: Request<Incoming>, kind: Kind, dispatcher: &Rc<Dispatcher>, grant: &Grant) -> Reply {
    match query(&request, kind, dispatcher, grant) {
        Ok(Query { since, device, .. }) => {
            let log = kind.log(dispatcher);
            let reader = log.reader(since.unwrap_or_else(|| log.last()), device);
            ws::upgrade(request, dispatcher, ws::Purpose::Feed(reader))
        }
        Err(reply) => *reply,
    }
}

/// `POST /v1/broadcast`: says something to all who listen.
pub(super) async fn say(request: Request<Incoming>, dispatcher: &Dispatcher) -> Reply {
    let said = match body(request).await {
        Ok(said) => said,
        Err(reply) => return reply,
    };
    if said.len() > LARGEST {
        return error(StatusCode::PAYLOAD_TOO_LARGE, "a broadcast is at most 16 KiB");
    }
    let broadcast = match Broadcast::parse(&said) {
        Ok(broadcast) => broadcast,
        Err(reason) => return error(StatusCode::BAD_REQUEST, &reason),
    };
    if dispatcher.broadcast(broadcast) {
        reply(StatusCode::ACCEPTED, JSON, "{\"type\":\"accepted\"}")
    } else {
        let reason = "too much is on its way to those who listen";
        busy(error(StatusCode::SERVICE_UNAVAILABLE, reason), RETRY_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_or_refused() {
        let none = || Query { since: None, device: None, wait_ms: 0, limit: 100 };
        for (kind, text, expected) in [
            (Kind::Windows, "", Ok(none())),
            (
                Kind::Windows,
                "since=7.0&device=m%2D1&wait_ms=60000&limit=1",
                Ok(Query { since: Some(7), device: Some("m-1".into()), wait_ms: LONGEST_WAIT_MS, limit: 1 }),
            ),
            (Kind::Verdicts, "after=7", Ok(Query { since: Some(7), ..none() })),
            (
                Kind::Windows,
                "limit=1001",
                Err("`limit` is a whole number from 1 to 1000, not `1001`".to_owned()),
            ),
            (
                Kind::Windows,
                "since=-1",
                Err(format!("`since` is a whole number from 0 to {}, not `-1`", u64::MAX)),
            ),
            (
                Kind::Windows,
                "after=1",
                Err("`after` is unknown; there are since, device, wait_ms and limit".to_owned()),
            ),
            (
                Kind::Broadcasts,
                "device=m-1",
                Err("`device` is unknown; there are after, wait_ms and limit".to_owned()),
            ),
        ] {
            assert_eq!(Query::parse(kind, Some(text)), expected, "{text}");
        }
    }

    #[test]
    fn each_way_of_telling_has_its_path() {
        for (path, kind) in [
            ("/v1/windows", Some(Kind::Windows)),
            ("/v1/verdicts/stream", Some(Kind::Verdicts)),
            ("/v1/broadcast/ws", Some(Kind::Broadcasts)),
            ("/v1/broadcast/", None),
            ("/v1/verdict", None),
            ("/v1/alerts", None),
        ] {
            assert_eq!(Kind::of(path), kind, "{path}");
        }
    }
}
