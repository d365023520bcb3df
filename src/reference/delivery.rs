//! Deliveries that come twice, and those that cannot be processed.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::reading::Level;
use crate::clock::Tick;
use crate::record::RunToken;

/// Sequence numbers before the newest that are told apart from new ones.
const WINDOW: u64 = 128;
/// Verdicts kept for repetition.
const KEPT: usize = 4;

/// What a device sent lately: which sequence numbers have been worked on, and what was said of the last few.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Recent {
    /// The run that was named last. Every run numbers its readings from 1, so that all else here is of this run only.
    #[serde(default)]
    run: Option<RunToken>,
    /// One above the newest sequence number; 0 before the first.
    next: u64,
    /// Bit n: `next - 1 - n` has been worked on.
    seen: u128,
    verdicts: [Option<(u64, Said)>; KEPT],
    turn: u8,
}

/// What was said of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) score: f64,
    pub(super) level: Level,
    /// The version of the model that judged it.
    pub(super) model: u32,
}

/// Whether a reading is new.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Repeat {
    /// It is.
    New,
    /// It was worked on, and this was said.
    Known(Said),
    /// It was worked on, or is so far behind that it must be taken for one that was; what was said is forgotten.
    Forgotten,
}

impl Recent {
    /// Takes note of a sequence number; whether it is new. With the first that names another run than before, all begins
    /// anew; one that names none is taken for the run's under way.
    pub(super) fn arrive(&mut self, run: Option<RunToken>, seq: u64) -> Repeat {
        if !self.is_of(run) {
            *self = Self { run, ..Self::default() };
        }
        if seq >= self.next {
            let ahead = seq - self.next + 1;
            self.seen = if self.next == 0 || ahead >= WINDOW { 0 } else { self.seen << ahead };
            self.seen |= 1;
            self.next = seq.saturating_add(1);
            return Repeat::New;
        }
        let behind = self.next - 1 - seq;
        if behind < WINDOW && self.seen & (1 << behind) == 0 {
            self.seen |= 1 << behind;
            return Repeat::New;
        }
        self.verdict_of(seq).map_or(Repeat::Forgotten, Repeat::Known)
    }

    fn is_of(&self, run: Option<RunToken>) -> bool {
        run.is_none() || run == self.run
    }

    /// Takes back that a reading arrived: it was not worked on after all.
    pub(super) fn retract(&mut self, run: Option<RunToken>, seq: u64) {
        let behind = self.next.wrapping_sub(1).wrapping_sub(seq);
        if self.is_of(run) && seq < self.next && behind < WINDOW {
            self.seen &= !(1 << behind);
        }
    }

    /// Keeps what was said of a reading, unless another run has begun meanwhile.
    pub(super) fn note(&mut self, run: Option<RunToken>, seq: u64, said: Said) {
        if !self.is_of(run) {
            return;
        }
        self.verdicts[usize::from(self.turn) % KEPT] = Some((seq, said));
        self.turn = self.turn.wrapping_add(1);
    }

    /// What was said of a reading, if that is still known.
    pub(super) fn verdict_of(&self, seq: u64) -> Option<Said> {
        let kept = self.verdicts.iter().flatten();
        kept.filter(|(known, _)| *known == seq).map(|(_, said)| *said).next_back()
    }
}

/// Longest part of a dead letter that is kept, bytes.
const LONGEST: usize = 256;

/// Something that came in and could not be processed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct DeadLetter {
    /// Numbered from 1, without gaps.
    pub(super) number: u64,
    /// When it came, milliseconds since the service started.
    pub(super) at_ms: u64,
    /// Which way it came.
    pub(super) protocol: &'static str,
    /// What is wrong with it.
    pub(super) reason: String,
    /// Its size, bytes.
    pub(super) bytes: usize,
    /// Its beginning; what is not UTF-8 is replaced.
    pub(super) beginning: String,
}

/// The last things that could not be processed.
#[derive(Debug)]
pub(super) struct DeadLetters {
    capacity: usize,
    kept: Mutex<(u64, VecDeque<DeadLetter>)>,
}

