//! What comes in, as JSON, CBOR or a compact binary layout, and what goes out, as JSON: the wire contract that all
//! endpoints share.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::answer::{Answer, ReadingId, Shed};
use super::cache::Tier;
use super::detector::Defects;
use super::whole::Whole;
use crate::clock::Tick;
use crate::record::{Arm, RunToken};
use crate::service::Priority;

/// Longest device name accepted, characters.
pub(super) const LONGEST_DEVICE: usize = 128;
/// No value may lie further from 0: what is worked out from values must stay finite.
pub(super) const LARGEST_VALUE: f64 = 1e300;

/// One reading, checked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub(super) device: Arc<str>,
    pub(super) seq: u64,
    pub(super) value: f64,
    /// How urgent its sender says it is.
    pub(super) priority: Option<Priority>,
    /// When it was taken, by its sender's clock, nanoseconds from a beginning of its own.
    pub(super) taken_ns: Option<u64>,
    /// The run that its sender is part of.
    pub(super) run: Option<RunToken>,
    /// The class of its device, where its schema has one.
    pub(super) class: Option<Arc<str>>,
    /// Which anomaly its sender knows to show in it, by its number within the device, 0 for none; `None`: it does not say.
    pub(super) truth: Option<u32>,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            device: Arc::from(""),
            seq: 0,
            value: 0.0,
            priority: None,
            taken_ns: None,
            run: None,
            class: None,
            truth: None,
        }
    }
}

/// Why bytes are not a reading, with what could be made out of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadReading {
    pub(super) device: Option<Arc<str>>,
    pub(super) seq: Option<u64>,
    pub(super) run: Option<RunToken>,
    pub(super) reason: String,
}

/// What stands under a key that only some readings have.
#[derive(Debug, Clone, PartialEq, Default)]
enum Loose<T> {
    #[default]
    Absent,
    Is(T),
    /// Something else, which may be some other thing of the sender's.
    Other,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Loose<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either<T> {
            Is(T),
            Nothing(()),
            Other(IgnoredAny),
        }
        Ok(match Either::deserialize(from)? {
            Either::Is(found) => Self::Is(found),
            Either::Nothing(()) => Self::Absent,
            Either::Other(IgnoredAny) => Self::Other,
        })
    }
}

/// A reading as it comes; `S` is its texts.
#[derive(Deserialize, Default)]
struct Wire<S> {
    device: Option<S>,
    seq: Option<Whole>,
    value: Option<f64>,
    #[serde(default)]
    priority: Option<S>,
    #[serde(default, rename = "intended_ns")]
    taken_ns: Option<Whole>,
    #[serde(default)]
    run: Option<S>,
    #[serde(default)]
    schema: Loose<Whole>,
    #[serde(default, rename = "taken_ns")]
    second_taken_ns: Loose<Whole>,
    #[serde(default)]
    class: Loose<String>,
    #[serde(default)]
    truth: Loose<Whole>,
}

/// A text of the bytes that came, copied only where it has escapes.
#[derive(Deserialize, Default)]
struct Lent<'a>(#[serde(borrow)] Cow<'a, str>);

impl AsRef<str> for Lent<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Reading {
    /// Which one it is.
    pub(super) fn id(&self) -> ReadingId {
        ReadingId { device: Arc::clone(&self.device), seq: self.seq, run: self.run }
    }

    /// What tells which class its device is of: the class that it names, else its own name.
    pub(super) fn class(&self) -> &str {
        self.class.as_deref().unwrap_or(&self.device)
    }

    /// Reads one reading. The first byte tells the encoding: a map of CBOR (RFC 8949) begins with 0xa0 to 0xbf, a binary
    /// layout with its number, anything else is taken for JSON. Fields that its schema does not have are passed over.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, BadReading> {
        match bytes.first() {
            Some(0xa0..=0xbf) => {
                let mut rest = bytes;
                // Its decoder lends nothing.
                let wire: Wire<String> =
                    ciborium::from_reader(&mut rest).map_err(|error| not(" in CBOR", &error))?;
                if !rest.is_empty() {
                    return Err(not(" in CBOR", &"bytes follow it"));
                }
                wire.check()
            }
            Some(1 | 2) => binary(bytes)
                .ok_or_else(|| not(" in the binary layout", &"it is cut short or not UTF-8"))?
                .check(),
            // No text begins so.
            Some(layout @ (3..=8 | 14..=31)) => {
                let unknown = format!("layout {layout} is unknown; there are 1 and 2");
                Err(not(" in a binary layout", &unknown))
            }
            _ => serde_json::from_slice::<Wire<Lent<'_>>>(bytes).map_err(|error| not("", &error))?.check(),
        }
    }
}

