//! What a worker does with a reading: features, cache, model, verdict. Nothing here waits but the inference itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::alert::{self, Alert};
use super::cache::{Cache, Flights, Found, Landing, Tier};
use super::cluster::{Luggage, Store};
use super::delivery::Repeat;
use super::detector::Defects;
use super::device::{Device, Devices, Handle, Known, open};
use super::fault::FaultRegistry;
use super::job::{Back, Job, Reason, Word};
use super::metric::Metrics;
use super::model::{CHALLENGER, CHAMPION, Costs, Experiment, Key};
use super::reading::{Level, StageTimes, Verdict};
use crate::clock::{Monotonic, Tick};
use crate::service::{FaultKind, Setup};

/// How often a device's state is left for other instances, nanoseconds.
const LEAVE_EVERY: u64 = 500_000_000;
/// No fault makes an inference longer than this, nanoseconds: its worker must come back when the fault is undone.
const LONGEST_SLOWED: f64 = 60e9;

/// What all workers share.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) clock: Monotonic,
    pub(super) setup: Setup,
    pub(super) metrics: Arc<Metrics>,
    pub(super) devices: Devices,
    pub(super) cache: Cache,
    pub(super) experiment: Experiment,
    pub(super) flights: Arc<Flights<Seat>>,
    /// The tier of the cache that instances share.
    pub(super) store: Option<Store>,
    /// Where states follow their devices.
    pub(super) luggage: Option<Luggage>,
    /// What inference costs are multiplied by, as the bits of a float.
    slowdown: AtomicU64,
    /// What goes wrong on purpose.
    pub(super) faults: FaultRegistry,
}

impl Parts {
    /// # Errors
    /// If the address of the shared cache is none.
    pub(super) fn new(setup: &Setup, clock: Monotonic, metrics: &Arc<Metrics>) -> io::Result<Self> {
        let store = setup.cache.shared.as_ref().map(|shared| Store::new(shared, clock)).transpose();
        let luggage = setup.cluster.as_ref().map(|cluster| Luggage::new(cluster, clock)).transpose();
        Ok(Self {
            luggage: luggage.map_err(io::Error::other)?.flatten(),
            store: store.map_err(io::Error::other)?,
            clock,
            setup: setup.clone(),
            metrics: Arc::clone(metrics),
            devices: Devices::new(setup.features.devices.max(1)),
            cache: Cache::new(&setup.cache),
            experiment: Experiment::new(setup.experiment),
            flights: Flights::new(),
            slowdown: AtomicU64::new(1.0_f64.to_bits()),
            faults: FaultRegistry::default(),
        })
    }

    /// Computes the answers of `keys` and remembers them, as the models of the day give them; how many.
    pub(super) fn warm(&self, keys: &[Key]) -> usize {
        let now = self.clock.now();
        for key in keys {
            let key = Key { version: self.cache.version(usize::from(key.model)), ..*key };
            self.cache.insert(key, key.score(), now, 0);
        }
        keys.len()
    }

    /// Multiplies the cost of every inference from now on.
    pub(super) fn slow_down(&self, factor: f64) {
        self.slowdown.store(factor.to_bits(), Ordering::Relaxed);
    }

    /// What inference costs are multiplied by now.
    pub(super) fn slowdown(&self) -> f64 {
        f64::from_bits(self.slowdown.load(Ordering::Relaxed))
    }
}

/// A reading between its features and its score.
#[derive(Debug)]
pub(super) struct Seat {
    /// None once it is answered.
    job: Option<Job>,
    name: Arc<str>,
    device: Handle,
    /// What both models see.
    keys: [Key; 2],
    arm: usize,
    /// What is wrong with the reading as data.
    defects: Defects,
    taken: Tick,
    featured: Tick,
    looked: Tick,
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Its worker crashed: the reading was not worked on, and is new when it is sent again.
        if let Some(job) = &self.job {
            open(&self.device).recent.retract(job.reading.seq);
        }
    }
}

/// An inference to be made: for a reading, or only to renew an answer that has aged.
#[derive(Debug)]
pub(super) struct Task {
    key: Key,
    /// The number of the device that asked.
    device: u64,
    seat: Option<Seat>,
    landing: Option<Landing<Seat>>,
}

