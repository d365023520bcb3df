//! One worker: what the tasks of its devices share, and the book-keeping that all of them do.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::audit::Audience;
use super::consumer::ConsumerFleet;
use super::cpu::CpuSample;
use super::delivery::{self, Wires};
use super::device::Device;
use super::encounter::EncounterCounter;
use super::exchange;
use super::fault::Faults;
use super::idle::IdlePolicy;
use super::pause::{Hold, Reachability, WaitTotals};
use super::reason::{FleetReasons, because};
use super::reconnect::Role;
use super::retry::Retries;
use super::setup::Setup;
use super::share::Share;
use super::timer::{Alarm, Task, TimerQueue};
use super::unclaimed::{Expecting, Unclaimed, expecting};
use crate::clock::{Monotonic, Tick};
use crate::fleet::RunFacts;
use crate::protocol::{Endpoint, Settings};
use crate::record::{
    AuditFinding, Detection, ErrorKind, FleetId, Kind, Layout, Outcome, PhaseId, Reason, Sample, Sink,
    Traffic,
};
use crate::scenario::{Fleet, Model, Plan};

/// How long connections may take to close, all together.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The stage of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// The run has not begun: devices that only listen connect.
    Standing,
    Running,
    /// No further reading is sent; open ones are being settled.
    Draining,
    /// Everything is settled; connections are closed.
    Closing,
}

/// The clock of a worker: one of its own until the run's begins.
#[derive(Debug)]
pub(super) struct WorkerClock(Cell<Monotonic>);

impl WorkerClock {
    pub(super) fn new(clock: Monotonic) -> Self {
        Self(Cell::new(clock))
    }

    pub(super) fn now(&self) -> Tick {
        self.0.get().now()
    }

    pub(super) fn set(&self, clock: Monotonic) {
        self.0.set(clock);
    }

    pub(super) fn get(&self) -> Monotonic {
        self.0.get()
    }
}

/// What all tasks of one worker share. Lives on one thread.
#[derive(Debug)]
pub(super) struct Worker<S> {
    pub(super) clock: WorkerClock,
    pub(super) plan: Arc<Plan>,
    pub(super) endpoints: Arc<Vec<Endpoint>>,
    /// Session settings, by fleet.
    pub(super) settings: Vec<Settings>,
    pub(super) sink: RefCell<S>,
    /// Why readings fail where the engine knows by itself, by fleet.
    pub(super) reasons: Vec<FleetReasons>,
    /// What devices do about attempts that fail, by fleet.
    pub(super) retries: Vec<Option<Retries>>,
    /// Bytes not yet reported to the sink, by fleet.
    pub(super) traffic: Vec<Cell<Traffic>>,
    pub(super) undelivered: Cell<u64>,
    /// What subscribers heard of this worker's devices.
    pub(super) audience: RefCell<Audience>,
    /// What its devices met of other runs, by fleet.
    pub(super) encounters: Vec<EncounterCounter>,
    pub(super) share: Share,
    /// Its devices that only hear, by fleet.
    pub(super) consumers: RefCell<Vec<ConsumerFleet>>,
    /// The fleets that are to hear what ends ok, by the fleet that sends it.
    pub(super) expecting: Vec<Vec<Expecting>>,
    /// Readings of its devices of which a group is still to hear.
    pub(super) unclaimed: RefCell<Unclaimed>,
    /// To the other workers.
    pub(super) wires: Wires,
    /// The fleet whose hearing closes the readings of a fleet, by fleet.
    pub(super) hearers: Vec<Option<FleetId>>,
    /// Payload and address of the reading being sent.
    pub(super) payload: RefCell<Vec<u8>>,
    pub(super) address: RefCell<Vec<u8>>,
    /// What payloads and templates may tell of the run.
    pub(super) run: Cell<RunFacts>,
    pub(super) timers: RefCell<TimerQueue>,
    pub(super) faults: Faults,
    pub(super) devices: Vec<Rc<Device>>,
    /// When each fleet could connect again, as far as this worker's devices show.
    pub(super) reach: Vec<RefCell<Reachability>>,
    pub(super) stage: Cell<Stage>,
    /// Readings and connection attempts that were planned and have no outcome yet.
    pub(super) open: Cell<u64>,
    pub(super) idle: IdlePolicy,
    /// Its accounts at the beginning of the measured phases, and when it last looked.
    pub(super) account: Cell<Option<(CpuSample, CpuSample)>>,
    /// When everything that was due in the plan had been released.
    pub(super) released: Cell<Tick>,
    /// How much of what the run leaves out of its plan it has taken in.
    pub(super) skips: Cell<usize>,
    /// Slots of devices whose next reading is still to be drawn.
    pub(super) undrawn: RefCell<Vec<u32>>,
}

