//! One finished reading or connection attempt, with every stamp the figures are made of.

use serde::{Deserialize, Serialize};

use super::{AnomalyMark, Arm, FleetId, Outcome, PhaseId};
use crate::clock::Tick;

/// What kind of work a sample is about; kinds are never mixed in one histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A reading, from its intended start to whatever closes it.
    Reading,
    /// Connection set-up: TCP, TLS and the protocol's handshake, until a reading could be sent.
    Connect,
    /// The part of it that is TLS' handshake: from the TCP connection to the first byte of the protocol.
    Tls,
    /// A reading on its way to one device that only hears: from its intended start until it is decoded there.
    Delivery,
    /// Of a device that long polls, the time in which it asks for nothing: from the reply to one request until the next is handed to the
    /// transport. It is squall's own.
    Gap,
}

impl Kind {
    /// All kinds, in the order reports list them.
    pub const ALL: [Self; 5] = [Self::Reading, Self::Connect, Self::Tls, Self::Delivery, Self::Gap];

    /// The word used in columns and tags.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Delivery => "delivery",
            Self::Gap => "gap",
        }
    }

    /// Whether it is about how connections come about, and so of no phase in particular.
    pub const fn is_of_connections(self) -> bool {
        matches!(self, Self::Connect | Self::Tls)
    }

    /// What one of it is called in a sentence.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Connect => "connection attempt",
            Self::Tls => "TLS handshake",
            Self::Delivery => "delivery",
            Self::Gap => "gap between polls",
        }
    }
}

/// Where the service says the time went, nanoseconds each; the rest of the service time is network and reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "a time says its unit")]
pub struct Stages {
    /// Waiting in the service's queue.
    pub queue_ns: u64,
    /// Looking up and filling the cache.
    pub cache_ns: u64,
    /// Computing the verdict.
    pub inference_ns: u64,
    /// From the reading's arrival at the service to its verdict being handed to the reply, all stages included.
    pub total_ns: u64,
}

/// One finished reading or connection attempt.
///
/// `intended ≤ eligible ≤ actual ≤ completed`, as far as each exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Phase in which the intended start lies.
    pub phase: PhaseId,
    /// Fleet of the device; of a delivery, of the one that hears.
    pub fleet: FleetId,
    /// Number of the device within its fleet, from 0.
    pub device: u32,
    /// What it is about.
    pub kind: Kind,
    /// Sequence number of the reading within the device that sent it; 0 for a connection attempt.
    pub seq: u64,
    /// When the plan says it was due.
    pub intended: Tick,
    /// Intended start plus the time it waited for the device to be able to send: what is left until the actual start is the
    /// generator's own lateness. `None` if it was never sent.
    pub eligible: Option<Tick>,
    /// How often it was handed to the transport: more than once where its fleet retries what failed; 0 if it was never sent. Of
    /// several attempts `eligible`, `actual` and `outcome` are the last one's.
    pub attempts: u8,
    /// Just before its first byte was handed to the transport; `None` if it was never sent.
    pub actual: Option<Tick>,
    /// When its outcome was known.
    pub completed: Tick,
    /// How it ended.
    pub outcome: Outcome,
    /// Stage times, where the peer reported them.
    pub stages: Option<Stages>,
    /// The seeded anomaly that shows in it, if any.
    pub mark: Option<AnomalyMark>,
    /// Whether the peer judged it anomalous; `None` without a judgement.
    pub flagged: Option<bool>,
    /// Which of two models side by side judged it, where the peer says so.
    pub arm: Option<Arm>,
    /// How much of the response time it waited by squall's own rule, nanoseconds: in a pause that no failed connection attempt
    /// caused, or that went on after the fleet could connect again, or for the fleet's connect rate.
    pub own_wait_ns: u64,
    /// How much of eligible − intended the plan kept it waiting, nanoseconds: offline, cut off by a fault of the scenario, or
    /// stored and sent on at a stated rate.
    pub plan_wait_ns: u64,
}

impl Sample {
    /// Completed − intended start, nanoseconds: the headline.
    pub const fn response_time_ns(&self) -> u64 {
        self.completed.since(self.intended)
    }

    /// Completed − actual start, nanoseconds: what a closed loop would have shown.
    pub const fn service_time_ns(&self) -> Option<u64> {
        match self.actual {
            Some(actual) => Some(self.completed.since(actual)),
            None => None,
        }
    }

    /// Actual start − eligible, nanoseconds: lateness that is the generator's own fault.
    pub const fn pacing_lag_ns(&self) -> Option<u64> {
        match (self.actual, self.eligible) {
            (Some(actual), Some(eligible)) => Some(actual.since(eligible)),
            _ => None,
        }
    }

    /// Eligible − intended start, nanoseconds: waiting for a connection, an in-flight slot or the plan.
    pub const fn backlog_wait_ns(&self) -> Option<u64> {
        match self.eligible {
            Some(eligible) => Some(eligible.since(self.intended)),
            None => None,
        }
    }

    /// The part of [`Sample::backlog_wait_ns`] that is the service's doing, nanoseconds.
    pub const fn service_wait_ns(&self) -> Option<u64> {
        match self.backlog_wait_ns() {
            Some(wait) => Some(wait.saturating_sub(self.own_wait_ns).saturating_sub(self.plan_wait_ns)),
            None => None,
        }
    }
}
