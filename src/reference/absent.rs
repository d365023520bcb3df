//! What stands in the bundled system's place in a build without the feature `reference`: it says so when it is to start.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

mod config;

use crate::record::ServiceCounts;
use crate::service::ActLog;
pub(crate) use config::{Config, TlsCredentials, addresses, host, origin};

/// No server can be started: the type has no values.
#[derive(Debug)]
pub(crate) enum Server {}

/// What reads the counters of a server; there is none either.
#[derive(Debug, Clone)]
pub(crate) enum Meter {}

impl Meter {
    pub(crate) const fn read(&self) -> ServiceCounts {
        match *self {}
    }

    pub(crate) const fn capacity(&self) -> (u64, u64) {
        match *self {}
    }
}

/// Why none can be started.
#[derive(Debug, thiserror::Error)]
#[error(
    "this build of squall has no bundled system (feature `reference`); give a target with --target PROTOCOL=URL"
)]
pub(crate) struct Absent;

/// No certificates can be made: the type has no values.
#[derive(Debug)]
pub(crate) enum Authority {}

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Result<Self, String> {
        Err(Absent.to_string())
    }

    pub(crate) fn again(_: &str, _: &str) -> Result<Self, String> {
        Err(Absent.to_string())
    }

    pub(crate) const fn certificate(&self) -> &str {
        match *self {}
    }

    pub(crate) const fn key(&self) -> String {
        match *self {}
    }

    pub(crate) const fn server(&self, _: &[String]) -> Result<Issued, String> {
        match *self {}
    }

    pub(crate) const fn device(&self, _: &str) -> Result<Issued, String> {
        match *self {}
    }
}

impl Server {
    pub(crate) const fn start(_: &Config) -> Result<Self, Absent> {
        Err(Absent)
    }

    pub(crate) const fn http_addr(&self) -> SocketAddr {
        match *self {}
    }

    pub(crate) const fn mqtt_addr(&self) -> SocketAddr {
        match *self {}
    }

    pub(crate) const fn is_tls(&self) -> bool {
        match *self {}
    }

    pub(crate) fn warm<'k>(&self, _: impl IntoIterator<Item = &'k str>) -> Result<usize, String> {
        match *self {}
    }

    pub(crate) fn keys(&self, _: usize) -> Vec<String> {
        match *self {}
    }

    pub(crate) const fn restored(&self) -> Option<String> {
        match *self {}
    }

    pub(crate) const fn meter(&self) -> Meter {
        match *self {}
    }

    pub(crate) fn acts(&self) -> Arc<ActLog> {
        match *self {}
    }

    pub(crate) fn stop(self) {
        match self {}
    }
}

/// Where instances would meet.
#[derive(Debug)]
pub(crate) enum Broker {}

impl Broker {
    pub(crate) fn start() -> std::io::Result<Self> {
        Err(std::io::Error::other(Absent))
    }

    pub(crate) const fn url(&self) -> String {
        match *self {}
    }
}

/// Where an instance would listen.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) http: SocketAddr,
    pub(crate) mqtt: SocketAddr,
}

/// How a front would be set up.
#[expect(dead_code, reason = "there is no front")]
pub(crate) struct FrontSetup {
    pub(crate) bind: IpAddr,
    pub(crate) http_port: u16,
    pub(crate) mqtt_port: u16,
    pub(crate) rule: crate::service::FrontRule,
    pub(crate) places: Vec<Place>,
    pub(crate) kill: Box<dyn Fn(usize) -> std::io::Result<()> + Send>,
}

/// What would stand before instances.
#[derive(Debug)]
pub(crate) enum Front {}

impl Front {
    pub(crate) fn start(_: FrontSetup) -> Result<Self, String> {
        Err(Absent.to_string())
    }

    pub(crate) const fn http_addr(&self) -> SocketAddr {
        match *self {}
    }

    pub(crate) const fn mqtt_addr(&self) -> SocketAddr {
        match *self {}
    }

    pub(crate) const fn bury(&self, _: usize) {
        match *self {}
    }
}
