//! What the service counts of itself, for Prometheus.

mod count;
mod job;
mod state;
#[cfg(test)]
mod tests;
mod time;

use std::sync::atomic::{AtomicU64, Ordering};

pub(super) use self::count::{Counter, Gauge};
pub(super) use self::time::{Endpoint, ResponseTimes};
use super::answer::Reason;
use super::cache::Tier;
use super::health::Status;
use super::job::Figures;
use super::state::Report;
use super::tls::HandshakeEnd;
use crate::clock::ProcessUse;
use crate::metric::{self, Family, Kind};
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
    /// All that came in, whatever became of it.
    pub(super) received: Counter,
    /// Readings that got an error on purpose.
    pub(super) failed: Counter,
    /// Verdicts given.
    pub(super) verdicts: Counter,
    /// Readings that were not worked on, by reason.
    shed: [Counter; REASONS.len()],
    /// What came in and was not a reading: dead letters.
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
    /// Windows closed.
    pub(super) windows: Counter,
    /// Those that were not listed, for want of room on the way.
    pub(super) windows_lost: Counter,
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
    /// Messages whose time passed before an MQTT subscriber could be sent them.
    pub(super) mqtt_expired: Counter,
    /// Connections refused because too many were open.
    pub(super) connections_refused: Counter,
    /// TLS handshakes, by how they ended.
    handshakes: [Counter; HandshakeEnd::ALL.len()],
    pub(super) http_connections: Gauge,
    pub(super) ws_connections: Gauge,
    pub(super) mqtt_connections: Gauge,
    /// How long workers were at readings, summed over them, nanoseconds.
    busy_ns: AtomicU64,
    /// How much longer than they cost inferences took, summed over workers, nanoseconds.
    overrun_ns: AtomicU64,
}

/// What has become of all that came in. Once nothing is under way, what was received is the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Books {
    pub(super) received: u64,
    pub(super) verdicts: u64,
    /// Crashed ones left out.
    pub(super) shed: u64,
    pub(super) crashed: u64,
    /// Those that got an error on purpose.
    pub(super) failed: u64,
    /// What was not a reading.
    pub(super) dead: u64,
}

/// A way to Redis, and whether it leads there.
#[derive(Debug, Clone, Copy)]
pub(super) struct RedisLink {
    /// What it is for.
    pub(super) purpose: &'static str,
    pub(super) answers: bool,
    pub(super) failures: u64,
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
    /// What outlives a crash; none: nothing does.
    pub(super) state: Option<Report>,
}

/// What only the serving thread knows at the moment of a scrape.
#[derive(Debug, Clone)]
pub(super) struct ServingSnapshot {
    /// Readings whose answers have not come back.
    pub(super) under_way: usize,
    pub(super) times: ResponseTimes,
    /// What is counted of jobs.
    pub(super) jobs: Figures,
    pub(super) redis: Vec<RedisLink>,
    pub(super) status: Status,
    pub(super) process: ProcessUse,
}

impl Metrics {
    /// Counts a reading that came in and was refused at once.
    pub(super) fn turn_away(&self, reason: Reason) {
        self.received.inc();
        self.shed(reason);
    }

    /// Counts a reading that came in and got an error on purpose.
    pub(super) fn fail(&self) {
        self.received.inc();
        self.failed.inc();
    }

    /// Counts something that came in and was not a reading.
    pub(super) fn bury(&self) {
        self.received.inc();
        self.bad.inc();
    }

    /// Counts a reading that was not worked on after all.
    pub(super) fn shed(&self, reason: Reason) {
        self.shed[reason as usize].inc();
    }

