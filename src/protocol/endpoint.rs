//! Where a fleet's readings go: a target URL, resolved once before the run.

mod error;

use std::fmt::{self, Write as _};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use self::error::EndpointError;
use super::Login;
use super::driver::{Driver, Facts, driver};
use super::scarcity::Scarcity;
use crate::language::{AddressFault, without_login};
use crate::net::{ClientIdentity, DeviceTls, FleetTls, TlsSettings};
use crate::record::{FleetId, Protocol, ScarceResource};
use crate::units::Secret;

/// A target URL as people and files may see it: without credentials, environment variables unread.
#[derive(Debug, Clone)]
struct Shown {
    /// In full, defaults filled in.
    url: String,
    /// Up to the path; `None` where that is hidden in a variable.
    origin: Option<String>,
    /// Whether its author wrote a path.
    names_path: bool,
}

/// A resolved target.
#[derive(Debug, Clone)]
pub struct Endpoint {
    driver: &'static dyn Driver,
    url: String,
    /// What may be shown in place of the URL.
    shown: Shown,
    addresses: Vec<SocketAddr>,
    address: SocketAddr,
    sources: Vec<IpAddr>,
    authority: String,
    target: String,
    credentials: Option<Login>,
    scarcity: Arc<Scarcity>,
    /// Its host, where it is reached over TLS.
    tls_host: Option<Box<str>>,
    /// Whether another protocol carries the devices' own.
    is_carried: bool,
    /// How devices shake hands there, by fleet; only of those that connect here.
    tls: Vec<Option<FleetTls>>,
}

/// Whether something accepts connections at `address`, a host and a port.
pub(crate) fn accepts(address: &str, timeout: Duration) -> bool {
    let addresses = address.to_socket_addrs();
    addresses
        .is_ok_and(|mut found| found.any(|address| TcpStream::connect_timeout(&address, timeout).is_ok()))
}

