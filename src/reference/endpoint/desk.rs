//! The desk of the serving thread: what connections hand in goes past the gate to the pipeline, what comes back goes to the
//! connection it belongs to.

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use tokio::sync::{mpsc, watch};

use super::latency::Times;
use super::mqtt::Hub;
use crate::clock::Tick;
use crate::reference::admission::{Class, Gate};
use crate::reference::alert::Board;
use crate::reference::cluster::{Bus, Note};
use crate::reference::health::Health;
use crate::reference::job::{Answer, Reason, Ticket, Word};
use crate::reference::metric::Metrics;
use crate::reference::pipeline::{Pipeline, Submitted};
use crate::reference::reading::Reading;

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
    mailbox: Option<Rc<Mailbox>>,
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
            under_way: Cell::new(0),
            most_under_way,
        }
    }

    /// A line for a connection: answers to what it hands in come back on it.
    pub(super) fn line(self: &Rc<Self>) -> Line {
        let mut slots = self.slots.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(Slot::default());
            slots.len() as u32 - 1
        });
        let slot = &mut slots[index as usize];
        let mailbox = Rc::new(Mailbox::default());
        slot.mailbox = Some(Rc::clone(&mailbox));
        Line { desk: Rc::clone(self), ticket: Ticket { line: index, generation: slot.generation }, mailbox }
    }

    /// Lets a reading past the gate, or says why not and when to try again.
    pub(super) fn admit(&self, device: &Arc<str>, class: Class, now: Tick) -> Result<(), (Reason, u64)> {
        let mut gate = self.gate.borrow_mut();
        if let Some(bus) = &self.bus {
            self.introduce(device, bus);
            if self.pipeline.setup().admission.shared {
                gate.share_among(bus.living() as u64);
            }
        }
        gate.pass(device, class, now).map_err(|wait_ns| {
            self.pipeline.turned_away(now);
            (Reason::Quota, wait_ns.div_ceil(1_000_000))
        })
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
        if let Answer::Verdict(verdict) = answer {
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
        while words.recv_many(&mut batch, BATCH).await > 0 {
            for word in batch.drain(..) {
                match word {
                    Word::Answer(ticket, answer) => {
                        self.under_way.set(self.under_way.get().saturating_sub(1));
                        if ticket == MQTT {
                            hub.answer(answer);
                        } else {
                            self.deliver(ticket, answer);
                        }
                    }
                    Word::Alert(alert) => {
                        if let Some(bus) = self.bus.as_ref().filter(|_| alert.instance.is_none()) {
                            bus.tell(Note::Alert(alert.clone()));
                        }
                        let posted = self.board.post(alert);
                        hub.alert(&posted);
                    }
                }
            }
            hub.look_again();
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
