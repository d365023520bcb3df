//! The worker threads of a run, from before it begins to its end.

use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::event_loop;
use super::report::{End, Report, WorkerReport};
use super::setup::{EngineError, Setup};
use super::share::Share;
use super::standing::{Call, Standing, Start};
use super::{delivery, stall};
use crate::clock::stolen_time;
use crate::record::Sink;

/// Workers that wait for their run to begin. Dropped, they let go of their connections and end.
#[derive(Debug)]
pub(crate) struct Crew {
    threads: Vec<JoinHandle<std::io::Result<WorkerReport>>>,
    starts: Vec<oneshot::Sender<Start>>,
    standing: Standing,
}

impl Crew {
    /// Starts a worker thread per sink. Devices that only listen connect by the clock of `setup`, which is not yet that of the
    /// run; returns once each of them has subscribed, or has failed to within the scenario's `connect_timeout`.
    ///
    /// # Errors
    /// If a target is missing, or a worker cannot be started or dies.
    pub(crate) fn assemble<S: Sink>(setup: &Setup, sinks: Vec<S>) -> Result<Self, EngineError> {
        for fleet in &setup.plan.layout().fleets {
            if !setup.endpoints.iter().any(|endpoint| endpoint.protocol() == fleet.protocol) {
                return Err(EngineError::NoTarget(fleet.protocol));
            }
        }
        let (count, began) = (sinks.len(), setup.clock.now());
        let (stand, stands) = mpsc::sync_channel(count.max(1));
        let mut crew = Self { threads: Vec::new(), starts: Vec::new(), standing: Standing::default() };
        for ((index, sink), router) in
            sinks.into_iter().enumerate().zip(delivery::routers(&setup.plan, count))
        {
            let (setup, stand) = (setup.clone(), stand.clone());
            let (signal, start) = oneshot::channel();
            let share = Share { index, count, shard: setup.shard };
            let body = move || event_loop::work(setup, share, router, sink, Call { stand, start });
            let name = format!("squall-worker-{index}");
            crew.threads.push(thread::Builder::new().name(name).spawn(body)?);
            crew.starts.push(signal);
        }
        drop(stand);
        // One that dies before it tells is missed here, and found when it is joined.
        stands.iter().take(count).for_each(|fleets| crew.standing.add(&fleets));
        crew.standing.waited = std::time::Duration::from_nanos(setup.clock.now().since(began));
        Ok(crew)
    }

    /// How the devices that only listen stand.
    pub(crate) const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Begins the run by the clock of `setup`, and returns when all workers are done.
    ///
    /// # Errors
    /// If a worker dies.
    pub(crate) fn drive(self, setup: &Setup) -> Result<Report, EngineError> {
        let watch = stall::StallDetector::start(setup.clock, Arc::clone(&setup.plan))?;
        let stolen_before = stolen_time();
        for start in self.starts {
            // An error means that the worker has died, which shows when it is joined.
            let _ = start.send(Start { clock: setup.clock, epoch_ns: setup.epoch_ns });
        }
        let mut workers = Vec::with_capacity(self.threads.len());
        let mut failure = None;
        for (index, thread) in self.threads.into_iter().enumerate() {
            match thread.join() {
                Ok(Ok(report)) => workers.push(report),
                Ok(Err(error)) => failure = failure.or(Some(EngineError::Worker(error))),
                Err(_) => failure = failure.or(Some(EngineError::Panicked(index))),
            }
        }
        let stall::StallReport { standstills, throttling } = watch.stop();
        let stolen = stolen_time().zip(stolen_before).map(|(after, before)| after.saturating_sub(before));
        if let Some(failure) = failure {
            return Err(failure);
        }
        let end =
            [End::Aborted, End::Interrupted].into_iter().find(|end| workers.iter().any(|w| w.end == *end));
        let finished = workers.iter().map(|worker| worker.finished).max().unwrap_or_default();
        Ok(Report { end: end.unwrap_or(End::Complete), finished, workers, standstills, throttling, stolen })
    }
}
