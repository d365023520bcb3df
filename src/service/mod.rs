//! What the bundled reference system can be told: settings with their tables of keys and defaults, which scenarios, `serve`,
//! the manual and the system itself share; and what it was told while it ran.

mod act;
mod address;
mod admission;
mod alert;
mod cache;
mod cluster;
mod delivery;
mod fault;
mod feature;
mod front;
mod health;
mod inference;
mod job;
mod queue;
mod state;
mod tls;
mod token;
mod topic;
mod worker;

pub(crate) use act::{Act, ActLog, SIGNATURE};
pub use address::RedisAddress;
pub use admission::{Admission, AnonymousPolicy, Quota, RefusalNotice};
pub(crate) use alert::SlowSubscriber;
pub use alert::{AlertClass, Alerts};
pub use cache::{Cache, Semantic, Shared};
pub use cluster::Cluster;
pub use delivery::Delivery;
pub use fault::FaultKind;
pub use feature::{Features, Window, WindowKind};
pub use front::FrontRule;
pub use health::Health;
pub use inference::{CostDistribution, CostKind, Experiment, Inference};
pub use job::{AlertTrigger, Backoff, JobClass, Jobs, Work};
pub(crate) use queue::Priority;
pub use queue::{Discipline, Overflow, Queue};
pub use state::State;
pub use tls::Tls;
pub(crate) use token::{ANONYMOUS, tokens_in};
pub use token::{Jwt, Kept, Right, Token};
pub use topic::Topic;
pub(crate) use worker::Assignment;
pub use worker::{WorkerMode, Workers};

use crate::language::{Field, Fields, Kind, Reporter, Section};
use crate::units::Span;

/// Every section of settings, in the order documents list them.
pub(crate) static SECTIONS: &[&Section] = &[
    &REFERENCE,
    &worker::WORKERS,
    &queue::QUEUE,
    &cache::CACHE,
    &cache::SEMANTIC,
    &cache::SHARED,
    &inference::INFERENCE,
    &admission::ADMISSION,
    &admission::QUOTA,
    &token::TOKEN,
    &token::JWT,
    &token::KEPT,
    &feature::FEATURES,
    &feature::WINDOW,
    &inference::EXPERIMENT,
    &alert::ALERTS,
    &delivery::DELIVERY,
    &job::JOBS,
    &job::CLASS,
    &health::HEALTH,
    &state::STATE,
    &cluster::CLUSTER,
    &tls::TLS,
];

/// Longest span that any setting takes.
const LONGEST: Span = Span::from_ms(24 * 3_600_000);

pub(crate) static REFERENCE: Section = Section {
    title: "[reference]",
    about: "settings of the bundled reference system; without effect on any other target",
    by: None,
    fields: &[
        Field::with(
            "workers",
            Kind::Short(&worker::WORKERS),
            "1",
            "worker threads; 0 works where readings come in",
        ),
        Field::with(
            "queue",
            Kind::Short(&queue::QUEUE),
            "10000",
            "readings that may wait, and what happens to the others",
        ),
        Field::with("cache", Kind::Short(&cache::CACHE), "65536", "scores the cache holds; 0 turns it off"),
        Field::with(
            "inference",
            Kind::Short(&inference::INFERENCE),
            "0s",
            "extra cost of one inference, standing in for a heavy model",
        ),
        Field::with("admission", Kind::Table(&admission::ADMISSION), "", "who may send, and how much"),
        Field::with(
            "features",
            Kind::Table(&feature::FEATURES),
            "",
            "the per-device state in front of the cache",
        ),
        Field::with(
            "experiment",
            Kind::Short(&inference::EXPERIMENT),
            "0",
            "share of devices that another model judges, to compare the two",
        ),
        Field::with(
            "alerts",
            Kind::Table(&alert::ALERTS),
            "",
            "when an anomaly becomes an alert, and how it spreads",
        ),
        Field::with(
            "delivery",
            Kind::Table(&delivery::DELIVERY),
            "",
            "what is done about readings that come twice or cannot be processed",
        ),
        Field::with("health", Kind::Table(&health::HEALTH), "", "what it judges itself by"),
        Field::with(
            "jobs",
            Kind::Table(&job::JOBS),
            "",
            "what the service does beside judging readings: classes of jobs, their retries and schedules",
        ),
        Field::with(
            "faults",
            Kind::Flag,
            "false",
            "it may be broken on purpose: POST /v1/faults lets workers crash, slows inferences, shrinks the queue",
        ),
        Field::optional(
            "state",
            Kind::Short(&state::STATE),
            "what of the devices' state outlives a crash; a bare text is the directory of snapshots and journal",
        ),
        Field::optional(
            "cluster",
            Kind::Short(&cluster::CLUSTER),
            "other instances of the service, which meet in Redis",
        ),
        Field::optional(
            "tls",
            Kind::Short(&tls::TLS),
            "TLS on its ports: `true`, or a table with certificates",
        ),
    ],
};

