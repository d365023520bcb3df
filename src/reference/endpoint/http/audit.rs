//! `GET /v1/audit`: what the service was told and did, by whom and when.

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde::Serialize;

use super::hold::{LONGEST_WAIT_MS, held};
use super::{Reply, error, json};
use crate::reference::endpoint::dispatcher::Dispatcher;
use crate::reference::whole::in_query;
use crate::service::Act;

/// Actions of one answer: all that are remembered.
const MOST: usize = 1_000;

/// What a query asks for.
#[derive(Debug, PartialEq)]
struct Query {
    after: u64,
    wait_ms: u64,
    limit: usize,
}

impl Query {
    /// Reads `?after=17&wait_ms=30000&limit=100`; what it does not know is refused.
    fn parse(query: Option<&str>) -> Result<Self, String> {
        let mut asked = Self { after: 0, wait_ms: 0, limit: MOST };
        for (key, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let number = |least, most| in_query(&key, &value, least, most);
            match &*key {
                "after" => asked.after = number(0, u64::MAX)?,
                "wait_ms" => asked.wait_ms = number(0, LONGEST_WAIT_MS)?,
                "limit" => asked.limit = number(1, MOST as u64)? as usize,
                other => return Err(format!("`{other}` is unknown; there are after, wait_ms and limit")),
            }
        }
        Ok(asked)
    }
}

/// An action as the audit tells it.
#[derive(Serialize)]
struct Action {
    id: u64,
    at: String,
    who: String,
    from: String,
    what: String,
    /// The run that signed it.
    run: Option<String>,
}

#[derive(Serialize)]
struct Page {
    /// Ask for what comes after this next.
    last: u64,
    /// Actions in between of which no more is known.
    forgotten: u64,
    actions: Vec<Action>,
}

/// Those after `after`, the oldest first: at once if there are any or nobody wants to wait, else when the next has been done.
pub(super) async fn list(request: &Request<Incoming>, dispatcher: &Dispatcher) -> Reply {
    let Query { after, wait_ms, limit } = match Query::parse(request.uri().query()) {
        Ok(query) => query,
        Err(reason) => return error(StatusCode::BAD_REQUEST, &reason),
    };
    if wait_ms > 0 && dispatcher.acts.total() == after {
        // Whichever comes first: then there is an answer.
        let _ = held(wait_ms, dispatcher.stop.clone(), dispatcher.acted.notified()).await;
    }
    let (acts, forgotten, total) = dispatcher.acts.after(after);
    let action = |Act { id, time, what, who, from, run, .. }| Action {
        id,
        at: time.to_string(),
        who,
        from: from.to_string(),
        what,
        run,
    };
    let actions: Vec<Action> = acts.into_iter().take(limit).map(action).collect();
    json(&Page { last: actions.last().map_or(total, |action| action.id), forgotten, actions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_or_refused() {
        for (text, expected) in [
            ("", Ok(Query { after: 0, wait_ms: 0, limit: MOST })),
            ("after=7&wait_ms=60000&limit=1", Ok(Query { after: 7, wait_ms: LONGEST_WAIT_MS, limit: 1 })),
            ("limit=0", Err("`limit` is a whole number from 1 to 1000, not `0`".to_owned())),
            ("after=x", Err(format!("`after` is a whole number from 0 to {}, not `x`", u64::MAX))),
            ("who=ann", Err("`who` is unknown; there are after, wait_ms and limit".to_owned())),
        ] {
            assert_eq!(Query::parse(Some(text)), expected, "{text}");
        }
    }
}
