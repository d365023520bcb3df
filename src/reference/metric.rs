//! What the service counts of itself, for Prometheus.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::cache::Tier;
use super::job::Reason;
use super::tls::HandshakeEnd;
use crate::clock::Tick;
use crate::service::{FaultKind, Priority};

const REASONS: [Reason; 7] = [
    Reason::QueueFull,
    Reason::Displaced,
    Reason::Overdue,
    Reason::Quota,
    Reason::Stopped,
    Reason::Crashed,
    Reason::Overload,
];
const DEFECTS: [&str; 3] = ["stuck", "missing", "range"];
const TIERS: [Tier; 6] =
    [Tier::Exact, Tier::Stale, Tier::Semantic, Tier::Shared, Tier::Coalesced, Tier::Miss];

/// The service's counters; shared by all its threads.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Readings that came in, whatever became of them.
    pub(super) received: Counter,
    /// Readings that got an error on purpose.
    pub(super) failed: Counter,
    /// Verdicts given.
    pub(super) verdicts: Counter,
    /// Readings that were not worked on, by reason.
    shed: [Counter; REASONS.len()],
    /// What came in and was not a reading.
    pub(super) bad: Counter,
    /// Readings that had been worked on before.
    pub(super) duplicates: Counter,
    /// Readings with something wrong as data: stuck, missing before it, out of range.
    defects: [Counter; DEFECTS.len()],
    /// Readings that came after the window they belong to was closed.
    pub(super) late: Counter,
    /// Verdicts that were anomalies.
    pub(super) anomalies: Counter,
    /// Alerts raised.
    pub(super) alerts: Counter,
    /// Alerts that no subscriber got, for want of room on the way.
    pub(super) alerts_lost: Counter,
    /// Verdicts by where their score came from.
    tiers: [Counter; TIERS.len()],
    /// Answers that a model computed.
    pub(super) inferences: Counter,
    /// Answers computed anew while the aged one was served.
    pub(super) cache_renewals: Counter,
    /// Similar answers that were compared with the true ones.
    pub(super) cache_audited: Counter,
    /// Those of them that led to another level.
    pub(super) cache_false: Counter,
    /// Devices whose state was forgotten to make room.
    pub(super) devices_evicted: Counter,
    /// Devices whose state came from another instance.
    pub(super) devices_moved: Counter,
    /// Workers that crashed.
    pub(super) worker_crashes: Counter,
    /// Messages dropped because an MQTT subscriber was too slow.
    pub(super) mqtt_dropped: Counter,
    /// Connections refused because too many were open.
    pub(super) connections_refused: Counter,
    /// TLS handshakes, by how they ended.
    handshakes: [Counter; HandshakeEnd::ALL.len()],
    pub(super) http_connections: Gauge,
    pub(super) ws_connections: Gauge,
    pub(super) mqtt_connections: Gauge,
    /// How long workers were at readings, summed over them, nanoseconds.
    busy_ns: AtomicU64,
    /// When a reading was last shed, nanoseconds on the service's clock; 0 if never.
    last_shed: AtomicU64,
}

/// Figures read off at the moment of a scrape.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    /// Readings that wait, by level, most urgent first.
    pub(super) waiting: [usize; 4],
    pub(super) queue_capacity: usize,
    pub(super) workers: usize,
    pub(super) devices: usize,
    pub(super) cached: usize,
    /// Faults that are on, by name.
    pub(super) faults: Vec<(String, FaultKind)>,
    /// How often faults acted, in the order of [`FaultKind::ALL`].
    pub(super) fault_acts: Vec<u64>,
}

impl Metrics {
    /// Counts a reading that was not worked on, at `now`.
    pub(super) fn shed(&self, now: Tick, reason: Reason) {
        self.shed[reason as usize].inc();
        self.last_shed.store(now.0.max(1), Ordering::Relaxed);
    }

