//! A run, from a plan and its targets to its files.
//!
//! [`Run::prepare`] checks the targets and this machine, [`Run::start`] drives the plan on threads of its own, and
//! [`Handle::wait`] judges what came of it and completes the files. Whatever shows or steers a run meanwhile is an
//! [`Observer`].

pub(crate) mod bundled;
pub(crate) mod certificate;
pub(crate) mod churn;
mod conclusion;
pub(crate) mod control;
mod drive;
mod early;
mod journal;
mod judgement;
mod manifest;
pub(crate) mod node;
mod observer;
mod outside;
mod part;
pub(crate) mod preflight;
pub(crate) mod profile;
mod scrape;
mod service_watch;
pub(crate) mod target;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

pub use conclusion::{Conclusion, Finished};
use drive::{Drive, Driven};
use observer::Observers;
pub use observer::{Observer, Steering};
pub use part::Part;
use profile::Profile;
use target::Targets;
pub use target::secure;

use crate::record::{Layout, Protocol, RunToken, Shard};
use crate::reference::Server;
use crate::results::{LabFacts, MetricBoard};
use crate::scenario::Plan;
use crate::service;
use crate::units::figure::{count, plural, rate};

/// Why a run could not be done.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The scenario or the settings cannot be run as they are.
    #[error("{0}")]
    Usage(String),
    /// A target or this machine does not allow it: unreachable, in use, not writable.
    #[error("{0}")]
    Failed(String),
}

impl RunError {
    #[expect(clippy::needless_pass_by_value, reason = "made to be handed to `map_err`")]
    fn usage<M: ToString>(message: M) -> Self {
        Self::Usage(message.to_string())
    }

    #[expect(clippy::needless_pass_by_value, reason = "made to be handed to `map_err`")]
    fn failed<M: ToString>(message: M) -> Self {
        Self::Failed(message.to_string())
    }

    fn unwritable(path: &Path, error: &dyn std::fmt::Display) -> Self {
        Self::Failed(format!(
            "cannot write under {}: {error}; choose another place with --out DIR",
            path.display()
        ))
    }
}

/// How a plan is to be run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Directory under which the run's own directory is made.
    pub out: PathBuf,
    /// Label of the build under test, appended to the directory name.
    pub label: String,
    /// Worker threads; `None`: half the cores for a target on this machine, else all.
    pub workers: Option<usize>,
    /// Local addresses that connections come from, in turn.
    pub source_ips: Vec<IpAddr>,
    /// Where the bundled reference system listens, where it is the target; `None`: on free ports.
    pub serve_on: Option<SocketAddr>,
    /// The share of the devices that this process drives.
    pub part: Part,
    /// What the run is called in its devices' messages; `None`: the shards of a plan agree on one, and any other run draws its own.
    pub token: Option<RunToken>,
    /// File with the profile of this machine, which runs against local targets are seen against.
    pub profile: Option<PathBuf>,
    /// Notes for the observers to show beside those of the preparation.
    pub notes: Vec<String>,
    /// The exercise it is made for, and what was predicted.
    pub lab: Option<LabFacts>,
    /// Where its figures are put while it is on.
    pub metrics: Option<MetricBoard>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            out: PathBuf::from("results"),
            label: String::new(),
            workers: None,
            source_ips: Vec::new(),
            serve_on: None,
            part: Part::default(),
            token: None,
            profile: None,
            notes: Vec::new(),
            lab: None,
            metrics: None,
        }
    }
}

/// A plan whose targets are there and for which this machine has what it takes.
#[derive(Debug)]
pub struct Run {
    plan: Arc<Plan>,
    layout: Arc<Layout>,
    targets: Targets,
    settings: Settings,
    workers: usize,
    token: RunToken,
    profile: Option<Profile>,
}

