//! Whether a quiet connection is still alive.

use super::Failure;
use crate::record::ErrorKind;

/// What happened since the last call for a keep-alive.
#[derive(Debug, Default)]
pub(super) struct KeepAlive {
    /// Something was sent.
    spoke: bool,
    /// A ping is unanswered.
    pinged: bool,
}

impl KeepAlive {
    pub(super) fn spoke(&mut self) {
        self.spoke = true;
    }

    /// A pong came; true if a ping was unanswered.
    pub(super) fn answered(&mut self) -> bool {
        std::mem::take(&mut self.pinged)
    }

    /// A period is over; true if a ping is due, because nothing was sent in it.
    pub(super) fn beat(&mut self) -> Result<bool, Failure> {
        if self.pinged {
            return Err(Failure::new(ErrorKind::Network, "the peer left a ping unanswered"));
        }
        Ok(!std::mem::take(&mut self.spoke))
    }

    /// The ping was written. It does not count as something sent, or every other one would be left out.
    pub(super) fn pinged(&mut self) {
        self.pinged = true;
        self.spoke = false;
    }
}
