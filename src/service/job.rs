//! Jobs: what the service does beside judging readings, by classes.

use super::{LONGEST, Priority};
use crate::language::{Field, FieldValue, Fields, Kind, Reporter, Section};
use crate::units::Span;
use crate::units::word::words;

words! {
    /// What a job does.
    Work {
        /// It takes time, and fails as often as it is told to.
        Simulate = "simulate",
        /// It computes the scores in the cache anew, before they age.
        CacheWarm = "cache-warm",
        /// It forgets devices that have been silent for long.
        SessionCleanup = "session-cleanup",
    }
}

words! {
    /// The least level of an alert that submits a job.
    AlertTrigger {
        /// Any alert does.
        Low = "low",
        /// Medium, high and critical ones do.
        Medium = "medium",
        /// High and critical ones do.
        High = "high",
        /// Only critical ones do.
        Critical = "critical",
    }
}

/// Most classes: each has metrics of its own.
const MOST_CLASSES: usize = 64;
/// Longest name of a class, characters.
const LONGEST_NAME: usize = 64;

/// How long a job waits from a try that failed to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// After the first; doubled with every further one.
    pub first: Span,
    /// The bound of the doubling.
    pub longest: Span,
    /// Share of the wait that is drawn at random and left out, 0 to 1.
    pub jitter: f64,
}

/// A class of jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct JobClass {
    /// 1 to 64 of `a`–`z`, `0`–`9` and `-`.
    pub name: String,
    /// What its jobs do.
    pub does: Work,
    /// How urgent its jobs are, unless they say otherwise.
    pub priority: Priority,
    /// Jobs that may wait, those for their next try included; at least 1.
    pub capacity: usize,
    /// Tries of one job, at least 1.
    pub tries: u32,
    /// The wait between them.
    pub backoff: Backoff,
    /// How long one try takes beside its work.
    pub cost: Span,
    /// Equal parts of a try, of each of which subscribers hear; at least 1.
    pub steps: u32,
    /// Share of tries that fail on purpose, 0 to 1.
    pub failure: f64,
    /// Whether a job that had its effect before its worker crashed has no second one.
    pub idempotent: bool,
    /// From one job of the schedule to the next; none: no schedule.
    pub every: Option<Span>,
    /// Alerts of this level and above submit a job.
    pub on_alert: Option<AlertTrigger>,
    /// Silence after which `session-cleanup` forgets a device.
    pub idle: Span,
    /// Scores that `cache-warm` computes at the most.
    pub scores: usize,
}

/// What the service does beside judging readings. Without classes there are no jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct Jobs {
    /// Threads; 0 works where jobs are submitted.
    pub workers: usize,
    /// What fixes failures on purpose and jitter.
    pub seed: u64,
    /// Jobs that are done and kept for those who ask.
    pub history: usize,
    /// Jobs that failed in all their tries and are kept with their reasons.
    pub dead_letters: usize,
    /// Events that may wait for a subscriber, at least 1.
    pub buffer: usize,
    /// Subscribers at once.
    pub subscribers: usize,
    /// By name, rising.
    pub classes: Vec<JobClass>,
}

pub(crate) static JOBS: Section = Section {
    title: "jobs = { … }",
    about: "what the service does beside judging readings: jobs over POST /v1/jobs, by schedule and by alerts",
    by: None,
    fields: &[
        Field::with(
            "workers",
            Kind::Integer(0, 64),
            "1",
            "threads for jobs, where there are classes; 0 works inline, where jobs are submitted: all connections wait meanwhile",
        ),
        Field::with("seed", Kind::Integer(0, u32::MAX as u64), "1", "fixes failures on purpose and jitter"),
        Field::with(
            "history",
            Kind::Integer(0, 100_000),
            "1000",
            "jobs that are done and kept for those who ask",
        ),
        Field::with(
            "dead_letters",
            Kind::Integer(0, 100_000),
            "1000",
            "jobs that failed in all their tries and are kept with their reasons; the oldest make room",
        ),
        Field::with(
            "buffer",
            Kind::Integer(1, 65_536),
            "256",
            "events that may wait for a subscriber; a slower one misses the oldest and is told how many",
        ),
        Field::with("subscribers", Kind::Integer(0, 10_000), "100", "subscribers to progress at once"),
        Field::optional(
            "classes",
            Kind::Map(&Kind::Table(&CLASS), "class"),
            "classes of jobs by their names",
        ),
    ],
};

