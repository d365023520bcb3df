//! What a session has to say besides its events: why readings failed, messages that answered none, and payload received.

use std::borrow::Cow;

use serde_json::Value;

use super::{Answer, RetryAfter};
use crate::record::{Code, ErrorKind, Reason, Stray, reply_sample};

/// Reasons that wait to be asked for; an event that is held up for longer is told without the peer's words.
const MOST_REASONS: usize = 64;

/// Remarks of different sentences that wait to be asked for; further ones are left out.
const MOST_REMARKS: usize = 8;

/// Longest text of the peer's that becomes part of a sentence, characters.
const LONGEST_QUOTE: usize = 80;

/// What stands for the beginning of a message that has none: an empty line, for one.
const EMPTY: &str = "an empty message";

/// Messages that answered no reading of the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmatched {
    /// Why not.
    pub stray: Stray,
    /// How many.
    pub count: u64,
    /// The beginning of the first of them, or a word for an empty one.
    pub first: Option<Box<str>>,
}

/// What a session has noted. Holds no memory of its own while all goes well.
#[derive(Debug, Default)]
pub(super) struct Notes {
    payload_received: u64,
    troubles: Option<Box<Troubles>>,
}

#[derive(Debug, Default)]
struct Troubles {
    reasons: Vec<Refusal>,
    /// Each with how often it was made.
    remarks: Vec<(u64, Reason)>,
    /// At most one of each kind.
    unmatched: Vec<Unmatched>,
}

/// Why a reading failed, and what the service asked for.
#[derive(Debug)]
struct Refusal {
    seq: u64,
    reason: Reason,
    asked: Option<RetryAfter>,
}

impl Troubles {
    fn of(&mut self, stray: Stray) -> &mut Unmatched {
        let at = self.unmatched.iter().position(|unmatched| unmatched.stray == stray).unwrap_or_else(|| {
            self.unmatched.push(Unmatched { stray, count: 0, first: None });
            self.unmatched.len() - 1
        });
        &mut self.unmatched[at]
    }
}

impl Notes {
    /// A body or a message of `bytes` came.
    pub(super) const fn received(&mut self, bytes: u64) {
        self.payload_received += bytes;
    }

    /// Payload bytes received since the last call.
    pub(super) const fn take_payload(&mut self) -> u64 {
        std::mem::replace(&mut self.payload_received, 0)
    }

    /// The peer does other than it was asked to, as `code` and `sentence` say, and readings go on.
    pub(super) fn remark(&mut self, code: &'static str, sentence: impl Into<Cow<'static, str>>) {
        let (remarks, sentence) = (&mut self.troubles.get_or_insert_default().remarks, sentence.into());
        if let Some((count, _)) = remarks.iter_mut().find(|(_, remark)| remark.sentence == sentence) {
            *count += 1;
        } else if remarks.len() < MOST_REMARKS {
            remarks.push((1, Reason::new(Code::word(code), sentence)));
        }
    }

    /// What was remarked since it was last taken, and how often; `None` if there is no more.
    pub(super) fn take_remark(&mut self) -> Option<(u64, Reason)> {
        self.troubles.as_mut()?.remarks.pop()
    }

    /// Reading `seq` failed for `reason`, which stands until it is asked for.
    pub(super) fn failed(&mut self, seq: u64, reason: Reason) {
        self.refused(seq, reason, None);
    }

    /// The same, and the service asked to be left alone for a while.
    pub(super) fn refused(&mut self, seq: u64, reason: Reason, asked: Option<RetryAfter>) {
        let reasons = &mut self.troubles.get_or_insert_default().reasons;
        if reasons.len() >= MOST_REASONS {
            reasons.remove(0);
        }
        reasons.push(Refusal { seq, reason, asked });
    }

    /// Reading `seq` was answered as `answer` by `message`.
    pub(super) fn answered(&mut self, seq: u64, answer: Answer, message: &[u8]) {
        if answer != Answer::Ok {
            let said: Option<Value> = serde_json::from_slice(message).ok();
            let said = said.as_ref();
            let asked = said.filter(|_| answer == Answer::Shed).and_then(RetryAfter::of_message);
            self.refused(seq, reason_of(answer, said).with_sample(message), asked);
        }
    }

    /// Why reading `seq` was not answered well, if the session knows more than the answer says.
    pub(super) fn explain(&mut self, seq: u64) -> Option<Reason> {
        let reasons = &mut self.troubles.as_mut()?.reasons;
        let place = reasons.iter().position(|refusal| refusal.seq == seq)?;
        Some(reasons.swap_remove(place).reason)
    }

    /// What the service asked for that refused reading `seq`, until [`Self::explain`] is asked why.
    pub(super) fn retry_after(&self, seq: u64) -> Option<RetryAfter> {
        let reasons = &self.troubles.as_ref()?.reasons;
        reasons.iter().find(|refusal| refusal.seq == seq)?.asked
    }

    /// `message` will turn out to answer nothing, for what `stray` says.
    pub(super) fn suspect(&mut self, stray: Stray, message: &[u8]) {
        let unmatched = self.troubles.get_or_insert_default().of(stray);
        if unmatched.count == 0 && unmatched.first.is_none() {
            // Without a word on it, nobody knows that a message came at all.
            unmatched.first = reply_sample(message).or_else(|| Some(EMPTY.into()));
        }
    }

