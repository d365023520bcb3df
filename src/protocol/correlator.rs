//! What a message from the peer says about readings of this device.

use serde_json::Value;

use super::note::Notes;
use super::run_name::{RunName, Stranger};
use super::settings::{Hearing, Roster};
use super::verdict::{self, AnyReading, Reply};
use super::{Correlation, Event, Settings};
use crate::record::{Close, RunToken, Stray};

/// A message that answers a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// It names the reading.
    Named(Reply),
    /// It is the turn of the first reading still unanswered; `named` says that it names this run.
    Next { named: bool },
    /// It is a reading of another device.
    Heard { sender: u32, seq: u64, named: bool },
    /// It names this run and another device, whose reading this device was not to hear.
    Neighbour,
    /// It is another run's, whatever else it says.
    Stranger,
}

impl Match {
    /// As what a message counts that answers no reading of its device; `None` if it may answer one.
    pub(super) const fn stray(matched: Option<&Self>) -> Option<Stray> {
        match matched {
            Some(Self::Named(_) | Self::Next { .. } | Self::Heard { .. }) => None,
            Some(Self::Neighbour) => Some(Stray::OtherDevice),
            Some(Self::Stranger) => Some(Stray::OtherRun),
            None => Some(Stray::Unasked),
        }
    }
}

/// Reads what closes the readings of one device.
#[derive(Debug)]
pub(super) struct Correlator {
    device: Box<str>,
    /// The run that answers name, where readings do.
    run: Option<RunToken>,
    rule: Rule,
}

/// Every device has one: what is large stands outside.
#[derive(Debug)]
enum Rule {
    /// No message closes readings.
    Deaf,
    /// The built-in verdict.
    Verdict,
    /// The device's own reading, in a built-in encoding.
    Reading,
    /// Where the sequence number stands.
    Pointer(Box<Place>),
    /// Whatever comes is the turn of the next.
    Order,
    /// The session reads what closes readings: it is not in the payload.
    Beside,
    /// Readings of other devices.
    Others(Box<(Roster, Option<Source>)>),
}

/// A place in a JSON value.
#[derive(Debug)]
struct Place {
    /// A JSON pointer.
    pointer: Box<str>,
}

/// Where the name of a device and the number of its reading stand: JSON pointers.
#[derive(Debug, Clone)]
struct Source {
    device: Box<str>,
    seq: Box<str>,
}

impl Correlator {
    pub(super) fn new(settings: &Settings, device: &str) -> Self {
        let rule = match (settings.close, &settings.correlation) {
            // A pair of pointers is of those who hear others.
            (Close::Response | Close::Ack | Close::Sent, _)
            | (Close::Reply | Close::Delivery, Correlation::Source { .. }) => Rule::Deaf,
            (Close::Verdict, _) => Rule::Verdict,
            (Close::Reply | Close::Delivery, Correlation::Pointer(pointer)) => {
                Rule::Pointer(Box::new(Place { pointer: pointer.clone() }))
            }
            (Close::Reply | Close::Delivery, Correlation::Data) => Rule::Beside,
            (Close::Reply, Correlation::Order) => Rule::Order,
            (Close::Delivery, Correlation::Order) => Rule::Reading,
        };
        let rule = match &settings.hearing {
            Hearing::Own => rule,
            Hearing::Relayed => Rule::Deaf,
            Hearing::Others(roster) => {
                Rule::Others(Box::new((roster.clone(), source(&settings.correlation))))
            }
        };
        Self { device: device.into(), run: settings.run, rule }
    }

    /// Whether no message whatever closes a reading.
    pub(super) fn is_deaf(&self) -> bool {
        matches!(self.rule, Rule::Deaf)
    }

    /// Whether it reads what others send.
    pub(super) fn hears_others(&self) -> bool {
        matches!(self.rule, Rule::Others(_))
    }

