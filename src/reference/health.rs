//! Is the service well? Healthy, degraded or unhealthy, with reasons that name value and limit.

use serde::Serialize;

use super::fault::ActiveFault;
use super::pipeline::Operation;
use crate::clock::Tick;
use crate::service::FaultKind;
use crate::units::figure::count;

/// How well the service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Everything is as it should be.
    Healthy,
    /// It works, but not as well as it should.
    Degraded,
    /// It does not do its work.
    Unhealthy,
}

/// The service's health, as `GET /health` shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Health {
    /// The worst of all rules.
    pub status: Status,
    /// One sentence per rule that is broken.
    pub reasons: Vec<String>,
    /// Seconds since the service started.
    pub uptime_s: f64,
    /// Readings that wait.
    pub queue_depth: usize,
    /// Readings that may wait.
    pub queue_capacity: usize,
    /// Workers that run.
    pub workers: usize,
    /// Readings refused since the start.
    pub shed: u64,
}

/// The figures health is judged by.
#[derive(Debug, Clone)]
pub(super) struct HealthInputs {
    pub(super) now: Tick,
    pub(super) queue_depth: usize,
    pub(super) queue_capacity: usize,
    pub(super) workers: usize,
    pub(super) workers_wanted: usize,
    pub(super) shed: u64,
    pub(super) last_shed: Option<Tick>,
    /// Since when the queue has been full without a break.
    pub(super) full_since: Option<Tick>,
    pub(super) operation: Operation,
    /// What does not answer, in sentences.
    pub(super) away: Vec<String>,
    /// Faults that are on.
    pub(super) faults: Vec<ActiveFault>,
}

/// A refusal counts against health for this long, nanoseconds.
const SHED_MEMORY_NS: u64 = 10_000_000_000;
/// A queue that is full for this long makes the service unhealthy, nanoseconds.
const FULL_NS: u64 = 1_000_000_000;

impl Health {
    /// Judges by the figures of this moment.
    pub(super) fn judge(signs: &HealthInputs) -> Self {
        let mut health = Self {
            status: Status::Healthy,
            reasons: Vec::new(),
            uptime_s: signs.now.as_secs_f64(),
            queue_depth: signs.queue_depth,
            queue_capacity: signs.queue_capacity,
            workers: signs.workers,
            shed: signs.shed,
        };
        if signs.operation != Operation::Running {
            let reason = format!("the service is {}; it should be running", signs.operation.name());
            health.add(Status::Unhealthy, reason);
        }
        // Without workers readings are worked on where they come in.
        if signs.workers == 0 && signs.workers_wanted > 0 {
            health
                .add(Status::Unhealthy, format!("no worker runs; there should be {}", signs.workers_wanted));
        } else if signs.workers < signs.workers_wanted {
            let reason = format!("{} workers run; there should be {}", signs.workers, signs.workers_wanted);
            health.add(Status::Degraded, reason);
        }
        let full_ns = signs.full_since.map_or(0, |since| signs.now.since(since));
        if full_ns >= FULL_NS {
            let reason =
                format!("the queue has been full for {:.1} s; the limit is 1 s", full_ns as f64 / 1e9);
            health.add(Status::Unhealthy, reason);
        } else if signs.queue_depth * 2 > signs.queue_capacity {
            let (depth, limit) = (count(signs.queue_depth as u64), count(signs.queue_capacity as u64 / 2));
            health.add(
                Status::Degraded,
                format!("{depth} readings wait; the limit is {limit}, half of the queue"),
            );
        }
        if signs.last_shed.is_some_and(|at| signs.now.since(at) < SHED_MEMORY_NS) {
            let reason = format!(
                "readings were refused in the last 10 s ({} since the start); none should be",
                signs.shed
            );
            health.add(Status::Degraded, reason);
        }
        for reason in &signs.away {
            health.add(Status::Degraded, reason.clone());
        }
        for ActiveFault { kind, sentence, .. } in &signs.faults {
            let stalls = *kind == FaultKind::Stall;
            let status = if stalls { Status::Unhealthy } else { Status::Degraded };
            health.add(status, sentence.clone());
        }
        health
    }

    fn add(&mut self, status: Status, reason: String) {
        self.status = self.status.max(status);
        self.reasons.push(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_judged_as_the_table_says() {
        let now = Tick(100_000_000_000);
        let well = HealthInputs {
            now,
            queue_depth: 0,
            queue_capacity: 100,
            workers: 2,
            workers_wanted: 2,
            shed: 0,
            last_shed: None,
            full_since: None,
            operation: Operation::Running,
            away: Vec::new(),
            faults: Vec::new(),
        };
        let fault = |kind| HealthInputs {
            faults: vec![ActiveFault { name: "f".into(), kind, sentence: "the fault `f` is on".into() }],
            ..well.clone()
        };
        let well = || well.clone();
        let ago = |secs: u64| Some(Tick(now.0 - secs * 1_000_000_000));
        for (name, signs, status, reason) in [
            ("well", well(), Status::Healthy, ""),
            ("half full", HealthInputs { queue_depth: 50, ..well() }, Status::Healthy, ""),
            ("over half", HealthInputs { queue_depth: 51, ..well() }, Status::Degraded, "51 readings wait"),
            (
                "shed just now",
                HealthInputs { shed: 3, last_shed: ago(9), ..well() },
                Status::Degraded,
                "3 since the start",
            ),
            ("shed long ago", HealthInputs { shed: 3, last_shed: ago(11), ..well() }, Status::Healthy, ""),
            (
                "full a moment",
                HealthInputs { queue_depth: 100, full_since: ago(0), ..well() },
                Status::Degraded,
                "100 readings",
            ),
            (
                "full",
                HealthInputs { queue_depth: 100, full_since: ago(2), ..well() },
                Status::Unhealthy,
                "full for 2.0 s",
            ),
            ("a worker down", HealthInputs { workers: 1, ..well() }, Status::Degraded, "1 workers run"),
            ("all down", HealthInputs { workers: 0, ..well() }, Status::Unhealthy, "no worker runs"),
            (
                "Redis away",
                HealthInputs { away: vec!["Redis is away".into()], ..well() },
                Status::Degraded,
                "Redis is away",
            ),
            ("inline", HealthInputs { workers: 0, workers_wanted: 0, ..well() }, Status::Healthy, ""),
            ("a fault", fault(FaultKind::CacheOff), Status::Degraded, "the fault `f`"),
            ("a stall", fault(FaultKind::Stall), Status::Unhealthy, "the fault `f`"),
            (
                "paused",
                HealthInputs { operation: Operation::Paused, ..well() },
                Status::Unhealthy,
                "is paused",
            ),
        ] {
            let health = Health::judge(&signs);
            assert_eq!(health.status, status, "{name}: {health:?}");
            assert!(
                health.reasons.iter().any(|r| r.contains(reason)) || reason.is_empty(),
                "{name}: {health:?}"
            );
            assert_eq!(health.reasons.is_empty(), status == Status::Healthy, "{name}: {health:?}");
        }
    }
}
