//! What the serving thread sees of itself: for health and metrics, and of the `WebSocket`s that are to end with it.

use std::sync::Arc;
use std::time::Duration;

use super::Dispatcher;
use crate::clock::{ProcessUse, thread_cpu_time};
use crate::reference::endpoint::latency::Latency;
use crate::reference::job::Jobs;
use crate::reference::metric::ServingSnapshot;

/// How often it is looked how the service is.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// What the service does beside judging readings.
    pub(in crate::reference) fn jobs(&self) -> &Arc<Jobs> {
        self.pipeline.jobs()
    }

    /// What of the metrics only this thread knows.
    pub(in crate::reference::endpoint) fn serving_snapshot(&self) -> ServingSnapshot {
        ServingSnapshot {
            under_way: self.under_way.get(),
            times: self.times.borrow().clone(),
            jobs: self.jobs().figures(),
            redis: self.pipeline.redis(self.bus.as_deref()),
            status: self.health().status,
            process: ProcessUse::read(),
        }
    }

    fn observe(&self) {
        let Latency { p99_ms, .. } = self.latency.borrow_mut().read(self.pipeline.now());
        self.pipeline.observe(p99_ms, thread_cpu_time());
    }

    /// Takes note of how the service is every second, for as long as it is polled.
    pub(in crate::reference) async fn observe_in_time(&self) {
        loop {
            self.observe();
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Serves a WebSocket by a task of its own.
    pub(in crate::reference::endpoint) fn serve_socket(
        &self,
        conversation: impl Future<Output = ()> + 'static,
    ) {
        let mut sockets = self.sockets.borrow_mut();
        // Those that have ended are forgotten as others come.
        while sockets.try_join_next().is_some() {}
        sockets.spawn_local(conversation);
    }

    /// Returns when every WebSocket has said its farewell.
    pub(in crate::reference::endpoint) async fn sockets_ended(&self) {
        let mut sockets = self.sockets.take();
        while sockets.join_next().await.is_some() {}
    }
}
