//! Progress as subscribers hear it: every change of a job is an event, and whoever is too slow for them is told how many went by.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};

/// A change of a job.
#[derive(Debug, Clone)]
pub(in crate::reference) struct Event {
    /// Numbered from 1 without gaps, as far as anybody listens.
    pub(in crate::reference) id: u64,
    pub(super) job: u64,
    pub(super) class: usize,
    /// The job as JSON.
    pub(in crate::reference) text: Arc<str>,
    /// Whether nothing more will happen to the job.
    pub(in crate::reference) is_last: bool,
}

/// What a subscriber asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::reference) struct Filter {
    /// Only of this job.
    pub(in crate::reference) job: Option<u64>,
    /// Only of this class, by its place.
    pub(in crate::reference) class: Option<usize>,
}

/// What a subscriber hears.
#[derive(Debug)]
pub(in crate::reference) enum Heard {
    Event(Event),
    /// So many events went by, of whichever jobs.
    Missed(u64),
    /// There will be no more.
    Over,
}

/// All subscribers.
#[derive(Debug)]
pub(super) struct Watchers {
    sender: Sender<Event>,
    most: usize,
    last: AtomicU64,
    missed: Arc<AtomicU64>,
}

/// A subscriber.
#[derive(Debug)]
pub(in crate::reference) struct Watcher {
    receiver: Receiver<Event>,
    filter: Filter,
    missed: Arc<AtomicU64>,
}

impl Watchers {
    /// Room for `most` subscribers, for each of whom up to `buffer` events may wait.
    pub(super) fn new(buffer: usize, most: usize) -> Self {
        Self { sender: Sender::new(buffer.max(1)), most, last: AtomicU64::new(0), missed: Arc::default() }
    }

    /// Whether anybody listens.
    pub(super) fn any(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Tells of a change. Whoever calls this holds the board, so that events come in the order of what they tell.
    pub(super) fn tell(&self, job: u64, class: usize, text: String, is_last: bool) {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        // Without subscribers there is nobody to tell.
        let _ = self.sender.send(Event { id, job, class, text: text.into(), is_last });
    }

    /// Hears of everything that fits from now on; none if there are as many subscribers as may be.
    pub(super) fn subscribe(&self, filter: Filter) -> Option<Watcher> {
        (self.sender.receiver_count() < self.most).then(|| Watcher {
            receiver: self.sender.subscribe(),
            filter,
            missed: Arc::clone(&self.missed),
        })
    }

    /// Subscribers now.
    pub(super) fn count(&self) -> usize {
        self.sender.receiver_count()
    }

    /// Events that subscribers missed because they were too slow.
    pub(super) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl Watcher {
    /// The next thing to hear.
    pub(in crate::reference) async fn next(&mut self) -> Heard {
        loop {
            match self.receiver.recv().await {
                Ok(event) if self.filter.fits(&event) => return Heard::Event(event),
                Ok(_) => {}
                Err(RecvError::Lagged(count)) => {
                    self.missed.fetch_add(count, Ordering::Relaxed);
                    return Heard::Missed(count);
                }
                Err(RecvError::Closed) => return Heard::Over,
            }
        }
    }

    /// The one job that it is for, if it is.
    pub(in crate::reference) const fn follows(&self) -> Option<u64> {
        self.filter.job
    }
}

impl Filter {
    fn fits(self, event: &Event) -> bool {
        self.job.is_none_or(|job| job == event.job) && self.class.is_none_or(|class| class == event.class)
    }
}
