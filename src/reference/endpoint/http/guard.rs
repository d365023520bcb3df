//! Whom the service answers: whoever knows its name, and of a browser's pages only its own. A browser on this machine reaches the
//! service for any page that it shows.

use std::net::IpAddr;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, HOST, HeaderMap, HeaderValue, ORIGIN, UPGRADE, VARY,
};
use hyper::http::uri::Authority;
use hyper::{Method, Request, StatusCode, Version};

use super::{Reply, error};
use crate::reference::config::{host, origin};

/// Further names that the service answers to, and origins whose pages may use it.
#[derive(Debug, Clone, Default)]
pub(in crate::reference) struct Guard {
    hosts: Vec<String>,
    origins: Vec<String>,
    /// Whether it is reached over TLS.
    tls: bool,
}

impl Guard {
    /// `hosts` as [`host`] gives them, `origins` as [`origin`] does.
    pub(in crate::reference) const fn new(hosts: Vec<String>, origins: Vec<String>, tls: bool) -> Self {
        Self { hosts, origins, tls }
    }

    /// Why a request that came in at the address `reached` is not answered.
    pub(super) fn refusal<B>(&self, request: &Request<B>, reached: IpAddr) -> Option<Reply> {
        let mut hosts = request.headers().get_all(HOST).iter();
        let asked = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
            (None, None) if request.version() < Version::HTTP_11 => return self.foreign(request, None),
            _ => return Some(error(StatusCode::BAD_REQUEST, "a request has one Host")),
        };
        // What the request line names goes before it (RFC 9112 §3.2.2).
        let Some(asked) = request.uri().authority().cloned().or(asked) else {
            return Some(error(StatusCode::BAD_REQUEST, "the Host of the request is none"));
        };
        if !self.is_known(&asked, reached) {
            let name = asked.host();
            let reason =
                format!("the service does not go by the name `{name}`: squall serve --allow-host {name}");
            return Some(error(StatusCode::MISDIRECTED_REQUEST, &reason));
        }
        self.foreign(request, Some(&asked))
    }

    /// An attacker's name can be made to resolve to the loopback; a name of the loopback's own cannot lead a browser elsewhere.
    fn is_known(&self, asked: &Authority, reached: IpAddr) -> bool {
        let Some(name) = host(asked.as_str().trim_end_matches(':')) else { return false };
        let ip = name.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        ip.is_some_and(|ip| ip.is_loopback() || ip == reached.to_canonical())
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.hosts.contains(&name)
    }

    /// Why a request of a foreign page is not answered: it would change something, or open a WebSocket, from which no browser
    /// keeps foreign pages. What it reads, the browser keeps from it.
    fn foreign<B>(&self, request: &Request<B>, asked: Option<&Authority>) -> Option<Reply> {
        let page = request.headers().get(ORIGIN)?;
        let reads = [Method::GET, Method::HEAD].contains(request.method());
        let scheme = if self.tls { "https" } else { "http" };
        let own = asked.and_then(|asked| origin(&format!("{scheme}://{asked}")));
        let is_own = own.is_some_and(|own| page.to_str().ok().and_then(origin) == Some(own));
        if (reads && !request.headers().contains_key(UPGRADE)) || is_own || self.welcome(page) {
            return None;
        }
        let shown = String::from_utf8_lossy(page.as_bytes());
        let reason = format!("a page of `{shown}` may not do that here: squall serve --allow-origin {shown}");
        Some(error(StatusCode::FORBIDDEN, &reason))
    }

    fn welcome(&self, page: &HeaderValue) -> bool {
        page.to_str().ok().and_then(origin).is_some_and(|page| self.origins.contains(&page))
    }

    /// The foreign page that sent these headers, if it may use the service.
    pub(super) fn guest(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        headers.get(ORIGIN).filter(|page| self.welcome(page)).cloned()
    }
}

/// Has browsers show `reply` to the foreign page that asked for it.
pub(super) fn share(reply: &mut Reply, page: HeaderValue) {
    let headers = reply.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, page);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after, www-authenticate"));
    headers.insert(VARY, HeaderValue::from_static("origin"));
}
