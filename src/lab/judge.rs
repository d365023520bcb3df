//! Judges a stored run by its lab: predictions beside the truth, and every law by itself.

use std::path::Path;

use serde::{Serialize, Serializer};

use super::answer::{Answers, fingerprint};
use super::catalogue::Lab;
use super::check::{Check, Law};
use super::figure::{LabFigure, Missing};
use super::formula::{Dimension, Formula, Quantity};
use super::prediction::PredictionResult;
use super::{mend, student};
use crate::budget::Unit;
use crate::results::{LabFacts, RunState, StoredRun, is_measured};
use crate::scenario::{Overrides, Plan, Scenario};

/// The share of its cost by which an inference may take longer than formulas reckon with.
const SLOWER: f64 = 0.05;
/// How much longer than it is told a wait takes, which formulas reckon with, seconds.
const INACCURATE: f64 = 80e-6;
/// What is missed by more than this factor is not missed for want of a little of the processor; of a time, which
/// grows faster than its cause, by more than the second.
const BEYOND: [f64; 2] = [2.0, 5.0];
/// From this share on whatever is missed may be missed for that: a service that could have kept up no longer does.
const STARVED: f64 = 0.25;

/// What became of a run of a lab.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct LabJudgement {
    /// The lab.
    pub(crate) lab: &'static str,
    /// Whose rates it had.
    pub(crate) student: Option<String>,
    /// The run.
    pub(crate) run: String,
    /// `passed`, `failed` or `unjudged`.
    pub(crate) verdict: LabVerdict,
    /// Why nothing of it can be judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unjudged: Option<String>,
    /// What was predicted, in the order of the questions.
    pub(crate) predictions: Vec<PredictionResult>,
    /// What had to hold.
    pub(crate) laws: Vec<LawResult>,
    /// What became of the readings of every fleet, in sentences.
    pub(crate) account: Vec<String>,
    /// The student's own words.
    pub(crate) why: String,
    /// Where the run was sent, if that was not the bundled service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) own_service: Option<String>,
    /// SHA-256 of the answers that were given before the run began, in hexadecimal.
    pub(crate) prediction_sha256: String,
}

impl LabJudgement {
    /// How many predictions were near enough: those of the first run, which count.
    pub(crate) fn right(&self) -> usize {
        self.predictions.iter().filter(|asked| asked.counts()).count()
    }

    /// How many are by now, if that is another number.
    pub(super) fn right_now(&self) -> Option<usize> {
        let now = self.predictions.iter().filter(|asked| asked.right).count();
        Some(now).filter(|now| *now != self.right())
    }
}

/// What a run of a lab comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LabVerdict {
    /// Every law holds.
    Passed,
    /// A law is broken.
    Failed,
    /// None is broken, and one cannot be judged.
    Unjudged,
}

impl LabVerdict {
    /// The word for it, in files and tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Unjudged => "unjudged",
        }
    }
}

impl Serialize for LabVerdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A law, and how it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct LawResult {
    /// The law, as a sentence.
    pub(crate) law: String,
    /// How it stands.
    pub(crate) standing: Standing,
    /// The figures, in a sentence.
    pub(crate) figures: String,
    /// What to think of where it is broken.
    pub(crate) say: String,
    /// What to look at then.
    pub(crate) open: String,
}

/// How a law stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// It holds.
    Kept,
    /// It does not.
    Broken,
    /// It cannot be judged.
    Unjudged,
}

