//! Where messages that anybody may read on are logged, such as windows, verdicts and what is broadcast: the last ones are kept, and
//! whoever reads on from a number hears of each once.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

/// A message with its number, counted from 1 without gaps.
#[derive(Debug)]
pub(in crate::reference) struct Logged {
    pub(in crate::reference) id: u64,
    /// The device that it is about, where it is about one.
    device: Option<Arc<str>>,
    /// As JSON.
    pub(in crate::reference) text: String,
}

/// The last messages of one kind, on the serving thread.
#[derive(Debug)]
pub(in crate::reference) struct FeedLog {
    kept: RefCell<VecDeque<Rc<Logged>>>,
    capacity: usize,
    last: Cell<u64>,
    posted: Notify,
    /// Somebody has asked for it.
    is_wanted: Cell<bool>,
}

/// What somebody who reads on comes to.
#[derive(Debug, Clone)]
pub(in crate::reference) enum Read {
    Message(Rc<Logged>),
    /// So many messages, of whatever device, were forgotten before they were read.
    Missed(u64),
}

/// Somebody's place in a log: it holds no message, so that a slow reader costs nothing.
#[derive(Debug)]
pub(in crate::reference) struct FeedReader {
    log: Rc<FeedLog>,
    /// This device; none: all.
    device: Option<String>,
    /// The number of the last one that was passed.
    passed: u64,
}

impl FeedLog {
    /// A log that keeps so many.
    pub(in crate::reference) fn new(capacity: usize) -> Self {
        Self {
            kept: RefCell::default(),
            capacity: capacity.max(1),
            last: Cell::new(0),
            posted: Notify::new(),
            is_wanted: Cell::new(false),
        }
    }

    /// Somebody asks for it, and may come back.
    pub(in crate::reference) fn want(&self) {
        self.is_wanted.set(true);
    }

    /// Whether anybody has asked for it yet: what nobody ever asks for need not be made.
    pub(in crate::reference) fn is_wanted(&self) -> bool {
        self.is_wanted.get()
    }

    /// Numbers a message, which `encode` makes of its number, and keeps it.
    pub(in crate::reference) fn enter(
        &self,
        device: Option<&Arc<str>>,
        encode: impl FnOnce(u64) -> String,
    ) -> Rc<Logged> {
        let id = self.last.get() + 1;
        self.last.set(id);
        let logged = Rc::new(Logged { id, device: device.map(Arc::clone), text: encode(id) });
        let mut kept = self.kept.borrow_mut();
        if kept.len() == self.capacity {
            kept.pop_front();
        }
        kept.push_back(Rc::clone(&logged));
        logged
    }

    /// Wakes those who wait for a message, which was entered.
    pub(in crate::reference) fn wake(&self) {
        self.posted.notify_waiters();
    }

    /// The number of the last one; 0 before the first.
    pub(in crate::reference) fn last(&self) -> u64 {
        self.last.get()
    }

    /// Reads on after message `since`, of one device or of all; of a number that was not given yet, from the next one on.
    pub(in crate::reference) fn reader(self: &Rc<Self>, since: u64, device: Option<String>) -> FeedReader {
        FeedReader { log: Rc::clone(self), device, passed: since.min(self.last.get()) }
    }
}

impl FeedReader {
    /// What comes next, if it is there already.
    pub(in crate::reference) fn try_next(&mut self) -> Option<Read> {
        let kept = self.log.kept.borrow();
        let before = self.log.last.get() - kept.len() as u64;
        if self.passed < before {
            let missed = before - self.passed;
            self.passed = before;
            return Some(Read::Missed(missed));
        }
        let fits = |logged: &&Rc<Logged>| {
            self.device.as_deref().is_none_or(|device| logged.device.as_deref() == Some(device))
        };
        let next = kept.range((self.passed - before) as usize..).find(fits).map(Rc::clone);
        self.passed = next.as_ref().map_or(self.log.last.get(), |logged| logged.id);
        next.map(Read::Message)
    }

    /// What comes next.
    pub(in crate::reference) async fn next(&mut self) -> Read {
        loop {
            // Nothing can be entered between looking and waiting: both are on the serving thread.
            if let Some(read) = self.try_next() {
                return read;
            }
            self.log.posted.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(capacity: usize, devices: &str) -> Rc<FeedLog> {
        let log = Rc::new(FeedLog::new(capacity));
        post(&log, devices);
        log
    }

    /// Posts a message about each device, which has one letter; `*` is none.
    fn post(log: &FeedLog, devices: &str) {
        for letter in devices.chars() {
            let device = (letter != '*').then(|| Arc::from(letter.to_string()));
            log.enter(device.as_ref(), |id| format!("{id} {letter}"));
        }
        log.wake();
    }

    /// What there is to read: numbers, what was missed below zero.
    fn read(reader: &mut FeedReader) -> Vec<i64> {
        std::iter::from_fn(|| reader.try_next())
            .map(|read| match read {
                Read::Message(logged) => logged.id.cast_signed(),
                Read::Missed(count) => -count.cast_signed(),
            })
            .collect()
    }

    #[test]
    fn a_reader_hears_of_each_message_once_and_of_what_it_missed() {
        let log = log(3, "ab*ba");
        for (since, device, expected) in [
            (0, None, vec![-2, 3, 4, 5]),
            (2, None, vec![3, 4, 5]),
            (4, None, vec![5]),
            (5, None, vec![]),
            (99, None, vec![]),
            (0, Some("b"), vec![-2, 4]),
            (0, Some("c"), vec![-2]),
        ] {
            let mut reader = log.reader(since, device.map(str::to_owned));
            assert_eq!(read(&mut reader), expected, "{since} {device:?}");
            assert_eq!(read(&mut reader), [0_i64; 0], "{since} {device:?}");
        }
        let (mut all, mut late) = (log.reader(99, None), log.reader(5, Some("a".into())));
        post(&log, "ab");
        assert_eq!((read(&mut all), read(&mut late)), (vec![6, 7], vec![6]));
        post(&log, "abab");
        assert_eq!((read(&mut all), read(&mut late)), (vec![-1, 9, 10, 11], vec![-1, 10]));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn whoever_waits_is_woken_by_the_next() {
        let log = log(3, "");
        let mut reader = log.reader(0, None);
        let waiting = async {
            match reader.next().await {
                Read::Message(logged) => logged.text.clone(),
                Read::Missed(_) => String::new(),
            }
        };
        let posting = async { post(&log, "a") };
        assert_eq!(tokio::join!(waiting, posting).0, "1 a");
    }
}
