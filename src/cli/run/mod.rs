//! `squall run`: a scenario's fleets against a target, from the file to the verdict.

mod ending;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use super::args::RunArgs;
use super::exit::Exit;
use super::export::Subject;
use super::shard;
use super::signal::Interrupts;
use super::{CliError, settle};
use crate::budget::Budget;
use crate::clock::{Monotonic, PacerKind, Tick, WallTime};
use crate::display::{Progress, ProgressMode, Style};
use crate::engine::{self, Control, EngineError, Order, Setup};
use crate::protocol::control::FaultClient;
use crate::record::{FleetId, Layout, Scarce, Shard, SwitchLog};
use crate::results::{
    self, BudgetResult, ClockFacts, Collector, Demand, Host, Manifest, PacerFacts, Privacy, Refused,
    RunDirectory, RunFiles, RunState, ScenarioText, ShardFacts, ShardHeader, StartFacts, Totals,
};
use crate::run::control::{self, ControlThread, Summary};
use crate::run::journal::Journal;
use crate::run::part::Part;
use crate::run::profile::{self, Profile};
use crate::run::target::Targets;
use crate::run::{bundled, preflight};
use crate::scenario::{Plan, Scenario, load_budgets};

/// Runs the scenario and reports.
pub(super) fn run(args: &RunArgs) -> Result<Exit, CliError> {
    let scenario = load(args)?;
    args.outputs.prepare(Subject::Run)?;
    let plan = Arc::new(Plan::new(scenario));
    plan.budgets_have_data().map_err(CliError::usage)?;
    let (part, note) = shard::part(args)?;
    part.judge(&plan)?;
    let mut targets = Targets::prepare(&args.targets, &plan, part)?;
    targets.notes.extend(note);
    let notes = preflight::ensure(&plan, part.shard(), &mut targets, &args.source_ips)?;
    targets.notes.extend(notes);
    let profile = known_profile(&mut targets);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let workers = args.workers.map_or_else(|| targets.default_workers(cores), usize::from);
    targets.notes.extend(profile.as_ref().and_then(|profile| beyond(profile, &plan, part.shard(), workers)));

    if let Some(wait) = until_aligned(&plan) {
        announce_wait(args, wait, "the scenario aligns its start with the wall clock");
        thread::sleep(wait.saturating_sub(LEAD));
    }
    if let Some(wait) = part.remaining() {
        announce_wait(args, wait, "it begins at the instant that --start-at names");
    }
    part.approach()?;
    let driven = Attempt::begin(args, &plan, &targets, part, workers)?.drive(args, &targets)?;
    let mut recorded = Ok(());
    if let Some(server) = targets.server.take() {
        recorded = bundled::record(&server, &plan.scenario().reference).map_err(CliError::from);
        server.stop();
    }
    // The run's own files first: they must not be lost for want of another.
    let exit = driven.conclude(args, profile.as_ref())?;
    settle(exit, recorded)
}

/// What to say of a plan whose peak is beyond what the machine was found to sustain.
fn beyond(profile: &Profile, plan: &Plan, shard: Shard, workers: usize) -> Option<String> {
    let spoken = plan.layout().fleets.iter().map(|fleet| fleet.protocol.name());
    let sustained = profile.sustained(spoken)? * workers as f64;
    let peak = plan.peak_rate() / f64::from(shard.of());
    (peak > sustained).then(|| {
        format!(
            "note: the plan's peak of {peak:.0} readings/s is beyond the {sustained:.0}/s that {workers} worker(s) sustained \
             when this machine was calibrated"
        )
    })
}

/// The profile of this machine, where the targets are on it.
fn known_profile(targets: &mut Targets) -> Option<Profile> {
    if !targets.local {
        return None;
    }
    let (profile, note) = profile::known();
    targets.notes.extend(note);
    profile
}

