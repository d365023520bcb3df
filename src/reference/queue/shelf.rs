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
struct Lane<T> {
    levels: [VecDeque<Entry<T>>; LEVELS],
    /// What each level is owed, in the manner of smooth weighted round robin.
    credit: [i64; LEVELS],
}

/// What became of an item that was to be put on the shelf.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::reference) enum Placed<T> {
    /// It waits.
    In,
    /// It waits, and this one made room for it.
    Instead(T),
    /// There is no room for it.
    Full(T),
}

/// Lanes of items that wait, bounded in all and by level.
#[derive(Debug)]
pub(in crate::reference) struct Shelf<T> {
    lanes: Vec<Lane<T>>,
    waiting: [usize; LEVELS],
    capacity: usize,
    bounds: [usize; LEVELS],
    discipline: Discipline,
    weights: [i64; LEVELS],
    overflow: Overflow,
    arrivals: u64,
}

impl<T> Shelf<T> {
    pub(in crate::reference) fn new(setup: &Queue, lanes: usize) -> Self {
        let lane = |_| Lane { levels: std::array::from_fn(|_| VecDeque::new()), credit: [0; LEVELS] };
        let capacity = setup.capacity.max(1);
        Self {
            lanes: (0..lanes.max(1)).map(lane).collect(),
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

    /// Whether nothing waits in `lane`.
    pub(in crate::reference) fn is_empty(&self, lane: usize) -> bool {
        self.lanes[lane].levels.iter().all(VecDeque::is_empty)
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

    /// Puts an item on the shelf, or says what is done instead.
    pub(in crate::reference) fn push(&mut self, lane: usize, level: Priority, item: T) -> Placed<T> {
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
                return Placed::Full(item);
            }
            removed
        };
        self.arrivals += 1;
        self.waiting[level as usize] += 1;
        self.lanes[lane].levels[level as usize].push_back(Entry { number: self.arrivals, item });
        removed.map_or(Placed::In, Placed::Instead)
    }

    /// The next item of `lane` by the discipline.
    pub(in crate::reference) fn pop(&mut self, lane: usize) -> Option<T> {
        let level = match self.discipline {
            Discipline::Strict => self.lanes[lane].levels.iter().position(|queue| !queue.is_empty()),
            Discipline::Fifo => self.lanes[lane].oldest(),
            Discipline::Weighted => self.lanes[lane].owed(&self.weights),
        }?;
        self.waiting[level] -= 1;
        self.lanes[lane].levels[level].pop_front().map(|entry| entry.item)
    }

    /// Takes everything off.
    pub(in crate::reference) fn clear(&mut self) -> Vec<T> {
        self.waiting = [0; LEVELS];
        let queues = self.lanes.iter_mut().flat_map(|lane| &mut lane.levels);
        queues.flat_map(|queue| queue.drain(..)).map(|entry| entry.item).collect()
    }

    /// Removes the item that has waited longest, of `level` or of all.
    fn remove_oldest(&mut self, level: Option<Priority>) -> Option<T> {
        let levels = level.map_or(0..LEVELS, |level| level as usize..level as usize + 1);
        let heads = self.lanes.iter().enumerate().flat_map(|(lane, queues)| {
            levels.clone().filter_map(move |level| Some((queues.levels[level].front()?.number, lane, level)))
        });
        let (_, lane, level) = heads.min()?;
        self.waiting[level] -= 1;
        self.lanes[lane].levels[level].pop_front().map(|entry| entry.item)
    }

    /// Removes the newest item of the least urgent level that waits, if that is below `level`.
    fn remove_lowest(&mut self, level: Priority) -> Option<T> {
        let lowest = (level as usize + 1..LEVELS).rev().find(|level| self.waiting[*level] > 0)?;
        let tails = self.lanes.iter().enumerate();
        let (_, lane) =
            tails.filter_map(|(lane, queues)| Some((queues.levels[lowest].back()?.number, lane))).max()?;
        self.waiting[lowest] -= 1;
        self.lanes[lane].levels[lowest].pop_back().map(|entry| entry.item)
    }
}

impl<T> Lane<T> {
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

    fn shelf(capacity: usize, overflow: Overflow, discipline: Discipline) -> Shelf<u32> {
        Shelf::new(&Queue { capacity, discipline, overflow, ..Queue::default() }, 1)
    }

