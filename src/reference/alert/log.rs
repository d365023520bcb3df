//! Where alerts are logged: the last ones are kept, and subscribers have bounded buffers.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::Alert;
use crate::reference::reading::Level;
use crate::service::{AlertClass, Alerts as Setup, SlowSubscriber};

/// Subscribers at once.
const MOST: usize = 10_000;

/// An alert with its number, counted from 1 without gaps.
#[derive(Debug, Clone)]
pub(in crate::reference) struct LoggedAlert {
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
    /// This device; none: all, and the service.
    pub(in crate::reference) device: Option<String>,
    /// This class; none: all.
    pub(in crate::reference) class: Option<AlertClass>,
}

impl Filter {
    fn fits(&self, alert: &Alert) -> bool {
        alert.level >= self.level
            && self.class.is_none_or(|class| class == alert.class)
            && self.device.as_deref().is_none_or(|device| alert.device.as_deref() == Some(device))
    }
}

#[derive(Debug)]
struct Inbox {
    filter: Filter,
    waiting: RefCell<VecDeque<LoggedAlert>>,
    missed: Cell<u64>,
    cut: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// Where alerts are logged, on the serving thread.
#[derive(Debug)]
pub(in crate::reference) struct AlertLog {
    history: RefCell<VecDeque<LoggedAlert>>,
    kept: usize,
    last: Cell<u64>,
    inboxes: RefCell<Vec<Weak<Inbox>>>,
    buffer: usize,
    slow: SlowSubscriber,
    missed: Cell<u64>,
}

/// One subscriber's side.
#[derive(Debug)]
pub(in crate::reference) struct Subscription {
    inbox: Rc<Inbox>,
}

/// What a subscriber hears.
#[derive(Debug, Clone)]
pub(in crate::reference) enum Notice {
    Alert(LoggedAlert),
    /// So many alerts were missed.
    Missed(u64),
    /// It was too slow, and is not served any more.
    Cut,
}

impl AlertLog {
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
    pub(in crate::reference) fn post(&self, alert: Alert) -> LoggedAlert {
        let id = self.last.get() + 1;
        self.last.set(id);
        let text = alert.encode(id, alert.instance.as_deref()).into();
        let logged = LoggedAlert { id, alert, text };
        let mut history = self.history.borrow_mut();
        if self.kept > 0 {
            if history.len() == self.kept {
                history.pop_front();
            }
            history.push_back(logged.clone());
        }
        drop(history);
        self.inboxes.borrow_mut().retain(|inbox| {
            let Some(inbox) = inbox.upgrade() else { return false };
            if inbox.filter.fits(&logged.alert) {
                self.hand(&inbox, &logged);
            }
            !inbox.cut.get()
        });
        logged
    }

