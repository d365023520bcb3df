//! The dispatcher of the serving thread: what connections hand in goes past the gate to the pipeline, what comes back goes to the
//! connection it belongs to.

mod alert;
mod feed;
mod observation;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use self::feed::Feeds;
use super::delay_queue::DelayQueue;
use super::latency::Times;
use super::mqtt::Hub;
use super::suspicion::Suspicions;
use crate::clock::{Tick, WallTime};
use crate::reference::admission::{Gate, Question, Sender};
use crate::reference::alert::AlertLog;
use crate::reference::answer::{Answer, ReadingId, Reason, ReplyTo, Shed, WorkerMessage};
use crate::reference::cluster::{ClusterBus, ClusterEvent};
use crate::reference::fault::{Delivery, FaultRegistry};
use crate::reference::health::{Rule, Status};
use crate::reference::metric::{Endpoint, Metrics, ResponseTimes};
use crate::reference::pipeline::{Pipeline, Submission};
use crate::reference::reading::Reading;
use crate::reference::token::{Denial, Grant, Keyring};
use crate::service::{ActLog, FaultKind};

/// Messages taken up at once.
const BATCH: usize = 256;

/// Answers for MQTT go to topics, not to connections.
pub(super) const MQTT: ReplyTo = ReplyTo { channel: u32::MAX, generation: 0 };

/// When to try again after too much was under way, milliseconds.
const RETRY_MS: u64 = 1_000;

#[derive(Debug, Default)]
struct Inbox {
    answers: RefCell<VecDeque<Answer>>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    /// Whether answers are messages of their own, so that one can be sent twice.
    may_repeat: bool,
    inbox: Option<Rc<Inbox>>,
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
    pub(super) const fn answer(self, id: ReadingId) -> Answer {
        match self {
            Self::Shed(reason, retry_ms) => Answer::Shed(Shed { id, reason, retry_ms }),
            Self::Failed => Answer::Failed(id),
        }
    }
}

/// Who decides whether a reading is let in.
#[derive(Debug)]
pub(super) enum Ruling {
    /// This instance, and has.
    Here(Result<(), Refusal>),
    /// All together: their answer is to come.
    Together(Question),
}

/// What all connections of an instance share; they run on one thread.
#[derive(Debug)]
pub(in crate::reference) struct Dispatcher {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) metrics: Arc<Metrics>,
    gate: RefCell<Gate>,
    keyring: RefCell<Keyring>,
    pub(super) alert_log: AlertLog,
    pub(super) feeds: Feeds,
    /// Who was refused, as far as it is to be told.
    suspicions: Suspicions,
    /// Rules of health that were broken when it was last looked.
    concerns: RefCell<Vec<(Rule, Status)>>,
    /// What leads to other instances.
    pub(super) bus: Option<Arc<ClusterBus>>,
    /// What the service was told to do.
    pub(super) acts: Arc<ActLog>,
    /// Told of each of them.
    pub(super) acted: Notify,
    /// Devices that other instances have been told of, and by which connection they spoke then.
    known: RefCell<HashMap<Arc<str>, u64>>,
    /// Turns true when the service stops.
    pub(in crate::reference) stop: watch::Receiver<bool>,
    /// Connections open at once, per listener; further ones are closed at once.
    pub(super) max_connections: usize,
    /// Large bodies that are being read.
    pub(super) large_bodies: Cell<usize>,
    /// Times in the service, of the last seconds.
    pub(super) latency: RefCell<Times>,
    /// Times in the service since its start, for Prometheus.
    times: RefCell<ResponseTimes>,
    /// `WebSocket`s that are open, each served by a task of its own.
    sockets: RefCell<JoinSet<()>>,
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<u32>>,
    /// Answers that are held back on purpose.
    delayed: RefCell<DelayQueue>,
    /// Readings whose answers have not come back.
    under_way: Cell<usize>,
    most_under_way: usize,
}

/// What a dispatcher has room for.
#[derive(Debug, Clone, Copy)]
pub(in crate::reference) struct Limits {
    /// Connections per listener.
    pub(in crate::reference) connections: usize,
    /// Readings whose answers have not come back.
    pub(in crate::reference) under_way: usize,
}

