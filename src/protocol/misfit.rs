//! What a protocol cannot carry of what a device presents: the rules that scenarios are checked against, and that no session
//! breaks.

use super::Failure;

/// Something that a device cannot present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// The key of the protocol's own table that says it; within a table in it, behind a stop: `will.topic`.
    pub(crate) key: &'static str,
    /// What it is, in words: "the client identifier".
    pub(crate) subject: &'static str,
    /// What is wrong with it, as a sentence goes on. Repeats nothing of it: it may be a secret.
    pub(crate) fault: &'static str,
    /// What to write instead.
    pub(crate) help: &'static str,
}

impl From<Misfit> for Failure {
    fn from(Misfit { subject, fault, .. }: Misfit) -> Self {
        Self::protocol(format!("{subject} {fault}"))
    }
}
