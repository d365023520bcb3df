//! Why a session ended without being asked to.

use std::borrow::Cow;
use std::io;

use crate::net::TlsFailure;
use crate::record::{Code, ErrorKind, Reason};

/// The end of a connection, or of the attempt to make one. The session is unusable afterwards.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", reason.sentence)]
pub struct Failure {
    /// What it is counted as.
    pub kind: ErrorKind,
    /// What happened. Boxed, since every idle session has room for a failure.
    pub reason: Box<Reason>,
}

impl Failure {
    pub(super) fn new(kind: ErrorKind, sentence: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, reason: Box::new(Reason::new(Code::word(kind.name()), sentence)) }
    }

    /// The peer broke its protocol or refused the handshake.
    pub(super) fn protocol(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Protocol, sentence)
    }

    /// The peer closed the connection in an orderly way.
    pub(super) fn closed(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Closed, sentence)
    }

    /// A network call failed.
    pub(super) fn io(error: &io::Error) -> Self {
        // What carries a protocol within another says itself what went wrong there.
        if let Some(failure) = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            return failure.clone();
        }
        match TlsFailure::of(error) {
            Some(failure) => Self::new(ErrorKind::Tls, failure.sentence()),
            None => Self { kind: ErrorKind::of_io(error), reason: Box::new(Reason::of_io(error)) },
        }
    }

    /// A reading was handed to a session that was not ready for it.
    pub(super) fn not_ready() -> Self {
        Self::protocol("a reading was handed to a session that was not ready for one")
    }

    /// Gives it the code that the peer gave.
    pub(super) fn with_code(mut self, family: &'static str, number: u32) -> Self {
        self.reason.code = Code::numbered(family, number);
        self
    }

    /// Adds the beginning of what the peer replied.
    pub(super) fn with_sample(mut self, reply: &[u8]) -> Self {
        *self.reason = self.reason.with_sample(reply);
        self
    }

    /// Goes on with `more` in the sentence.
    pub(super) fn followed_by(mut self, more: &str) -> Self {
        self.reason.sentence = format!("{} {more}", self.reason.sentence).into();
        self
    }

    /// Says whether the peer refused for good, so that trying again is pointless.
    pub(super) const fn final_if(mut self, final_refusal: bool) -> Self {
        self.reason.final_refusal = final_refusal;
        self
    }
}
