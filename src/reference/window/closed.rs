//! A window that was closed, as it is told.

use std::sync::Arc;

use serde::Serialize;

use super::WindowSummary;

/// A window of a device that was closed.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::reference) struct ClosedWindow {
    pub(in crate::reference) device: Arc<str>,
    pub(in crate::reference) window: WindowSummary,
    /// When it was closed, milliseconds since the service started.
    pub(in crate::reference) at_ms: u64,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "window")]
struct Wire<'a> {
    id: u64,
    device: &'a str,
    #[serde(flatten)]
    window: WindowSummary,
    at_ms: u64,
}

impl ClosedWindow {
    /// As one JSON object.
    pub(in crate::reference) fn encode(&self, id: u64) -> String {
        let Self { device, window, at_ms } = self;
        // Plain strings, integers and finite numbers always serialise.
        serde_json::to_string(&Wire { id, device, window: *window, at_ms: *at_ms }).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_told_with_its_number_and_device() {
        let closed = ClosedWindow { device: "a".into(), window: WindowSummary::of(1, 2, 3.5), at_ms: 7 };
        assert_eq!(
            closed.encode(1),
            r#"{"type":"window","id":1,"device":"a","start_ns":1,"end_ns":2,"count":1,"mean":3.5,"least":3.5,"most":3.5,"at_ms":7}"#
        );
    }
}
