//! The loop of one worker: from the first connection to the end of the drain.

use std::io;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::task::{JoinSet, LocalSet};

use super::activation;
use super::answer::admit;
use super::control::Order;
use super::cpu::CpuSample;
use super::delivery::{DeliveryRouter, Notice};
use super::device::Device;
use super::drive::drive;
use super::fault::Faults;
use super::ledger::Ledger;
use super::leftover;
use super::quiescence::LOOK_NS;
use super::reason::attempt_cut_short;
use super::report::{End, WorkerReport};
use super::setup::Setup;
use super::share::Share;
use super::standing::Call;
use super::task_end::{see_off, surface};
use super::timer::{Alarm, Task};
use super::worker::{CLOSE_TIMEOUT, Stage, Worker};
use crate::clock::{Pacer, Tick, thread_cpu_time};
use crate::fault::Effect;
use crate::record::{FleetId, Outcome, Sink};
use crate::scenario::Model;

/// How long a run that is lost waits for the answers to what is open.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Due entries handled before the devices' tasks run.
const BATCH: usize = 64;

/// Drives one share of the plan to its end on the calling thread.
pub(super) fn work<S: Sink>(
    mut setup: Setup,
    share: Share,
    router: DeliveryRouter,
    sink: S,
    call: Call,
) -> io::Result<WorkerReport> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().event_interval(31).build()?;
    let DeliveryRouter { wires, mut inbound } = router;
    let worker =
        Rc::new_cyclic(|worker| Worker::new(&setup, share, wires, sink, devices(&setup, share, worker)));
    let tasks = LocalSet::new();
    let (end, began, finished, pacer) = tasks.block_on(&runtime, async {
        let mut drives = JoinSet::new();
        let Some(start) = worker.stand(&mut drives, call, &setup.control).await? else {
            return Err(io::Error::other("the run was given up before it began"));
        };
        (setup.clock, setup.epoch_ns) = (start.clock, start.epoch_ns);
        let began = setup.clock.now();
        let mut pacer = Pacer::new(setup.clock);
        worker.start(start);
        for device in worker.devices.iter().filter(|device| !worker.is_awaited(device)) {
            drives.spawn_local(drive(Rc::clone(&worker), Rc::clone(device)));
        }
        let end = worker.run_loop(&mut pacer, &mut inbound, &setup).await?;
        let finished = setup.clock.now();
        worker.report_traffic(finished);
        worker.sink.borrow_mut().finish(finished);
        if end != End::Aborted {
            worker.enter(Stage::Closing);
            // A peer that does not let go in time is simply left.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, see_off(&mut drives)).await;
        }
        while let Some(ended) = drives.try_join_next() {
            surface(ended);
        }
        drives.abort_all();
        io::Result::Ok((end, began, finished, pacer.kind()))
    })?;
    let account = worker.account.get().and_then(|(from, to)| from.until(&to));
    let wall = Duration::from_nanos(setup.clock.now().since(began));
    if end != End::Aborted {
        tasks.block_on(&runtime, leftover::remove(&worker, &setup));
    }
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
        undelivered: worker.undelivered.get(),
        encounters: worker.encounters.iter().map(|counter| counter.met.get()).collect(),
        away_ns: worker.away_ns(),
    })
}

/// The devices of a share, in the order of their slots, and the faults that reach them.
fn devices<S: Sink>(setup: &Setup, share: Share, worker: &Weak<Worker<S>>) -> (Faults, Vec<Rc<Device>>) {
    let plan = &setup.plan;
    let faults = Faults::new(plan, setup.switches.clone());
    let fleets = &plan.scenario().fleets;
    let devices = share.globals(plan.devices()).enumerate().map(|(slot, global)| {
        let device = plan.device(global);
        let fleet = &fleets[usize::from(device.fleet.0)];
        let backlog = match fleet.model {
            Model::Open { backlog, .. } => backlog,
            // A closed device never has more open readings than its in-flight limit.
            Model::Closed { .. } => fleet.in_flight,
            Model::Subscriber => 0,
        };
        let ledger = Ledger::new(device.fleet, device.index, fleet.timeout.as_ns(), fleet.in_flight, backlog);
        let ledger = match fleet.retry {
            Some(retry) => ledger.with_retry(retry.timeout.as_ns()),
            None => ledger,
        };
        let connection_faults = faults
            .any(&device.hits, Effect::on_connections)
            .then(|| activation::connection_faults(worker, plan, slot as u32, &device));
        let has_reading_faults = faults.any(&device.hits, Effect::on_readings);
        let endpoint = setup.endpoints.iter().find(|endpoint| endpoint.protocol() == fleet.protocol);
        let tls = endpoint.and_then(|endpoint| endpoint.tls(device.fleet)).map(|tls| {
            let identities = fleet.tls.as_ref().map(|plan| &plan.identities);
            let own = identities.and_then(|identities| identities.of(device.index));
            tls.device(own.or_else(|| tls.identity(device.index)))
        });
        Rc::new(Device::new(slot as u32, device, fleet, ledger, tls, (connection_faults, has_reading_faults)))
    });
    let devices = devices.collect();
    (faults, devices)
}

