//! The service's doors: each speaks one protocol and hands readings to the pipeline.

mod delay_queue;
pub(super) mod dispatcher;
pub(super) mod http;
mod latency;
pub(super) mod mqtt;
mod resettable;
mod suspicion;
pub(super) mod ws;

use super::metric::Gauge;

/// Counts something as open for as long as it lives.
pub(super) struct GaugeGuard(Gauge);

impl GaugeGuard {
    pub(super) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}
