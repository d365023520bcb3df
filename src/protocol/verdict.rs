//! The JSON that answers a reading: verdict, shed notice or error, correlated by device and sequence number.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::run_name::{RunName, Stranger};
use super::{Answer, Event};
use crate::record::{Arm, ErrorKind, RunToken, Stages};

/// A message that answers one reading of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) seq: u64,
    pub(super) answer: Answer,
    pub(super) stages: Option<Stages>,
    /// Whether the reading was judged anomalous.
    pub(super) flagged: Option<bool>,
    /// Which of two models side by side judged it.
    pub(super) arm: Option<Arm>,
    /// Whether it names this run.
    pub(super) named: bool,
}

impl Reply {
    /// A reply that says nothing but that all is well.
    pub(super) const fn ok(seq: u64) -> Self {
        Self { seq, answer: Answer::Ok, stages: None, flagged: None, arm: None, named: false }
    }
}

impl From<Reply> for Event {
    fn from(Reply { seq, answer, stages, flagged, arm, named }: Reply) -> Self {
        Self::Closed { seq, answer, stages, flagged, arm, named }
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Address<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    device: Option<Text<'a>>,
    #[serde(default)]
    run: RunName,
    seq: u64,
}

#[derive(Deserialize)]
struct Timed<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    device: Option<Text<'a>>,
    #[serde(default)]
    run: RunName,
    /// Optional only because an error costs more than the rest: services that answer with a JSON of their own are common.
    seq: Option<u64>,
    stages: Option<StageTimes>,
    anomaly: Option<bool>,
    #[serde(default)]
    arm: ArmName,
}

/// What stands under `arm`: one of the two, or whatever else a service means by it, which names none.
#[derive(Default)]
struct ArmName(Option<Arm>);

impl<'de> Deserialize<'de> for ArmName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Arm(Arm),
            Other(IgnoredAny),
        }
        Ok(Self(match Either::deserialize(deserializer)? {
            Either::Arm(arm) => Some(arm),
            Either::Other(IgnoredAny) => None,
        }))
    }
}

/// Stage times as the wire carries them, nanoseconds; the total is what makes them worth reading.
#[derive(Deserialize)]
struct StageTimes {
    #[serde(rename = "queue_ns", default)]
    queue: u64,
    #[serde(rename = "cache_ns", default)]
    cache: u64,
    #[serde(rename = "inference_ns", default)]
    inference: u64,
    #[serde(rename = "total_ns")]
    total: u64,
}

impl From<StageTimes> for Stages {
    fn from(times: StageTimes) -> Self {
        Self {
            queue_ns: times.queue,
            cache_ns: times.cache,
            inference_ns: times.inference,
            total_ns: times.total,
        }
    }
}

/// Reads a message; `None` if it answers no reading of `device`.
///
/// A message without a `type` counts as a verdict, so that a plain echo is a target. So does one without a `device`,
/// since a connection belongs to one. Malformed stage times cost the stage times and the judgement, not the verdict.
///
/// # Errors
/// If it names another run than `run`.
pub(super) fn read(message: &[u8], device: &str, run: Option<RunToken>) -> Result<Option<Reply>, Stranger> {
    let timed = serde_json::from_slice(message).or_else(|_| {
        let Address { kind, device, run, seq } = serde_json::from_slice(message)?;
        let (stages, anomaly, arm) = (None, None, ArmName(None));
        Ok::<_, serde_json::Error>(Timed { kind, device, run, seq: Some(seq), stages, anomaly, arm })
    });
    let Ok(Timed { kind, device: addressee, run: name, seq, stages, anomaly, arm }) = timed else {
        return Ok(None);
    };
    let named = name.is_of(run)?;
    let answer = match kind.as_ref().map(|Text(kind)| kind.as_ref()) {
        None | Some("verdict") => Answer::Ok,
        Some("shed") => Answer::Shed,
        Some("error") => Answer::Error(ErrorKind::Status),
        Some(_) => return Ok(None),
    };
    let ours = addressee.is_none_or(|Text(addressee)| addressee == device);
    let stages = stages.map(Stages::from);
    let reply = |seq| Reply { seq, answer, stages, flagged: anomaly, arm: arm.0, named };
    Ok(seq.filter(|_| ours).map(reply))
}

/// What an HTTP body says of reading `seq`, if it is its verdict; else that all is well, and nothing more.
pub(super) fn judgement(body: &[u8], device: &str, seq: u64) -> Reply {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Reply::ok(seq);
    }
    match read(body, device, None) {
        Ok(Some(reply)) if reply.seq == seq => reply,
        _ => Reply::ok(seq),
    }
}

/// A reading of any device, as it comes back from a broker.
pub(super) struct AnyReading {
    /// Number of its sender, by the roster.
    pub(super) sender: u32,
    pub(super) seq: u64,
    /// Whether it names this run.
    pub(super) named: bool,
}

/// A reading in a built-in encoding, whose sender `roster` knows.
///
/// # Errors
/// If it names another run than `run`.
pub(super) fn any_reading(
    payload: &[u8],
    run: Option<RunToken>,
    roster: impl Fn(&str) -> Option<u32>,
) -> Result<Option<AnyReading>, Stranger> {
    let Ok(Address { device, run: name, seq, .. }) = serde_json::from_slice(payload) else { return Ok(None) };
    let named = name.is_of(run)?;
    let sender = device.and_then(|Text(device)| roster(&device));
    Ok(sender.map(|sender| AnyReading { sender, seq, named }))
}

