//! What a message from the peer says about readings of this device.

use serde_json::Value;

use super::settings::{Hearing, Roster};
use super::verdict::{self, Reply};
use super::{Correlation, Settings};
use crate::record::Close;

/// A message that answers a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// It names the reading.
    Named(Reply),
    /// It is the turn of the first reading still unanswered.
    Next,
    /// It is a reading of another device.
    Heard { sender: u32, seq: u64 },
}

/// Reads what closes the readings of one device.
#[derive(Debug)]
pub(super) struct Correlator {
    device: Box<str>,
    rule: Rule,
}

#[derive(Debug)]
enum Rule {
    /// No message closes readings.
    Deaf,
    /// The built-in verdict.
    Verdict,
    /// The device's own reading, in a built-in encoding.
    Reading,
    /// A JSON pointer to the sequence number.
    Pointer(Box<str>),
    /// Whatever comes is the turn of the next.
    Order,
    /// Readings of other devices.
    Others(Roster),
}

impl Correlator {
    pub(super) fn new(settings: &Settings, device: &str) -> Self {
        let rule = match (settings.close, &settings.correlation) {
            (Close::Response | Close::Ack | Close::Sent, _) => Rule::Deaf,
            (Close::Verdict, _) => Rule::Verdict,
            (Close::Reply | Close::Delivery, Correlation::Pointer(pointer)) => Rule::Pointer(pointer.clone()),
            (Close::Reply, Correlation::Order) => Rule::Order,
            (Close::Delivery, Correlation::Order) => Rule::Reading,
        };
        let rule = match &settings.hearing {
            Hearing::Own => rule,
            Hearing::Relayed => Rule::Deaf,
            Hearing::Others(roster) => Rule::Others(roster.clone()),
        };
        Self { device: device.into(), rule }
    }

    /// Whether no message whatever closes a reading.
    pub(super) fn is_deaf(&self) -> bool {
        matches!(self.rule, Rule::Deaf)
    }

    /// `None` if the message answers no reading.
    pub(super) fn read(&self, message: &[u8]) -> Option<Match> {
        match &self.rule {
            Rule::Deaf => None,
            Rule::Verdict => verdict::read(message, &self.device).map(Match::Named),
            Rule::Reading => verdict::own_reading(message, &self.device).map(Reply::ok).map(Match::Named),
            Rule::Pointer(pointer) => pointed(message, pointer).map(Reply::ok).map(Match::Named),
            Rule::Order => Some(Match::Next),
            Rule::Others(roster) => {
                let (sender, seq) = verdict::any_reading(message, |device| (roster.0)(device))?;
                Some(Match::Heard { sender, seq })
            }
        }
    }
}

