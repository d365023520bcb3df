//! Which fleets are to hear what others send, and the readings of which a group that shares a subscription is still to hear. Pure.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::consumer::ReadingId;
use crate::clock::Tick;
use crate::record::{FleetId, MessagePattern};
use crate::scenario::Plan;

/// Readings of one worker's devices of which groups are still to hear, at once.
const MOST_UNCLAIMED: usize = 1 << 18;

/// A fleet that is to hear what another sends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expecting {
    pub(super) by: FleetId,
    /// Its place among the fleets that only hear.
    pub(super) nth: u32,
    pub(super) is_group: bool,
    pub(super) timeout_ns: u64,
}

/// By fleet: those that are to hear its readings.
pub(super) fn expecting(plan: &Plan) -> Vec<Vec<Expecting>> {
    let fleets = &plan.scenario().fleets;
    let mut expecting = vec![Vec::new(); fleets.len()];
    let hearing = (0..).zip(fleets).filter(|(_, fleet)| fleet.hears());
    for (nth, (number, fleet)) in (0..).zip(hearing) {
        let by = FleetId(number);
        let is_group = fleet.pattern() == Some(MessagePattern::Shared);
        for sender in plan.heard_by(by) {
            let timeout_ns = fleet.timeout.as_ns();
            expecting[usize::from(sender.0)].push(Expecting { by, nth, is_group, timeout_ns });
        }
    }
    expecting
}

/// Readings that ended ok and of which no consumer of a group is known to have heard.
#[derive(Debug, Default)]
pub(super) struct Unclaimed {
    awaited: HashMap<(FleetId, ReadingId), Tick>,
    deadlines: BinaryHeap<Reverse<(Tick, FleetId, ReadingId)>>,
}

impl Unclaimed {
    /// False where there is no room.
    pub(super) fn insert(&mut self, by: FleetId, reading: ReadingId, intended: Tick, deadline: Tick) -> bool {
        let has_room = self.deadlines.len() < MOST_UNCLAIMED;
        if has_room {
            self.awaited.insert((by, reading), intended);
            self.deadlines.push(Reverse((deadline, by, reading)));
        }
        has_room
    }

    /// Whether it was awaited.
    pub(super) fn remove(&mut self, by: FleetId, reading: ReadingId) -> bool {
        let was_awaited = self.awaited.remove(&(by, reading)).is_some();
        while let Some(Reverse((_, by, reading))) = self.deadlines.peek()
            && !self.awaited.contains_key(&(*by, *reading))
        {
            self.deadlines.pop();
        }
        was_awaited
    }

    /// What had to be heard before `before`.
    pub(super) fn expire(&mut self, before: Tick) -> Vec<(FleetId, ReadingId, Tick)> {
        let mut over = Vec::new();
        while let Some(Reverse((_, by, reading))) =
            self.deadlines.peek().copied().filter(|due| due.0.0 < before)
        {
            self.deadlines.pop();
            over.extend(self.awaited.remove(&(by, reading)).map(|intended| (by, reading, intended)));
        }
        over
    }

    /// When the next is overdue.
    pub(super) fn next_deadline(&self) -> Tick {
        self.deadlines.peek().map_or(Tick::FAR, |Reverse((deadline, ..))| deadline.plus_ns(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_claimed_in_time_is_not_lost_and_the_rest_is_once() {
        let mut unclaimed = Unclaimed::default();
        let (one, other) = (FleetId(1), FleetId(2));
        for seq in 1..=4 {
            assert!(unclaimed.insert(one, (0, seq), Tick(seq), Tick(seq + 100)));
        }
        assert!(unclaimed.insert(other, (0, 1), Tick(1), Tick(500)));
        assert_eq!(unclaimed.next_deadline(), Tick(102));
        assert!(unclaimed.remove(one, (0, 1)) && !unclaimed.remove(one, (0, 1)));
        assert!(unclaimed.remove(one, (0, 3)), "out of order");
        assert_eq!(unclaimed.next_deadline(), Tick(103));
        assert!(unclaimed.expire(Tick(102)).is_empty(), "it may still come");
        assert_eq!(unclaimed.expire(Tick(105)), [(one, (0, 2), Tick(2)), (one, (0, 4), Tick(4))]);
        assert_eq!(unclaimed.expire(Tick::FAR), [(other, (0, 1), Tick(1))]);
        assert_eq!((unclaimed.next_deadline(), unclaimed.awaited.len()), (Tick::FAR, 0));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut unclaimed = Unclaimed::default();
        let most = MOST_UNCLAIMED as u64;
        assert!((0..most).all(|seq| unclaimed.insert(FleetId(0), (0, seq), Tick(seq), Tick(seq))));
        assert!(!unclaimed.insert(FleetId(0), (0, most), Tick(0), Tick(0)));
    }
}
