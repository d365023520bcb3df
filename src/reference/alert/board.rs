//! Where alerts are posted: the last ones are kept, and subscribers have bounded buffers.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::Alert;
use crate::reference::reading::Level;
use crate::service::{Alerts as Setup, Slow};

/// Subscribers at once.
const MOST: usize = 10_000;

/// An alert with its number, counted from 1 without gaps.
#[derive(Debug, Clone)]
pub(in crate::reference) struct Posted {
    pub(in crate::reference) id: u64,
    pub(in crate::reference) alert: Alert,
    /// As JSON.
    pub(in crate::reference) text: Arc<str>,
}

/// Which alerts somebody wants to hear of.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::reference) struct Filter {
    /// This level and above.
    pub(in crate::reference) level: Level,
    /// This device; none: all.
    pub(in crate::reference) device: Option<String>,
}

impl Filter {
    fn fits(&self, alert: &Alert) -> bool {
        alert.level >= self.level && self.device.as_deref().is_none_or(|device| device == &*alert.device)
    }
}

#[derive(Debug)]
struct Inbox {
    filter: Filter,
    waiting: RefCell<VecDeque<Posted>>,
    missed: Cell<u64>,
    cut: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// Where alerts are posted, on the serving thread.
#[derive(Debug)]
pub(in crate::reference) struct Board {
    history: RefCell<VecDeque<Posted>>,
    kept: usize,
    last: Cell<u64>,
    inboxes: RefCell<Vec<Weak<Inbox>>>,
    buffer: usize,
    slow: Slow,
    missed: Cell<u64>,
}

/// One subscriber's side.
#[derive(Debug)]
pub(in crate::reference) struct Subscription {
    inbox: Rc<Inbox>,
}

/// What a subscriber hears.
#[derive(Debug, Clone)]
pub(in crate::reference) enum Heard {
    Alert(Posted),
    /// So many alerts were missed.
    Missed(u64),
    /// It was too slow, and is not served any more.
    Cut,
}

impl Board {
    pub(in crate::reference) fn new(setup: &Setup) -> Self {
        Self {
            history: RefCell::default(),
            kept: setup.history,
            last: Cell::new(0),
            inboxes: RefCell::default(),
            buffer: setup.buffer.max(1),
            slow: setup.slow,
            missed: Cell::new(0),
        }
    }

    /// Posts an alert: numbers it, keeps it and hands it to whoever wants it.
    pub(in crate::reference) fn post(&self, alert: Alert) -> Posted {
        let id = self.last.get() + 1;
        self.last.set(id);
        let text = alert.encode(id, alert.instance.as_deref()).into();
        let posted = Posted { id, alert, text };
        let mut history = self.history.borrow_mut();
        if self.kept > 0 {
            if history.len() == self.kept {
                history.pop_front();
            }
            history.push_back(posted.clone());
        }
        drop(history);
        self.inboxes.borrow_mut().retain(|inbox| {
            let Some(inbox) = inbox.upgrade() else { return false };
            if inbox.filter.fits(&posted.alert) {
                self.hand(&inbox, &posted);
            }
            !inbox.cut.get()
        });
        posted
    }

