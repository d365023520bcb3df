//! The service's doors: each speaks one protocol and hands readings to the pipeline.

pub(super) mod desk;
mod door;
pub(super) mod http;
mod late;
mod latency;
pub(super) mod mqtt;
pub(super) mod ws;

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
