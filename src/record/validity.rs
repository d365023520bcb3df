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

/// The judgement of a run, with a reason a person can act on for everything that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// The worst of all rules.
    pub verdict: Judgement,
    /// One sentence per rule that was broken.
    pub reasons: Vec<String>,
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
        Self { verdict: Judgement::Valid, reasons: vec![remark], covers: None }
    }
}
