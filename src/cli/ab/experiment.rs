//! Runs a comparison: pair after pair, each build freshly started, until a look decides.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rand::Rng;

use super::args::{Order, TrialArgs};
use super::record::{self, COMPARISON, PairRecord, Record, SCHEMA, Stage, evidence};
use super::repeat::{Allowance, Flaw};
use crate::cli::CliError;
use crate::cli::exit::Exit;
use crate::cli::screen;
use crate::cli::signal::Interrupts;
use crate::cli::trial::build::Build;
use crate::cli::trial::generator::{self, RunRequest, RunResult};
use crate::cli::trial::record::State;
use crate::cli::trial::{self, StopResult, pin};
use crate::clock::{Monotonic, WallTime};
use crate::compare::{self, Comparison, Decision, Evidence, Pair, Settings};
use crate::display;
use crate::page::comparison::Origin;
use crate::results::{Host, RunDirectory};
use crate::scenario::{Plan, Scenario};
use crate::seed::Seed;

/// How a comparison ended.
pub(super) enum Outcome {
    Complete(Comparison),
    /// With what can be said by the pairs that were run.
    Interrupted(Option<Comparison>),
    /// The same where too many pairs could not be measured, and which error that is.
    GaveUp(Option<Comparison>, CliError),
}

impl Outcome {
    /// What is said.
    pub(super) const fn comparison(&self) -> Option<&Comparison> {
        match self {
            Self::Complete(comparison) => Some(comparison),
            Self::Interrupted(comparison) | Self::GaveUp(comparison, _) => comparison.as_ref(),
        }
    }
}

/// A comparison under way.
pub(super) struct Experiment<'a> {
    scenario: &'a Path,
    builds: &'a [Build; 2],
    args: &'a TrialArgs,
    settings: Settings,
    seed: Seed,
    folder: PathBuf,
    record: Record,
    /// The pairs that count, as evidence: main ones and fresh ones.
    main: Vec<Pair>,
    fresh: Vec<Pair>,
    interrupts: Arc<AtomicU32>,
    _listening: Interrupts,
    clock: Monotonic,
    /// The scenario as it was in the beginning.
    plan: Scenario,
    /// Length of a run by its plan, seconds.
    planned_s: f64,
    runs: RefCell<u32>,
}

/// A pair that is to be run.
struct PairPlan {
    stage: Stage,
    number: u32,
    seed: u64,
    /// Digest of the plan that both runs must follow.
    digest: String,
}

/// A run's directory, and what it is evidence of, or why it is invalid.
type RunEvidence = (PathBuf, Result<Evidence, Flaw>);

/// A pair that was run, its evidence if it has any, and what is wrong with it.
struct PairResult {
    record: PairRecord,
    pair: Option<Pair>,
    flaw: Option<Flaw>,
}

/// Why a pair has no result.
enum PairError {
    Interrupted,
    Failed(CliError),
}

impl<'a> Experiment<'a> {
    /// Makes the comparison's directory.
    ///
    /// # Errors
    /// If it cannot be made, or processes cannot be bound as asked.
    pub(super) fn begin(
        scenario: &'a Path,
        plan: &Plan,
        builds: &'a [Build; 2],
        args: &'a TrialArgs,
        (settings, confirming): (&Settings, bool),
    ) -> Result<Self, CliError> {
        pin::check("--pin-target", args.launch.pin_target.as_ref())?;
        pin::check("--pin-generator", args.generator.pin_generator.as_ref())?;
        // Before there are files: an interrupt must not leave any that say that a comparison is under way.
        let interrupts = Arc::new(AtomicU32::new(0));
        let heard = Arc::clone(&interrupts);
        let listening = Interrupts::listen(move |count| heard.store(count, Ordering::SeqCst));
        let (name, started) = (&plan.scenario().name, WallTime::now());
        let unwritable = |path: &Path, error: io::Error| {
            CliError::failed(format!(
                "cannot write under {}: {error}; choose another place with --out DIR",
                path.display()
            ))
        };
        let directory = RunDirectory::create(&args.generator.out, name, "ab", started)
            .map_err(|error| unwritable(&args.generator.out, error))?;
        let folder = directory.path().to_owned();
        for own in ["runs", "logs"] {
            std::fs::create_dir(folder.join(own)).map_err(|error| unwritable(&folder, error))?;
        }
        let record = Record {
            schema: SCHEMA,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: name.clone(),
            state: State::Running,
            started: started.to_string(),
            ended: None,
            host: Host::here(),
            a: record::Build::of(&builds[0]),
            b: record::Build::of(&builds[1]),
            order: args.order.name().to_owned(),
            seed: plan.scenario().seed.to_string(),
            alpha: settings.alpha,
            thresholds: settings.thresholds,
            looks: args.pairs.0.clone(),
            confirming,
            pairs: Vec::new(),
        };
        record.store(&folder).map_err(|error| unwritable(&folder, error))?;
        Ok(Self {
            scenario,
            builds,
            args,
            settings: *settings,
            seed: plan.scenario().seed,
            folder,
            record,
            main: Vec::new(),
            fresh: Vec::new(),
            interrupts,
            _listening: listening.map_err(CliError::failed)?,
            clock: Monotonic::start(),
            plan: plan.scenario().clone(),
            planned_s: plan.end().as_secs_f64(),
            runs: RefCell::new(0),
        })
    }

