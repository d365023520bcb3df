//! One worker: its share of the devices, its timers, and the loop that releases readings when they are due.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender};
use tokio::task::{JoinSet, LocalSet};

use super::control::Order;
use super::cpu::CpuSample;
use super::delivery::{Delivery, DeliveryRouter};
use super::device::Device;
use super::drive::drive;
use super::exchange;
use super::fault::{Faults, weather};
use super::idle::IdlePolicy;
use super::ledger::Ledger;
use super::pause::{Hold, Reachability, WaitTotals};
use super::reason::{FleetReasons, attempt_cut_short};
use super::share::Share;
use super::timer::{Entry, Task, TimerQueue};
use super::{End, Setup, WorkerReport};
use crate::clock::{Monotonic, Pacer, Tick, thread_cpu_time};
use crate::fault::Effect;
use crate::protocol::{Endpoint, Settings};
use crate::record::{
    Detection, Finding, FleetId, Kind, Layout, Outcome, PhaseId, Reason, Sample, Sink, Traffic,
};
use crate::scenario::{Model, Plan};

/// How long connections may take to say goodbye, all together.
pub(super) const GOODBYE: Duration = Duration::from_secs(1);

/// How long a run that is lost waits for the answers to what is open.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Due entries dealt with before the devices get their turn.
const BATCH: usize = 64;

/// What the worker is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Running,
    /// No further reading is sent; open ones are being settled.
    Draining,
    /// Everything is settled; connections say goodbye.
    Closing,
}

/// What all tasks of one worker share. Lives on one thread.
#[derive(Debug)]
pub(super) struct Worker<S> {
    pub(super) clock: Monotonic,
    pub(super) plan: Arc<Plan>,
    pub(super) endpoints: Arc<Vec<Endpoint>>,
    /// Session settings, by fleet.
    pub(super) settings: Vec<Settings>,
    pub(super) sink: RefCell<S>,
    /// Why readings fail where the engine knows by itself, by fleet.
    pub(super) reasons: Vec<FleetReasons>,
    /// Bytes not yet told to the sink, by fleet.
    pub(super) traffic: Vec<Cell<Traffic>>,
    pub(super) unheard: Cell<u64>,
    pub(super) share: Share,
    /// To the other workers, by their index.
    pub(super) out: Vec<Sender<Delivery>>,
    /// The fleet whose hearing closes the readings of a fleet, by fleet.
    pub(super) hearers: Vec<Option<FleetId>>,
    /// Payload and address of the reading being sent.
    pub(super) payload: RefCell<Vec<u8>>,
    pub(super) address: RefCell<Vec<u8>>,
    /// Unix time at the beginning of the run, nanoseconds.
    pub(super) epoch_ns: u64,
    timers: RefCell<TimerQueue>,
    pub(super) faults: Faults,
    pub(super) devices: Vec<Rc<Device>>,
    /// When each fleet could connect again, as far as this worker's devices show.
    pub(super) reach: Vec<RefCell<Reachability>>,
    stage: Cell<Stage>,
    /// Readings and connection attempts that were planned and have no outcome yet.
    open: Cell<u64>,
    pub(super) idle: IdlePolicy,
    /// Its accounts at the beginning of the measured phases, and when it last looked.
    account: Cell<Option<(CpuSample, CpuSample)>>,
    /// When everything that was due in the plan had been released.
    released: Cell<Tick>,
}

/// Drives one share of the plan to its end on the calling thread.
pub(super) fn work<S: Sink>(
    setup: &Setup,
    share: Share,
    router: DeliveryRouter,
    sink: S,
) -> io::Result<WorkerReport> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().event_interval(31).build()?;
    let began = setup.clock.now();
    let DeliveryRouter { out, mut inbound } = router;
    let worker = Rc::new_cyclic(|worker| Worker::new(setup, share, out, sink, worker));
    let tasks = LocalSet::new();
    let (end, finished, pacer) = tasks.block_on(&runtime, async {
        let mut pacer = Pacer::new(setup.clock);
        let mut drives = JoinSet::new();
        for device in &worker.devices {
            drives.spawn_local(drive(Rc::clone(&worker), Rc::clone(device)));
        }
        let end = worker.conduct(&mut pacer, &mut inbound, setup).await?;
        let finished = setup.clock.now();
        worker.tell_traffic(finished);
        worker.sink.borrow_mut().finish(finished);
        if end != End::Aborted {
            worker.enter(Stage::Closing);
            let farewell = async { while drives.join_next().await.is_some() {} };
            // A peer that does not let go in time is simply left.
            let _ = tokio::time::timeout(GOODBYE, farewell).await;
        }
        drives.abort_all();
        io::Result::Ok((end, finished, pacer.kind()))
    })?;
    let account = worker.account.get().and_then(|(from, to)| from.until(&to));
    let wall = Duration::from_nanos(setup.clock.now().since(began));
    Ok(WorkerReport {
        end,
        finished,
        cpu: thread_cpu_time(),
        wall,
        waited: Duration::from_nanos(worker.idle.waited_ns()),
        busy: account.map(|account| account.busy),
        starved: account.and_then(|account| account.starved),
        stalls: worker.idle.stalls(),
        overrun: Duration::from_nanos(worker.released.get().since(setup.plan.end())),
        pacer,
        unheard: worker.unheard.get(),
    })
}