    #[test]
    fn what_happens_when_it_is_full_is_what_the_policy_says() {
        let filled = |overflow| {
            let mut shelf = shelf(3, overflow, Discipline::Strict);
            for (level, item) in [(Medium, 1), (Low, 2), (Low, 3)] {
                assert_eq!(shelf.push(0, level, item), Placed::In);
            }
            shelf
        };
        for (overflow, level, placed) in [
            (Overflow::Reject, Critical, Placed::Full(9)),
            (Overflow::Block, Critical, Placed::Full(9)),
            (Overflow::DropOldest, Low, Placed::Instead(1)),
            (Overflow::DropOldest, Critical, Placed::Instead(1)),
            (Overflow::DropLowest, Critical, Placed::Instead(3)),
            (Overflow::DropLowest, Medium, Placed::Instead(3)),
            (Overflow::DropLowest, Low, Placed::Full(9)),
        ] {
            let mut shelf = filled(overflow);
            assert_eq!(shelf.push(0, level, 9), placed, "{} {}", overflow.name(), level.name());
            assert_eq!(shelf.len(), 3);
        }
    }

    #[test]
    fn a_level_has_a_bound_of_its_own() {
        let levels = [None, None, None, Some(2)];
        for (overflow, placed) in [
            (Overflow::Reject, Placed::Full(9)),
            (Overflow::DropOldest, Placed::Instead(2)),
            (Overflow::DropLowest, Placed::Full(9)),
        ] {
            let setup = Queue { capacity: 10, levels, overflow, ..Queue::default() };
            let mut shelf = Shelf::new(&setup, 1);
            for (level, item) in [(High, 1), (Low, 2), (Low, 3)] {
                assert_eq!(shelf.push(0, level, item), Placed::In);
            }
            assert_eq!(shelf.push(0, Low, 9), placed, "{}", overflow.name());
            assert_eq!(shelf.push(0, High, 8), Placed::In);
        }
    }

    #[test]
    fn the_discipline_decides_who_is_next() {
        for (discipline, order) in
            [(Discipline::Strict, vec![4, 2, 5, 3, 1, 6]), (Discipline::Fifo, vec![1, 2, 3, 4, 5, 6])]
        {
            let mut shelf = shelf(10, Overflow::Reject, discipline);
            for (level, item) in [(Low, 1), (High, 2), (Medium, 3), (Critical, 4), (High, 5), (Low, 6)] {
                shelf.push(0, level, item);
            }
            let served: Vec<u32> = std::iter::from_fn(|| shelf.pop(0)).collect();
            assert_eq!(served, order, "{}", discipline.name());
        }
    }

    #[test]
    fn weights_share_the_service_and_nobody_starves() {
        let mut shelf = shelf(4_000, Overflow::Reject, Discipline::Weighted);
        for level in Priority::ALL {
            for _ in 0..1_000 {
                shelf.push(0, *level, *level as u32);
            }
        }
        let mut served = [0; 4];
        for _ in 0..1_500 {
            served[shelf.pop(0).unwrap() as usize] += 1;
        }
        assert_eq!(served, [800, 400, 200, 100]);
    }

    #[test]
    fn lanes_are_apart_but_share_the_bounds() {
        let setup = Queue { capacity: 3, overflow: Overflow::DropOldest, ..Queue::default() };
        let mut shelf = Shelf::new(&setup, 2);
        shelf.push(0, Low, 1);
        shelf.push(1, Low, 2);
        shelf.push(1, High, 3);
        assert_eq!(shelf.push(1, Low, 4), Placed::Instead(1), "the oldest waits in another lane");
        assert!(shelf.is_empty(0) && shelf.pop(0).is_none());
        assert_eq!([shelf.pop(1), shelf.pop(1), shelf.pop(1)], [Some(3), Some(2), Some(4)]);
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
            let mut shelf = Shelf::new(&setup, 3);
            let (mut put, mut off) = (0, Vec::new());
            for (lane, level, push) in steps {
                if push {
                    match shelf.push(lane, Priority::ALL[level], put) {
                        Placed::In => {}
                        Placed::Instead(item) | Placed::Full(item) => off.push(item),
                    }
                    put += 1;
                } else {
                    off.extend(shelf.pop(lane));
                }
                prop_assert!(shelf.len() <= 10 && shelf.waiting()[1] <= 4 && shelf.waiting()[3] <= 2);
            }
            off.extend(shelf.clear());
            off.sort_unstable();
            prop_assert_eq!(off, (0..put).collect::<Vec<u32>>());
        }
    }
}
