//! How far the figures of a run can be trusted.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How far the figures of a run can be trusted, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// The generator kept its plan: the figures are the service's.
    Valid,
    /// The generator may show through; the reasons say what to look at.
    Suspect,
    /// The generator was the bottleneck: the figures are not about the service.
    Invalid,
}

impl Judgement {
    /// The word used in manifests and on screens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Suspect => "suspect",
            Self::Invalid => "invalid",
        }
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a reason is about, for programs: stable, where its sentence may be reworded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// Another number of readings came due than planned.
    Plan,
    /// Readings were sent late.
    Lag,
    /// The machine, or the loop of a worker, stood still.
    Stall,
    /// The plan took longer than it says.
    Rate,
    /// The generator lacked processor time.
    Processor,
    /// The machine ran out of descriptors, ports or memory.
    Scarcity,
    /// Something was not recorded as it happened.
    Record,
    /// Squall's own reconnect pauses, after what the service did.
    Backoff,
    /// It is not known whether the service or the generator broke a budget.
    Budget,
    /// Another run may have had a part in what was measured.
    Identity,
    /// Shards do not go together.
    Shard,
    /// Others told the service what to do.
    Outside,
    /// There is nothing to complain about.
    Remark,
    /// Of a version of squall that gave no causes, or others.
    #[serde(other)]
    Unknown,
}

impl Cause {
    /// What disturbed the generator, as a clause, where that was neither the service nor the plan: another run may be free of it.
    pub(crate) const fn disturbance(self) -> Option<&'static str> {
        match self {
            Self::Lag => Some("the generator sent late"),
            Self::Stall => Some("the machine or the generator stalled"),
            Self::Rate => Some("the generator did not reach the planned rate"),
            Self::Processor => Some("the generator lacked processor time"),
            Self::Scarcity => Some("the machine ran out of descriptors, ports or memory"),
            _ => None,
        }
    }
}

/// The judgement of a run, with a reason a person can act on for everything that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// The worst of all rules.
    pub verdict: Judgement,
    /// One sentence per rule that was broken.
    pub reasons: Vec<String>,
    /// What each reason is about, in their order; none where an earlier version judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) causes: Vec<Cause>,
    /// The percentiles of the response time, such as `p99`, that the generator cannot have shaped; `None` where nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covers: Option<Vec<String>>,
}

impl Validity {
    /// Whether the percentile named so may be the generator's and not the service's; false where nobody said.
    pub fn leaves_out(&self, percentile: &str) -> bool {
        self.covers.as_ref().is_some_and(|covers| !covers.iter().any(|name| name == percentile))
    }

    /// A sound measurement of which there is this to say.
    pub(crate) fn valid(remark: String) -> Self {
        let mut valid = Self::new();
        valid.add(Judgement::Valid, Cause::Remark, remark);
        valid
    }

    /// A sound measurement, as long as nothing is added.
    pub(crate) const fn new() -> Self {
        Self { verdict: Judgement::Valid, reasons: Vec::new(), causes: Vec::new(), covers: None }
    }

    /// Adds a reason for being no better than `verdict`.
    pub(crate) fn add(&mut self, verdict: Judgement, cause: Cause, reason: String) {
        self.verdict = self.verdict.max(verdict);
        // Reasons of an earlier version may have none.
        self.causes.resize(self.reasons.len(), Cause::Unknown);
        self.causes.push(cause);
        self.reasons.push(reason);
    }

    /// What to make of a suspect measurement, in a clause.
    pub(crate) fn doubt(&self) -> &'static str {
        let causes = || self.causes().map(|(_, cause)| cause).filter(|cause| *cause != Cause::Remark);
        if causes().next().is_some() && causes().all(|cause| cause == Cause::Outside) {
            "others told the service what to do while it was measured"
        } else {
            "the generator may have affected the figures"
        }
    }

    /// The reasons and what they are about.
    pub(crate) fn causes(&self) -> impl Iterator<Item = (&str, Cause)> {
        let causes = self.causes.iter().copied().chain(std::iter::repeat(Cause::Unknown));
        self.reasons.iter().map(String::as_str).zip(causes)
    }
}