    /// Where its files are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// How the comparison was made, as far as it was.
    pub(super) fn origin(&self) -> Origin {
        self.record.origin(&self.folder)
    }

    /// Says something on the way.
    pub(super) fn tell(&self, text: &str) {
        if !self.args.generator.quiet && !text.is_empty() {
            screen::note(text);
        }
    }

    /// Runs all pairs, judges them, and writes what is said.
    ///
    /// # Errors
    /// If a build does not start or dies, the generator fails, or the runs do not compare.
    pub(super) fn run(&mut self) -> Result<Outcome, CliError> {
        self.announce();
        let outcome = self.run_looks();
        self.record.state = match &outcome {
            Ok(Outcome::Complete(_)) => State::Complete,
            Ok(Outcome::Interrupted(_)) => State::Interrupted,
            Ok(Outcome::GaveUp(..)) | Err(_) => State::Failed,
        };
        self.record.ended = Some(WallTime::now().to_string());
        let stored = self.store().and_then(|()| match &outcome {
            Ok(Outcome::Complete(comparison) | Outcome::GaveUp(Some(comparison), _)) => {
                trial::record::store(&self.folder.join(COMPARISON), comparison).map_err(CliError::failed)
            }
            _ => Ok(()),
        });
        // What went wrong first is what matters.
        outcome.and_then(|outcome| stored.map(|()| outcome))
    }

    fn announce(&self) {
        let [a, b] = self.builds;
        let most = self.args.pairs.0.last().copied().unwrap_or_default();
        let looks = if self.args.pairs.0.len() > 1 { "up to " } else { "" };
        self.tell(&format!(
            "{}: {} against {}, {looks}{most} pairs of runs of {:.0} s, at least {}",
            self.record.scenario,
            b.label,
            a.label,
            self.planned_s,
            display::length(2.0 * f64::from(most) * self.planned_s),
        ));
        self.tell(&format!("files under {}", self.folder.display()));
    }

    fn store(&self) -> Result<(), CliError> {
        self.record.store(&self.folder).map_err(|error| {
            CliError::failed(format!("cannot write under {}: {error}", self.folder.display()))
        })
    }

    fn run_looks(&mut self) -> Result<Outcome, CliError> {
        let mut done = 0;
        let mut first = None;
        for look in self.args.pairs.0.clone() {
            if let Some(short) = self.batch(Stage::Main, done, look)? {
                return Ok(short);
            }
            done = look;
            let verdict = first.insert(self.judge()?).verdict;
            if matches!(verdict, Decision::Regression | Decision::Improvement) {
                break;
            }
        }
        let Some(first) = first else { return Err(CliError::usage("no pair is asked for")) };
        if first.verdict == Decision::Regression && self.record.confirming {
            let fresh = first.design.pairs;
            self.tell(&display::finding(&first));
            self.tell(&format!("a regression: {fresh} fresh pairs are to confirm it"));
            if let Some(short) = self.batch(Stage::Confirmation, 0, fresh)? {
                return Ok(short);
            }
            return Ok(Outcome::Complete(self.judge()?));
        }
        Ok(Outcome::Complete(first))
    }

