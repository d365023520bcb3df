//! `capacity.json` and `capacity.csv`: how a search was made, probe by probe, and what it found; written after every probe.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::measurement::Measurement;
use super::recovery::Recovery;
use crate::budget::Budget;
use crate::capacity::{Answer, Probe, Settings};
use crate::cli::CliError;
use crate::cli::trial::record::{self, State};
use crate::clock::WallTime;
use crate::display;
use crate::record::Judgement;
use crate::results::{BudgetResult, Host, replace_text};
use crate::scenario::Plan;
use crate::units::Span;

/// The version of the files' form.
pub(super) const SCHEMA: u32 = 1;
/// The record.
pub(in crate::cli) const FILE: &str = "capacity.json";
/// The probes as a table.
pub(in crate::cli) const TABLE: &str = "capacity.csv";
/// The columns of that table; only ever appended.
const COLUMNS: [&str; 16] = [
    "number",
    "factor",
    "offered_per_s",
    "goodput_per_s",
    "p50_ms",
    "p99_ms",
    "p99_at_least",
    "budgets_met",
    "budgets",
    "usage",
    "verdict",
    "validity",
    "waited_s",
    "recovered",
    "seed",
    "run",
];

/// What the record of a search says of how it was made, and that of two in step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::cli) struct Head {
    schema: u32,
    pub(super) tool_version: String,
    pub(super) scenario: String,
    /// What was changed about it, as it was typed.
    pub(super) overrides: Vec<String>,
    pub(super) state: State,
    /// Why the search ended, where that was not its answer.
    pub(super) ended_by: Option<String>,
    pub(super) started: String,
    pub(super) ended: Option<String>,
    /// How long it took by now, seconds.
    pub(super) took_s: f64,
    host: Host,
    /// What had to hold, a sentence each.
    pub(super) demands: Vec<String>,
    /// Readings per second that the scenario plans at a load of 1; of closed fleets none.
    pub(super) planned_per_s: f64,
    pub(super) settings: SettingsRecord,
}

impl Head {
    /// Of a search that has `started` and may take as long as `allowance`, whose scenario has this plan at a load of 1.
    pub(super) fn begin(plan: &Plan, (settings, allowance): (&Settings, Span), started: WallTime) -> Self {
        let scenario = plan.scenario();
        Self {
            schema: SCHEMA,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: scenario.name.clone(),
            overrides: scenario.overrides.clone(),
            state: State::Running,
            ended_by: None,
            started: started.to_string(),
            ended: None,
            took_s: 0.0,
            host: Host::here(),
            demands: demands(&scenario.budgets),
            planned_per_s: plan.expected_rate(),
            settings: SettingsRecord::of(settings, allowance, plan),
        }
    }

    /// Takes note of the end, so many seconds after the beginning.
    pub(super) fn end(&mut self, state: State, took_s: f64) {
        self.state = state;
        self.took_s = took_s;
        self.ended = Some(WallTime::now().to_string());
    }

    /// Takes note that another probe would have taken longer than is allowed.
    pub(super) fn end_by_time(&mut self) {
        self.ended_by = Some(format!("its time, {}, was up", display::length(self.settings.allowance_s)));
    }
}

/// What must hold, a sentence each.
fn demands(budgets: &[Budget]) -> Vec<String> {
    let conditions = |budget: &Budget| {
        let scope = budget.scope.to_string();
        budget.conditions.iter().map(move |condition| format!("{condition} of {scope}")).collect::<Vec<_>>()
    };
    budgets.iter().flat_map(conditions).collect()
}

/// How a search was made and what it found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::cli) struct Record {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) service: ServiceRecord,
    pub(super) trials: Vec<Trial>,
    /// What was found, but for its probes, which stand in `trials`.
    pub(super) answer: Option<Value>,
}

/// What was probed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ServiceRecord {
    /// `bundled`, `running` or `started`.
    pub(super) kind: String,
    /// The command that starts it.
    pub(super) command: Option<String>,
    /// Where it was driven, ports not filled in; empty where the scenario says so.
    pub(super) targets: Vec<String>,
    /// Whether every probe has a service of its own.
    pub(super) fresh: bool,
}

/// What was asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SettingsRecord {
    pub(super) lowest: f64,
    pub(super) highest: f64,
    pub(super) precision: f64,
    pub(super) confidence: f64,
    pub(super) most_probes: u32,
    pub(super) allowance_s: f64,
    /// The measured phases of a probe together.
    pub(super) probe_s: f64,
    /// As text: JSON numbers hold only 53 bits.
    pub(super) seed: String,
}