/// Judges `run`, from its files alone. `first` is the directory of the student's first run of the lab: its predictions
/// are those that count, and where it is one of the lab as it is given, figures are compared with its.
///
/// # Errors
/// If the run is none of a lab, or is not what it says it is, or the earlier one cannot be read.
pub(crate) fn judge(run: &StoredRun, first: Option<&Path>) -> Result<LabJudgement, String> {
    let first = first.map(StoredRun::load).transpose().map_err(|error| error.to_string())?;
    let foreign = |why: String| format!("{}: {why}", run.report.directory.display());
    let facts = run.report.run.lab.clone().ok_or_else(|| foreign("is not a run of a lab".to_owned()))?;
    let lab = Lab::named(&facts.name)
        .ok_or_else(|| foreign(format!("is of the lab `{}`, which this squall does not have", facts.name)))?;
    let check = lab.check()?;
    let given = student::scenario(lab, &check, facts.student.as_deref())?;
    let plan = original(run, &given, &check, &facts).map_err(foreign)?;
    let answered = |facts: &LabFacts| Answers::read("the answers in run.json", &facts.prediction, &check);
    let answers = answered(&facts).map_err(|error| foreign(error.to_string()))?;
    let first = first.filter(|first| {
        let own = first.report.run.lab.as_ref();
        first.report.run.run_id != run.report.run.run_id
            && own.is_some_and(|own| own.name == facts.name && own.student == facts.student)
    });
    let first_answers = first.as_ref().and_then(|first| answered(first.report.run.lab.as_ref()?).ok());
    let is_given = |run: &StoredRun| mend::confine(&given, &run.report.run.scenario.text, &[]).is_ok();
    let case = Case {
        check: &check,
        plan: &plan,
        answers: &answers,
        run,
        is_given: is_given(run),
        before: first
            .as_ref()
            .filter(|first| is_given(first) && first.report.run.state == RunState::Complete),
        first: first_answers.as_ref(),
    };
    Ok(case.judgement(lab, facts))
}

/// The plan that the run followed, if it is that of the lab but for what may be mended, and the answers are
/// those that it began with.
fn original(run: &StoredRun, given: &str, check: &Check, facts: &LabFacts) -> Result<Plan, String> {
    let manifest = &run.report.run;
    if fingerprint(&facts.prediction) != facts.prediction_sha256 {
        return Err("its answers are not those that it began with: run.json was changed".to_owned());
    }
    mend::confine(given, &manifest.scenario.text, &check.mend)?;
    let overrides = overrides(&manifest.scenario.overrides)?;
    let scenario = Scenario::parse("run.json", &manifest.scenario.text, &overrides);
    let plan = Plan::new(scenario.map_err(|error| error.to_string())?);
    if plan.digest() != manifest.plan_digest {
        return Err("its scenario is not the one that it followed: run.json was changed".to_owned());
    }
    Ok(plan)
}

/// The overrides that a manifest tells: of a lab there is none but `--seed N`, by which trials differ.
fn overrides(words: &[String]) -> Result<Overrides, String> {
    let mut overrides = Overrides::default();
    for word in words {
        let seed = word.strip_prefix("--seed ").and_then(|text| text.parse().ok());
        overrides.seed = Some(seed.ok_or_else(|| format!("`{word}` is a change that labs do not make"))?);
    }
    Ok(overrides)
}

/// Everything that a lab is judged by.
pub(super) struct Case<'c> {
    pub(super) check: &'c Check,
    pub(super) plan: &'c Plan,
    pub(super) answers: &'c Answers,
    pub(super) run: &'c StoredRun,
    /// Whether it is one of the lab as it is given.
    pub(super) is_given: bool,
    /// The student's first run, if that is another and one of the lab as it is given.
    pub(super) before: Option<&'c StoredRun>,
    /// What the student said at the first run, if that is another.
    pub(super) first: Option<&'c Answers>,
}

/// What of a value is a bound or missing.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) at_least: bool,
    missing: Option<Missing>,
}

