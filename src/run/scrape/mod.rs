//! Takes the target's own figures while a run lasts, on a thread of its own: into `target.csv`, on the run's clock. What cannot be had
//! is an event of the run, and never its error.

mod series;
mod source;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::watch;
use tokio::task::LocalSet;

use self::series::MOST_SERIES;
use self::source::{Source, Told};
use super::journal::Notice;
use crate::clock::{Monotonic, Tick};
use crate::protocol::scrape::Scraper;
use crate::results::TargetTable;
use crate::scenario::Scrape;
use crate::units::plural;

/// Events of one source at most: one that fails now and then, for a reason of its own each time, does not fill the list.
const MOST_NOTICES: u32 = 100;

/// The thread, which sleeps from one time that a source is asked to the next.
#[derive(Debug)]
pub(super) struct ScrapeThread {
    thread: JoinHandle<()>,
    /// Dropped when the run has ended.
    running: watch::Sender<()>,
    notices: Notices,
}

/// What is to be written of the sources into the list of events. Clones are of the same list.
#[derive(Debug, Clone, Default)]
pub(super) struct Notices(Arc<Mutex<Vec<Notice>>>);

impl Notices {
    /// What came since the last call.
    pub(super) fn take(&self) -> Vec<Notice> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, notice: Notice) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
    }
}

impl ScrapeThread {
    /// Asks `scrapes` from now on, on the clock of the run; `bundled` fetches the page of the bundled service, where that is the target.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start(
        scrapes: Vec<Scrape>,
        bundled: Option<Scraper>,
        table: TargetTable,
        clock: Monotonic,
    ) -> io::Result<Self> {
        let (running, ended) = watch::channel(());
        let notices = Notices::default();
        let noted = notices.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let follow = move || {
            let ledger = Rc::new(RefCell::new(Ledger { table, notices: noted, is_closed: false }));
            let sources = scrapes.into_iter().filter_map(|scrape| {
                let fetcher = bundled.clone().filter(|_| scrape.is_bundled());
                (!scrape.is_bundled() || fetcher.is_some()).then(|| Source::new(scrape, fetcher))
            });
            let together = LocalSet::new();
            for source in sources {
                together.spawn_local(follow(source, clock, Rc::clone(&ledger), ended.clone()));
            }
            drop(ended);
            runtime.block_on(together);
        };
        let thread = thread::Builder::new().name("squall-scrape".into()).spawn(follow)?;
        Ok(Self { thread, running, notices })
    }

    pub(super) fn notices(&self) -> Notices {
        self.notices.clone()
    }

    /// Ends it, and gives what was still to be noted.
    pub(super) fn finish(self) -> Vec<Notice> {
        drop(self.running);
        // One that died has nothing more to say.
        let _ = self.thread.join();
        self.notices.take()
    }
}

/// Asks one source again and again, until the run has ended. A time at which it is still being asked is passed over.
async fn follow(
    mut source: Source,
    clock: Monotonic,
    ledger: Rc<RefCell<Ledger>>,
    mut ended: watch::Receiver<()>,
) {
    let (name, every_ns) = (source.scrape().name.clone(), source.scrape().every.as_ns().max(1));
    let mut health = Health::default();
    let mut due = Tick::ZERO;
    loop {
        tokio::select! {
            // Nothing is ever sent: it only tells that the other end is gone.
            _ = ended.changed() => return,
            () = tokio::time::sleep_until(clock.instant(due).into()) => {}
        }
        let said = tokio::select! {
            _ = ended.changed() => return,
            said = source.ask(clock) => said,
        };
        let now = clock.now();
        let goes_on = ledger.borrow_mut().take(&name, now, said, (&mut health, source.is_full()));
        if !goes_on {
            return;
        }
        due = Tick((now.0 / every_ns + 1).saturating_mul(every_ns));
    }
}

/// Where everything that sources say goes.
#[derive(Debug)]
struct Ledger {
    table: TargetTable,
    notices: Notices,
    /// Whether there is no room in the table for more, or it cannot be written.
    is_closed: bool,
}

impl Ledger {
    /// Writes what a source said, and notes what became of it; whether it is to be asked again.
    fn take(
        &mut self,
        name: &str,
        now: Tick,
        said: Result<Told, String>,
        (health, is_full): (&mut Health, bool),
    ) -> bool {
        let note = |at, (event, detail): (&'static str, String)| {
            self.notices.add(Notice { at, event, name: name.to_owned(), detail });
        };
        if self.is_closed {
            return false;
        }
        let told = match said {
            Ok(told) => told,
            Err(reason) => {
                health.failed(&reason).into_iter().for_each(|change| note(now, change));
                return true;
            }
        };
        health.said(told.restarted.as_deref(), is_full).into_iter().for_each(|change| note(told.at, change));
        let rows = told.readings.iter().map(|reading| reading.row(name));
        let over = match self.table.append(told.at, rows) {
            Ok(true) => return true,
            Ok(false) => "target.csv has as many rows as it may; nothing more is taken".to_owned(),
            Err(error) => format!("target.csv cannot be written: {error}; nothing more is taken"),
        };
        note(told.at, ("scrape_ended", over));
        self.is_closed = true;
        false
    }
}

/// How a source does, and which changes of that are events: a kind and a detail each.
#[derive(Debug, Default)]
struct Health {
    /// Times in a row that it said nothing, and why the last time.
    failures: u64,
    reason: String,
    is_full: bool,
    noted: u32,
}

type Change = (&'static str, String);

impl Health {
    fn failed(&mut self, reason: &str) -> Option<Change> {
        self.failures += 1;
        if self.failures > 1 && self.reason == reason {
            return None;
        }
        reason.clone_into(&mut self.reason);
        self.note("scrape_failed", reason.to_owned())
    }

    fn said(&mut self, restarted: Option<&str>, is_full: bool) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.failures > 0 {
            let failures = plural(std::mem::take(&mut self.failures), "failure");
            changes.extend(self.note("scrape_resumed", format!("after {failures}")));
        }
        if let Some(why) = restarted {
            changes.extend(self.note("scrape_restarted", why.to_owned()));
        }
        if is_full && !self.is_full {
            self.is_full = true;
            let detail =
                format!("it has more than {MOST_SERIES} series, and the others are left out: select fewer");
            changes.extend(self.note("scrape_cut", detail));
        }
        changes
    }

    fn note(&mut self, event: &'static str, detail: String) -> Option<Change> {
        self.noted += 1;
        (self.noted <= MOST_NOTICES).then_some((event, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_what_changes_and_not_what_stays() {
        let mut health = Health::default();
        let failed = |reason: &str| Some(("scrape_failed", reason.to_owned()));
        assert_eq!(health.said(None, false), []);
        assert_eq!(health.failed("refused"), failed("refused"));
        assert_eq!(health.failed("refused"), None);
        assert_eq!(health.failed("no page"), failed("no page"));
        assert_eq!(health.said(None, false), [("scrape_resumed", "after 3 failures".to_owned())]);
        assert_eq!(health.failed("no page"), failed("no page"));
        let changes = health.said(Some("another one"), true);
        let events: Vec<_> = changes.iter().map(|(event, _)| *event).collect();
        assert_eq!(events, ["scrape_resumed", "scrape_restarted", "scrape_cut"]);
        assert_eq!(health.said(None, true), []);
    }

    #[test]
    fn events_of_one_source_are_bounded() {
        let mut health = Health::default();
        let told = (0..1_000).filter(|nth| health.failed(&format!("reason {nth}")).is_some()).count();
        assert_eq!(told as u32, MOST_NOTICES);
    }
}