impl<S: Sink> Worker<S> {
    fn new(setup: &Setup, share: Share, out: Vec<Sender<Delivery>>, sink: S, itself: &Weak<Self>) -> Self {
        let plan = Arc::clone(&setup.plan);
        let faults = Faults::new(&plan, setup.switches.clone());
        let fleets = &plan.scenario().fleets;
        let settings = fleets.iter().map(|fleet| exchange::settings(&plan, fleet)).collect();
        let hearers = fleets.iter().map(|fleet| exchange::hearer(&plan, fleet)).collect();
        let devices = share.globals(plan.devices()).enumerate().map(|(slot, global)| {
            let device = plan.device(global);
            let fleet = &fleets[usize::from(device.fleet.0)];
            let backlog = match fleet.model {
                Model::Open { backlog, .. } => backlog,
                // A closed device never has more open readings than its in-flight limit.
                Model::Closed { .. } => fleet.in_flight,
                Model::Subscriber => 0,
            };
            let ledger =
                Ledger::new(device.fleet, device.index, fleet.timeout.as_ns(), fleet.in_flight, backlog);
            let weather = faults
                .any(&device.hits, Effect::on_connections)
                .then(|| weather(itself, &plan, slot as u32, &device));
            let ailing = faults.any(&device.hits, Effect::on_readings);
            Rc::new(Device::new(slot as u32, device, fleet, ledger, (weather, ailing)))
        });
        let devices = devices.collect();
        let reach = fleets.iter().map(|_| RefCell::default()).collect();
        Self {
            clock: setup.clock,
            endpoints: Arc::clone(&setup.endpoints),
            settings,
            sink: RefCell::new(sink),
            reasons: fleets.iter().map(|fleet| FleetReasons::new(&plan, fleet)).collect(),
            traffic: fleets.iter().map(|_| Cell::default()).collect(),
            unheard: Cell::new(0),
            share,
            out,
            hearers,
            payload: RefCell::new(Vec::with_capacity(256)),
            address: RefCell::default(),
            epoch_ns: setup.epoch_ns,
            timers: RefCell::default(),
            faults,
            devices,
            reach,
            stage: Cell::new(Stage::Running),
            open: Cell::new(0),
            idle: IdlePolicy::from(setup.plan.measuring_starts()),
            account: Cell::new(None),
            released: Cell::new(Tick::ZERO),
            plan,
        }
    }

    pub(super) fn layout(&self) -> &Layout {
        self.plan.layout()
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage.get()
    }

    /// Puts an entry into the timer queue, and wakes the pacer if it would sleep past it.
    pub(super) fn schedule(&self, at: Tick, device: &Device, task: Task) {
        self.timers.borrow_mut().push(Entry { at, slot: device.slot, task });
        self.idle.expect(at);
    }

    /// The global index of a device.
    pub(super) fn global(&self, device: &Device) -> u32 {
        self.share.global(device.slot)
    }

    /// From `at` on the device is held by `hold`.
    pub(super) fn hold(&self, device: &Device, hold: Hold, at: Tick) {
        let mut stay = device.stay.get();
        if stay.hold() != hold {
            let own_ns = stay.turn(hold, at, &self.reach[usize::from(device.fleet.0)].borrow());
            device.stay.set(stay);
            if own_ns > 0 {
                device.ledger.borrow_mut().delay(own_ns);
            }
        }
    }

    /// What the device has waited until `at` otherwise than for the service.
    pub(super) fn waited(&self, device: &Device, at: Tick) -> WaitTotals {
        device.stay.get().waited(at, &self.reach[usize::from(device.fleet.0)].borrow())
    }

    /// Records that a reading came due or a connection attempt began.
    pub(super) fn open(&self) {
        self.open.set(self.open.get() + 1);
    }

