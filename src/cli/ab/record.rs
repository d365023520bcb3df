//! `ab.json`: how a comparison was made, run by run, and what it says; written after every pair.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::exit::Exit;
use crate::cli::trial::record::State;
use crate::cli::{CliError, trial};
use crate::compare::{
    self, Comparison, Decision, Evidence, InterimLook, LOOK_ALPHAS, Pair, Settings, Thresholds,
};
use crate::page::comparison::{Origin, Trial};
use crate::results::{Host, Report};
use crate::seed::Seed;
use crate::units::part_of;

/// The version of the file's form.
pub(super) const SCHEMA: u32 = 1;
/// The file.
pub(in crate::cli) const FILE: &str = "ab.json";

/// The file with what is said in the end.
pub(super) const COMPARISON: &str = "comparison.json";

/// How a comparison was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::cli) struct Record {
    pub(super) schema: u32,
    pub(super) tool_version: String,
    pub(super) scenario: String,
    /// `running`, `complete`, `interrupted` or `failed`.
    pub(super) state: State,
    pub(super) started: String,
    pub(super) ended: Option<String>,
    pub(super) host: Host,
    pub(super) a: Build,
    pub(super) b: Build,
    /// `random` or `abba`.
    pub(super) order: String,
    /// As text: JSON numbers hold only 53 bits.
    pub(super) seed: String,
    pub(super) alpha: f64,
    pub(super) thresholds: Thresholds,
    /// Numbers of pairs at which the data are looked at.
    pub(super) looks: Vec<u32>,
    /// Whether a regression is to be confirmed by as many fresh pairs.
    pub(super) confirming: bool,
    pub(super) pairs: Vec<PairRecord>,
}

/// A build, as it was asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Build {
    pub(super) label: String,
    /// The command that starts it; `None` if it ran already.
    pub(super) command: Option<String>,
    /// Where it was driven, ports not filled in.
    pub(super) targets: Vec<String>,
}

impl Build {
    /// How `build` stands in the record.
    pub(super) fn of(build: &trial::build::Build) -> Self {
        Self {
            label: build.label.clone(),
            command: build.command().map(str::to_owned),
            targets: build.shown(),
        }
    }
}

/// What a pair is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    Main,
    Confirmation,
}

/// A pair of runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PairRecord {
    /// From 1, in its stage.
    pub(super) number: u32,
    pub(super) stage: Stage,
    /// Of the plan of both runs, as text.
    pub(super) seed: String,
    pub(super) base_first: bool,
    /// Directories of the runs, from the comparison's own.
    pub(super) a: PathBuf,
    pub(super) b: PathBuf,
    /// Why it does not count; it was run again.
    pub(super) discarded: Option<String>,
}

impl Record {
    /// Reads the record of the comparison in `folder`.
    ///
    /// # Errors
    /// If there is none, or it is of another form.
    pub(in crate::cli) fn load(folder: &Path) -> Result<Self, CliError> {
        trial::record::load(&folder.join(FILE), "a comparison", SCHEMA).map_err(CliError::usage)
    }