impl Run {
    /// Checks that `plan` can be run at `targets`, one URL per protocol. Where none is given, those of the scenario count;
    /// without any the bundled reference system is started on free ports of the loopback.
    ///
    /// # Errors
    /// If a target is missing or does not answer, or this machine has too few descriptors, ports or too little memory.
    pub fn prepare(
        mut plan: Plan,
        targets: &[(Protocol, String)],
        mut settings: Settings,
    ) -> Result<Self, RunError> {
        plan.budgets_have_data().map_err(RunError::usage)?;
        if targets.is_empty() {
            plan.scenario().handshakes_apply().map_err(RunError::usage)?;
        }
        let part = settings.part;
        part.judge(&plan)?;
        let mut targets = Targets::prepare(targets, &plan, part, settings.serve_on)?;
        targets.notes.append(&mut settings.notes);
        let notes = preflight::ensure(&plan, part.shard(), &mut targets, &settings.source_ips)?;
        targets.notes.extend(notes);
        let local_profile = settings.profile.as_deref().filter(|_| targets.local);
        let (profile, note) = local_profile.map(profile::read).unwrap_or_default();
        targets.notes.extend(note);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers = settings.workers.unwrap_or_else(|| targets.default_workers(cores));
        let beyond = profile.as_ref().and_then(|profile| beyond(profile, &plan, part.shard(), workers));
        targets.notes.extend(beyond);
        let (token, note) = part.token(settings.token, &plan);
        targets.notes.extend(note);
        plan.begin();
        let layout = Arc::new(plan.layout().clone());
        Ok(Self { plan: Arc::new(plan), layout, targets, settings, workers, token, profile })
    }

    /// Phases, fleets and faults, as observers need them.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Where its figures are put while it is on, if that was asked for.
    pub const fn metrics(&self) -> Option<&MetricBoard> {
        self.settings.metrics.as_ref()
    }

    /// Makes the run's directory and begins to drive the plan, at the instant it asks for. `observers` are told what happens.
    ///
    /// # Errors
    /// If the directory cannot be written, an observer fails at the beginning, or the instant has passed.
    pub fn start(mut self, observers: Vec<Arc<dyn Observer>>) -> Result<Handle, RunError> {
        let observers = Observers::new(observers);
        let server = self.targets.server.take();
        let setup = self.plan.scenario().reference.clone();
        let profile = self.profile.take();
        let bundled = server.as_ref().map(|server| (server.acts(), server.meter()));
        let drive = Drive::begin(&self, observers, bundled)?;
        let (steering, directory) = (drive.steering().clone(), drive.directory().to_owned());
        let thread = thread::Builder::new().name("squall-run".into()).spawn(move || drive.run());
        let thread = thread.map_err(RunError::failed)?;
        Ok(Handle { steering, directory, thread, server, setup, profile })
    }
}

/// What to say of a plan whose peak is beyond what the machine was found to sustain.
fn beyond(profile: &Profile, plan: &Plan, shard: Shard, workers: usize) -> Option<String> {
    let spoken = plan.layout().fleets.iter().map(|fleet| fleet.protocol.name());
    let sustained = profile.sustained(spoken)? * workers as f64;
    let peak = plan.peak_rate() / f64::from(shard.of());
    (peak > sustained).then(|| {
        format!(
            "note: the plan's peak of {} readings/s is beyond the {} that {} sustained when this machine was calibrated",
            count(peak.round() as u64),
            rate(sustained),
            plural(workers as u64, "worker")
        )
    })
}

/// A run under way.
#[derive(Debug)]
pub struct Handle {
    steering: Steering,
    directory: PathBuf,
    thread: JoinHandle<Result<Driven, RunError>>,
    server: Option<Server>,
    setup: service::Setup,
    profile: Option<Profile>,
}

impl Handle {
    /// Ends the run early; may be cloned and used from any thread.
    pub const fn steering(&self) -> &Steering {
        &self.steering
    }

    /// The directory of the run's files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Waits for the end of the run, judges it, and completes its files.
    ///
    /// # Errors
    /// If the plan could not be driven or the files not be written.
    pub fn wait(self) -> Result<Finished, RunError> {
        let driven =
            self.thread.join().map_err(|_| RunError::failed("the run panicked; this is a bug"))??;
        let mut recorded = Ok(());
        if let Some(server) = self.server {
            recorded = bundled::record(&server, &self.setup);
            server.stop();
        }
        // The run's own files first: they must not be lost for want of another.
        driven.conclude(self.profile.as_ref(), recorded)
    }
}