    fn hand(&self, inbox: &Inbox, logged: &LoggedAlert) {
        let mut waiting = inbox.waiting.borrow_mut();
        if waiting.len() >= self.buffer {
            self.missed.set(self.missed.get() + 1);
            inbox.missed.set(inbox.missed.get() + 1);
            match self.slow {
                SlowSubscriber::DropOldest => drop(waiting.pop_front()),
                SlowSubscriber::DropNewest => return,
                SlowSubscriber::Disconnect => {
                    waiting.clear();
                    inbox.cut.set(true);
                }
            }
        }
        if !inbox.cut.get() {
            waiting.push_back(logged.clone());
        }
        drop(waiting);
        if let Some(waker) = inbox.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Hears of everything that fits from now on, after what was logged since alert `after`; none if there are too many
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
    pub(in crate::reference) fn since(&self, after: u64, filter: &Filter, most: usize) -> Vec<LoggedAlert> {
        let history = self.history.borrow();
        let fitting = history.iter().filter(|logged| logged.id > after && filter.fits(&logged.alert));
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
    pub(in crate::reference) async fn next(&self) -> Notice {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The same, by hand.
    pub(in crate::reference) fn poll_next(&self, cx: &Context<'_>) -> Poll<Notice> {
        let inbox = &self.inbox;
        if inbox.cut.get() {
            return Poll::Ready(Notice::Cut);
        }
        let missed = inbox.missed.replace(0);
        if missed > 0 {
            return Poll::Ready(Notice::Missed(missed));
        }
        if let Some(logged) = inbox.waiting.borrow_mut().pop_front() {
            return Poll::Ready(Notice::Alert(logged));
        }
        *inbox.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Tick;

    fn alert(device: &str, level: Level) -> Alert {
        let none = Alert::of_service(AlertClass::Anomaly, level, String::new(), Tick(5_000_000));
        Alert { device: Some(device.into()), seq: Some(1), score: Some(3.0), reason: None, ..none }
    }

    fn any() -> Filter {
        Filter { level: Level::Low, device: None, class: None }
    }

    /// What a subscriber hears now: ids, misses as negative numbers, 0 for being cut off.
    fn heard(subscription: &Subscription) -> Vec<i64> {
        let mut heard = Vec::new();
        while let Poll::Ready(next) = subscription.poll_next(&Context::from_waker(Waker::noop())) {
            heard.push(match next {
                Notice::Alert(logged) => logged.id.cast_signed(),
                Notice::Missed(count) => -count.cast_signed(),
                Notice::Cut => 0,
            });
            if heard.last() == Some(&0) {
                break;
            }
        }
        heard
    }

    #[test]
    fn subscribers_hear_what_they_asked_for() {
        let log = AlertLog::new(&Setup::default());
        let everything = log.subscribe(any(), None).unwrap();
        let grave = log.subscribe(Filter { level: Level::High, ..any() }, None).unwrap();
        let own = log.subscribe(Filter { device: Some("b".into()), ..any() }, None).unwrap();
        for (device, level) in [("a", Level::Low), ("a", Level::Critical), ("b", Level::Medium)] {
            log.post(alert(device, level));
        }
        assert_eq!([heard(&everything), heard(&grave), heard(&own)], [vec![1, 2, 3], vec![2], vec![3]]);
        let of_service = |class| Alert::of_service(class, Level::High, "slow".into(), Tick(0));
        let [secure, quick] = [AlertClass::Security, AlertClass::Performance]
            .map(|class| log.subscribe(Filter { class: Some(class), ..any() }, None).unwrap());
        log.post(of_service(AlertClass::Performance));
        assert_eq!([heard(&own), heard(&secure), heard(&quick)], [vec![], vec![], vec![4]]);
        drop((own, secure, quick));
        log.post(alert("b", Level::Low));
        assert_eq!(log.subscribers(), 2);
        assert_eq!(&*log.since(4, &any(), 9)[0].text, alert("b", Level::Low).encode(5, None));
    }

    #[test]
    fn a_slow_subscriber_is_treated_as_the_policy_says() {
        for (slow, expected) in [
            (SlowSubscriber::DropOldest, vec![-2, 3, 4, 5]),
            (SlowSubscriber::DropNewest, vec![-2, 1, 2, 3]),
            (SlowSubscriber::Disconnect, vec![0]),
        ] {
            let log = AlertLog::new(&Setup { buffer: 3, slow, ..Setup::default() });
            let (idle, quick) = (log.subscribe(any(), None).unwrap(), log.subscribe(any(), None).unwrap());
            for id in 1..=5 {
                log.post(alert("a", Level::Low));
                assert_eq!(heard(&quick), [id], "the others are served all the same");
            }
            assert_eq!(heard(&idle), expected, "{}", slow.name());
        }
    }

    #[test]
    fn history_is_bounded_and_can_be_taken_up_from() {
        let log = AlertLog::new(&Setup { history: 3, ..Setup::default() });
        (0..5).for_each(|_| drop(log.post(alert("a", Level::Low))));
        let ids = |after| log.since(after, &any(), 10).iter().map(|logged| logged.id).collect::<Vec<_>>();
        assert_eq!((ids(0), ids(4), log.last()), (vec![3, 4, 5], vec![5], 5));
        assert_eq!(heard(&log.subscribe(any(), Some(3)).unwrap()), [4, 5]);
    }
}
