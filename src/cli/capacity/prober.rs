//! Single probes: the scenario at a load against a service that has recovered, as a run like any other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rand::Rng as _;

use super::measurement::Measurement;
use super::record::Trial;
use super::recovery::{Recovery, Watch};
use super::service::Service;
use crate::capacity::Verdict;
use crate::cli::CliError;
use crate::cli::amendment::OverrideArgs;
use crate::cli::exit::Exit;
use crate::cli::screen;
use crate::cli::trial::args::GeneratorArgs;
use crate::cli::trial::generator::{self, RunRequest, RunResult};
use crate::clock::Monotonic;
use crate::display;
use crate::scenario::{Plan, Scenario};
use crate::seed::Seed;

/// Within so much above a load at which the generator ended, it is taken to end there, too.
const NEAR: f64 = 1.02;

/// What all probes have in common.
pub(super) struct Prober<'a> {
    pub(super) file: &'a Path,
    pub(super) changes: OverrideArgs,
    pub(super) generator: &'a GeneratorArgs,
    /// How long a service may take to recover.
    pub(super) patience: Duration,
    /// Further budgets, as a file.
    pub(super) budgets: Option<PathBuf>,
    /// The directory of the search.
    pub(super) folder: PathBuf,
    /// The scenario at a load of 1.
    pub(super) scenario: Scenario,
    /// The lowest load that is probed.
    pub(super) lowest: f64,
    pub(super) interrupts: Arc<AtomicU32>,
    pub(super) clock: Monotonic,
}

/// A service that is probed, and how it stood after the last probe.
pub(super) struct Subject {
    pub(super) service: Service,
    /// What tells it from others in names of files; may be empty.
    pub(super) side: &'static str,
    watch: Option<Watch>,
    /// Whether every reading of the last probe was answered.
    is_settled: bool,
}

impl Subject {
    pub(super) const fn new(service: Service, side: &'static str) -> Self {
        Self { service, side, watch: None, is_settled: true }
    }
}

/// Why a probe has no result.
pub(super) enum Stop {
    Interrupted,
    Failed(CliError),
}

impl From<CliError> for Stop {
    fn from(error: CliError) -> Self {
        Self::Failed(error)
    }
}

impl Prober<'_> {
    /// Says something on the way.
    pub(super) fn tell(&self, text: &str) {
        if !self.generator.quiet {
            screen::note(text);
        }
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupts.load(Ordering::SeqCst) > 0
    }

    /// Probe number `number` at `factor`; made once more where the generator was disturbed and none of `others` has seen it end there.
    pub(super) fn probe(
        &self,
        subject: &mut Subject,
        (number, factor): (u32, f64),
        others: &[Trial],
    ) -> Result<Trial, Stop> {
        let first = self.attempt(subject, number, factor)?;
        let ends_here = others.iter().any(|trial| {
            trial.probe.verdict == Verdict::GeneratorLimited && trial.probe.factor <= factor * NEAR
        });
        if first.probe.verdict != Verdict::GeneratorLimited || ends_here {
            return Ok(first);
        }
        self.tell(&format!(
            "probe {number} is made again: {}",
            first.reasons.first().map_or("the generator was disturbed", String::as_str)
        ));
        self.attempt(subject, number, factor)
    }

    fn attempt(&self, subject: &mut Subject, number: u32, factor: f64) -> Result<Trial, Stop> {
        let name = format!("{number:03}{}-{}", subject.side, display::factor(factor));
        let log = self.folder.join("logs").join(format!("{name}-service.log"));
        subject.service.ensure(&log, || self.is_interrupted())?;
        let recovery = self.recover(subject)?;
        if self.is_interrupted() {
            return Err(Stop::Interrupted);
        }
        let at_s = self.clock.now().as_secs_f64();
        let seed = self.scenario.seed.stream("capacity/probe", u64::from(number)).next_u64();
        let overrides = self.changes.at(factor);
        let digest = self.digest(&overrides, seed)?;
        let directory = self.drive(&mut subject.service, &name, &overrides, seed)?;
        let measured = Measurement::read(&directory)?;
        subject.service.release()?;
        if measured.plan_digest != digest {
            return Err(self.changed().into());
        }
        subject.is_settled = measured.is_settled;
        let took_s = self.clock.now().as_secs_f64() - at_s;
        let run = directory.strip_prefix(&self.folder).map_or(directory.clone(), Path::to_owned);
        let seed = seed.to_string();
        Ok(Trial { recovery, seed, at_s, took_s, run, ..Trial::new(number, factor, measured) })
    }

    /// Waits until the service has recovered from the probe before.
    fn recover(&self, subject: &mut Subject) -> Result<Recovery, Stop> {
        if subject.service.is_fresh() {
            return Ok(Recovery::known("the service was started for this probe"));
        }
        let targets = subject.service.targets();
        let Some(watch) = &subject.watch else {
            let light = self.changes.at(self.lowest).scenario(self.file)?;
            subject.watch = Some(Watch::begin(targets, &light, self.patience, &self.folder)?);
            return Ok(Recovery::default());
        };
        let recovery = watch.wait(targets, subject.is_settled, || self.is_interrupted())?;
        if !recovery.is_recovered && !self.is_interrupted() {
            self.tell(&format!(
                "note: the service had not recovered after {:.0} s; the next probe begins all the same",
                recovery.waited_s
            ));
        }
        Ok(recovery)
    }

    /// Has the generator run the scenario under what `overrides` say, and gives the run's directory.
    fn drive(
        &self,
        service: &mut Service,
        name: &str,
        overrides: &OverrideArgs,
        seed: u64,
    ) -> Result<PathBuf, Stop> {
        let targets = service.targets().to_vec();
        let request = RunRequest {
            scenario: self.file,
            targets: &targets,
            seed,
            overrides,
            budget: self.budgets.as_deref(),
            label: name.split_once('-').map_or(name, |(_, factor)| factor),
            out: &self.folder.join("runs"),
            log: &self.folder.join("logs").join(format!("{name}-run")),
        };
        let heard = || self.interrupts.load(Ordering::SeqCst);
        match generator::run(&request, self.generator, heard, || service.is_dead()) {
            RunResult::Interrupted => Err(Stop::Interrupted),
            _ if service.is_dead() => {
                service.stop()?;
                Err(CliError::failed("the service ended during a probe").into())
            }
            RunResult::Failed(what) => {
                Err(CliError::failed(format!("probe {name} was not made: {what}")).into())
            }
            RunResult::Done(directory) | RunResult::Invalid(directory) => Ok(directory),
        }
    }

    /// Digest of the plan that a probe is to follow.
    fn digest(&self, overrides: &OverrideArgs, seed: u64) -> Result<String, CliError> {
        let mut scenario = overrides.scenario(self.file)?;
        if scenario.text != self.scenario.text {
            return Err(self.changed());
        }
        scenario.seed = Seed(seed);
        Ok(Plan::new(scenario).digest().to_owned())
    }

    fn changed(&self) -> CliError {
        CliError::new(
            Exit::Invalid,
            &format!(
                "{} was changed while the search was on: its plan is another one now; begin again",
                self.file.display()
            ),
        )
    }
}
