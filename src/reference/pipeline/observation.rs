//! How the service is: what its health and its metrics are made from.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Pipeline;
use crate::clock::{Tick, memory_available, memory_left, resident_bytes};
use crate::reference::alert::Alert;
use crate::reference::cluster::{ClusterBus, Link, ScoreStore, SharedGate, StateStore};
use crate::reference::health::{Health, HealthInputs, Sample};
use crate::reference::metric::{RedisLink, Snapshot};
use crate::service::FaultKind;

impl Pipeline {
    /// Takes note of how the service is just now: how long its readings take, and how much processor time the thread that serves
    /// connections has had. To be called about every second.
    pub(in crate::reference) fn observe(&self, p99_ms: Option<f64>, serving: Option<Duration>) {
        let held = resident_bytes();
        // What the groups of the process leave it, or the whole machine.
        let left = [memory_left(), memory_available()].into_iter().flatten().min();
        let memory_ratio = held.zip(left).map(|(held, left)| held as f64 / (held + left).max(1) as f64);
        self.monitor.observe(self.now(), self.sample(serving), p99_ms, memory_ratio);
    }

    fn sample(&self, serving: Option<Duration>) -> Sample {
        let metrics = &self.shared.metrics;
        Sample { books: metrics.books(), busy_ns: metrics.busy_ns(), serving }
    }

    /// Sends an alert of the serving thread's own the way that those of workers come.
    pub(in crate::reference) fn raise(&self, alert: Alert) {
        self.back.raise(alert, None);
    }

    /// How the service is now; `bus` is what leads to other instances.
    pub(in crate::reference) fn health(&self, bus: Option<&ClusterBus>) -> Health {
        let (now, workers) = (self.now(), self.pool.alive());
        let (depth, capacity) = (self.queue.waiting().iter().sum::<usize>(), self.queue.capacity());
        let full_since = Some(self.full_since.load(Ordering::Relaxed)).filter(|since| *since > 0);
        let (lately, ended) = self.monitor.figures(now, self.sample(None), workers);
        let signs = HealthInputs {
            away: self.away(bus),
            now,
            queue_depth: depth,
            queue_capacity: capacity,
            workers,
            workers_wanted: self.setup().workers.count,
            shed: self.shared.metrics.shed_total(),
            // With room in it the queue is full no longer, whether or not a reading has come since.
            full_since: full_since.filter(|_| depth >= capacity).map(Tick),
            operation: self.operation(),
            faults: self.shared.faults.active(now),
            lately,
        };
        Health::judge(&signs, &self.setup().health, ended)
    }

    /// The ways to Redis that the service has: what each is for, and what is so while it does not answer.
    fn links<'p>(
        &'p self,
        bus: Option<&'p ClusterBus>,
    ) -> impl Iterator<Item = (&'static str, &'static str, &'p Link)> {
        let gate = bus.and_then(ClusterBus::gate).map(SharedGate::link);
        let links = [
            ("cluster", "alerts stay on this instance", bus.map(ClusterBus::link)),
            ("quotas", "each instance has its part of the quotas", gate),
            ("scores", "scores are computed here", self.shared.store.as_ref().map(ScoreStore::link)),
            ("states", "devices that move begin anew", self.shared.states.as_ref().map(StateStore::link)),
        ];
        links.into_iter().filter_map(|(purpose, meanwhile, link)| Some((purpose, meanwhile, link?)))
    }

    /// What does not answer and what cannot be written, in sentences.
    fn away(&self, bus: Option<&ClusterBus>) -> Vec<String> {
        let told =
            |(_, meanwhile, link): (_, &str, &Link)| Some(format!("{}; {meanwhile}", link.complaint()?));
        let unwritten = self.shared.journal.as_ref().and_then(|journal| journal.complaint());
        self.links(bus).filter_map(told).chain(unwritten).collect()
    }

    /// How the ways to Redis are.
    pub(in crate::reference) fn redis(&self, bus: Option<&ClusterBus>) -> Vec<RedisLink> {
        let told = self.links(bus).map(|(purpose, _, link)| RedisLink {
            purpose,
            answers: link.down_for().is_none(),
            failures: link.failures(),
        });
        told.collect()
    }

    /// The figures of this moment, for a scrape.
    pub(in crate::reference) fn snapshot(&self) -> Snapshot {
        let faults = &self.shared.faults;
        let active = faults.active(self.now()).into_iter().map(|fault| (fault.name, fault.kind));
        Snapshot {
            faults: active.collect(),
            fault_acts: FaultKind::ALL.iter().map(|kind| faults.acts(*kind)).collect(),
            waiting: self.queue.waiting(),
            queue_capacity: self.queue.capacity(),
            workers: self.pool.alive(),
            devices: self.shared.devices.len(),
            cached: self.shared.cache.len(),
            state: self.shared.journal.as_ref().map(|journal| journal.report()),
        }
    }
}
