//! What is counted of jobs, by class.

use crate::metric::TimeHistogram;

/// What was counted of the jobs of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::reference) struct Tally {
    pub(in crate::reference) submitted: u64,
    /// Refused, because as many waited as may.
    pub(in crate::reference) refused: u64,
    /// Left out of the schedule, because one was open still.
    pub(in crate::reference) skipped: u64,
    pub(in crate::reference) done: u64,
    /// Tries that failed.
    pub(in crate::reference) failures: u64,
    /// Tries cut short by the crash of a worker.
    pub(in crate::reference) crashes: u64,
    pub(in crate::reference) dead: u64,
    /// Effects that jobs had: more than are done where some had theirs twice.
    pub(in crate::reference) effects: u64,
    /// Those that wait now, for their first try or another.
    pub(in crate::reference) waiting: usize,
    /// Those that a worker is at now.
    pub(in crate::reference) running: usize,
    /// How long tries took, in all, nanoseconds.
    pub(in crate::reference) spent_ns: u64,
    /// How long the longest took, nanoseconds.
    pub(in crate::reference) longest_ns: u64,
}

impl Tally {
    /// Adds a try of so many nanoseconds.
    pub(super) fn spent(&mut self, ns: u64) {
        self.spent_ns = self.spent_ns.saturating_add(ns);
        self.longest_ns = self.longest_ns.max(ns);
    }
}

/// How long jobs of one class took.
#[derive(Debug, Clone, Default)]
pub(in crate::reference) struct Times {
    /// Single tries.
    pub(in crate::reference) tries: TimeHistogram,
    /// From the submission to the end.
    pub(in crate::reference) whole: TimeHistogram,
}

/// The figures of one class at the moment of a scrape.
#[derive(Debug, Clone)]
pub(in crate::reference) struct ClassFigures {
    pub(in crate::reference) name: String,
    pub(in crate::reference) tally: Tally,
    pub(in crate::reference) times: Times,
}

/// The figures of all classes at the moment of a scrape.
#[derive(Debug, Clone, Default)]
pub(in crate::reference) struct Figures {
    pub(in crate::reference) classes: Vec<ClassFigures>,
    pub(in crate::reference) worker_crashes: u64,
    pub(in crate::reference) events_missed: u64,
}