impl DeadLetters {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, kept: Mutex::default() }
    }

    /// Keeps one, the oldest making room.
    pub(super) fn add(&self, now: Tick, protocol: &'static str, reason: &str, bytes: &[u8]) {
        if self.capacity == 0 {
            return;
        }
        let beginning = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]).into_owned();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (number, letters) = &mut *kept;
        *number += 1;
        if letters.len() == self.capacity {
            letters.pop_front();
        }
        letters.push_back(DeadLetter {
            number: *number,
            at_ms: now.0 / 1_000_000,
            protocol,
            reason: reason.to_owned(),
            bytes: bytes.len(),
            beginning,
        });
    }

    /// Up to `most` of them, newest first.
    pub(super) fn latest(&self, most: usize) -> Vec<DeadLetter> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.1.iter().rev().take(most).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const LOW: Said = Said { score: 1.5, level: Level::Low, model: 3 };

    #[test]
    fn a_repeated_reading_gets_the_verdict_it_had() {
        let mut recent = Recent::default();
        assert_eq!(recent.arrive(None, 5), Repeat::New);
        assert_eq!(recent.arrive(None, 5), Repeat::Forgotten, "it is being worked on");
        recent.note(None, 5, LOW);
        assert_eq!(recent.arrive(None, 5), Repeat::Known(LOW));
        for seq in 6..10 {
            assert_eq!(recent.arrive(None, seq), Repeat::New);
            recent.note(None, seq, LOW);
        }
        assert_eq!(recent.arrive(None, 5), Repeat::Forgotten);
        assert_eq!(recent.arrive(None, 3), Repeat::New, "what comes late is new all the same");
        assert_eq!(recent.arrive(None, 3), Repeat::Forgotten);
        recent.retract(None, 3);
        assert_eq!(recent.arrive(None, 3), Repeat::New);
    }

    #[test]
    fn a_number_is_a_duplicate_within_one_run_only() {
        let (one, other) = (RunToken::of("k3x9q2ab"), RunToken::of("other000"));
        for (before, now, is_new) in [
            (one, one, false),
            (one, other, true),
            (None, None, false),
            (None, one, true),
            (one, None, false),
        ] {
            let mut recent = Recent::default();
            for seq in [300, 290] {
                recent.arrive(before, seq);
                recent.note(before, seq, LOW);
            }
            let expected = if is_new { Repeat::New } else { Repeat::Known(LOW) };
            assert_eq!(recent.arrive(now, 300), expected, "{before:?}, then {now:?}");
            assert_ne!(recent.arrive(now, 300), Repeat::New, "{before:?}, then {now:?}");
        }
    }

    #[test]
    fn what_ends_late_changes_nothing_of_the_run_that_has_begun_since() {
        let (one, other) = (RunToken::of("k3x9q2ab"), RunToken::of("other000"));
        let mut recent = Recent::default();
        recent.arrive(one, 1);
        recent.arrive(other, 1);
        recent.retract(one, 1);
        recent.note(one, 1, LOW);
        assert_eq!(recent.arrive(other, 1), Repeat::Forgotten);
    }

    proptest! {
        /// Held against a set of everything that came; what is too far behind is never taken for new.
        #[test]
        fn new_is_what_did_not_come_before(steps in proptest::collection::vec(0_u64..400, 1..400)) {
            let (mut recent, mut came, mut newest) = (Recent::default(), HashSet::new(), None);
            for seq in steps {
                let is_new = recent.arrive(None, seq) == Repeat::New;
                let too_late = newest.is_some_and(|newest: u64| newest >= seq + WINDOW);
                prop_assert_eq!(is_new, !too_late && !came.contains(&seq), "{} after {:?}", seq, newest);
                came.insert(seq);
                newest = newest.max(Some(seq));
            }
        }
    }

    #[test]
    fn dead_letters_are_numbered_cut_and_bounded() {
        let letters = DeadLetters::new(2);
        for reason in ["one", "two", "three"] {
            letters.add(Tick(5_000_000), "http", reason, &[b'x'; 1_000]);
        }
        let kept = letters.latest(10);
        assert_eq!(kept.iter().map(|letter| letter.number).collect::<Vec<_>>(), [3, 2]);
        assert_eq!((kept[0].bytes, kept[0].beginning.len(), kept[0].at_ms), (1_000, 256, 5));
        DeadLetters::new(0).add(Tick(0), "ws", "off", b"");
    }
}
