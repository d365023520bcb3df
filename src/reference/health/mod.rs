//! Is the service well? Healthy, degraded or unhealthy, with reasons that name value and limit. What has passed is forgotten by
//! time alone: no reading need come.

#[cfg(test)]
mod tests;
mod window;

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

pub(super) use self::window::Sample;
use self::window::{Lately, Window};
use super::fault::ActiveFault;
use super::pipeline::Operation;
use crate::clock::Tick;
use crate::service::{AlertClass, FaultKind, Health as Limits};
use crate::units::figure::{count, plural};

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

impl Status {
    pub(super) const ALL: [Self; 3] = [Self::Healthy, Self::Degraded, Self::Unhealthy];

    /// The word on the wire and in metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// The service's health, as `GET /health` shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Health {
    /// The worst of all rules.
    pub status: Status,
    /// One sentence per rule that is broken.
    pub reasons: Vec<String>,
    /// Those of them that make it unhealthy.
    #[serde(skip)]
    pub(super) grave: Vec<String>,
    /// The same reasons, as they are told apart from one look to the next.
    #[serde(skip)]
    pub(super) concerns: Vec<Concern>,
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
    /// What the last seconds came to.
    pub lately: Figures,
}

/// A rule that is broken.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Concern {
    pub(super) rule: Rule,
    pub(super) status: Status,
    pub(super) reason: String,
}

/// What health is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// It does what it was last told.
    Operation,
    /// All workers run.
    Workers,
    /// Readings find room, and soon.
    Queue,
    /// Readings are answered fast.
    Speed,
    /// The workers could do more.
    Rate,
    /// Little ends in an error.
    Errors,
    /// What comes in is readings.
    Input,
    /// Readings get a verdict.
    Answers,
    /// The processor has time left.
    Processor,
    /// The process has memory left.
    Memory,
    /// Redis answers.
    Redis,
    /// Nothing goes wrong on purpose.
    Fault,
}

impl Rule {
    /// What an alert of it is about.
    pub(super) const fn class(self) -> AlertClass {
        match self {
            Self::Queue | Self::Speed | Self::Rate | Self::Answers | Self::Processor => {
                AlertClass::Performance
            }
            Self::Operation
            | Self::Workers
            | Self::Errors
            | Self::Input
            | Self::Memory
            | Self::Redis
            | Self::Fault => AlertClass::System,
        }
    }
}

/// What health is judged by of the last ten seconds. None where there was nothing to judge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Figures {
    /// 99th percentile of the time from a reading's arrival to its verdict.
    pub p99_ms: Option<f64>,
    /// Readings a second that the workers could do, by the time they needed for those they did.
    pub possible_per_s: Option<f64>,
    /// Share of all that ended in an error or with a worker's crash.
    pub error_ratio: Option<f64>,
    /// Share of all that were not readings.
    pub bad_ratio: Option<f64>,
    /// Share of the readings that ended which got a verdict.
    pub answered_ratio: Option<f64>,
    /// Share of one processor that the serving thread used.
    pub cpu_ratio: Option<f64>,
    /// Share of the memory that the process could have which it holds.
    pub memory_ratio: Option<f64>,
}

/// The figures of this moment that health is judged by.
#[derive(Debug, Clone)]
pub(super) struct HealthInputs {
    pub(super) now: Tick,
    pub(super) queue_depth: usize,
    pub(super) queue_capacity: usize,
    pub(super) workers: usize,
    pub(super) workers_wanted: usize,
    /// Readings refused since the start.
    pub(super) shed: u64,
    /// Since when readings have found the queue full without a break.
    pub(super) full_since: Option<Tick>,
    pub(super) operation: Operation,
    /// What does not answer, in sentences.
    pub(super) away: Vec<String>,
    /// Faults that are on.
    pub(super) faults: Vec<ActiveFault>,
    pub(super) lately: Figures,
}

