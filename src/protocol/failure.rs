//! Why a session ended without being asked to.

use std::borrow::Cow;
use std::io;

use crate::record::ErrorKind;

/// The end of a connection, or of the attempt to make one. The session is unusable afterwards.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// What it is counted as.
    pub kind: ErrorKind,
    /// What happened, for a person to read. Never counted or matched by.
    pub detail: Cow<'static, str>,
}

impl Failure {
    pub(super) fn new(kind: ErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// The peer broke its protocol or refused the handshake.
    pub(super) fn protocol(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Protocol, detail)
    }

    /// The peer closed the connection in an orderly way.
    pub(super) fn closed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Closed, detail)
    }

    /// A network call failed.
    pub(super) fn io(error: &io::Error) -> Self {
        Self::new(ErrorKind::of_io(error), error.to_string())
    }

    /// A reading was handed to a session that was not ready for it.
    pub(super) fn not_ready() -> Self {
        Self::protocol("a reading was handed to a session that was not ready for one")
    }
}
