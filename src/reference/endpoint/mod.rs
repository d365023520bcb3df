//! The service's doors: each speaks one protocol and hands readings to the pipeline.

mod delay_queue;
pub(super) mod dispatcher;
pub(super) mod http;
mod latency;
pub(super) mod mqtt;
mod resettable;
pub(super) mod ws;

/// Counts something as open for as long as it lives.
pub(super) struct GaugeGuard(prometheus_client::metrics::gauge::Gauge);

impl GaugeGuard {
    pub(super) fn new(gauge: &prometheus_client::metrics::gauge::Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}
