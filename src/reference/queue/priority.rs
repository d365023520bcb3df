//! The priority queue itself: four levels, bounded in all and each, without threads.

use std::collections::VecDeque;

use crate::service::{Discipline, Overflow, Priority, Queue};

const LEVELS: usize = Priority::ALL.len();

/// What waits, with its place in the order of arrival.
#[derive(Debug)]
struct Entry<T> {
    number: u64,
    item: T,
}

/// The readings that wait for one worker, or for all of them.
#[derive(Debug)]
struct Shard<T> {
    levels: [VecDeque<Entry<T>>; LEVELS],
    /// What each level is owed, in the manner of smooth weighted round robin.
    credit: [i64; LEVELS],
}

/// What became of an item that was pushed.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::reference) enum PushResult<T> {
    /// It waits.
    Queued,
    /// It waits, and this one made room for it.
    Displaced(T),
    /// There is no room for it.
    Full(T),
    /// The queue takes nothing any more.
    Closed(T),
}

/// Shards of items that wait, bounded in all and by level.
#[derive(Debug)]
pub(in crate::reference) struct PriorityQueue<T> {
    shards: Vec<Shard<T>>,
    waiting: [usize; LEVELS],
    capacity: usize,
    bounds: [usize; LEVELS],
    discipline: Discipline,
    weights: [i64; LEVELS],
    overflow: Overflow,
    arrivals: u64,
}

impl<T> PriorityQueue<T> {
    pub(in crate::reference) fn new(setup: &Queue, shards: usize) -> Self {
        let shard = |_| Shard { levels: std::array::from_fn(|_| VecDeque::new()), credit: [0; LEVELS] };
        let capacity = setup.capacity.max(1);
        Self {
            shards: (0..shards.max(1)).map(shard).collect(),
            waiting: [0; LEVELS],
            capacity,
            bounds: setup.levels.map(|bound| bound.unwrap_or(capacity).max(1)),
            discipline: setup.discipline,
            weights: setup.weights.map(|weight| i64::from(weight.max(1))),
            overflow: setup.overflow,
            arrivals: 0,
        }
    }

    /// Items that wait.
    pub(in crate::reference) fn len(&self) -> usize {
        self.waiting.iter().sum()
    }

    /// Items that wait, by level.
    pub(in crate::reference) const fn waiting(&self) -> [usize; LEVELS] {
        self.waiting
    }

    /// Whether nothing waits in `shard`.
    pub(in crate::reference) fn is_empty(&self, shard: usize) -> bool {
        self.shards[shard].levels.iter().all(VecDeque::is_empty)
    }

    /// Changes how many may wait in all. What waits beyond that stays.
    pub(in crate::reference) fn resize(&mut self, capacity: usize) {
        self.capacity = capacity.max(1);
    }

    /// Items that may wait in all.
    pub(in crate::reference) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether an item of `level` would find room.
    pub(in crate::reference) fn has_room(&self, level: Priority) -> bool {
        self.len() < self.capacity && self.waiting[level as usize] < self.bounds[level as usize]
    }

    /// Puts an item in the queue, or says what is done instead.
    pub(in crate::reference) fn push(&mut self, shard: usize, level: Priority, item: T) -> PushResult<T> {
        let removed = if self.has_room(level) {
            None
        } else {
            let level_is_full = self.waiting[level as usize] >= self.bounds[level as usize];
            let removed = match self.overflow {
                Overflow::Reject | Overflow::Block => None,
                Overflow::DropOldest if level_is_full => self.remove_oldest(Some(level)),
                Overflow::DropOldest => self.remove_oldest(None),
                Overflow::DropLowest if level_is_full => None,
                Overflow::DropLowest => self.remove_lowest(level),
            };
            if removed.is_none() {
                return PushResult::Full(item);
            }
            removed
        };
        self.arrivals += 1;
        self.waiting[level as usize] += 1;
        self.shards[shard].levels[level as usize].push_back(Entry { number: self.arrivals, item });
        removed.map_or(PushResult::Queued, PushResult::Displaced)
    }

    /// The next item of `shard` by the discipline.
    pub(in crate::reference) fn pop(&mut self, shard: usize) -> Option<T> {
        let level = match self.discipline {
            Discipline::Strict => self.shards[shard].levels.iter().position(|queue| !queue.is_empty()),
            Discipline::Fifo => self.shards[shard].oldest(),
            Discipline::Weighted => self.shards[shard].owed(&self.weights),
        }?;
        self.waiting[level] -= 1;
        self.shards[shard].levels[level].pop_front().map(|entry| entry.item)
    }