/// The sequence number at `pointer`: a number, or a string of its digits.
fn pointed(message: &[u8], pointer: &str) -> Option<u64> {
    let message: Value = serde_json::from_slice(message).ok()?;
    match message.pointer(pointer)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn correlator(close: Close, pointer: Option<&str>) -> Correlator {
        let correlation = pointer.map_or(Correlation::Order, |pointer| Correlation::Pointer(pointer.into()));
        Correlator::new(&Settings { close, correlation, ..Settings::default() }, "d")
    }

    #[test]
    fn a_pointer_finds_numbers_and_digits_and_nothing_else() {
        let table: &[(&str, &str, Option<u64>)] = &[
            ("/seq", r#"{"seq":7}"#, Some(7)),
            ("/seq", r#"{"seq":"7"}"#, Some(7)),
            ("/seq", r#"{"seq":"007"}"#, Some(7)),
            ("/seq", r#" {"status":"ok","device":"other","seq":18446744073709551615} "#, Some(u64::MAX)),
            ("/seq", r#"{"seq":"18446744073709551615"}"#, Some(u64::MAX)),
            ("/meta/0/id~1n", r#"{"meta":[{"id/n":3}]}"#, Some(3)),
            ("", "12", Some(12)),
            ("", "\"12\"", Some(12)),
            ("/s\u{e9}q", r#"{"s\u00e9q":1}"#, Some(1)),
            ("/seq", r#"{"seq":"18446744073709551616"}"#, None),
            ("/seq", r#"{"seq":18446744073709551616}"#, None),
            ("/seq", r#"{"seq":""}"#, None),
            ("/seq", r#"{"seq":"+7"}"#, None),
            ("/seq", r#"{"seq":" 7"}"#, None),
            ("/seq", r#"{"seq":-7}"#, None),
            ("/seq", r#"{"seq":7.5}"#, None),
            ("/seq", r#"{"seq":null}"#, None),
            ("/seq", r#"{"seq":{"seq":7}}"#, None),
            ("/seq", r#"{"id":7}"#, None),
            ("/seq", r#"{"seq":7"#, None),
            ("/seq", r#"{"seq":7} and more"#, None),
            ("/seq", "7", None),
            ("/seq", "", None),
        ];
        for (pointer, message, seq) in table {
            let found = correlator(Close::Reply, Some(pointer)).read(message.as_bytes());
            assert_eq!(found, seq.map(Reply::ok).map(Match::Named), "{pointer} in {message}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(correlator(Close::Reply, Some("/0")).read(deep.as_bytes()), None);
    }

    #[test]
    fn each_close_reads_messages_by_its_own_rule() {
        let message = br#"{"type":"shed","device":"d","seq":1,"reading":{"id":"2"}}"#;
        let seq = |close, pointer| match correlator(close, pointer).read(message) {
            Some(Match::Named(reply)) => Some(reply.seq),
            Some(Match::Next | Match::Heard { .. }) => Some(0),
            None => None,
        };
        let pointer = Some("/reading/id");
        let table = [
            (Close::Response, None, pointer),
            (Close::Ack, None, pointer),
            (Close::Sent, None, pointer),
            (Close::Verdict, Some(1), pointer),
            (Close::Reply, Some(2), pointer),
            (Close::Reply, Some(0), None),
            (Close::Delivery, Some(2), pointer),
            (Close::Delivery, Some(1), None),
        ];
        for (close, expected, pointer) in table {
            assert_eq!(seq(close, pointer), expected, "{close} {pointer:?}");
            let deaf = matches!(close, Close::Response | Close::Ack | Close::Sent);
            assert_eq!(correlator(close, pointer).is_deaf(), deaf, "{close}");
        }
    }

    proptest! {
        #[test]
        fn a_number_put_somewhere_is_found_there(
            path in proptest::collection::vec("[a-z~/ é]{0,5}", 0..5), seq in any::<u64>(), quoted in any::<bool>(),
        ) {
            let seq_value = if quoted { Value::from(seq.to_string()) } else { Value::from(seq) };
            let message = path.iter().rev().fold(seq_value, |inner, key| serde_json::json!({ key.as_str(): inner, "~": 0 }));
            let escaped: Vec<_> = path.iter().map(|key| key.replace('~', "~0").replace('/', "~1")).collect();
            let pointer = [""].into_iter().chain(escaped.iter().map(String::as_str)).collect::<Vec<_>>().join("/");
            prop_assume!(path.iter().all(|key| key != "~"));
            let found = correlator(Close::Reply, Some(&pointer)).read(message.to_string().as_bytes());
            prop_assert_eq!(found, Some(Match::Named(Reply::ok(seq))));
        }
    }

    #[test]
    fn a_roster_tells_whose_reading_it_is() {
        let roster = Roster(std::sync::Arc::new(|device: &str| device.strip_prefix("m-")?.parse().ok()));
        let settings =
            Settings { close: Close::Verdict, hearing: Hearing::Others(roster), ..Settings::default() };
        let correlator = Correlator::new(&settings, "listener");
        for (message, expected) in [
            (r#"{"device":"m-7","seq":3,"value":1}"#, Some(Match::Heard { sender: 7, seq: 3 })),
            (r#"{"device":"x-7","seq":3}"#, None),
            (r#"{"seq":3}"#, None),
            (r#"{"device":"m-7"}"#, None),
            ("21.5", None),
        ] {
            assert_eq!(correlator.read(message.as_bytes()), expected, "{message}");
        }
        let relayed = Settings { close: Close::Delivery, hearing: Hearing::Relayed, ..Settings::default() };
        assert!(Correlator::new(&relayed, "m-7").is_deaf());
    }
}