/// `number` TCP ports of the loopback that nobody listens on at the moment, all different.
///
/// # Errors
/// If the system has none left.
pub(crate) fn free_ports(number: usize) -> io::Result<Vec<u16>> {
    // All are held at once, so that none comes twice.
    let held: Vec<_> = (0..number).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<io::Result<_>>()?;
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

impl Endpoint {
    /// Reads `url` as a target of `protocol` and looks its host up, which may block on DNS.
    ///
    /// Which schemes, port and path that means is among the protocol's [`Facts`].
    ///
    /// # Errors
    /// [`EndpointError`] names the URL, what is wrong with it and what would be right.
    pub fn resolve(protocol: Protocol, url: &str) -> Result<Self, EndpointError> {
        let driver = driver(protocol).ok_or(EndpointError::Unknown { protocol })?;
        let facts = driver.facts();
        let mut parsed = Url::parse(url).map_err(|error| EndpointError::Syntax {
            url: without_login(url),
            reason: error.to_string(),
            protocol,
        })?;
        let names_path = names_path(url);
        check(facts, &parsed)?;
        let credentials = take_credentials(&mut parsed);
        parsed.set_fragment(None);
        let carried = facts.target.carried_by(&parsed);
        if !names_path {
            parsed.set_path(carried.map(|carried| carried.path).or(facts.path).unwrap_or_default());
        }
        let addresses = look_up(facts, &parsed)?;
        let Some(&address) = addresses.first() else {
            return Err(EndpointError::Resolve {
                url: parsed.to_string(),
                host: parsed.host_str().unwrap_or_default().to_owned(),
                source: io::Error::new(io::ErrorKind::NotFound, "the name has no address"),
            });
        };
        let (authority, target) = (authority(&parsed), target(&parsed));
        let host = facts.target.is_tls(&parsed).then(|| parsed.host_str()).flatten();
        let tls_host = host.map(|host| bare(host).into());
        // Browsers' schemes have a port that everybody knows.
        let unknown = parsed.port_or_known_default().is_none();
        let usual = facts.target.usual_port(&parsed).filter(|_| unknown);
        let port = usual.map_or_else(String::new, |port| format!(":{port}"));
        let origin = format!("{}://{authority}{port}", parsed.scheme());
        Ok(Self {
            driver,
            url: parsed.to_string(),
            shown: Shown { url: parsed.to_string(), origin: Some(origin), names_path },
            addresses,
            address,
            sources: Vec::new(),
            authority,
            target,
            credentials,
            scarcity: Arc::default(),
            tls_host,
            is_carried: carried.is_some(),
            tls: Vec::new(),
        })
    }

    /// Where a service is controlled, which is by HTTP whatever its devices speak.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn control(url: &str) -> Result<Self, EndpointError> {
        Self::resolve(super::http::NAME, url)
    }

    /// As [`Self::resolve`], of a URL into which environment variables were put: errors, and whatever is shown of the
    /// endpoint, have it as `written`.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn resolve_as(protocol: Protocol, url: &str, written: &str) -> Result<Self, EndpointError> {
        let written = without_login(written);
        let endpoint = Self::resolve(protocol, url).map_err(|error| error.veiled(&written))?;
        let origin = written.find("://").map(|scheme| {
            let rest = &written[scheme + 3..];
            written[..scheme + 3 + rest.find(['/', '?', '#']).unwrap_or(rest.len())].to_owned()
        });
        let names_path = endpoint.shown.names_path;
        let url = match &origin {
            Some(origin) if !names_path => {
                let usual = endpoint.driver.facts().path.unwrap_or_default();
                format!("{origin}{usual}{}", &written[origin.len()..])
            }
            _ => written,
        };
        Ok(Self { shown: Shown { url, origin, names_path }, ..endpoint })
    }

    /// The protocol spoken here.
    pub fn protocol(&self) -> Protocol {
        self.driver.facts().protocol
    }

    /// What can be said of the protocol.
    pub fn facts(&self) -> &'static Facts {
        self.driver.facts()
    }

    /// What speaks it.
    pub(crate) const fn driver(&self) -> &'static dyn Driver {
        self.driver
    }

    /// The address devices connect to.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL in full, defaults filled in, credentials left out.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL as it may be shown and stored.
    pub fn shown(&self) -> &str {
        &self.shown.url
    }

    /// Whether the author of the URL wrote a path.
    pub const fn names_path(&self) -> bool {
        self.shown.names_path
    }

    /// The URL of a request target or topic here, as it may be shown: `place` as it was written. `None`: the URL's own.
    pub fn shown_at(&self, place: Option<&str>) -> String {
        let Some(place) = place else { return self.shown.url.clone() };
        let gap = if self.driver.facts().path.is_none() { "/" } else { "" };
        match &self.shown.origin {
            Some(origin) => format!("{origin}{gap}{place}"),
            None => format!("{place} at {}", self.shown.url),
        }
    }

    /// An address of the host, unless the host is hidden in a variable.
    fn shown_address(&self, address: SocketAddr) -> String {
        let hidden = self.shown.origin.as_deref().is_none_or(|origin| origin.contains("${"));
        if hidden { "its address".to_owned() } else { address.to_string() }
    }

    /// Makes sure that something accepts connections, and settles on the first address of the host that does.
    ///
    /// Blocks for at most `timeout` per address.
    ///
    /// # Errors
    /// [`EndpointError::Unreachable`] if no address accepts, [`EndpointError::Exhausted`] if this machine could not even ask.
    pub fn probe(&mut self, timeout: Duration) -> Result<(), EndpointError> {
        let mut last = (self.address, io::Error::from(io::ErrorKind::NotFound));
        for &address in &self.addresses {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(_) => {
                    self.address = address;
                    return Ok(());
                }
                Err(error) => last = (address, error),
            }
        }
        let (address, source) = (self.shown_address(last.0), last.1);
        if let Some(scarce) = ScarceResource::of_io(&source) {
            return Err(EndpointError::Exhausted { url: self.shown.url.clone(), address, scarce, source });
        }
        Err(EndpointError::Unreachable { url: self.shown.url.clone(), address, source })
    }

    /// Has connections come from `sources` by turns; from wherever the system chooses if there are none.
    ///
    /// # Errors
    /// [`EndpointError::Source`] if an address is not one of this machine's, or of another family than the target's.
    pub fn come_from(&mut self, sources: &[IpAddr]) -> Result<(), EndpointError> {
        for &source_ip in sources {
            let usable = if source_ip.is_ipv4() == self.address.is_ipv4() {
                TcpListener::bind((source_ip, 0)).map(drop)
            } else {
                Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "one is an IPv4 address, one an IPv6 address",
                ))
            };
            usable.map_err(|source| {
                let target = self.shown_address(self.address);
                EndpointError::Source { source_ip, target, source }
            })?;
        }
        self.sources = sources.to_vec();
        Ok(())
    }

    /// Whether the protocol is spoken within WebSocket, as its scheme says.
    pub(super) const fn is_carried(&self) -> bool {
        self.is_carried
    }

    /// Whether it is reached over TLS.
    pub const fn is_tls(&self) -> bool {
        self.tls_host.is_some()
    }

    /// Prepares how the devices of `fleet` shake hands here; nothing where it is reached without TLS. `identities`: what each shows, by
    /// its number, that has none of its own.
    ///
    /// # Errors
    /// [`EndpointError::Tls`] if they cannot.
    pub(crate) fn secure(
        &mut self,
        fleet: FleetId,
        settings: &TlsSettings,
        identities: Arc<[ClientIdentity]>,
    ) -> Result<(), EndpointError> {
        let Some(host) = &self.tls_host else { return Ok(()) };
        let prepared = FleetTls::new(settings, host).map(|tls| tls.showing(identities));
        let prepared =
            prepared.map_err(|reason| EndpointError::Tls { url: self.shown.url.clone(), reason })?;
        let place = usize::from(fleet.0);
        self.tls.resize_with(self.tls.len().max(place + 1), || None);
        self.tls[place] = Some(prepared);
        Ok(())
    }

    /// How the devices of `fleet` shake hands here; `None` without TLS.
    pub(crate) fn tls(&self, fleet: FleetId) -> Option<&FleetTls> {
        self.tls.get(usize::from(fleet.0))?.as_ref()
    }

    /// How whoever controls the service shakes hands here: as the first device of the first fleet that does. `None` without TLS.
    pub(super) fn control_tls(&self) -> Option<DeviceTls> {
        let tls = self.tls.iter().flatten().next()?;
        Some(tls.device(tls.identity(0)))
    }

    /// Local addresses that connections come from by turns; none if the system chooses.
    pub fn sources(&self) -> &[IpAddr] {
        &self.sources
    }

    /// The local address that the connection of device number `index` comes from.
    pub fn source_of(&self, index: usize) -> Option<IpAddr> {
        self.sources.get(index % self.sources.len().max(1)).copied()
    }

    /// How often this machine ran out of what while devices connected here; all clones of an endpoint count together.
    pub fn scarcity(&self) -> &Scarcity {
        &self.scarcity
    }

    /// The value of the `Host` header: the default port is left out, as RFC 9110 §7.2 asks.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// The request target in origin form.
    pub(super) fn target(&self) -> &str {
        &self.target
    }

    /// The password in its URL, if there is one: a secret.
    pub fn password(&self) -> Option<&str> {
        Some(self.credentials.as_ref()?.password.as_ref()?.reveal())
    }

    pub(super) const fn credentials(&self) -> Option<&Login> {
        self.credentials.as_ref()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown.url)
    }
}