    /// Takes everything off.
    pub(in crate::reference) fn clear(&mut self) -> Vec<T> {
        self.waiting = [0; LEVELS];
        let queues = self.shards.iter_mut().flat_map(|shard| &mut shard.levels);
        queues.flat_map(|queue| queue.drain(..)).map(|entry| entry.item).collect()
    }

    /// Removes the item that has waited longest, of `level` or of all.
    fn remove_oldest(&mut self, level: Option<Priority>) -> Option<T> {
        let levels = level.map_or(0..LEVELS, |level| level as usize..level as usize + 1);
        let heads = self.shards.iter().enumerate().flat_map(|(shard, queues)| {
            levels.clone().filter_map(move |level| Some((queues.levels[level].front()?.number, shard, level)))
        });
        let (_, shard, level) = heads.min()?;
        self.waiting[level] -= 1;
        self.shards[shard].levels[level].pop_front().map(|entry| entry.item)
    }

    /// Removes the newest item of the least urgent level that waits, if that is below `level`.
    fn remove_lowest(&mut self, level: Priority) -> Option<T> {
        let lowest = (level as usize + 1..LEVELS).rev().find(|level| self.waiting[*level] > 0)?;
        let tails = self.shards.iter().enumerate();
        let (_, shard) =
            tails.filter_map(|(shard, queues)| Some((queues.levels[lowest].back()?.number, shard))).max()?;
        self.waiting[lowest] -= 1;
        self.shards[shard].levels[lowest].pop_back().map(|entry| entry.item)
    }
}

impl<T> Shard<T> {
    /// The level whose head arrived first.
    fn oldest(&self) -> Option<usize> {
        let heads = self.levels.iter().enumerate();
        heads.filter_map(|(level, queue)| Some((queue.front()?.number, level))).min().map(|(_, level)| level)
    }