    /// Adds the time that a worker was at readings.
    pub(super) fn worked(&self, ns: u64) {
        self.busy_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// How long workers were at readings, summed over them, seconds.
    pub(super) fn busy_s(&self) -> f64 {
        self.busy_ns.load(Ordering::Relaxed) as f64 / 1e9
    }

    /// Counts something that is wrong with a reading as data, by its word.
    pub(super) fn defect(&self, word: &str) {
        if let Some(place) = DEFECTS.iter().position(|known| *known == word) {
            self.defects[place].inc();
        }
    }

    /// Counts a TLS handshake.
    pub(super) fn handshake(&self, end: HandshakeEnd) {
        self.handshakes[end as usize].inc();
    }

    /// TLS handshakes that ended so.
    #[cfg(test)]
    pub(super) fn handshakes(&self, end: HandshakeEnd) -> u64 {
        self.handshakes[end as usize].get()
    }

    /// Readings that were not worked on so far.
    pub(super) fn shed_total(&self) -> u64 {
        self.shed.iter().map(Counter::get).sum()
    }

    /// Readings not worked on for `reason`.
    pub(super) fn shed_for(&self, reason: Reason) -> u64 {
        self.shed[reason as usize].get()
    }

    /// When a reading was last refused.
    pub(super) fn last_shed(&self) -> Option<Tick> {
        Some(self.last_shed.load(Ordering::Relaxed)).filter(|at| *at > 0).map(Tick)
    }

    /// Counts where a score came from; nothing where there is no cache to have it.
    pub(super) fn tier(&self, tier: Tier, is_on: bool) {
        if is_on || tier == Tier::Coalesced {
            self.tiers[tier as usize].inc();
        }
    }

    /// Verdicts whose score came from `tier`.
    pub(super) fn scored_by(&self, tier: Tier) -> u64 {
        self.tiers[tier as usize].get()
    }

    /// Everything in the `OpenMetrics` text format.
    pub(super) fn encode(&self, now: &Snapshot) -> String {
        let mut registry = Registry::with_prefix("squall");
        self.register_counters(&mut registry);
        self.register_families(&mut registry, now);
        for (name, help, gauge) in [
            ("http_connections", "Open HTTP connections", &self.http_connections),
            ("ws_connections", "Open WebSocket connections", &self.ws_connections),
            ("mqtt_connections", "Open MQTT connections", &self.mqtt_connections),
        ] {
            registry.register(name, help, gauge.clone());
        }
        for (name, help, value) in [
            ("queue_depth", "Readings that wait", now.waiting.iter().sum()),
            ("queue_capacity", "Readings that may wait", now.queue_capacity),
            ("workers", "Workers that run", now.workers),
            ("devices", "Devices whose state is kept", now.devices),
            ("cache_entries", "Scores in the exact cache", now.cached),
        ] {
            registry.register(name, help, gauge(value));
        }
        let mut text = String::new();
        if encode(&mut text, &registry).is_err() {
            text.clear();
            let _ = writeln!(text, "# the metrics could not be encoded");
        }
        text
    }

    fn register_counters(&self, registry: &mut Registry) {
        let counters: [(&str, &str, &Counter); 18] = [
            ("readings_received", "Readings that came in", &self.received),
            ("readings_failed", "Readings that got an error on purpose", &self.failed),
            ("verdicts", "Verdicts given", &self.verdicts),
            ("readings_bad", "Messages that were not readings", &self.bad),
            ("readings_duplicate", "Readings that had been worked on before", &self.duplicates),
            ("readings_late", "Readings that came after their window was closed", &self.late),
            ("anomalies", "Verdicts that were anomalies", &self.anomalies),
            ("alerts", "Alerts raised", &self.alerts),
            ("alerts_lost", "Alerts lost for want of room", &self.alerts_lost),
            ("inferences", "Scores that a model computed, renewals included", &self.inferences),
            ("cache_renewals", "Scores computed anew while the aged one was served", &self.cache_renewals),
            ("cache_audited", "Similar scores that were compared with the true ones", &self.cache_audited),
            ("cache_false", "Similar scores that led to a wrong level", &self.cache_false),
            ("devices_evicted", "Devices forgotten to make room", &self.devices_evicted),
            ("devices_moved", "Devices whose state came from another instance", &self.devices_moved),
            ("worker_crashes", "Workers that crashed", &self.worker_crashes),
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
    }

    fn register_families(&self, registry: &mut Registry, now: &Snapshot) {
        type Labels = [(&'static str, &'static str); 1];
        let shed = Family::<Labels, Counter>::default();
        for reason in REASONS {
            shed.get_or_create(&[("reason", reason.name())]).inc_by(self.shed_for(reason));
        }
        registry.register("readings_shed", "Readings that were not worked on", shed);
        let defects = Family::<Labels, Counter>::default();
        for (word, counter) in DEFECTS.into_iter().zip(&self.defects) {
            defects.get_or_create(&[("kind", word)]).inc_by(counter.get());
        }
        registry.register("readings_defective", "Readings with something wrong as data", defects);
        let scores = Family::<Labels, Counter>::default();
        for tier in TIERS {
            scores.get_or_create(&[("from", tier.name())]).inc_by(self.scored_by(tier));
        }
        registry.register("scores", "Scores by where they came from", scores);
        let handshakes = Family::<Labels, Counter>::default();
        for (end, counter) in HandshakeEnd::ALL.iter().zip(&self.handshakes) {
            handshakes.get_or_create(&[("end", end.name())]).inc_by(counter.get());
        }
        registry.register("tls_handshakes", "TLS handshakes by how they ended", handshakes);
        let waiting = Family::<Labels, Gauge>::default();
        for level in Priority::ALL {
            waiting.get_or_create(&[("level", level.name())]).set(count(now.waiting[*level as usize]));
        }
        registry.register("queue_waiting", "Readings that wait, by level", waiting);
        let active = Family::<[(&'static str, String); 2], Gauge>::default();
        for (name, kind) in &now.faults {
            active.get_or_create(&[("name", name.clone()), ("kind", kind.name().to_owned())]).set(1);
        }
        registry.register("fault_active", "Faults that are on, on purpose", active);
        let acts = Family::<Labels, Counter>::default();
        for (kind, count) in FaultKind::ALL.iter().zip(&now.fault_acts) {
            acts.get_or_create(&[("kind", kind.name())]).inc_by(*count);
        }
        registry.register("fault_acts", "How often faults acted, by kind", acts);
    }
}

fn gauge(value: usize) -> Gauge {
    let gauge: Gauge = Gauge::default();
    gauge.set(count(value));
    gauge
}

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