    /// `None` if the message answers no reading.
    pub(super) fn read(&self, message: &[u8]) -> Option<Match> {
        match self.find(message) {
            Ok(None) if self.is_neighbours(message) => Some(Match::Neighbour),
            found => found.unwrap_or(Some(Match::Stranger)),
        }
    }

    /// Whose reading a message to a device that hears others is about; what is about none goes into `notes`.
    pub(super) fn hear(&self, message: &[u8], notes: &mut Notes) -> Option<Event> {
        let matched = self.read(message);
        if let Some(stray) = Match::stray(matched.as_ref()) {
            notes.suspect(stray, message);
            notes.strayed(stray);
        }
        match matched? {
            Match::Heard { sender, seq, named } => Some(Event::Heard { sender, seq, named }),
            Match::Named(_) | Match::Next { .. } | Match::Neighbour | Match::Stranger => None,
        }
    }

    /// Whether a message that answers nothing names this run and another device of it.
    fn is_neighbours(&self, message: &[u8]) -> bool {
        let addressed = matches!(self.rule, Rule::Verdict | Rule::Reading);
        let other = |device: &str| (device != &*self.device).then_some(0);
        addressed
            && self.run.is_some()
            && verdict::any_reading(message, self.run, other)
                .is_ok_and(|heard| heard.is_some_and(|heard| heard.named))
    }

    fn find(&self, message: &[u8]) -> Result<Option<Match>, Stranger> {
        let (device, run) = (&*self.device, self.run);
        Ok(match &self.rule {
            Rule::Deaf | Rule::Beside => None,
            Rule::Verdict => verdict::read(message, device, run)?.map(Match::Named),
            Rule::Reading => verdict::own_reading(message, device, run)?.map(Match::Named),
            Rule::Pointer(place) => pointed(message, &place.pointer, run)?.map(Match::Named),
            // Looking for a name costs more than all the rest.
            Rule::Order if run.is_none() => Some(Match::Next { named: false }),
            Rule::Order => Some(Match::Next { named: RunName::in_message(message).is_of(run)? }),
            Rule::Others(others) => {
                let (Roster(roster), source) = &**others;
                let heard = match source {
                    None => verdict::any_reading(message, run, |device| roster(device))?,
                    Some(source) => source.reading(message, run, |device| roster(device))?,
                };
                heard.map(|AnyReading { sender, seq, named }| Match::Heard { sender, seq, named })
            }
        })
    }
}

/// The pointers of a correlation that are not where built-in encodings have both.
fn source(correlation: &Correlation) -> Option<Source> {
    match correlation {
        Correlation::Source { device, seq } if (&**device, &**seq) != ("/device", "/seq") => {
            Some(Source { device: device.clone(), seq: seq.clone() })
        }
        _ => None,
    }
}

impl Source {
    /// The reading that `message` is about, whose sender `roster` knows.
    fn reading(
        &self,
        message: &[u8],
        run: Option<RunToken>,
        roster: impl Fn(&str) -> Option<u32>,
    ) -> Result<Option<AnyReading>, Stranger> {
        let Ok(message) = serde_json::from_slice::<Value>(message) else { return Ok(None) };
        let named = RunName::in_value(&message).is_of(run)?;
        let sender = message.pointer(&self.device).and_then(Value::as_str).and_then(roster);
        let seq = number_at(&message, &self.seq);
        Ok(sender.zip(seq).map(|(sender, seq)| AnyReading { sender, seq, named }))
    }
}

