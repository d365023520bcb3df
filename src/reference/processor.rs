//! What a worker does with a reading: features, cache, model, verdict. Nothing here waits but the inference itself.

mod pending;
mod publication;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) use self::pending::PendingReading;
use self::pending::Undo;
use super::alert;
use super::answer::{Reason, ReturnPath, Unanswered};
use super::cache::{Cache, CachedScore, Leader, SingleFlight, Tier};
use super::cluster::{CacheOrder, ScoreStore, StateStore};
use super::delivery::{Repeat, Said};
use super::detector::Defects;
use super::device::{Conclusion, Device, Devices, Handle, Lookup, Scores, Taken, open};
use super::fault::FaultRegistry;
use super::metric::Metrics;
use super::model::{CHALLENGER, CHAMPION, Costs, Experiment, Judged, Key};
use super::reading::{Level, Reading, StageTimes, Verdict};
use super::state::{Entry, Journal};
use crate::clock::{Monotonic, Tick, WallTime};
use crate::record::Arm;
use crate::service::{FaultKind, Setup};

/// How often a device's state is left for other instances, nanoseconds.
const LEAVE_EVERY: u64 = 500_000_000;
/// No fault makes an inference longer than this, nanoseconds: its worker must come back when the fault is undone.
const LONGEST_SLOWED: f64 = 60e9;

/// What all workers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Monotonic,
    pub(super) setup: Setup,
    pub(super) metrics: Arc<Metrics>,
    pub(super) devices: Devices,
    pub(super) cache: Cache,
    pub(super) experiment: Experiment,
    pub(super) single_flight: Arc<SingleFlight<PendingReading>>,
    /// The tier of the cache that instances share.
    pub(super) store: Option<ScoreStore>,
    /// Where states follow their devices.
    pub(super) states: Option<StateStore>,
    /// What inference costs are multiplied by, as the bits of a float.
    slowdown: AtomicU64,
    /// What goes wrong on purpose.
    pub(super) faults: Arc<FaultRegistry>,
    /// Where what must outlive a crash is written down.
    pub(super) journal: Option<Arc<Journal>>,
    /// When the clock started, nanoseconds of Unix time.
    started_ns: u64,
}

impl Shared {
    /// # Errors
    /// If the address of the shared cache is none.
    pub(super) fn new(setup: &Setup, clock: Monotonic, metrics: &Arc<Metrics>) -> io::Result<Self> {
        let store = setup.cache.shared.as_ref().map(|shared| ScoreStore::new(shared, clock)).transpose();
        let states = setup.cluster.as_ref().map(|cluster| StateStore::new(cluster, clock)).transpose();
        Ok(Self {
            states: states.map_err(io::Error::other)?.flatten(),
            store: store.map_err(io::Error::other)?,
            clock,
            setup: setup.clone(),
            metrics: Arc::clone(metrics),
            devices: Devices::new(setup.features.devices.max(1)),
            cache: Cache::new(&setup.cache),
            experiment: Experiment::new(setup.experiment),
            single_flight: SingleFlight::new(),
            slowdown: AtomicU64::new(1.0_f64.to_bits()),
            faults: Arc::default(),
            journal: None,
            started_ns: WallTime::now().epoch_ns().saturating_sub(clock.now().0),
        })
    }

    /// An instant of the service's clock on the one that devices' states are kept by: it outlives the process, and is the same for
    /// all instances as far as their machines agree.
    pub(super) const fn lasting(&self, at: Tick) -> Tick {
        at.plus_ns(self.started_ns)
    }

