//! Jobs that are over: those that are done, and dead letters, the last of each.

use std::collections::VecDeque;

use super::report::{Job, State};

/// Jobs that are over.
#[derive(Debug)]
pub(super) struct Past {
    done: VecDeque<Job>,
    dead: VecDeque<Job>,
    history: usize,
    letters: usize,
}

impl Past {
    pub(super) const fn new(history: usize, letters: usize) -> Self {
        Self { done: VecDeque::new(), dead: VecDeque::new(), history, letters }
    }

    /// Keeps a job, and gives one that had to make room for it: itself, where nothing is kept.
    pub(super) fn keep(&mut self, job: Job) -> Option<Job> {
        let (kept, most) = match job.state {
            State::Dead => (&mut self.dead, self.letters),
            _ => (&mut self.done, self.history),
        };
        kept.push_back(job);
        if kept.len() > most { kept.pop_front() } else { None }
    }

    /// The job of this number, if it is still known.
    pub(super) fn find(&self, number: u64) -> Option<&Job> {
        // Asked for are mostly those that ended last.
        let [done, dead] = [&self.done, &self.dead].map(|kept| kept.iter().rev());
        done.chain(dead).find(|job| job.number == number)
    }

    /// Up to `most` dead letters, newest first.
    pub(super) fn dead_letters(&self, most: usize) -> impl Iterator<Item = &Job> {
        self.dead.iter().rev().take(most)
    }
}
