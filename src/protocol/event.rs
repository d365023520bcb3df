//! What a session has to tell.

use crate::record::{Arm, ErrorKind, Stages};

/// What a session has to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A reading was answered, or answered again: the session does not remember what was answered before.
    Closed {
        /// Its sequence number.
        seq: u64,
        /// How it was answered.
        answer: Answer,
        /// Stage times, where the peer reported them.
        stages: Option<Stages>,
        /// Whether the peer judged the reading anomalous; `None` without a judgement.
        flagged: Option<bool>,
        /// Which of two models side by side judged it, where the peer says so.
        arm: Option<Arm>,
        /// Whether what answered it names this run, so that it cannot be another run's.
        named: bool,
    },
    /// A reading of another device was heard: see [`Hearing::Others`](super::Hearing::Others).
    Heard {
        /// Number of the device that sent it, by the roster.
        sender: u32,
        /// Its sequence number.
        seq: u64,
        /// Whether it names this run.
        named: bool,
    },
    /// A request for what others sent was answered, and the next is to follow at once; what the reply told comes behind it.
    Replied,
    /// The next request goes out as soon as the session is polled again.
    Asks,
    /// [`Session::ready`](super::Session::ready) became true again, though no reading was closed.
    Writable,
}

/// How a reading was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// As it should be.
    Ok,
    /// The service said no.
    Shed,
    /// It failed.
    Error(ErrorKind),
}