/// The number at `pointer`: as such, or as a string of its digits.
pub(super) fn number_at(message: &Value, pointer: &str) -> Option<u64> {
    match message.pointer(pointer)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

/// The reply whose sequence number stands at `pointer`: a number, or a string of its digits. It names its run beside that, or at
/// its top.
fn pointed(message: &[u8], pointer: &str, run: Option<RunToken>) -> Result<Option<Reply>, Stranger> {
    let Ok(message) = serde_json::from_slice::<Value>(message) else { return Ok(None) };
    let beside = pointer.rsplit_once('/').and_then(|(around, _)| message.pointer(around));
    let name = beside.map(RunName::in_value).unwrap_or_default().or(RunName::in_value(&message));
    let named = name.is_of(run)?;
    Ok(number_at(&message, pointer).map(|seq| Reply { named, ..Reply::ok(seq) }))
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
            Some(Match::Next { .. } | Match::Heard { .. } | Match::Neighbour | Match::Stranger) => Some(0),
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
            (r#"{"device":"m-7","seq":3,"value":1}"#, Some(Match::Heard { sender: 7, seq: 3, named: false })),
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

    #[test]
    fn two_pointers_tell_whose_reading_a_message_is_about() {
        let roster = Roster(std::sync::Arc::new(|device: &str| device.strip_prefix("m-")?.parse().ok()));
        let run = RunToken::of("k3x9q2ab");
        let correlator = |device: &str, seq: &str| {
            let correlation = Correlation::Source { device: device.into(), seq: seq.into() };
            let hearing = Hearing::Others(roster.clone());
            Correlator::new(&Settings { correlation, hearing, run, ..Settings::default() }, "listener")
        };
        let heard = |sender, seq, named| Some(Match::Heard { sender, seq, named });
        for (device, seq, message, expected) in [
            ("/device", "/seq", r#"{"device":"m-7","seq":3}"#, heard(7, 3, false)),
            ("/device", "/seq", r#"{"device":"m-7","seq":"3"}"#, None),
            ("/of/0", "/n", r#"{"of":["m-7"],"n":3,"run":"k3x9q2ab"}"#, heard(7, 3, true)),
            ("/of/0", "/n", r#"{"of":["m-7"],"n":"3"}"#, heard(7, 3, false)),
            ("/of/0", "/n", r#"{"of":["m-7"],"n":3,"run":"zzzzzzzz"}"#, Some(Match::Stranger)),
            ("/of/0", "/n", r#"{"of":["x-7"],"n":3}"#, None),
            ("/of/0", "/n", r#"{"of":[7],"n":3}"#, None),
            ("/of/0", "/n", r#"{"of":["m-7"]}"#, None),
            ("/of/0", "/n", "m-7 3", None),
        ] {
            assert_eq!(
                correlator(device, seq).read(message.as_bytes()),
                expected,
                "{device} {seq} {message}"
            );
        }
    }

    #[test]
    fn what_names_this_run_and_another_device_is_a_neighbours() {
        let run = RunToken::of("k3x9q2ab");
        let (verdict, delivery, reply) = (Close::Verdict, Close::Delivery, Close::Reply);
        let table = [
            (verdict, None, r#"{"device":"e","run":"k3x9q2ab","seq":3}"#, Some(Match::Neighbour)),
            (delivery, None, r#"{"device":"e","run":"k3x9q2ab","seq":3,"value":1}"#, Some(Match::Neighbour)),
            (delivery, None, r#"{"device":"e","run":"zzzzzzzz","seq":3}"#, Some(Match::Stranger)),
            // Without the run's name it may be anyone's.
            (verdict, None, r#"{"device":"e","seq":3}"#, None),
            (verdict, None, r#"{"device":"d","run":"k3x9q2ab","seq":"3"}"#, None),
            (verdict, None, "21.5", None),
            (reply, Some("/id"), r#"{"device":"e","run":"k3x9q2ab","seq":3}"#, None),
        ];
        for (close, pointer, message, expected) in table {
            let correlation = pointer.map_or(Correlation::Order, |at: &str| Correlation::Pointer(at.into()));
            let settings = Settings { close, correlation, run, ..Settings::default() };
            let found = Correlator::new(&settings, "d").read(message.as_bytes());
            assert_eq!(found, expected, "{close} {message}");
        }
    }

    /// A rule, a message with a place for a run's name, and what it answers, by whether it names this run.
    type Case<'t> = (Correlator, &'t str, fn(bool) -> Option<Match>);

    /// What becomes of a message that names this run, another, and none, by the rule and the form.
    #[test]
    fn strangers_answer_nothing_and_what_names_no_run_is_taken_as_ever() {
        let run = RunToken::of("k3x9q2ab");
        let roster = Roster(std::sync::Arc::new(|device: &str| (device == "d").then_some(5)));
        let named = |seq, named| Some(Match::Named(Reply { named, ..Reply::ok(seq) }));
        let rule = |close, pointer: Option<&str>, hearing| {
            let correlation = pointer.map_or(Correlation::Order, |at| Correlation::Pointer(at.into()));
            Correlator::new(&Settings { close, correlation, hearing, run, ..Settings::default() }, "d")
        };
        let own = || Hearing::Own;
        let of_seq_3 = |found| Some(Match::Named(Reply { named: found, ..Reply::ok(3) }));
        let next = |found| Some(Match::Next { named: found });
        let heard = |found| Some(Match::Heard { sender: 5, seq: 3, named: found });
        let table: &[Case<'_>] = &[
            (rule(Close::Verdict, None, own()), r#"{"type":"verdict","device":"d",RUN"seq":3}"#, of_seq_3),
            (rule(Close::Verdict, None, own()), r#"{"type":"shed",RUN"seq":3}"#, |found| {
                Some(Match::Named(Reply { named: found, answer: super::super::Answer::Shed, ..Reply::ok(3) }))
            }),
            (rule(Close::Delivery, None, own()), r#"{"device":"d",RUN"seq":3,"value":1}"#, of_seq_3),
            (rule(Close::Delivery, Some("/n"), own()), r#"{RUN"n":3}"#, of_seq_3),
            (rule(Close::Reply, Some("/n"), own()), r#"{RUN"n":"3"}"#, of_seq_3),
            (rule(Close::Reply, Some("/ack/n"), own()), r#"{RUN"ack":{"n":3}}"#, of_seq_3),
            (rule(Close::Reply, Some("/ack/n"), own()), r#"{"ack":{RUN"n":3}}"#, of_seq_3),
            (rule(Close::Reply, None, own()), r#"{RUN"ok":true}"#, next),
            (rule(Close::Verdict, None, Hearing::Others(roster)), r#"{"device":"d",RUN"seq":3}"#, heard),
        ];
        for (correlator, message, expected) in table {
            for (name, expected) in [
                (r#""run":"k3x9q2ab","#, expected(true)),
                (r#""run":"zzzzzzzz","#, Some(Match::Stranger)),
                ("", expected(false)),
                (r#""run":"Monday","#, expected(false)),
                (r#""run":{"run":"zzzzzzzz"},"#, expected(false)),
                (r#""run":12345678,"#, expected(false)),
                (r#""run":"ZZZZZZZZ","#, expected(false)),
                (r#""run":null,"#, expected(false)),
            ] {
                let message = message.replace("RUN", name);
                assert_eq!(correlator.read(message.as_bytes()), expected, "{message}");
            }
        }
        // Another run's reading is none of ours, whatever device it is of.
        let verdicts = rule(Close::Verdict, None, own());
        assert_eq!(verdicts.read(br#"{"device":"e","run":"zzzzzzzz","seq":3}"#), Some(Match::Stranger));
        // What is not JSON names no run: binary layout 2, CBOR, and text.
        let in_turn = rule(Close::Reply, None, own());
        for message in [&b"\x02zzzzzzzz\x01d"[..], b"\xa1crunhzzzzzzzz", b"run=zzzzzzzz"] {
            assert_eq!((verdicts.read(message), in_turn.read(message)), (None, next(false)), "{message:?}");
        }
        // Where readings do not name their run, a `run` is the service's own.
        let unnamed = correlator(Close::Verdict, None);
        assert_eq!(unnamed.read(br#"{"run":"zzzzzzzz","seq":3}"#), named(3, false));
    }
}