    /// A message answered nothing.
    pub(super) fn strayed(&mut self, stray: Stray) {
        self.troubles.get_or_insert_default().of(stray).count += 1;
    }

    /// Messages that answered nothing, since [`Self::take_unmatched`].
    #[cfg(test)]
    pub(super) fn stray(&self) -> u64 {
        self.troubles.iter().flat_map(|troubles| &troubles.unmatched).map(|unmatched| unmatched.count).sum()
    }

    /// Messages of one kind that answered nothing, since it was last taken; `None` if there are no more.
    pub(super) fn take_unmatched(&mut self) -> Option<Unmatched> {
        let unmatched = &mut self.troubles.as_mut()?.unmatched;
        let at = unmatched.iter().position(|unmatched| unmatched.count > 0)?;
        Some(unmatched.swap_remove(at))
    }
}

/// What an answer amounts to where nothing more is known of it.
pub(super) fn plain(answer: Answer) -> Reason {
    match answer {
        Answer::Ok => Reason::new(Code::word("ok"), "answered"),
        Answer::Shed => Reason::new(Code::word("shed"), "the service shed the reading"),
        Answer::Error(ErrorKind::Status) => {
            Reason::new(Code::word("error"), "the service answered with an error")
        }
        Answer::Error(kind) => Reason::new(Code::word(kind.name()), format!("the reading failed: {kind}")),
    }
}

/// What a message says of a reading that it does not answer well, in its own words where it has some. `said` is what
/// stands in it, if it is JSON.
fn reason_of(answer: Answer, said: Option<&Value>) -> Reason {
    let reason = plain(answer);
    let quote = said.and_then(|said| {
        ["reason", "error", "message"].iter().find_map(|key| said.get(key).and_then(Value::as_str))
    });
    match quote {
        Some(quote) if !quote.is_empty() => {
            let quote: String = quote.chars().take(LONGEST_QUOTE).collect();
            Reason::new(reason.code, format!("{}: {quote}", reason.sentence))
        }
        _ => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_wait_for_their_reading_and_are_bounded() {
        let mut notes = Notes::default();
        notes.answered(1, Answer::Ok, b"fine");
        assert!(notes.troubles.is_none());
        for seq in 0..=MOST_REASONS as u64 {
            notes.answered(seq, Answer::Shed, br#"{"type":"shed","reason":"quota"}"#);
        }
        assert_eq!(notes.explain(0), None);
        let reason = notes.explain(5).unwrap();
        assert_eq!(&*reason.sentence, "the service shed the reading: quota");
        assert_eq!(reason.sample.as_deref(), Some(r#"{"type":"shed","reason":"quota"}"#));
        assert_eq!(notes.explain(5), None);
    }

    #[test]
    fn remarks_are_counted_and_bounded() {
        let mut notes = Notes::default();
        for number in 0..2 * MOST_REMARKS {
            notes.remark("word", format!("sentence {number}"));
            notes.remark("word", "sentence 0");
        }
        let remarks: Vec<_> = std::iter::from_fn(|| notes.take_remark()).collect();
        assert_eq!(remarks.len(), MOST_REMARKS);
        let counts = remarks.iter().rev().map(|(count, _)| *count);
        assert_eq!(counts.collect::<Vec<_>>(), [17, 1, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn the_first_message_that_answers_nothing_stands_for_all() {
        let mut notes = Notes::default();
        assert_eq!(notes.take_unmatched(), None);
        for message in [b"one", b"two"] {
            notes.suspect(Stray::Unasked, message);
            notes.strayed(Stray::Unasked);
        }
        notes.suspect(Stray::OtherRun, b"three");
        notes.strayed(Stray::OtherRun);
        let unmatched =
            |stray, count, first: &str| Some(Unmatched { stray, count, first: Some(first.into()) });
        assert_eq!((notes.stray(), notes.take_unmatched()), (3, unmatched(Stray::Unasked, 2, "one")));
        assert_eq!(notes.take_unmatched(), unmatched(Stray::OtherRun, 1, "three"));
        assert_eq!(notes.take_unmatched(), None);
        for message in [&b""[..], b" \r"] {
            notes.suspect(Stray::Unasked, message);
            notes.strayed(Stray::Unasked);
            assert_eq!(notes.take_unmatched(), unmatched(Stray::Unasked, 1, EMPTY));
        }
    }

    #[test]
    fn answers_say_why_in_the_services_own_words() {
        let table: [(Answer, &[u8], &str); 4] = [
            (Answer::Shed, b"no json", "the service shed the reading"),
            (
                Answer::Error(ErrorKind::Status),
                br#"{"error":"unknown device"}"#,
                "the service answered with an error: unknown device",
            ),
            (Answer::Error(ErrorKind::Status), br#"{"reason":7}"#, "the service answered with an error"),
            (Answer::Shed, br#"{"reason":""}"#, "the service shed the reading"),
        ];
        for (answer, message, expected) in table {
            let said: Option<Value> = serde_json::from_slice(message).ok();
            assert_eq!(reason_of(answer, said.as_ref()).sentence, expected);
        }
    }
}