/// A queue that is full for this long makes the service unhealthy, nanoseconds.
const FULL_NS: u64 = 1_000_000_000;
/// So many times the share of errors that is allowed makes the service unhealthy.
const GRAVE: f64 = 5.0;
/// Of fewer readings a share is no ground to call the service unhealthy.
const LEAST: u64 = 20;
/// Before so much of the last seconds has passed nothing is said of the processor, nanoseconds.
const SETTLED: u64 = 5_000_000_000;
/// Before workers were at readings for so long nothing is said of what they could do, nanoseconds.
const WORKED: u64 = 100_000_000;

/// What has been seen of the service lately.
#[derive(Debug)]
pub(super) struct Monitor(Mutex<Seen>);

#[derive(Debug)]
struct Seen {
    window: Window,
    p99_ms: Option<f64>,
    memory_ratio: Option<f64>,
    /// Processor time of the serving thread when it was last told.
    serving: Option<std::time::Duration>,
}

impl Monitor {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Seen { window: Window::new(), p99_ms: None, memory_ratio: None, serving: None }))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Nothing that could panic is called under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what the service has done so far, how long its readings take, and what memory it holds.
    pub(super) fn observe(&self, now: Tick, sample: Sample, p99_ms: Option<f64>, memory_ratio: Option<f64>) {
        let mut seen = self.seen();
        seen.window.note(now, sample);
        (seen.p99_ms, seen.memory_ratio, seen.serving) = (p99_ms, memory_ratio, sample.serving);
    }

    /// What the last seconds came to; `workers` do the readings. And how many came in, without which shares say little.
    pub(super) fn figures(&self, now: Tick, sample: Sample, workers: usize) -> (Figures, u64) {
        let seen = self.seen();
        let sample = Sample { serving: sample.serving.or(seen.serving), ..sample };
        let Lately { span_ns, books, busy_ns, serving } = seen.window.until(now, sample);
        let share = |part: u64, all: u64| (all > 0).then(|| part as f64 / all as f64);
        let ended = books.verdicts + books.shed + books.crashed + books.failed;
        let figures = Figures {
            p99_ms: seen.p99_ms,
            possible_per_s: (busy_ns >= WORKED && books.verdicts > 0)
                .then(|| books.verdicts as f64 * workers as f64 / (busy_ns as f64 / 1e9)),
            error_ratio: share(books.crashed + books.failed, ended + books.dead),
            bad_ratio: share(books.dead, ended + books.dead),
            answered_ratio: share(books.verdicts, ended),
            cpu_ratio: serving
                .filter(|_| span_ns >= SETTLED)
                .map(|used| used.as_secs_f64() / (span_ns as f64 / 1e9)),
            memory_ratio: seen.memory_ratio,
        };
        (figures, ended + books.dead)
    }
}

impl Health {
    /// Judges by the figures of this moment and of the last seconds, in which so many readings `ended`.
    pub(super) fn judge(signs: &HealthInputs, limits: &Limits, ended: u64) -> Self {
        let mut health = Self {
            status: Status::Healthy,
            reasons: Vec::new(),
            grave: Vec::new(),
            concerns: Vec::new(),
            uptime_s: signs.now.as_secs_f64(),
            queue_depth: signs.queue_depth,
            queue_capacity: signs.queue_capacity,
            workers: signs.workers,
            shed: signs.shed,
            lately: signs.lately,
        };
        health.judge_moment(signs, limits);
        health.judge_readings(&signs.lately, limits, ended);
        health.judge_machine(&signs.lately, limits);
        for reason in &signs.away {
            health.add(Rule::Redis, Status::Degraded, reason.clone());
        }
        for ActiveFault { kind, sentence, .. } in &signs.faults {
            let stalls = *kind == FaultKind::Stall;
            let status = if stalls { Status::Unhealthy } else { Status::Degraded };
            health.add(Rule::Fault, status, sentence.clone());
        }
        health
    }