    /// Writes it in one step: readers see the old one or the new one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn store(&self, folder: &Path) -> io::Result<()> {
        trial::record::store(&folder.join(FILE), self)
    }

    /// What the comparison was asked.
    pub(in crate::cli) fn settings(&self) -> Settings {
        let seed = self.seed.parse().unwrap_or(Seed(1));
        Settings { alpha: self.alpha, thresholds: self.thresholds, seed }
    }

    /// Numbers of pairs at which the data are looked at.
    pub(in crate::cli) fn looks(&self) -> &[u32] {
        &self.looks
    }

    /// How the comparison in `folder` was made, for pages.
    pub(in crate::cli) fn origin(&self, folder: &Path) -> Origin {
        let build = |build: &Build| {
            let command = build.command.clone().unwrap_or_else(|| "ran already".to_owned());
            let targets = build.targets.join(" ");
            format!("{}: {command}{}{targets}", build.label, if targets.is_empty() { "" } else { " at " })
        };
        let numbers = |looks: &[u32]| looks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let confirming = if self.confirming { "asked of as many fresh pairs" } else { "not asked for" };
        let facts = vec![
            ("base", build(&self.a)),
            ("candidate", build(&self.b)),
            ("first of a pair", self.order.clone()),
            ("pairs asked for", numbers(&self.looks)),
            ("confirmation of a regression", confirming.to_owned()),
            ("seed of the pairs", self.seed.clone()),
            ("started", self.started.clone()),
            ("ended", self.ended.clone().unwrap_or_default()),
        ];
        let trial = |pair: &PairRecord| Trial {
            number: pair.number,
            is_fresh: pair.stage == Stage::Confirmation,
            base_first: Some(pair.base_first),
            runs: [&pair.a, &pair.b].map(|run| Some(folder.join(run))),
            discarded: pair.discarded.clone(),
        };
        let files = [COMPARISON, FILE].map(|file| folder.join(file)).to_vec();
        Origin { facts, files, trials: self.pairs.iter().map(trial).collect() }
    }

    /// The pairs of `stage` that count, read from the files of their runs.
    ///
    /// # Errors
    /// If a run cannot be read, or is not evidence.
    fn pairs(&self, folder: &Path, stage: Stage) -> Result<Vec<Pair>, CliError> {
        let own = self.pairs.iter().filter(|pair| pair.stage == stage && pair.discarded.is_none());
        own.map(|pair| {
            Ok(Pair {
                base: evidence(&folder.join(&pair.a))?,
                candidate: evidence(&folder.join(&pair.b))?,
                base_first: Some(pair.base_first),
            })
        })
        .collect()
    }

    /// Judges the runs in `folder` as far as there are any: look by look, then by the fresh pairs if all of them are there.
    ///
    /// # Errors
    /// If runs cannot be read or do not compare.
    pub(in crate::cli) fn judge(&self, folder: &Path, settings: &Settings) -> Result<Comparison, CliError> {
        let (pairs, fresh) = (self.pairs(folder, Stage::Main)?, self.pairs(folder, Stage::Confirmation)?);
        self.judge_pairs(&pairs, &fresh, settings)
    }

    /// The same of pairs whose runs have been read: main ones and fresh ones.
    ///
    /// # Errors
    /// If they do not compare.
    pub(super) fn judge_pairs(
        &self,
        pairs: &[Pair],
        fresh: &[Pair],
        settings: &Settings,
    ) -> Result<Comparison, CliError> {
        let mut comparison = look(pairs, &self.looks, settings)?;
        if comparison.verdict == Decision::Regression && self.confirming {
            let wanted = comparison.design.pairs;
            comparison = if fresh.len() >= wanted as usize {
                // Several looks share one level; the fresh pairs are looked at once.
                let alpha = if self.looks.len() > 1 { LOOK_ALPHAS[0] } else { settings.alpha };
                let settings = Settings { alpha, ..*settings };
                compare::confirm(comparison, fresh, &settings).map_err(refused)?
            } else {
                comparison
                    .reasons
                    .insert(0, format!("not confirmed yet: {} of {wanted} fresh pairs", fresh.len()));
                comparison.gates = false;
                comparison
            };
        }
        let again = self.pairs.iter().filter(|pair| pair.discarded.is_some()).count();
        if again > 0 {
            let [pairs, verb, was] =
                if again == 1 { ["pair", "does", "was"] } else { ["pairs", "do", "were"] };
            comparison.reasons.push(format!(
                "{again} further {pairs} {verb} not count and {was} run again: {FILE} says why"
            ));
        }
        Ok(comparison)
    }
}

/// Looks at as many pairs as each look may see, up to the first that claims a difference. No difference is claimed by the last
/// one alone: its interval is not widened for looks.
fn look(pairs: &[Pair], looks: &[u32], settings: &Settings) -> Result<Comparison, CliError> {
    let mut taken = Vec::new();
    let reached = looks.iter().map(|look| *look as usize).filter(|look| *look <= pairs.len());
    for pairs in reached.map(|look| pairs.get(..look).unwrap_or(pairs)) {
        let mut comparison = compare::paired(pairs, settings).map_err(refused)?;
        taken.push(InterimLook {
            pairs: comparison.design.pairs,
            alpha: settings.alpha,
            verdict: comparison.verdict,
        });
        let claims = matches!(comparison.verdict, Decision::Regression | Decision::Improvement);
        if claims || taken.len() == looks.len() {
            comparison.looks = taken;
            return Ok(comparison);
        }
    }
    let mut comparison = compare::paired(pairs, settings).map_err(refused)?;
    let wanted = looks.get(taken.len()).or(looks.last()).copied().unwrap_or_default();
    if comparison.design.pairs < wanted {
        let run = part_of(comparison.design.pairs.into(), wanted.into(), "pair");
        comparison.reasons.insert(0, format!("{run} were run"));
        comparison.gates = false;
    }
    comparison.looks = taken;
    Ok(comparison)
}

/// A stored run as evidence.
///
/// # Errors
/// If it cannot be read, or is none.
pub(in crate::cli) fn evidence(directory: &Path) -> Result<Evidence, CliError> {
    let report = Report::load(directory).map_err(CliError::usage)?;
    Evidence::of(&report).map_err(refused)
}

/// The measurement is not a basis for a verdict.
#[expect(clippy::needless_pass_by_value, reason = "made to be handed to `map_err`")]
pub(in crate::cli) fn refused(refusal: compare::Refusal) -> CliError {
    CliError::new(Exit::Invalid, &refusal)
}
