//! What comes in, as JSON, CBOR or a compact binary layout, and what goes out, as JSON: the wire contract that all
//! endpoints share.

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

/// The same from an encoding whose decoder lends nothing.
#[derive(Deserialize)]
struct Owned {
    device: Option<String>,
    seq: Option<u64>,
    value: Option<f64>,
}

impl Reading {
    /// Reads one reading. The first byte tells the encoding: a map of CBOR (RFC 8949) begins with 0xa0 to 0xbf, the binary
    /// layout with 1, anything else is taken for JSON. Fields it does not know are passed over.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, BadReading> {
        let not = |what: &str, error: &dyn std::fmt::Display| BadReading {
            device: None,
            seq: None,
            reason: format!("not a reading{what}: {error}"),
        };
        let wire: Wire<'_> = match bytes.first() {
            Some(0xa0..=0xbf) => {
                let mut rest = bytes;
                let Owned { device, seq, value } =
                    ciborium::from_reader(&mut rest).map_err(|error| not(" in CBOR", &error))?;
                if !rest.is_empty() {
                    return Err(not(" in CBOR", &"bytes follow it"));
                }
                Wire { device: device.map(Into::into), seq, value }
            }
            Some(1) => {
                binary(bytes).ok_or_else(|| not(" in the binary layout", &"it is cut short or not UTF-8"))?
            }
            _ => serde_json::from_slice(bytes).map_err(|error| not("", &error))?,
        };
        if wire.value.is_some_and(|value| !value.is_finite()) {
            return Err(not("", &"`value` is not a finite number"));
        }
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

/// Layout 1: the byte 1; the length of the device's name in one byte, and the name; `seq` and the instant it was due as
/// 64-bit integers; the number of values in one byte, and the values as 64-bit floats, all big-endian; then padding. The first
/// value is the one that is judged.
fn binary(bytes: &[u8]) -> Option<Wire<'_>> {
    let (length, rest) = bytes.get(1..)?.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let (seq, rest) = rest.split_first_chunk::<8>()?;
    let (_intended, rest) = rest.split_first_chunk::<8>()?;
    let (count, rest) = rest.split_first()?;
    let values = rest.get(..usize::from(*count) * 8)?;
    let value = values.first_chunk::<8>().map(|value| f64::from_be_bytes(*value));
    let device = std::str::from_utf8(name).ok()?;
    Some(Wire { device: Some(device.into()), seq: Some(u64::from_be_bytes(*seq)), value })
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

    fn cbor(device: &str, seq: u64, value: f64) -> Vec<u8> {
        let mut out = Vec::new();
        let text = |text: &str| ciborium::Value::Text(text.into());
        let map = vec![
            (text("extra"), ciborium::Value::Array(vec![ciborium::Value::Null])),
            (text("device"), text(device)),
            (text("seq"), ciborium::Value::Integer(seq.into())),
            (text("value"), ciborium::Value::Float(value)),
        ];
        ciborium::into_writer(&ciborium::Value::Map(map), &mut out).unwrap();
        out
    }

    fn layout_1(device: &str, seq: u64, values: &[f64], padding: usize) -> Vec<u8> {
        let mut out = vec![1, device.len() as u8];
        out.extend_from_slice(device.as_bytes());
        out.extend_from_slice(&seq.to_be_bytes());
        out.extend_from_slice(&7_u64.to_be_bytes());
        out.push(values.len() as u8);
        out.extend(values.iter().flat_map(|value| value.to_be_bytes()));
        out.resize(out.len() + padding, 0);
        out
    }

    #[test]
    fn the_first_byte_tells_the_encoding() {
        let expected = Reading { device: "m-1".into(), seq: 42, value: -2.5 };
        let json = br#"{"device":"m-1","seq":42,"value":-2.5,"extra":[null]}"#;
        for bytes in [
            json.to_vec(),
            cbor("m-1", 42, -2.5),
            layout_1("m-1", 42, &[-2.5, 9.0], 0),
            layout_1("m-1", 42, &[-2.5], 77),
        ] {
            assert_eq!(Reading::parse(&bytes).as_ref(), Ok(&expected));
        }
    }

    #[test]
    fn what_is_no_reading_says_so_in_every_encoding() {
        let mut trailing = cbor("m-1", 1, 0.0);
        trailing.push(0);
        for (bytes, reason) in [
            (cbor("m-1", 1, f64::NAN), "not a finite number"),
            (layout_1("m-1", 1, &[f64::INFINITY], 0), "not a finite number"),
            (layout_1("m-1", 1, &[], 0), "a reading needs"),
            (layout_1("m-1", 1, &[1.0], 0)[..20].to_vec(), "cut short"),
            (vec![1], "cut short"),
            (vec![1, 2, 0xff, 0xfe], "cut short or not UTF-8"),
            (cbor("m-1", 1, 0.0)[..9].to_vec(), "in CBOR"),
            (trailing, "bytes follow it"),
            (cbor("", 1, 0.0), "a reading needs"),
        ] {
            let bad = Reading::parse(&bytes).unwrap_err();
            assert!(bad.reason.contains(reason), "{bytes:?}: {}", bad.reason);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            first in proptest::sample::select(vec![1_u8, 0xa3, 0xbf, b'{', 0]),
            rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        ) {
            let bytes: Vec<u8> = std::iter::once(first).chain(rest).collect();
            let _ = Reading::parse(&bytes);
        }

        #[test]
        fn no_damage_makes_it_panic(at in 0_usize..60, with in proptest::prelude::any::<u8>(), form in 0..3) {
            let mut bytes = match form {
                0 => cbor("m-1", 42, -2.5),
                1 => layout_1("m-1", 42, &[-2.5, 1.0], 3),
                _ => br#"{"device":"m-1","seq":42,"value":-2.5}"#.to_vec(),
            };
            if let Some(byte) = bytes.get_mut(at) {
                *byte = with;
            }
            if let Ok(reading) = Reading::parse(&bytes) {
                proptest::prop_assert!(reading.value.is_finite());
            }
        }
    }
}
