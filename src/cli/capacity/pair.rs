//! Two builds compared by their capacity: their searches in step, probe by probe, each pair in a random order.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::args::SearchArgs;
use super::demand::Demand;
use super::prober::{Prober, Stop, Subject};
use super::range::settings;
use super::record::{Head, ServiceRecord, Trial, leave_out_probes};
use super::search::{directory, interrupts, unwritable};
use super::service::Service;
use crate::capacity::{Comparison, PairedSearch, PairedSettings, PairedStep};
use crate::cli::CliError;
use crate::cli::amendment::OverrideArgs;
use crate::cli::signal::Interrupts;
use crate::cli::trial::args::GeneratorArgs;
use crate::cli::trial::build::Build;
use crate::cli::trial::record::{self, State};
use crate::clock::{Monotonic, WallTime};
use crate::display;
use crate::display::capacity::PairOutline;
use crate::language::Environment;
use crate::scenario::Plan;
use crate::units::Span;

/// The record.
const FILE: &str = "ab-capacity.json";
/// How long a build that is not started anew may take to recover.
const PATIENCE: Span = Span::from_ms(30_000);

/// What is compared.
pub(in crate::cli) struct PairRequest<'a> {
    pub(in crate::cli) file: &'a Path,
    pub(in crate::cli) builds: [Build; 2],
    pub(in crate::cli) search: &'a SearchArgs,
    pub(in crate::cli) changes: &'a OverrideArgs,
    pub(in crate::cli) generator: &'a GeneratorArgs,
    /// The probability of calling two equal builds different; `None`: as usual.
    pub(in crate::cli) alpha: Option<f64>,
}

/// How a comparison was made and what it says.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct PairRecord {
    #[serde(flatten)]
    head: Head,
    alpha: f64,
    threshold: f64,
    /// Base and candidate.
    sides: [SideRecord; 2],
    /// Whether the base was probed first, pair by pair.
    base_first: Vec<bool>,
    /// What is said, but for the probes, which stand in `sides`.
    comparison: Option<Value>,
}

/// A build, and its probes.
#[derive(Debug, Serialize)]
struct SideRecord {
    label: String,
    service: ServiceRecord,
    trials: Vec<Trial>,
}

/// A comparison that has ended.
pub(in crate::cli) struct Paired {
    pub(in crate::cli) comparison: Comparison,
    pub(in crate::cli) record: PairRecord,
    pub(in crate::cli) is_interrupted: bool,
    folder: PathBuf,
}

impl Paired {
    /// What there is to tell of it.
    pub(in crate::cli) fn outline(&self) -> PairOutline<'_> {
        PairOutline {
            scenario: &self.record.head.scenario,
            labels: self.record.sides.each_ref().map(|side| side.label.as_str()),
            comparison: &self.comparison,
            planned_per_s: self.record.head.planned_per_s,
            took_s: self.record.head.took_s,
            remark: self.record.head.ended_by.as_deref(),
            folder: self.folder.display().to_string(),
        }
    }
}

/// Searches under way.
struct Pairing<'a> {
    prober: Prober<'a>,
    subjects: [Subject; 2],
    known: PairedSearch,
    record: PairRecord,
    _listening: Interrupts,
    /// How long a pair took at the most, seconds.
    longest_s: f64,
}

/// Compares two builds by their capacity.
///
/// # Errors
/// If the scenario cannot be searched, a build does not start or dies, or files cannot be written.
pub(in crate::cli) fn pair(request: PairRequest<'_>) -> Result<Paired, CliError> {
    let mut pairing = Pairing::begin(request)?;
    pairing.prober.tell(&format!("files under {}", pairing.prober.folder.display()));
    let ended = pairing.pairs();
    let stopped = pairing.subjects.each_mut().map(|subject| subject.service.stop());
    let comparison = pairing.known.comparison_so_far();
    let record = &mut pairing.record;
    record.comparison = Some(without_probes(&comparison));
    let state = match &ended {
        Ok(()) => State::Complete,
        Err(Stop::Interrupted) => State::Interrupted,
        Err(Stop::Failed(_)) => State::Failed,
    };
    record.head.end(state, pairing.prober.clock.now().as_secs_f64());
    let is_interrupted = state == State::Interrupted;
    if is_interrupted {
        record.head.ended_by = Some("it was interrupted".to_owned());
    }
    let stored = pairing.store();
    if let Err(Stop::Failed(error)) = ended {
        return Err(error);
    }
    stopped.into_iter().collect::<Result<Vec<_>, _>>()?;
    stored?;
    let Pairing { prober, record, .. } = pairing;
    Ok(Paired { comparison, record, is_interrupted, folder: prober.folder })
}

