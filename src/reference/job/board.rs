//! Which job is next and what becomes of it: the whole order of jobs, pure, under whatever instants it is told.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::chance;
use super::figure::{Tally, Times};
use super::past::Past;
use super::report::{Job, State, Submitter};
use crate::clock::Tick;
use crate::service::{JobClass, Jobs as Setup, Priority};

/// Workers that crash at one job before it counts as what makes them crash.
const MOST_CRASHES: u32 = 10;

/// A job to be.
#[derive(Debug, Clone)]
pub(in crate::reference) struct Order {
    /// The place of its class among the settings.
    pub(super) class: usize,
    pub(super) by: Submitter,
    /// How urgent it is; none: as its class.
    pub(super) priority: Option<Priority>,
    /// Of jobs of one class with the same key, as long as one of them is known and not dead, there is only that one.
    pub(super) key: Option<Arc<str>>,
    pub(super) about: Option<Arc<str>>,
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::reference) enum Submitted {
    /// It is a job of this number.
    New(u64),
    /// There was one with its key.
    Known(u64),
    /// As many of its class wait as may.
    Full,
}

/// A try that a worker is to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) number: u64,
    pub(super) class: usize,
    /// Which try it is, from 1.
    pub(super) nth: u32,
    /// The job had its effect, and must not have another: it only remains to say that it is done.
    pub(super) is_settled: bool,
}

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    /// The next try is due then.
    Retry(Tick),
    Dead,
}

/// All jobs that are known.
#[derive(Debug)]
pub(super) struct Board {
    classes: Vec<JobClass>,
    seed: u64,
    /// Those that are not over.
    open: HashMap<u64, Job>,
    /// Those that wait for a worker, by urgency and number.
    ready: BTreeSet<(u8, u64)>,
    /// Those that wait for their next try, by when it is due.
    delayed: BTreeSet<(Tick, u64)>,
    keys: HashMap<(usize, Arc<str>), u64>,
    past: Past,
    tallies: Vec<Tally>,
    times: Vec<Times>,
    last: u64,
}