impl<S: Sink> Worker<S> {
    /// `devices` stand in the order of their slots; `wires` lead to the other workers.
    pub(super) fn new(
        setup: &Setup,
        share: Share,
        wires: Wires,
        sink: S,
        (faults, devices): (Faults, Vec<Rc<Device>>),
    ) -> Self {
        let plan = Arc::clone(&setup.plan);
        let fleets = &plan.scenario().fleets;
        let settings = fleets.iter().map(|fleet| exchange::settings(&plan, fleet, setup.token)).collect();
        let hearers = fleets.iter().map(|fleet| exchange::hearer(&plan, fleet)).collect();
        let reach = fleets.iter().map(|_| RefCell::default()).collect();
        Self {
            clock: WorkerClock::new(setup.clock),
            endpoints: Arc::clone(&setup.endpoints),
            settings,
            sink: RefCell::new(sink),
            reasons: fleets.iter().map(|fleet| FleetReasons::new(&plan, fleet)).collect(),
            retries: retries(fleets, &devices),
            traffic: fleets.iter().map(|_| Cell::default()).collect(),
            undelivered: Cell::new(0),
            audience: RefCell::default(),
            encounters: fleets
                .iter()
                .map(|fleet| EncounterCounter::new(fleet, setup.token_is_drawn))
                .collect(),
            share,
            consumers: RefCell::new(delivery::consumers(&plan, &devices, share)),
            expecting: expecting(&plan),
            unclaimed: RefCell::default(),
            wires,
            hearers,
            payload: RefCell::new(Vec::with_capacity(256)),
            address: RefCell::default(),
            run: Cell::new(RunFacts { epoch_ns: setup.epoch_ns, token: Some(setup.token) }),
            timers: RefCell::new(TimerQueue::new(devices.len())),
            faults,
            devices,
            reach,
            stage: Cell::new(Stage::Standing),
            open: Cell::new(0),
            idle: IdlePolicy::from(setup.plan.measuring_starts()),
            account: Cell::new(None),
            released: Cell::new(Tick::ZERO),
            skips: Cell::new(0),
            undrawn: RefCell::default(),
            plan,
        }
    }

    pub(super) fn layout(&self) -> &Layout {
        self.plan.layout()
    }

    /// Where the devices of a fleet connect to.
    pub(super) fn endpoint(&self, fleet: FleetId) -> Option<&Endpoint> {
        let protocol = self.layout().fleet(fleet).protocol;
        self.endpoints.iter().find(|endpoint| endpoint.protocol() == protocol)
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage.get()
    }

