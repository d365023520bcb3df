//! The way of a reading through the service: a bounded queue to the worker that owns its device, and back to its sender.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, RwLock};
use std::thread::{self, JoinHandle};

use tokio::sync::{broadcast, mpsc, oneshot};

use super::config::Config;
use super::health::{Health, Signs};
use super::metric::{Metrics, Snapshot};
use super::reading::{Level, Reading, Verdict};
use super::worker::Worker;
use crate::clock::{Monotonic, Tick};

/// Alerts that wait for a slow listener; beyond that it misses the oldest.
const ALERTS: usize = 1_024;

/// Where a verdict goes.
#[derive(Debug)]
pub(super) enum ReplyTo {
    /// To the one request that waits for it.
    Once(oneshot::Sender<Verdict>),
    /// To a connection with several readings under way. Its owner submits no more readings than the channel has room for.
    Stream(mpsc::Sender<Verdict>),
}

impl ReplyTo {
    /// Hands the verdict over; a sender who has gone away gets none.
    fn send(self, verdict: Verdict) {
        match self {
            Self::Once(waiting) => drop(waiting.send(verdict)),
            Self::Stream(connection) => drop(connection.try_send(verdict)),
        }
    }
}

/// A reading on its way.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) reading: Reading,
    pub(super) arrived: Tick,
    pub(super) reply: ReplyTo,
}

/// An anomaly, as subscribers hear of it.
#[derive(Debug, Clone)]
pub(super) struct Alert {
    pub(super) device: Arc<str>,
    pub(super) level: Level,
    /// The verdict as JSON.
    pub(super) text: Arc<str>,
}

/// Why a reading was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The queue is full.
    QueueFull,
    /// The service is stopping.
    Stopping,
}

/// The readings that wait, counted.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    pub(super) depth: AtomicUsize,
    pub(super) alive: AtomicUsize,
    /// Set when the service stops: what still waits is no longer worth judging.
    stopping: AtomicBool,
    /// Since when readings have been refused without a break, nanoseconds on the service's clock; 0 if they are not.
    full_since: AtomicU64,
}

/// The pipeline's entrance; shared by all endpoints.
#[derive(Debug)]
pub(super) struct Pipeline {
    clock: Monotonic,
    /// One queue per worker; none once the service stops.
    queues: RwLock<Vec<SyncSender<Job>>>,
    hasher: RandomState,
    gauge: Arc<Gauge>,
    capacity: usize,
    workers: usize,
    alerts: broadcast::Sender<Alert>,
    metrics: Arc<Metrics>,
}

impl Pipeline {
    /// Starts the workers.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(super) fn start(
        config: &Config,
        clock: Monotonic,
        metrics: &Arc<Metrics>,
    ) -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let count = config.workers.max(1);
        let share = config.queue_capacity.max(1).div_ceil(count);
        let gauge = Arc::new(Gauge { depth: AtomicUsize::new(0), ..Gauge::default() });
        let alerts = broadcast::Sender::new(ALERTS);
        let (mut queues, mut threads) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for index in 0..count {
            let (queue, jobs) = sync_channel::<Job>(share);
            let mut worker = Worker::new(config, clock, Arc::clone(metrics));
            let (gauge, alerts) = (Arc::clone(&gauge), alerts.clone());
            let body = move || {
                let _alive = Alive::of(&gauge);
                while let Ok(Job { reading, arrived, reply }) = jobs.recv() {
                    gauge.depth.fetch_sub(1, Ordering::Relaxed);
                    if gauge.stopping.load(Ordering::Relaxed) {
                        break;
                    }
                    let verdict = worker.judge(reading, arrived);
                    if verdict.anomaly && alerts.receiver_count() > 0 {
                        let text = verdict.encode().into();
                        // With nobody listening by now the alert has no one to reach.
                        let _ = alerts.send(Alert {
                            device: Arc::clone(&verdict.device),
                            level: verdict.level,
                            text,
                        });
                    }
                    reply.send(verdict);
                }
            };
            threads.push(thread::Builder::new().name(format!("squall-infer-{index}")).spawn(body)?);
            queues.push(queue);
        }
        let hasher = RandomState::new();
        let (queues, capacity, metrics) = (RwLock::new(queues), share * count, Arc::clone(metrics));
        Ok((Self { clock, queues, hasher, gauge, capacity, workers: count, alerts, metrics }, threads))
    }

    /// The service's clock.
    pub(super) fn now(&self) -> Tick {
        self.clock.now()
    }

    /// Takes a reading in, or refuses it at once. Never blocks.
    pub(super) fn submit(&self, reading: Reading, arrived: Tick, reply: ReplyTo) -> Result<(), Refusal> {
        // A panic under this lock is impossible: it only ever guards this look-up and the final clearing.
        let Ok(queues) = self.queues.read() else { return Err(Refusal::Stopping) };
        if queues.is_empty() {
            return Err(Refusal::Stopping);
        }
        self.metrics.received.inc();
        let owner = (self.hasher.hash_one(&*reading.device) % queues.len() as u64) as usize;
        self.gauge.depth.fetch_add(1, Ordering::Relaxed);
        let refused = match queues[owner].try_send(Job { reading, arrived, reply }) {
            Ok(()) => {
                if self.gauge.full_since.load(Ordering::Relaxed) != 0 {
                    self.gauge.full_since.store(0, Ordering::Relaxed);
                }
                return Ok(());
            }
            Err(TrySendError::Full(_)) => Refusal::QueueFull,
            Err(TrySendError::Disconnected(_)) => Refusal::Stopping,
        };
        let now = self.now();
        self.gauge.depth.fetch_sub(1, Ordering::Relaxed);
        self.metrics.shed(now);
        // Losing the race to note the beginning means that somebody else has noted it.
        let _ = self.gauge.full_since.compare_exchange(0, now.0.max(1), Ordering::Relaxed, Ordering::Relaxed);
        Err(refused)
    }

    /// How the service is now.
    pub(super) fn health(&self) -> Health {
        let full_since =
            Some(self.gauge.full_since.load(Ordering::Relaxed)).filter(|since| *since > 0).map(Tick);
        Health::judge(&Signs {
            now: self.now(),
            queue_depth: self.gauge.depth.load(Ordering::Relaxed),
            queue_capacity: self.capacity,
            workers: self.gauge.alive.load(Ordering::Relaxed),
            workers_wanted: self.workers,
            shed: self.metrics.shed_total(),
            last_shed: self.metrics.last_shed(),
            full_since,
        })
    }

    /// The figures of this moment, for a scrape.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            queue_depth: self.gauge.depth.load(Ordering::Relaxed),
            queue_capacity: self.capacity,
            workers: self.gauge.alive.load(Ordering::Relaxed),
        }
    }

    /// Hears of every anomaly from now on.
    pub(super) fn alerts(&self) -> broadcast::Receiver<Alert> {
        self.alerts.subscribe()
    }

    /// Takes no further reading; workers end after the one they are at.
    pub(super) fn stop(&self) {
        self.gauge.stopping.store(true, Ordering::Relaxed);
        if let Ok(mut queues) = self.queues.write() {
            queues.clear();
        }
    }
}

/// Counts a worker as alive for as long as its thread runs, however it ends.
struct Alive(Arc<Gauge>);

impl Alive {
    fn of(gauge: &Arc<Gauge>) -> Self {
        gauge.alive.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(gauge))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::Relaxed);
    }
}
