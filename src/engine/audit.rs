//! What each subscriber has heard of each device, for the delivery audit. Pure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::record::AuditFinding;

/// Pairs of device and subscriber that one worker remembers, about 64 bytes each. What further pairs hear is not audited, and is
/// counted.
const MOST_PAIRS: usize = 1 << 20;

/// What one subscriber's hearing of a reading turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hearing {
    /// Its first of this reading, and no later one of the device was heard before.
    InOrder,
    Finding(AuditFinding),
    /// There was no room to remember the pair.
    Unaudited,
}

/// What subscribers heard of devices.
#[derive(Debug)]
pub(super) struct Audience {
    /// By device and subscriber, as the caller numbers them.
    pairs: HashMap<(u32, u32), HeardWindow>,
    room: usize,
}

impl Default for Audience {
    fn default() -> Self {
        Self { pairs: HashMap::new(), room: MOST_PAIRS }
    }
}

impl Audience {
    /// One whose caller bounds the pairs.
    pub(super) fn unbounded() -> Self {
        Self { room: usize::MAX, ..Self::default() }
    }

    /// Whether `subscriber` has heard reading `seq` of `device`; of what is long past it is taken to have.
    pub(super) fn has_heard(&self, device: u32, subscriber: u32, seq: u64) -> bool {
        self.pairs.get(&(device, subscriber)).is_some_and(|window| window.has_heard(seq))
    }

    /// Notes that `subscriber` heard reading `seq` of `device`.
    pub(super) fn hear(&mut self, device: u32, subscriber: u32, seq: u64) -> Hearing {
        let full = self.pairs.len() >= self.room;
        match self.pairs.entry((device, subscriber)) {
            Entry::Occupied(mut pair) => pair.get_mut().hear(seq).map_or(Hearing::InOrder, Hearing::Finding),
            Entry::Vacant(_) if full => Hearing::Unaudited,
            Entry::Vacant(place) => {
                place.insert(HeardWindow::default()).hear(seq);
                Hearing::InOrder
            }
        }
    }
}

/// Which readings of one device one subscriber has heard: the last 256 one by one, and how many of those before.
#[derive(Debug, Default)]
struct HeardWindow {
    /// The highest sequence number heard, plus one; 0 before the first.
    top: u64,
    /// Bit k: sequence number `top − 1 − k` was heard.
    heard: [u64; WORDS],
    /// Readings below the window that were heard.
    below: u64,
}

const WORDS: usize = 4;
const WINDOW: u64 = WORDS as u64 * 64;

impl HeardWindow {
    /// `seq` is below `u64::MAX`: the reading was sent.
    fn hear(&mut self, seq: u64) -> Option<AuditFinding> {
        if seq >= self.top {
            self.advance(seq + 1 - self.top);
            return None;
        }
        let age = self.top - 1 - seq;
        let before = if age >= WINDOW {
            // As many as were missed can come for the first time; any more came before.
            let all = self.below >= self.top - WINDOW;
            self.below += u64::from(!all);
            all
        } else {
            let (word, bit) = ((age / 64) as usize, 1 << (age % 64));
            let before = self.heard[word] & bit != 0;
            self.heard[word] |= bit;
            before
        };
        Some(if before { AuditFinding::Duplicated } else { AuditFinding::Reordered })
    }

    fn has_heard(&self, seq: u64) -> bool {
        let Some(age) = self.top.checked_sub(seq + 1) else { return false };
        age >= WINDOW || self.heard[(age / 64) as usize] & 1 << (age % 64) != 0
    }

    /// Moves the window up by `step` sequence numbers, at least one, of which the highest is heard.
    fn advance(&mut self, step: u64) {
        let heard = |window: &Self| window.heard.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
        let before = heard(self);
        self.shift(step);
        self.below += before - heard(self);
        self.top += step;
        self.heard[0] |= 1;
    }

    fn shift(&mut self, step: u64) {
        let (words, bits) = (usize::try_from(step / 64).unwrap_or(WORDS), step % 64);
        for place in (0..WORDS).rev() {
            let from = |back: usize| place.checked_sub(words + back).map_or(0, |word| self.heard[word]);
            let carried = if bits == 0 { 0 } else { from(1) >> (64 - bits) };
            self.heard[place] = from(0) << bits | carried;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::Hearing::{Finding, InOrder, Unaudited};
    use super::*;
    use crate::record::AuditFinding::{Duplicated, Reordered};

    #[test]
    fn each_subscriber_is_judged_by_what_it_heard_itself() {
        let mut audience = Audience::default();
        let table = [
            ((0, 8, 1), InOrder),
            ((0, 9, 1), InOrder),
            ((0, 9, 1), Finding(Duplicated)),
            ((0, 9, 1), Finding(Duplicated)),
            ((0, 8, 3), InOrder),
            ((0, 9, 2), InOrder),
            ((0, 8, 2), Finding(Reordered)),
            ((0, 8, 2), Finding(Duplicated)),
            ((0, 9, 3), InOrder),
            // Another device's numbers are its own.
            ((1, 8, 1), InOrder),
            ((1, 9, 40), InOrder),
            ((1, 9, 7), Finding(Reordered)),
        ];
        for ((slot, subscriber, seq), hearing) in table {
            assert_eq!(audience.hear(slot, subscriber, seq), hearing, "{slot} {subscriber} {seq}");
        }
    }

    #[test]
    fn what_finds_no_room_is_said_to_be_unaudited() {
        let mut audience = Audience { room: 2, ..Audience::default() };
        for (subscriber, hearing) in
            [(0, InOrder), (1, InOrder), (2, Unaudited), (0, Finding(Duplicated)), (2, Unaudited)]
        {
            assert_eq!(audience.hear(0, subscriber, 5), hearing, "{subscriber}");
        }
    }

    #[test]
    fn copies_that_come_long_after_are_told_by_what_was_missed() {
        let mut window = HeardWindow::default();
        for seq in (1..=2_000).filter(|seq| ![0, 77, 78].contains(seq)) {
            assert_eq!(window.hear(seq), None);
        }
        for (seq, finding) in
            [(77, Reordered), (78, Reordered), (0, Reordered), (5, Duplicated), (1_990, Duplicated)]
        {
            assert_eq!(window.hear(seq), Some(finding), "{seq}");
        }
    }

    proptest! {
        #[test]
        fn within_its_window_it_finds_what_a_list_of_all_finds(
            steps in proptest::collection::vec((0_u64..3, 0_u64..250), 1..400),
        ) {
            let (mut window, mut heard) = (HeardWindow::default(), BTreeSet::new());
            for (forward, back) in steps {
                let top = heard.last().copied().unwrap_or(0);
                let seq = if forward > 0 { top + forward * 40 } else { top.saturating_sub(back) };
                let highest = heard.last().is_none_or(|last| *last < seq);
                let expected = match heard.insert(seq) {
                    true if highest => None,
                    true => Some(Reordered),
                    false => Some(Duplicated),
                };
                prop_assert_eq!(window.has_heard(seq), expected == Some(Duplicated));
                prop_assert_eq!(window.hear(seq), expected);
                prop_assert!(window.has_heard(seq));
            }
        }
    }
}
