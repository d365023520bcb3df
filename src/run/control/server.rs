//! Turns what the plan has due and what clients request into switched faults.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::controller::FaultController;
use super::executor::{Context, Executor, Job, Outcome};
use super::phase;
use super::protocol::{PhaseEnd, Reply, Request, RunInfo, SwitchResult};
use crate::clock::{Monotonic, Tick};
use crate::engine::{Control, FaultSwitch, Order};
use crate::fault::{Fault, Transition};
use crate::record::FaultId;

/// Jobs that may wait for one executor: eight activations.
const JOBS: usize = 16;

/// How long a client waits for the outcome; what takes longer is shown on the run's own screen.
const PATIENCE: Duration = Duration::from_secs(10);

/// The faults of a run under way.
pub(super) struct ControlServer {
    context: Rc<Context>,
    faults: Vec<Arc<Fault>>,
    control: Control,
    run: RunInfo,
    controller: RefCell<FaultController>,
    /// By fault; `None` where workers do the switching.
    queues: RefCell<Vec<Option<mpsc::Sender<Job>>>>,
    /// Switches that people asked for.
    by_hand: Cell<u32>,
    /// Something is due earlier than it was.
    pub(super) changed: Notify,
}

impl ControlServer {
    /// A server with an executor, on the local task set, for every fault that workers do not switch by themselves.
    pub(super) fn new(
        faults: Vec<Arc<Fault>>,
        control: Control,
        run: RunInfo,
        context: &Rc<Context>,
    ) -> (Self, Vec<JoinHandle<()>>) {
        let (layout, end) =
            (&context.layout, context.layout.phases.last().map_or(Tick::FAR, |phase| phase.end));
        let controller = FaultController::new(&faults, end, &layout.course);
        let controller = if context.leads { controller } else { controller.following() };
        let mut executors = Vec::new();
        let mut spawn = |(nth, fault): (usize, &Arc<Fault>)| {
            let (queue, jobs) = mpsc::channel(JOBS);
            let id = FaultId(nth as u16);
            let executor = Executor { fault: Arc::clone(fault), id, context: Rc::clone(context) };
            (!fault.effect.by_device()).then(|| {
                executors.push(tokio::task::spawn_local(executor.work(jobs)));
                queue
            })
        };
        let queues = faults.iter().enumerate().map(&mut spawn).collect();
        let server = Self {
            context: Rc::clone(context),
            faults,
            control,
            run,
            controller: RefCell::new(controller),
            queues: RefCell::new(queues),
            by_hand: Cell::new(0),
            changed: Notify::new(),
        };
        (server, executors)
    }

    /// The run's clock, and its orders.
    pub(super) fn clock_and_orders(&self) -> (Monotonic, watch::Receiver<Order>) {
        (self.context.clock, self.context.orders.clone())
    }

    /// Whether no fault is on any more by plan, nor may be by executor.
    pub(super) fn is_over(&self) -> bool {
        self.context.clock.now() >= self.context.layout.end()
    }

    /// Whether there is anything to switch.
    pub(super) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Shows a line to the user of the run.
    pub(super) fn say(&self, text: &str) {
        (self.context.screen)(text);
    }

    /// When something is due next; the end of the run at the latest.
    pub(super) fn next(&self) -> Tick {
        self.controller.borrow().next()
    }

    /// Switches that people asked for so far.
    pub(super) fn by_hand(&self) -> u32 {
        self.by_hand.get()
    }

    /// Switches everything that is due.
    pub(super) fn advance(&self) {
        let due = self.controller.borrow_mut().advance(self.context.clock.now());
        for (id, step) in due {
            self.pass_on(id, step, None);
        }
    }

    /// Begins nothing more, and lets the executors end what is on. Workers end the faults of devices themselves.
    pub(super) fn close(&self) {
        self.context.ending.set(true);
        self.queues.borrow_mut().clear();
    }

