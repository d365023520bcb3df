//! What a worker has to do and when: one queue of due entries for all its devices, so that one pacer serves them all.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Tick;

/// Why a device is to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    /// A reading is due by the plan.
    Due,
    /// Something the device's own task waits for is due: a connection, a cut, its leaving, sleep, a stored reading.
    Wake,
    /// The oldest outstanding reading or attempt may have reached its time-out.
    Expire,
    /// The keep-alive period is over.
    KeepAlive,
    /// A fault that hits the fleet one device after the other reaches this one: its number.
    Strike(u16),
}

/// One entry: wake the device in `slot` at `at` for `task`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) at: Tick,
    pub(super) slot: u32,
    pub(super) task: Task,
}

/// The queue of entries, earliest first. Holds a few entries per device, and one for each instant at which bytes or messages that a
/// fault holds up are due.
#[derive(Debug, Default)]
pub(super) struct TimerQueue {
    heap: BinaryHeap<Reverse<Entry>>,
}

impl TimerQueue {
    pub(super) fn push(&mut self, entry: Entry) {
        self.heap.push(Reverse(entry));
    }

    /// The instant of the earliest entry.
    pub(super) fn next(&self) -> Option<Tick> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// Takes the earliest entry if it is due at `now`.
    pub(super) fn pop_due(&mut self, now: Tick) -> Option<Entry> {
        let Reverse(first) = self.heap.peek()?;
        if first.at > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_out_in_time_order_and_never_early() {
        let mut timers = TimerQueue::default();
        for at in [30, 10, 20, 10] {
            timers.push(Entry { at: Tick(at), slot: at as u32, task: Task::Due });
        }
        assert_eq!(timers.next(), Some(Tick(10)));
        assert_eq!(timers.pop_due(Tick(9)), None);
        let out: Vec<u64> = std::iter::from_fn(|| timers.pop_due(Tick(20))).map(|entry| entry.at.0).collect();
        assert_eq!(out, [10, 10, 20]);
        assert_eq!(timers.next(), Some(Tick(30)));
    }
}
