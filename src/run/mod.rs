//! A run, from a plan and its targets to its files.

pub(crate) mod bundled;
pub(crate) mod churn;
pub(crate) mod control;
pub(crate) mod journal;
pub(crate) mod part;
pub(crate) mod preflight;
pub(crate) mod profile;
pub(crate) mod target;

/// Why a run could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The scenario or the settings cannot be run as they are.
    #[error("{0}")]
    Usage(String),
    /// A target or this machine does not allow it: unreachable, in use, not writable.
    #[error("{0}")]
    Failed(String),
}

impl RunError {
    #[expect(clippy::needless_pass_by_value, reason = "made to be handed to `map_err`")]
    fn usage<M: ToString>(message: M) -> Self {
        Self::Usage(message.to_string())
    }

    #[expect(clippy::needless_pass_by_value, reason = "made to be handed to `map_err`")]
    fn failed<M: ToString>(message: M) -> Self {
        Self::Failed(message.to_string())
    }
}