    fn hand(&self, inbox: &Inbox, posted: &Posted) {
        let mut waiting = inbox.waiting.borrow_mut();
        if waiting.len() >= self.buffer {
            self.missed.set(self.missed.get() + 1);
            inbox.missed.set(inbox.missed.get() + 1);
            match self.slow {
                Slow::DropOldest => drop(waiting.pop_front()),
                Slow::DropNewest => return,
                Slow::Disconnect => {
                    waiting.clear();
                    inbox.cut.set(true);
                }
            }
        }
        if !inbox.cut.get() {
            waiting.push_back(posted.clone());
        }
        drop(waiting);
        if let Some(waker) = inbox.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Hears of everything that fits from now on, after what was posted since alert `after`; none if there are too many
    /// subscribers.
    pub(in crate::reference) fn subscribe(&self, filter: Filter, after: Option<u64>) -> Option<Subscription> {
        let mut inboxes = self.inboxes.borrow_mut();
        inboxes.retain(|inbox| inbox.strong_count() > 0);
        if inboxes.len() >= MOST {
            return None;
        }
        let waiting =
            after.map_or_else(VecDeque::new, |after| self.since(after, &filter, self.buffer).into());
        let inbox = Rc::new(Inbox {
            filter,
            waiting: RefCell::new(waiting),
            missed: Cell::new(0),
            cut: Cell::new(false),
            waker: RefCell::new(None),
        });
        inboxes.push(Rc::downgrade(&inbox));
        Some(Subscription { inbox })
    }

    /// Up to `most` of the alerts after number `after` that are still kept and fit, oldest first.
    pub(in crate::reference) fn since(&self, after: u64, filter: &Filter, most: usize) -> Vec<Posted> {
        let history = self.history.borrow();
        let fitting = history.iter().filter(|posted| posted.id > after && filter.fits(&posted.alert));
        fitting.take(most).cloned().collect()
    }

    /// The number of the newest alert; 0 before the first.
    pub(in crate::reference) fn last(&self) -> u64 {
        self.last.get()
    }

    /// Subscribers now.
    pub(in crate::reference) fn subscribers(&self) -> usize {
        self.inboxes.borrow().iter().filter(|inbox| inbox.strong_count() > 0).count()
    }

    /// Alerts that subscribers missed because they were too slow.
    pub(in crate::reference) fn missed(&self) -> u64 {
        self.missed.get()
    }
}

impl Subscription {
    /// The next thing to hear.
    pub(in crate::reference) async fn next(&self) -> Heard {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The same, by hand.
    pub(in crate::reference) fn poll_next(&self, cx: &Context<'_>) -> Poll<Heard> {
        let inbox = &self.inbox;
        if inbox.cut.get() {
            return Poll::Ready(Heard::Cut);
        }
        let missed = inbox.missed.replace(0);
        if missed > 0 {
            return Poll::Ready(Heard::Missed(missed));
        }
        if let Some(posted) = inbox.waiting.borrow_mut().pop_front() {
            return Poll::Ready(Heard::Alert(posted));
        }
        *inbox.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(device: &str, level: Level) -> Alert {
        Alert { device: device.into(), seq: 1, level, score: 3.0, at_ms: 5, instance: None }
    }

    fn any() -> Filter {
        Filter { level: Level::Low, device: None }
    }

    /// What a subscriber hears now: ids, misses as negative numbers, 0 for being cut off.
    fn heard(subscription: &Subscription) -> Vec<i64> {
        let mut heard = Vec::new();
        while let Poll::Ready(next) = subscription.poll_next(&Context::from_waker(Waker::noop())) {
            heard.push(match next {
                Heard::Alert(posted) => posted.id.cast_signed(),
                Heard::Missed(count) => -count.cast_signed(),
                Heard::Cut => 0,
            });
            if heard.last() == Some(&0) {
                break;
            }
        }
        heard
    }

    #[test]
    fn subscribers_hear_what_they_asked_for() {
        let board = Board::new(&Setup::default());
        let everything = board.subscribe(any(), None).unwrap();
        let grave = board.subscribe(Filter { level: Level::High, device: None }, None).unwrap();
        let own = board.subscribe(Filter { device: Some("b".into()), ..any() }, None).unwrap();
        for (device, level) in [("a", Level::Low), ("a", Level::Critical), ("b", Level::Medium)] {
            board.post(alert(device, level));
        }
        assert_eq!([heard(&everything), heard(&grave), heard(&own)], [vec![1, 2, 3], vec![2], vec![3]]);
        drop(own);
        board.post(alert("b", Level::Low));
        assert_eq!(board.subscribers(), 2);
        assert_eq!(&*board.since(3, &any(), 9)[0].text, alert("b", Level::Low).encode(4, None));
    }

    #[test]
    fn a_slow_subscriber_is_treated_as_the_policy_says() {
        for (slow, expected) in [
            (Slow::DropOldest, vec![-2, 3, 4, 5]),
            (Slow::DropNewest, vec![-2, 1, 2, 3]),
            (Slow::Disconnect, vec![0]),
        ] {
            let board = Board::new(&Setup { buffer: 3, slow, ..Setup::default() });
            let (idle, quick) =
                (board.subscribe(any(), None).unwrap(), board.subscribe(any(), None).unwrap());
            for id in 1..=5 {
                board.post(alert("a", Level::Low));
                assert_eq!(heard(&quick), [id], "the others are served all the same");
            }
            assert_eq!(heard(&idle), expected, "{}", slow.name());
        }
    }

    #[test]
    fn history_is_bounded_and_can_be_taken_up_from() {
        let board = Board::new(&Setup { history: 3, ..Setup::default() });
        (0..5).for_each(|_| drop(board.post(alert("a", Level::Low))));
        let ids = |after| board.since(after, &any(), 10).iter().map(|posted| posted.id).collect::<Vec<_>>();
        assert_eq!((ids(0), ids(4), board.last()), (vec![3, 4, 5], vec![5], 5));
        assert_eq!(heard(&board.subscribe(any(), Some(3)).unwrap()), [4, 5]);
    }
}
