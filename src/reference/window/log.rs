//! Where closed windows are logged: the last ones are kept, and whoever reads on from a number hears of each once.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::Notify;

use super::WindowSummary;

/// A window of a device that was closed.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::reference) struct ClosedWindow {
    pub(in crate::reference) device: Arc<str>,
    pub(in crate::reference) window: WindowSummary,
    /// When it was closed, milliseconds since the service started.
    pub(in crate::reference) at_ms: u64,
}

/// A closed window with its number, counted from 1 without gaps.
#[derive(Debug)]
pub(in crate::reference) struct LoggedWindow {
    pub(in crate::reference) id: u64,
    device: Arc<str>,
    /// As JSON.
    pub(in crate::reference) text: String,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "window")]
struct Wire<'a> {
    id: u64,
    device: &'a str,
    #[serde(flatten)]
    window: WindowSummary,
    at_ms: u64,
}

/// The last windows that were closed, on the serving thread.
#[derive(Debug)]
pub(in crate::reference) struct WindowLog {
    kept: RefCell<VecDeque<Rc<LoggedWindow>>>,
    capacity: usize,
    last: Cell<u64>,
    posted: Notify,
}

/// What somebody who reads on comes to.
#[derive(Debug, Clone)]
pub(in crate::reference) enum Read {
    Window(Rc<LoggedWindow>),
    /// So many windows, of whatever device, were forgotten before they were read.
    Missed(u64),
}

/// Somebody's place in a log: it holds no window, so that a slow reader costs nothing.
#[derive(Debug)]
pub(in crate::reference) struct WindowReader {
    log: Rc<WindowLog>,
    /// This device; none: all.
    device: Option<String>,
    /// The number of the last one that was passed.
    passed: u64,
}

impl WindowLog {
    /// A log that keeps so many.
    pub(in crate::reference) fn new(capacity: usize) -> Self {
        let kept = RefCell::default();
        Self { kept, capacity: capacity.max(1), last: Cell::new(0), posted: Notify::new() }
    }

    /// Numbers a window, keeps it, and tells those who wait for it.
    pub(in crate::reference) fn post(&self, closed: &ClosedWindow) {
        let ClosedWindow { device, window, at_ms } = closed;
        let id = self.last.get() + 1;
        self.last.set(id);
        // Plain strings, integers and finite numbers always serialise.
        let text = serde_json::to_string(&Wire { id, device, window: *window, at_ms: *at_ms });
        let logged = LoggedWindow { id, device: Arc::clone(device), text: text.unwrap_or_default() };
        let mut kept = self.kept.borrow_mut();
        if kept.len() == self.capacity {
            kept.pop_front();
        }
        kept.push_back(Rc::new(logged));
        drop(kept);
        self.posted.notify_waiters();
    }

    /// The number of the last one; 0 before the first.
    pub(in crate::reference) fn last(&self) -> u64 {
        self.last.get()
    }

    /// Reads on after window `since`, of one device or of all; of a number that was not given yet, from the next one on.
    pub(in crate::reference) fn reader(self: &Rc<Self>, since: u64, device: Option<String>) -> WindowReader {
        WindowReader { log: Rc::clone(self), device, passed: since.min(self.last.get()) }
    }
}

impl WindowReader {
    /// What comes next, if it is there already.
    pub(in crate::reference) fn try_next(&mut self) -> Option<Read> {
        let kept = self.log.kept.borrow();
        let before = self.log.last.get() - kept.len() as u64;
        if self.passed < before {
            let missed = before - self.passed;
            self.passed = before;
            return Some(Read::Missed(missed));
        }
        let fits = |logged: &&Rc<LoggedWindow>| {
            self.device.as_deref().is_none_or(|device| device == &*logged.device)
        };
        let next = kept.range((self.passed - before) as usize..).find(fits).map(Rc::clone);
        self.passed = next.as_ref().map_or(self.log.last.get(), |logged| logged.id);
        next.map(Read::Window)
    }

    /// What comes next.
    pub(in crate::reference) async fn next(&mut self) -> Read {
        loop {
            // Nothing can be posted between looking and waiting: both are on the serving thread.
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

    fn log(capacity: usize, devices: &str) -> Rc<WindowLog> {
        let log = Rc::new(WindowLog::new(capacity));
        post(&log, devices);
        log
    }

    /// Closes a window of each device, which has one letter.
    fn post(log: &WindowLog, devices: &str) {
        for device in devices.chars() {
            let window = WindowSummary::of(1, 2, 3.5);
            log.post(&ClosedWindow { device: device.to_string().into(), window, at_ms: 7 });
        }
    }

    /// What there is to read: numbers, what was missed below zero.
    fn read(reader: &mut WindowReader) -> Vec<i64> {
        std::iter::from_fn(|| reader.try_next())
            .map(|read| match read {
                Read::Window(logged) => logged.id.cast_signed(),
                Read::Missed(count) => -count.cast_signed(),
            })
            .collect()
    }

    #[test]
    fn a_reader_hears_of_each_window_once_and_of_what_it_missed() {
        let log = log(3, "ababa");
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

    #[test]
    fn a_window_is_told_with_its_number_and_device() {
        let log = log(1, "a");
        let Some(Read::Window(logged)) = log.reader(0, None).try_next() else { panic!("no window") };
        assert_eq!(
            logged.text,
            r#"{"type":"window","id":1,"device":"a","start_ns":1,"end_ns":2,"count":1,"mean":3.5,"least":3.5,"most":3.5,"at_ms":7}"#
        );
    }

    #[tokio::test(flavor = "current_thread")]
    async fn whoever_waits_is_woken_by_the_next() {
        let log = log(3, "");
        let mut reader = log.reader(0, None);
        let waiting = async {
            match reader.next().await {
                Read::Window(logged) => logged.id,
                Read::Missed(_) => 0,
            }
        };
        let posting = async { post(&log, "a") };
        assert_eq!(tokio::join!(waiting, posting).0, 1);
    }
}