    fn judge(&self) -> Result<Comparison, CliError> {
        self.record.judge_pairs(&self.main, &self.fresh, &self.settings)
    }

    /// Runs the pairs after `from` up to `to`; how the comparison ends if not all of them could be.
    fn batch(&mut self, stage: Stage, from: u32, to: u32) -> Result<Option<Outcome>, CliError> {
        let number = (to - from) as usize;
        let order = match self.args.order {
            Order::Abba => (from..to).map(|pair| pair % 2 == 0).collect(),
            // Every batch is balanced by itself: a look sees whole batches.
            Order::Random if stage == Stage::Main => {
                compare::random_order(number, self.seed, u64::from(from))
            }
            Order::Random => compare::random_order(number, self.seed, u64::MAX),
        };
        let mut again = Allowance::of(to - from);
        for (pair, base_first) in (from + 1..=to).zip(order) {
            loop {
                let PairResult { mut record, pair: evidence, flaw } = match self.pair(stage, pair, base_first)
                {
                    Ok(result) => result,
                    Err(PairError::Interrupted) => {
                        return Ok(Some(Outcome::Interrupted(self.judge().ok())));
                    }
                    Err(PairError::Failed(error)) => return Err(error),
                };
                let allowed = flaw.as_ref().is_some_and(|flaw| again.allows(flaw));
                // A suspect pair that may not be run again counts: it is better than none.
                let repeated = flaw.filter(|_| allowed || evidence.is_none());
                record.discarded = repeated.as_ref().map(|flaw| flaw.reason.clone());
                self.record.pairs.push(record);
                self.store()?;
                match (repeated, evidence) {
                    (None, evidence) => {
                        if stage == Stage::Main { &mut self.main } else { &mut self.fresh }.extend(evidence);
                        break;
                    }
                    (Some(flaw), _) if allowed => {
                        self.tell(&format!("pair {pair} is run again: {}", flaw.brief));
                    }
                    (Some(flaw), _) => {
                        return Ok(Some(Outcome::GaveUp(self.judge().ok(), self.too_many(&flaw))));
                    }
                }
            }
            self.progress(stage, pair, to);
        }
        Ok(None)
    }

    fn too_many(&self, last: &Flaw) -> CliError {
        CliError::new(
            Exit::Invalid,
            &format!(
                "too many pairs could not be measured, the last because {}; see {}. Lower the rate, or take the load off this machine",
                last.brief,
                self.folder.display()
            ),
        )
    }

    fn pair(&self, stage: Stage, number: u32, base_first: bool) -> Result<PairResult, PairError> {
        let stream = if stage == Stage::Main { "ab/pair" } else { "ab/confirmation" };
        let seed = self.seed.stream(stream, u64::from(number)).next_u64();
        let planned = PairPlan { stage, number, seed, digest: self.digest(seed) };
        let sides = if base_first { [0, 1] } else { [1, 0] };
        let mut runs = [self.side(&planned, sides[0])?, self.side(&planned, sides[1])?];
        // What is not evidence weighs more than what is doubtful.
        let flaws = runs.iter().filter_map(|(_, evidence)| Flaw::of(evidence));
        let flaw = flaws.max_by_key(|flaw| flaw.is_invalid);
        if !base_first {
            runs.reverse();
        }
        let [(a, base), (b, candidate)] = runs;
        let [a, b] = [a, b].map(|path| path.strip_prefix(&self.folder).map_or(path.clone(), Path::to_owned));
        let record = PairRecord { number, stage, seed: seed.to_string(), base_first, a, b, discarded: None };
        let both = base.ok().zip(candidate.ok());
        let pair = both.map(|(base, candidate)| Pair { base, candidate, base_first: Some(base_first) });
        Ok(PairResult { record, pair, flaw })
    }

