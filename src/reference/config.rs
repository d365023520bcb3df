//! Where the reference system listens, and how it is set up.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use url::Url;

use crate::record::Protocol;
use crate::service::Setup;

/// The configuration of a reference system. Any value is safe; capacities of 0 count as 1 unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Address to listen on.
    pub bind: IpAddr,
    /// Port of HTTP and WebSocket; 0 takes a free one.
    pub http_port: u16,
    /// Port of MQTT; 0 takes a free one.
    pub mqtt_port: u16,
    /// Connections open at once, per listener; further ones are closed at once.
    pub max_connections: usize,
    /// Names it answers to over HTTP, beside the loopback's and the address it is reached at.
    pub hosts: Vec<String>,
    /// Origins whose pages may use it, beside its own.
    pub origins: Vec<String>,
    /// What it speaks TLS with, on all its ports; none: they are plain. [`Setup::tls`] only says where that lies.
    pub tls: Option<TlsCredentials>,
    /// What it does with readings.
    pub setup: Setup,
}

impl Default for Config {
    /// Loopback, free ports, one worker.
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            http_port: 0,
            mqtt_port: 0,
            max_connections: 100_000,
            hosts: Vec::new(),
            origins: Vec::new(),
            tls: None,
            setup: Setup::default(),
        }
    }
}

/// What the service shows over TLS, and whom it lets in, all in PEM. Printed for debugging it shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsCredentials {
    /// Its certificate, its own first.
    pub certificate: Vec<u8>,
    /// The key of its certificate.
    pub key: Vec<u8>,
    /// Authorities, one of which has to have issued whatever clients show; none: nobody is asked.
    pub client_authorities: Option<Vec<u8>>,
    /// Those authorities' revocation lists.
    pub client_revocations: Option<Vec<u8>>,
}

impl fmt::Debug for TlsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsCredentials").finish_non_exhaustive()
    }
}

/// The host in `HOST` or `HOST:PORT` as all its spellings come out; `None` if it is none.
pub(crate) fn host(text: &str) -> Option<String> {
    let url = Url::parse(&format!("http://{text}")).ok()?;
    let bare =
        url.path() == "/" && url.query().is_none() && url.fragment().is_none() && !text.contains(['/', '@']);
    let host = url.host_str().filter(|_| bare)?;
    Some(host.trim_start_matches('[').trim_end_matches([']', '.']).to_owned())
}

/// The origin of a page, as browsers write it; `None` if `text` is none.
pub(crate) fn origin(text: &str) -> Option<String> {
    let origin = Url::parse(text).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

/// Where fleets find a system whose listeners are at these addresses, by protocol; `tls`: that speaks TLS there.
pub(crate) fn addresses(
    http: &dyn fmt::Display,
    mqtt: &dyn fmt::Display,
    tls: bool,
) -> [(Protocol, String); 6] {
    let s = if tls { "s" } else { "" };
    [
        (Protocol::named("http"), format!("http{s}://{http}/v1/readings")),
        (Protocol::named("ws"), format!("ws{s}://{http}/v1/stream")),
        (Protocol::named("mqtt"), format!("mqtt{s}://{mqtt}")),
        (Protocol::named("sse"), format!("http{s}://{http}/v1/alerts/stream")),
        (Protocol::named("long-poll"), format!("http{s}://{http}/v1/alerts")),
        (Protocol::named("poll"), format!("http{s}://{http}/v1/alerts")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_origins_come_out_alike_however_they_are_written() {
        for (text, expected) in [
            ("Example.COM:81", Some("example.com")),
            ("example.com.", Some("example.com")),
            ("[::1]:80", Some("::1")),
            ("127.1", Some("127.0.0.1")),
            ("a@b", None),
            ("a/b", None),
            ("http://a", None),
            ("", None),
        ] {
            assert_eq!(host(text).as_deref(), expected, "{text}");
        }
        for (text, expected) in [
            ("HTTP://Example.com:80", Some("http://example.com")),
            ("https://a:8443/x", Some("https://a:8443")),
            ("null", None),
            ("file:///x", None),
        ] {
            assert_eq!(origin(text).as_deref(), expected, "{text}");
        }
    }
}
