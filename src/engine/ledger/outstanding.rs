//! A reading that was sent and is not yet closed.

use crate::clock::Tick;
use crate::engine::pause::WaitTotals;
use crate::fleet::Reading;
use crate::record::PhaseId;

/// A reading that was sent and is not yet closed.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Outstanding {
    pub(super) reading: Reading,
    pub(super) phase: PhaseId,
    pub(super) released: Tick,
    pub(super) eligible: Tick,
    pub(super) actual: Tick,
    /// What of the wait before, and of pauses since, was not for the service.
    pub(super) waited: WaitTotals,
    /// It was sent before: its end is not a reading's end.
    pub(super) repeat: bool,
    pub(super) attempts: Attempts,
}

/// How often a reading was handed to the transport, by the plan that it retries; what the plan cut off and sent again counts once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Attempts {
    pub(super) made: u8,
    /// Of these, the ones that no answer has come to.
    pub(super) unanswered: u8,
}

impl Attempts {
    pub(super) const FIRST: Self = Self { made: 1, unanswered: 1 };
}