    /// Carries out a client's request, and replies with the outcome as far as that is soon known.
    pub(super) async fn answer(&self, request: Request) -> Reply {
        self.advance();
        let now = self.context.clock.now();
        let steps = match request {
            Request::List => {
                return Reply { faults: self.controller.borrow().states(), ..self.reply(None) };
            }
            Request::Start { fault, for_ns } => {
                self.controller.borrow_mut().start(&fault, now, for_ns).map(|step| vec![step])
            }
            Request::Stop { fault } => self.controller.borrow_mut().stop(&fault, now).map(|step| vec![step]),
            Request::StopAll => Ok(self.controller.borrow_mut().stop_all(now)),
            Request::EndPhase => return self.end_phase(now),
        };
        let steps = match steps {
            Ok(steps) => steps,
            Err(error) => return self.reply(Some(error)),
        };
        let under_way: Vec<_> = steps.into_iter().map(|step| self.switch_by_hand(step)).collect();
        self.changed.notify_one();
        let patience = tokio::time::sleep(PATIENCE);
        let mut patience = std::pin::pin!(patience);
        let mut reply = self.reply(None);
        for (mut switched, outcome) in under_way {
            let outcome = match outcome {
                None => Outcome { well: Some(true), remark: None },
                Some(outcome) => tokio::select! {
                    biased;
                    outcome = outcome => outcome.unwrap_or_default(),
                    () = patience.as_mut(), if !patience.is_elapsed() => Outcome::default(),
                    else => Outcome::default(),
                },
            };
            (switched.well, switched.remark) = (outcome.well, outcome.remark);
            reply.switched.push(switched);
        }
        reply
    }

    /// A refusal, or the beginning of an answer.
    pub(super) fn reply(&self, error: Option<String>) -> Reply {
        let run = RunInfo { at_s: self.context.clock.now().as_secs_f64(), ..self.run.clone() };
        Reply { error, run, switched: Vec::new(), faults: Vec::new(), phase: None }
    }

    /// Leaves out what the plan still has in the phase under way, for all that takes part in the run.
    fn end_phase(&self, now: Tick) -> Reply {
        let layout = &self.context.layout;
        let (id, skip) = match phase::end(layout, now, self.context.is_shard) {
            Ok(ended) => ended,
            Err(error) => return self.reply(Some(error)),
        };
        layout.course.leave_out(skip);
        self.control.nudge();
        self.controller.borrow_mut().leave_out(skip);
        self.changed.notify_one();
        let next = layout.phases.get(usize::from(id.0) + 1);
        let ended = PhaseEnd {
            name: layout.phase(id).name.clone(),
            at_s: skip.at.as_secs_f64(),
            left_out_s: skip.length_ns as f64 / 1e9,
            next: next.map(|next| next.name.clone()),
        };
        self.say(&format!("by hand: {}", ended.sentence()));
        Reply { phase: Some(ended), ..self.reply(None) }
    }

    fn switch_by_hand(
        &self,
        (id, step): (FaultId, Transition),
    ) -> (SwitchResult, Option<oneshot::Receiver<Outcome>>) {
        self.by_hand.set(self.by_hand.get().saturating_add(1));
        let fault = self.faults.get(usize::from(id.0));
        let name = fault.map(|fault| fault.name.clone()).unwrap_or_default();
        let switched = SwitchResult { fault: name, on: step.on, well: None, remark: None };
        if fault.is_some_and(|fault| fault.effect.by_device()) {
            self.pass_on(id, step, None);
            return (switched, None);
        }
        let (tell, outcome) = oneshot::channel();
        self.pass_on(id, step, Some(tell));
        (switched, Some(outcome))
    }

    fn pass_on(&self, id: FaultId, step: Transition, tell: Option<oneshot::Sender<Outcome>>) {
        let Some(fault) = self.faults.get(usize::from(id.0)) else { return };
        if step.planned.is_none() {
            let (on, at) = (if step.on { "on" } else { "off" }, self.context.clock.now());
            self.say(&format!("by hand: fault `{}` goes {on} at {at}", fault.name));
        }
        if fault.effect.by_device() {
            if step.planned.is_none() {
                self.control.pull(FaultSwitch { fault: id, occurrence: step.occurrence, on: step.on });
            }
            return;
        }
        let queues = self.queues.borrow();
        let Some(queue) = queues.get(usize::from(id.0)).and_then(Option::as_ref) else { return };
        // What begins must find room for its end, too.
        if step.on && queue.capacity() < 2 {
            self.context.trouble(&fault.name, "left out an activation: earlier ones are not over yet");
            return;
        }
        let Transition { occurrence, on, planned, until, .. } = step;
        // An end without room belongs to an activation that was left out.
        let _ = queue.try_send(Job { occurrence, on, planned, until, tell });
    }
}
