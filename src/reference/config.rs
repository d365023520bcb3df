//! What the reference system can be told, and the bounds it keeps.

use std::net::{IpAddr, Ipv4Addr};

use crate::units::Span;

/// The configuration of a reference system. Any value is safe; capacities of 0 count as 1 unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Address to listen on.
    pub bind: IpAddr,
    /// Port of HTTP and WebSocket; 0 takes a free one.
    pub http_port: u16,
    /// Port of MQTT; 0 takes a free one.
    pub mqtt_port: u16,
    /// Threads that compute verdicts. Each owns the devices whose names hash to it, and its share of the queue.
    pub workers: usize,
    /// Readings that may wait, over all workers; a reading that finds its worker's share full is shed.
    pub queue_capacity: usize,
    /// Verdicts the exact cache holds, over all workers; 0 turns it off.
    pub cache_capacity: usize,
    /// Devices whose state is kept, over all workers; beyond that the one silent for longest is forgotten.
    pub device_capacity: usize,
    /// Processor time one inference costs on top of the model's own, standing in for a heavy model.
    pub inference: Span,
    /// Connections open at once, per listener; further ones are closed at once.
    pub max_connections: usize,
}

impl Default for Config {
    /// Loopback, free ports, one worker.
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            http_port: 0,
            mqtt_port: 0,
            workers: 1,
            queue_capacity: 10_000,
            cache_capacity: 65_536,
            device_capacity: 200_000,
            inference: Span::ZERO,
            max_connections: 100_000,
        }
    }
}