    /// Adds the time that a worker was at readings.
    pub(super) fn worked(&self, ns: u64) {
        self.busy_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// How long workers were at readings, summed over them, nanoseconds.
    pub(super) fn busy_ns(&self) -> u64 {
        self.busy_ns.load(Ordering::Relaxed)
    }

    /// Adds what an inference took beyond its cost.
    pub(super) fn overran(&self, ns: u64) {
        self.overrun_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// How much longer than they cost inferences took, summed over workers, nanoseconds.
    pub(super) fn overrun_ns(&self) -> u64 {
        self.overrun_ns.load(Ordering::Relaxed)
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

    /// What has become of all that came in so far.
    pub(super) fn books(&self) -> Books {
        let crashed = self.shed[Reason::Crashed as usize].get();
        Books {
            verdicts: self.verdicts.get(),
            shed: self.shed_total().saturating_sub(crashed),
            crashed,
            failed: self.failed.get(),
            dead: self.bad.get(),
            // Last of all: what has ended meanwhile had come in before.
            received: self.received.get(),
        }
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

    /// Everything, as one who sends these `Accept` header fields can read it, and its content type.
    pub(super) fn page<'a>(
        &self,
        now: &Snapshot,
        serving: &ServingSnapshot,
        accepts: impl IntoIterator<Item = &'a str>,
    ) -> (&'static str, Vec<u8>) {
        metric::encode(&self.families(now, serving), accepts)
    }

    fn families(&self, now: &Snapshot, serving: &ServingSnapshot) -> Vec<Family> {
        let mut families = self.counters();
        families.extend(self.cache_families());
        families.extend(self.labelled(now));
        families.extend(self.gauges(now, serving));
        families.extend(serving.times.families());
        families.extend(serving.families());
        families.extend(serving.jobs.families());
        families.extend(now.state.iter().flat_map(Report::families));
        families
    }

    fn counters(&self) -> Vec<Family> {
        let counters: [(&str, &'static str, &Counter); 19] = [
            ("readings_received", "All that came in, whatever became of it", &self.received),
            ("readings_failed", "Readings that got an error on purpose", &self.failed),
            ("verdicts", "Verdicts given", &self.verdicts),
            ("readings_bad", "Messages that were not readings: dead letters", &self.bad),
            ("readings_duplicate", "Readings that had been worked on before", &self.duplicates),
            ("readings_late", "Readings that came after their window was closed", &self.late),
            ("anomalies", "Verdicts that were anomalies", &self.anomalies),
            ("alerts", "Alerts raised", &self.alerts),
            ("alerts_lost", "Alerts lost for want of room", &self.alerts_lost),
            ("windows_closed", "Windows over event time that were closed", &self.windows),
            ("windows_lost", "Closed windows not listed for want of room", &self.windows_lost),
            ("cache_renewals", "Scores computed anew while the aged one was served", &self.cache_renewals),
            ("cache_audited", "Similar scores that were compared with the true ones", &self.cache_audited),
            ("cache_false", "Similar scores that led to a wrong level", &self.cache_false),
            ("devices_evicted", "Devices forgotten to make room", &self.devices_evicted),
            ("devices_moved", "Devices whose state came from another instance", &self.devices_moved),
            ("worker_crashes", "Workers that crashed", &self.worker_crashes),
            ("mqtt_messages_dropped", "Messages a slow MQTT subscriber did not get", &self.mqtt_dropped),
            (
                "mqtt_messages_expired",
                "Messages whose time passed before an MQTT subscriber got them",
                &self.mqtt_expired,
            ),
        ];
        let family = |(name, help, counter): (&str, &'static str, &Counter)| {
            Family::of(Kind::Counter, name, help).with([], counter.get() as f64)
        };
        counters.into_iter().map(family).collect()
    }

    fn cache_families(&self) -> [Family; 3] {
        let inferences = "Scores that a model computed, renewals included";
        let inferences =
            Family::of(Kind::Counter, "inferences", inferences).with([], self.inferences.get() as f64);
        let by_tier = TIERS.map(|tier| (tier.name(), self.scored_by(tier) as f64));
        let all: f64 = by_tier.iter().map(|(_, count)| count).sum();
        // Before the first score there is no share to tell.
        let shares = by_tier.into_iter().filter(|_| all > 0.0).map(|(word, count)| (word, count / all));
        let shares: Vec<_> = shares.filter(|(word, _)| *word != Tier::Miss.name()).collect();
        [
            inferences,
            Family::of(Kind::Counter, "scores", "Scores by where they came from").by("from", by_tier),
            Family::of(Kind::Gauge, "cache_hit_ratio", "Share of scores that came from this tier, so far")
                .by("from", shares),
        ]
    }

    fn labelled(&self, now: &Snapshot) -> Vec<Family> {
        let counter = |name, help| Family::of(Kind::Counter, name, help);
        let figure = |counter: &Counter| counter.get() as f64;
        let shed = REASONS.map(|reason| (reason.name(), figure(&self.shed[reason as usize])));
        let defects = DEFECTS.into_iter().zip(self.defects.iter().map(figure));
        let ends = HandshakeEnd::ALL.iter().map(|end| end.name()).zip(self.handshakes.iter().map(figure));
        let acts = FaultKind::ALL.iter().zip(&now.fault_acts);
        let waiting = Priority::ALL.iter().map(|level| (level.name(), now.waiting[*level as usize] as f64));
        let active = Family::of(Kind::Gauge, "fault_active", "Faults that are on, on purpose");
        let active = now.faults.iter().fold(active, |family, (name, kind)| {
            family.with([("name", name.as_str()), ("kind", kind.name())], 1.0)
        });
        vec![
            counter("readings_shed", "Readings that were not worked on, by reason").by("reason", shed),
            counter("readings_defective", "Readings with something wrong as data").by("kind", defects),
            counter("tls_handshakes", "TLS handshakes by how they ended").by("end", ends),
            counter("fault_acts", "How often faults acted, by kind")
                .by("kind", acts.map(|(kind, count)| (kind.name(), *count as f64))),
            counter("connections_refused", "Connections refused because too many were open")
                .with([], figure(&self.connections_refused)),
            counter("worker_busy_seconds", "How long workers were at readings, summed over them")
                .with([], self.busy_ns() as f64 / 1e9),
            Family::of(Kind::Gauge, "queue_waiting", "Readings that wait, by level").by("level", waiting),
            active,
        ]
    }

    fn gauges(&self, now: &Snapshot, serving: &ServingSnapshot) -> Vec<Family> {
        let waiting: usize = now.waiting.iter().sum();
        let gauges: [(&str, &'static str, f64); 9] = [
            ("http_connections", "Open HTTP connections", self.http_connections.get() as f64),
            ("ws_connections", "Open WebSocket connections", self.ws_connections.get() as f64),
            ("mqtt_connections", "Open MQTT connections", self.mqtt_connections.get() as f64),
            ("queue_depth", "Readings that wait", waiting as f64),
            ("queue_capacity", "Readings that may wait", now.queue_capacity as f64),
            ("workers", "Workers that run", now.workers as f64),
            ("devices", "Devices whose state is kept", now.devices as f64),
            ("cache_entries", "Scores in the exact cache", now.cached as f64),
            ("readings_under_way", "Readings that came in and have no answer yet", serving.under_way as f64),
        ];
        let gauge = |(name, help, value)| Family::of(Kind::Gauge, name, help).with([], value);
        gauges.into_iter().map(gauge).collect()
    }
}

impl ServingSnapshot {
    fn families(&self) -> Vec<Family> {
        let statuses = Status::ALL.map(|status| (status.name(), f64::from(status == self.status)));
        let answers = self.redis.iter().map(|link| (link.purpose, f64::from(link.answers)));
        let failures = self.redis.iter().map(|link| (link.purpose, link.failures as f64));
        let mut families = vec![
            Family::of(Kind::Gauge, "health", "1 for what /health says").by("status", statuses),
            Family::of(Kind::Gauge, "redis_up", "1 where Redis answers, by what it is for")
                .by("purpose", answers),
            Family::of(Kind::Counter, "redis_failures", "Attempts at Redis that failed")
                .by("purpose", failures),
        ];
        let ProcessUse { cpu, resident_bytes, descriptors, most_descriptors } = self.process;
        let cpu = cpu.map(|cpu| cpu.as_secs_f64());
        let bytes = |count: Option<u64>| count.map(|count| count as f64);
        for (kind, name, help, value) in [
            (Kind::Counter, "cpu_seconds", "Processor time of the whole process", cpu),
            (Kind::Gauge, "resident_memory_bytes", "Memory that the process holds", bytes(resident_bytes)),
            (Kind::Gauge, "open_fds", "Descriptors that are open", bytes(descriptors)),
            (Kind::Gauge, "max_fds", "Descriptors that may be open", bytes(most_descriptors)),
        ] {
            // What the system does not tell is left out.
            families.extend(value.map(|value| Family::process(kind, name, help, value)));
        }
        families
    }
}