    fn judge_moment(&mut self, signs: &HealthInputs, limits: &Limits) {
        if signs.operation != Operation::Running {
            let reason = format!("the service is {}; it should be running", signs.operation.name());
            self.add(Rule::Operation, Status::Unhealthy, reason);
        }
        // Without workers readings are worked on where they come in.
        if signs.workers == 0 && signs.workers_wanted > 0 {
            self.add(
                Rule::Workers,
                Status::Unhealthy,
                format!("no worker runs; there should be {}", signs.workers_wanted),
            );
        } else if signs.workers < signs.workers_wanted {
            let reason = format!(
                "{} running; there should be {}",
                plural(signs.workers as u64, "worker"),
                signs.workers_wanted
            );
            self.add(Rule::Workers, Status::Degraded, reason);
        }
        let full_ns = signs.full_since.map_or(0, |since| signs.now.since(since));
        if full_ns >= FULL_NS {
            let reason =
                format!("the queue has been full for {:.1} s; the limit is 1 s", full_ns as f64 / 1e9);
            self.add(Rule::Queue, Status::Unhealthy, reason);
        } else if signs.queue_depth as f64 > limits.queue * signs.queue_capacity as f64 {
            let (depth, limit) = (signs.queue_depth as u64, percent(limits.queue));
            let reason = format!("{} waiting; the limit is {limit} of the queue", plural(depth, "reading"));
            self.add(Rule::Queue, Status::Degraded, reason);
        }
    }

    fn judge_readings(&mut self, lately: &Figures, limits: &Limits, ended: u64) {
        if let Some(p99_ms) = lately.p99_ms
            && p99_ms >= limits.p99.as_ns() as f64 / 1e6
        {
            let reason =
                format!("the p99 of the last 10 s is {p99_ms:.1} ms; it should be below {}", limits.p99);
            self.add(Rule::Speed, Status::Degraded, reason);
        }
        if let Some(possible) = lately.possible_per_s
            && possible <= limits.rate.as_per_second()
        {
            let reason = format!(
                "the workers could do {possible:.1} readings/s; it should be more than {}",
                limits.rate
            );
            self.add(Rule::Rate, Status::Degraded, reason);
        }
        if let Some(errors) = lately.error_ratio
            && errors > 0.0
            && errors >= limits.errors
        {
            let is_grave = errors >= GRAVE * limits.errors && ended >= LEAST;
            let status = if is_grave { Status::Unhealthy } else { Status::Degraded };
            let (errors, limit) = (percent(errors), percent(limits.errors));
            let reason =
                format!("{errors} of the last 10 s ended in an error or a crash; it should be below {limit}");
            self.add(Rule::Errors, status, reason);
        }
        if let Some(bad) = lately.bad_ratio
            && bad > 0.0
            && bad >= limits.bad
        {
            let (bad, limit) = (percent(bad), percent(limits.bad));
            let reason =
                format!("{bad} of what came in the last 10 s was no reading; it should be below {limit}");
            self.add(Rule::Input, Status::Degraded, reason);
        }
        if let Some(answered) = lately.answered_ratio
            && answered < limits.answered
        {
            let (answered, limit) = (percent(answered), percent(limits.answered));
            let reason = format!(
                "{answered} of the readings of the last 10 s got a verdict, the others were refused or failed \
                 ({} refused since the start); it should be {limit}",
                count(self.shed)
            );
            self.add(Rule::Answers, Status::Degraded, reason);
        }
    }

    fn judge_machine(&mut self, lately: &Figures, limits: &Limits) {
        if let Some(cpu) = lately.cpu_ratio
            && cpu >= limits.cpu
        {
            let (cpu, limit) = (percent(cpu), percent(limits.cpu));
            let reason = format!(
                "the thread that serves connections used {cpu} of a processor; it should be below {limit}"
            );
            self.add(Rule::Processor, Status::Degraded, reason);
        }
        if let Some(memory) = lately.memory_ratio
            && memory >= limits.memory
        {
            let (memory, limit) = (percent(memory), percent(limits.memory));
            let reason = format!(
                "the process holds {memory} of the memory that it could have; it should be below {limit}"
            );
            self.add(Rule::Memory, Status::Degraded, reason);
        }
    }

    fn add(&mut self, rule: Rule, status: Status, reason: String) {
        self.concerns.push(Concern { rule, status, reason: reason.clone() });
        self.status = self.status.max(status);
        if status == Status::Unhealthy {
            self.grave.push(reason.clone());
        }
        self.reasons.push(reason);
    }
}

/// A share as sentences have it.
fn percent(share: f64) -> String {
    format!("{} %", (share * 1e4).round() / 100.0)
}
