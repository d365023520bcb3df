//! The worker pool: threads that take readings from the queue, and are started again when they crash.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::answer::{Reason, ReturnPath, Unanswered};
use super::processor::{Processor, Shared, Task};
use super::queue::Queue;
use crate::clock::Tick;
use crate::service::{WorkerMode, Workers};

/// Readings that are taken from the queue at once where inferences cost nothing: few, so that what is more urgent need not wait
/// for them.
const HANDFUL: usize = 16;
/// How long a worker sleeps at most; only a bound, for it is called when there is something to do.
const NAP: Duration = Duration::from_millis(500);
/// A worker that lived for so long has not crashed at once.
const PROVEN: u64 = 5_000_000_000;
/// Longest wait before a worker is started again.
const LONGEST_RESTART: Duration = Duration::from_secs(10);

/// What a worker is.
const GONE: u8 = 0;
const ALIVE: u8 = 1;
/// It is to crash at once.
const CONDEMNED: u8 = 2;

/// What the pool and its workers know of one another.
#[derive(Debug)]
pub(super) struct Pool {
    shared: Arc<Shared>,
    queue: Arc<Queue<Unanswered>>,
    back: Arc<ReturnPath>,
    /// What each worker is.
    workers: Vec<AtomicU8>,
    /// Workers that are to crash at their next reading.
    doomed: AtomicUsize,
    stopping: AtomicBool,
}

impl Pool {
    pub(super) fn new(
        shared: &Arc<Shared>,
        queue: &Arc<Queue<Unanswered>>,
        back: Arc<ReturnPath>,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::clone(shared),
            queue: Arc::clone(queue),
            back,
            // A question before their threads have come up is to find none missing.
            workers: (0..shared.setup.workers.count).map(|_| AtomicU8::new(ALIVE)).collect(),
            doomed: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        })
    }

    /// Starts the workers.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(super) fn start(self: &Arc<Self>) -> std::io::Result<Vec<JoinHandle<()>>> {
        let start = |index: usize| {
            let pool = Arc::clone(self);
            thread::Builder::new().name(format!("squall-infer-{index}")).spawn(move || pool.supervise(index))
        };
        (0..self.shared.setup.workers.count).map(start).collect()
    }

    /// Workers that run.
    pub(super) fn alive(&self) -> usize {
        self.workers.iter().filter(|worker| worker.load(Ordering::Relaxed) != GONE).count()
    }

    /// Makes one worker crash at its next reading.
    pub(super) fn crash(&self) {
        self.doomed.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes up to `most` workers crash at once: one that is at an inference crashes at its end, before the answer. How many will.
    pub(super) fn crash_at_once(&self, most: usize) -> usize {
        let condemn = |worker: &&AtomicU8| {
            worker.compare_exchange(ALIVE, CONDEMNED, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        let condemned = self.workers.iter().filter(condemn).take(most).count();
        self.queue.wake();
        condemned
    }

    /// Lets workers end after the reading they are at.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        for waiting in self.queue.close() {
            waiting.refuse(Reason::Stopped, 0);
        }
    }

    /// Runs a worker, and another in its place whenever it crashes, after a wait that doubles while they crash at once.
    fn supervise(&self, index: usize) {
        let first = self.shared.setup.workers.restart.as_duration().max(Duration::from_millis(1));
        let mut wait = first;
        loop {
            let began = self.shared.clock.now();
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.work(index)));
            if ended.is_ok() || self.stopping.load(Ordering::Relaxed) {
                return;
            }
            self.shared.metrics.worker_crashes.inc();
            tracing::warn!(worker = index, restart_ms = wait.as_millis() as u64, "a worker crashed");
            if self.shared.clock.now().since(began) > PROVEN {
                wait = first;
            }
            thread::sleep(wait);
            wait = (wait * 2).min(LONGEST_RESTART);
        }
    }

    fn work(&self, index: usize) {
        let _alive = self.workers.get(index).map(AliveGuard::of);
        tracing::debug!(worker = index, "a worker starts");
        let mut processor = Processor::new(&self.shared, Arc::clone(&self.back), index);
        let shard = index % self.queue.shards();
        let Workers { mode, .. } = self.shared.setup.workers;
        if mode == WorkerMode::Async && processor.waits() {
            self.work_overlapped(index, shard, &mut processor);
        } else {
            self.work_in_batches(index, shard, &mut processor);
        }
    }

    /// One inference after the other.
    fn work_in_batches(&self, index: usize, shard: usize, processor: &mut Processor) {
        let Workers { batch, batch_wait, .. } = self.shared.setup.workers;
        let batch = batch.max(1);
        let most = if self.shared.setup.inference.is_free() { HANDFUL.max(batch) } else { batch };
        let (mut readings, mut tasks) = (Vec::with_capacity(most), Vec::with_capacity(most));
        while self.queue.take(shard, most, NAP, &mut readings) {
            self.meet_sentence(index);
            let began = (!readings.is_empty()).then(|| self.shared.clock.now());
            if !readings.is_empty() && batch > 1 {
                let end = self.shared.clock.now().plus_ns(batch_wait.as_ns());
                while readings.len() < batch
                    && let left @ 1.. = end.since(self.shared.clock.now())
                    && self.queue.take(shard, batch, Duration::from_nanos(left), &mut readings)
                {
                }
            }
            for reading in readings.drain(..) {
                self.meet_doom();
                tasks.extend(processor.begin(reading));
                if tasks.len() >= batch {
                    self.infer(index, processor, &mut tasks);
                }
            }
            self.infer(index, processor, &mut tasks);
            if let Some(began) = began {
                self.shared.metrics.worked(self.shared.clock.now().since(began));
            }
        }
    }

    /// Makes one inference for all of `tasks`.
    fn infer(&self, index: usize, processor: &mut Processor, tasks: &mut Vec<Task>) {
        processor.labour(tasks);
        self.meet_sentence(index);
        processor.conclude(tasks);
    }

    /// Many inferences at once, each of which only waits.
    fn work_overlapped(&self, index: usize, shard: usize, processor: &mut Processor) {
        let Workers { batch, in_flight, .. } = self.shared.setup.workers;
        let (mut readings, mut under_way) = (Vec::new(), InFlight::default());
        loop {
            self.meet_sentence(index);
            let now = self.shared.clock.now();
            while let Some(mut tasks) = under_way.due(now) {
                processor.conclude(&mut tasks);
            }
            let nap = under_way.next().map_or(NAP, |due| Duration::from_nanos(due.since(now)).min(NAP));
            let room = in_flight.max(1).saturating_sub(under_way.len());
            if room == 0 {
                thread::sleep(nap);
                continue;
            }
            // With something due at once the queue is only looked at.
            if !self.queue.take(
                shard,
                room.min(batch.max(1)),
                nap.max(Duration::from_nanos(1)),
                &mut readings,
            ) {
                return;
            }
            let mut tasks = Vec::new();
            for reading in readings.drain(..) {
                self.meet_doom();
                tasks.extend(processor.begin(reading));
            }
            if !tasks.is_empty() {
                let cost = processor.cost(&tasks);
                // One of so many that may be under way is a part of the worker.
                self.shared.metrics.worked(cost / in_flight.max(1) as u64);
                under_way.add(self.shared.clock.now().plus_ns(cost), tasks);
            }
        }
    }

    /// Crashes if a crash was asked for. The panic hook is passed by: nothing is wrong with the program.
    fn meet_doom(&self) {
        let take = |doomed: usize| doomed.checked_sub(1);
        if self.doomed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            std::panic::resume_unwind(Box::new("a crash was asked for"));
        }
    }

    /// The same, if it was asked of this worker.
    fn meet_sentence(&self, index: usize) {
        if self.workers.get(index).is_some_and(|worker| worker.load(Ordering::Relaxed) == CONDEMNED) {
            std::panic::resume_unwind(Box::new("a crash was asked for"));
        }
    }
}