impl<'a> Pairing<'a> {
    fn begin(request: PairRequest<'a>) -> Result<Self, CliError> {
        let PairRequest { file, builds, search, changes, generator, alpha } = request;
        let mut scenario = changes.scenario(file)?;
        let demand = Demand::read(&search.budgets)?;
        demand.add_to(&mut scenario, Environment::Process)?;
        let settings = settings(search, (file, changes), &scenario, &demand)?;
        let usual = PairedSettings::default();
        let paired = PairedSettings { search: settings, alpha: alpha.unwrap_or(usual.alpha), ..usual };
        let (interrupts, listening) = interrupts()?;
        let started = WallTime::now();
        let (folder, budgets) = directory(&generator.out, &scenario.name, "ab-capacity", started, &demand)?;
        let plan = Plan::new(scenario.clone());
        let [a, b] = builds.map(|build| (build.label.clone(), Service::of_build(build)));
        let side = |(label, service): &(String, Service)| SideRecord {
            label: label.clone(),
            service: service.record(),
            trials: Vec::new(),
        };
        let record = PairRecord {
            head: Head::begin(&plan, (&settings, search.allowance()), started),
            alpha: paired.alpha,
            threshold: paired.threshold,
            sides: [side(&a), side(&b)],
            base_first: Vec::new(),
            comparison: None,
        };
        let pairing = Self {
            known: PairedSearch::new(paired),
            subjects: [Subject::new(a.1, "-a"), Subject::new(b.1, "-b")],
            record,
            _listening: listening,
            longest_s: 2.0 * plan.end().as_secs_f64(),
            prober: Prober {
                file,
                changes: changes.clone(),
                generator,
                patience: PATIENCE.as_duration(),
                budgets,
                folder,
                scenario,
                lowest: settings.lowest,
                interrupts,
                clock: Monotonic::start(),
            },
        };
        pairing.store().map(|()| pairing)
    }

    fn pairs(&mut self) -> Result<(), Stop> {
        loop {
            let (factors, base_first) = match self.known.next_step() {
                PairedStep::Done(_) => return Ok(()),
                PairedStep::Pair { base, candidate, base_first } => ([base, candidate], base_first),
            };
            if self.prober.is_interrupted() {
                return Err(Stop::Interrupted);
            }
            let began_s = self.prober.clock.now().as_secs_f64();
            let allowance_s = self.record.head.settings.allowance_s;
            if !self.record.base_first.is_empty() && began_s + self.longest_s > allowance_s {
                self.record.head.end_by_time();
                return Ok(());
            }
            let number = self.record.base_first.len() as u32 + 1;
            for side in if base_first { [0, 1] } else { [1, 0] } {
                let others = &self.record.sides[side].trials;
                let wanted = (number, factors[side]);
                let trial = self.prober.probe(&mut self.subjects[side], wanted, others)?;
                self.record.sides[side].trials.push(trial);
            }
            self.longest_s = self.longest_s.max(self.prober.clock.now().as_secs_f64() - began_s);
            self.note(base_first)?;
        }
    }

    /// Takes the last probe of each side for a pair.
    fn note(&mut self, base_first: bool) -> Result<(), Stop> {
        let [base, candidate] = &self.record.sides;
        let (Some(base), Some(candidate)) = (base.trials.last(), candidate.trials.last()) else {
            return Ok(());
        };
        self.known.note(base.probe, candidate.probe);
        self.record.base_first.push(base_first);
        let known = self.known.comparison_so_far();
        self.prober.tell(&display::capacity::pair_progress(self.record.base_first.len(), &known));
        self.record.comparison = Some(without_probes(&known));
        self.record.head.took_s = self.prober.clock.now().as_secs_f64();
        Ok(self.store()?)
    }

    fn store(&self) -> Result<(), CliError> {
        let folder = &self.prober.folder;
        record::store(&folder.join(FILE), &self.record).map_err(|error| unwritable(folder, &error))
    }
}

/// A comparison as the record has it: the probes stand beside it.
fn without_probes(comparison: &Comparison) -> Value {
    let mut value = serde_json::to_value(comparison).unwrap_or(Value::Null);
    for side in ["base", "candidate"] {
        if let Some(answer) = value.get_mut(side) {
            leave_out_probes(answer);
        }
    }
    value
}
