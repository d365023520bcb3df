//! Where readings wait for a worker: the queue under a lock, with workers that sleep on it.

mod priority;

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;

use self::priority::PriorityQueue;
pub(super) use self::priority::PushResult;
use crate::service::{Priority, Queue as Setup};

#[derive(Debug, Clone, Copy, Default)]
struct Sleepers {
    workers: usize,
    called: usize,
}

#[derive(Debug)]
struct State<T> {
    items: PriorityQueue<T>,
    /// Workers asleep, by shard, and how many of them have been called and not yet woken.
    sleepers: Vec<Sleepers>,
    paused: bool,
    closed: bool,
    /// The most that waited at once since it was last asked for.
    peak: usize,
    /// Whether somebody waits for room.
    wanted: bool,
}

/// The queue between connections and workers.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    calls: Vec<Condvar>,
    room: Notify,
}

impl<T> Queue<T> {
    pub(super) fn new(setup: &Setup, shards: usize) -> Self {
        let shards = shards.max(1);
        let state = State {
            items: PriorityQueue::new(setup, shards),
            sleepers: vec![Sleepers::default(); shards],
            paused: false,
            closed: false,
            peak: 0,
            wanted: false,
        };
        Self {
            state: Mutex::new(state),
            calls: (0..shards).map(|_| Condvar::new()).collect(),
            room: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // A panic under this lock is impossible: nothing is called under it but the queue.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Shards, each with readings of its own.
    pub(super) fn shards(&self) -> usize {
        self.calls.len()
    }

    /// Puts an item in, or says what is done instead. Never blocks.
    pub(super) fn push(&self, shard: usize, level: Priority, item: T) -> PushResult<T> {
        let mut state = self.state();
        if state.closed {
            return PushResult::Closed(item);
        }
        let result = state.items.push(shard, level, item);
        state.peak = state.peak.max(state.items.len());
        if matches!(result, PushResult::Full(_)) {
            state.wanted = true;
        }
        // Who is called is no longer asleep: further readings need not call again. A call is a system call.
        let Sleepers { workers, called } = state.sleepers[shard];
        let call = !state.paused && workers > called && !matches!(result, PushResult::Full(_));
        if call {
            state.sleepers[shard].called += 1;
        }
        drop(state);
        if call {
            self.calls[shard].notify_one();
        }
        result
    }

    /// Takes up to `most` items of `shard` into `out`, waiting up to `patience` for the first; false once the queue is closed.
    pub(super) fn take(&self, shard: usize, most: usize, patience: Duration, out: &mut Vec<T>) -> bool {
        let mut state = self.state();
        if (state.paused || state.items.is_empty(shard)) && !state.closed && patience > Duration::ZERO {
            state.sleepers[shard].workers += 1;
            let (woken, waited) = match self.calls[shard].wait_timeout(state, patience) {
                Ok(woken) => woken,
                Err(poisoned) => poisoned.into_inner(),
            };
            state = woken;
            let Sleepers { workers, called } = &mut state.sleepers[shard];
            *workers -= 1;
            *called = called.saturating_sub(usize::from(!waited.timed_out())).min(*workers);
        }
        if state.closed {
            return false;
        }
        if state.paused {
            return true;
        }
        while out.len() < most
            && let Some(item) = state.items.pop(shard)
        {
            out.push(item);
        }
        // Who takes nothing makes no room: another's items may fill the queue.
        let called = !out.is_empty() && std::mem::take(&mut state.wanted);
        drop(state);
        if called {
            self.room.notify_waiters();
        }
        true
    }

    /// Waits until there is room for a reading of `level`, or nothing waits here any more.
    pub(super) async fn room(&self, level: Priority) {
        loop {
            let room = self.room.notified();
            {
                let mut state = self.state();
                if state.closed || state.items.has_room(level) {
                    return;
                }
                state.wanted = true;
            }
            room.await;
        }
    }

    /// Whether a reading of `level` would find room.
    pub(super) fn has_room(&self, level: Priority) -> bool {
        self.state().items.has_room(level)
    }

    /// Items that wait, by level, most urgent first.
    pub(super) fn waiting(&self) -> [usize; 4] {
        self.state().items.waiting()
    }

    /// The most items that waited at once since the last call.
    pub(super) fn take_peak(&self) -> usize {
        let mut state = self.state();
        let waiting = state.items.len();
        std::mem::replace(&mut state.peak, waiting)
    }

    /// Items that may wait.
    pub(super) fn capacity(&self) -> usize {
        self.state().items.capacity()
    }

    /// Changes how many may wait.
    pub(super) fn resize(&self, capacity: usize) {
        self.state().items.resize(capacity);
        self.room.notify_waiters();
    }

    /// Lets workers take nothing, or go on.
    pub(super) fn pause(&self, paused: bool) {
        self.state().paused = paused;
        self.call_all();
    }

    /// Ends the queue and gives what still waited.
    pub(super) fn close(&self) -> Vec<T> {
        let mut state = self.state();
        state.closed = true;
        let rest = state.items.clear();
        drop(state);
        self.call_all();
        self.room.notify_waiters();
        rest
    }

    /// Has all workers look up, whether or not there is anything to do.
    pub(super) fn wake(&self) {
        // Under the lock, so that who is about to fall asleep is not missed.
        let state = self.state();
        self.call_all();
        drop(state);
    }

    fn call_all(&self) {
        for call in &self.calls {
            call.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn who_waits_for_room_is_called_by_whoever_makes_some() {
        let queue = Queue::new(&Setup { capacity: 1, ..Setup::default() }, 2);
        let level = Priority::Medium;
        assert!(matches!(queue.push(0, level, 1), PushResult::Queued));
        let mut room = pin!(queue.room(level));
        let mut has_come = || room.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        assert!(!has_come());
        let mut taken = Vec::new();
        assert!(queue.take(1, 1, Duration::ZERO, &mut taken) && taken.is_empty());
        assert!(!has_come());
        assert!(queue.take(0, 1, Duration::ZERO, &mut taken) && taken == [1]);
        assert!(has_come());
    }
}
