//! What the serving thread sees of itself: for health, metrics and alerts, and of the `WebSocket`s that are to end with it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::Dispatcher;
use crate::clock::{ProcessUse, thread_cpu_time};
use crate::reference::admission::Sender;
use crate::reference::alert::Alert;
use crate::reference::endpoint::latency::Latency;
use crate::reference::endpoint::suspicion::Suspicion;
use crate::reference::health::{Concern, Health, Status};
use crate::reference::job::Jobs;
use crate::reference::metric::ServingSnapshot;
use crate::reference::reading::Level;
use crate::reference::token::Denial;
use crate::service::AlertClass;

/// How often it is looked how the service is.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// What the service does beside judging readings.
    pub(in crate::reference) fn jobs(&self) -> &Arc<Jobs> {
        self.pipeline.jobs()
    }

    /// Notes that the service has done `what` it was told, and tells those who wait to hear of it.
    pub(in crate::reference::endpoint) fn note_act(
        &self,
        what: &str,
        who: &str,
        from: SocketAddr,
        run: Option<&str>,
    ) {
        let act = self.acts.note(what, who, from, run);
        let (run, who) = (act.run.as_deref(), act.who.as_str());
        tracing::info!(id = act.id, what = act.what.as_str(), who, %from, run, "an order was carried out");
        self.acted.notify_waiters();
    }

    /// How the service is now.
    pub(in crate::reference::endpoint) fn health(&self) -> Health {
        self.pipeline.health(self.bus.as_deref())
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
        self.tell_concerns();
    }

    /// Raises an alert for every rule of health that was not broken when it was last looked, or not as badly.
    fn tell_concerns(&self) {
        let alerts = &self.pipeline.setup().alerts;
        if ![AlertClass::Performance, AlertClass::System].iter().any(|class| alerts.raises(*class)) {
            return;
        }
        let concerns = self.health().concerns;
        let now = concerns.iter().map(|concern| (concern.rule, concern.status)).collect();
        let before = self.concerns.replace(now);
        for Concern { rule, status, reason } in concerns {
            let was_told = before.iter().any(|(known, worst)| *known == rule && *worst >= status);
            if !was_told && alerts.raises(rule.class()) {
                let level = if status == Status::Unhealthy { Level::High } else { Level::Medium };
                self.pipeline.raise(Alert::of_service(rule.class(), level, reason, self.pipeline.now()));
            }
        }
    }

    /// Whether whoever sends may speak for `device`.
    ///
    /// # Errors
    /// If not.
    pub(in crate::reference::endpoint) fn demand_device(
        &self,
        sender: Sender<'_>,
        device: &str,
    ) -> Result<(), Denial> {
        let refused = |_: &Denial| self.suspect(Suspicion::Right, sender.source.address());
        sender.grant.demand_device(device).inspect_err(refused)
    }

    /// Takes note of somebody who was refused, and raises an alert if it is time.
    pub(in crate::reference::endpoint) fn suspect(&self, suspicion: Suspicion, from: IpAddr) {
        let now = self.pipeline.now();
        if self.pipeline.setup().alerts.raises(AlertClass::Security)
            && let Some(reason) = self.suspicions.note(suspicion, from, now)
        {
            self.pipeline.raise(Alert::of_service(AlertClass::Security, Level::Medium, reason, now));
        }
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