    /// Records what the delivery audit found.
    pub(super) fn finding(&self, device: &Device, finding: Finding, phase: PhaseId, seq: u64) {
        let index = device.plan.borrow().index;
        self.sink.borrow_mut().finding(phase, device.fleet, finding, index, seq);
    }

    /// The reasons of the fleet of `device`.
    pub(super) fn reasons(&self, device: &Device) -> &FleetReasons {
        &self.reasons[usize::from(device.fleet.0)]
    }

    /// Records the end of a reading that the engine gave up by itself.
    pub(super) fn give_up(&self, device: &Device, sample: &Sample) {
        let reason = self.reasons(device).of(sample);
        self.settle(device, sample, Some(&reason));
    }

    /// Records the outcome of a reading or connection attempt, and why, unless it ended ok.
    pub(super) fn settle(&self, device: &Device, sample: &Sample, reason: Option<&Reason>) {
        debug_assert_eq!(sample.outcome.is_censored(), reason.is_some(), "a failure has a reason");
        self.sink.borrow_mut().completed(sample);
        if let Some(reason) = reason {
            self.sink.borrow_mut().failed(sample, reason);
        }
        if let Some(mark) = sample.mark {
            let found = sample.flagged == Some(true) && device.found.replace(mark.episode) != mark.episode;
            let plan = device.plan.borrow();
            self.sink.borrow_mut().detection(&Detection { sample, mark, device: plan.device.id(), found });
        }
        self.open.set(self.open.get() - 1);
        if sample.kind == Kind::Reading && self.stage.get() == Stage::Running {
            self.follow_up(device, sample.completed);
        }
        if self.open.get() == 0 && self.stage.get() == Stage::Draining {
            self.idle.rouse();
        }
    }

    /// In the closed model the end of one reading plans the next.
    fn follow_up(&self, device: &Device, completed: Tick) {
        let Model::Closed { think } = self.plan.fleet(device.fleet).model else { return };
        let next = completed.plus_ns(think.as_ns());
        if next >= device.ends {
            return;
        }
        if think.as_ns() == 0 {
            self.release(device, next, completed);
        } else {
            self.schedule(next, device, Task::Due);
        }
    }

    /// A reading is due: into the device's book with it. `now` is not before `intended`.
    fn release(&self, device: &Device, intended: Tick, now: Tick) {
        let phase = self.layout().phase_at(intended);
        let mut reading = device.plan.borrow_mut().device.reading(intended);
        if device.ailing {
            self.misread(device, &mut reading);
        }
        self.sink.borrow_mut().planned(phase, device.fleet, Kind::Reading);
        self.open();
        let waited = self.waited(device, now);
        let dropped = device.ledger.borrow_mut().due(phase, reading, device.linked.get(), now, waited);
        match dropped {
            Some(sample) => self.give_up(device, &sample),
            None => device.wake(),
        }
    }

    /// Puts the first entries of every device into the timer queue.
    fn begin(&self) {
        for device in &self.devices {
            let outage = device.policy.outage();
            let outage = outage.into_iter().flat_map(|outage| [outage.from, outage.until]);
            for at in device.connect_at.into_iter().chain(device.leave_at).chain(outage) {
                self.schedule(at, device, Task::Wake);
            }
            let fleet = self.plan.fleet(device.fleet);
            match fleet.model {
                Model::Open { .. } => self.plan_next(device),
                Model::Closed { .. } if device.starts < device.ends => {
                    for _ in 0..fleet.in_flight {
                        self.schedule(device.starts, device, Task::Due);
                    }
                }
                Model::Closed { .. } | Model::Subscriber => {}
            }
        }
    }

    fn plan_next(&self, device: &Device) {
        let next = device.plan.borrow_mut().next_due();
        if let Some(at) = next {
            self.schedule(at, device, Task::Due);
        }
    }

    /// Does what is due at `now`, up to a batch: a crowd that is due at one instant must not keep the first of it from being
    /// sent. False if more is due.
    fn attend(&self, now: Tick) -> bool {
        for _ in 0..BATCH {
            let entry = self.timers.borrow_mut().pop_due(now);
            let Some(entry) = entry else { return true };
            let device = &self.devices[entry.slot as usize];
            match entry.task {
                Task::Due if self.stage.get() == Stage::Running => {
                    self.release(device, entry.at, now);
                    if self.is_open_model(device.fleet) {
                        self.plan_next(device);
                    }
                }
                Task::Due => {}
                Task::Wake | Task::Expire | Task::KeepAlive => device.wake(),
                Task::Strike(fault) => {
                    if self.stage.get() == Stage::Running && !self.faults.was_stopped(fault) {
                        self.strike(device, fault, true, now);
                    }
                }
            }
        }
        false
    }