impl Case<'_> {
    pub(super) fn judgement(&self, lab: &'static Lab, facts: LabFacts) -> LabJudgement {
        let unjudged = self.obstacle();
        let mut laws: Vec<_> = self.check.laws.iter().map(|law| self.law(law)).collect();
        if unjudged.is_some() {
            for law in &mut laws {
                law.standing = Standing::Unjudged;
            }
        }
        let any = |standing| laws.iter().any(|law| law.standing == standing);
        let verdict = match () {
            () if any(Standing::Broken) => LabVerdict::Failed,
            () if any(Standing::Unjudged) => LabVerdict::Unjudged,
            () => LabVerdict::Passed,
        };
        let is_mended = verdict == LabVerdict::Passed;
        let predictions =
            self.check.predictions.iter().map(|asked| self.prediction(asked, is_mended)).collect();
        let run = self.run.report.directory.display().to_string();
        let why = self.answers.why.clone();
        let LabFacts { student, prediction_sha256, .. } = facts;
        LabJudgement {
            lab: lab.name,
            student,
            run,
            verdict,
            unjudged,
            predictions,
            laws,
            account: self.account(),
            why,
            own_service: self.own_service(),
            prediction_sha256,
        }
    }

    /// The addresses that were driven, where the bundled service does not say what it counted.
    fn own_service(&self) -> Option<String> {
        let run = &self.run.report.run;
        let addresses: Vec<_> = run.targets.values().map(String::as_str).collect();
        (run.reference.is_none() && !addresses.is_empty()).then(|| addresses.join(", "))
    }

    /// Why nothing of the run can be judged.
    fn obstacle(&self) -> Option<String> {
        let run = &self.run.report.run;
        if run.state != RunState::Complete {
            return Some(format!("the run is {}; run it to its end", run.ending()));
        }
        if run.faults_by_hand > 0 || !run.plan_altered.is_empty() {
            return Some(
                "faults or phases were switched by hand: the run did not follow its plan".to_owned(),
            );
        }
        None
    }

    fn law(&self, law: &Law) -> LawResult {
        let (standing, figures) = self.standing(law);
        LawResult { law: law.name.clone(), standing, figures, say: law.say.clone(), open: law.open.clone() }
    }

    /// How a law stands, and its figures in a sentence.
    fn standing(&self, law: &Law) -> (Standing, String) {
        let mut notes = Notes::default();
        let left = self.value(&law.that.left, &mut notes);
        let bounded = notes.at_least;
        let right = self.value(&law.that.right, &mut notes);
        if let Some(Missing::Never(why)) = &notes.missing {
            return self.broken(law, None, format!("{}: {why}", self.subject(&law.that.left)));
        }
        let (left, right) = match (left, right) {
            (Ok(left), Ok(right)) => (left, right),
            (Err(why), _) | (_, Err(why)) => return (Standing::Unjudged, why),
        };
        if left.dimension != right.dimension {
            let (one, other) = (left.dimension.described(), right.dimension.described());
            return (Standing::Unjudged, format!("{one} is compared with {other}"));
        }
        let holds = law.that.holds(left, right, bounded);
        let sentence = self.sentence(law, (left, bounded), right, holds);
        match self.lateness(law, (left, right), holds) {
            Some(late) => (Standing::Unjudged, format!("{sentence}; {late}")),
            None if holds => (Standing::Kept, sentence),
            None => self.broken(law, Some((left, right)), sentence),
        }
    }

    /// How a law stands that does not hold, as `sentence` says: a service that had less of the processor than
    /// formulas reckon with may have missed it for that.
    fn broken(&self, law: &Law, sides: Option<(Quantity, Quantity)>, sentence: String) -> (Standing, String) {
        let has_bound = self.check.figures_in(&law.that.right).is_empty();
        let rests_on_run = !has_bound || !self.check.figures_in(&law.that.left).is_empty();
        let is_near = sides.is_none_or(|(left, right)| {
            let is_time = left.dimension == Dimension::TIME;
            let (times, beyond) = (left.value / right.value, BEYOND[usize::from(is_time)]);
            // Being slower makes times longer, never shorter.
            let is_certain = is_time && has_bound && law.that.sign.is_floor();
            (1.0 / beyond..=beyond).contains(&times) && !is_certain
        });
        match self.slowness() {
            Some((share, slow)) if rests_on_run && (is_near || share > STARVED) => {
                (Standing::Unjudged, format!("{sentence}; cannot be judged: {slow}"))
            }
            _ => (Standing::Broken, sentence),
        }
    }

    /// By what share of its cost the bundled service itself was slower than formulas reckon with, if that was too
    /// much, and what is said of it.
    pub(super) fn slowness(&self) -> Option<(f64, String)> {
        let counts = self.run.report.run.reference.as_ref()?.counts(is_measured)?;
        let cost = self.plan.scenario().reference.inference.cost.as_secs_f64();
        let beyond = counts.overrun_ns as f64 / 1e9 / counts.inferences.max(1) as f64;
        let share = (beyond - INACCURATE) / cost;
        (cost > 0.0 && share > SLOWER).then(|| {
            let said = format!(
                "the service itself took {} for what costs {}, since the machine did other things",
                Quantity::seconds(cost + beyond).show(false),
                Quantity::seconds(cost).show(false)
            );
            (share, said)
        })
    }

    /// Why a law on a time cannot be judged, if the generator was late by more than the law's share of what
    /// it asserts. Counts, ratios and orderings are no laws on a time.
    fn lateness(&self, law: &Law, (left, right): (Quantity, Quantity), holds: bool) -> Option<String> {
        let timed = |formula| {
            let figures = self.check.figures_in(formula).into_iter();
            figures.filter(|figure| figure.unit() == Unit::Time).collect::<Vec<_>>()
        };
        let (of_left, of_right) = (timed(&law.that.left), timed(&law.that.right));
        let sign = law.that.sign;
        let (asserted, from_above, from_below) = match (of_left.is_empty(), of_right.is_empty()) {
            (false, true) => (right, sign.is_ceiling(), sign.is_floor()),
            (true, false) => (left, sign.is_floor(), sign.is_ceiling()),
            _ => return None,
        };
        // Being late makes times longer, never shorter: a bound from above that is kept all the same is kept,
        // and one from below that is missed all the same is missed.
        let is_certain = if holds { from_above } else { from_below };
        if asserted.dimension != Dimension::TIME || is_certain {
            return None;
        }
        let figures = of_left.into_iter().chain(of_right);
        let late = figures.filter_map(|figure| figure.lag_s(self.run_of(figure)?)).fold(0.0, f64::max);
        let most = law.lag * asserted.value;
        (late > most).then(|| {
            format!(
                "cannot be judged: the generator itself was {} late (p99), and more than {} hides it",
                Quantity::seconds(late).show(false),
                Quantity::seconds(most).show(false)
            )
        })
    }

    /// The value of a formula, or why it has none; what of it is a bound or missing goes to `notes`.
    pub(super) fn value(&self, formula: &Formula, notes: &mut Notes) -> Result<Quantity, String> {
        let notes = std::cell::RefCell::new(notes);
        let found = self.check.evaluate(formula, self.plan, &|name| self.known(name, &notes));
        found.map_err(|error| error.message)
    }

    /// The figures of the run, and what was answered.
    fn known(&self, name: &str, notes: &std::cell::RefCell<&mut Notes>) -> Option<Result<Quantity, String>> {
        if let Some(figure) = self.check.figures.get(name) {
            return Some(self.measured(figure, notes));
        }
        let key = name.strip_prefix("answer.")?;
        let said = self.answers.values.get(key).copied();
        Some(said.ok_or_else(|| format!("there is no answer to `{key}`")))
    }

    fn measured(
        &self,
        figure: &LabFigure,
        notes: &std::cell::RefCell<&mut Notes>,
    ) -> Result<Quantity, String> {
        let Some(run) = self.run_of(figure) else {
            return Err(
                "there is no run of the lab as it was given to compare with; run that first".to_owned()
            );
        };
        let found = figure.find(run).map_err(|missing| {
            let (Missing::Unknown(why) | Missing::Never(why)) = &missing;
            let why = format!("{}: {why}", figure.is);
            notes.borrow_mut().missing = Some(missing);
            why
        })?;
        notes.borrow_mut().at_least |= found.at_least;
        Ok(found.quantity)
    }

    fn run_of(&self, figure: &LabFigure) -> Option<&StoredRun> {
        if figure.before { self.before.or(self.is_given.then_some(self.run)) } else { Some(self.run) }
    }
}
