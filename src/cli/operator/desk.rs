//! Where plan and people meet: takes what is due and what is asked, and passes it to whoever does it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::board::{Board, Step};
use super::hand::{Bench, Hand, Job, Outcome};
use super::wire::{Reply, Request, Run, Switched};
use crate::clock::{Monotonic, Tick};
use crate::engine::{Control, FaultSwitch, Order};
use crate::fault::Fault;

/// Jobs that may wait for one hand: eight spells.
const JOBS: usize = 16;

/// How long a caller waits to hear how it went; what takes longer is shown on the run's own screen.
const PATIENCE: Duration = Duration::from_secs(10);

/// The faults of a run under way.
pub(super) struct Desk {
    bench: Rc<Bench>,
    faults: Vec<Arc<Fault>>,
    control: Control,
    run: Run,
    board: RefCell<Board>,
    /// By fault; `None` where workers do the switching.
    queues: RefCell<Vec<Option<mpsc::Sender<Job>>>>,
    /// Switches that people asked for.
    by_hand: Cell<u32>,
    /// Something is due earlier than it was.
    pub(super) changed: Notify,
}

impl Desk {
    /// A desk with a hand, on the local task set, for every fault that workers do not switch by themselves.
    pub(super) fn staffed(
        faults: Vec<Arc<Fault>>,
        control: Control,
        run: Run,
        bench: &Rc<Bench>,
    ) -> (Self, Vec<JoinHandle<()>>) {
        let board = Board::new(&faults, bench.end);
        let board = if bench.leads { board } else { board.following() };
        let mut hands = Vec::new();
        let mut hire = |(nth, fault): (usize, &Arc<Fault>)| {
            let (queue, jobs) = mpsc::channel(JOBS);
            let id = crate::record::FaultId(nth as u16);
            let hand = Hand { fault: Arc::clone(fault), id, bench: Rc::clone(bench) };
            (!fault.effect.by_device()).then(|| {
                hands.push(tokio::task::spawn_local(hand.work(jobs)));
                queue
            })
        };
        let queues = faults.iter().enumerate().map(&mut hire).collect();
        let desk = Self {
            bench: Rc::clone(bench),
            faults,
            control,
            run,
            board: RefCell::new(board),
            queues: RefCell::new(queues),
            by_hand: Cell::new(0),
            changed: Notify::new(),
        };
        (desk, hands)
    }

    /// The run's clock, and its orders.
    pub(super) fn post(&self) -> (Monotonic, watch::Receiver<Order>) {
        (self.bench.clock, self.bench.orders.clone())
    }

    /// Whether no fault is on any more by plan, nor may be by hand.
    pub(super) fn is_over(&self) -> bool {
        self.bench.clock.now() >= self.bench.end
    }

    /// Tells whoever looks at the run.
    pub(super) fn say(&self, text: &str) {
        (self.bench.screen)(text);
    }

    /// When something is due next; the end of the run at the latest.
    pub(super) fn next(&self) -> Tick {
        self.board.borrow().next()
    }

    /// Switches that people asked for so far.
    pub(super) fn by_hand(&self) -> u32 {
        self.by_hand.get()
    }

    /// Has done all that is due.
    pub(super) fn advance(&self) {
        let due = self.board.borrow_mut().advance(self.bench.clock.now());
        for step in due {
            self.pass_on(step, None);
        }
    }

    /// Begins nothing more, and has the hands end what is on. What acts on devices the workers end themselves.
    pub(super) fn close(&self) {
        self.bench.ending.set(true);
        self.queues.borrow_mut().clear();
    }

    /// Does what a person asks for, and says how it went as far as that is soon known.
    pub(super) async fn answer(&self, request: Request) -> Reply {
        self.advance();
        let now = self.bench.clock.now();
        let steps = match request {
            Request::List => {
                return Reply { faults: self.board.borrow().states(), ..self.reply(None) };
            }
            Request::Start { fault, for_ns } => {
                self.board.borrow_mut().start(&fault, now, for_ns).map(|step| vec![step])
            }
            Request::Stop { fault } => self.board.borrow_mut().stop(&fault).map(|step| vec![step]),
            Request::StopAll => Ok(self.board.borrow_mut().stop_all()),
        };
        let steps = match steps {
            Ok(steps) => steps,
            Err(error) => return self.reply(Some(error)),
        };
        let under_way: Vec<_> = steps.into_iter().map(|step| self.by_a_person(step)).collect();
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
        let run = Run { at_s: self.bench.clock.now().as_secs_f64(), ..self.run.clone() };
        Reply { error, run, switched: Vec::new(), faults: Vec::new() }
    }

    fn by_a_person(&self, step: Step) -> (Switched, Option<oneshot::Receiver<Outcome>>) {
        self.by_hand.set(self.by_hand.get().saturating_add(1));
        let fault = self.faults.get(usize::from(step.fault.0));
        let name = fault.map(|fault| fault.name.clone()).unwrap_or_default();
        let switched = Switched { fault: name, on: step.on, well: None, remark: None };
        if fault.is_some_and(|fault| fault.effect.by_device()) {
            self.pass_on(step, None);
            return (switched, None);
        }
        let (tell, outcome) = oneshot::channel();
        self.pass_on(step, Some(tell));
        (switched, Some(outcome))
    }

    fn pass_on(&self, step: Step, tell: Option<oneshot::Sender<Outcome>>) {
        let Some(fault) = self.faults.get(usize::from(step.fault.0)) else { return };
        if step.planned.is_none() {
            let (on, at) = (if step.on { "on" } else { "off" }, self.bench.clock.now());
            self.say(&format!("by hand: fault `{}` goes {on} at {at}", fault.name));
        }
        if fault.effect.by_device() {
            if step.planned.is_none() {
                self.control.pull(FaultSwitch { fault: step.fault, turn: step.turn, on: step.on });
            }
            return;
        }
        let queues = self.queues.borrow();
        let Some(queue) = queues.get(usize::from(step.fault.0)).and_then(Option::as_ref) else { return };
        // What begins must find room for its end, too.
        if step.on && queue.capacity() < 2 {
            self.bench.trouble(&fault.name, "left out a spell: earlier ones are not over yet");
            return;
        }
        let Step { turn, on, planned, until, .. } = step;
        // An end without room belongs to a spell that was left out.
        let _ = queue.try_send(Job { turn, on, planned, until, tell });
    }
}
