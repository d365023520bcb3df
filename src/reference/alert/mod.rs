//! From scores to alerts: per-device rules, the history, and subscribers with bounded buffers.

mod log;
mod watch;

use std::borrow::Cow;
use std::sync::Arc;

pub(super) use log::{AlertLog, Filter, LoggedAlert, Notice, Subscription};
use serde::{Deserialize, Serialize};
pub(super) use watch::{Watch, level};

use super::reading::Level;
use crate::clock::Tick;
use crate::service::AlertClass;

/// Something that subscribers are to hear of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Alert {
    pub(super) class: AlertClass,
    /// The device that it is about; none if it is about the service.
    pub(super) device: Option<Arc<str>>,
    /// The reading in which it shows.
    pub(super) seq: Option<u64>,
    pub(super) level: Level,
    /// Of an anomaly.
    pub(super) score: Option<f64>,
    /// What the device said; none if another instance did not tell.
    pub(super) value: Option<f64>,
    /// Why it was raised, where it is no anomaly.
    pub(super) reason: Option<Arc<str>>,
    /// When it was raised, milliseconds since its instance started.
    pub(super) at_ms: u64,
    /// The instance that raised it; none if it is this one.
    pub(super) instance: Option<Arc<str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename = "alert")]
struct Wire<'a> {
    id: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    level: Level,
    /// Instances of before there were classes do not name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
}

impl Alert {
    /// About the service itself.
    pub(super) fn of_service(class: AlertClass, level: Level, reason: String, now: Tick) -> Self {
        Self {
            class,
            device: None,
            seq: None,
            level,
            score: None,
            value: None,
            reason: Some(reason.into()),
            at_ms: now.0 / 1_000_000,
            instance: None,
        }
    }

    /// What it is about, in a few words.
    pub(super) fn subject(&self) -> String {
        match (&self.device, self.seq) {
            (Some(device), Some(seq)) => format!("{device} {seq}"),
            _ => self.class.name().to_owned(),
        }
    }

    /// As one JSON object; `instance` is named in it.
    pub(super) fn encode(&self, id: u64, instance: Option<&str>) -> String {
        let Self { class, device, seq, level, score, value, reason, at_ms, .. } = self;
        let wire = Wire {
            id,
            device: device.as_deref(),
            seq: *seq,
            level: *level,
            class: Some(class.name()),
            score: score.map(|score| (score * 1e4).round() / 1e4),
            value: *value,
            reason: reason.as_deref().map(Cow::Borrowed),
            at_ms: *at_ms,
            instance,
        };
        // Plain strings, integers and finite numbers always serialise.
        serde_json::to_string(&wire).unwrap_or_default()
    }

    /// Reads what another instance encoded; none if it is not an alert.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let Wire { device, seq, level, class, score, value, reason, at_ms, instance, .. } =
            serde_json::from_str(text).ok()?;
        Some(Self {
            class: class.map_or(Some(AlertClass::Anomaly), AlertClass::of)?,
            device: device.map(Into::into),
            seq,
            level,
            score,
            value,
            reason: reason.map(|reason| Arc::from(&*reason)),
            at_ms,
            instance: instance.map(Into::into),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_instances_alert_is_read_as_it_was_written() {
        let alert = Alert {
            class: AlertClass::Anomaly,
            device: Some("m-1".into()),
            seq: Some(7),
            level: Level::High,
            score: Some(9.25),
            value: Some(21.5),
            reason: None,
            at_ms: 12,
            instance: Some("north".into()),
        };
        let text = alert.encode(3, Some("north"));
        assert_eq!(
            text,
            r#"{"type":"alert","id":3,"device":"m-1","seq":7,"level":"high","class":"anomaly","score":9.25,"value":21.5,"at_ms":12,"instance":"north"}"#
        );
        assert_eq!(Alert::decode(&text), Some(alert.clone()));
        // An instance of before values and classes were told.
        let earlier = text.replace(r#""value":21.5,"#, "").replace(r#""class":"anomaly","#, "");
        assert_eq!(Alert::decode(&earlier), Some(Alert { value: None, ..alert }));
        let of_service = Alert {
            instance: Some("north".into()),
            ..Alert::of_service(AlertClass::Security, Level::Medium, "a \"page\"".into(), Tick(5_000_000))
        };
        let text = of_service.encode(4, Some("north"));
        assert_eq!(
            text,
            r#"{"type":"alert","id":4,"level":"medium","class":"security","reason":"a \"page\"","at_ms":5,"instance":"north"}"#
        );
        assert_eq!(Alert::decode(&text), Some(of_service));
        assert_eq!(Alert::decode("{}"), None);
    }
}
