//! The search itself: probe after probe, until the answer is narrow enough or its time is up.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::args::CapacityArgs;
use super::demand::Demand;
use super::prober::{Prober, Stop, Subject};
use super::record::{Head, Record, SettingsRecord};
use super::service::Service;
use crate::capacity::{self, Settings, Step};
use crate::cli::CliError;
use crate::cli::signal::Interrupts;
use crate::cli::trial::pin;
use crate::cli::trial::record::State;
use crate::clock::{Monotonic, WallTime};
use crate::display;
use crate::results::RunDirectory;
use crate::scenario::{Plan, Scenario};

/// A search under way.
pub(super) struct Search<'a> {
    prober: Prober<'a>,
    subject: Subject,
    known: capacity::Search,
    record: Record,
    _listening: Interrupts,
    /// How long a probe took at the most, waiting for recovery apart, seconds.
    longest_s: f64,
}

impl<'a> Search<'a> {
    /// Makes the directory of the search for `scenario`, which has its budgets.
    ///
    /// # Errors
    /// If it cannot be made, or processes cannot be bound as asked.
    pub(super) fn begin(
        args: &'a CapacityArgs,
        scenario: Scenario,
        settings: Settings,
        (service, demand): (Service, &Demand),
    ) -> Result<Self, CliError> {
        pin::check("--pin-target", args.launch.pin_target.as_ref())?;
        pin::check("--pin-generator", args.generator.pin_generator.as_ref())?;
        // Before there are files: an interrupt must not leave any that say that a search is under way.
        let (interrupts, listening) = interrupts()?;
        let started = WallTime::now();
        let (folder, budgets) = directory(&args.generator.out, &scenario.name, "capacity", started, demand)?;
        let plan = Plan::new(scenario.clone());
        let record = Record {
            head: Head::begin(&plan, (&settings, args.search.allowance()), started),
            service: service.record(),
            trials: Vec::new(),
            answer: None,
        };
        let search = Self {
            known: capacity::Search::new(settings),
            longest_s: plan.end().as_secs_f64(),
            subject: Subject::new(service, ""),
            record,
            _listening: listening,
            prober: Prober {
                file: &args.scenario,
                changes: args.changes.overrides(args.probe_length),
                generator: &args.generator,
                patience: args.recover_within.as_duration(),
                budgets,
                folder,
                scenario,
                lowest: settings.lowest,
                interrupts,
                clock: Monotonic::start(),
            },
        };
        search.store().map(|()| search)
    }

    /// Where its files are.
    pub(super) fn folder(&self) -> &Path {
        &self.prober.folder
    }

    /// What there is to tell of it.
    pub(super) const fn record(&self) -> &Record {
        &self.record
    }

    /// Probes until the answer is there, and writes it.
    ///
    /// # Errors
    /// If the service does not start or dies, a probe cannot be made, or files cannot be written; what was found until then is written
    /// all the same.
    pub(super) fn run(&mut self) -> Result<State, CliError> {
        self.announce();
        let ended = self.probes();
        let stopped = self.subject.service.stop();
        let (state, error) = match ended {
            Ok(()) => (State::Complete, stopped.err()),
            Err(Stop::Interrupted) => (State::Interrupted, None),
            Err(Stop::Failed(error)) => (State::Failed, Some(error)),
        };
        self.record.head.end(state, self.prober.clock.now().as_secs_f64());
        if let Some(error) = &error {
            self.record.head.ended_by = Some(error.message.clone());
        }
        self.record.conclude(&self.known.answer_so_far());
        let stored = self.store();
        // What went wrong first is what matters.
        match error {
            Some(error) => Err(error),
            None => stored.map(|()| state),
        }
    }

    fn announce(&self) {
        let SettingsRecord { lowest, highest, precision, allowance_s, .. } = self.record.head.settings;
        let demands = &self.record.head.demands;
        self.prober.tell(&format!(
            "{}: looking for the highest load, from {} to {} times the scenario's, at which {} {}, to within {} %, in at most {}",
            self.record.head.scenario,
            display::factor(lowest),
            display::factor(highest),
            demands.join(" and "),
            if demands.len() == 1 { "holds" } else { "hold" },
            precision * 100.0,
            display::length(allowance_s),
        ));
        self.prober.tell(&format!("files under {}", self.folder().display()));
    }

    fn probes(&mut self) -> Result<(), Stop> {
        loop {
            let factor = match self.known.next_step() {
                Step::Done(_) => return Ok(()),
                Step::Probe { factor } => factor,
            };
            if self.prober.is_interrupted() {
                return Err(Stop::Interrupted);
            }
            if !self.has_time() {
                self.record.head.end_by_time();
                return Ok(());
            }
            let number = self.record.trials.len() as u32 + 1;
            let trial = self.prober.probe(&mut self.subject, (number, factor), &self.record.trials)?;
            self.longest_s = self.longest_s.max(trial.took_s);
            self.known.note(trial.probe);
            let known = self.known.answer_so_far();
            self.prober.tell(&display::capacity_progress(&trial.probe, &known));
            self.record.trials.push(trial);
            self.record.conclude(&known);
            self.record.head.took_s = self.prober.clock.now().as_secs_f64();
            self.store()?;
        }
    }

    /// Whether another probe would end in time; the first one is made whatever it takes.
    fn has_time(&self) -> bool {
        let passed = self.prober.clock.now().as_secs_f64();
        self.record.trials.is_empty() || passed + self.longest_s <= self.record.head.settings.allowance_s
    }

    fn store(&self) -> Result<(), CliError> {
        let folder = self.folder();
        self.record.store(folder).map_err(|error| unwritable(folder, &error))
    }
}

/// Counts interrupts from now on.
pub(super) fn interrupts() -> Result<(Arc<AtomicU32>, Interrupts), CliError> {
    let interrupts = Arc::new(AtomicU32::new(0));
    let heard = Arc::clone(&interrupts);
    let listening = Interrupts::listen(move |count| heard.store(count, Ordering::SeqCst));
    Ok((interrupts, listening.map_err(CliError::failed)?))
}

/// The directory of a search, and the file with the budgets that were given, if any.
pub(super) fn directory(
    out: &Path,
    scenario: &str,
    label: &str,
    started: WallTime,
    demand: &Demand,
) -> Result<(PathBuf, Option<PathBuf>), CliError> {
    let directory = RunDirectory::create(out, scenario, label, started);
    let folder = directory.map_err(|error| unwritable(out, &error))?.path().to_owned();
    for own in ["runs", "logs"] {
        std::fs::create_dir(folder.join(own)).map_err(|error| unwritable(&folder, &error))?;
    }
    let budgets = demand.store(&folder).map_err(|error| unwritable(&folder, &error))?;
    Ok((folder, budgets))
}

pub(super) fn unwritable(path: &Path, error: &io::Error) -> CliError {
    CliError::failed(format!(
        "cannot write under {}: {error}; choose another place with --out DIR",
        path.display()
    ))
}
