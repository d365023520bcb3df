//! Who may do what over HTTP: which right each path asks for, and what is answered where it is missing.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, StatusCode};

use super::{Reply, error};
use crate::reference::endpoint::dispatcher::Dispatcher;
use crate::reference::reading::{BadReading, Reading};
use crate::reference::token::{Denial, Grant};
use crate::service::{Right, Topic};

/// What tells of all devices, and so is not for who speaks for one.
const OF_ALL: [&str; 3] = ["/v1/connections", "/v1/dead-letters", "/v1/audit"];

/// Where things are said to all.
const BROADCAST: &str = Topic::Broadcast.path();

/// What whoever sent `request` may. Where nothing is asked for, that is nothing in particular.
///
/// # Errors
/// If it may not do what it asks for.
pub(super) fn admit<B>(request: &Request<B>, dispatcher: &Dispatcher) -> Result<Arc<Grant>, Denial> {
    let path = request.uri().path();
    let Some(right) = needed(path, request.method()) else { return Ok(Arc::new(Grant::open())) };
    let grant = dispatcher.identify(token(request.headers())?.as_deref())?;
    grant.demand(right)?;
    let is_to_all = path == BROADCAST && request.method() == Method::POST;
    if is_to_all || OF_ALL.contains(&path) || path.starts_with("/v1/jobs") || path.starts_with("/v1/state") {
        grant.demand_all()?;
    }
    Ok(grant)
}

/// The right that a request asks for; `None` if everybody may send it.
fn needed(path: &str, method: &Method) -> Option<Right> {
    match path {
        "/v1/readings" | "/v1/stream" => Some(Right::Publish),
        BROADCAST if method == Method::POST => Some(Right::Publish),
        "/metrics" => Some(Right::Read),
        _ if !path.starts_with("/v1/") => None,
        _ if [Method::GET, Method::HEAD].contains(method) => Some(Right::Read),
        _ => Some(Right::Control),
    }
}

/// The token in these headers, if there is one: as bearer, or as the password of basic authentication.
fn token(headers: &HeaderMap) -> Result<Option<String>, Denial> {
    const MALFORMED: Denial = Denial::Invalid("the Authorization is neither Bearer TOKEN nor Basic");
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = shown.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| shown.next().is_none()).ok_or(MALFORMED)?;
    let (scheme, rest) = text.trim().split_once(' ').ok_or(MALFORMED)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(rest.trim().to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(MALFORMED);
    }
    let login =
        BASE64.decode(rest.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(MALFORMED)?;
    login.split_once(':').map(|(_, password)| Some(password.to_owned())).ok_or(MALFORMED)
}

/// What is answered (RFC 6750 §3).
pub(super) fn refusal(denial: &Denial) -> Reply {
    let (status, challenge) = match denial {
        Denial::Missing => (StatusCode::UNAUTHORIZED, "Bearer realm=\"squall\"".to_owned()),
        Denial::Invalid(why) => (
            StatusCode::UNAUTHORIZED,
            format!("Bearer realm=\"squall\", error=\"invalid_token\", error_description=\"{why}\""),
        ),
        Denial::Lacks(right) => (
            StatusCode::FORBIDDEN,
            format!("Bearer realm=\"squall\", error=\"insufficient_scope\", scope=\"{}\"", right.name()),
        ),
        Denial::Foreign(_) => {
            (StatusCode::FORBIDDEN, "Bearer realm=\"squall\", error=\"insufficient_scope\"".to_owned())
        }
    };
    let mut reply = error(status, &denial.to_string());
    if let Ok(challenge) = HeaderValue::try_from(challenge) {
        reply.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    reply
}

/// What is said of a reading of a device that its sender does not speak for.
pub(in crate::reference::endpoint) fn forbidden(reading: &Reading, denial: &Denial) -> String {
    let reason = denial.to_string();
    BadReading { device: Some(reading.device.clone()), seq: Some(reading.seq), run: reading.run, reason }
        .encode()
}