    fn is_open_model(&self, fleet: FleetId) -> bool {
        matches!(self.plan.fleet(fleet).model, Model::Open { .. })
    }

    /// The worker's main loop: from the first connection to the end of the drain.
    async fn conduct(
        &self,
        pacer: &mut Pacer,
        inbound: &mut Receiver<Delivery>,
        setup: &Setup,
    ) -> io::Result<End> {
        let mut orders = setup.control.subscribe();
        let mut switches = setup.control.switches();
        let mut end = End::Complete;
        let interval_ns = self.layout().interval_ns;
        let mut boundary = Tick(interval_ns);
        let mut horizon = self.plan.end();
        self.begin();
        loop {
            let now = self.clock.now();
            self.idle.come_round(now);
            self.turn_faults(now);
            let attended = self.attend(now);
            while boundary <= now {
                self.tell_open(now);
                self.sink.borrow_mut().rotate(boundary);
                boundary = boundary.plus_ns(interval_ns);
                self.take_stock(now);
            }
            let order = *orders.borrow_and_update();
            if order == Order::Abort {
                self.enter(Stage::Draining);
                self.lose_the_rest(now);
                return Ok(End::Aborted);
            }
            // The plan is over once everything that was due in it has been released.
            let over = attended && now >= horizon;
            if self.stage.get() == Stage::Running && (over || order != Order::Run) {
                if !over {
                    end = End::Interrupted;
                }
                self.released.set(now);
                self.take_stock(now);
                self.heal(now);
                self.enter(Stage::Draining);
                let drain = self.plan.scenario().run.drain.as_duration();
                let drain = if order == Order::Conclude { drain.min(LAST_ANSWERS) } else { drain };
                horizon = now + drain;
            }
            if self.stage.get() == Stage::Draining && (self.open.get() == 0 || now >= horizon) {
                self.lose_the_rest(now);
                return Ok(end);
            }
            while let Ok(heard) = inbound.try_recv() {
                self.deliver(heard);
            }
            while let Ok(switch) = switches.try_recv() {
                self.pull(switch, self.clock.now());
            }
            let next = self.timers.borrow().next().unwrap_or(Tick::FAR);
            let deadline = next.min(boundary).min(horizon).min(self.faults.next());
            if self.idle.must_stay_awake(now, deadline, self.open.get() > 0) {
                self.idle.stay_awake(&self.clock, now).await;
                continue;
            }
            self.idle.fall_asleep(deadline);
            tokio::select! {
                biased;
                () = self.idle.roused() => {}
                Some(heard) = inbound.recv() => self.deliver(heard),
                _ = orders.changed() => {}
                Ok(switch) = switches.recv() => self.pull(switch, self.clock.now()),
                woke = pacer.doze_until(deadline) => woke?,
            }
            self.idle.wake();
        }
    }

    /// Looks at the thread's accounts, at the ends of intervals within the measured phases.
    fn take_stock(&self, now: Tick) {
        if now < self.plan.measuring_starts() || self.stage.get() == Stage::Draining {
            return;
        }
        let account = CpuSample::read(now, self.idle.waited_ns());
        let first = self.account.get().map_or(account, |(first, _)| first);
        self.account.set(Some((first, account)));
    }

    fn enter(&self, stage: Stage) {
        self.stage.set(stage);
        for device in &self.devices {
            device.wake();
        }
    }

    /// Nobody waits any longer: whatever is still open is lost.
    fn lose_the_rest(&self, now: Tick) {
        for device in &self.devices {
            loop {
                let lost = device.ledger.borrow_mut().lose(now);
                let Some(sample) = lost else { break };
                self.give_up(device, &sample);
            }
            if let Some(attempt) = device.attempt.take() {
                let sample = attempt_sample(device, attempt, Outcome::Lost, now);
                self.settle(device, &sample, Some(&attempt_cut_short()));
            }
        }
    }
}

/// The record of a connection attempt that ended as `outcome`.
pub(super) fn attempt_sample(
    device: &Device,
    attempt: super::device::Attempt,
    outcome: Outcome,
    now: Tick,
) -> Sample {
    Sample {
        phase: attempt.phase,
        fleet: device.fleet,
        device: device.plan.borrow().index,
        kind: Kind::Connect,
        seq: 0,
        intended: attempt.intended,
        eligible: Some(attempt.intended),
        actual: Some(attempt.actual),
        completed: now,
        outcome,
        stages: None,
        mark: None,
        flagged: None,
        own_wait_ns: 0,
        plan_wait_ns: 0,
    }
}
