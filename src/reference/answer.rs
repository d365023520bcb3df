//! A reading on its way through the service, and what comes back.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::alert::Alert;
use super::broadcast::Broadcast;
use super::cluster::CacheOrder;
use super::metric::Metrics;
use super::reading::{Reading, Verdict};
use super::window::ClosedWindow;
use crate::clock::Tick;
use crate::record::RunToken;

/// Whom an answer is for: a channel of the dispatcher in the serving thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReplyTo {
    pub(super) channel: u32,
    /// Channels are used anew: an answer for an older owner is for nobody.
    pub(super) generation: u32,
}

/// Why a reading was not worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The queue is full.
    QueueFull,
    /// It waited, and had to make room for another.
    Displaced,
    /// It waited for longer than it is worth.
    Overdue,
    /// Its device, or all of them together, sent more than they may.
    Quota,
    /// The service does not take readings now.
    Stopped,
    /// The worker that had it is gone.
    Crashed,
    /// It was refused on purpose, as by an overloaded service.
    Overload,
}

impl Reason {
    /// The word on the wire.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Displaced => "displaced",
            Self::Overdue => "overdue",
            Self::Quota => "quota",
            Self::Stopped => "stopped",
            Self::Crashed => "crashed",
            Self::Overload => "overload",
        }
    }
}

/// A reading that was not worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shed {
    pub(super) id: ReadingId,
    pub(super) reason: Reason,
    /// When to try again, milliseconds from now.
    pub(super) retry_ms: u64,
}

/// Which reading something is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ReadingId {
    pub(super) device: Arc<str>,
    pub(super) seq: u64,
    /// The run of its sender, where that says so.
    pub(super) run: Option<RunToken>,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Verdict(Verdict),
    Shed(Shed),
    /// On purpose: a verdict that comes twice.
    Twice(Verdict),
    /// On purpose: an error.
    Failed(ReadingId),
    /// On purpose: a verdict that its sender never gets.
    Vanished(ReadingId),
}

impl Answer {
    /// The reading it is about.
    pub(super) const fn id(&self) -> &ReadingId {
        match self {
            Self::Verdict(Verdict { id, .. })
            | Self::Twice(Verdict { id, .. })
            | Self::Shed(Shed { id, .. })
            | Self::Failed(id)
            | Self::Vanished(id) => id,
        }
    }

    /// How often it is sent.
    pub(super) const fn copies(&self) -> usize {
        match self {
            Self::Verdict(_) | Self::Shed(_) | Self::Failed(_) => 1,
            Self::Twice(_) => 2,
            Self::Vanished(_) => 0,
        }
    }
}

/// What workers tell the serving thread.
#[derive(Debug)]
pub(super) enum WorkerMessage {
    /// To whoever sent the reading.
    Answer(ReplyTo, Answer),
    /// To all who subscribed; with its number, where it has one already.
    Alert(Alert, Option<u64>),
    /// The same.
    Window(ClosedWindow),
    /// The same, of this instance or another.
    Broadcast(Broadcast),
    /// Another instance has its cache forget something, and so does this one.
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "nobody is heard of"))]
    Forget(CacheOrder),
}

/// The way from workers back to the serving thread. Bounded: every reading under way has a place in it.
pub(super) type ReplySender = mpsc::Sender<WorkerMessage>;

/// The way back, with the books: what goes over it is counted.
#[derive(Debug)]
pub(super) struct ReturnPath {
    sender: ReplySender,
    metrics: Arc<Metrics>,
}

impl ReturnPath {
    pub(super) fn new(sender: ReplySender, metrics: &Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { sender, metrics: Arc::clone(metrics) })
    }

    /// Whether an alert may be on its way: so many could be that verdicts are in need of the room.
    pub(super) fn has_room(&self) -> bool {
        self.sender.capacity() >= self.sender.max_capacity() / 8
    }

    /// Hands something to the serving thread; false where so much is on its way there that verdicts might be in need of the room.
    pub(super) fn publish(&self, message: WorkerMessage) -> bool {
        self.has_room() && self.sender.try_send(message).is_ok()
    }

    /// Hands an alert to the serving thread, or counts it where there is no room for it; `number`: the one it has already.
    pub(super) fn raise(&self, alert: Alert, number: Option<u64>) {
        if alert.instance.is_none() {
            self.metrics.alerts.inc();
        }
        if !self.publish(WorkerMessage::Alert(alert, number)) {
            self.metrics.alerts_lost.inc();
        }
    }
}

/// A reading on its way. It is answered and counted once, whatever becomes of it: also if it is dropped.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) reading: Reading,
    pub(super) arrived: Tick,
    reply_to: ReplyTo,
    back: Option<Arc<ReturnPath>>,
}

impl Unanswered {
    pub(super) fn new(reading: Reading, arrived: Tick, reply_to: ReplyTo, back: Arc<ReturnPath>) -> Self {
        Self { reading, arrived, reply_to, back: Some(back) }
    }

    /// Hands the verdict over.
    pub(super) fn answer(mut self, verdict: Verdict) {
        self.send(Answer::Verdict(verdict));
    }

    /// Says why there is none.
    pub(super) fn refuse(mut self, reason: Reason, retry_ms: u64) {
        self.shed(reason, retry_ms);
    }

    /// Takes the reading back before anybody else heard of it: no answer goes out.
    pub(super) fn recall(mut self) -> Reading {
        self.back = None;
        std::mem::take(&mut self.reading)
    }

    fn shed(&mut self, reason: Reason, retry_ms: u64) {
        let shed = Shed { id: self.reading.id(), reason, retry_ms };
        self.send(Answer::Shed(shed));
    }

    fn send(&mut self, answer: Answer) {
        let Some(back) = self.back.take() else { return };
        // Counted before it is sent: who has an answer finds it in the metrics.
        match &answer {
            Answer::Verdict(_) => back.metrics.verdicts.inc(),
            Answer::Shed(shed) => back.metrics.shed(shed.reason),
            Answer::Twice(_) | Answer::Failed(_) | Answer::Vanished(_) => {}
        }
        // Only a serving thread that is gone does not take it.
        let _ = back.sender.try_send(WorkerMessage::Answer(self.reply_to, answer));
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if self.back.is_some() {
            self.shed(Reason::Crashed, 1_000);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_answered_once_whatever_becomes_of_it() {
        let (sender, mut messages) = mpsc::channel(4);
        let metrics = Arc::new(Metrics::default());
        let back = ReturnPath::new(sender, &metrics);
        let reply_to = ReplyTo { channel: 1, generation: 1 };
        let unanswered = || {
            let reading = Reading { device: "d".into(), seq: 7, value: 1.0, ..Reading::default() };
            Unanswered::new(reading, Tick(0), reply_to, Arc::clone(&back))
        };
        let reason = |message| match message {
            Ok(WorkerMessage::Answer(_, Answer::Shed(shed))) => Some(shed.reason),
            _ => None,
        };
        drop(unanswered());
        assert_eq!(reason(messages.try_recv()), Some(Reason::Crashed));
        unanswered().refuse(Reason::Overdue, 5);
        assert_eq!(reason(messages.try_recv()), Some(Reason::Overdue));
        assert_eq!(unanswered().recall().seq, 7);
        assert!(
            messages.try_recv().is_err(),
            "nobody hears of a reading that was called back, nor twice of any"
        );
        let books = metrics.books();
        assert_eq!((books.crashed, books.shed, books.verdicts), (1, 1, 0), "each is counted once");
    }
}
