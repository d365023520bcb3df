//! The control protocol between a running test and `squall fault`: one JSON object per line.

use serde::{Deserialize, Serialize};

use crate::units::figure::{instant, time};

/// Bytes of a request, its line break included.
pub(crate) const REQUEST_BYTES: usize = 4 * 1024;

/// Bytes of a reply.
pub(crate) const REPLY_BYTES: usize = 4 * 1024 * 1024;

/// What is asked of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Request {
    /// Every fault as it is now.
    List,
    /// A fault is to be switched on.
    Start {
        /// Its name.
        fault: String,
        /// For so many nanoseconds; without it until further notice.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_ns: Option<u64>,
    },
    /// A fault is to be switched off.
    Stop {
        /// Its name.
        fault: String,
    },
    /// All faults are to be switched off.
    StopAll,
    /// The phase under way is to end now: what the plan still has in it is left out.
    EndPhase,
}

/// What a run answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reply {
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// Who answers.
    pub(crate) run: RunInfo,
    /// What was switched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) switched: Vec<SwitchResult>,
    /// Every fault, in the order of the scenario, where that was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) faults: Vec<FaultState>,
    /// The phase that ends early, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) phase: Option<PhaseEnd>,
}

/// A phase ends early. Instants are seconds since the beginning of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PhaseEnd {
    /// Its name.
    pub(crate) name: String,
    /// When it ends.
    pub(crate) at_s: f64,
    /// How much of it is left out.
    pub(crate) left_out_s: f64,
    /// The phase that begins then; `None`: it was the last.
    pub(crate) next: Option<String>,
}

impl PhaseEnd {
    /// What happens, in a line.
    pub(crate) fn sentence(&self) -> String {
        let Self { name, at_s, left_out_s, next } = self;
        let next = next.as_ref().map_or_else(
            || "it was the last: what is open is settled then".to_owned(),
            |next| format!("`{next}` follows"),
        );
        let (at, left_out) = (instant((at_s * 1e9) as u64), time((left_out_s * 1e9) as u64));
        format!("phase `{name}` ends at {at}, {left_out} early; {next}")
    }
}

/// A run under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunInfo {
    /// Its name in its files.
    pub(crate) id: String,
    /// Its directory, absolute.
    pub(crate) directory: String,
    /// Where it was started, absolute.
    #[serde(default)]
    pub(crate) started_in: String,
    /// Its scenario.
    pub(crate) scenario: String,
    /// Its process.
    pub(crate) pid: u32,
    /// Seconds since its beginning.
    pub(crate) at_s: f64,
}

/// A fault as it is now. Instants are seconds since the beginning of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FaultState {
    pub(crate) name: String,
    pub(crate) layer: String,
    pub(crate) kind: String,
    pub(crate) on: bool,
    /// Which activation is on.
    #[serde(rename = "turn")]
    pub(crate) occurrence: Option<u32>,
    pub(crate) since_s: Option<f64>,
    /// When it ends by itself.
    pub(crate) until_s: Option<f64>,
    /// Whether the present activation was begun by hand.
    pub(crate) by_hand: bool,
    /// The next planned activation.
    pub(crate) next_start_s: Option<f64>,
    pub(crate) next_end_s: Option<f64>,
    pub(crate) planned_spells: u32,
    pub(crate) spells_by_hand: u32,
}

/// A fault was switched by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SwitchResult {
    pub(crate) fault: String,
    pub(crate) on: bool,
    /// Whether that went as it should; `None`: it is still under way.
    pub(crate) well: Option<bool>,
    /// What went wrong, or what a command printed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) remark: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_written_as_the_documentation_shows_them() {
        let table = [
            (r#"{"operation":"list"}"#, Request::List),
            (
                r#"{"operation":"start","fault":"slow","for_ns":5}"#,
                Request::Start { fault: "slow".into(), for_ns: Some(5) },
            ),
            (
                r#"{"operation":"start","fault":"slow"}"#,
                Request::Start { fault: "slow".into(), for_ns: None },
            ),
            (r#"{"operation":"stop","fault":"slow"}"#, Request::Stop { fault: "slow".into() }),
            (r#"{"operation":"stop-all"}"#, Request::StopAll),
            (r#"{"operation":"end-phase"}"#, Request::EndPhase),
        ];
        for (text, request) in table {
            assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
            assert_eq!(serde_json::to_string(&request).unwrap(), text);
        }
        for wrong in ["", "{}", "[]", r#"{"operation":"explode"}"#, r#"{"operation":"start"}"#, "null"] {
            assert!(serde_json::from_str::<Request>(wrong).is_err(), "{wrong}");
        }
    }
}
