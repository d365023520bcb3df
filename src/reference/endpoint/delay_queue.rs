//! Answers held back on purpose until they are due.

use std::collections::BTreeMap;

use crate::clock::Tick;
use crate::reference::answer::{Answer, ReplyTo};

/// Answers that are due later, in the order in which they are. Each belongs to a reading under way, and of those there are
/// only so many: that is its bound.
#[derive(Debug, Default)]
pub(super) struct DelayQueue {
    held: BTreeMap<(Tick, u64), (ReplyTo, Answer)>,
    count: u64,
}

impl DelayQueue {
    /// Holds an answer until `due`; of those due at once, the first one held goes first.
    pub(super) fn hold(&mut self, due: Tick, reply_to: ReplyTo, answer: Answer) {
        self.count += 1;
        self.held.insert((due, self.count), (reply_to, answer));
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Tick> {
        self.held.first_key_value().map(|((due, _), _)| *due)
    }

    /// The next one that is due at `now`.
    pub(super) fn release(&mut self, now: Tick) -> Option<(ReplyTo, Answer)> {
        self.next_due().filter(|due| *due <= now)?;
        self.held.pop_first().map(|(_, held)| held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::answer::ReadingId;

    #[test]
    fn answers_leave_when_they_are_due_and_in_that_order() {
        let mut delayed = DelayQueue::default();
        let reply_to = ReplyTo { channel: 0, generation: 0 };
        for (due, seq) in [(30, 0), (10, 1), (20, 2), (10, 3)] {
            delayed.hold(
                Tick(due),
                reply_to,
                Answer::Failed(ReadingId { device: "d".into(), seq, run: None }),
            );
        }
        assert_eq!(delayed.next_due(), Some(Tick(10)));
        let mut released = |now| -> Vec<u64> {
            std::iter::from_fn(|| delayed.release(Tick(now))).map(|(_, answer)| answer.id().seq).collect()
        };
        assert_eq!(
            [released(9), released(20), released(29), released(99)],
            [vec![], vec![1, 3, 2], vec![], vec![0]]
        );
        assert_eq!(delayed.next_due(), None);
    }
}
