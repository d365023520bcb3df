//! What the bundled reference system can be told, as plain data: the scenario that states it and the system that obeys it
//! meet here and nowhere else.

mod alert;
mod cache;
mod fault;
mod inference;
mod queue;
mod worker;

pub use alert::Alerts;
pub(crate) use alert::Slow;
pub use cache::{Cache, Semantic, Shared};
pub use fault::FaultKind;
pub(crate) use inference::Experiment;
pub use inference::{Inference, Labour, Law};
pub(crate) use queue::Priority;
pub use queue::{Discipline, Overflow, Queue};
pub(crate) use worker::Assignment;
pub use worker::{Mode, Workers};

use crate::units::word::words;
use crate::units::{Rate, Span};

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
    /// Other instances of the same service.
    pub cluster: Option<Cluster>,
    /// Whether the service may be broken on purpose over its control API.
    pub faults: bool,
}

impl Default for Setup {
    /// One worker, everything optional off but the exact cache.
    fn default() -> Self {
        Self {
            admission: Admission::default(),
            queue: Queue::default(),
            workers: Workers::default(),
            features: Features::default(),
            cache: Cache::default(),
            inference: Inference::default(),
            experiment: Experiment::default(),
            alerts: Alerts::default(),
            delivery: Delivery::default(),
            cluster: None,
            faults: false,
        }
    }
}

/// A quota: a sustained rate, and how much may come at once on top of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quota {
    /// Readings per second, above 0.
    pub rate: Rate,
    /// Readings that may come at once, at least 1.
    pub burst: u32,
}

words! {
    /// What becomes of a sender without a token.
    Anonymous {
        /// It is treated like one with a token.
        Admit = "admit",
        /// It has a quota of its own.
        Limit = "limit",
        /// It is turned away: 401 over HTTP and WebSocket, not authorised over MQTT.
        Refuse = "refuse",
    }
}

words! {
    /// What an MQTT publisher hears of a reading that was not taken.
    Hint {
        /// PUBACK, and a `shed` message in place of the verdict.
        Verdict = "verdict",
        /// PUBACK and nothing else: the loss shows only as a missing verdict.
        Silence = "silence",
        /// No PUBACK either, as some brokers do.
        Withhold = "withhold",
    }
}

/// Who may send, and how much.
#[derive(Debug, Clone, PartialEq)]
pub struct Admission {
    /// Quota of each device.
    pub device: Option<Quota>,
    /// Quota of all devices together.
    pub total: Option<Quota>,
    /// Tokens that authenticate a sender; empty: nobody needs one.
    pub tokens: Vec<String>,
    /// What becomes of senders without a token, where tokens are asked for.
    pub anonymous: Anonymous,
    /// Quota of each device whose sender has no token, where they are limited.
    pub anonymous_device: Option<Quota>,
    /// Whether quotas hold over all instances of a cluster together.
    pub shared: bool,
    /// What MQTT publishers hear of refusals.
    pub mqtt: Hint,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            device: None,
            total: None,
            tokens: Vec::new(),
            anonymous: Anonymous::Admit,
            anonymous_device: None,
            shared: false,
            mqtt: Hint::Verdict,
        }
    }
}

words! {
    /// How events are gathered over event time.
    WindowKind {
        /// One after the other.
        Tumbling = "tumbling",
        /// Overlapping, a new one with every slide.
        Sliding = "sliding",
        /// As long as no gap is longer than `gap`.
        Session = "session",
    }
}

/// Windows over event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How they follow one another.
    pub kind: WindowKind,
    /// Their length; of sessions, the longest.
    pub length: Span,
    /// From the start of one sliding window to that of the next; divides `length`, at most 16 times.
    pub slide: Span,
    /// Silence that ends a session.
    pub gap: Span,
    /// How late a reading may come and still count.
    pub lateness: Span,
}

/// The per-device state in front of the cache.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Features {
    /// Devices whose state is kept; beyond that the one that was silent for longest is forgotten.
    pub devices: usize,
    /// Steps of the feature vector per unit of surprise, 1 to 16: coarser vectors hit the cache more often and blur scores.
    pub resolution: u8,
    /// Windows over event time.
    pub window: Option<Window>,
    /// Equal values in a row after which a sensor counts as stuck, where its values usually differ; 0 never.
    pub stuck: u32,
    /// A silence of this many usual intervals counts as missing readings; 0 never.
    pub missing: f64,
    /// Least and largest value that counts as in range.
    pub range: (f64, f64),
}

impl Default for Features {
    fn default() -> Self {
        Self {
            devices: 200_000,
            resolution: 8,
            window: None,
            stuck: 0,
            missing: 0.0,
            range: (f64::NEG_INFINITY, f64::INFINITY),
        }
    }
}

/// What is done about readings that come twice or cannot be processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Whether a reading that was worked on already has no second effect: it gets its verdict again.
    pub idempotent: bool,
    /// Readings that could not be processed and are kept with their reasons.
    pub dead_letters: usize,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { idempotent: false, dead_letters: 1_000 }
    }
}

/// Other instances of the same service, which meet in Redis.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// Where Redis is: `redis://HOST:PORT`.
    pub redis: String,
    /// What this instance calls itself; unique among them.
    pub instance: String,
    /// An instance that has not been heard of for so long counts as gone.
    pub expiry: Span,
    /// Longest wait for Redis.
    pub timeout: Span,
    /// Whether the state of a device follows it to the instance it speaks to; else it begins anew there.
    pub moves_state: bool,
}