    /// Whether nothing that has a verdict may be lost: not with a worker, nor on the way to another instance.
    const fn keeps_every_reading(&self) -> bool {
        self.setup.state.is_some()
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

    /// Forgets what another instance has forgotten.
    pub(super) fn follow(&self, order: &CacheOrder) {
        tracing::info!(?order, "another instance forgets, and so does this one");
        match order {
            CacheOrder::Flush => {
                self.cache.clear();
            }
            CacheOrder::Version { model, version } => {
                self.cache.raise_version_to(*model, *version);
            }
            CacheOrder::Device(device) => {
                self.forget(device);
            }
        }
    }

    /// Forgets a device: how many scores were computed for it, and whether its state was known.
    pub(super) fn forget(&self, device: &str) -> (usize, bool) {
        if let Some(journal) = &self.journal {
            journal.enter(Entry::Forgotten(device.into()));
        }
        (self.cache.forget(self.devices.number(device)), self.devices.forget(device))
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

/// An inference to be made: for a reading, or only to renew an answer that has aged.
#[derive(Debug)]
pub(super) struct Task {
    key: Key,
    /// The number of the device that asked.
    device: u64,
    pending: Option<PendingReading>,
    leader: Option<Leader<PendingReading>>,
}

/// One worker's way of working on readings.
#[derive(Debug)]
pub(super) struct Processor {
    shared: Arc<Shared>,
    costs: Costs,
    back: Arc<ReturnPath>,
    /// Whether several inferences may be under way at once, so that some may be for the same answer.
    shares: bool,
}

impl Processor {
    /// The processor of worker `index`.
    pub(super) fn new(shared: &Arc<Shared>, back: Arc<ReturnPath>, index: usize) -> Self {
        let Setup { inference, experiment, workers, cache, .. } = &shared.setup;
        let costs = Costs::new(*inference, experiment.cost, index);
        let several = workers.count > 1 || workers.batch > 1 || costs.is_wait();
        let at_once = cache.single_flight && several && !costs.is_free();
        Self { shared: Arc::clone(shared), costs, back, shares: at_once }
    }

    /// Takes a reading as far as it goes without an inference; gives the inference it needs, if any.
    pub(super) fn begin(&mut self, unanswered: Unanswered) -> Option<Task> {
        let shared = Arc::clone(&self.shared);
        let taken = shared.clock.now();
        let waited = taken.since(unanswered.arrived);
        if shared.setup.queue.deadline.is_some_and(|deadline| waited > deadline.as_ns()) {
            unanswered.refuse(Reason::Overdue, 0);
            return None;
        }
        let device = self.device(&unanswered.reading.device);
        let mut pending = self.pending(unanswered, device, taken)?;
        let key = pending.keys[pending.variant];
        let found = if shared.faults.strikes(FaultKind::CacheOff) {
            None
        } else {
            shared.cache.get(&key, pending.looked).or_else(|| self.ask_others(key, &pending))
        };
        pending.looked = shared.clock.now();
        match found {
            Some(found) => {
                self.audit(&pending, key, found);
                let device = shared.devices.number(&pending.name);
                let renew = (found.tier == Tier::Stale).then(|| self.renewal(key, device)).flatten();
                self.finish(pending, found.score, found.tier, 0);
                renew
            }
            None => self.task(key, pending),
        }
    }

    /// The state of a device: its own, the one it left elsewhere, or a new one.
    fn device(&self, name: &Arc<str>) -> Handle {
        let Shared { devices, metrics, states, .. } = &*self.shared;
        let (device, lookup) = devices.get(name);
        if lookup == Lookup::AddedEvicting {
            metrics.devices_evicted.inc();
        }
        let left = states.as_ref().and_then(|states| match lookup {
            Lookup::Found if self.shared.keeps_every_reading() => states.fetch_from_others(name),
            Lookup::Found => None,
            Lookup::Added | Lookup::AddedEvicting => states.fetch(name),
        });
        if let Some(state) = left {
            metrics.devices_moved.inc();
            let mut here = open(&device);
            *here = Device { under_way: here.under_way, ..state };
            if let Some(journal) = &self.shared.journal {
                journal.enter(Entry::Device(Arc::clone(name), Box::new(here.clone())));
            }
            drop(here);
        }
        device
    }

    /// Leaves a device's state for other instances: now and then, or with every reading.
    fn leave(&self, name: &str, state: &mut Device, now: Tick) {
        if let Some(states) = &self.shared.states
            && (self.shared.keeps_every_reading() || now.since(state.left) > LEAVE_EVERY)
        {
            state.left = now;
            states.leave(name, state);
        }
    }

    /// Takes the reading into its device's state. None if it is one that came before.
    fn pending(&self, unanswered: Unanswered, device: Handle, taken: Tick) -> Option<PendingReading> {
        let shared = &self.shared;
        let mut state = open(&device);
        if shared.setup.delivery.idempotent {
            match state.recent.arrive(unanswered.reading.run, unanswered.reading.seq) {
                Repeat::New => {}
                repeat => {
                    drop(state);
                    self.repeat(unanswered, repeat, taken);
                    return None;
                }
            }
        }
        let undo = shared
            .keeps_every_reading()
            .then(|| Undo { before: Box::new(state.signal.clone()), journal: shared.journal.clone() });
        let Reading { run, seq, value, taken_ns, .. } = unanswered.reading;
        let reading = Taken { run, seq, value, taken_ns, at: shared.lasting(unanswered.arrived) };
        let closed = |window| self.publish_window(&unanswered.reading.device, window, taken);
        let observed = state.take(&reading, &shared.setup.features, shared.experiment.is_on(), closed);
        state.under_way += 1;
        let order = state.signal.taken;
        drop(state);
        if observed.is_late {
            shared.metrics.late.inc();
        }
        for word in observed.defects.words() {
            shared.metrics.defect(word);
        }
        if observed.begins_defective {
            self.raise_defects(&unanswered, observed.defects, taken);
        }
        let variant = shared.experiment.variant_of(&unanswered.reading.device);
        let [champion, challenger] = observed.vectors;
        let key =
            |model: usize, vector| Key { vector, model: model as u8, version: shared.cache.version(model) };
        let keys = [key(CHAMPION, champion), key(CHALLENGER, challenger)];
        let featured = shared.clock.now();
        let name = Arc::clone(&unanswered.reading.device);
        Some(PendingReading {
            unanswered: Some(unanswered),
            name,
            device,
            keys,
            variant,
            defects: observed.defects,
            order,
            undo,
            taken,
            featured,
            looked: featured,
        })
    }

    /// Answers a reading that came before, without any effect.
    fn repeat(&self, unanswered: Unanswered, repeat: Repeat, taken: Tick) {
        self.shared.metrics.duplicates.inc();
        let Said { score, level, model } = match repeat {
            Repeat::Known(said) => said,
            // What was said is forgotten, or still to be said: the model of the day is the one that speaks for the device.
            Repeat::New | Repeat::Forgotten => {
                let variant = self.shared.experiment.variant_of(&unanswered.reading.device);
                Said { score: 0.0, level: Level::None, model: self.shared.cache.version(variant) }
            }
        };
        let now = self.shared.clock.now();
        let stages = StageTimes {
            queue_ns: taken.since(unanswered.arrived),
            features_ns: now.since(taken),
            total_ns: now.since(unanswered.arrived),
            ..StageTimes::default()
        };
        let verdict = Verdict {
            id: unanswered.reading.id(),
            score,
            anomaly: level != Level::None,
            level,
            tier: Tier::Exact,
            model,
            arm: None,
            duplicate: true,
            defects: Defects::default(),
            stages,
            arrived: unanswered.arrived,
        };
        unanswered.answer(verdict);
    }

    /// Asks the tier that instances share, and remembers what it says.
    fn ask_others(&self, key: Key, pending: &PendingReading) -> Option<CachedScore> {
        let score = self.shared.store.as_ref()?.get(&key)?;
        self.shared.cache.insert(
            key,
            score,
            self.shared.clock.now(),
            self.shared.devices.number(&pending.name),
        );
        Some(CachedScore { score, tier: Tier::Shared })
    }

    fn task(&self, key: Key, pending: PendingReading) -> Option<Task> {
        let device = self.shared.devices.number(&pending.name);
        if !self.shares {
            return Some(Task { key, device, pending: Some(pending), leader: None });
        }
        // Who has to wait for an inference under way gives way to others: no worker is held up.
        let (leader, pending) = self.shared.single_flight.join(key, pending).err()?;
        Some(Task { key, device, pending: Some(pending), leader: Some(leader) })
    }

    fn renewal(&self, key: Key, device: u64) -> Option<Task> {
        let leader = self.shared.single_flight.lead(key)?;
        Some(Task { key, device, pending: None, leader: Some(leader) })
    }

    /// What the next inference of these readings costs, nanoseconds; none of them must be empty.
    pub(super) fn cost(&mut self, tasks: &[Task]) -> u64 {
        let is_challenger = tasks.iter().all(|task| usize::from(task.key.model) == CHALLENGER);
        let cost = self.costs.next(is_challenger, tasks.len(), self.shared.slowdown());
        let faults = &self.shared.faults;
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
            let Shared { clock, metrics, .. } = &*self.shared;
            let began = clock.now();
            self.costs.spend(*clock, cost);
            metrics.overran(clock.now().since(began).saturating_sub(cost));
        }
    }

    /// Ends the inference of `tasks`: remembers the answers, and gives everybody who waits theirs.
    pub(super) fn conclude(&mut self, tasks: &mut Vec<Task>) {
        for Task { key, device, pending, leader } in tasks.drain(..) {
            let score = key.score();
            self.shared.metrics.inferences.inc();
            let now = self.shared.clock.now();
            // A model that was replaced meanwhile is not remembered: its key would never be asked for.
            // Nor is anything while the cache is passed by.
            if key.version == self.shared.cache.version(usize::from(key.model))
                && !self.shared.faults.is_on(FaultKind::CacheOff)
            {
                self.shared.cache.insert(key, score, now, device);
                if let Some(store) = &self.shared.store {
                    store.put(&key, score);
                }
            }
            let followers = leader.map_or_else(Vec::new, Leader::finish);
            if let Some(pending) = pending {
                let inference_ns = now.since(pending.looked);
                self.finish(pending, score, Tier::Miss, inference_ns);
            } else {
                self.shared.metrics.cache_renewals.inc();
            }
            for pending in followers {
                let inference_ns = now.since(pending.looked);
                self.finish(pending, score, Tier::Coalesced, inference_ns);
            }
        }
    }

    /// Compares a similar answer with the true one.
    fn audit(&self, pending: &PendingReading, key: Key, found: CachedScore) {
        if found.tier == Tier::Semantic && self.shared.setup.cache.audit {
            let level = |score| alert::level(score, &self.shared.setup.alerts.thresholds);
            let metrics = &self.shared.metrics;
            metrics.cache_audited.inc();
            if level(found.score) != level(key.score()) {
                metrics.cache_false.inc();
            }
        }
        debug_assert!(pending.variant == usize::from(key.model));
    }

    fn finish(&self, mut pending: PendingReading, score: f64, tier: Tier, inference_ns: u64) {
        let Shared { clock, setup, experiment, .. } = &*self.shared;
        let Some(unanswered) = pending.unanswered.take() else { return };
        let PendingReading { device, keys, variant, order, taken, featured, looked, .. } = &pending;
        let (variant, now, both) = (*variant, clock.now(), experiment.is_on());
        let mut given = [0.0; 2];
        given[variant] = score;
        if both {
            given[1 - variant] = keys[1 - variant].score();
        }
        let model = keys[variant].version;
        let scores = Scores { variant, model, given, at: self.shared.lasting(now) };
        let Reading { run, seq, truth, .. } = unanswered.reading;
        let mut state = open(device);
        let Conclusion { level, publish, said } = state.conclude((run, seq), &scores, setup, both);
        state.end(*order);
        self.leave(&unanswered.reading.device, &mut state, now);
        let judged = both.then(|| {
            let truth = truth.filter(|_| experiment.asks_for_truth());
            let lesson = truth.map(|truth| state.labelled.get_or_insert_default().learn(truth, said));
            Judged { variant, inference_ns, flagged: said, lesson }
        });
        self.count(level, tier, judged);
        let stages = StageTimes {
            queue_ns: taken.since(unanswered.arrived),
            features_ns: featured.since(*taken),
            cache_ns: looked.since(*featured),
            inference_ns,
            reply_ns: 0,
            total_ns: now.since(unanswered.arrived),
        };
        let verdict = Verdict {
            id: unanswered.reading.id(),
            score,
            anomaly: level != Level::None,
            level,
            tier,
            model,
            arm: both.then(|| Arm::ALL[variant]),
            duplicate: false,
            defects: pending.defects,
            stages,
            arrived: unanswered.arrived,
        };
        let born = state.signal.born;
        // Under the lock, so that the journal has the changes of a state in their order.
        let held = self.shared.journal.is_some().then_some(state);
        self.answer(unanswered, verdict, publish, (born, *order, scores));
        drop(held);
    }
}
