//! The service's doors: each speaks one protocol and hands readings to the pipeline.

use std::sync::Arc;

use tokio::sync::watch;

use super::metric::Metrics;
use super::pipeline::Pipeline;

pub(super) mod http;
pub(super) mod mqtt;
pub(super) mod ws;

/// What every door needs.
#[derive(Debug, Clone)]
pub(super) struct Door {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) metrics: Arc<Metrics>,
    /// Connections open at once; further ones are closed at once.
    pub(super) max_connections: usize,
    /// Turns true when the service stops.
    pub(super) stop: watch::Receiver<bool>,
}

/// Counts something as open for as long as it lives.
pub(super) struct Counted(prometheus_client::metrics::gauge::Gauge);

impl Counted {
    pub(super) fn new(gauge: &prometheus_client::metrics::gauge::Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