impl Dispatcher {
    /// A dispatcher without connections, over a way back with room for as many answers as may be under way.
    pub(in crate::reference) fn new(
        pipeline: Arc<Pipeline>,
        stop: watch::Receiver<bool>,
        limits: Limits,
        bus: Option<Arc<ClusterBus>>,
        acts: Arc<ActLog>,
        keyring: Keyring,
    ) -> Self {
        let setup = pipeline.setup();
        let gate = Gate::new(&setup.admission, setup.features.devices);
        let alert_log = AlertLog::new(&setup.alerts, pipeline.take_past());
        Self {
            gate: RefCell::new(gate),
            keyring: RefCell::new(keyring),
            alert_log,
            suspicions: Suspicions::default(),
            concerns: RefCell::default(),
            feeds: Feeds::new(setup),
            bus,
            acts,
            acted: Notify::new(),
            known: RefCell::default(),
            metrics: Arc::clone(pipeline.metrics()),
            pipeline,
            stop,
            max_connections: limits.connections.max(1),
            large_bodies: Cell::new(0),
            latency: RefCell::new(Times::new()),
            times: RefCell::default(),
            sockets: RefCell::default(),
            slots: RefCell::default(),
            free: RefCell::default(),
            delayed: RefCell::default(),
            under_way: Cell::new(0),
            most_under_way: limits.under_way,
        }
    }

    /// What goes wrong on purpose.
    pub(super) fn faults(&self) -> &FaultRegistry {
        self.pipeline.faults()
    }

    /// A channel for a connection on which answers are messages of their own: answers to what it hands in come back on it.
    pub(super) fn reply_channel(self: &Rc<Self>) -> ReplyChannel {
        self.open_channel(true)
    }

    /// A channel for a connection on which every request has one response.
    pub(super) fn response_channel(self: &Rc<Self>) -> ReplyChannel {
        self.open_channel(false)
    }