fn load(args: &RunArgs) -> Result<Scenario, CliError> {
    let overrides = args.overrides.read()?;
    let mut scenario = Scenario::load(&args.scenario, &overrides).map_err(CliError::usage)?;
    if let Some(file) = &args.budget {
        let budgets = load_budgets(file, &scenario, overrides.environment).map_err(CliError::usage)?;
        scenario.budgets.extend(budgets);
    }
    Ok(scenario)
}

/// The last part of waiting for the wall clock is spent when the run's directory is there.
const LEAD: Duration = Duration::from_millis(200);

/// How long to wait, so that the plan starts sending at a whole multiple of what the scenario says on the wall clock.
fn until_aligned(plan: &Plan) -> Option<Duration> {
    let align_ns = plan.scenario().run.align?.as_ns();
    let begin_ns = WallTime::now().epoch_ns().saturating_add(plan.sending_starts().0);
    Some(Duration::from_nanos((align_ns - begin_ns % align_ns) % align_ns))
}

fn announce_wait(args: &RunArgs, wait: Duration, why: &str) {
    if !args.quiet {
        let text = format!("waiting {:.1} s: {why}", wait.as_secs_f64());
        // Nobody reading it changes nothing.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// A run with its directory, ready to be driven.
struct Attempt {
    plan: Arc<Plan>,
    layout: Arc<Layout>,
    part: Part,
    workers: usize,
    directory: RunDirectory,
    manifest: Manifest,
    files: RunFiles,
    journal: Journal,
}

/// A run that has been driven: everything the verdict is made of.
struct Driven {
    plan: Arc<Plan>,
    shard: Shard,
    directory: RunDirectory,
    manifest: Manifest,
    report: Result<engine::Report, EngineError>,
    totals: io::Result<Totals>,
    /// What this machine ran out of, and how often.
    scarce: Vec<(Scarce, u64)>,
    journal: Journal,
    /// When the user first interrupted the run.
    interrupted: Option<Tick>,
    early: Early,
}

/// What was to end the run early.
#[derive(Debug, Default)]
struct Early {
    /// The budget that failed.
    budget: Option<BudgetResult>,
    /// The fleet that was refused for good.
    refused: Option<Refused>,
}

impl Early {
    const fn is_some(&self) -> bool {
        self.budget.is_some() || self.refused.is_some()
    }
}

impl Attempt {
    /// Makes the run's directory, with a manifest that says `running`.
    fn begin(
        args: &RunArgs,
        plan: &Arc<Plan>,
        targets: &Targets,
        part: Part,
        workers: usize,
    ) -> Result<Self, CliError> {
        let layout = Arc::new(plan.layout().clone());
        let started = WallTime::now();
        let name =
            [args.label.clone()].into_iter().chain(part.asked.map(|s| format!("{}of{}", s.number(), s.of())));
        let name: Vec<String> = name.filter(|part| !part.is_empty()).collect();
        let directory = RunDirectory::create(&args.out, &plan.scenario().name, &name.join("-"), started)
            .map_err(|error| unwritable(&args.out, &error))?;
        let unwritable = |error| unwritable(directory.path(), &error);
        let files = directory.start_files(&layout, started).map_err(unwritable)?;
        let events = directory.start_events().map_err(unwritable)?;
        let manifest = manifest(args, plan, targets, workers, &directory, started);
        let start_at = part.start_at.map(|at| StartFacts { at: at.to_string(), late_ms: None });
        let manifest = Manifest { shard: part.asked.map(|shard| facts(plan, shard)), start_at, ..manifest };
        directory.write_manifest(&manifest).map_err(unwritable)?;
        let journal = Journal::new(Arc::clone(&layout), plan.events(), events);
        Ok(Self { plan: Arc::clone(plan), layout, part, workers, directory, manifest, files, journal })
    }

    /// Begins to show progress, with what is about to be done.
    fn progress(&self, args: &RunArgs, targets: &Targets) -> Progress {
        let terminal = io::stderr().is_terminal();
        let mode = match (args.quiet, terminal) {
            (true, _) => ProgressMode::Quiet,
            (false, true) => ProgressMode::Live,
            (false, false) => ProgressMode::Lines,
        };
        let progress = Progress::start(Arc::clone(&self.layout), mode, Style::of(terminal));
        let place = if targets.server.is_some() { "the bundled reference system" } else { "your targets" };
        let shard = self.part.shard();
        progress.note(&format!(
            "{}: {}{} devices, {:.0} readings/s on average, {:.0} s, at {place}",
            self.plan.scenario().name,
            self.part.asked.map(|shard| format!("shard {shard}, ")).unwrap_or_default(),
            shard.count(0, self.plan.devices()),
            // A closed plan expects none, which must not print as -0.
            self.plan.expected_rate() / f64::from(shard.of()) + 0.0,
            self.plan.end().as_secs_f64()
        ));
        if let Some(facts) = self.manifest.shard.as_ref().filter(|facts| !facts.faults_elsewhere.is_empty()) {
            progress.note(&format!("note: shard 1 sees to {}", facts.faults_elsewhere.join(", ")));
        }
        if self.manifest.shard.as_ref().is_some_and(|facts| !facts.budgets.is_empty()) {
            progress.note("note: budgets are of all shards together: squall merge judges them, and none ends this shard early");
        }
        for note in &targets.notes {
            progress.note(note);
        }
        progress
    }

    /// Puts somebody in charge of the faults that workers do not switch by themselves, and of switching by hand.
    fn control_faults(
        &self,
        targets: &Targets,
        setup: &Setup,
        progress: &Arc<Progress>,
    ) -> Result<ControlThread, CliError> {
        let (plan, screen) = (&self.plan, Arc::clone(progress));
        let service =
            targets.broken_at.as_ref().map(FaultClient::at).transpose().map_err(CliError::failed)?;
        let config = control::Config {
            leads: self.part.shard().leads(),
            faults: plan.faults().to_vec(),
            seed: plan.scenario().seed,
            clock: setup.clock,
            end: plan.end(),
            control: setup.control.clone(),
            switches: setup.switches.clone(),
            run_id: self.directory.run_id().to_owned(),
            scenario: plan.scenario().name.clone(),
            directory: self.directory.path().to_owned(),
            service,
            places: control::places(),
            screen: Box::new(move |text| screen.note(text)),
        };
        ControlThread::start(config).map_err(CliError::failed)
    }

    /// Marks a run that never began as failed, as far as its manifest can still be written, and passes the error on.
    fn fail(&mut self, error: CliError) -> CliError {
        self.manifest.state = RunState::Failed;
        self.manifest.exit_code = Some(error.exit.code());
        self.manifest.ended = Some(WallTime::now().to_string());
        let _ = self.directory.write_manifest(&self.manifest);
        error
    }

    /// Notes when the run begins, where somebody will ask.
    fn note_start(&mut self, epoch_ns: u64) -> Result<(), CliError> {
        if let (Some(at), Some(facts)) = (self.part.start_at, &mut self.manifest.start_at) {
            facts.late_ms = Some((epoch_ns as f64 - at.epoch_ns() as f64) / 1e6);
        }
        let Some(shard) = self.part.asked else { return Ok(()) };
        let header =
            ShardHeader::new(self.directory.run_id(), shard, self.plan.digest(), epoch_ns, &self.layout);
        let begun = self.files.begin_shard(&header);
        begun.map_err(|error| unwritable(self.directory.path(), &error))
    }

    /// Drives the plan to its end, writing what happens as it happens.
    fn drive(mut self, args: &RunArgs, targets: &Targets) -> Result<Driven, CliError> {
        let progress = Arc::new(self.progress(args, targets));
        if let Some(wait) = until_aligned(&self.plan).filter(|wait| *wait <= 2 * LEAD) {
            thread::sleep(wait);
        }
        // What takes the disk its time is done before the plan's time runs.
        if self.part.asked.is_some() {
            let started = self.files.start_shard(&self.directory);
            started.map_err(|error| unwritable(self.directory.path(), &error))?;
        }
        self.part.arrive();
        self.part.punctual().map_err(|error| self.fail(error.into()))?;
        let (control, clock) = (Control::new(), Monotonic::start());
        let epoch_ns = WallTime::now().epoch_ns();
        self.note_start(epoch_ns)?;
        let interrupted = Arc::new(OnceLock::new());
        let (at, steering, screen) = (Arc::clone(&interrupted), control.clone(), Arc::clone(&progress));
        let _interrupts = Interrupts::listen(move |count| {
            at.get_or_init(|| clock.now());
            steering.give(if count == 1 { Order::Finish } else { Order::Abort });
            if count == 1 {
                screen.note("interrupted: settling what is open; Ctrl-C again ends at once");
            }
        })
        .map_err(CliError::failed)?;
        let (recorders, collector) = results::recorders(&self.layout, self.workers);
        let privacy = privacy(&self.plan, targets);
        let recorders =
            recorders.into_iter().map(|recorder| recorder.with_privacy(privacy.clone())).collect();
        let switches = SwitchLog::default();
        let (switching, done) = sync_channel(0);
        let collector = collector
            .with_switches(switches.clone())
            .with_operator(done)
            .with_refusals(refusable(&self.plan, self.part.shard()))
            .with_budgets(own_budgets(&self.plan, self.part.shard()));
        let setup = Setup {
            plan: Arc::clone(&self.plan),
            shard: self.part.shard(),
            endpoints: Arc::new(targets.endpoints.clone()),
            clock,
            epoch_ns,
            control: control.clone(),
            switches,
        };
        // Should anything below fail, dropping it undoes what is on.
        let control_thread = self.control_faults(targets, &setup, &progress)?;
        let mut early = Early::default();
        let (report, totals) = thread::scope(|scope| {
            let switching = switching;
            let (files, journal) = (&mut self.files, &mut self.journal);
            let early = &mut early;
            let collecting = scope.spawn(|| collect(collector, files, journal, early, (&progress, &control)));
            let report = engine::run(&setup, recorders);
            self.manifest.faults_by_hand = conclude(&control_thread.finish(), &progress);
            drop(switching);
            let totals =
                collecting.join().unwrap_or_else(|_| Err(io::Error::other("the collector panicked")));
            (report, totals)
        });
        progress.end();
        Ok(Driven {
            plan: self.plan,
            shard: self.part.shard(),
            directory: self.directory,
            manifest: self.manifest,
            report,
            totals,
            scarce: setup.endpoints.iter().flat_map(|endpoint| endpoint.scarcity().counts()).collect(),
            journal: self.journal,
            interrupted: interrupted.get().copied(),
            early,
        })
    }
}

/// Lists what went wrong with faults, and says how often people switched them.
fn conclude(summary: &Summary, progress: &Progress) -> u32 {
    let list = summary.list();
    if !list.is_empty() {
        progress.note(&list);
    }
    summary.by_hand
}

/// Collects until the workers are done. A file that cannot be written ends the run: going on unheard would waste it.
fn collect(
    collector: Collector,
    files: &mut RunFiles,
    journal: &mut Journal,
    early: &mut Early,
    (progress, control): (&Progress, &Control),
) -> io::Result<Totals> {
    let mut trouble = None;
    let totals = collector.run(files, |interval| {
        progress.interval(interval);
        journal.switched(&interval.switches);
        let mut noted = journal.advance(interval.end);
        if let Some(failed) = &interval.budget_failed {
            control.give(Order::Conclude);
            let (name, detail) = (failed.name.as_deref().unwrap_or_default(), failed.sentence());
            progress.note(&format!("a budget failed: {detail}; settling what is open"));
            noted = noted.and_then(|()| journal.event(interval.end, "budget_failed", name, &detail));
            early.budget = Some(failed.clone());
        }
        if let Some(refused) = &interval.refused {
            control.give(Order::Conclude);
            let detail = refused.sentence();
            progress.note(&format!("{detail}; ending the run"));
            noted = noted.and_then(|()| journal.event(interval.end, "refused", &refused.fleet, &detail));
            early.refused = Some(refused.clone());
        }
        if let Err(error) = noted {
            control.give(Order::Abort);
            trouble.get_or_insert(error);
        }
    });
    if totals.is_err() {
        control.give(Order::Abort);
    }
    match trouble {
        Some(error) => Err(error),
        None => totals,
    }
}

fn unwritable(path: &Path, error: &io::Error) -> CliError {
    CliError::failed(format!(
        "cannot write under {}: {error}; choose another place with --out DIR",
        path.display()
    ))
}

/// The budgets that this process judges: of one among several shards none, for its share is not what they are about.
fn own_budgets(plan: &Plan, shard: Shard) -> &[Budget] {
    if shard.of() > 1 { &[] } else { &plan.scenario().budgets }
}

/// What must not be kept of the peers' replies.
fn privacy(plan: &Plan, targets: &Targets) -> Privacy {
    let scenario = plan.scenario();
    let secrets = scenario.secrets.reveal().iter().cloned();
    let passwords = targets.endpoints.iter().filter_map(|endpoint| endpoint.password().map(str::to_owned));
    Privacy::new(secrets.chain(passwords), scenario.fleets.iter().map(|fleet| fleet.failure_body))
}

/// How many devices each fleet has here, where their refusal is to end the run.
fn refusable(plan: &Plan, shard: Shard) -> Vec<Option<u32>> {
    let fleets = plan.scenario().fleets.iter();
    let devices = |fleet: usize| plan.devices_of(FleetId(fleet as u16), shard);
    fleets.enumerate().map(|(n, fleet)| (!fleet.refusal_expected).then(|| devices(n))).collect()
}

fn facts(plan: &Plan, shard: Shard) -> ShardFacts {
    let elsewhere = plan.faults().iter().filter(|fault| !shard.leads() && !fault.effect.by_device());
    let scenario = plan.scenario();
    ShardFacts {
        shard,
        devices: shard.count(0, plan.devices()),
        faults_elsewhere: elsewhere.map(|fault| fault.name.clone()).collect(),
        budgets: scenario.budgets.iter().map(Demand::of).collect(),
        demand_delivery: scenario.run.demand_delivery,
    }
}

fn manifest(
    args: &RunArgs,
    plan: &Plan,
    targets: &Targets,
    workers: usize,
    directory: &RunDirectory,
    started: WallTime,
) -> Manifest {
    let scenario = plan.scenario();
    Manifest {
        schema: results::SCHEMA,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        label: args.label.clone(),
        run_id: directory.run_id().to_owned(),
        state: RunState::Running,
        seed: scenario.seed.to_string(),
        plan_digest: plan.digest().to_owned(),
        scenario: ScenarioText {
            name: scenario.name.clone(),
            text: scenario.text.clone(),
            overrides: scenario.overrides.clone(),
        },
        started: started.to_string(),
        ended: None,
        host: Host::here(),
        clock: ClockFacts { resolution_ns: Monotonic::start().resolution_ns() },
        pacer: PacerFacts {
            kind: PacerKind::expected().name().to_owned(),
            slack_ns: 0,
            awake_ns: engine::AWAKE_NS,
        },
        workers: u32::try_from(workers).unwrap_or(u32::MAX),
        targets: targets.urls.clone(),
        fleets: targets.fleets.clone(),
        source_ips: targets.source_ips(),
        worker_use: Vec::new(),
        pacing_lag: None,
        calibration: None,
        validity: None,
        budgets: Vec::new(),
        anomaly_rows_omitted: 0,
        faults_by_hand: 0,
        recovery: results::RecoveryRule::default(),
        fault_spells_omitted: 0,
        switches_omitted: 0,
        delivery: Vec::new(),
        failures: Vec::new(),
        refused: None,
        shard: None,
        start_at: None,
        merged: Vec::new(),
        exit_code: None,
    }
}
