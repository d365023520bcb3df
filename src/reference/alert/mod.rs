//! From scores to alerts: per-device rules, the history, and subscribers with bounded buffers.

mod log;
mod watch;

use std::sync::Arc;

pub(super) use log::{AlertLog, Filter, LoggedAlert, Notice, Subscription};
use serde::{Deserialize, Serialize};
pub(super) use watch::{Watch, level};

use super::reading::Level;

/// An anomaly that subscribers are to hear of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Alert {
    pub(super) device: Arc<str>,
    pub(super) seq: u64,
    pub(super) level: Level,
    pub(super) score: f64,
    /// What the device said; none if another instance did not tell.
    pub(super) value: Option<f64>,
    /// When it was raised, milliseconds since its instance started.
    pub(super) at_ms: u64,
    /// The instance that raised it; none if it is this one.
    pub(super) instance: Option<Arc<str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename = "alert")]
struct Wire<'a> {
    id: u64,
    device: &'a str,
    seq: u64,
    level: Level,
    score: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
}

impl Alert {
    /// As one JSON object; `instance` is named in it.
    pub(super) fn encode(&self, id: u64, instance: Option<&str>) -> String {
        let Self { device, seq, level, score, value, at_ms, .. } = self;
        let score = (score * 1e4).round() / 1e4;
        let wire =
            Wire { id, device, seq: *seq, level: *level, score, value: *value, at_ms: *at_ms, instance };
        // Plain strings, integers and finite numbers always serialise.
        serde_json::to_string(&wire).unwrap_or_default()
    }

    /// Reads what another instance encoded; none if it is not an alert.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let Wire { device, seq, level, score, value, at_ms, instance, .. } =
            serde_json::from_str(text).ok()?;
        let instance = instance.map(Into::into);
        Some(Self { device: device.into(), seq, level, score, value, at_ms, instance })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_instances_alert_is_read_as_it_was_written() {
        let alert = Alert {
            device: "m-1".into(),
            seq: 7,
            level: Level::High,
            score: 9.25,
            value: Some(21.5),
            at_ms: 12,
            instance: Some("north".into()),
        };
        let text = alert.encode(3, Some("north"));
        assert_eq!(
            text,
            r#"{"type":"alert","id":3,"device":"m-1","seq":7,"level":"high","score":9.25,"value":21.5,"at_ms":12,"instance":"north"}"#
        );
        assert_eq!(Alert::decode(&text), Some(alert.clone()));
        // An instance of before values were told.
        let earlier = text.replace(r#""value":21.5,"#, "");
        assert_eq!(Alert::decode(&earlier), Some(Alert { value: None, ..alert }));
        assert_eq!(Alert::decode("{}"), None);
    }
}
