//! Drives a plan from its directory to its last interval: waits for its instant, starts workers, collector and the control of
//! faults, and puts them to rest.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use super::control::{self, ControlThread};
use super::early::{Early, collect};
use super::journal::Journal;
use super::manifest::{ManifestKeeper, manifest};
use super::observer::{Observers, Steering};
use super::outside::OutsideActs;
use super::scrape::ScrapeThread;
use super::service_watch::ServiceWatch;
use super::target::Targets;
use super::{Conclusion, Run, RunError};
use crate::budget::Budget;
use crate::clock::{Monotonic, PacerKind, Tick, WallTime};
use crate::engine::{self, Control, Crew, EngineError, Setup, Standing};
use crate::fleet::RunFacts;
use crate::protocol::control::FaultClient;
use crate::record::{FleetId, Layout, RunToken, ScarceResource, Shard, SwitchLog};
use crate::reference::Meter;
use crate::results::{
    self, Collector, Manifest, Privacy, RunDirectory, RunFiles, RunState, ShardHeader, SubscriberFacts,
    Totals,
};
use crate::scenario::Plan;
use crate::service::ActLog;
use crate::units::figure::{count, plural, round_time};

/// The last part of waiting for the wall clock is spent when the run's directory is there.
const LEAD: Duration = Duration::from_millis(200);

/// So often it is looked, while waiting, whether somebody has interrupted the run.
const LOOK: Duration = Duration::from_millis(100);

/// A run with its directory, whose clock has started.
pub(super) struct Drive {
    directory: RunDirectory,
    manifest: Manifest,
    files: RunFiles,
    journal: Journal,
    layout: Arc<Layout>,
    lifetime: Lifetime,
    setup: Setup,
    /// Where service faults are sent.
    service: Option<FaultClient>,
    privacy: Privacy,
    crew: Crew,
    collector: Collector,
    observers: Observers,
    steering: Steering,
    /// What others tell the bundled service, where it is the target.
    outside: Option<OutsideActs>,
    /// What it counts itself.
    counts: Option<ServiceWatch>,
    /// What asks for the target's own figures, where that is wanted.
    scrapes: Option<ScrapeThread>,
}

/// When a run began by the wall clock, and how long ago that is by one that nobody sets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetime {
    began: WallTime,
    clock: Monotonic,
}

impl Lifetime {
    /// One that begins now, and when that is.
    fn begin() -> (Self, WallTime) {
        let began = WallTime::now();
        (Self { began, clock: Monotonic::start() }, began)
    }

    /// The instant now, as the wall clock would have it had it not been set meanwhile.
    pub(super) fn now(&self) -> WallTime {
        let lived = self.clock.now().0;
        WallTime::from_epoch(Duration::from_nanos(self.began.epoch_ns().saturating_add(lived)))
    }
}

/// A run that has been driven: everything its judgement is made of.
#[derive(Debug)]
pub(super) struct Driven {
    pub(super) plan: Arc<Plan>,
    pub(super) shard: Shard,
    /// The run's token where another run may have it, too.
    pub(super) shared_token: Option<RunToken>,
    pub(super) directory: RunDirectory,
    pub(super) manifest: Manifest,
    pub(super) report: Result<engine::Report, EngineError>,
    pub(super) totals: io::Result<Totals>,
    /// What this machine ran out of, and how often.
    pub(super) scarce: Vec<(ScarceResource, u64)>,
    pub(super) journal: Journal,
    pub(super) lifetime: Lifetime,
    /// When the user first interrupted the run.
    pub(super) interrupted: Option<Tick>,
    pub(super) early: Early,
    /// Why what others told the bundled service makes the run doubtful.
    pub(super) outside: Option<String>,
}

/// What the workers are set up by; the clock is not yet that of the run.
fn provisional(run: &Run, control: Control) -> Setup {
    let part = run.settings.part;
    Setup {
        plan: Arc::clone(&run.plan),
        shard: part.shard(),
        endpoints: Arc::new(run.targets.endpoints.clone()),
        clock: Monotonic::start(),
        epoch_ns: WallTime::now().epoch_ns(),
        token: run.token,
        token_is_drawn: part.draws_token(run.settings.token),
        control,
        switches: SwitchLog::default(),
    }
}

