//! From scores to alerts: per-device rules, the history, and subscribers with bounded buffers.

mod board;
mod watch;

use std::sync::Arc;

pub(super) use board::{Board, Filter, Heard, Posted, Subscription};
use serde::Serialize;
pub(super) use watch::{Watch, level};

use super::reading::Level;

/// An anomaly that subscribers are to hear of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Alert {
    pub(super) device: Arc<str>,
    pub(super) seq: u64,
    pub(super) level: Level,
    pub(super) score: f64,
    /// When it was raised, milliseconds since its instance started.
    pub(super) at_ms: u64,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "alert")]
struct Wire<'a> {
    id: u64,
    device: &'a str,
    seq: u64,
    level: Level,
    score: f64,
    at_ms: u64,
}

impl Alert {
    /// As one JSON object.
    pub(super) fn encode(&self, id: u64) -> String {
        let Self { device, seq, level, score, at_ms } = self;
        let wire =
            Wire { id, device, seq: *seq, level: *level, score: (score * 1e4).round() / 1e4, at_ms: *at_ms };
        // Plain strings, integers and finite numbers always serialise.
        serde_json::to_string(&wire).unwrap_or_default()
    }
}