    /// Smooth weighted round robin (as in nginx): every level that waits gains its weight, the richest is served and pays the
    /// sum of them. A level that does not wait earns nothing, so no level can save up for a burst.
    fn owed(&mut self, weights: &[i64; LEVELS]) -> Option<usize> {
        let mut round = 0;
        let mut richest = None;
        for (level, queue) in self.levels.iter().enumerate() {
            if queue.is_empty() {
                self.credit[level] = 0;
                continue;
            }
            self.credit[level] += weights[level];
            round += weights[level];
            if richest.is_none_or(|best: usize| self.credit[level] > self.credit[best]) {
                richest = Some(level);
            }
        }
        if let Some(level) = richest {
            self.credit[level] -= round;
        }
        richest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Priority::{Critical, High, Low, Medium};

    fn queue(capacity: usize, overflow: Overflow, discipline: Discipline) -> PriorityQueue<u32> {
        PriorityQueue::new(&Queue { capacity, discipline, overflow, ..Queue::default() }, 1)
    }

    #[test]
    fn what_happens_when_it_is_full_is_what_the_policy_says() {
        let filled = |overflow| {
            let mut queue = queue(3, overflow, Discipline::Strict);
            for (level, item) in [(Medium, 1), (Low, 2), (Low, 3)] {
                assert_eq!(queue.push(0, level, item), PushResult::Queued);
            }
            queue
        };
        for (overflow, level, placed) in [
            (Overflow::Reject, Critical, PushResult::Full(9)),
            (Overflow::Block, Critical, PushResult::Full(9)),
            (Overflow::DropOldest, Low, PushResult::Displaced(1)),
            (Overflow::DropOldest, Critical, PushResult::Displaced(1)),
            (Overflow::DropLowest, Critical, PushResult::Displaced(3)),
            (Overflow::DropLowest, Medium, PushResult::Displaced(3)),
            (Overflow::DropLowest, Low, PushResult::Full(9)),
        ] {
            let mut queue = filled(overflow);
            assert_eq!(queue.push(0, level, 9), placed, "{} {}", overflow.name(), level.name());
            assert_eq!(queue.len(), 3);
        }
    }

    /// Half as many again as are served come for long: by default it is never a critical reading that pays.
    #[test]
    fn overload_sheds_no_critical_reading_unless_it_was_asked_for() {
        let shed = |setup: &Queue| {
            let mut queue = PriorityQueue::new(setup, 1);
            let mut shed = [0; LEVELS];
            for number in 0..6_000_usize {
                let level = [Critical, Low, Medium, Low, High, Low, Low][number % 7];
                match queue.push(0, level, level) {
                    PushResult::Queued => {}
                    PushResult::Displaced(lost) | PushResult::Full(lost) | PushResult::Closed(lost) => {
                        shed[lost as usize] += 1;
                    }
                }
                if number % 3 > 0 {
                    queue.pop(0);
                }
            }
            shed
        };
        for discipline in Discipline::ALL {
            let setup = Queue { capacity: 20, discipline: *discipline, ..Queue::default() };
            let [critical, high, medium, low] = shed(&setup);
            assert_eq!((critical, high, medium), (0, 0, 0), "{}", discipline.name());
            assert!(low > 1_900, "{}: {low}", discipline.name());
        }
        let asked_for = Queue { capacity: 20, overflow: Overflow::Reject, ..Queue::default() };
        assert!(shed(&asked_for)[Critical as usize] > 0, "newcomers pay, whatever they are");
    }

    #[test]
    fn a_level_has_a_bound_of_its_own() {
        let levels = [None, None, None, Some(2)];
        for (overflow, placed) in [
            (Overflow::Reject, PushResult::Full(9)),
            (Overflow::DropOldest, PushResult::Displaced(2)),
            (Overflow::DropLowest, PushResult::Full(9)),
        ] {
            let setup = Queue { capacity: 10, levels, overflow, ..Queue::default() };
            let mut queue = PriorityQueue::new(&setup, 1);
            for (level, item) in [(High, 1), (Low, 2), (Low, 3)] {
                assert_eq!(queue.push(0, level, item), PushResult::Queued);
            }
            assert_eq!(queue.push(0, Low, 9), placed, "{}", overflow.name());
            assert_eq!(queue.push(0, High, 8), PushResult::Queued);
        }
    }

    #[test]
    fn the_discipline_decides_who_is_next() {
        for (discipline, order) in
            [(Discipline::Strict, vec![4, 2, 5, 3, 1, 6]), (Discipline::Fifo, vec![1, 2, 3, 4, 5, 6])]
        {
            let mut queue = queue(10, Overflow::Reject, discipline);
            for (level, item) in [(Low, 1), (High, 2), (Medium, 3), (Critical, 4), (High, 5), (Low, 6)] {
                queue.push(0, level, item);
            }
            let served: Vec<u32> = std::iter::from_fn(|| queue.pop(0)).collect();
            assert_eq!(served, order, "{}", discipline.name());
        }
    }

    #[test]
    fn weights_share_the_service_and_nobody_starves() {
        let mut queue = queue(4_000, Overflow::Reject, Discipline::Weighted);
        for level in Priority::ALL {
            for _ in 0..1_000 {
                queue.push(0, *level, *level as u32);
            }
        }
        let mut served = [0; 4];
        for _ in 0..1_500 {
            served[queue.pop(0).unwrap() as usize] += 1;
        }
        assert_eq!(served, [800, 400, 200, 100]);
    }

    #[test]
    fn lanes_are_apart_but_share_the_bounds() {
        let setup = Queue { capacity: 3, overflow: Overflow::DropOldest, ..Queue::default() };
        let mut queue = PriorityQueue::new(&setup, 2);
        queue.push(0, Low, 1);
        queue.push(1, Low, 2);
        queue.push(1, High, 3);
        assert_eq!(queue.push(1, Low, 4), PushResult::Displaced(1), "the oldest waits in another shard");
        assert!(queue.is_empty(0) && queue.pop(0).is_none());
        assert_eq!([queue.pop(1), queue.pop(1), queue.pop(1)], [Some(3), Some(2), Some(4)]);
    }

    proptest! {
        /// Whatever is put on comes off once, by whichever way, and no bound is ever passed.
        #[test]
        fn nothing_is_lost_or_made_up(
            steps in proptest::collection::vec((0_usize..3, 0_usize..4, any::<bool>()), 1..300),
            overflow in 0_usize..4,
            discipline in 0_usize..3,
        ) {
            let setup = Queue {
                capacity: 10,
                levels: [None, Some(4), None, Some(2)],
                overflow: Overflow::ALL[overflow],
                discipline: Discipline::ALL[discipline],
                ..Queue::default()
            };
            let mut queue = PriorityQueue::new(&setup, 3);
            let (mut put, mut off) = (0, Vec::new());
            for (shard, level, push) in steps {
                if push {
                    match queue.push(shard, Priority::ALL[level], put) {
                        PushResult::Queued => {}
                        PushResult::Displaced(item) | PushResult::Full(item) | PushResult::Closed(item) => off.push(item),
                    }
                    put += 1;
                } else {
                    off.extend(queue.pop(shard));
                }
                prop_assert!(queue.len() <= 10 && queue.waiting()[1] <= 4 && queue.waiting()[3] <= 2);
            }
            off.extend(queue.clear());
            off.sort_unstable();
            prop_assert_eq!(off, (0..put).collect::<Vec<u32>>());
        }
    }
}