impl SettingsRecord {
    /// Of a search that may take as long as `allowance`, whose scenario has this plan at a load of 1.
    pub(super) fn of(settings: &Settings, allowance: Span, plan: &Plan) -> Self {
        Self {
            lowest: settings.lowest,
            highest: settings.highest,
            precision: settings.precision,
            confidence: settings.confidence,
            most_probes: settings.most_probes,
            allowance_s: allowance.as_secs_f64(),
            probe_s: plan.end().since(plan.measuring_starts()) as f64 / 1e9,
            seed: settings.seed.to_string(),
        }
    }
}

/// A probe, and how it was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Trial {
    #[serde(flatten)]
    pub(super) probe: Probe,
    pub(super) p99_at_least: bool,
    pub(super) validity: Judgement,
    pub(super) reasons: Vec<String>,
    pub(super) budgets: Vec<BudgetResult>,
    /// How the service stood before it.
    pub(super) recovery: Recovery,
    /// Seed of its plan, as text.
    pub(super) seed: String,
    pub(super) plan_digest: String,
    /// When it began, seconds after the search.
    pub(super) at_s: f64,
    /// How long it took, waiting for recovery apart, seconds.
    pub(super) took_s: f64,
    /// Its directory, from that of the search.
    pub(super) run: PathBuf,
}

impl Trial {
    /// The probe number `number`, made at `factor` and measured so.
    pub(super) fn new(number: u32, factor: f64, measured: Measurement) -> Self {
        let Measurement { offered_per_s, goodput_per_s, p50_ms, p99_ms, usage, verdict, .. } = measured;
        Self {
            probe: Probe { number, factor, offered_per_s, goodput_per_s, p50_ms, p99_ms, usage, verdict },
            p99_at_least: measured.is_p99_bound,
            validity: measured.validity,
            reasons: measured.reasons,
            budgets: measured.budgets,
            recovery: Recovery::default(),
            seed: String::new(),
            plan_digest: measured.plan_digest,
            at_s: 0.0,
            took_s: 0.0,
            run: PathBuf::new(),
        }
    }

    fn row(&self) -> Vec<String> {
        let Self { probe, recovery, .. } = self;
        let known = |value: Option<f64>| value.map(|value| format!("{value:.6}")).unwrap_or_default();
        let judged = self.budgets.iter().filter(|budget| !budget.unjudged);
        let met = judged.filter(|budget| budget.met).count();
        vec![
            probe.number.to_string(),
            format!("{:.6}", probe.factor),
            format!("{:.3}", probe.offered_per_s),
            format!("{:.3}", probe.goodput_per_s),
            known(probe.p50_ms),
            known(probe.p99_ms),
            self.p99_at_least.to_string(),
            met.to_string(),
            self.budgets.len().to_string(),
            known(probe.usage),
            probe.verdict.name().replace(' ', "_"),
            self.validity.name().to_owned(),
            format!("{:.3}", recovery.waited_s),
            recovery.is_recovered.to_string(),
            self.seed.clone(),
            self.run.display().to_string(),
        ]
    }
}

impl Record {
    /// Reads the record of the search in `folder`.
    ///
    /// # Errors
    /// If there is none, or it is of another form.
    pub(in crate::cli) fn load(folder: &Path) -> Result<Self, CliError> {
        record::load(&folder.join(FILE), "a search", SCHEMA).map_err(CliError::failed)
    }

    /// Writes it, and the table of probes, each in one step: readers see the old one or the new one.
    ///
    /// # Errors
    /// If one cannot be written.
    pub(super) fn store(&self, folder: &Path) -> io::Result<()> {
        record::store(&folder.join(FILE), self)?;
        replace_text(&folder.join(TABLE), &self.table())
    }

    fn table(&self) -> String {
        let mut table = csv::Writer::from_writer(Vec::new());
        // Writing to memory does not fail.
        let _ = table.write_record(COLUMNS);
        for trial in &self.trials {
            let _ = table.write_record(trial.row());
        }
        String::from_utf8(table.into_inner().unwrap_or_default()).unwrap_or_default()
    }

    /// Takes over what is known.
    pub(super) fn conclude(&mut self, answer: &Answer) {
        let mut value = serde_json::to_value(answer).unwrap_or(Value::Null);
        leave_out_probes(&mut value);
        self.answer = Some(value);
    }

    /// What was found, with the probes behind it; `None` where nothing was concluded.
    pub(in crate::cli) fn answer(&self) -> Option<Answer> {
        let mut value = self.answer.clone()?;
        let probes: Vec<Probe> = self.trials.iter().map(|trial| trial.probe).collect();
        value.as_object_mut()?.insert(PROBES.to_owned(), serde_json::to_value(probes).ok()?);
        serde_json::from_value(value).ok()
    }
}

/// The key of an answer that its record has elsewhere.
const PROBES: &str = "probes";

/// Makes an answer what a record has of it: its probes stand beside it.
pub(super) fn leave_out_probes(answer: &mut Value) {
    if let Some(map) = answer.as_object_mut() {
        map.remove(PROBES);
    }
}
