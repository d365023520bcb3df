//! How far a device has heard: the numbers of events, and the version of what it was last told.

/// Numbers below the highest of which each is remembered.
const WINDOW: u64 = 1_024;

/// What a device has heard. A window slides over the numbers, as over those of packets in RFC 4303 §3.4.3: what lies below it counts as
/// heard.
#[derive(Debug, Clone, Default)]
pub(super) struct Position {
    heard: Option<Box<Window>>,
    /// The entity tag of the last reply, as it stood there, and the `since` that it was given for.
    pub(super) tag: Option<(Option<u64>, Box<str>)>,
}

#[derive(Debug, Clone)]
struct Window {
    highest: u64,
    /// Number n has bit n modulo [`WINDOW`].
    bits: [u64; (WINDOW / 64) as usize],
}

impl Window {
    const fn bit(number: u64) -> (usize, u64) {
        ((number % WINDOW / 64) as usize, 1 << (number % 64))
    }

    fn has(&self, number: u64) -> bool {
        let Some(below) = self.highest.checked_sub(number) else { return false };
        let (word, bit) = Self::bit(number);
        below >= WINDOW || self.bits[word] & bit != 0
    }

    fn take(&mut self, number: u64) {
        if let Some(above) = number.checked_sub(self.highest) {
            for skipped in 1..=above.min(WINDOW) {
                let (word, bit) = Self::bit(self.highest.wrapping_add(skipped));
                self.bits[word] &= !bit;
            }
            self.highest = number;
        } else if self.highest - number >= WINDOW {
            return;
        }
        let (word, bit) = Self::bit(number);
        self.bits[word] |= bit;
    }
}

impl Position {
    /// The highest number heard.
    pub(super) fn highest(&self) -> Option<u64> {
        self.heard.as_ref().map(|heard| heard.highest)
    }

    /// Whether event `number` was heard.
    pub(super) fn has(&self, number: u64) -> bool {
        self.heard.as_ref().is_some_and(|heard| heard.has(number))
    }

    /// Event `number` is heard.
    pub(super) fn take(&mut self, number: u64) {
        let new = || Box::new(Window { highest: number, bits: [0; (WINDOW / 64) as usize] });
        self.heard.get_or_insert_with(new).take(number);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_lies_below_the_window_counts_as_heard() {
        let mut position = Position::default();
        assert!(!position.has(0) && position.highest().is_none());
        position.take(5);
        assert!(position.has(5) && !position.has(4) && !position.has(6));
        position.take(WINDOW + 5);
        assert!(position.has(5) && position.has(4) && !position.has(6) && !position.has(WINDOW));
        position.take(u64::MAX);
        assert!(position.has(u64::MAX) && !position.has(u64::MAX - 1) && position.has(7));
        assert_eq!(position.highest(), Some(u64::MAX));
    }

    proptest! {
        #[test]
        fn within_the_window_it_is_a_set(numbers in proptest::collection::vec(0_u64..3_000, 1..200)) {
            let (mut position, mut set, mut highest) = (Position::default(), HashSet::new(), 0);
            for number in numbers {
                position.take(number);
                set.insert(number);
                highest = highest.max(number);
                for asked in (highest + 1).saturating_sub(WINDOW)..=highest + 1 {
                    prop_assert_eq!(position.has(asked), set.contains(&asked), "{}", asked);
                }
            }
        }
    }
}