    /// One build's run.
    fn side(&self, planned: &PairPlan, side: usize) -> Result<RunEvidence, PairError> {
        let build = &self.builds[side];
        let failed = |what: String| PairError::Failed(CliError::failed(what));
        *self.runs.borrow_mut() += 1;
        let kind = if planned.stage == Stage::Main { "pair" } else { "confirm" };
        let name = format!("{:03}-{kind}-{}-{}", self.runs.borrow(), planned.number, ["a", "b"][side]);
        let logs = self.folder.join("logs");
        let halted = || self.interrupted();
        let mut started = build.start(&logs.join(format!("{name}-build.log")), halted).map_err(failed)?;
        if self.interrupted() {
            let _ = started.stop();
            return Err(PairError::Interrupted);
        }
        let targets = started.targets.clone();
        let request = RunRequest {
            scenario: self.scenario,
            targets: &targets,
            seed: planned.seed,
            overrides: &self.args.overrides,
            budget: None,
            label: &build.label,
            out: &self.folder.join("runs"),
            log: &logs.join(format!("{name}-run")),
        };
        let interrupts = || self.interrupts.load(Ordering::SeqCst);
        let result = generator::run(&request, &self.args.generator, interrupts, || started.dead());
        let stopped = started.stop();
        if matches!(stopped, Ok(Some(StopResult::Killed))) {
            self.tell(&format!("note: build `{}` did not end after SIGTERM and was killed", build.label));
        }
        self.outcome(build, result, stopped.err(), &planned.digest)
    }

    /// What came of a run, unless its build died.
    fn outcome(
        &self,
        build: &Build,
        result: RunResult,
        died: Option<String>,
        digest: &str,
    ) -> Result<RunEvidence, PairError> {
        let failed =
            |what: String| PairError::Failed(CliError::failed(format!("build `{}` {what}", build.label)));
        match (result, died) {
            (RunResult::Interrupted, _) => Err(PairError::Interrupted),
            (_, Some(died)) => Err(failed(died)),
            (RunResult::Failed(what), None) => Err(failed(format!("was not measured: {what}"))),
            (RunResult::Done(directory), None) => {
                let evidence = evidence(&directory).map_err(|error| {
                    let message = format!("build `{}` was not measured: {}", build.label, error.message);
                    PairError::Failed(CliError { message, ..error })
                })?;
                if evidence.plan_digest != digest {
                    return Err(PairError::Failed(self.changed()));
                }
                Ok((directory, Ok(evidence)))
            }
            (RunResult::Invalid(directory), None) => {
                let why = crate::results::load_manifest(&directory).ok().and_then(|run| run.validity);
                Ok((directory, Err(Flaw::invalid(why.as_ref()))))
            }
        }
    }

    /// Digest of the scenario's plan with this seed, as it was in the beginning.
    fn digest(&self, seed: u64) -> String {
        let mut scenario = self.plan.clone();
        scenario.seed = Seed(seed);
        Plan::new(scenario).digest().to_owned()
    }

    fn changed(&self) -> CliError {
        CliError::new(
            Exit::Invalid,
            &format!(
                "{} was changed while the comparison was on: its plan is another one now; begin again",
                self.scenario.display()
            ),
        )
    }

    fn interrupted(&self) -> bool {
        self.interrupts.load(Ordering::SeqCst) > 0
    }

    /// The estimate so far and the time left.
    fn progress(&self, stage: Stage, pair: u32, of: u32) {
        if self.args.generator.quiet {
            return;
        }
        let kind = if stage == Stage::Main { "pair" } else { "fresh pair" };
        let so_far = self.so_far(stage).unwrap_or_default();
        let left = of.saturating_sub(pair);
        let each = self.clock.now().as_secs_f64() / f64::from((*self.runs.borrow()).max(1));
        let left = if left == 0 {
            String::new()
        } else {
            format!("; about {} left", display::length(2.0 * f64::from(left) * each))
        };
        self.tell(&format!("{kind} {pair} of {of}: {so_far}{left}"));
    }

    fn so_far(&self, stage: Stage) -> Option<String> {
        let pairs = if stage == Stage::Main { &self.main } else { &self.fresh };
        let comparison = compare::paired(pairs, &self.settings).ok()?;
        Some(display::estimate(&comparison))
    }
}