/// What of which nothing can be made out.
fn not(what: &str, error: &dyn fmt::Display) -> BadReading {
    BadReading { device: None, seq: None, run: None, reason: format!("not a reading{what}: {error}") }
}

impl<S: AsRef<str>> Wire<S> {
    /// The reading that it is, if it is one.
    fn check(self) -> Result<Reading, BadReading> {
        if self.value.is_some_and(|value| !value.is_finite()) {
            return Err(not("", &"`value` is not a finite number"));
        }
        if self.value.is_some_and(|value| value.abs() > LARGEST_VALUE) {
            return Err(not("", &"`value` lies beyond 1e300"));
        }
        let seq = self.seq.map(|seq| seq.0);
        let device = self
            .device
            .as_ref()
            .map(AsRef::as_ref)
            .filter(|device: &&str| !device.is_empty() && !is_longer(device, LONGEST_DEVICE))
            .map(Arc::from);
        // What is not a token is some other thing of the sender's.
        let run = self.run.as_ref().and_then(|run| RunToken::of(run.as_ref()));
        let bad = |reason: &str| BadReading { device: device.clone(), seq, run, reason: reason.to_owned() };
        let (taken_ns, class) = self.by_schema().map_err(|reason| bad(&reason))?;
        let (Some(device), Some(seq), Some(value)) = (device.clone(), seq, self.value) else {
            return Err(bad(
                "a reading needs `device` (1 to 128 characters), `seq` (a whole number) and `value` (a number)",
            ));
        };
        let priority =
            match self.priority.as_ref().map(AsRef::as_ref) {
                None => None,
                Some(word) => Some(Priority::of(word).ok_or_else(|| {
                    bad("`priority` is one of \"critical\", \"high\", \"medium\" and \"low\"")
                })?),
            };
        let truth = match self.truth {
            Loose::Is(Whole(number)) => Some(u32::try_from(number).unwrap_or(u32::MAX)),
            Loose::Absent | Loose::Other => None,
        };
        Ok(Reading { device, seq, value, priority, taken_ns, run, class, truth })
    }

    /// When it was taken and the class of its device, as its schema has them; or why it is none.
    fn by_schema(&self) -> Result<(Option<u64>, Option<Arc<str>>), String> {
        match self.schema {
            Loose::Absent | Loose::Is(Whole(1)) => Ok((self.taken_ns.map(|taken| taken.0), None)),
            Loose::Is(Whole(2)) => Ok((self.second_taken()?, self.named_class()?)),
            Loose::Is(Whole(unknown)) => {
                Err(format!("schema {unknown} of readings is unknown; there are 1 and 2"))
            }
            Loose::Other => Err("`schema` is a whole number; there are 1 and 2".to_owned()),
        }
    }

    fn second_taken(&self) -> Result<Option<u64>, String> {
        match self.second_taken_ns {
            Loose::Absent => Ok(None),
            Loose::Is(Whole(taken)) => Ok(Some(taken)),
            Loose::Other => Err("`taken_ns` is a whole number".to_owned()),
        }
    }

    fn named_class(&self) -> Result<Option<Arc<str>>, String> {
        match &self.class {
            Loose::Absent => Ok(None),
            Loose::Is(class) if !class.is_empty() && !is_longer(class, LONGEST_DEVICE) => {
                Ok(Some(class.as_str().into()))
            }
            Loose::Is(_) | Loose::Other => Err("`class` has 1 to 128 characters".to_owned()),
        }
    }
}

/// Whether a text has more characters than `most`. Counts them only where it may: every one takes at least a byte.
fn is_longer(text: &str, most: usize) -> bool {
    text.len() > most && text.chars().nth(most).is_some()
}

/// Layout 1: the byte 1; the length of the device's name in one byte, and the name; `seq` and the instant it was due as
/// 64-bit integers; the number of values in one byte, and the values as 64-bit floats, all big-endian; then padding. The first
/// value is the one that is judged. Layout 2 has the token of the run, 8 characters, behind its first byte, the 2.
fn binary(bytes: &[u8]) -> Option<Wire<&str>> {
    let (layout, rest) = bytes.split_first()?;
    let (run, rest) = rest.split_at_checked(if *layout == 2 { RunToken::LENGTH } else { 0 })?;
    let run = std::str::from_utf8(run).ok().filter(|run| !run.is_empty());
    let (length, rest) = rest.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let (seq, rest) = rest.split_first_chunk::<8>()?;
    let (taken, rest) = rest.split_first_chunk::<8>()?;
    let (count, rest) = rest.split_first()?;
    let values = rest.get(..usize::from(*count) * 8)?;
    let value = values.first_chunk::<8>().map(|value| f64::from_be_bytes(*value));
    let device = std::str::from_utf8(name).ok()?;
    let taken_ns = Some(Whole(u64::from_be_bytes(*taken)));
    Some(Wire {
        device: Some(device),
        seq: Some(Whole(u64::from_be_bytes(*seq))),
        value,
        taken_ns,
        run,
        ..Wire::default()
    })
}

