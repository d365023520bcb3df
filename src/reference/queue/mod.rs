//! Where readings wait for a worker: the shelf under a lock, with workers that sleep on it.

mod shelf;

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;

use self::shelf::{Placed, Shelf};
use crate::service::{Priority, Queue as Setup};

/// What became of an item.
#[derive(Debug)]
pub(super) enum Entry<T> {
    /// It waits.
    In,
    /// It waits, and this one made room for it.
    Instead(T),
    /// There is no room.
    Full(T),
    /// Nothing waits here any more.
    Closed(T),
}

#[derive(Debug, Clone, Copy, Default)]
struct Asleep {
    workers: usize,
    called: usize,
}

#[derive(Debug)]
struct State<T> {
    shelf: Shelf<T>,
    /// Workers asleep, by lane, and how many of them have been called and not yet woken.
    asleep: Vec<Asleep>,
    paused: bool,
    closed: bool,
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
    pub(super) fn new(setup: &Setup, lanes: usize) -> Self {
        let lanes = lanes.max(1);
        let state = State {
            shelf: Shelf::new(setup, lanes),
            asleep: vec![Asleep::default(); lanes],
            paused: false,
            closed: false,
            wanted: false,
        };
        Self {
            state: Mutex::new(state),
            calls: (0..lanes).map(|_| Condvar::new()).collect(),
            room: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // A panic under this lock is impossible: nothing is called under it but the shelf.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Lanes, each with readings of its own.
    pub(super) fn lanes(&self) -> usize {
        self.calls.len()
    }

    /// Puts an item in, or says what is done instead. Never blocks.
    pub(super) fn push(&self, lane: usize, level: Priority, item: T) -> Entry<T> {
        let mut state = self.state();
        if state.closed {
            return Entry::Closed(item);
        }
        let placed = state.shelf.push(lane, level, item);
        if matches!(placed, Placed::Full(_)) {
            state.wanted = true;
        }
        // Who is called is no longer asleep: further readings need not call again. A call is a system call.
        let Asleep { workers, called } = state.asleep[lane];
        let call = !state.paused && workers > called && !matches!(placed, Placed::Full(_));
        if call {
            state.asleep[lane].called += 1;
        }
        drop(state);
        if call {
            self.calls[lane].notify_one();
        }
        match placed {
            Placed::In => Entry::In,
            Placed::Instead(item) => Entry::Instead(item),
            Placed::Full(item) => Entry::Full(item),
        }
    }

    /// Takes up to `most` items of `lane` into `out`, waiting up to `patience` for the first; false once the queue is closed.
    pub(super) fn take(&self, lane: usize, most: usize, patience: Duration, out: &mut Vec<T>) -> bool {
        let mut state = self.state();
        if (state.paused || state.shelf.is_empty(lane)) && !state.closed && patience > Duration::ZERO {
            state.asleep[lane].workers += 1;
            let (woken, waited) = match self.calls[lane].wait_timeout(state, patience) {
                Ok(woken) => woken,
                Err(poisoned) => poisoned.into_inner(),
            };
            state = woken;
            let Asleep { workers, called } = &mut state.asleep[lane];
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
            && let Some(item) = state.shelf.pop(lane)
        {
            out.push(item);
        }
        let called = std::mem::take(&mut state.wanted) && !out.is_empty();
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
                if state.closed || state.shelf.has_room(level) {
                    return;
                }
                state.wanted = true;
            }
            room.await;
        }
    }

    /// Whether a reading of `level` would find room.
    pub(super) fn has_room(&self, level: Priority) -> bool {
        self.state().shelf.has_room(level)
    }

    /// Items that wait, by level, most urgent first.
    pub(super) fn waiting(&self) -> [usize; 4] {
        self.state().shelf.waiting()
    }

    /// Items that may wait.
    pub(super) fn capacity(&self) -> usize {
        self.state().shelf.capacity()
    }

    /// Changes how many may wait.
    pub(super) fn resize(&self, capacity: usize) {
        self.state().shelf.resize(capacity);
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
        let rest = state.shelf.clear();
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