/// Inferences under way, by when they end.
#[derive(Debug, Default)]
struct InFlight {
    ends: BinaryHeap<Reverse<(Tick, u64)>>,
    tasks: std::collections::HashMap<u64, Vec<Task>>,
    last: u64,
}

impl InFlight {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn add(&mut self, end: Tick, tasks: Vec<Task>) {
        self.last += 1;
        self.ends.push(Reverse((end, self.last)));
        self.tasks.insert(self.last, tasks);
    }

    fn next(&self) -> Option<Tick> {
        self.ends.peek().map(|Reverse((end, _))| *end)
    }

    fn due(&mut self, now: Tick) -> Option<Vec<Task>> {
        let Reverse((end, number)) = self.ends.peek().copied()?;
        if end > now {
            return None;
        }
        self.ends.pop();
        self.tasks.remove(&number)
    }
}

/// Counts a worker as alive for as long as it runs, however it ends.
struct AliveGuard<'a>(&'a AtomicU8);

impl<'a> AliveGuard<'a> {
    fn of(worker: &'a AtomicU8) -> Self {
        // One that was condemned before it came up stays so.
        let _ = worker.compare_exchange(GONE, ALIVE, Ordering::Relaxed, Ordering::Relaxed);
        Self(worker)
    }
}

impl Drop for AliveGuard<'_> {
    fn drop(&mut self) {
        self.0.store(GONE, Ordering::Relaxed);
    }
}