/// How serious an anomaly is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    None,
    Low,
    Medium,
    High,
    Critical,
}

impl Level {
    /// Those of alerts, least first.
    pub(super) const ALERTS: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

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

/// Where the service spent its time on a reading, nanoseconds. The stages add up to the total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[expect(clippy::struct_field_names, reason = "the wire names its unit in every field")]
pub(super) struct StageTimes {
    /// From its arrival to a worker taking it up.
    pub(super) queue_ns: u64,
    /// The state of its device: features, repeats.
    pub(super) features_ns: u64,
    /// Looking its vector up.
    pub(super) cache_ns: u64,
    /// The inference, or the wait for one that another reading had asked for.
    pub(super) inference_ns: u64,
    /// From the score to the verdict being handed to the connection.
    pub(super) reply_ns: u64,
    /// From the reading's arrival to its verdict being handed to the connection, all stages included.
    pub(super) total_ns: u64,
}

/// What the service says of a reading.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    pub(super) id: ReadingId,
    pub(super) score: f64,
    pub(super) anomaly: bool,
    pub(super) level: Level,
    /// Where the score came from.
    pub(super) tier: Tier,
    /// The version of the model.
    pub(super) model: u32,
    /// Which of two models judged it, where there are two.
    pub(super) arm: Option<Arm>,
    /// Whether the reading had been worked on before.
    pub(super) duplicate: bool,
    /// What is wrong with the reading as data.
    pub(super) defects: Defects,
    pub(super) stages: StageTimes,
    pub(super) arrived: Tick,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Message<'a> {
    Verdict {
        device: &'a str,
        seq: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        run: Option<RunToken>,
        score: f64,
        anomaly: bool,
        level: Level,
        cache: &'static str,
        model: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        arm: Option<&'static str>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        duplicate: bool,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        defects: Vec<&'static str>,
        stages: StageTimes,
    },
    Shed {
        device: &'a str,
        seq: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        run: Option<RunToken>,
        reason: &'static str,
        retry_after_ms: u64,
    },
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        device: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        run: Option<RunToken>,
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
    /// Takes note that it is handed to its connection at `now`.
    pub(super) fn handed_over(&mut self, now: Tick) {
        let total_ns = now.since(self.arrived);
        let StageTimes { queue_ns, features_ns, cache_ns, inference_ns, .. } = self.stages;
        let before = queue_ns + features_ns + cache_ns + inference_ns;
        self.stages.reply_ns = total_ns.saturating_sub(before);
        self.stages.total_ns = total_ns;
    }

    /// As one JSON object.
    pub(super) fn encode(&self) -> String {
        let Self { id, score, anomaly, level, tier, model, arm, duplicate, defects, stages, .. } = self;
        Message::Verdict {
            device: &id.device,
            seq: id.seq,
            run: id.run,
            score: (score * 1e4).round() / 1e4,
            anomaly: *anomaly,
            level: *level,
            cache: tier.name(),
            model: *model,
            arm: arm.map(Arm::name),
            duplicate: *duplicate,
            defects: defects.words().collect(),
            stages: *stages,
        }
        .encode()
    }

    /// The same, with its number among all verdicts.
    pub(super) fn encode_numbered(&self, id: u64) -> String {
        let text = self.encode();
        format!("{{\"id\":{id},{}", text.strip_prefix('{').unwrap_or_default())
    }
}

impl Shed {
    /// As one JSON object.
    pub(super) fn encode(&self) -> String {
        let Self { id: ReadingId { device, seq, run }, reason, retry_ms } = self;
        Message::Shed { device, seq: *seq, run: *run, reason: reason.name(), retry_after_ms: *retry_ms }
            .encode()
    }
}

impl Answer {
    /// As one JSON object, handed to its connection at `now`.
    pub(super) fn encode(&mut self, now: Tick) -> String {
        match self {
            Self::Verdict(verdict) | Self::Twice(verdict) => {
                verdict.handed_over(now);
                verdict.encode()
            }
            Self::Shed(shed) => shed.encode(),
            Self::Failed(ReadingId { device, seq, run }) => {
                Message::Error { device: Some(device), seq: Some(*seq), run: *run, reason: "injected" }
                    .encode()
            }
            // Nobody is sent it.
            Self::Vanished(_) => String::new(),
        }
    }
}

impl BadReading {
    /// As one JSON object.
    pub(super) fn encode(&self) -> String {
        Message::Error { device: self.device.as_deref(), seq: self.seq, run: self.run, reason: &self.reason }
            .encode()
    }
}

#[cfg(test)]
mod tests;
