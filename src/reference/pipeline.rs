//! The way of a reading through the service: past the gate into the queue, to a worker, and back to its sender.

mod fault;
mod observation;
mod topic;

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

pub(super) use self::topic::MOST as MOST_TOPICS;
use self::topic::Topics;
use super::answer::{Reason, ReplySender, ReplyTo, ReturnPath, Unanswered, WorkerMessage};
use super::delivery::DeadLetters;
use super::health::Monitor;
use super::job::Jobs;
use super::metric::Metrics;
use super::pool::Pool;
use super::processor::{Processor, Shared};
use super::queue::{PushResult, Queue};
use super::reading::Reading;
use super::state::{Journal, Past};
use crate::clock::{Monotonic, Tick};
use crate::service::{Assignment, FaultKind, Overflow, Priority, Setup};

/// When to try again after the queue was full, milliseconds.
const RETRY_MS: u64 = 1_000;

/// How often it is said that the queue is full, nanoseconds.
const SAY_EVERY: u64 = 1_000_000_000;

/// Whether the service takes readings and works on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// It does both.
    Running,
    /// It takes them and lets them wait.
    Paused,
    /// It refuses them.
    Stopped,
}

impl Operation {
    /// The word in `/v1/realtime`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// What became of a reading.
#[derive(Debug)]
pub(super) enum Submission {
    /// Its answer will come.
    Taken,
    /// There is no room, and its connection is to wait for it.
    Blocked(Reading),
    /// It was refused. No answer will come.
    Refused(Reason, u64),
}

/// The pipeline's entrance; shared by all endpoints.
#[derive(Debug)]
pub(super) struct Pipeline {
    shared: Arc<Shared>,
    queue: Arc<Queue<Unanswered>>,
    pool: Arc<Pool>,
    back: Arc<ReturnPath>,
    jobs: Arc<Jobs>,
    dead_letters: DeadLetters,
    monitor: Monitor,
    operation: AtomicU8,
    topics: Topics,
    /// Readings that may wait when no fault says otherwise.
    capacity: AtomicUsize,
    /// Since when no reading has found room, nanoseconds on the service's clock; 0 if the last one did.
    full_since: AtomicU64,
    /// When it was last said that it is full.
    said_full: AtomicU64,
    /// Alerts from before the service started.
    past: Mutex<Past>,
}

impl Pipeline {
    /// Starts the workers; what they have to say goes to `back`.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(super) fn start(
        setup: &Setup,
        clock: Monotonic,
        metrics: &Arc<Metrics>,
        back: ReplySender,
    ) -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let mut shared = Shared::new(setup, clock, metrics)?;
        shared.journal = Journal::open(setup.state.as_ref())?;
        let shared = Arc::new(shared);
        let shards = match setup.workers.assignment {
            Assignment::Device => setup.workers.count,
            Assignment::Shared => 1,
        };
        let queue = Arc::new(Queue::new(&setup.queue, shards));
        let back = ReturnPath::new(back, metrics);
        // Before the first reading: it is judged by the state of before.
        let past = shared.journal.as_ref().map(|journal| journal.start(&shared, &back)).transpose()?;
        let pool = Pool::new(&shared, &queue, Arc::clone(&back));
        let mut threads = pool.start()?;
        let jobs = Jobs::new(&shared);
        threads.extend(jobs.start()?);
        let pipeline = Self {
            dead_letters: DeadLetters::new(setup.delivery.dead_letters),
            shared,
            queue,
            pool,
            back,
            jobs,
            monitor: Monitor::new(),
            operation: AtomicU8::new(Operation::Running as u8),
            topics: Topics::default(),
            capacity: AtomicUsize::new(setup.queue.capacity.max(1)),
            full_since: AtomicU64::new(0),
            said_full: AtomicU64::new(0),
            past: Mutex::new(past.unwrap_or_default()),
        };
        Ok((pipeline, threads))
    }

    /// The service's clock.
    pub(super) fn now(&self) -> Tick {
        self.shared.clock.now()
    }

    /// What it counts.
    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    /// How the service is set up.
    pub(super) fn setup(&self) -> &Setup {
        &self.shared.setup
    }

    /// What the workers share.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// What the service does beside judging readings.
    pub(super) const fn jobs(&self) -> &Arc<Jobs> {
        &self.jobs
    }

    /// Takes the alerts from before the service started.
    pub(super) fn take_past(&self) -> Past {
        std::mem::take(&mut self.past.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What could not be processed.
    pub(super) const fn dead_letters(&self) -> &DeadLetters {
        &self.dead_letters
    }

    /// Readings that may be under way at once: in the queue, with workers, and on their way back.
    pub(super) fn most_under_way(setup: &Setup) -> usize {
        let workers = &setup.workers;
        let held = workers.count.max(1) * (workers.batch.max(16) + workers.in_flight);
        setup.queue.capacity.saturating_add(held).saturating_add(16_384)
    }

    /// Takes a reading in, or refuses it at once. Never blocks, unless the service works inline.
    pub(super) fn submit(&self, reading: Reading, arrived: Tick, reply_to: ReplyTo) -> Submission {
        if self.operation() == Operation::Stopped || !self.topics.admit(reading.class()) {
            return self.refused(Reason::Stopped);
        }
        let level = reading.priority.unwrap_or_else(|| self.setup().queue.level_of(reading.class()));
        let unanswered = |reading| Unanswered::new(reading, arrived, reply_to, Arc::clone(&self.back));
        if self.setup().workers.count == 0 {
            self.shared.metrics.received.inc();
            self.inline(unanswered(reading));
            return Submission::Taken;
        }
        let shards = self.queue.shards() as u64;
        let shard = if shards == 1 { 0 } else { self.shared.devices.number(&reading.device) % shards };
        match self.queue.push(shard as usize, level, unanswered(reading)) {
            PushResult::Queued => {}
            PushResult::Displaced(older) => {
                self.blame_a_shrunken_queue();
                older.refuse(Reason::Displaced, RETRY_MS);
            }
            PushResult::Full(unanswered) => {
                let reading = unanswered.recall();
                let now = self.now().0.max(1);
                // Losing the race to note the beginning means that somebody else has noted it.
                let _ = self.full_since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
                if self.setup().queue.overflow == Overflow::Block {
                    // It counts once it is let in.
                    return Submission::Blocked(reading);
                }
                self.blame_a_shrunken_queue();
                self.say_full(now);
                return self.refused(Reason::QueueFull);
            }
            PushResult::Closed(unanswered) => {
                unanswered.recall();
                return self.refused(Reason::Stopped);
            }
        }
        self.shared.metrics.received.inc();
        if self.full_since.load(Ordering::Relaxed) != 0 {
            self.full_since.store(0, Ordering::Relaxed);
        }
        // Whatever is let wait now is let wait by it.
        self.shared.faults.strikes(FaultKind::Stall);
        Submission::Taken
    }

    /// Says that the queue is full, once a second at the most: under overload it is so again and again.
    fn say_full(&self, now: u64) {
        let last = self.said_full.load(Ordering::Relaxed);
        if last == 0 || now - last.min(now) > SAY_EVERY {
            self.said_full.store(now, Ordering::Relaxed);
            tracing::warn!(capacity = self.queue.capacity(), "the queue is full");
        }
    }

    fn refused(&self, reason: Reason) -> Submission {
        self.shared.metrics.turn_away(reason);
        Submission::Refused(reason, RETRY_MS)
    }

    /// Works on a reading at once, on the calling thread: whoever else it serves has to wait.
    fn inline(&self, unanswered: Unanswered) {
        thread_local! {
            static PROCESSOR: RefCell<Option<(usize, Processor)>> = const { RefCell::new(None) };
        }
        // A thread serves one service as a rule; tests may start another on it.
        let service = Arc::as_ptr(&self.shared) as usize;
        PROCESSOR.with_borrow_mut(|processor| {
            if processor.as_ref().is_none_or(|(of, _)| *of != service) {
                *processor = Some((service, Processor::new(&self.shared, Arc::clone(&self.back), 0)));
            }
            if let Some((_, processor)) = processor {
                let mut tasks: Vec<_> = processor.begin(unanswered).into_iter().collect();
                processor.infer(&mut tasks);
            }
        });
    }

    /// Waits until a reading of `level` would find room.
    pub(super) async fn room(&self, level: Priority) {
        self.queue.room(level).await;
    }

    /// Whether the queue is full and set up to push back instead of refusing.
    pub(super) fn pushes_back(&self) -> bool {
        let queue = &self.setup().queue;
        queue.overflow == Overflow::Block
            && self.setup().workers.count > 0
            && !self.queue.has_room(queue.usual)
    }

    /// What the service does now.
    pub(super) fn operation(&self) -> Operation {
        [Operation::Running, Operation::Paused, Operation::Stopped]
            .into_iter()
            .find(|operation| *operation as u8 == self.operation.load(Ordering::Relaxed))
            .unwrap_or(Operation::Stopped)
    }

    /// Makes the service run, pause or stop taking readings.
    pub(super) fn operate(&self, operation: Operation) {
        tracing::info!(operation = operation.name(), "asked for");
        self.operation.store(operation as u8, Ordering::Relaxed);
        self.settle();
    }

    /// The classes of devices whose readings are taken.
    pub(super) const fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Makes one worker crash at its next reading.
    pub(super) fn crash_worker(&self) {
        self.pool.crash();
    }

    /// Changes how many readings may wait.
    pub(super) fn resize_queue(&self, capacity: usize) {
        self.capacity.store(capacity.max(1), Ordering::Relaxed);
        self.settle();
    }

    /// The most readings that waited at once since the last call.
    pub(super) fn take_queue_peak(&self) -> usize {
        self.queue.take_peak()
    }

    /// Hands something to the serving thread that is to be told to whoever listens; false where too much is on its way there.
    pub(super) fn publish(&self, message: WorkerMessage) -> bool {
        self.back.publish(message)
    }

    /// Takes no further reading; workers end after the one they are at.
    pub(super) fn stop(&self) {
        self.operation.store(Operation::Stopped as u8, Ordering::Relaxed);
        self.pool.stop();
        self.jobs.stop();
    }

    /// Has all that is to outlive the process written down, once nobody works any more.
    pub(super) fn end_journal(&self) {
        if let Some(journal) = &self.shared.journal {
            journal.stop();
        }
    }
}
