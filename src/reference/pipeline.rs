//! The way of a reading through the service: past the gate into the queue, to a worker, and back to its sender.

mod fault;

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use super::cluster::ClusterBus;
use super::delivery::DeadLetters;
use super::health::{Health, HealthInputs};
use super::job::{Job, Reason, ReplySender, ReplyTo};
use super::metric::{Metrics, Snapshot};
use super::pool::Pool;
use super::processor::{Processor, Shared};
use super::queue::{PushResult, Queue};
use super::reading::Reading;
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
    queue: Arc<Queue<Job>>,
    pool: Arc<Pool>,
    back: ReplySender,
    dead_letters: DeadLetters,
    operation: AtomicU8,
    /// Readings that may wait when no fault says otherwise.
    capacity: AtomicUsize,
    /// Since when readings have been refused without a break, nanoseconds on the service's clock; 0 if they are not.
    full_since: AtomicU64,
    /// When it was last said that it is full.
    said_full: AtomicU64,
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
        let shared = Arc::new(Shared::new(setup, clock, metrics)?);
        let shards = match setup.workers.assignment {
            Assignment::Device => setup.workers.count,
            Assignment::Shared => 1,
        };
        let queue = Arc::new(Queue::new(&setup.queue, shards));
        let pool = Pool::new(&shared, &queue, back.clone());
        let threads = pool.start()?;
        let pipeline = Self {
            dead_letters: DeadLetters::new(setup.delivery.dead_letters),
            shared,
            queue,
            pool,
            back,
            operation: AtomicU8::new(Operation::Running as u8),
            capacity: AtomicUsize::new(setup.queue.capacity.max(1)),
            full_since: AtomicU64::new(0),
            said_full: AtomicU64::new(0),
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
        self.shared.metrics.received.inc();
        if self.operation() == Operation::Stopped {
            return self.refused(Reason::Stopped);
        }
        let level = reading.priority.unwrap_or_else(|| self.setup().queue.level_of(&reading.device));
        let job = |reading| Job::new(reading, arrived, reply_to, self.back.clone());
        if self.setup().workers.count == 0 {
            self.inline(job(reading));
            return Submission::Taken;
        }
        let shards = self.queue.shards() as u64;
        let shard = if shards == 1 { 0 } else { self.shared.devices.number(&reading.device) % shards };
        match self.queue.push(shard as usize, level, job(reading)) {
            PushResult::Queued => {}
            PushResult::Displaced(older) => {
                self.blame_a_shrunken_queue();
                self.shared.metrics.shed(self.now(), Reason::Displaced);
                older.refuse(Reason::Displaced, RETRY_MS);
            }
            PushResult::Full(job) => {
                let reading = job.recall();
                if self.setup().queue.overflow == Overflow::Block {
                    return Submission::Blocked(reading);
                }
                // Losing the race to note the beginning means that somebody else has noted it.
                self.blame_a_shrunken_queue();
                let now = self.now().0.max(1);
                let _ = self.full_since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
                self.say_full(now);
                return self.refused(Reason::QueueFull);
            }
            PushResult::Closed(job) => {
                job.recall();
                return self.refused(Reason::Stopped);
            }
        }
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
        self.shared.metrics.shed(self.now(), reason);
        Submission::Refused(reason, RETRY_MS)
    }

    /// Works on a reading at once, on the calling thread: whoever else it serves has to wait.
    fn inline(&self, job: Job) {
        thread_local! {
            static PROCESSOR: RefCell<Option<(usize, Processor)>> = const { RefCell::new(None) };
        }
        // A thread serves one service as a rule; tests may start another on it.
        let service = Arc::as_ptr(&self.shared) as usize;
        PROCESSOR.with_borrow_mut(|processor| {
            if processor.as_ref().is_none_or(|(of, _)| *of != service) {
                *processor = Some((service, Processor::new(&self.shared, self.back.clone(), 0)));
            }
            if let Some((_, processor)) = processor {
                let mut tasks: Vec<_> = processor.begin(job).into_iter().collect();
                processor.infer(&mut tasks);
            }
        });
    }

    /// Counts a reading that the gate refused.
    pub(super) fn turned_away(&self, now: Tick, reason: Reason) {
        self.shared.metrics.received.inc();
        self.shared.metrics.shed(now, reason);
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

    /// Makes one worker crash at its next reading.
    pub(super) fn crash_worker(&self) {
        self.pool.crash();
    }

    /// Changes how many readings may wait.
    pub(super) fn resize_queue(&self, capacity: usize) {
        self.capacity.store(capacity.max(1), Ordering::Relaxed);
        self.settle();
    }

    /// How the service is now; `bus` is what leads to other instances.
    pub(super) fn health(&self, bus: Option<&ClusterBus>) -> Health {
        let full_since = Some(self.full_since.load(Ordering::Relaxed)).filter(|since| *since > 0).map(Tick);
        let metrics = &self.shared.metrics;
        let links = [
            bus.map(|bus| (bus.link(), "alerts stay on this instance")),
            bus.and_then(ClusterBus::gate)
                .map(|gate| (gate.link(), "each instance has its part of the quotas")),
            self.shared.store.as_ref().map(|store| (store.link(), "scores are computed here")),
            self.shared.states.as_ref().map(|states| (states.link(), "devices that move begin anew")),
        ];
        let away = links
            .into_iter()
            .flatten()
            .filter_map(|(link, meanwhile)| Some(format!("{}; {meanwhile}", link.complaint()?)));
        Health::judge(&HealthInputs {
            away: away.collect(),
            now: self.now(),
            queue_depth: self.queue.waiting().iter().sum(),
            queue_capacity: self.queue.capacity(),
            workers: self.pool.alive(),
            workers_wanted: self.setup().workers.count,
            shed: metrics.shed_total(),
            last_shed: metrics.last_shed(),
            full_since,
            operation: self.operation(),
            faults: self.shared.faults.active(self.now()),
        })
    }

    /// The figures of this moment, for a scrape.
    pub(super) fn snapshot(&self) -> Snapshot {
        let faults = &self.shared.faults;
        let active = faults.active(self.now()).into_iter().map(|fault| (fault.name, fault.kind));
        Snapshot {
            faults: active.collect(),
            fault_acts: FaultKind::ALL.iter().map(|kind| faults.acts(*kind)).collect(),
            waiting: self.queue.waiting(),
            queue_capacity: self.queue.capacity(),
            workers: self.pool.alive(),
            devices: self.shared.devices.len(),
            cached: self.shared.cache.len(),
        }
    }

    /// The most readings that waited at once since the last call.
    pub(super) fn take_queue_peak(&self) -> usize {
        self.queue.take_peak()
    }

    /// Takes no further reading; workers end after the one they are at.
    pub(super) fn stop(&self) {
        self.operation.store(Operation::Stopped as u8, Ordering::Relaxed);
        self.pool.stop();
    }
}