/// How the reference system is set up. Every part has an off, and every memory a bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// Who may send, and how much.
    pub admission: Admission,
    /// Where readings wait.
    pub queue: Queue,
    /// Who works on them.
    pub workers: Workers,
    /// The per-device state in front of the cache.
    pub features: Features,
    /// What is remembered of the model's answers.
    pub cache: Cache,
    /// What an inference costs.
    pub inference: Inference,
    /// Champion and challenger.
    pub experiment: Experiment,
    /// When an anomaly becomes an alert, and how it spreads.
    pub alerts: Alerts,
    /// What is done about readings that come twice or cannot be processed.
    pub delivery: Delivery,
    /// What it judges itself by.
    pub health: Health,
    /// What the service does beside judging readings.
    pub jobs: Jobs,
    /// What of the devices' state outlives a crash; none: nothing does.
    pub state: Option<State>,
    /// Other instances of the same service.
    pub cluster: Option<Cluster>,
    /// Whether the service may be broken on purpose over its control API.
    pub faults: bool,
    /// Whether somebody stands before it who can kill its process on purpose.
    pub supervised: bool,
    /// How it speaks TLS, if it does.
    pub tls: Option<Tls>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::from_fields(&Fields::defaults(&REFERENCE), &mut Reporter::new(""))
    }
}

impl Setup {
    /// The settings that the checked `fields` of [`REFERENCE`] state.
    pub(crate) fn from_fields(fields: &Fields, report: &mut Reporter<'_>) -> Self {
        // A table at fault is reported, and nothing made of its values is kept.
        let table = |key| fields.table(key).unwrap_or_else(|| fields.clone());
        let admission = table("admission");
        if admission.flag("shared") && fields.given("cluster").is_none() {
            let message = "there is no other instance to share quotas with";
            admission.refuse(
                "shared",
                report,
                message,
                "write `cluster` under [reference], or take this line out",
            );
        }
        Self {
            admission: Admission::from_fields(&admission, report),
            queue: Queue::from_fields(&table("queue"), report),
            workers: Workers::from_fields(&table("workers")),
            features: Features::from_fields(&table("features"), report),
            cache: Cache::from_fields(&table("cache"), report),
            inference: Inference::from_fields(&table("inference")),
            experiment: Experiment::from_fields(&table("experiment")),
            alerts: Alerts::from_fields(&table("alerts"), report),
            delivery: Delivery::from_fields(&table("delivery")),
            health: Health::from_fields(&table("health")),
            jobs: Jobs::from_fields(&table("jobs"), report),
            state: fields.table("state").map(|table| State::from_fields(&table, report)),
            cluster: fields.table("cluster").map(|table| Cluster::from_fields(&table, report)),
            faults: fields.flag("faults"),
            supervised: false,
            tls: fields.table("tls").and_then(|table| Tls::from_fields(&table, report)),
        }
    }
}