    fn open_channel(self: &Rc<Self>, may_repeat: bool) -> ReplyChannel {
        let mut slots = self.slots.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(Slot::default());
            slots.len() as u32 - 1
        });
        let slot = &mut slots[index as usize];
        let inbox = Rc::new(Inbox::default());
        slot.inbox = Some(Rc::clone(&inbox));
        slot.may_repeat = may_repeat;
        ReplyChannel {
            dispatcher: Rc::clone(self),
            reply_to: ReplyTo { channel: index, generation: slot.generation },
            inbox,
        }
    }

    /// What whoever shows `token` may.
    ///
    /// # Errors
    /// If that is nothing.
    pub(super) fn identify(&self, token: Option<&str>) -> Result<Arc<Grant>, Denial> {
        self.keyring.borrow_mut().identify(token, WallTime::now())
    }

    /// Lets a reading past the gate, or says why not and when to try again.
    pub(super) async fn admit(
        &self,
        device: &Arc<str>,
        sender: Sender<'_>,
        now: Tick,
    ) -> Result<(), Refusal> {
        match self.ask(device, sender, now) {
            Ruling::Here(ruled) => ruled,
            Ruling::Together(question) => self.decide(question.await.ok(), device, sender, now),
        }
    }

    /// The same, where an answer of all instances is not waited for here: it is to be brought to [`Self::decide`].
    pub(super) fn ask(&self, device: &Arc<str>, sender: Sender<'_>, now: Tick) -> Ruling {
        if let Some(bus) = &self.bus {
            self.introduce(device, sender, bus);
            if let Some(shared) = bus.gate() {
                self.gate.borrow_mut().share_among(bus.living() as u64);
                let gate = self.gate.borrow();
                // Who is refused by its own connection's quota must not use up what all share.
                let quotas = gate.shared(device, sender);
                if !quotas.is_empty()
                    && gate.is_within_connection(sender.source, now)
                    && let Some(question) = shared.ask(quotas)
                {
                    return Ruling::Together(question);
                }
            }
        }
        Ruling::Here(self.decide(None, device, sender, now))
    }

    /// Lets a reading past the gate as all instances have `ruled`, or as this one rules alone, or says why not.
    pub(super) fn decide(
        &self,
        ruled: Option<Result<(), u64>>,
        device: &Arc<str>,
        sender: Sender<'_>,
        now: Tick,
    ) -> Result<(), Refusal> {
        let mut gate = self.gate.borrow_mut();
        let passed = match ruled {
            None => gate.pass(device, sender, now),
            Some(Ok(())) => {
                gate.note(device, sender, now);
                Ok(())
            }
            Some(Err(wait_ns)) => Err(wait_ns),
        };
        drop(gate);
        passed.map_err(|wait_ns| {
            self.metrics.turn_away(Reason::Quota);
            Refusal::Shed(Reason::Quota, wait_ns.div_ceil(1_000_000))
        })?;
        if let Some(retry_ms) = self.faults().overload() {
            self.metrics.turn_away(Reason::Overload);
            return Err(Refusal::Shed(Reason::Overload, retry_ms));
        }
        if self.faults().strikes(FaultKind::Errors) {
            self.metrics.fail();
            return Err(Refusal::Failed);
        }
        Ok(())
    }

    /// Lets other instances know that a device speaks to this one: again over each new connection, for it may have been elsewhere.
    fn introduce(&self, device: &Arc<str>, sender: Sender<'_>, bus: &ClusterBus) {
        let connection = sender.source.number();
        let mut known = self.known.borrow_mut();
        if known.get(device) == Some(&connection) {
            return;
        }
        if known.len() >= self.pipeline.setup().features.devices {
            known.clear();
        }
        known.insert(Arc::clone(device), connection);
        bus.tell(ClusterEvent::Device(Arc::clone(device)));
    }

    /// Takes an admitted reading to the pipeline.
    pub(super) fn submit(&self, reading: Reading, arrived: Tick, reply_to: ReplyTo) -> Submission {
        // Were more under way than there is room for on the way back, answers would be lost.
        if self.under_way.get() >= self.most_under_way {
            self.metrics.turn_away(Reason::QueueFull);
            return Submission::Refused(Reason::QueueFull, RETRY_MS);
        }
        let submitted = self.pipeline.submit(reading, arrived, reply_to);
        if matches!(submitted, Submission::Taken) {
            self.under_way.set(self.under_way.get() + 1);
        }
        submitted
    }

    /// The same, waiting for room where the queue is set up to push back.
    pub(super) async fn submit_patiently(
        &self,
        mut reading: Reading,
        arrived: Tick,
        reply_to: ReplyTo,
    ) -> Submission {
        loop {
            match self.submit(reading, arrived, reply_to) {
                Submission::Blocked(back) => {
                    let level = self.level_of(&back);
                    self.pipeline.room(level).await;
                    reading = back;
                }
                other => return other,
            }
        }
    }

    /// An answer as it is handed to its connection, with its time in the service noted.
    pub(super) fn encode(&self, answer: &mut Answer, endpoint: Endpoint) -> String {
        let now = self.pipeline.now();
        let text = answer.encode(now);
        if let Answer::Verdict(verdict) | Answer::Twice(verdict) = answer {
            self.latency.borrow_mut().note(now, verdict.stages);
            self.times.borrow_mut().note(endpoint, &verdict.stages);
        }
        text
    }

    /// Counts and keeps something that is not a reading.
    pub(super) fn bad(&self, now: Tick, endpoint: Endpoint, reason: &str, bytes: &[u8]) {
        self.metrics.bury();
        self.pipeline.dead_letters().add(now, endpoint.name(), reason, bytes);
    }

    /// How urgent a reading is.
    pub(super) fn level_of(&self, reading: &Reading) -> crate::service::Priority {
        reading.priority.unwrap_or_else(|| self.pipeline.setup().queue.level_of(reading.class()))
    }

    /// Brings what workers have to say to whom it is for, until the service stops.
    pub(in crate::reference) async fn dispatch(
        &self,
        hub: &Hub,
        mut messages: mpsc::Receiver<WorkerMessage>,
    ) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.listen(&mut messages, &mut batch).await {
            for message in batch.drain(..) {
                match message {
                    WorkerMessage::Answer(reply_to, answer) => self.bring(hub, reply_to, answer),
                    WorkerMessage::Forget(order) => self.pipeline.shared().follow(&order),
                    WorkerMessage::Window(closed) => {
                        self.feeds.windows.enter(Some(&closed.device), |id| closed.encode(id));
                        self.feeds.windows.wake();
                    }
                    WorkerMessage::Broadcast(broadcast) => self.announce(hub, broadcast),
                    WorkerMessage::Alert(alert, number) => self.spread(hub, alert, number),
                }
            }
            let now = self.pipeline.now();
            loop {
                let Some((reply_to, answer)) = self.delayed.borrow_mut().release(now) else { break };
                self.hand_over(hub, reply_to, answer);
            }
            hub.look_again();
        }
    }

    /// Waits for messages, or for an answer that is held back to become due; false once no message can come any more.
    async fn listen(
        &self,
        messages: &mut mpsc::Receiver<WorkerMessage>,
        batch: &mut Vec<WorkerMessage>,
    ) -> bool {
        let due = self.delayed.borrow().next_due();
        let heard = messages.recv_many(batch, BATCH);
        let Some(due) = due else { return heard.await > 0 };
        let patience = Duration::from_nanos(due.since(self.pipeline.now()));
        tokio::time::timeout(patience, heard).await.map_or(true, |count| count > 0)
    }

    /// Brings an answer on its way, as far as nothing goes wrong with it on purpose.
    fn bring(&self, hub: &Hub, reply_to: ReplyTo, answer: Answer) {
        let Answer::Verdict(verdict) = answer else { return self.hand_over(hub, reply_to, answer) };
        self.tell_verdict(hub, &verdict);
        let (delivery, delay_ns) = self.faults().delivery(self.may_repeat(reply_to));
        let answer = match delivery {
            Delivery::Once => Answer::Verdict(verdict),
            Delivery::Twice => Answer::Twice(verdict),
            Delivery::Never => Answer::Vanished(verdict.id),
        };
        if delay_ns == 0 {
            return self.hand_over(hub, reply_to, answer);
        }
        self.delayed.borrow_mut().hold(self.pipeline.now().plus_ns(delay_ns), reply_to, answer);
    }

    fn hand_over(&self, hub: &Hub, reply_to: ReplyTo, answer: Answer) {
        self.under_way.set(self.under_way.get().saturating_sub(1));
        if reply_to == MQTT {
            hub.answer(answer);
        } else {
            self.deliver(reply_to, answer);
        }
    }

    fn may_repeat(&self, reply_to: ReplyTo) -> bool {
        reply_to == MQTT
            || self.slots.borrow().get(reply_to.channel as usize).is_some_and(|slot| slot.may_repeat)
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

    fn deliver(&self, reply_to: ReplyTo, answer: Answer) {
        let slots = self.slots.borrow();
        let slot = slots.get(reply_to.channel as usize).filter(|slot| slot.generation == reply_to.generation);
        // A sender who has gone away gets none.
        let Some(inbox) = slot.and_then(|slot| slot.inbox.as_ref()) else { return };
        inbox.answers.borrow_mut().push_back(answer);
        if let Some(waker) = inbox.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// One connection's channel to the dispatcher.
#[derive(Debug)]
pub(super) struct ReplyChannel {
    dispatcher: Rc<Dispatcher>,
    reply_to: ReplyTo,
    inbox: Rc<Inbox>,
}

impl ReplyChannel {
    /// What answers on this channel are addressed to.
    pub(super) const fn reply_to(&self) -> ReplyTo {
        self.reply_to
    }

    /// The next answer.
    pub(super) async fn next(&self) -> Answer {
        poll_fn(|cx| {
            if let Some(answer) = self.try_next() {
                return Poll::Ready(answer);
            }
            *self.inbox.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// The next answer that is there already.
    pub(super) fn try_next(&self) -> Option<Answer> {
        self.inbox.answers.borrow_mut().pop_front()
    }
}

impl Drop for ReplyChannel {
    fn drop(&mut self) {
        if let Some(slot) = self.dispatcher.slots.borrow_mut().get_mut(self.reply_to.channel as usize) {
            slot.inbox = None;
            slot.generation = slot.generation.wrapping_add(1);
        }
        self.dispatcher.free.borrow_mut().push(self.reply_to.channel);
    }
}