/// One worker's way of working on readings.
#[derive(Debug)]
pub(super) struct Processor {
    parts: Arc<Parts>,
    costs: Costs,
    back: Back,
    /// Whether several inferences may be under way at once, so that some may be for the same answer.
    shares: bool,
}

impl Processor {
    /// The processor of worker `index`.
    pub(super) fn new(parts: &Arc<Parts>, back: Back, index: usize) -> Self {
        let Setup { inference, experiment, workers, cache, .. } = &parts.setup;
        let costs = Costs::new(*inference, experiment.cost, index);
        let several = workers.count > 1 || workers.batch > 1 || costs.is_wait();
        let shares = cache.single_flight && several && !costs.is_free();
        Self { parts: Arc::clone(parts), costs, back, shares }
    }

    /// Takes a reading as far as it goes without an inference; gives the inference it needs, if any.
    pub(super) fn begin(&mut self, job: Job) -> Option<Task> {
        let parts = Arc::clone(&self.parts);
        let taken = parts.clock.now();
        let waited = taken.since(job.arrived);
        if parts.setup.queue.deadline.is_some_and(|deadline| waited > deadline.as_ns()) {
            parts.metrics.shed(taken, Reason::Overdue);
            job.refuse(Reason::Overdue, 0);
            return None;
        }
        let device = self.device(&job.reading.device);
        let mut seat = self.seat(job, device, taken)?;
        let key = seat.keys[seat.arm];
        let found = if parts.faults.strikes(FaultKind::CacheOff) {
            None
        } else {
            parts.cache.get(&key, seat.looked).or_else(|| self.ask_others(key, &seat))
        };
        seat.looked = parts.clock.now();
        match found {
            Some(found) => {
                self.audit(&seat, key, found);
                let device = parts.devices.number(&seat.name);
                let renew = (found.tier == Tier::Stale).then(|| self.renewal(key, device)).flatten();
                self.finish(seat, found.score, found.tier, 0);
                renew
            }
            None => self.task(key, seat),
        }
    }

    /// The state of a device: its own, the one it left elsewhere, or a new one.
    fn device(&self, name: &Arc<str>) -> Handle {
        let Parts { devices, metrics, luggage, .. } = &*self.parts;
        let (device, known) = devices.get(name);
        if known == Known::NotAnother {
            metrics.devices_evicted.inc();
        }
        if known != Known::Before
            && let Some(state) = luggage.as_ref().and_then(|luggage| luggage.fetch(name))
        {
            metrics.devices_moved.inc();
            *open(&device) = state;
        }
        device
    }

    /// Leaves a device's state for other instances, now and then.
    fn leave(&self, name: &str, state: &mut Device, now: Tick) {
        if let Some(luggage) = &self.parts.luggage
            && now.since(state.left) > LEAVE_EVERY
        {
            state.left = now;
            luggage.leave(name, state);
        }
    }

    /// Takes the reading into its device's state. None if it is one that came before.
    fn seat(&self, job: Job, device: Handle, taken: Tick) -> Option<Seat> {
        let parts = &self.parts;
        let resolution = parts.setup.features.resolution;
        let mut state = open(&device);
        if parts.setup.delivery.idempotent {
            match state.recent.arrive(job.reading.seq) {
                Repeat::New => {}
                repeat => {
                    drop(state);
                    self.repeat(job, repeat, taken);
                    return None;
                }
            }
        }
        if let Some(window) = &parts.setup.features.window {
            let windows = state.windows.get_or_insert_default();
            // A reading without a time of its own was taken when it came.
            if !windows.add(job.reading.taken_ns.unwrap_or(job.arrived.0), job.reading.value, window) {
                parts.metrics.late.inc();
            }
        }
        let rules = &parts.setup.features;
        // By the service's own clock: a device whose clock is wrong is not silent.
        let defects = state.quality.observe(job.reading.value, job.arrived, rules);
        for word in defects.words() {
            parts.metrics.defect(word);
        }
        let arm = parts.experiment.arm_of(&job.reading.device);
        let champion = state.detector.observe(job.reading.value, resolution);
        let challenger = if parts.experiment.is_on() {
            state.challenger.observe(job.reading.value, resolution)
        } else {
            champion
        };
        drop(state);
        let key =
            |model: usize, vector| Key { vector, model: model as u8, version: parts.cache.version(model) };
        let keys = [key(CHAMPION, champion), key(CHALLENGER, challenger)];
        let featured = parts.clock.now();
        let name = Arc::clone(&job.reading.device);
        Some(Seat { job: Some(job), name, device, keys, arm, defects, taken, featured, looked: featured })
    }