    /// Waits until the run has begun: before that no device connects twice.
    pub(super) async fn begun(&self, device: &Device) {
        poll_fn(|cx| {
            device.listen(cx);
            if self.stage() == Stage::Standing { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Puts an entry into the timer queue, and wakes the pacer if it would sleep past it.
    pub(super) fn schedule(&self, at: Tick, device: &Device, task: Task) {
        self.timers.borrow_mut().push(at, device.slot, task);
        self.idle.expect(at);
    }

    /// Has the device woken at `at` for `alarm`, or before, when it has to look again.
    pub(super) fn wake_at(&self, at: Tick, device: &Device, alarm: Alarm) {
        if self.timers.borrow_mut().arm(at, device.slot, alarm) {
            self.idle.expect(at);
        }
    }

    /// The global index of a device.
    pub(super) fn global(&self, device: &Device) -> u32 {
        self.share.global(device.slot)
    }

    /// From `at` on the device is held by `hold`.
    pub(super) fn hold(&self, device: &Device, hold: Hold, at: Tick) {
        let mut wait = device.wait.get();
        if wait.hold() != hold {
            let own_ns = wait.change(hold, at, &self.reach_of(device).borrow());
            device.wait.set(wait);
            if own_ns > 0 {
                device.ledger.borrow_mut().delay(own_ns);
            }
        }
    }

    /// The device has had a connection since `at`.
    pub(super) fn joined(&self, device: &Device, at: Tick) {
        if device.role == Role::Listener {
            // Before the run begins the worker has a clock of its own.
            self.listens(device, Some(if self.stage() == Stage::Standing { Tick::ZERO } else { at }));
        }
        self.reach_of(device).borrow_mut().joined(at, self.measured());
    }

    /// It has none any more.
    pub(super) fn parted(&self, device: &Device) {
        self.reach_of(device).borrow_mut().parted();
    }

    /// It could not get one, and no fault of the scenario had a part in that.
    pub(super) fn unreachable(&self, device: &Device) {
        self.reach_of(device).borrow_mut().unreachable(self.clock.now());
    }

    /// How well the device's fleet reaches the service.
    pub(super) fn reach_of(&self, device: &Device) -> &RefCell<Reachability> {
        &self.reach[usize::from(device.fleet.0)]
    }

    /// The time that is measured.
    fn measured(&self) -> (Tick, Tick) {
        (self.plan.measuring_starts(), self.plan.end())
    }

    /// For how long each fleet could not connect, as [`WorkerReport::away_ns`] has it.
    pub(super) fn away_ns(&self) -> Vec<Option<u64>> {
        self.reach.iter().map(|reach| reach.borrow().away_ns(self.measured())).collect()
    }

    /// What the device has waited until `at` otherwise than for the service.
    pub(super) fn waited(&self, device: &Device, at: Tick) -> WaitTotals {
        device.wait.get().waited(at, &self.reach_of(device).borrow())
    }

    /// Records that a reading came due or a connection attempt began.
    pub(super) fn open(&self) {
        self.open.set(self.open.get() + 1);
    }

    /// Records what the delivery audit found.
    pub(super) fn finding(&self, device: &Device, finding: AuditFinding, phase: PhaseId, seq: u64) {
        let index = device.plan.borrow().index;
        self.sink.borrow_mut().finding((phase, device.fleet, Kind::Reading), finding, index, seq);
    }

    /// The reasons of the fleet of `device`.
    pub(super) fn reasons(&self, device: &Device) -> &FleetReasons {
        &self.reasons[usize::from(device.fleet.0)]
    }

    /// Records the end of a reading that the engine gave up by itself.
    pub(super) fn give_up(&self, device: &Device, sample: &Sample) {
        let reason = self.reasons(device).of(sample, device.unfinished());
        self.settle(device, sample, Some(&reason));
    }

    /// Records that a reading has timed out, of whose answer so much had come as `half` says.
    pub(super) fn expire(&self, device: &Device, sample: &Sample, half: Option<&'static str>) {
        let reason = because(&self.reasons(device).of(sample, device.unfinished()), half);
        self.settle(device, sample, Some(&reason));
    }

    /// Records the outcome of a reading or connection attempt, and why, unless it ended ok.
    pub(super) fn settle(&self, device: &Device, sample: &Sample, reason: Option<&Reason>) {
        debug_assert_eq!(sample.outcome.is_censored(), reason.is_some(), "a failure has a reason");
        self.sink.borrow_mut().completed(sample);
        if let Some(reason) = reason {
            self.sink.borrow_mut().failed(sample, reason);
        }
        if sample.kind == Kind::Reading {
            self.reasons(device).read(sample.outcome, reason);
            self.expect_deliveries(device, sample);
        }
        if let Some(mark) = sample.mark {
            let found = sample.flagged == Some(true) && device.found.replace(mark.episode) != mark.episode;
            let plan = device.plan.borrow();
            self.sink.borrow_mut().detection(&Detection { sample, mark, device: plan.device.id(), found });
        }
        if sample.kind == Kind::Reading && self.stage.get() == Stage::Running {
            self.follow_up(device, sample.completed);
        }
        self.shut();
    }

    /// One of what is open has come to its end.
    pub(super) fn shut(&self) {
        self.open.set(self.open.get() - 1);
        if self.open.get() == 0 && self.stage.get() == Stage::Draining {
            self.idle.interrupt();
        }
    }

    /// Records the outcome of the connection attempt under way, if there is one, and of the handshake in it.
    pub(super) fn settle_attempt(
        &self,
        device: &Device,
        outcome: Outcome,
        reason: Option<&Reason>,
        now: Tick,
    ) {
        let Some(attempt) = device.attempt.take() else { return };
        if let Some((began, ended)) = attempt.handshake {
            // What comes after a handshake says nothing of it, but for a refusal of the device: by its certificate that comes late.
            let refused = attempt.made.is_some() || outcome == Outcome::Error(ErrorKind::Tls);
            let over = ended.filter(|_| outcome == Outcome::Ok || !refused);
            let (outcome, reason, at) =
                over.map_or((outcome, reason, now), |ended| (Outcome::Ok, None, ended));
            let sample = attempt_sample(device, (attempt.phase, Kind::Tls), (began, began), outcome, at);
            self.settle(device, &sample, reason);
        }
        let times = (attempt.intended, attempt.actual);
        let sample = attempt_sample(device, (attempt.phase, Kind::Connect), times, outcome, now);
        self.settle(device, &sample, reason);
    }

    /// Records that the connection was made which the server could still have refused, if there is such a one.
    pub(super) fn settle_admission(&self, device: &Device) {
        let made = device.attempt.borrow().as_ref().and_then(|attempt| attempt.made);
        if let Some(made) = made {
            self.settle_attempt(device, Outcome::Ok, None, made);
        }
    }

    /// In the closed model the end of one reading plans the next.
    fn follow_up(&self, device: &Device, completed: Tick) {
        let Model::Closed { think } = self.plan.fleet(device.fleet).model else { return };
        let next = completed.plus_ns(think.as_ns());
        if next >= device.ends() {
            return;
        }
        if think.as_ns() == 0 {
            self.release(device, next, completed);
        } else {
            self.schedule(next, device, Task::Due);
        }
    }

    /// A reading is due: into the device's book with it. `now` is not before `intended`.
    pub(super) fn release(&self, device: &Device, intended: Tick, now: Tick) {
        let phase = self.layout().phase_at(intended);
        let mut reading = device.plan.borrow_mut().device.reading(intended);
        if device.has_reading_faults {
            self.faults.disturb_sensors(&self.plan, device, &mut reading);
        }
        if let Some(origins) = &self.wires.origins {
            origins.note(self.global(device), reading.seq, intended);
        }
        self.sink.borrow_mut().planned(phase, device.fleet, Kind::Reading);
        self.open();
        let waited = self.waited(device, now);
        let dropped = device.ledger.borrow_mut().due(phase, reading, device.can_send.get(), now, waited);
        match dropped {
            Some(sample) => self.give_up(device, &sample),
            None => device.wake(),
        }
    }
}

/// What the fleets do about attempts that fail, by fleet; `devices` are this worker's.
fn retries(fleets: &[Fleet], devices: &[Rc<Device>]) -> Vec<Option<Retries>> {
    let of = |number: usize| devices.iter().filter(|device| usize::from(device.fleet.0) == number).count();
    let retries = |(number, fleet): (usize, &Fleet)| {
        fleet.retry.map(|policy| Retries::new(policy, of(number), fleet.devices))
    };
    fleets.iter().enumerate().map(retries).collect()
}

/// The record of a connection attempt, or of the handshake in it, that was due at `intended`, began at `actual` and ended as
/// `outcome`.
fn attempt_sample(
    device: &Device,
    (phase, kind): (PhaseId, Kind),
    (intended, actual): (Tick, Tick),
    outcome: Outcome,
    now: Tick,
) -> Sample {
    Sample {
        phase,
        fleet: device.fleet,
        device: device.plan.borrow().index,
        kind,
        seq: 0,
        intended,
        eligible: Some(intended),
        actual: Some(actual),
        completed: now,
        outcome,
        stages: None,
        mark: None,
        flagged: None,
        arm: None,
        attempts: 1,
        own_wait_ns: 0,
        plan_wait_ns: 0,
    }
}
