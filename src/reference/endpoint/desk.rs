//! The desk of the serving thread: what connections hand in goes past the gate to the pipeline, what comes back goes to the
//! connection it belongs to.

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::late::Late;
use super::latency::Times;
use super::mqtt::Hub;
use crate::clock::Tick;
use crate::reference::admission::{Class, Gate};
use crate::reference::alert::Board;
use crate::reference::cluster::{Bus, Note};
use crate::reference::fault::{Delivery, FaultRegistry};
use crate::reference::health::Health;
use crate::reference::job::{Answer, Name, Reason, Shed, Ticket, Word};
use crate::reference::metric::Metrics;
use crate::reference::pipeline::{Pipeline, Submitted};
use crate::reference::reading::Reading;
use crate::service::FaultKind;

/// Words taken up at once.
const BATCH: usize = 256;

/// Answers for MQTT go to topics, not to connections.
pub(super) const MQTT: Ticket = Ticket { line: u32::MAX, generation: 0 };

/// When to try again after too much was under way, milliseconds.
const RETRY_MS: u64 = 1_000;

#[derive(Debug, Default)]
struct Mailbox {
    answers: RefCell<VecDeque<Answer>>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    /// Whether answers are messages of their own, so that one can be sent twice.
    may_repeat: bool,
    mailbox: Option<Rc<Mailbox>>,
}

/// Why a reading is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is shed, and may be sent again after so many milliseconds.
    Shed(Reason, u64),
    /// It gets an error, on purpose.
    Failed,
}

impl Refusal {
    /// What the sender of the reading hears.
    pub(super) const fn answer(self, device: Arc<str>, seq: u64) -> Answer {
        match self {
            Self::Shed(reason, retry_ms) => Answer::Shed(Shed { device, seq, reason, retry_ms }),
            Self::Failed => Answer::Failed(Name { device, seq }),
        }
    }
}

/// What all connections of an instance share; they run on one thread.
#[derive(Debug)]
pub(in crate::reference) struct Desk {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) gate: RefCell<Gate>,
    pub(super) board: Board,
    /// What leads to other instances.
    pub(super) bus: Option<Arc<Bus>>,
    /// Devices that other instances have been told of.
    known: RefCell<HashSet<Arc<str>>>,
    /// Turns true when the service stops.
    pub(in crate::reference) stop: watch::Receiver<bool>,
    /// Connections open at once, per listener; further ones are closed at once.
    pub(super) max_connections: usize,
    /// Times in the service, of the last seconds.
    pub(super) latency: RefCell<Times>,
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<u32>>,
    /// Answers that are held back on purpose.
    late: RefCell<Late>,
    /// Readings whose answers have not come back.
    under_way: Cell<usize>,
    most_under_way: usize,
}

impl Desk {
    /// A desk without connections, over a way back with room for `most_under_way` answers.
    pub(in crate::reference) fn new(
        pipeline: Arc<Pipeline>,
        metrics: Arc<Metrics>,
        stop: watch::Receiver<bool>,
        max_connections: usize,
        most_under_way: usize,
        bus: Option<Arc<Bus>>,
    ) -> Self {
        let setup = pipeline.setup();
        let gate = Gate::new(&setup.admission, setup.features.devices);
        let board = Board::new(&setup.alerts);
        Self {
            gate: RefCell::new(gate),
            board,
            bus,
            known: RefCell::default(),
            pipeline,
            metrics,
            stop,
            max_connections: max_connections.max(1),
            latency: RefCell::new(Times::new()),
            slots: RefCell::default(),
            free: RefCell::default(),
            late: RefCell::default(),
            under_way: Cell::new(0),
            most_under_way,
        }
    }

    /// What goes wrong on purpose.
    pub(super) fn faults(&self) -> &FaultRegistry {
        self.pipeline.faults()
    }

    /// A line for a connection on which answers are messages of their own: answers to what it hands in come back on it.
    pub(super) fn line(self: &Rc<Self>) -> Line {
        self.line_that(true)
    }

    /// A line for a connection on which every request has one response.
    pub(super) fn line_of_responses(self: &Rc<Self>) -> Line {
        self.line_that(false)
    }

