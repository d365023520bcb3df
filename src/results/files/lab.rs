//! What a manifest says of the exercise that a run was made for.

use serde::{Deserialize, Serialize};

/// The lab, and what was predicted before the run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabFacts {
    /// Its name: `clock`.
    pub name: String,
    /// Whose rates it had; `None`: those that everybody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub student: Option<String>,
    /// SHA-256 of `prediction`, in hexadecimal.
    pub prediction_sha256: String,
    /// The answers as they stood in their file.
    pub prediction: String,
}
