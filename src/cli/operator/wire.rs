//! What a run under way and `squall fault` say to each other: one JSON object per line.

use serde::{Deserialize, Serialize};

/// Bytes of a request, its line break included.
pub(in crate::cli) const REQUEST_BYTES: usize = 4 * 1024;

/// Bytes of a reply.
pub(in crate::cli) const REPLY_BYTES: usize = 4 * 1024 * 1024;

/// What is asked of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "kebab-case", deny_unknown_fields)]
pub(in crate::cli) enum Request {
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
}

/// What a run answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::cli) struct Reply {
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) error: Option<String>,
    /// Who answers.
    pub(in crate::cli) run: Run,
    /// What was switched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::cli) switched: Vec<Switched>,
    /// Every fault, in the order of the scenario, where that was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::cli) faults: Vec<State>,
}

/// A run under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::cli) struct Run {
    /// Its name in its files.
    pub(in crate::cli) id: String,
    /// Its directory, absolute.
    pub(in crate::cli) directory: String,
    /// Its scenario.
    pub(in crate::cli) scenario: String,
    /// Its process.
    pub(in crate::cli) pid: u32,
    /// Seconds since its beginning.
    pub(in crate::cli) at_s: f64,
}

/// A fault as it is now. Instants are seconds since the beginning of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::cli) struct State {
    pub(in crate::cli) name: String,
    pub(in crate::cli) layer: String,
    pub(in crate::cli) kind: String,
    pub(in crate::cli) on: bool,
    /// Which spell is on.
    pub(in crate::cli) turn: Option<u32>,
    pub(in crate::cli) since_s: Option<f64>,
    /// When it ends by itself.
    pub(in crate::cli) until_s: Option<f64>,
    /// Whether the present spell was begun by hand.
    pub(in crate::cli) by_hand: bool,
    /// The next planned spell.
    pub(in crate::cli) next_start_s: Option<f64>,
    pub(in crate::cli) next_end_s: Option<f64>,
    pub(in crate::cli) planned_spells: u32,
    pub(in crate::cli) spells_by_hand: u32,
}

/// A fault was switched by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Switched {
    pub(in crate::cli) fault: String,
    pub(in crate::cli) on: bool,
    /// Whether that went as it should; `None`: it is still under way.
    pub(in crate::cli) well: Option<bool>,
    /// What went wrong, or what a command printed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) remark: Option<String>,
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