/// Whether a URL has a path, as it was written: parsing makes `/` of none.
fn names_path(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.find(['/', '\\', '?', '#']).is_some_and(|at| !rest[at..].starts_with(['?', '#']))
}

/// Moves `user:password` out of the URL, so that no message or manifest can show it.
fn take_credentials(url: &mut Url) -> Option<Login> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let credentials = Login {
        user: percent_decoded(url.username()),
        password: url.password().map(|password| Secret::new(percent_decoded(password))),
    };
    // Both calls fail only for URLs without a host, which then have no credentials either.
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    cleared.is_ok().then_some(credentials)
}

/// `text` with every `%XX` as the byte that it stands for; what is no UTF-8 then is U+FFFD.
pub(crate) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = (byte == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether `url`, credentials included, is a target of the protocol; no error shows them.
fn check(facts: &Facts, url: &Url) -> Result<(), EndpointError> {
    let Some(fault) = facts.target.fault(url) else { return Ok(()) };
    let (protocol, url) = (facts.protocol, without_login(url.as_str()));
    Err(match fault {
        AddressFault::Scheme | AddressFault::Host => EndpointError::Scheme { url, protocol },
        AddressFault::NoPort => EndpointError::Portless { url, protocol },
        AddressFault::Port => EndpointError::Unusable { url, part: "port 0", protocol },
        AddressFault::Part(part) => EndpointError::Unusable { url, part, protocol },
    })
}

fn look_up(facts: &Facts, url: &Url) -> Result<Vec<SocketAddr>, EndpointError> {
    let host = url.host_str().unwrap_or_default();
    let bare = bare(host);
    let port = url.port_or_known_default().or_else(|| facts.target.usual_port(url)).unwrap_or_default();
    (bare, port).to_socket_addrs().map(Iterator::collect).map_err(|source| EndpointError::Resolve {
        url: url.to_string(),
        host: bare.to_owned(),
        source,
    })
}

/// An address of IPv6 without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn authority(url: &Url) -> String {
    let mut authority = url.host_str().unwrap_or_default().to_owned();
    if let Some(port) = url.port() {
        let _ = write!(authority, ":{port}");
    }
    authority
}

fn target(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

#[cfg(test)]
mod tests;
