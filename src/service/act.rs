//! What the bundled system was told to do while it ran, by whom and when: a bounded log, from which runs learn of orders that were
//! not theirs.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use crate::clock::{Monotonic, Tick, WallTime};
use crate::units::is_steering;

/// Acts remembered.
const MOST: usize = 1_000;

/// Most characters of what an act, or who ordered it, is called: enough for a fault of the longest name.
const LONGEST: usize = 160;

/// The header with which a run signs its orders.
pub(crate) const SIGNATURE: &str = "squall-run";

/// Something that the service was told and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Act {
    /// Its number, from 1 on without a gap.
    pub(crate) id: u64,
    /// When, on the clock of its log.
    pub(crate) at: Tick,
    /// When, by the calendar.
    pub(crate) time: WallTime,
    /// The request in words: `POST /v1/cache flush`.
    pub(crate) what: String,
    /// What whoever ordered it is called: by its token, or `anonymous`.
    pub(crate) who: String,
    /// Where it came from.
    pub(crate) from: SocketAddr,
    /// The token of the run that signed it.
    pub(crate) run: Option<String>,
}

/// The last acts, the oldest first.
#[derive(Debug)]
pub(crate) struct ActLog {
    clock: Monotonic,
    acts: Mutex<Acts>,
}

#[derive(Debug, Default)]
struct Acts {
    last: VecDeque<Act>,
    /// All there ever were.
    total: u64,
}

impl Default for ActLog {
    fn default() -> Self {
        Self { clock: Monotonic::start(), acts: Mutex::default() }
    }
}

impl ActLog {
    /// Notes that the service has just done what `who` at `from` told it; gives the act as it is remembered.
    pub(crate) fn note(&self, what: &str, who: &str, from: SocketAddr, run: Option<&str>) -> Act {
        let short = |text: &str| text.chars().filter(|c| !is_steering(*c)).take(LONGEST).collect::<String>();
        let mut acts = self.acts.lock().unwrap_or_else(PoisonError::into_inner);
        acts.total += 1;
        let act = Act {
            id: acts.total,
            at: self.clock.now(),
            time: WallTime::now(),
            what: short(what),
            who: short(who),
            from,
            run: run.map(short),
        };
        if acts.last.len() >= MOST {
            acts.last.pop_front();
        }
        acts.last.push_back(act.clone());
        act
    }

    /// The time on its clock.
    pub(crate) fn now(&self) -> Tick {
        self.clock.now()
    }

    /// How many acts there ever were.
    pub(crate) fn total(&self) -> u64 {
        self.acts.lock().unwrap_or_else(PoisonError::into_inner).total
    }

    /// The acts after the first `seen`, how many of them are no longer known, and how many there are now in all.
    pub(crate) fn after(&self, seen: u64) -> (Vec<Act>, u64, u64) {
        let acts = self.acts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = acts.total - acts.last.len() as u64;
        let skipped = usize::try_from(seen.saturating_sub(known)).unwrap_or(usize::MAX);
        let new = acts.last.iter().skip(skipped).cloned().collect();
        (new, known.saturating_sub(seen), acts.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_the_last_acts_and_says_how_many_went_before() {
        let (log, from) = (ActLog::default(), SocketAddr::from(([127, 0, 0, 1], 7)));
        let names = |(acts, missed, total): (Vec<Act>, u64, u64)| {
            (acts.into_iter().map(|act| act.what).collect::<Vec<_>>(), missed, total)
        };
        log.note("a", "anonymous", from, None);
        log.note("b\n\u{1b}[31m", "ann\n", from, Some(&"r".repeat(500)));
        assert_eq!(names(log.after(0)), (vec!["a".into(), "b[31m".into()], 0, 2));
        assert_eq!(names(log.after(1)), (vec!["b[31m".into()], 0, 2));
        assert_eq!(names(log.after(2)), (vec![], 0, 2));
        assert_eq!((log.after(1).0[0].id, log.after(1).0[0].who.as_str()), (2, "ann"));
        assert_eq!(log.after(1).0[0].run.as_ref().map(String::len), Some(LONGEST));
        for _ in 0..MOST + 5 {
            log.note("c", "ann", from, None);
        }
        let (acts, missed, total) = log.after(2);
        assert_eq!((acts.len(), missed, total), (MOST, 5, MOST as u64 + 7));
        assert!(acts.windows(2).all(|pair| pair[0].at <= pair[1].at));
    }
}
