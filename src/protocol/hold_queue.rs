//! Messages that a fault holds up: until an instant, or until later ones have overtaken them.

use std::collections::VecDeque;
use std::fmt;

use crate::clock::Tick;
use crate::net::{Activation, MessageFaults};

/// Most messages held up at once.
const MOST: usize = 64;

/// Until when a message is held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    At(Tick),
    Overtaken { left: u32, activation: Activation },
}

/// Messages of one kind and connection that are held up, in the order they came.
pub(super) struct HoldQueue<T> {
    held: VecDeque<(T, Until)>,
}

impl<T> Default for HoldQueue<T> {
    fn default() -> Self {
        Self { held: VecDeque::new() }
    }
}

/// What is held up may be secret.
impl<T> fmt::Debug for HoldQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HoldQueue").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

impl<T> HoldQueue<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether no further message can be held up. It must then pass, for that is what some wait for, or wait itself: see
    /// [`Self::blocks`].
    pub(super) fn is_full(&self) -> bool {
        self.held.len() >= MOST
    }

    /// Whether no further message may come for now, because it is full and time will make room.
    pub(super) fn blocks(&self) -> bool {
        self.is_full() && self.held.iter().any(|(_, until)| matches!(until, Until::At(_)))
    }

    /// Holds a message up until `at`; [`Tick::ZERO`]: only behind those that are due already.
    pub(super) fn put_until(&mut self, item: T, at: Tick) {
        self.held.push_back((item, Until::At(at)));
    }

    /// Holds a message up until `depth` later ones have overtaken it, and no longer than `activation` is on.
    pub(super) fn put_behind(&mut self, item: T, depth: u32, activation: Activation) {
        self.held.push_back((item, Until::Overtaken { left: depth, activation }));
    }

    /// A message that came after all of these was not held up.
    pub(super) fn overtake(&mut self) {
        self.overtake_first(self.held.len());
    }

    /// Lets go of what waits to be overtaken though its activation has ended.
    pub(super) fn lift(&mut self, message_faults: &MessageFaults) {
        for (_, until) in &mut self.held {
            if matches!(until, Until::Overtaken { activation, .. } if !message_faults.is_on(*activation)) {
                *until = Until::At(Tick::ZERO);
            }
        }
    }

    /// Lets go of what waits to be overtaken: nothing more will come.
    pub(super) fn lift_all(&mut self) {
        for (_, until) in &mut self.held {
            if matches!(until, Until::Overtaken { .. }) {
                *until = Until::At(Tick::ZERO);
            }
        }
    }

    /// Whether something is due, whatever the time.
    pub(super) fn is_pressing(&self) -> bool {
        self.has_due(Tick::ZERO)
    }

    /// When the first one that waits for nothing else comes due; [`Tick::ZERO`]: whatever the time.
    pub(super) fn first_due(&self) -> Option<Tick> {
        self.held
            .iter()
            .filter_map(|(_, until)| if let Until::At(at) = until { Some(*at) } else { None })
            .min()
    }

    /// Whether something is due at `now`.
    pub(super) fn has_due(&self, now: Tick) -> bool {
        self.first_due().is_some_and(|at| at <= now)
    }

    /// Takes out what has been due longest at `now`.
    pub(super) fn take_due(&mut self, now: Tick) -> Option<T> {
        let due = self.held.iter().enumerate().filter_map(|(place, (_, until))| match until {
            Until::At(at) if *at <= now => Some((*at, place)),
            _ => None,
        });
        let (_, place) = due.min()?;
        self.overtake_first(place);
        self.held.remove(place).map(|(item, _)| item)
    }

    /// Takes out what came first, due or not.
    pub(super) fn take_first(&mut self) -> Option<T> {
        self.held.pop_front().map(|(item, _)| item)
    }

    /// Everything, in the order it came.
    pub(super) fn into_items(self) -> impl Iterator<Item = T> {
        self.held.into_iter().map(|(item, _)| item)
    }

    fn overtake_first(&mut self, count: usize) {
        for (_, until) in self.held.iter_mut().take(count) {
            if let Until::Overtaken { left, .. } = until {
                *left -= 1;
                if *left == 0 {
                    *until = Until::At(Tick::ZERO);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fault_harness::{FaultHarness, every};
    use super::*;
    use crate::fault::{Action, MessageKind};
    use crate::net::Decision;

    /// An activation that is on under `harness`.
    fn activation(harness: &FaultHarness) -> (MessageFaults, Activation) {
        harness.bring(every(1, MessageKind::Reading, Action::Reorder { depth: 1 }));
        let mut message_faults = harness.identity().faults.map(MessageFaults::new).unwrap();
        match message_faults.decide(MessageKind::Reading, |_| true) {
            Decision::Hold { activation, .. } => (message_faults, activation),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_due_longest_leaves_first_and_overtakes_what_came_before_it() {
        let harness = FaultHarness::new();
        let (message_faults, activation) = activation(&harness);
        let mut hold_queue = HoldQueue::default();
        hold_queue.put_until('a', Tick(30));
        hold_queue.put_behind('b', 2, activation);
        hold_queue.put_until('c', Tick(10));
        hold_queue.put_behind('d', 1, activation);
        hold_queue.put_until('e', Tick(20));
        hold_queue.put_until('f', Tick(20));
        assert_eq!(hold_queue.first_due(), Some(Tick(10)));
        assert_eq!(hold_queue.take_due(Tick(9)), None);
        let mut left = Vec::new();
        // `c` passes `b`; `e` passes both, which are then due at once.
        for at in [10, 20, 20, 20, 20, 30] {
            left.extend(hold_queue.take_due(Tick(at)));
        }
        assert_eq!(left, ['c', 'e', 'b', 'd', 'f', 'a']);
        assert!(hold_queue.is_empty() && !hold_queue.has_due(Tick::FAR));

        hold_queue.put_behind('g', 9, activation);
        hold_queue.lift(&message_faults);
        assert!(!hold_queue.is_pressing());
        harness.clear();
        hold_queue.lift(&message_faults);
        assert!(hold_queue.is_pressing());
    }

    #[test]
    fn what_only_waits_to_be_overtaken_blocks_nothing() {
        let harness = FaultHarness::new();
        let (_, activation) = activation(&harness);
        let mut hold_queue = HoldQueue::default();
        (0..MOST).for_each(|item| hold_queue.put_behind(item, 1, activation));
        assert!(hold_queue.is_full() && !hold_queue.blocks());
        hold_queue.overtake();
        assert!(hold_queue.blocks());
        assert_eq!(hold_queue.take_due(Tick::ZERO), Some(0));
        assert!(!hold_queue.is_full());
    }
}
