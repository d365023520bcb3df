//! Closed windows over HTTP: the last ones, long polling, server-sent events, and the way up to WebSocket.

use std::rc::Rc;

use futures_util::{Stream, stream};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::sync::watch;

use super::content::COMMENT_EVERY;
use super::hold::{LONGEST_WAIT_MS, held};
use super::{Content, JSON, Reply, admission, error, reply};
use crate::reference::endpoint::dispatcher::Dispatcher;
use crate::reference::endpoint::ws;
use crate::reference::token::Grant;
use crate::reference::whole::in_query;
use crate::reference::window::{Read, WindowReader};

/// Windows of one answer.
const MOST: usize = 1_000;

/// What a query asks for.
#[derive(Debug, PartialEq)]
struct Query {
    since: Option<u64>,
    device: Option<String>,
    wait_ms: u64,
    limit: usize,
}

impl Query {
    /// Reads `?since=17&device=m-1&wait_ms=30000&limit=100`; what it does not know is refused.
    fn parse(query: Option<&str>) -> Result<Self, String> {
        let mut asked = Self { since: None, device: None, wait_ms: 0, limit: 100 };
        for (key, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let number = |least, most| in_query(&key, &value, least, most);
            match &*key {
                "since" => asked.since = Some(number(0, u64::MAX)?),
                "device" => asked.device = Some(value.into_owned()),
                "wait_ms" => asked.wait_ms = number(0, LONGEST_WAIT_MS)?,
                "limit" => asked.limit = number(1, MOST as u64)? as usize,
                other => {
                    return Err(format!("`{other}` is unknown; there are since, device, wait_ms and limit"));
                }
            }
        }
        Ok(asked)
    }
}

/// What is asked for, as far as `grant` goes: who speaks for one device hears of that alone.
fn query(request: &Request<Incoming>, dispatcher: &Dispatcher, grant: &Grant) -> Result<Query, Box<Reply>> {
    let asked = Query::parse(request.uri().query());
    let mut asked = asked.map_err(|reason| Box::new(error(StatusCode::BAD_REQUEST, &reason)))?;
    if let Some(device) = &asked.device {
        grant.demand_device(device).map_err(|denial| Box::new(admission::refusal(&denial)))?;
    }
    asked.device = asked.device.or_else(|| grant.device().map(ToString::to_string));
    if dispatcher.pipeline.setup().features.window.is_none() {
        let reason = "there are no windows; set `features.window`";
        return Err(Box::new(error(StatusCode::CONFLICT, reason)));
    }
    Ok(asked)
}

/// `GET /v1/windows` and what is beneath it.
pub(super) async fn tell(request: Request<Incoming>, dispatcher: &Rc<Dispatcher>, grant: &Grant) -> Reply {
    match request.uri().path() {
        "/v1/windows/stream" => stream(&request, dispatcher, grant),
        "/v1/windows/ws" => socket(request, dispatcher, grant),
        _ => list(&request, dispatcher, grant).await,
    }
}

/// `GET /v1/windows`: those after `since`, at once if there are any or nobody wants to wait, else when the first is closed.
async fn list(request: &Request<Incoming>, dispatcher: &Dispatcher, grant: &Grant) -> Reply {
    let Query { since, device, wait_ms, limit } = match query(request, dispatcher, grant) {
        Ok(query) => query,
        Err(reply) => return *reply,
    };
    let mut reader = dispatcher.windows.reader(since.unwrap_or(0), device);
    let (mut texts, mut forgotten, mut last) = (Vec::new(), 0, dispatcher.windows.last());
    let mut next = reader.try_next();
    if wait_ms > 0 && next.is_none() {
        next = held(wait_ms, dispatcher.stop.clone(), reader.next()).await;
        last = dispatcher.windows.last();
    }
    while let Some(read) = next {
        match read {
            Read::Missed(count) => forgotten += count,
            Read::Window(logged) => texts.push(logged),
        }
        if texts.len() >= limit {
            last = texts.last().map_or(last, |logged| logged.id);
            break;
        }
        next = reader.try_next();
    }
    let texts: Vec<&str> = texts.iter().map(|logged| logged.text.as_str()).collect();
    let body = format!("{{\"last\":{last},\"forgotten\":{forgotten},\"windows\":[{}]}}", texts.join(","));
    reply(StatusCode::OK, JSON, body)
}

/// `GET /v1/windows/stream`: server-sent events; a browser that comes back says which one it heard last.
fn stream(request: &Request<Incoming>, dispatcher: &Dispatcher, grant: &Grant) -> Reply {
    let Query { since, device, .. } = match query(request, dispatcher, grant) {
        Ok(query) => query,
        Err(reply) => return *reply,
    };
    let heard = request.headers().get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let since = heard.or(since).unwrap_or_else(|| dispatcher.windows.last());
    let events = events(dispatcher.windows.reader(since, device), dispatcher.stop.clone());
    let mut reply = Response::new(Content::progress(events));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// What a reader comes to, until the service stops.
fn events(reader: WindowReader, stop: watch::Receiver<bool>) -> impl Stream<Item = String> + 'static {
    stream::unfold((reader, stop), |(mut reader, mut stop)| async move {
        let read = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return None,
            read = tokio::time::timeout(COMMENT_EVERY, reader.next()) => read,
        };
        let text = match read {
            Err(_) => ": still here\n\n".to_owned(),
            Ok(Read::Missed(count)) => format!("event: missed\ndata: {{\"count\":{count}}}\n\n"),
            Ok(Read::Window(logged)) => {
                format!("id: {}\nevent: window\ndata: {}\n\n", logged.id, logged.text)
            }
        };
        Some((text, (reader, stop)))
    })
}

/// `GET /v1/windows/ws`: the same over WebSocket.
fn socket(request: Request<Incoming>, dispatcher: &Rc<Dispatcher>, grant: &Grant) -> Reply {
    match query(&request, dispatcher, grant) {
        Ok(Query { since, device, .. }) => {
            let since = since.unwrap_or_else(|| dispatcher.windows.last());
            let reader = dispatcher.windows.reader(since, device);
            ws::upgrade(request, dispatcher, ws::Purpose::Windows(reader))
        }
        Err(reply) => *reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_or_refused() {
        let none = || Query { since: None, device: None, wait_ms: 0, limit: 100 };
        for (text, expected) in [
            ("", Ok(none())),
            (
                "since=7.0&device=m%2D1&wait_ms=60000&limit=1",
                Ok(Query { since: Some(7), device: Some("m-1".into()), wait_ms: LONGEST_WAIT_MS, limit: 1 }),
            ),
            ("limit=1001", Err("`limit` is a whole number from 1 to 1000, not `1001`".to_owned())),
            ("since=-1", Err(format!("`since` is a whole number from 0 to {}, not `-1`", u64::MAX))),
            ("after=1", Err("`after` is unknown; there are since, device, wait_ms and limit".to_owned())),
        ] {
            assert_eq!(Query::parse(Some(text)), expected, "{text}");
        }
    }
}