    /// Answers a reading that came before, without any effect.
    fn repeat(&self, job: Job, repeat: Repeat, taken: Tick) {
        self.parts.metrics.duplicates.inc();
        let (score, level) = match repeat {
            Repeat::Known(score, level) => (score, level),
            Repeat::New | Repeat::Forgotten => (0.0, Level::None),
        };
        let now = self.parts.clock.now();
        let stages = StageTimes {
            queue_ns: taken.since(job.arrived),
            features_ns: now.since(taken),
            total_ns: now.since(job.arrived),
            ..StageTimes::default()
        };
        let verdict = Verdict {
            device: Arc::clone(&job.reading.device),
            seq: job.reading.seq,
            score,
            anomaly: level != Level::None,
            level,
            tier: Tier::Exact,
            model: 0,
            duplicate: true,
            defects: Defects::default(),
            stages,
            arrived: job.arrived,
        };
        job.answer(verdict);
    }

    /// Asks the tier that instances share, and remembers what it says.
    fn ask_others(&self, key: Key, seat: &Seat) -> Option<Found> {
        let score = self.parts.store.as_ref()?.get(&key)?;
        self.parts.cache.insert(key, score, self.parts.clock.now(), self.parts.devices.number(&seat.name));
        Some(Found { score, tier: Tier::Shared })
    }

    fn task(&self, key: Key, seat: Seat) -> Option<Task> {
        let device = self.parts.devices.number(&seat.name);
        if !self.shares {
            return Some(Task { key, device, seat: Some(seat), landing: None });
        }
        // Who has to wait for an inference under way gives way to others: no worker is held up.
        let (landing, seat) = self.parts.flights.join(key, seat).err()?;
        Some(Task { key, device, seat: Some(seat), landing: Some(landing) })
    }

    fn renewal(&self, key: Key, device: u64) -> Option<Task> {
        let landing = self.parts.flights.lead(key)?;
        Some(Task { key, device, seat: None, landing: Some(landing) })
    }

    /// What the next inference of these readings costs, nanoseconds; none of them must be empty.
    pub(super) fn cost(&mut self, tasks: &[Task]) -> u64 {
        let is_challenger = tasks.iter().all(|task| usize::from(task.key.model) == CHALLENGER);
        let cost = self.costs.next(is_challenger, tasks.len(), self.parts.slowdown());
        let faults = &self.parts.faults;
        if cost == 0 || !faults.is_on(FaultKind::Slow) {
            return cost;
        }
        (cost as f64 * faults.slowdown()).min(LONGEST_SLOWED.max(cost as f64)) as u64
    }

    /// Whether an inference only waits, so that others can be under way meanwhile.
    pub(super) fn waits(&self) -> bool {
        self.costs.is_wait()
    }

    /// Makes one inference for all of `tasks`, on the calling thread.
    pub(super) fn infer(&mut self, tasks: &mut Vec<Task>) {
        self.labour(tasks);
        self.conclude(tasks);
    }

    /// Spends on the calling thread what one inference for all of `tasks` costs.
    pub(super) fn labour(&mut self, tasks: &[Task]) {
        if !tasks.is_empty() {
            let cost = self.cost(tasks);
            self.costs.spend(self.parts.clock, cost);
        }
    }

