//! What a worker has to do and when: one queue of due entries for all its devices, so that one pacer serves them all.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Tick;

/// What a device asks to be woken for. One entry at a time is enough: it looks again, and asks again, whenever it is woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// The oldest outstanding reading may have reached its time-out.
    Expiry,
    /// The keep-alive period is over.
    KeepAlive,
    /// A device that connects on demand may fall asleep.
    Rest,
    /// The next stored reading may go out.
    Flush,
    /// Bytes or messages that a fault holds up are due. They are asked for once, so that an earlier entry does not do for a later
    /// one: only what is asked for twice in a row is one.
    Held,
}

impl Alarm {
    const COUNT: usize = 5;

    /// Whether an entry at `armed` does for one at `at`.
    fn is_covered(self, armed: Tick, at: Tick) -> bool {
        if self == Self::Held { armed == at } else { armed <= at }
    }
}

/// What an entry is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    /// A reading is due by the plan.
    Due,
    /// Something the device's own task waits for is due: a connection, a cut, its leaving, the end of an attempt.
    Wake,
    /// What the device asked to be woken for.
    Alarm(Alarm),
    /// A fault that hits the fleet one device after the other reaches this one: its number.
    Fault(u16),
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
#[derive(Debug)]
pub(super) struct TimerQueue {
    heap: BinaryHeap<Reverse<Entry>>,
    /// When each alarm of each device is due; [`Tick::FAR`]: none is set.
    alarms: Vec<[Tick; Alarm::COUNT]>,
}

impl TimerQueue {
    /// One for so many devices.
    pub(super) fn new(devices: usize) -> Self {
        Self { heap: BinaryHeap::new(), alarms: vec![[Tick::FAR; Alarm::COUNT]; devices] }
    }

    pub(super) fn push(&mut self, at: Tick, slot: u32, task: Task) {
        self.heap.push(Reverse(Entry { at, slot, task }));
    }

    /// Sets an alarm to `at`, unless what is set covers it. False if so: nothing has changed.
    pub(super) fn arm(&mut self, at: Tick, slot: u32, alarm: Alarm) -> bool {
        let Some(armed) = self.alarms.get_mut(slot as usize).map(|alarms| &mut alarms[alarm as usize]) else {
            return false;
        };
        if alarm.is_covered(*armed, at) {
            return false;
        }
        *armed = at;
        self.push(at, slot, Task::Alarm(alarm));
        true
    }

    /// Moves every entry to the instant that `at` says for it; `None`: takes it out. Alarms stay where they are.
    pub(super) fn rearrange(&mut self, mut at: impl FnMut(&Entry) -> Option<Tick>) {
        let entries = std::mem::take(&mut self.heap).into_vec().into_iter();
        let moved = entries.filter_map(|Reverse(entry)| {
            let at = if matches!(entry.task, Task::Alarm(_)) { entry.at } else { at(&entry)? };
            Some(Reverse(Entry { at, ..entry }))
        });
        self.heap = moved.collect();
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
        let Reverse(entry) = self.heap.pop()?;
        if let Task::Alarm(alarm) = entry.task
            && let Some(alarms) = self.alarms.get_mut(entry.slot as usize)
            && alarms[alarm as usize] == entry.at
        {
            alarms[alarm as usize] = Tick::FAR;
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_out_in_time_order_and_never_early() {
        let mut timers = TimerQueue::new(1);
        for at in [30, 10, 20, 10] {
            timers.push(Tick(at), at as u32, Task::Due);
        }
        assert_eq!(timers.next(), Some(Tick(10)));
        assert_eq!(timers.pop_due(Tick(9)), None);
        let out: Vec<u64> = std::iter::from_fn(|| timers.pop_due(Tick(20))).map(|entry| entry.at.0).collect();
        assert_eq!(out, [10, 10, 20]);
        assert_eq!(timers.next(), Some(Tick(30)));
    }

    #[test]
    fn entries_are_moved_or_taken_out_and_alarms_are_not() {
        let mut timers = TimerQueue::new(1);
        for at in [10, 20, 30, 40] {
            timers.push(Tick(at), 0, Task::Due);
        }
        timers.arm(Tick(35), 0, Alarm::Expiry);
        timers.rearrange(|entry| match entry.at.0 {
            0..20 => Some(entry.at),
            20..30 => None,
            at => Some(Tick(at - 15)),
        });
        let out = std::iter::from_fn(|| timers.pop_due(Tick(99))).map(|entry| (entry.at.0, entry.task));
        let alarm = Task::Alarm(Alarm::Expiry);
        assert_eq!(out.collect::<Vec<_>>(), [(10, Task::Due), (15, Task::Due), (25, Task::Due), (35, alarm)]);
    }

    #[test]
    fn an_alarm_is_set_once_and_only_for_earlier_than_before() {
        let mut timers = TimerQueue::new(2);
        // (at, slot, alarm, whether it is set)
        for (at, slot, alarm, is_set) in [
            (50, 0, Alarm::Rest, true),
            (50, 0, Alarm::Rest, false),
            (60, 0, Alarm::Rest, false),
            (40, 0, Alarm::Rest, true),
            (60, 0, Alarm::Flush, true),
            (60, 1, Alarm::Rest, true),
            (60, 2, Alarm::Rest, false),
            (40, 1, Alarm::Held, true),
            (50, 1, Alarm::Held, true),
            (50, 1, Alarm::Held, false),
        ] {
            assert_eq!(timers.arm(Tick(at), slot, alarm), is_set, "{at} {slot} {alarm:?}");
        }
        let first = Entry { at: Tick(40), slot: 0, task: Task::Alarm(Alarm::Rest) };
        assert_eq!(timers.pop_due(Tick(40)), Some(first));
        // It rang, so that the device looks, and sets it anew.
        assert!(timers.arm(Tick(70), 0, Alarm::Rest));
        assert!(!timers.arm(Tick(80), 0, Alarm::Rest));
    }
}