impl Drive {
    /// Makes the run's directory, with a manifest that says `running`, and waits for the instant at which it is to begin.
    pub(super) fn begin(
        run: &Run,
        observers: Observers,
        bundled: Option<(Arc<ActLog>, Meter)>,
    ) -> Result<Self, RunError> {
        let part = run.settings.part;
        let privacy = privacy(&run.plan, &run.targets, run.token);
        let (recorders, collector) = results::recorders(&run.layout, run.workers);
        let collector = collector.with_board(run.settings.metrics.clone());
        let recorders =
            recorders.into_iter().map(|recorder| recorder.with_privacy(privacy.clone())).collect();
        // Interrupts are heard from here on: subscribers may be waited for long.
        let steering = Steering::new(Control::new());
        observers.begin(&steering).map_err(RunError::failed)?;
        let provisional = provisional(run, steering.control.clone());
        let crew = Crew::assemble(&provisional, recorders).map_err(RunError::failed)?;
        announce(run, &observers, &steering)?;
        let (lifetime, started) = Lifetime::begin();
        let label = Some(run.settings.label.clone()).filter(|label| !label.is_empty());
        let number = part.asked.map(|shard| format!("{}of{}", shard.number(), shard.of()));
        let name = label.into_iter().chain(number).collect::<Vec<_>>().join("-");
        let (out, scenario) = (&run.settings.out, &run.plan.scenario().name);
        let directory = RunDirectory::create(out, scenario, &name, started)
            .map_err(|error| RunError::unwritable(out, &error))?;
        let unwritable = |error| RunError::unwritable(directory.path(), &error);
        let mut files = directory.start_files(&run.layout, started).map_err(unwritable)?;
        let events = directory.start_events().map_err(unwritable)?;
        let mut manifest = manifest(run, &directory, started);
        manifest.subscribers = standing(&run.layout, crew.standing());
        directory.write_manifest(&manifest).map_err(unwritable)?;
        let journal = Journal::new(Arc::clone(&run.layout), run.plan.events(), events);
        describe(run, &manifest, &observers, bundled.is_some());
        let standing = manifest.subscribers.iter().filter(|_| steering.goes_on());
        standing.for_each(|fleet| observers.note(&fleet.to_string()));
        if let Some(wait) = until_aligned(&run.plan).filter(|wait| *wait <= 2 * LEAD) {
            thread::sleep(wait);
        }
        // What takes the disk its time is done before the plan's time runs.
        if part.asked.is_some() {
            files.start_shard(&directory).map_err(unwritable)?;
        }
        part.arrive(|| steering.goes_on());
        part.punctual().inspect_err(|_| fail(&mut manifest, &directory))?;
        let (clock, epoch_ns) = (steering.start(), WallTime::now().epoch_ns());
        if let (Some(at), Some(facts), true) = (part.start_at, &mut manifest.start_at, steering.goes_on()) {
            facts.late_ms = Some((epoch_ns as f64 - at.epoch_ns() as f64) / 1e6);
        }
        if let Some(shard) = part.asked {
            let header =
                ShardHeader::new(directory.run_id(), shard, run.plan.digest(), epoch_ns, &run.layout);
            files.begin_shard(&header).map_err(unwritable)?;
        }
        let service = run.targets.broken_at.as_ref().map(|at| FaultClient::at(at, run.token)).transpose();
        let token = run.targets.control_token.clone();
        let service = service.map(|client| client.map(|client| client.showing(token)));
        let (outside, counts) = bundled.map(|bundled| follow(bundled, run, clock)).transpose()?.unzip();
        let scrapes = scrape(run, &directory, clock)?;
        Ok(Self {
            privacy,
            crew,
            collector,
            service: service.map_err(RunError::failed)?,
            directory,
            manifest,
            files,
            journal,
            layout: Arc::clone(&run.layout),
            lifetime,
            setup: Setup { clock, epoch_ns, ..provisional },
            observers,
            steering,
            outside,
            counts,
            scrapes,
        })
    }