    fn line_that(self: &Rc<Self>, may_repeat: bool) -> Line {
        let mut slots = self.slots.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(Slot::default());
            slots.len() as u32 - 1
        });
        let slot = &mut slots[index as usize];
        let mailbox = Rc::new(Mailbox::default());
        slot.mailbox = Some(Rc::clone(&mailbox));
        slot.may_repeat = may_repeat;
        Line { desk: Rc::clone(self), ticket: Ticket { line: index, generation: slot.generation }, mailbox }
    }

    /// Lets a reading past the gate, or says why not and when to try again.
    pub(super) fn admit(&self, device: &Arc<str>, class: Class, now: Tick) -> Result<(), Refusal> {
        let mut gate = self.gate.borrow_mut();
        if let Some(bus) = &self.bus {
            self.introduce(device, bus);
            if self.pipeline.setup().admission.shared {
                gate.share_among(bus.living() as u64);
            }
        }
        gate.pass(device, class, now).map_err(|wait_ns| {
            self.pipeline.turned_away(now, Reason::Quota);
            Refusal::Shed(Reason::Quota, wait_ns.div_ceil(1_000_000))
        })?;
        drop(gate);
        if let Some(retry_ms) = self.faults().overload() {
            self.pipeline.turned_away(now, Reason::Overload);
            return Err(Refusal::Shed(Reason::Overload, retry_ms));
        }
        if self.faults().strikes(FaultKind::Errors) {
            self.metrics.received.inc();
            self.metrics.failed.inc();
            return Err(Refusal::Failed);
        }
        Ok(())
    }

    /// Lets other instances know that a device speaks to this one.
    fn introduce(&self, device: &Arc<str>, bus: &Bus) {
        let mut known = self.known.borrow_mut();
        if known.contains(device) {
            return;
        }
        if known.len() >= self.pipeline.setup().features.devices {
            known.clear();
        }
        known.insert(Arc::clone(device));
        bus.tell(Note::Device(Arc::clone(device)));
    }

    /// How the service is now.
    pub(super) fn health(&self) -> Health {
        self.pipeline.health(self.bus.as_deref())
    }

    /// Takes an admitted reading to the pipeline.
    pub(super) fn submit(&self, reading: Reading, arrived: Tick, ticket: Ticket) -> Submitted {
        // Were more under way than there is room for on the way back, answers would be lost.
        if self.under_way.get() >= self.most_under_way {
            self.metrics.received.inc();
            self.metrics.shed(arrived, Reason::QueueFull);
            return Submitted::Refused(Reason::QueueFull, RETRY_MS);
        }
        let submitted = self.pipeline.submit(reading, arrived, ticket);
        if matches!(submitted, Submitted::Taken) {
            self.under_way.set(self.under_way.get() + 1);
        }
        submitted
    }

    /// The same, waiting for room where the queue is set up to push back.
    pub(super) async fn submit_patiently(
        &self,
        mut reading: Reading,
        arrived: Tick,
        ticket: Ticket,
    ) -> Submitted {
        loop {
            match self.submit(reading, arrived, ticket) {
                Submitted::Blocked(back) => {
                    let level = self.level_of(&back);
                    self.pipeline.room(level).await;
                    reading = back;
                }
                other => return other,
            }
        }
    }

    /// An answer as it is handed to its connection, with its time in the service noted.
    pub(super) fn encode(&self, answer: &mut Answer) -> String {
        let now = self.pipeline.now();
        let text = answer.encode(now);
        if let Answer::Verdict(verdict) | Answer::Twice(verdict) = answer {
            self.latency.borrow_mut().note(now, verdict.stages.total_ns);
        }
        text
    }

    /// Counts and keeps something that is no reading.
    pub(super) fn bad(&self, now: Tick, protocol: &'static str, reason: &str, bytes: &[u8]) {
        self.metrics.bad.inc();
        self.pipeline.dead_letters().add(now, protocol, reason, bytes);
    }

    /// How urgent a reading is.
    pub(super) fn level_of(&self, reading: &Reading) -> crate::service::Priority {
        reading.priority.unwrap_or_else(|| self.pipeline.setup().queue.level_of(&reading.device))
    }

    /// Brings what workers have to say to whom it is for, until the service stops.
    pub(in crate::reference) async fn dispatch(&self, hub: &Hub, mut words: mpsc::Receiver<Word>) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.listen(&mut words, &mut batch).await {
            for word in batch.drain(..) {
                match word {
                    Word::Answer(ticket, answer) => self.bring(hub, ticket, answer),
                    Word::Alert(alert) => {
                        if let Some(bus) = self.bus.as_ref().filter(|_| alert.instance.is_none()) {
                            bus.tell(Note::Alert(alert.clone()));
                        }
                        let posted = self.board.post(alert);
                        hub.alert(&posted);
                    }
                }
            }
            let now = self.pipeline.now();
            loop {
                let Some((ticket, answer)) = self.late.borrow_mut().release(now) else { break };
                self.hand_over(hub, ticket, answer);
            }
            hub.look_again();
        }
    }

    /// Waits for words, or for an answer that is held back to become due; false once no word can come any more.
    async fn listen(&self, words: &mut mpsc::Receiver<Word>, batch: &mut Vec<Word>) -> bool {
        let due = self.late.borrow().next_due();
        let heard = words.recv_many(batch, BATCH);
        let Some(due) = due else { return heard.await > 0 };
        let patience = Duration::from_nanos(due.since(self.pipeline.now()));
        tokio::time::timeout(patience, heard).await.map_or(true, |count| count > 0)
    }

    /// Brings an answer on its way, as far as nothing goes wrong with it on purpose.
    fn bring(&self, hub: &Hub, ticket: Ticket, answer: Answer) {
        let Answer::Verdict(verdict) = answer else { return self.hand_over(hub, ticket, answer) };
        let (delivery, delay_ns) = self.faults().delivery(self.may_repeat(ticket));
        let answer = match delivery {
            Delivery::Once => Answer::Verdict(verdict),
            Delivery::Twice => Answer::Twice(verdict),
            Delivery::Never => Answer::Vanished(Name { device: verdict.device, seq: verdict.seq }),
        };
        if delay_ns == 0 {
            return self.hand_over(hub, ticket, answer);
        }
        self.late.borrow_mut().hold(self.pipeline.now().plus_ns(delay_ns), ticket, answer);
    }

    fn hand_over(&self, hub: &Hub, ticket: Ticket, answer: Answer) {
        self.under_way.set(self.under_way.get().saturating_sub(1));
        if ticket == MQTT {
            hub.answer(answer);
        } else {
            self.deliver(ticket, answer);
        }
    }

    fn may_repeat(&self, ticket: Ticket) -> bool {
        ticket == MQTT || self.slots.borrow().get(ticket.line as usize).is_some_and(|slot| slot.may_repeat)
    }

    /// Undoes faults when their time is up, for as long as it is polled.
    pub(in crate::reference) async fn undo_in_time(&self) {
        loop {
            let changed = self.faults().changed.notified();
            match self.pipeline.expire_faults() {
                None => changed.await,
                Some(due) => {
                    let patience = Duration::from_nanos(due.since(self.pipeline.now()));
                    // Whichever comes first: both are a reason to look again.
                    let _ = tokio::time::timeout(patience, changed).await;
                }
            }
        }
    }

    fn deliver(&self, ticket: Ticket, answer: Answer) {
        let slots = self.slots.borrow();
        let slot = slots.get(ticket.line as usize).filter(|slot| slot.generation == ticket.generation);
        // A sender who has gone away gets none.
        let Some(mailbox) = slot.and_then(|slot| slot.mailbox.as_ref()) else { return };
        mailbox.answers.borrow_mut().push_back(answer);
        if let Some(waker) = mailbox.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// One connection's line to the desk.
#[derive(Debug)]
pub(super) struct Line {
    desk: Rc<Desk>,
    ticket: Ticket,
    mailbox: Rc<Mailbox>,
}

impl Line {
    /// What answers on this line are addressed to.
    pub(super) const fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// The next answer.
    pub(super) async fn next(&self) -> Answer {
        poll_fn(|cx| {
            if let Some(answer) = self.try_next() {
                return Poll::Ready(answer);
            }
            *self.mailbox.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// The next answer that is there already.
    pub(super) fn try_next(&self) -> Option<Answer> {
        self.mailbox.answers.borrow_mut().pop_front()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(slot) = self.desk.slots.borrow_mut().get_mut(self.ticket.line as usize) {
            slot.mailbox = None;
            slot.generation = slot.generation.wrapping_add(1);
        }
        self.desk.free.borrow_mut().push(self.ticket.line);
    }
}
