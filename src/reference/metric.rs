//! What the service counts of itself, for Prometheus.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::clock::Tick;

/// The service's counters; shared by all its threads.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Readings that came in, whatever became of them.
    pub(super) received: Counter,
    /// Verdicts given.
    pub(super) verdicts: Counter,
    /// Readings refused because the queue was full.
    shed: Counter,
    /// What came in and was no reading.
    pub(super) bad: Counter,
    /// Verdicts that were anomalies.
    pub(super) anomalies: Counter,
    pub(super) cache_hits: Counter,
    pub(super) cache_misses: Counter,
    /// Devices whose state was forgotten to make room.
    pub(super) devices_evicted: Counter,
    /// Messages dropped because an MQTT subscriber was too slow.
    pub(super) mqtt_dropped: Counter,
    /// Connections refused because too many were open.
    pub(super) connections_refused: Counter,
    pub(super) http_connections: Gauge,
    pub(super) ws_connections: Gauge,
    pub(super) mqtt_connections: Gauge,
    /// When a reading was last shed, nanoseconds on the service's clock; 0 if never.
    last_shed: AtomicU64,
}

/// Figures read off at the moment of a scrape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Snapshot {
    pub(super) queue_depth: usize,
    pub(super) queue_capacity: usize,
    pub(super) workers: usize,
}

impl Metrics {
    /// Counts a reading that was refused at `now`.
    pub(super) fn shed(&self, now: Tick) {
        self.shed.inc();
        self.last_shed.store(now.0.max(1), Ordering::Relaxed);
    }

    /// Readings refused so far.
    pub(super) fn shed_total(&self) -> u64 {
        self.shed.get()
    }

    /// When a reading was last refused.
    pub(super) fn last_shed(&self) -> Option<Tick> {
        Some(self.last_shed.load(Ordering::Relaxed)).filter(|at| *at > 0).map(Tick)
    }

    /// Everything in the Prometheus text format.
    pub(super) fn encode(&self, now: Snapshot) -> String {
        let mut registry = Registry::with_prefix("squall");
        let counters: [(&str, &str, &Counter); 10] = [
            ("readings_received", "Readings that came in", &self.received),
            ("verdicts", "Verdicts given", &self.verdicts),
            ("readings_shed", "Readings refused because the queue was full", &self.shed),
            ("readings_bad", "Messages that were no reading", &self.bad),
            ("anomalies", "Verdicts that were anomalies", &self.anomalies),
            ("cache_hits", "Verdicts taken from the exact cache", &self.cache_hits),
            ("cache_misses", "Verdicts that had to be computed", &self.cache_misses),
            ("devices_evicted", "Devices forgotten to make room", &self.devices_evicted),
            ("mqtt_messages_dropped", "Messages a slow MQTT subscriber did not get", &self.mqtt_dropped),
            (
                "connections_refused",
                "Connections refused because too many were open",
                &self.connections_refused,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        for (name, help, gauge) in [
            ("http_connections", "Open HTTP connections", &self.http_connections),
            ("ws_connections", "Open WebSocket connections", &self.ws_connections),
            ("mqtt_connections", "Open MQTT connections", &self.mqtt_connections),
        ] {
            registry.register(name, help, gauge.clone());
        }
        for (name, help, value) in [
            ("queue_depth", "Readings that wait", now.queue_depth),
            ("queue_capacity", "Readings that may wait", now.queue_capacity),
            ("workers", "Workers that run", now.workers),
        ] {
            let gauge: Gauge = Gauge::default();
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            registry.register(name, help, gauge);
        }
        let mut text = String::new();
        if encode(&mut text, &registry).is_err() {
            text.clear();
            let _ = writeln!(text, "# the metrics could not be encoded");
        }
        text
    }
}