    pub(super) const fn steering(&self) -> &Steering {
        &self.steering
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Drives the plan to its end, writing what happens as it happens.
    pub(super) fn run(mut self) -> Result<Driven, RunError> {
        let (plan, shard) = (Arc::clone(&self.setup.plan), self.setup.shard);
        let (switching, done) = sync_channel(0);
        // Should anything below fail, dropping it undoes what is on.
        let faults = self.control_faults()?;
        let (crew, collector) = (self.crew, self.collector);
        let collector = collector
            .with_token(self.setup.token)
            .with_switches(self.setup.switches.clone())
            .with_operator(done)
            .with_refusals(refusable(&plan, shard))
            .with_budgets(own_budgets(&plan, shard));
        let mut early = Early::default();
        let notices = self.scrapes.as_ref().map(ScrapeThread::notices).unwrap_or_default();
        let (report, totals, by_hand) = thread::scope(|scope| {
            let switching = switching;
            let keeper = ManifestKeeper::new(&mut self.manifest, &self.directory, (&plan, shard));
            let files = (&mut self.files, &mut self.journal, keeper);
            let watches = (self.outside.as_mut(), &notices);
            let screen = (&self.observers, &self.setup.control);
            let early = &mut early;
            let collecting = scope.spawn(move || collect(collector, files, watches, early, screen));
            let report = crew.drive(&self.setup);
            let summary = faults.finish();
            if let Some(list) = summary.list() {
                self.observers.note(&list);
            }
            drop(switching);
            let totals = collecting.join().map_err(|_| io::Error::other("the collector panicked"));
            (report, totals, summary.by_hand)
        });
        self.observers.end();
        self.manifest.clock.moved_ns = Some(moved_ns(self.setup.clock, self.setup.epoch_ns));
        self.manifest.faults_by_hand = by_hand;
        self.manifest.reference = self.counts.and_then(ServiceWatch::finish);
        if let Some(outside) = &mut self.outside {
            self.journal.note_acts(outside.take(), &self.observers);
        }
        let last = self.scrapes.map(ScrapeThread::finish).unwrap_or_default();
        self.journal.note_scrapes(last, &self.observers);
        Ok(Driven {
            outside: self.outside.as_ref().and_then(OutsideActs::reason),
            plan,
            shard,
            shared_token: Some(self.setup.token).filter(|_| !self.setup.token_is_drawn),
            directory: self.directory,
            manifest: self.manifest,
            report,
            totals,
            scarce: self.setup.endpoints.iter().flat_map(|endpoint| endpoint.scarcity().counts()).collect(),
            journal: self.journal,
            lifetime: self.lifetime,
            interrupted: self.steering.interrupted(),
            early,
        })
    }

    /// Starts the control of the faults that workers do not switch by themselves, and of switching by hand.
    fn control_faults(&mut self) -> Result<ControlThread, RunError> {
        let (plan, screen) = (&self.setup.plan, self.observers.clone());
        let config = control::Config {
            leads: self.setup.shard.leads(),
            faults: plan.faults().to_vec(),
            seed: plan.scenario().seed,
            clock: self.setup.clock,
            is_shard: self.manifest.shard.is_some(),
            layout: Arc::clone(&self.layout),
            control: self.setup.control.clone(),
            switches: self.setup.switches.clone(),
            run_id: self.directory.run_id().to_owned(),
            scenario: plan.scenario().name.clone(),
            directory: self.directory.path().to_owned(),
            privacy: self.privacy.clone(),
            service: self.service.take(),
            places: control::places(),
            screen: Box::new(move |text| screen.note(text)),
        };
        ControlThread::start(config).map_err(RunError::failed)
    }
}

/// Follows what the bundled service is told by others, and what it counts itself.
fn follow(
    (acts, meter): (Arc<ActLog>, Meter),
    run: &Run,
    clock: Monotonic,
) -> Result<(OutsideActs, ServiceWatch), RunError> {
    let counts = ServiceWatch::start(meter, Arc::clone(&run.layout), clock).map_err(RunError::failed)?;
    Ok((OutsideActs::new(acts, clock, run.token), counts))
}

/// Begins to take the target's own figures, where the scenario names sources of them. Of several shards one does.
fn scrape(run: &Run, directory: &RunDirectory, clock: Monotonic) -> Result<Option<ScrapeThread>, RunError> {
    let scrapes = &run.plan.scenario().scrapes;
    if scrapes.is_empty() || !run.settings.part.shard().leads() {
        return Ok(None);
    }
    let bundled = run.targets.metrics.clone();
    let table = directory.start_target().map_err(|error| RunError::unwritable(directory.path(), &error))?;
    ScrapeThread::start(scrapes.clone(), bundled, table, clock).map(Some).map_err(RunError::failed)
}

/// How much more the wall clock has advanced than `clock`, nanoseconds, since `clock` began at `epoch_ns`.
fn moved_ns(clock: Monotonic, epoch_ns: u64) -> i64 {
    let (elapsed, now_ns) = (clock.now(), WallTime::now().epoch_ns());
    now_ns.wrapping_sub(epoch_ns).wrapping_sub(elapsed.0).cast_signed()
}

/// Marks a run that never began as failed, as far as its manifest can still be written.
pub(super) fn fail(manifest: &mut Manifest, directory: &RunDirectory) {
    manifest.ended = Some(WallTime::now().to_string());
    give_up(manifest, directory);
}

/// Marks a run as failed whose files are not complete, as far as its manifest can still be written.
pub(super) fn give_up(manifest: &mut Manifest, directory: &RunDirectory) {
    manifest.state = RunState::Failed;
    manifest.exit_code = Some(Conclusion::Failed.exit_code());
    if directory.write_manifest(manifest).is_err() {
        // If this fails too there is no manifest any more to say so in.
        let _ = directory.mark_failed();
    }
}

/// Waits until shortly before the run is to begin, where the wall clock has a say in that.
fn announce(run: &Run, observers: &Observers, steering: &Steering) -> Result<(), RunError> {
    let part = run.settings.part;
    let note = |wait: Duration, why: &str| {
        observers.note(&format!("waiting {:.1} s: {why}", wait.as_secs_f64()));
    };
    if let Some(wait) = until_aligned(&run.plan) {
        note(wait, "the scenario aligns its start with the wall clock");
        let mut left = wait.saturating_sub(LEAD);
        while steering.goes_on() && !left.is_zero() {
            let nap = left.min(LOOK);
            thread::sleep(nap);
            left -= nap;
        }
    }
    if let Some(wait) = part.remaining() {
        note(wait, "it begins at the instant that --start-at names");
    }
    part.approach(|| steering.goes_on())
}

/// How long to wait, so that the plan starts sending at a whole multiple of what the scenario says on the wall clock.
fn until_aligned(plan: &Plan) -> Option<Duration> {
    let align_ns = plan.scenario().run.align?.as_ns();
    let begin_ns = WallTime::now().epoch_ns().saturating_add(plan.sending_starts().0);
    Some(Duration::from_nanos((align_ns - begin_ns % align_ns) % align_ns))
}

/// How the fleets of subscribers stand, for the manifest.
fn standing(layout: &Layout, found: &Standing) -> Vec<SubscriberFacts> {
    let facts = found.fleets.iter().map(|fleet| SubscriberFacts {
        fleet: layout.fleet(fleet.fleet).name.clone(),
        subscribed: fleet.stood,
        gave_up: fleet.gave_up,
        waited_ms: found.waited.as_secs_f64() * 1e3,
    });
    facts.collect()
}

/// Tells the observers what is about to be done.
fn describe(run: &Run, manifest: &Manifest, observers: &Observers, bundled: bool) {
    let Run { plan, targets, settings: super::Settings { part, metrics, .. }, .. } = run;
    if let Some(board) = metrics {
        board.name(&plan.scenario().name, &manifest.run_id);
    }
    let place = if bundled { "the bundled reference system" } else { "your targets" };
    let shard = part.shard();
    observers.note(&format!(
        "{}: {}{}, {} readings/s on average, {}, at {place}",
        plan.scenario().name,
        part.asked.map(|shard| format!("shard {shard}, ")).unwrap_or_default(),
        plural(shard.count(0, plan.devices()).into(), "device"),
        count((plan.expected_rate() / f64::from(shard.of())).round() as u64),
        round_time(plan.end().0)
    ));
    if let Some(facts) = &manifest.shard {
        if !facts.faults_elsewhere.is_empty() {
            observers.note(&format!("note: only shard 1 switches {}", facts.faults_elsewhere.join(", ")));
        }
        if !facts.budgets.is_empty() {
            observers.note(
                "note: budgets are of all shards together: squall merge judges them, and none ends this shard early",
            );
        }
    }
    if let Some(shortcoming) = PacerKind::expected().shortcoming() {
        observers.note(&format!("note: {shortcoming}"));
    }
    targets.notes.iter().for_each(|note| observers.note(note));
}

/// The budgets that this process judges: of one among several shards none, for its share is not what they are about.
pub(super) fn own_budgets(plan: &Plan, shard: Shard) -> &[Budget] {
    if shard.of() > 1 { &[] } else { &plan.scenario().budgets }
}

/// What must not be kept of the peers' replies.
fn privacy(plan: &Arc<Plan>, targets: &Targets, run: RunToken) -> Privacy {
    let scenario = plan.scenario();
    let (devices, run) = (Arc::clone(plan), RunFacts { epoch_ns: 0, token: Some(run) });
    let secrets = scenario.secrets.reveal().iter().cloned();
    let passwords = targets.endpoints.iter().filter_map(|endpoint| endpoint.password().map(str::to_owned));
    Privacy::new(secrets.chain(passwords), scenario.fleets.iter().map(|fleet| fleet.failure_body))
        .with_devices(move |fleet, index| devices.secrets(FleetId(fleet as u16), index, run))
}

/// How many devices each fleet has here, where their refusal is to end the run.
fn refusable(plan: &Plan, shard: Shard) -> Vec<Option<u32>> {
    let fleets = plan.scenario().fleets.iter();
    let devices = |fleet: usize| plan.devices_of(FleetId(fleet as u16), shard);
    fleets.enumerate().map(|(n, fleet)| (!fleet.refusal_expected).then(|| devices(n))).collect()
}
