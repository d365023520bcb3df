//! Where the reference system listens, and how it is set up.

use std::net::{IpAddr, Ipv4Addr};

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
            setup: Setup::default(),
        }
    }
}