/// A reading of `device` that came back to its sender.
///
/// # Errors
/// If it names another run than `run`.
pub(super) fn own_reading(
    payload: &[u8],
    device: &str,
    run: Option<RunToken>,
) -> Result<Option<Reply>, Stranger> {
    let Ok(Address { device: sender, run: name, seq, .. }) = serde_json::from_slice(payload) else {
        return Ok(None);
    };
    let named = name.is_of(run)?;
    let ours = sender.is_none_or(|Text(sender)| sender == device);
    Ok(ours.then_some(Reply { named, ..Reply::ok(seq) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = Option<(u64, Answer, Option<Stages>)>;

    const STAGES: Stages = Stages { queue_ns: 1200, cache_ns: 300, inference_ns: 51000, total_ns: 54000 };

    #[test]
    fn messages_are_read_by_type_device_and_sequence_number() {
        let error = Answer::Error(ErrorKind::Status);
        let full = r#"{"queue_ns":1200,"cache_ns":300,"inference_ns":51000,"total_ns":54000}"#;
        let verdict = format!(
            r#"{{"type":"verdict","device":"m-1","seq":42,"score":0.13,"anomaly":false,"level":"none","stages":{full}}}"#
        );
        let lenient = r#"{"seq":4,"stages":{"total_ns":7,"gpu_ns":1}}"#;
        let total_only = Stages { total_ns: 7, ..Stages::default() };
        let table: &[(&str, Read)] = &[
            (&verdict, Some((42, Answer::Ok, Some(STAGES)))),
            (
                r#"{"type":"shed","device":"m-1","seq":1,"reason":"queue_full"}"#,
                Some((1, Answer::Shed, None)),
            ),
            (r#"{"type":"error","device":"m-1","seq":2,"reason":"boom"}"#, Some((2, error, None))),
            (r#"{"device":"m-1","seq":3,"intended_ns":123,"value":21.5}"#, Some((3, Answer::Ok, None))),
            (r#"{"device":"m\u002d1","seq":3}"#, Some((3, Answer::Ok, None))),
            (lenient, Some((4, Answer::Ok, Some(total_only)))),
            (r#"{"seq":5,"stages":{"total_ns":-1}}"#, Some((5, Answer::Ok, None))),
            (r#"{"seq":6,"stages":null}"#, Some((6, Answer::Ok, None))),
            (r#"{"seq":18446744073709551615}"#, Some((u64::MAX, Answer::Ok, None))),
            (r#"{"type":"alert","device":"m-1","seq":2}"#, None),
            (r#"{"type":"verdict","device":"m-2","seq":2}"#, None),
            (r#"{"type":"verdict","device":"m-1"}"#, None),
            (r#"{"type":"verdict","device":"m-1","seq":-1}"#, None),
            (r#"{"type":"verdict","device":"m-1","seq":"1"}"#, None),
            (r#"{"seq":1"#, None),
            ("[1]", None),
            ("hello", None),
            ("", None),
        ];
        for (message, expected) in table {
            let found = read(message.as_bytes(), "m-1", None).unwrap();
            let found = found.map(|reply| (reply.seq, reply.answer, reply.stages));
            assert_eq!(found, *expected, "{message}");
        }
        assert_eq!(read(b"\xff\xfe", "m-1", None), Ok(None));
    }

    #[test]
    fn stage_times_of_a_body_count_only_for_their_own_reading() {
        let body = br#" {"type":"verdict","device":"d","seq":9,"stages":{"total_ns":5}}"#;
        let times = Some(Stages { total_ns: 5, ..Stages::default() });
        assert_eq!(judgement(body, "d", 9), Reply { stages: times, ..Reply::ok(9) });
        for (body, device, seq) in [(&body[..], "d", 8), (body, "e", 9), (b"<html>", "d", 9)] {
            assert_eq!(judgement(body, device, seq), Reply::ok(seq));
        }
        for (anomaly, flagged) in [("true", Some(true)), ("false", Some(false)), ("null", None)] {
            let body = format!(r#"{{"device":"d","seq":1,"anomaly":{anomaly}}}"#);
            assert_eq!(judgement(body.as_bytes(), "d", 1), Reply { flagged, ..Reply::ok(1) });
        }
        for (named, arm) in [
            ("\"champion\"", Some(Arm::Champion)),
            ("\"challenger\"", Some(Arm::Challenger)),
            ("\"left\"", None),
            ("7", None),
            ("null", None),
            ("{\"side\":\"left\"}", None),
        ] {
            let body = format!(r#"{{"device":"d","seq":1,"anomaly":true,"arm":{named}}}"#);
            let expected = Reply { flagged: Some(true), arm, ..Reply::ok(1) };
            assert_eq!(judgement(body.as_bytes(), "d", 1), expected, "{named}");
        }
    }

    #[test]
    fn a_delivered_reading_names_itself() {
        let own = |payload: &str| own_reading(payload.as_bytes(), "d", None).unwrap().map(|reply| reply.seq);
        assert_eq!(own(r#"{"device":"d","seq":9,"type":"reading"}"#), Some(9));
        assert_eq!(own(r#"{"device":"e","seq":9}"#), None);
        assert_eq!(own("21.5"), None);
    }
}
