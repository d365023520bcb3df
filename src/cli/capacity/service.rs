//! The service whose capacity is looked for: a bundled reference system in every probe, one that runs already, or one that is started.

use std::path::Path;

use super::args::CapacityArgs;
use super::record::ServiceRecord;
use crate::cli::CliError;
use crate::cli::screen;
use crate::cli::trial::StopResult;
use crate::cli::trial::build::{Build, RunningBuild, TargetAddress, places};
use crate::run::bundled;
use crate::scenario::Scenario;

/// What its messages call the service.
const LABEL: &str = "service";

/// The service under search.
pub(super) struct Service {
    source: Source,
    running: Option<RunningBuild>,
    is_fresh: bool,
}

enum Source {
    /// Every probe starts one in its own process.
    Bundled,
    /// It runs already.
    Running(Vec<TargetAddress>),
    /// It is started by a command.
    Started(Build),
}

impl Service {
    /// What `args` and the scenario say.
    ///
    /// # Errors
    /// If it is not known where it listens, or the bundled reference system does not understand the scenario.
    pub(super) fn of(args: &CapacityArgs, scenario: &Scenario) -> Result<Self, CliError> {
        let spoken = crate::run::target::spoken(scenario);
        let is_given =
            !args.targets.is_empty() || spoken.iter().any(|protocol| scenario.target.of(*protocol).is_some());
        let source = match &args.start {
            Some(command) => Source::Started(Build::new(
                LABEL,
                Some(command),
                &[],
                (&args.targets, &args.launch),
                scenario,
            )?),
            None if is_given => Source::Running(places(None, &args.targets, scenario)?),
            None => match bundled::objection(scenario) {
                Some(objection) => return Err(CliError::usage(objection)),
                None => Source::Bundled,
            },
        };
        if args.launch.is_given() && args.start.is_none() {
            return Err(CliError::usage(
                "--ready and --pin-target are about a service that is started, and none is: give --start CMD, or leave them out",
            ));
        }
        let is_fresh = args.fresh || matches!(source, Source::Bundled);
        Ok(Self { source, running: None, is_fresh })
    }

    /// One of two builds that are compared: started anew for every probe, unless it runs already.
    pub(super) fn of_build(build: Build) -> Self {
        let is_fresh = build.command().is_some();
        Self { source: Source::Started(build), running: None, is_fresh }
    }

    /// How it stands in the record.
    pub(super) fn record(&self) -> ServiceRecord {
        let (kind, command, targets) = match &self.source {
            Source::Bundled => ("bundled", None, Vec::new()),
            Source::Running(places) => {
                let shown = places.iter().map(|place| format!("{}={}", place.protocol, place.shown));
                ("running", None, shown.collect())
            }
            Source::Started(build) => {
                let kind = if build.command().is_some() { "started" } else { "running" };
                (kind, build.command().map(str::to_owned), build.shown())
            }
        };
        ServiceRecord { kind: kind.to_owned(), command, targets, fresh: self.is_fresh }
    }

    /// Whether every probe has one of its own.
    pub(super) const fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    /// Makes sure that it is there; where it is started, what it prints goes to the file `log`.
    ///
    /// # Errors
    /// If it cannot be started, dies, or is not ready in time.
    pub(super) fn ensure(&mut self, log: &Path, halted: impl Fn() -> bool) -> Result<(), CliError> {
        if let (Source::Started(build), None) = (&self.source, &self.running) {
            self.running = Some(build.start(log, halted).map_err(CliError::failed)?);
        }
        Ok(())
    }

    /// Where it listens.
    pub(super) fn targets(&self) -> &[TargetAddress] {
        match (&self.source, &self.running) {
            (Source::Running(places), _) => places,
            (_, Some(running)) => &running.targets,
            _ => &[],
        }
    }

    /// Whether it was started and has died.
    pub(super) fn is_dead(&mut self) -> bool {
        self.running.as_mut().is_some_and(RunningBuild::dead)
    }

    /// Stops it where every probe has one of its own.
    ///
    /// # Errors
    /// If it had died meanwhile.
    pub(super) fn release(&mut self) -> Result<(), CliError> {
        if self.is_fresh { self.stop() } else { Ok(()) }
    }

    /// Stops it, if it was started.
    ///
    /// # Errors
    /// If it had died meanwhile.
    pub(super) fn stop(&mut self) -> Result<(), CliError> {
        let Some(running) = self.running.take() else { return Ok(()) };
        let stopped = running.stop().map_err(|what| CliError::failed(format!("the {LABEL} {what}")))?;
        if stopped == Some(StopResult::Killed) {
            screen::note(&format!("note: the {LABEL} did not end after SIGTERM and was killed"));
        }
        Ok(())
    }
}