impl Board {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            classes: setup.classes.clone(),
            seed: setup.seed,
            open: HashMap::new(),
            ready: BTreeSet::new(),
            delayed: BTreeSet::new(),
            keys: HashMap::new(),
            past: Past::new(setup.history, setup.dead_letters),
            tallies: vec![Tally::default(); setup.classes.len()],
            times: vec![Times::default(); setup.classes.len()],
            last: 0,
        }
    }

    /// Takes a job in, unless it is known or there is no room for it.
    pub(super) fn submit(&mut self, order: Order, now: Tick) -> Submitted {
        let Order { class, by, priority, key, about } = order;
        if let Some(number) = key.as_ref().and_then(|key| self.keys.get(&(class, Arc::clone(key)))) {
            return Submitted::Known(*number);
        }
        let tally = &mut self.tallies[class];
        if tally.waiting >= self.classes[class].capacity.max(1) {
            tally.refused += 1;
            return Submitted::Full;
        }
        tally.submitted += 1;
        tally.waiting += 1;
        self.last += 1;
        let number = self.last;
        if let Some(key) = &key {
            self.keys.insert((class, Arc::clone(key)), number);
        }
        let priority = priority.unwrap_or(self.classes[class].priority);
        let job = Job {
            number,
            class,
            priority,
            by,
            key,
            about,
            state: State::Waiting,
            tries: 0,
            crashes: 0,
            step: 0,
            effects: 0,
            submitted: now,
            began: now,
            due: None,
            ended: None,
            reason: None,
        };
        self.ready.insert((priority as u8, number));
        self.open.insert(number, job);
        Submitted::New(number)
    }

    /// Submits a job of the schedule, unless one of its class is open: then that is counted.
    pub(super) fn submit_scheduled(&mut self, class: usize, now: Tick) -> Option<u64> {
        if self.tallies[class].waiting + self.tallies[class].running > 0 {
            self.tallies[class].skipped += 1;
            return None;
        }
        let order = Order { class, by: Submitter::Schedule, priority: None, key: None, about: None };
        match self.submit(order, now) {
            Submitted::New(number) => Some(number),
            Submitted::Known(_) | Submitted::Full => None,
        }
    }

    /// The most urgent job that is due, the one submitted first among equals; it counts as running from here on.
    pub(super) fn take(&mut self, now: Tick) -> Option<Attempt> {
        while let Some((due, number)) = self.delayed.first().copied()
            && due <= now
        {
            self.delayed.remove(&(due, number));
            if let Some(job) = self.open.get(&number) {
                self.ready.insert((job.priority as u8, number));
            }
        }
        let (_, number) = self.ready.pop_first()?;
        let job = self.open.get_mut(&number)?;
        let tally = &mut self.tallies[job.class];
        tally.waiting = tally.waiting.saturating_sub(1);
        tally.running += 1;
        (job.state, job.due, job.began, job.step) = (State::Running, None, now, 0);
        job.tries += 1;
        let is_settled = job.effects > 0 && self.classes[job.class].idempotent;
        Some(Attempt { number, class: job.class, nth: job.tries, is_settled })
    }

    /// When the next try is due; none while nothing waits for one.
    pub(super) fn next_due(&self) -> Option<Tick> {
        self.delayed.first().map(|(due, _)| *due)
    }

    /// Notes that so many parts of a job's present try are over.
    pub(super) fn step(&mut self, number: u64, step: u32) {
        if let Some(job) = self.open.get_mut(&number) {
            job.step = step;
        }
    }

    /// Notes that a job has had its effect. From here on one that is idempotent has no other, whoever crashes.
    pub(super) fn settle(&mut self, number: u64) {
        if let Some(job) = self.open.get_mut(&number) {
            job.effects += 1;
            self.tallies[job.class].effects += 1;
        }
    }

    /// Ends the present try of a job, with the reason if it failed.
    pub(super) fn finish(&mut self, number: u64, outcome: Result<(), &str>, now: Tick) -> Ended {
        let Some(mut job) = self.leave_worker(number, now) else { return Ended::Done };
        let tally = &mut self.tallies[job.class];
        let class = &self.classes[job.class];
        let Err(reason) = outcome else {
            tally.done += 1;
            job.step = class.steps;
            self.close(job, State::Done, now);
            return Ended::Done;
        };
        tally.failures += 1;
        job.reason = Some(reason.into());
        if job.tries >= class.tries {
            tally.dead += 1;
            self.close(job, State::Dead, now);
            return Ended::Dead;
        }
        let due = now.plus_ns(chance::wait_ns(&class.backoff, self.seed, number, job.tries));
        tally.waiting += 1;
        (job.state, job.due) = (State::Retrying, Some(due));
        self.delayed.insert((due, number));
        self.open.insert(number, job);
        Ended::Retry(due)
    }

    /// Takes a job back from a worker that crashed: the try does not count, and the job is the next of its level. False if it is
    /// dead, for too many workers crashed at it.
    pub(super) fn crash(&mut self, number: u64, now: Tick) -> bool {
        let Some(mut job) = self.leave_worker(number, now) else { return true };
        let tally = &mut self.tallies[job.class];
        tally.crashes += 1;
        job.crashes += 1;
        job.tries = job.tries.saturating_sub(1);
        job.step = 0;
        if job.crashes >= MOST_CRASHES {
            tally.dead += 1;
            job.reason = Some(format!("{MOST_CRASHES} workers crashed while they were at it").into());
            self.close(job, State::Dead, now);
            return false;
        }
        tally.waiting += 1;
        job.state = State::Waiting;
        self.ready.insert((job.priority as u8, number));
        self.open.insert(number, job);
        true
    }

    fn leave_worker(&mut self, number: u64, now: Tick) -> Option<Job> {
        let job = self.open.remove(&number)?;
        let tally = &mut self.tallies[job.class];
        tally.running = tally.running.saturating_sub(1);
        let spent_ns = now.since(job.began);
        tally.spent(spent_ns);
        self.times[job.class].tries.note(spent_ns);
        Some(job)
    }

    fn close(&mut self, mut job: Job, state: State, now: Tick) {
        (job.state, job.ended) = (state, Some(now));
        self.times[job.class].whole.note(now.since(job.submitted));
        // A key of one that is dead is free: whoever submits it again means it.
        if state == State::Dead {
            self.release(&job);
        }
        if let Some(forgotten) = self.past.keep(job) {
            self.release(&forgotten);
        }
    }

    fn release(&mut self, job: &Job) {
        let Some(key) = &job.key else { return };
        let name = (job.class, Arc::clone(key));
        if self.keys.get(&name) == Some(&job.number) {
            self.keys.remove(&name);
        }
    }

    /// The job of this number, if it is still known.
    pub(super) fn find(&self, number: u64) -> Option<&Job> {
        self.open.get(&number).or_else(|| self.past.find(number))
    }

    /// Up to `most` dead letters, newest first.
    pub(super) fn dead_letters(&self, most: usize) -> impl Iterator<Item = &Job> {
        self.past.dead_letters(most)
    }

    /// What was counted, in the order of the classes.
    pub(super) fn tallies(&self) -> &[Tally] {
        &self.tallies
    }

    /// How long jobs took, in the order of the classes.
    pub(super) fn times(&self) -> &[Times] {
        &self.times
    }
}
