//! Jobs: what the service does beside judging readings. They come over HTTP, by schedule and by alerts, wait by urgency, are tried
//! anew after a wait that doubles, and end as done or as dead letters; whoever subscribes hears of every step.
//!
//! [`Board`] has the whole order of it and knows no clock; this room gives it the instants, the workers and the subscribers.

mod board;
mod chance;
mod crew;
mod figure;
mod past;
mod report;
mod schedule;
#[cfg(test)]
mod tests;
mod watch;
mod work;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use self::board::{Board, Order};
use self::figure::ClassFigures;
use self::report::Submitter;
use self::schedule::Schedule;
use self::watch::Watchers;
use self::work::Workplace;
use super::alert::Alert;
use super::processor::Shared;
use crate::clock::{Monotonic, Tick};
use crate::service::{JobClass, Jobs as Setup, Priority};
use crate::units::Span;

pub(super) use self::board::Submitted;
pub(super) use self::figure::{Figures, Tally};
pub(super) use self::watch::{Filter, Heard, Watcher};

/// All jobs of a service; shared by its threads.
#[derive(Debug)]
pub(super) struct Jobs {
    setup: Setup,
    clock: Monotonic,
    restart: Span,
    workplace: Workplace,
    board: Mutex<Board>,
    schedule: Mutex<Schedule>,
    watchers: Watchers,
    /// Calls workers that wait for something to do.
    called: Condvar,
    /// Calls whoever pauses when the service stops.
    halted: Condvar,
    /// Calls whoever keeps the schedule.
    changed: Notify,
    /// Workers that are to crash.
    condemned: AtomicUsize,
    worker_crashes: AtomicU64,
    stopping: AtomicBool,
}

