//! Where alerts are logged: the last ones are kept, and subscribers have bounded buffers.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::Alert;
use crate::reference::reading::Level;
use crate::reference::state::Past;
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

impl LoggedAlert {
    fn new(id: u64, alert: Alert) -> Self {
        let text = alert.encode(id, alert.instance.as_deref()).into();
        Self { id, alert, text }
    }
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

/// The last alerts, the oldest first.
#[derive(Debug)]
struct History {
    alerts: RefCell<VecDeque<LoggedAlert>>,
    kept: usize,
    /// The number of the newest; 0 before the first.
    last: Cell<u64>,
}

impl History {
    fn add(&self, logged: LoggedAlert) {
        let mut alerts = self.alerts.borrow_mut();
        self.last.set(logged.id);
        if self.kept > 0 {
            if alerts.len() == self.kept {
                alerts.pop_front();
            }
            alerts.push_back(logged);
        }
    }

    /// The last number that is not kept any more.
    fn forgotten(&self) -> u64 {
        self.alerts.borrow().front().map_or(self.last.get(), |oldest| oldest.id - 1)
    }

    /// Up to `most` of the alerts after number `after` that are still kept and fit.
    fn since(&self, after: u64, filter: &Filter, most: usize) -> Vec<LoggedAlert> {
        let alerts = self.alerts.borrow();
        let later = alerts.range(alerts.partition_point(|logged| logged.id <= after)..);
        later.filter(|logged| filter.fits(&logged.alert)).take(most).cloned().collect()
    }
}

#[derive(Debug)]
struct Inbox {
    filter: Filter,
    history: Rc<History>,
    /// While it catches up: the number after which it goes on in the history. Nothing waits for it then.
    behind: Cell<Option<u64>>,
    waiting: RefCell<VecDeque<LoggedAlert>>,
    missed: Cell<u64>,
    cut: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Inbox {
    /// The next of what it has not heard of the history; none once it has caught up.
    fn catch_up(&self) -> Option<Notice> {
        let after = self.behind.get()?;
        let forgotten = self.history.forgotten();
        if after < forgotten {
            self.behind.set(Some(forgotten));
            return Some(Notice::Forgotten { first: after + 1, last: forgotten });
        }
        let next = self.history.since(after, &self.filter, 1).pop();
        self.behind.set(next.as_ref().map(|logged| logged.id));
        next.map(Notice::Alert)
    }
}

/// Where alerts are logged, on the serving thread.
#[derive(Debug)]
pub(in crate::reference) struct AlertLog {
    history: Rc<History>,
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
    /// It asked for the alerts of these numbers, which are not kept any more.
    Forgotten {
        first: u64,
        last: u64,
    },
    /// It was too slow, and is not served any more.
    Cut,
}

impl Notice {
    /// What is said of alerts that are not told, as the members of a JSON object.
    pub(in crate::reference) fn loss(&self) -> Option<String> {
        match self {
            Self::Missed(count) => Some(format!("\"count\":{count}")),
            Self::Forgotten { first, last } => {
                Some(format!("\"count\":{},\"first\":{first},\"last\":{last}", last - first + 1))
            }
            Self::Alert(_) | Self::Cut => None,
        }
    }
}

impl AlertLog {
    /// A log that goes on after the alerts of `past`.
    pub(in crate::reference) fn new(setup: &Setup, past: Past) -> Self {
        let history = History { alerts: RefCell::default(), kept: setup.history, last: Cell::new(0) };
        for (number, alert) in past.alerts {
            history.add(LoggedAlert::new(number, alert));
        }
        history.last.set(past.last);
        Self {
            history: Rc::new(history),
            inboxes: RefCell::default(),
            buffer: setup.buffer.max(1),
            slow: setup.slow,
            missed: Cell::new(0),
        }
    }

    /// Numbers an alert, unless it has a number, and keeps it.
    pub(in crate::reference) fn enter(&self, alert: Alert, number: Option<u64>) -> LoggedAlert {
        let logged = LoggedAlert::new(number.unwrap_or(self.last() + 1), alert);
        self.history.add(logged.clone());
        logged
    }

