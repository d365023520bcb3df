//! Alerts over HTTP: the last ones, long polling, server-sent events, and the way up to WebSocket.

use std::rc::Rc;

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};

use super::hold::{LONGEST_WAIT_MS, held};
use super::tag::{conditional, tagged};
use super::{Content, Reply, admission, error};
use crate::reference::alert::{Filter, LoggedAlert, Notice};
use crate::reference::endpoint::dispatcher::Dispatcher;
use crate::reference::endpoint::ws;
use crate::reference::reading::Level;
use crate::reference::token::Grant;
use crate::reference::whole::in_query;
use crate::service::AlertClass;

/// Alerts of one answer.
const MOST: usize = 1_000;

const TOO_MANY: &str = "too many subscribers; try again later";

/// What a query asks for.
#[derive(Debug, PartialEq)]
struct Query {
    filter: Filter,
    after: Option<u64>,
    wait_ms: u64,
    limit: usize,
}

impl Query {
    /// Reads `?after=17&wait_ms=30000&level=high&class=security&device=m-1&limit=100`; what it does not know is refused, for a misspelt
    /// filter would pass everything.
    fn parse(query: Option<&str>) -> Result<Self, String> {
        let filter = Filter { level: Level::Low, device: None, class: None };
        let mut asked = Self { filter, after: None, wait_ms: 0, limit: 100 };
        for (key, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let number = |least, most| in_query(&key, &value, least, most);
            match &*key {
                "after" => asked.after = Some(number(0, u64::MAX)?),
                "wait_ms" => asked.wait_ms = number(0, LONGEST_WAIT_MS)?,
                "limit" => asked.limit = number(1, MOST as u64)? as usize,
                "device" => asked.filter.device = Some(value.into_owned()),
                "level" => {
                    asked.filter.level = Level::ALERTS
                        .into_iter()
                        .find(|level| level.name() == value)
                        .ok_or_else(|| format!("`level` is low, medium, high or critical, not `{value}`"))?;
                }
                "class" => {
                    asked.filter.class = Some(AlertClass::of(&value).ok_or_else(|| {
                        format!("`class` is one of {}, not `{value}`", AlertClass::WORDS.join(", "))
                    })?);
                }
                other => {
                    return Err(format!(
                        "`{other}` is unknown; there are after, wait_ms, limit, level, class and device"
                    ));
                }
            }
        }
        Ok(asked)
    }
}

/// What is asked for, as far as `grant` goes: who speaks for one device hears of that alone.
fn query(request: &Request<Incoming>, grant: &Grant) -> Result<Query, Box<Reply>> {
    let asked = Query::parse(request.uri().query());
    let mut asked = asked.map_err(|reason| Box::new(error(StatusCode::BAD_REQUEST, &reason)))?;
    if let Some(device) = &asked.filter.device {
        grant.demand_device(device).map_err(|denial| Box::new(admission::refusal(&denial)))?;
    }
    asked.filter.device = asked.filter.device.or_else(|| grant.device().map(ToString::to_string));
    Ok(asked)
}

/// `GET /v1/alerts` and what is beneath it.
pub(super) async fn tell(request: Request<Incoming>, dispatcher: &Rc<Dispatcher>, grant: &Grant) -> Reply {
    match request.uri().path() {
        "/v1/alerts/stream" => stream(&request, dispatcher, grant),
        "/v1/alerts/ws" => socket(request, dispatcher, grant),
        _ => poll(&request, dispatcher, grant).await,
    }
}

/// The same as [`listed`], or that the client has it already.
async fn poll(request: &Request<Incoming>, dispatcher: &Dispatcher, grant: &Grant) -> Reply {
    conditional(request, listed(request, dispatcher, grant).await)
}