impl Jobs {
    /// The jobs of a service whose workers share `shared`.
    pub(super) fn new(shared: &Arc<Shared>) -> Arc<Self> {
        let setup = shared.setup.jobs.clone();
        Arc::new(Self {
            clock: shared.clock,
            restart: shared.setup.workers.restart,
            workplace: Workplace::new(shared),
            board: Mutex::new(Board::new(&setup)),
            schedule: Mutex::new(Schedule::new(&setup.classes)),
            watchers: Watchers::new(setup.buffer, setup.subscribers),
            called: Condvar::new(),
            halted: Condvar::new(),
            changed: Notify::new(),
            condemned: AtomicUsize::new(0),
            worker_crashes: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            setup,
        })
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        // Nothing panics while it holds the board.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The classes, in their order.
    pub(super) fn classes(&self) -> &[JobClass] {
        &self.setup.classes
    }

    /// The place of the class of this name.
    pub(super) fn class(&self, name: &str) -> Option<usize> {
        self.setup.classes.iter().position(|class| class.name == name)
    }

    /// Threads for jobs; 0 where jobs are worked on inline, or there are no classes.
    pub(super) const fn workers(&self) -> usize {
        if self.setup.classes.is_empty() { 0 } else { self.setup.workers }
    }

    /// Submits a job of a class by its place; inline it is tried before this returns.
    pub(super) fn submit(
        &self,
        class: usize,
        priority: Option<Priority>,
        key: Option<&str>,
        about: Option<&str>,
    ) -> Submitted {
        let (key, about) = (key.map(Arc::from), about.map(Arc::from));
        self.order(Order { class, by: Submitter::Request, priority, key, about })
    }

    /// Submits a job of every class whose rule an alert of this instance meets.
    pub(super) fn heed(&self, alert: &Alert) {
        for (class, setup) in self.setup.classes.iter().enumerate() {
            if setup.on_alert.is_some_and(|least| alert.level as usize > least as usize) {
                let about = format!("{} {}", alert.subject(), alert.level.name());
                let about = Some(about.into());
                self.order(Order { class, by: Submitter::Alert, priority: None, key: None, about });
            }
        }
    }

    fn order(&self, order: Order) -> Submitted {
        let mut board = self.board();
        let submitted = board.submit(order, self.clock.now());
        if let Submitted::New(number) = submitted {
            self.tell(&board, number);
        }
        drop(board);
        if matches!(submitted, Submitted::New(_)) {
            self.call();
            self.work_inline();
        }
        submitted
    }

    /// Calls one worker, and whoever keeps the time of jobs that are worked on inline.
    fn call(&self) {
        self.called.notify_one();
        if self.workers() == 0 {
            self.changed.notify_one();
        }
    }

    /// Makes the tries that are due, where no worker does.
    fn work_inline(&self) {
        while self.workers() == 0 && !self.stopping.load(Ordering::Relaxed) {
            let mut board = self.board();
            let Some(attempt) = board.take(self.clock.now()) else { return };
            self.tell(&board, attempt.number);
            drop(board);
            self.perform(&attempt);
        }
    }

    /// Submits what the schedule asks for, and makes inline tries when they are due, for as long as it is polled.
    pub(super) async fn keep_time(&self) {
        loop {
            let changed = self.changed.notified();
            match self.tend(self.clock.now()) {
                None => changed.await,
                Some(next) => {
                    let patience = Duration::from_nanos(next.since(self.clock.now()));
                    // Whichever comes first: both are a reason to look again.
                    let _ = tokio::time::timeout(patience, changed).await;
                }
            }
        }
    }

    /// Does what is due by the clock; gives when that is the case again.
    fn tend(&self, now: Tick) -> Option<Tick> {
        let mut schedule = self.schedule.lock().unwrap_or_else(PoisonError::into_inner);
        let (due, scheduled) = (schedule.due(now), schedule.next());
        drop(schedule);
        for class in due {
            let mut board = self.board();
            if let Some(number) = board.submit_scheduled(class, now) {
                self.tell(&board, number);
                self.called.notify_one();
            }
        }
        self.work_inline();
        let retry = self.board().next_due().filter(|_| self.workers() == 0);
        [scheduled, retry].into_iter().flatten().min()
    }

    fn tell(&self, board: &Board, number: u64) {
        // To find one that is over may take a while, and as a rule nobody listens.
        if self.watchers.any()
            && let Some(job) = board.find(number)
        {
            let text = job.encode(&self.setup.classes[job.class]);
            self.watchers.tell(number, job.class, text, job.is_over());
        }
    }

    /// Hears of everything that fits from now on; none if there are as many subscribers as may be.
    pub(super) fn subscribe(&self, filter: Filter) -> Option<Watcher> {
        self.watchers.subscribe(filter)
    }

    /// A job as JSON, and whether it is over; none if it is not known, or no more.
    pub(super) fn report(&self, number: u64) -> Option<(String, bool)> {
        let board = self.board();
        let job = board.find(number)?;
        Some((job.encode(&self.setup.classes[job.class]), job.is_over()))
    }

    /// Up to `most` dead letters as JSON, newest first.
    pub(super) fn dead_letters(&self, most: usize) -> Vec<String> {
        let board = self.board();
        board.dead_letters(most).map(|job| job.encode(&self.setup.classes[job.class])).collect()
    }

    /// What was counted, in the order of the classes, and the subscribers there are.
    pub(super) fn tallies(&self) -> (Vec<Tally>, usize) {
        (self.board().tallies().to_vec(), self.watchers.count())
    }

    /// The figures of this moment, for a scrape.
    pub(super) fn figures(&self) -> Figures {
        let board = self.board();
        let counted = board.tallies().iter().zip(board.times());
        let classes = self.setup.classes.iter().zip(counted);
        let figures = classes.map(|(class, (tally, times))| ClassFigures {
            name: class.name.clone(),
            tally: *tally,
            times: times.clone(),
        });
        Figures {
            classes: figures.collect(),
            worker_crashes: self.worker_crashes.load(Ordering::Relaxed),
            events_missed: self.watchers.missed(),
        }
    }

    /// Takes up no further job; workers leave the one they are at.
    pub(super) fn stop(&self) {
        let board = self.board();
        self.stopping.store(true, Ordering::Relaxed);
        drop(board);
        self.called.notify_all();
        self.halted.notify_all();
    }
}