    /// Hands an alert that was entered last to whoever wants it.
    pub(in crate::reference) fn tell(&self, logged: &LoggedAlert) {
        self.inboxes.borrow_mut().retain(|inbox| {
            let Some(inbox) = inbox.upgrade() else { return false };
            if inbox.filter.fits(&logged.alert) {
                self.hand(&inbox, logged);
            }
            !inbox.cut.get()
        });
    }

    fn hand(&self, inbox: &Inbox, logged: &LoggedAlert) {
        // Who catches up will find it in the history.
        if inbox.behind.get().is_none() {
            self.let_wait(inbox, logged);
        }
        if let Some(waker) = inbox.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    fn let_wait(&self, inbox: &Inbox, logged: &LoggedAlert) {
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
    }

    /// Hears of everything that fits from now on, after what was logged since alert `after`, each once; none if there are too many
    /// subscribers.
    pub(in crate::reference) fn subscribe(&self, filter: Filter, after: Option<u64>) -> Option<Subscription> {
        let mut inboxes = self.inboxes.borrow_mut();
        inboxes.retain(|inbox| inbox.strong_count() > 0);
        if inboxes.len() >= MOST {
            return None;
        }
        let inbox = Rc::new(Inbox {
            filter,
            history: Rc::clone(&self.history),
            behind: Cell::new(after.map(|after| self.known(after))),
            waiting: RefCell::default(),
            missed: Cell::new(0),
            cut: Cell::new(false),
            waker: RefCell::new(None),
        });
        inboxes.push(Rc::downgrade(&inbox));
        Some(Subscription { inbox })
    }

    /// The same number, or 0 if it is of a service that numbered otherwise: then all that is kept is new.
    fn known(&self, after: u64) -> u64 {
        if after > self.last() { 0 } else { after }
    }

    /// Up to `most` of the alerts after number `after` that are still kept and fit, oldest first; and how many numbers after it are
    /// not kept any more.
    pub(in crate::reference) fn since(
        &self,
        after: u64,
        filter: &Filter,
        most: usize,
    ) -> (Vec<LoggedAlert>, u64) {
        let after = self.known(after);
        (self.history.since(after, filter, most), self.history.forgotten().saturating_sub(after))
    }

    /// The number of the newest alert; 0 before the first.
    pub(in crate::reference) fn last(&self) -> u64 {
        self.history.last.get()
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
        if let Some(notice) = inbox.catch_up() {
            return Poll::Ready(notice);
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

    fn post(log: &AlertLog, alert: Alert) {
        log.tell(&log.enter(alert, None));
    }

    fn any() -> Filter {
        Filter { level: Level::Low, device: None, class: None }
    }

    /// What a subscriber hears now: ids, misses as negative numbers, what is not kept with its first number in thousands, 0 for
    /// being cut off.
    fn heard(subscription: &Subscription) -> Vec<i64> {
        let mut heard = Vec::new();
        while let Poll::Ready(next) = subscription.poll_next(&Context::from_waker(Waker::noop())) {
            heard.push(match next {
                Notice::Alert(logged) => logged.id.cast_signed(),
                Notice::Missed(count) => -count.cast_signed(),
                Notice::Forgotten { first, last } => -(1_000 * first + last).cast_signed(),
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
        let log = AlertLog::new(&Setup::default(), Past::default());
        let everything = log.subscribe(any(), None).unwrap();
        let grave = log.subscribe(Filter { level: Level::High, ..any() }, None).unwrap();
        let own = log.subscribe(Filter { device: Some("b".into()), ..any() }, None).unwrap();
        for (device, level) in [("a", Level::Low), ("a", Level::Critical), ("b", Level::Medium)] {
            post(&log, alert(device, level));
        }
        assert_eq!([heard(&everything), heard(&grave), heard(&own)], [vec![1, 2, 3], vec![2], vec![3]]);
        let of_service = |class| Alert::of_service(class, Level::High, "slow".into(), Tick(0));
        let [secure, quick] = [AlertClass::Security, AlertClass::Performance]
            .map(|class| log.subscribe(Filter { class: Some(class), ..any() }, None).unwrap());
        post(&log, of_service(AlertClass::Performance));
        assert_eq!([heard(&own), heard(&secure), heard(&quick)], [vec![], vec![], vec![4]]);
        drop((own, secure, quick));
        post(&log, alert("b", Level::Low));
        assert_eq!(log.subscribers(), 2);
        assert_eq!(&*log.since(4, &any(), 9).0[0].text, alert("b", Level::Low).encode(5, None));
    }

    #[test]
    fn a_slow_subscriber_is_treated_as_the_policy_says() {
        for (slow, expected) in [
            (SlowSubscriber::DropOldest, vec![-2, 3, 4, 5]),
            (SlowSubscriber::DropNewest, vec![-2, 1, 2, 3]),
            (SlowSubscriber::Disconnect, vec![0]),
        ] {
            let log = AlertLog::new(&Setup { buffer: 3, slow, ..Setup::default() }, Past::default());
            let (idle, quick) = (log.subscribe(any(), None).unwrap(), log.subscribe(any(), None).unwrap());
            for id in 1..=5 {
                post(&log, alert("a", Level::Low));
                assert_eq!(heard(&quick), [id], "the others are served all the same");
            }
            assert_eq!(heard(&idle), expected, "{}", slow.name());
        }
    }

    #[test]
    fn history_is_bounded_and_can_be_taken_up_from() {
        let log = AlertLog::new(&Setup { history: 3, ..Setup::default() }, Past::default());
        (0..5).for_each(|_| post(&log, alert("a", Level::Low)));
        let ids = |after| log.since(after, &any(), 10).0.iter().map(|logged| logged.id).collect::<Vec<_>>();
        assert_eq!((ids(0), ids(4), log.last()), (vec![3, 4, 5], vec![5], 5));
        assert_eq!(heard(&log.subscribe(any(), Some(3)).unwrap()), [4, 5]);
    }

    #[test]
    fn who_catches_up_hears_every_number_once_or_that_it_is_not_kept() {
        for (after, expected) in [
            (0, vec![-1_004, 5, 6, 7, 8, 9, 10]),
            (3, vec![-4_004, 5, 6, 7, 8, 9, 10]),
            (4, vec![5, 6, 7, 8, 9, 10]),
            (8, vec![9, 10]),
            (10, vec![]),
            (11, vec![-1_004, 5, 6, 7, 8, 9, 10]),
        ] {
            // The buffer is shorter than what there is to catch up with.
            let log = AlertLog::new(&Setup { history: 6, buffer: 2, ..Setup::default() }, Past::default());
            (0..10).for_each(|_| post(&log, alert("a", Level::Low)));
            let subscription = log.subscribe(any(), Some(after)).unwrap();
            assert_eq!(heard(&subscription), expected, "after {after}");
            post(&log, alert("a", Level::Low));
            assert_eq!(heard(&subscription), [11], "and goes on with what comes");
        }
    }

    #[test]
    fn what_comes_while_somebody_catches_up_is_neither_lost_nor_told_twice() {
        let log = AlertLog::new(&Setup { history: 8, buffer: 2, ..Setup::default() }, Past::default());
        (0..6).for_each(|_| post(&log, alert("a", Level::Low)));
        let subscription = log.subscribe(any(), Some(1)).unwrap();
        let cx = Context::from_waker(Waker::noop());
        let mut ids = Vec::new();
        // One comes for each that is heard, until the history is far ahead.
        while let Poll::Ready(Notice::Alert(logged)) = subscription.poll_next(&cx) {
            ids.push(logged.id);
            if ids.len() <= 20 {
                post(&log, alert("a", Level::Low));
            }
        }
        assert_eq!(ids, (2..=26).collect::<Vec<_>>());
        let late = log.subscribe(any(), Some(20)).unwrap();
        (0..10).for_each(|_| post(&log, alert("a", Level::Low)));
        assert_eq!(heard(&late), [-21_028, 29, 30, 31, 32, 33, 34, 35, 36]);
    }

    #[test]
    fn a_log_goes_on_after_the_alerts_of_before() {
        let past = Past { alerts: vec![(7, alert("a", Level::Low)), (8, alert("a", Level::Low))], last: 9 };
        let log = AlertLog::new(&Setup::default(), past);
        assert_eq!(log.enter(alert("a", Level::Low), None).id, 10);
        assert_eq!(log.enter(alert("a", Level::Low), Some(11)).id, 11);
        assert_eq!(heard(&log.subscribe(any(), Some(6)).unwrap()), [7, 8, 10, 11]);
    }
}
