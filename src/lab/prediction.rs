//! Predictions beside the truth: what was said at the first run and since, what the formula gives, and what a run shows
//! of it.

use serde::Serialize;

use super::answer::Answers;
use super::check::{AnswerUnit, Prediction, Shows};
use super::formula::Quantity;
use super::judge::{Case, Notes};
use crate::results::StoredRun;

/// How many times the formula a run may show, or what part of it, and still agree with it.
const AGREES: f64 = 1.5;
/// The share of the time for which a generator may be ready without a processor on a quiet machine.
const QUIET: f64 = 0.01;

/// A prediction beside the truth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PredictionResult {
    /// What was asked.
    pub(crate) ask: String,
    /// What was said before this run.
    pub(crate) said: String,
    /// What was said before the first run, if that is something else: it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) said_first: Option<String>,
    /// What the formula gives.
    pub(crate) truth: String,
    /// The formula, with what its names are worth.
    pub(crate) formula: String,
    /// What a run shows of it.
    pub(crate) measured: Option<String>,
    /// Which run that is; without one, in which it would be seen.
    pub(crate) measured_in: Option<&'static str>,
    /// What is to be thought of it, in sentences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remark: Option<String>,
    /// Whether what was said is near enough to the truth.
    pub(crate) right: bool,
    /// Whether what was said before the first run was, if that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) right_first: Option<bool>,
}

impl PredictionResult {
    /// Whether the prediction that counts was near enough: that of the first run.
    pub(crate) fn counts(&self) -> bool {
        self.right_first.unwrap_or(self.right)
    }

    /// What a run shows, in a clause.
    pub(crate) fn shown(&self) -> Option<String> {
        let place = self.measured_in?;
        Some(match &self.measured {
            Some(found) => format!("{place}: {found}"),
            None => place.to_owned(),
        })
    }
}

impl Case<'_> {
    /// How a prediction stands in a run that is mended, or is not.
    pub(super) fn prediction(&self, asked: &Prediction, is_mended: bool) -> PredictionResult {
        let truth = self.value(&asked.truth, &mut Notes::default());
        let show = |quantity: Quantity| quantity.show(asked.unit == AnswerUnit::Share);
        let said = |answers: &Answers| answers.values.get(&asked.key).copied();
        let is_right = |said: Option<Quantity>| {
            let pair = said.zip(truth.as_ref().ok());
            pair.is_some_and(|(said, truth)| {
                (said.value - truth.value).abs() <= asked.near * truth.value.abs()
            })
        };
        let (present, first) = (said(self.answers), self.first.map(said));
        let told = |said: Option<Quantity>| said.map_or_else(|| "nothing".to_owned(), show);
        let right = is_right(present);
        let (measured_in, found) = self.shown_by(asked, is_mended);
        let remark = found
            .as_ref()
            .zip(truth.as_ref().ok())
            .and_then(|((run, found), truth)| self.disagreement(run, *found, *truth, right));
        PredictionResult {
            ask: asked.ask.clone(),
            said: told(present),
            said_first: first.map(told).filter(|first| *first != told(present)),
            formula: self.explained(&asked.truth),
            measured: found.map(|(_, found)| show(found)),
            measured_in,
            remark,
            right,
            right_first: first.map(is_right),
            truth: truth.map_or_else(|why| why, show),
        }
    }

    /// Which run shows what was asked, and its figure there. A run in which something else happened has none, nor has a
    /// figure of which no more is known than the time-out of what was never answered.
    fn shown_by(
        &self,
        asked: &Prediction,
        is_mended: bool,
    ) -> (Option<&'static str>, Option<(&StoredRun, Quantity)>) {
        let Some(figure) = &asked.figure else { return (None, None) };
        let (place, run) = match asked.shows {
            Shows::Any => ("this run", self.run),
            Shows::Given if self.is_given => ("this run", self.run),
            Shows::Mended if is_mended => ("this run", self.run),
            Shows::Mended => return (Some("a run that passes shows it"), None),
            Shows::Given => match self.before {
                Some(before) => ("your first run, unmended", before),
                None => return (Some("this run is mended, and not comparable"), None),
            },
        };
        let mut notes = Notes::default();
        let found = Case { run, before: None, first: None, ..*self }.value(figure, &mut notes);
        match found {
            Ok(found) if !notes.at_least => (Some(place), Some((run, found))),
            _ => (None, None),
        }
    }

    /// What is said where `run` shows something else than the formula gives: whether the machine was busy, since then
    /// neither the formula nor who predicted by it is wrong.
    fn disagreement(&self, run: &StoredRun, found: Quantity, truth: Quantity, right: bool) -> Option<String> {
        let times = found.value / truth.value;
        if !times.is_finite() || (1.0 / AGREES..=AGREES).contains(&times) {
            return None;
        }
        let said = format!("That is {} times the formula", Quantity::number(times.max(0.0)).show(false));
        let of_run = Case { run, ..*self };
        let Some(cause) = of_run.slowness().map(|(_, slow)| slow).or_else(|| starvation(run)) else {
            return Some(format!("{said}; the page of the run shows when."));
        };
        let yours = if right { "Your prediction is right; run" } else { "Run" };
        Some(format!("{said}: {cause}. {yours} again on a quiet machine."))
    }
}

/// What is said of a machine that had no processor for the run at times.
fn starvation(run: &StoredRun) -> Option<String> {
    let shares = run.report.run.worker_use.iter().filter_map(|used| used.starved_share);
    let share = shares.fold(0.0, f64::max);
    (share > QUIET).then(|| {
        format!(
            "the machine did other things, and what was to run stood still (ready without a processor {:.1} % of the time)",
            share * 100.0
        )
    })
}