pub(crate) static CLASS: Section = Section {
    title: "classes.NAME = { … }",
    about: "a class of jobs",
    by: Some("does"),
    fields: &[
        Field::with(
            "does",
            Kind::Word(Work::WORDS),
            "simulate",
            "take time and fail as told, compute the scores in the cache anew, or forget silent devices",
        ),
        Field::with(
            "priority",
            Kind::Word(Priority::WORDS),
            "medium",
            "the most urgent job is next, whatever its class",
        ),
        Field::with(
            "capacity",
            Kind::Integer(1, 1_000_000),
            "1000",
            "jobs that may wait, for their first try or another; more are refused",
        ),
        Field::with(
            "tries",
            Kind::Integer(1, 100),
            "3",
            "tries of one job; after the last it is a dead letter",
        ),
        Field::with(
            "backoff",
            Kind::Span(Span::ZERO, LONGEST),
            "1s",
            "wait after the first try that failed; doubled with every further one",
        ),
        Field::with("longest", Kind::Span(Span::ZERO, LONGEST), "60s", "bound of the doubled wait"),
        Field::with(
            "jitter",
            Kind::Number(0.0, 1.0),
            "0.5",
            "share of the wait that is drawn at random and left out",
        ),
        Field::with(
            "cost",
            Kind::Span(Span::ZERO, Span::from_ms(3_600_000)),
            "0s",
            "how long a try waits beside its work",
        ),
        Field::with(
            "steps",
            Kind::Integer(1, 1_000),
            "1",
            "equal parts of a try, of each of which subscribers hear",
        ),
        Field::with("failure", Kind::Number(0.0, 1.0), "0", "share of tries that fail on purpose"),
        Field::with(
            "idempotent",
            Kind::Flag,
            "true",
            "a job that had its effect before its worker crashed has no second one when it is taken up again",
        ),
        Field::optional(
            "every",
            Kind::Span(Span::from_ms(1), LONGEST),
            "submits a job this often, unless one of the class is open still",
        ),
        Field::optional(
            "on_alert",
            Kind::Word(AlertTrigger::WORDS),
            "submits a job for every alert of this level and above",
        ),
        Field::with(
            "idle",
            Kind::Span(Span::from_ms(1), LONGEST),
            "1h",
            "silence after which a device is forgotten",
        )
        .only(&["session-cleanup"]),
        Field::with("scores", Kind::Integer(1, 1_000_000), "10000", "scores computed anew at the most")
            .only(&["cache-warm"]),
    ],
};

impl Default for Jobs {
    fn default() -> Self {
        Self::from_fields(&Fields::defaults(&JOBS), &mut Reporter::new(""))
    }
}

impl Jobs {
    pub(super) fn from_fields(fields: &Fields, report: &mut Reporter<'_>) -> Self {
        let mut classes = Vec::new();
        for (name, origin, found) in fields.map("classes") {
            let FieldValue::Table(entry) = found else { continue };
            if let Some((message, help)) = fault_of(name, classes.len()) {
                report.add(origin, &entry.path, message, help);
                continue;
            }
            classes.push(JobClass::from_fields(name, entry, report));
        }
        Self {
            workers: fields.integer("workers") as usize,
            seed: fields.integer("seed"),
            history: fields.integer("history") as usize,
            dead_letters: fields.integer("dead_letters") as usize,
            buffer: fields.integer("buffer") as usize,
            subscribers: fields.integer("subscribers") as usize,
            classes,
        }
    }
}

/// Why there can be no class of this name beside `others`, and what to write instead.
fn fault_of(name: &str, others: usize) -> Option<(String, &'static str)> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
        return Some((format!("`{name}` is not a valid name of a class"), "write 1 to 64 of a–z, 0–9 and -"));
    }
    (others >= MOST_CLASSES)
        .then(|| (format!("there are more than {MOST_CLASSES} classes"), "take some of them out"))
}

impl JobClass {
    /// A class of this name as it is when nothing more is said of it.
    pub fn named(name: &str) -> Self {
        Self::from_fields(name, &Fields::defaults(&CLASS), &mut Reporter::new(""))
    }

    fn from_fields(name: &str, fields: &Fields, report: &mut Reporter<'_>) -> Self {
        let (first, longest) = (fields.span("backoff"), fields.span("longest"));
        if first > longest {
            let message = format!("the first wait ({first}) is above the longest ({longest})");
            fields.refuse("backoff", report, message, "lower `backoff` or raise `longest`");
        }
        Self {
            name: name.to_owned(),
            does: fields.choice("does"),
            priority: fields.choice("priority"),
            capacity: fields.integer("capacity") as usize,
            tries: fields.integer("tries") as u32,
            backoff: Backoff { first, longest, jitter: fields.number("jitter") },
            cost: fields.span("cost"),
            steps: fields.integer("steps") as u32,
            failure: fields.number("failure"),
            idempotent: fields.flag("idempotent"),
            every: fields.optional_span("every"),
            on_alert: fields.word("on_alert").and_then(AlertTrigger::of),
            idle: fields.span("idle"),
            scores: fields.integer("scores") as usize,
        }
    }
}