/// `GET /v1/alerts`: those after `after`, at once if there are any or nobody wants to wait, else when the first comes.
async fn listed(request: &Request<Incoming>, dispatcher: &Dispatcher, grant: &Grant) -> Reply {
    let Query { filter, after, wait_ms, limit } = match query(request, grant) {
        Ok(query) => query,
        Err(reply) => return *reply,
    };
    let (there, mut forgotten) = dispatcher.alert_log.since(after.unwrap_or(0), &filter, limit);
    if after.is_none() {
        forgotten = 0;
    }
    if !there.is_empty() || forgotten > 0 || wait_ms == 0 {
        return page(&there, forgotten, dispatcher);
    }
    let Some(subscription) = dispatcher.alert_log.subscribe(filter.clone(), after.or(Some(0))) else {
        return error(StatusCode::SERVICE_UNAVAILABLE, TOO_MANY);
    };
    let first = async {
        loop {
            if let Notice::Alert(logged) = subscription.next().await {
                return logged;
            }
        }
    };
    let heard = held(wait_ms, dispatcher.stop.clone(), first).await;
    page(&heard.into_iter().collect::<Vec<_>>(), 0, dispatcher)
}

/// Some alerts, and how many numbers before them are not kept any more.
fn page(alerts: &[LoggedAlert], forgotten: u64, dispatcher: &Dispatcher) -> Reply {
    let texts: Vec<&str> = alerts.iter().map(|logged| &*logged.text).collect();
    let last = alerts.last().map_or_else(|| dispatcher.alert_log.last(), |logged| logged.id);
    tagged(format!("{{\"last\":{last},\"forgotten\":{forgotten},\"alerts\":[{}]}}", texts.join(",")))
}

/// `GET /v1/alerts/stream`: server-sent events; a browser that comes back says which one it heard last.
fn stream(request: &Request<Incoming>, dispatcher: &Dispatcher, grant: &Grant) -> Reply {
    let Query { filter, after, .. } = match query(request, grant) {
        Ok(query) => query,
        Err(reply) => return *reply,
    };
    let last = request.headers().get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let Some(subscription) = dispatcher.alert_log.subscribe(filter, last.or(after)) else {
        return error(StatusCode::SERVICE_UNAVAILABLE, TOO_MANY);
    };
    let mut reply = Response::new(Content::events(subscription));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// `GET /v1/alerts/ws`: the same over WebSocket.
fn socket(request: Request<Incoming>, dispatcher: &Rc<Dispatcher>, grant: &Grant) -> Reply {
    match query(&request, grant) {
        Ok(Query { filter, after, .. }) => {
            ws::upgrade(request, dispatcher, ws::Purpose::Alerts(filter, after))
        }
        Err(reply) => *reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_or_refused() {
        let filter =
            |level, device: Option<&str>| Filter { level, device: device.map(str::to_owned), class: None };
        for (text, expected) in [
            ("", Ok(Query { filter: filter(Level::Low, None), after: None, wait_ms: 0, limit: 100 })),
            (
                "after=7.0&wait_ms=60000&level=high&device=m%2D1&limit=5",
                Ok(Query {
                    filter: filter(Level::High, Some("m-1")),
                    after: Some(7),
                    wait_ms: 60_000,
                    limit: 5,
                }),
            ),
            (
                "class=security",
                Ok(Query {
                    filter: Filter { class: Some(AlertClass::Security), ..filter(Level::Low, None) },
                    after: None,
                    wait_ms: 0,
                    limit: 100,
                }),
            ),
            (
                "class=crime",
                Err("`class` is one of security, performance, system, anomaly, not `crime`".to_owned()),
            ),
            ("level=none", Err("`level` is low, medium, high or critical, not `none`".to_owned())),
            ("after=-1", Err(format!("`after` is a whole number from 0 to {}, not `-1`", u64::MAX))),
            ("limit=0", Err("`limit` is a whole number from 1 to 1000, not `0`".to_owned())),
            ("limit=1001", Err("`limit` is a whole number from 1 to 1000, not `1001`".to_owned())),
            ("wait_ms=60001", Err("`wait_ms` is a whole number from 0 to 60000, not `60001`".to_owned())),
            (
                "levle=high",
                Err("`levle` is unknown; there are after, wait_ms, limit, level, class and device".to_owned()),
            ),
        ] {
            assert_eq!(Query::parse(Some(text)), expected, "{text}");
        }
    }
}
