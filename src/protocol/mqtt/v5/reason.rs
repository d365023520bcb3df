//! The reason codes of MQTT 5 (§2.4): what they mean, and what becomes of what they answer.

use super::super::super::{Answer, Failure};
use crate::record::{Code, ErrorKind, Reason};

/// The first code that is a failure.
pub(in super::super) const FIRST_FAILURE: u8 = 0x80;

/// A message that nobody subscribes to was taken all the same.
pub(in super::super) const NO_SUBSCRIBERS: u8 = 0x10;

/// An acknowledgement names an identifier that is not in use.
pub(in super::super) const UNKNOWN_IDENTIFIER: u8 = 0x92;

/// What a code makes of what it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Effect {
    /// It is well.
    Ok,
    /// The broker says no for now: a reading is shed, a connection may be tried again.
    Shed,
    /// It failed; a connection may be tried again.
    Error,
    /// It failed for good: a connection is not tried again.
    Final,
}

use Effect::{Error, Final, Ok as Fine, Shed};

/// A code, its name in a sentence, and its effect.
pub(in super::super) const TABLE: &[(u8, &str, Effect)] = &[
    (0x00, "success", Fine),
    (0x01, "granted QoS 1", Fine),
    (0x02, "granted QoS 2", Fine),
    (0x04, "disconnect with will message", Fine),
    (NO_SUBSCRIBERS, "no matching subscribers", Fine),
    (0x80, "unspecified error", Error),
    (0x81, "malformed packet", Error),
    (0x82, "protocol error", Error),
    (0x83, "implementation specific error", Error),
    (0x84, "unsupported protocol version", Final),
    (0x85, "client identifier not valid", Final),
    (0x86, "bad user name or password", Final),
    (0x87, "not authorized", Final),
    (0x88, "server unavailable", Shed),
    (0x89, "server busy", Shed),
    (0x8a, "banned", Final),
    (0x8b, "server shutting down", Error),
    (0x8c, "bad authentication method", Final),
    (0x8d, "keep alive timeout", Error),
    (0x8e, "session taken over", Error),
    (0x8f, "topic filter invalid", Final),
    (0x90, "topic name invalid", Final),
    (0x91, "packet identifier in use", Error),
    (UNKNOWN_IDENTIFIER, "packet identifier not found", Error),
    (0x93, "receive maximum exceeded", Shed),
    (0x94, "topic alias invalid", Error),
    (0x95, "packet too large", Final),
    (0x96, "message rate too high", Shed),
    (0x97, "quota exceeded", Shed),
    (0x98, "administrative action", Error),
    (0x99, "payload format invalid", Error),
    (0x9a, "retain not supported", Final),
    (0x9b, "QoS not supported", Final),
    (0x9c, "use another server", Error),
    (0x9d, "server moved", Final),
    (0x9e, "shared subscriptions not supported", Final),
    (0x9f, "connection rate exceeded", Shed),
    (0xa0, "maximum connect time", Error),
    (0xa1, "subscription identifiers not supported", Final),
    (0xa2, "wildcard subscriptions not supported", Final),
];

/// Name and effect of a code; those the standard does not have fail if they are of that half (§2.4).
pub(in super::super) fn of(code: u8) -> (&'static str, Effect) {
    let row = TABLE.iter().find(|(number, ..)| *number == code);
    let unknown = if code < FIRST_FAILURE { Fine } else { Error };
    row.map_or(("which MQTT 5 does not have", unknown), |(_, name, effect)| (name, *effect))
}

/// The outcome of a reading that was acknowledged with `code`.
pub(in super::super) fn answer(code: u8) -> Answer {
    match of(code).1 {
        Fine => Answer::Ok,
        Shed => Answer::Shed,
        Error | Final => Answer::Error(ErrorKind::Status),
    }
}

/// Why a reading failed that the packet `name` acknowledged with `code`; `words` are the broker's.
pub(in super::super) fn of_reading(name: &'static str, code: u8, words: Option<&str>) -> Reason {
    Reason::new(
        Code::numbered(name, code.into()),
        sentence("the broker did not take the reading", name, code, words),
    )
}

/// A connection that the broker refused by CONNACK.
pub(in super::super) fn refused(code: u8, words: Option<&str>) -> Failure {
    let refused = sentence("the broker refused the connection", "CONNACK", code, words);
    Failure::protocol(refused).with_code("CONNACK", code.into()).final_if(of(code).1 == Final)
}

/// A subscription that the broker refused by SUBACK.
pub(in super::super) fn unsubscribed(code: u8, words: Option<&str>) -> Failure {
    let refused =
        sentence("the broker refused the subscription to the device's topic", "SUBACK", code, words);
    Failure::protocol(refused).with_code("SUBACK", code.into())
}

/// A connection that the broker ended by DISCONNECT.
pub(in super::super) fn ended(code: u8, words: Option<&str>) -> Failure {
    let ended = sentence("the broker ended the connection", "DISCONNECT", code, words);
    Failure::closed(ended).with_code("DISCONNECT", code.into())
}

/// Longest text of the broker's that becomes part of a sentence, characters.
const LONGEST_QUOTE: usize = 80;

fn sentence(what: &str, name: &str, code: u8, words: Option<&str>) -> String {
    let mut sentence = format!("{what}: {name} {code}, {}", of(code).0);
    if let Some(words) = words.filter(|words| !words.is_empty()) {
        sentence.push_str(": ");
        sentence.extend(words.chars().take(LONGEST_QUOTE));
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_table_is_this_one() {
        let page = include_str!("../../../../docs/mqtt5.md");
        for (code, name, effect) in TABLE {
            let outcome = match effect {
                Fine => "ok",
                Shed => "shed",
                Error => "error",
                Final => "error, not tried again",
            };
            let line = format!("| {code} | 0x{code:02x} | {name} | {outcome} |");
            assert!(page.contains(&line), "docs/mqtt5.md lacks: {line}");
        }
        assert_eq!(page.matches("| 0x").count(), TABLE.len());
    }

    #[test]
    fn unknown_codes_count_by_their_half() {
        assert_eq!(answer(0x7f), Answer::Ok);
        assert_eq!(answer(0xff), Answer::Error(ErrorKind::Status));
        assert_eq!(
            refused(0xff, None).to_string(),
            "the broker refused the connection: CONNACK 255, which MQTT 5 does not have"
        );
    }

    #[test]
    fn the_brokers_words_follow_and_are_cut() {
        let said = ended(0x8b, Some(&"é".repeat(200))).to_string();
        let expected = format!(
            "the broker ended the connection: DISCONNECT 139, server shutting down: {}",
            "é".repeat(LONGEST_QUOTE)
        );
        assert_eq!(said, expected);
        assert_eq!(of_reading("PUBACK", 0x97, Some("")).code, Code::numbered("PUBACK", 151));
    }
}