    /// Ends the inference of `tasks`: remembers the answers, and gives everybody who waits theirs.
    pub(super) fn conclude(&mut self, tasks: &mut Vec<Task>) {
        for Task { key, device, seat, landing } in tasks.drain(..) {
            let score = key.score();
            let now = self.parts.clock.now();
            // A model that was replaced meanwhile is not remembered: its key would never be asked for.
            // Nor is anything while the cache is passed by.
            if key.version == self.parts.cache.version(usize::from(key.model))
                && !self.parts.faults.is_on(FaultKind::CacheOff)
            {
                self.parts.cache.insert(key, score, now, device);
                if let Some(store) = &self.parts.store {
                    store.put(&key, score);
                }
            }
            let passengers = landing.map_or_else(Vec::new, Landing::land);
            if let Some(seat) = seat {
                let inference_ns = now.since(seat.looked);
                self.finish(seat, score, Tier::Miss, inference_ns);
            } else {
                self.parts.metrics.cache_renewals.inc();
            }
            for seat in passengers {
                let inference_ns = now.since(seat.looked);
                self.finish(seat, score, Tier::Coalesced, inference_ns);
            }
        }
    }

    /// Compares a similar answer with the true one.
    fn audit(&self, seat: &Seat, key: Key, found: Found) {
        if found.tier == Tier::Semantic && self.parts.setup.cache.audit {
            let level = |score| alert::level(score, &self.parts.setup.alerts.thresholds);
            let metrics = &self.parts.metrics;
            metrics.cache_audited.inc();
            if level(found.score) != level(key.score()) {
                metrics.cache_false.inc();
            }
        }
        debug_assert!(seat.arm == usize::from(key.model));
    }

    fn finish(&self, mut seat: Seat, score: f64, tier: Tier, inference_ns: u64) {
        let Parts { clock, setup, metrics, experiment, .. } = &*self.parts;
        let Some(job) = seat.job.take() else { return };
        let Seat { device, keys, arm, taken, featured, looked, .. } = &seat;
        let (keys, arm, taken, featured, looked) = (*keys, *arm, *taken, *featured, *looked);
        let mut state = open(device);
        let (judged, now) = (state.watch.judge(score, arm, &setup.alerts.thresholds), clock.now());
        let (score, level) = state.detector.verdict((score, judged), &setup.alerts.thresholds);
        let publish = state.watch.alerts(level, score, now, &setup.alerts);
        self.leave(&job.reading.device, &mut state, now);
        if setup.delivery.idempotent {
            state.recent.note(job.reading.seq, score, level);
        }
        let mut said = [level != Level::None; 2];
        if experiment.is_on() {
            // The other model's word on the same reading; its answer is not paid for.
            let other = 1 - arm;
            said[other] =
                state.watch.judge(keys[other].score(), other, &setup.alerts.thresholds) != Level::None;
        }
        drop(state);
        if experiment.is_on() {
            experiment.note(arm, inference_ns, said);
        }
        metrics.tier(tier, self.parts.cache.is_on());
        metrics.verdicts.inc();
        if level != Level::None {
            metrics.anomalies.inc();
        }
        let stages = StageTimes {
            queue_ns: taken.since(job.arrived),
            features_ns: featured.since(taken),
            cache_ns: looked.since(featured),
            inference_ns,
            reply_ns: 0,
            total_ns: now.since(job.arrived),
        };
        let verdict = Verdict {
            device: Arc::clone(&job.reading.device),
            seq: job.reading.seq,
            score,
            anomaly: level != Level::None,
            level,
            tier,
            model: keys[arm].version,
            duplicate: false,
            defects: seat.defects,
            stages,
            arrived: job.arrived,
        };
        if publish {
            let (device, seq) = (Arc::clone(&verdict.device), verdict.seq);
            self.raise(Alert { device, seq, level, score, at_ms: now.0 / 1_000_000, instance: None });
        }
        job.answer(verdict);
    }

    /// Hands an alert to the serving thread; where so many are on their way that verdicts might be in need of the room, it is
    /// counted instead.
    fn raise(&self, alert: Alert) {
        self.parts.metrics.alerts.inc();
        if self.back.capacity() < self.back.max_capacity() / 8
            || self.back.try_send(Word::Alert(alert)).is_err()
        {
            self.parts.metrics.alerts_lost.inc();
        }
    }
}