impl<S: Sink> Worker<S> {
    /// Puts the first entries of every device into the timer queue.
    fn begin(&self) {
        for device in &self.devices {
            self.expect_presence(device, Tick::ZERO);
            let fleet = self.plan.fleet(device.fleet);
            match fleet.model {
                Model::Open { .. } => self.plan_next(device),
                Model::Closed { .. } if device.starts() < device.ends() => {
                    for _ in 0..fleet.in_flight {
                        self.schedule(device.starts(), device, Task::Due);
                    }
                }
                Model::Closed { .. } | Model::Subscriber => {}
            }
        }
    }

    /// Does what is due at `now`, up to a batch: a crowd that is due at one instant must not keep the first of it from being
    /// sent. False if more is due.
    pub(super) fn attend(&self, now: Tick) -> bool {
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
                Task::Alarm(Alarm::Expiry) if self.retries(device).is_some() => {
                    // Its task may be busy connecting. What is in flight is for the task to look at, which sets the
                    // alarm anew: one for what has timed out already would be due again at once, before all others.
                    self.end_resting(device, now, false);
                    let deadline = device.ledger.borrow().next_deadline();
                    if let Some(at) = deadline {
                        self.wake_at(at, device, Alarm::Expiry);
                    }
                    device.wake();
                }
                Task::Wake | Task::Alarm(_) => device.wake(),
                Task::Fault(fault) => {
                    if self.stage.get() == Stage::Running && !self.faults.was_stopped(fault) {
                        self.apply_fault(device, fault, true, now);
                    }
                }
            }
        }
        false
    }

    pub(super) fn is_open_model(&self, fleet: FleetId) -> bool {
        matches!(self.plan.fleet(fleet).model, Model::Open { .. })
    }

    /// The worker's main loop: from the first connection to the end of the drain.
    async fn run_loop(
        &self,
        pacer: &mut Pacer,
        inbound: &mut Receiver<Notice>,
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
            if self.stage.get() == Stage::Running && self.follow_course() {
                horizon = self.plan.end();
            }
            let drawn = self.draw_on();
            self.advance_faults(now);
            let attended = self.attend(now);
            self.expire_deliveries(now);
            while boundary <= now {
                self.report_open(now);
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
            let over = attended && drawn && now >= horizon;
            if self.stage.get() == Stage::Running && (over || order != Order::Run) {
                end = if over { end } else { End::Interrupted };
                horizon = self.drain(now, order);
            }
            let is_draining = self.stage.get() == Stage::Draining;
            let is_quiet = is_draining && self.is_quiet();
            // What others have told may open something again.
            while let Ok(notice) = inbound.try_recv() {
                self.take_notice(notice);
            }
            let is_settled = is_draining && self.open.get() == 0;
            if is_draining && (is_settled && is_quiet || now >= horizon) {
                self.lose_the_rest(now);
                return Ok(end);
            }
            while let Ok(switch) = switches.try_recv() {
                self.apply_switch(switch, self.clock.now());
            }
            let next = if drawn { self.timers.borrow().next().unwrap_or(Tick::FAR) } else { now };
            let look = if is_settled { now.plus_ns(LOOK_NS) } else { Tick::FAR };
            let fixed = boundary.min(horizon).min(look);
            let deadline = next.min(fixed).min(self.faults.next()).min(self.next_lost_delivery());
            if self.idle.must_stay_awake(now, deadline, self.open.get() > 0) {
                self.idle.stay_awake(&self.clock.get(), now).await;
                continue;
            }
            self.idle.fall_asleep(deadline);
            tokio::select! {
                biased;
                () = self.idle.interrupted() => {}
                Some(notice) = inbound.recv() => self.take_notice(notice),
                _ = orders.changed() => {}
                Ok(switch) = switches.recv() => self.apply_switch(switch, self.clock.now()),
                woke = pacer.doze_until(deadline) => woke?,
            }
            self.idle.wake();
        }
    }

    /// Whether nothing is open in the drain, here and wherever others are heard of.
    fn is_quiet(&self) -> bool {
        let is_open = self.open.get() > 0;
        if self.wires.origins.is_some() { self.wires.quiescence.is_reached(is_open) } else { !is_open }
    }

    /// Sends nothing any more; gives the instant up to which what is open is waited for.
    fn drain(&self, now: Tick, order: Order) -> Tick {
        self.released.set(now);
        self.undrawn.borrow_mut().clear();
        self.take_stock(now);
        self.end_faults(now);
        self.enter(Stage::Draining);
        let drain = self.plan.scenario().run.drain.as_duration();
        now + if order == Order::Conclude { drain.min(LAST_ANSWERS) } else { drain }
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

    pub(super) fn enter(&self, stage: Stage) {
        self.stage.set(stage);
        for device in &self.devices {
            device.wake();
        }
    }

    /// Ends the wait: readings and deliveries still open are lost.
    fn lose_the_rest(&self, now: Tick) {
        self.lose_deliveries(Tick::FAR, now);
        for device in &self.devices {
            self.end_resting(device, now, true);
            loop {
                let lost = device.ledger.borrow_mut().lose(now);
                let Some(sample) = lost else { break };
                self.give_up(device, &sample);
            }
            admit(self, device);
            let reason = attempt_cut_short(device.unfinished());
            self.settle_attempt(device, Outcome::Lost, Some(&reason), now);
        }
    }
}
