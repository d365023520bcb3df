//! Long polling, as the contract suite has it; the session is tested with that of `poll`.

pub(super) mod peer;
