//! What the rest of the program knows of long polling.

use super::super::driver::Facts;
use super::super::poll::{FACTS as POLL, Pace, PollDriver};
use super::settings;
#[cfg(test)]
use super::tests::peer::LongPollProof;
use crate::record::Protocol;

static FACTS: Facts = Facts {
    protocol: Protocol::named("long-poll"),
    title: "Long polling",
    section_about: "what is asked for, how long a reply may take, and how events name readings",
    target_about: "where fleets ask for events and are kept waiting; without a path, not even /, at /v1/alerts",
    sections: &[&settings::LONG_POLL],
    template: include_str!("../../../scenarios/external-long-poll.toml"),
    ..POLL
};

/// Long polling (RFC 6202 §2).
pub(in crate::protocol) static LONG_POLLING: PollDriver = PollDriver {
    facts: &FACTS,
    stated: settings::long_poll,
    pace: Pace::AtOnce,
    #[cfg(test)]
    proof: &LongPollProof,
};
