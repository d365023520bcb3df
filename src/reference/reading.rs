//! What comes in and what goes out, as JSON: the wire contract that all endpoints share.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest device name accepted, bytes.
pub(super) const LONGEST_DEVICE: usize = 128;

/// One reading, checked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub(super) device: Arc<str>,
    pub(super) seq: u64,
    pub(super) value: f64,
}

/// Why bytes are no reading, with what could be made out of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadReading {
    pub(super) device: Option<Arc<str>>,
    pub(super) seq: Option<u64>,
    pub(super) reason: String,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    device: Option<std::borrow::Cow<'a, str>>,
    seq: Option<u64>,
    value: Option<f64>,
}

impl Reading {
    /// Reads one JSON object; fields it does not know are passed over.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, BadReading> {
        let wire: Wire<'_> = serde_json::from_slice(bytes).map_err(|error| BadReading {
            device: None,
            seq: None,
            reason: format!("not a reading: {error}"),
        })?;
        let device = wire
            .device
            .as_deref()
            .filter(|device| (1..=LONGEST_DEVICE).contains(&device.len()))
            .map(Arc::from);
        let bad =
            |reason: &str| BadReading { device: device.clone(), seq: wire.seq, reason: reason.to_owned() };
        let (Some(device), Some(seq), Some(value)) = (device.clone(), wire.seq, wire.value) else {
            return Err(bad(
                "a reading needs `device` (1 to 128 bytes), `seq` (a whole number) and `value` (a number)",
            ));
        };
        Ok(Self { device, seq, value })
    }
}

/// How serious an anomaly is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    None,
    Low,
    Medium,
    High,
    Critical,
}

impl Level {
    /// The word used on the wire and in topics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Where the service spent its time on a reading, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[expect(clippy::struct_field_names, reason = "the wire names its unit in every field")]
pub(super) struct StageTimes {
    pub(super) queue_ns: u64,
    pub(super) cache_ns: u64,
    pub(super) inference_ns: u64,
    /// From the reading's arrival to its verdict being handed to the reply, all stages included.
    pub(super) total_ns: u64,
}

/// What the service says of a reading.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    pub(super) device: Arc<str>,
    pub(super) seq: u64,
    pub(super) score: f64,
    pub(super) anomaly: bool,
    pub(super) level: Level,
    pub(super) stages: StageTimes,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Message<'a> {
    Verdict {
        device: &'a str,
        seq: u64,
        score: f64,
        anomaly: bool,
        level: Level,
        stages: StageTimes,
    },
    Shed {
        device: &'a str,
        seq: u64,
        reason: &'a str,
    },
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        device: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        reason: &'a str,
    },
}

impl Message<'_> {
    fn encode(&self) -> String {
        // Plain strings, integers and finite numbers always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Verdict {
    /// As one JSON object.
    pub(super) fn encode(&self) -> String {
        let Self { device, seq, score, anomaly, level, stages } = self;
        let score = (score * 1e4).round() / 1e4;
        Message::Verdict { device, seq: *seq, score, anomaly: *anomaly, level: *level, stages: *stages }
            .encode()
    }
}

/// The answer to a reading the service would not take.
pub(super) fn encode_shed(device: &str, seq: u64) -> String {
    Message::Shed { device, seq, reason: "queue_full" }.encode()
}

impl BadReading {
    /// As one JSON object.
    pub(super) fn encode(&self) -> String {
        Message::Error { device: self.device.as_deref(), seq: self.seq, reason: &self.reason }.encode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_parse_and_faults_name_what_is_missing() {
        let reading =
            Reading::parse(br#"{"device":"m-1","seq":42,"intended_ns":7,"value":21.5,"unit":"C"}"#).unwrap();
        assert_eq!(reading, Reading { device: "m-1".into(), seq: 42, value: 21.5 });
        let long = format!(r#"{{"device":"{}","seq":1,"value":1}}"#, "x".repeat(129));
        for (text, reason) in [
            ("", "not a reading"),
            ("[]", "not a reading"),
            (r#"{"device":"m","seq":-1,"value":1}"#, "not a reading"),
            (r#"{"device":"m","seq":1,"value":1e999}"#, "not a reading"),
            (r#"{"device":"m","seq":1}"#, "`value`"),
            (r#"{"device":"","seq":1,"value":1}"#, "`device`"),
            (long.as_str(), "`device`"),
        ] {
            let bad = Reading::parse(text.as_bytes()).unwrap_err();
            assert!(bad.reason.contains(reason), "{text}: {}", bad.reason);
            assert!(bad.encode().starts_with(r#"{"type":"error","#), "{}", bad.encode());
        }
        let bad = Reading::parse(br#"{"device":"m","seq":9}"#).unwrap_err();
        assert_eq!((bad.device.as_deref(), bad.seq), (Some("m"), Some(9)));
        assert!(Reading::parse(b"\xff\xfe").is_err());
    }

    #[test]
    fn answers_have_the_form_of_the_contract() {
        let stages = StageTimes { queue_ns: 1200, cache_ns: 300, inference_ns: 51_000, total_ns: 54_000 };
        let verdict = Verdict {
            device: "m-1".into(),
            seq: 42,
            score: 0.130_04,
            anomaly: false,
            level: Level::None,
            stages,
        };
        assert_eq!(
            verdict.encode(),
            r#"{"type":"verdict","device":"m-1","seq":42,"score":0.13,"anomaly":false,"level":"none","stages":{"queue_ns":1200,"cache_ns":300,"inference_ns":51000,"total_ns":54000}}"#
        );
        assert_eq!(encode_shed("m", 1), r#"{"type":"shed","device":"m","seq":1,"reason":"queue_full"}"#);
    }
}
