//! `capacity.json` and `capacity.csv`: how a search was made, probe by probe, and what it found; written after every probe.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::measurement::Measurement;
use super::recovery::Recovery;
use crate::capacity::{Answer, Probe, Settings};
use crate::cli::CliError;
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

/// How a search was made and what it found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::cli) struct Record {
    pub(super) schema: u32,
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
    pub(super) host: Host,
    pub(super) service: ServiceRecord,
    /// What had to hold, a sentence each.
    pub(super) demands: Vec<String>,
    /// Readings per second that the scenario plans at a load of 1; of closed fleets none.
    pub(super) planned_per_s: f64,
    pub(super) settings: SettingsRecord,
    pub(super) trials: Vec<Trial>,
    /// What was found, but for its probes, which stand in `trials`.
    pub(super) answer: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Running,
    Complete,
    Interrupted,
    Failed,
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
        #[derive(Deserialize)]
        struct SchemaOnly {
            schema: u32,
        }
        let path = folder.join(FILE);
        let shown = path.display();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| CliError::failed(format!("cannot read {shown}: {error}")))?;
        let garbled = |error| CliError::failed(format!("{shown} is not a record of a search: {error}"));
        let SchemaOnly { schema } = serde_json::from_str(&text).map_err(garbled)?;
        if schema > SCHEMA {
            return Err(CliError::failed(format!(
                "{shown} has schema {schema}; this squall reads up to {SCHEMA}"
            )));
        }
        serde_json::from_str(&text).map_err(garbled)
    }

    /// Writes it, and the table of probes, each in one step: readers see the old one or the new one.
    ///
    /// # Errors
    /// If one cannot be written.
    pub(super) fn store(&self, folder: &Path) -> io::Result<()> {
        replace_text(&folder.join(FILE), &(serde_json::to_string_pretty(self)? + "\n"))?;
        replace_text(&folder.join(TABLE), &self.table())
    }

    fn table(&self) -> String {
        let mut text = COLUMNS.join(",") + "\n";
        for trial in &self.trials {
            let cells = trial.row().into_iter().map(|cell| quoted(&cell));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join(","));
        }
        text
    }

    /// Takes over what is known.
    pub(super) fn conclude(&mut self, answer: &Answer) {
        let mut value = serde_json::to_value(answer).unwrap_or(Value::Null);
        if let Some(map) = value.as_object_mut() {
            map.remove(PROBES);
        }
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

/// A cell by RFC 4180.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}
