//! The threads that work on jobs, and are started again when they crash: what they had at hand goes back to the board.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Jobs;
use super::board::{Attempt, Ended};
use crate::units::Span;

/// How long a worker sleeps at most; only a bound, for it is called when there is something to do.
const NAP: Duration = Duration::from_millis(500);

/// The job a worker is at. Dropped before it is over, that is in a crash, it goes back.
struct Held<'a> {
    jobs: &'a Jobs,
    number: u64,
    is_over: bool,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.jobs.take_back(self.number);
        }
    }
}

impl Jobs {
    /// Starts the workers, where there is anything to work on.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(in crate::reference) fn start(self: &Arc<Self>) -> io::Result<Vec<JoinHandle<()>>> {
        let start = |index: usize| {
            let jobs = Arc::clone(self);
            thread::Builder::new().name(format!("squall-job-{index}")).spawn(move || jobs.supervise(index))
        };
        (0..self.workers()).map(start).collect()
    }

    /// Makes up to `most` workers crash at once; one that is at a job crashes at the end of the part it is at. How many will.
    pub(in crate::reference) fn crash_at_once(&self, most: usize) -> usize {
        let condemned = most.min(self.workers());
        // Under the lock, so that no worker falls asleep between its look and the call.
        let board = self.board();
        self.condemned.store(condemned, Ordering::Relaxed);
        drop(board);
        self.called.notify_all();
        condemned
    }

    /// Runs a worker, and another in its place whenever it crashes.
    fn supervise(&self, index: usize) {
        while catch_unwind(AssertUnwindSafe(|| self.work())).is_err() {
            self.worker_crashes.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                worker = index,
                restart_ms = self.restart.as_duration().as_millis() as u64,
                "a worker for jobs crashed"
            );
            if !self.pause(self.restart) {
                return;
            }
        }
    }

    fn work(&self) {
        while let Some(attempt) = self.next_attempt() {
            self.perform(&attempt);
        }
    }

    /// The next try, once there is one; none when the service stops.
    fn next_attempt(&self) -> Option<Attempt> {
        loop {
            self.meet_doom();
            let mut board = self.board();
            if self.stopping.load(Ordering::Relaxed) {
                return None;
            }
            if self.condemned.load(Ordering::Relaxed) > 0 {
                continue;
            }
            let now = self.clock.now();
            if let Some(attempt) = board.take(now) {
                self.tell(&board, attempt.number);
                return Some(attempt);
            }
            let nap = board.next_due().map_or(NAP, |due| Duration::from_nanos(due.since(now)).min(NAP));
            drop(self.called.wait_timeout(board, nap).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Makes a try, in parts of which subscribers hear.
    pub(super) fn perform(&self, attempt: &Attempt) {
        let mut held = Held { jobs: self, number: attempt.number, is_over: false };
        let class = &self.setup.classes[attempt.class];
        if !attempt.is_settled {
            let steps = class.steps.max(1);
            for step in 1..=steps {
                if !self.pause(Span::from_ns(class.cost.as_ns() / u64::from(steps))) {
                    held.is_over = true;
                    return;
                }
                self.meet_doom();
                if step < steps {
                    self.advance(attempt.number, step);
                }
            }
            if let Err(reason) = self.workplace.labour(attempt, class, self.setup.seed) {
                held.is_over = true;
                self.finish(attempt, Err(&reason));
                return;
            }
            self.board().settle(attempt.number);
            self.meet_doom();
        }
        held.is_over = true;
        self.finish(attempt, Ok(()));
    }

    fn finish(&self, attempt: &Attempt, outcome: Result<(), &str>) {
        let mut board = self.board();
        let ended = board.finish(attempt.number, outcome, self.clock.now());
        self.tell(&board, attempt.number);
        drop(board);
        match ended {
            Ended::Done => {}
            // Who waits for the next due one may have to wake sooner.
            Ended::Retry(_) => self.call(),
            Ended::Dead => tracing::warn!(
                class = self.setup.classes[attempt.class].name,
                job = attempt.number,
                "a job failed in all its tries"
            ),
        }
    }

    fn advance(&self, number: u64, step: u32) {
        let mut board = self.board();
        board.step(number, step);
        self.tell(&board, number);
    }

    fn take_back(&self, number: u64) {
        let mut board = self.board();
        board.crash(number, self.clock.now());
        self.tell(&board, number);
        drop(board);
        self.call();
    }

    /// Waits for so long; false if the service stops meanwhile.
    fn pause(&self, span: Span) -> bool {
        let end = self.clock.now().plus_ns(span.as_ns());
        let mut board = self.board();
        while !self.stopping.load(Ordering::Relaxed) {
            let left = end.since(self.clock.now());
            if left == 0 {
                return true;
            }
            let waited = self.halted.wait_timeout(board, Duration::from_nanos(left));
            board = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    /// Crashes if a crash was asked for. The panic hook is passed by: nothing is wrong with the program.
    fn meet_doom(&self) {
        let take = |condemned: usize| condemned.checked_sub(1);
        if self.condemned.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            resume_unwind(Box::new("a crash was asked for"));
        }
    }
}
