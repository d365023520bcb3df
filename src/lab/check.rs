//! `check.toml` of a lab: what is predicted, what must hold, and what may be changed.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::figure::{FigureText, LabFigure};
use super::formula::{Dimension, Formula, FormulaError, Quantity, Relation};
use super::plan;
use crate::scenario::Plan;

/// How far a prediction may be off and still be right, where a lab does not say.
const NEAR: f64 = 0.2;
/// The share of an asserted time that the generator may be late (p99), where a law does not say.
const LAG: f64 = 0.05;
/// Formulas that name formulas that name …
const DEEPEST: u8 = 12;

/// What the value of a name is, or why it has none; `None` of a name that is not known.
pub(super) type Known<'k> = dyn Fn(&str) -> Option<Result<Quantity, String>> + 'k;

/// What a lab judges.
#[derive(Debug)]
pub(crate) struct Check {
    /// Keys of the scenario that may be changed, with all that lies below them.
    pub(super) mend: Vec<String>,
    /// Figures of a run, by name.
    pub(super) figures: BTreeMap<String, LabFigure>,
    /// Formulas that others name.
    pub(super) given: BTreeMap<String, Given>,
    /// What is asked beforehand.
    pub(super) predictions: Vec<Prediction>,
    /// What must hold.
    pub(super) laws: Vec<Law>,
    /// What a personal seed changes.
    pub(super) varied: Vec<Varied>,
}

/// A formula that others name.
#[derive(Debug)]
pub(super) struct Given {
    /// What it stands for, as the subject of a sentence.
    pub(super) is: Option<String>,
    pub(super) formula: Formula,
}

/// In which runs a figure is that which a prediction is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Shows {
    /// In those of the lab as it is given.
    #[default]
    Given,
    /// In those that pass.
    Mended,
    /// In all.
    Any,
}

/// A question that is answered before the run.
#[derive(Debug)]
pub(super) struct Prediction {
    pub(super) key: String,
    /// What is asked, as the author puts it.
    pub(super) ask: String,
    pub(super) unit: AnswerUnit,
    pub(super) truth: Formula,
    /// The share of the truth that the answer may be off and still be right.
    pub(super) near: f64,
    /// What shows it in a run: a figure, or a formula of several.
    pub(super) figure: Option<Formula>,
    /// In which runs that is so.
    pub(super) shows: Shows,
}

/// What an answer is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AnswerUnit {
    Time,
    Rate,
    Number,
    Share,
}

impl AnswerUnit {
    /// The dimension of the quantity.
    pub(super) const fn dimension(self) -> Dimension {
        match self {
            Self::Time => Dimension::TIME,
            Self::Rate => Dimension::RATE,
            Self::Number | Self::Share => Dimension::NUMBER,
        }
    }

    /// How it is written, with an example.
    pub(super) const fn example(self) -> &'static str {
        match self {
            Self::Time => "a time, for example \"250ms\" or \"1.5s\"",
            Self::Rate => "a rate, for example \"120/s\"",
            Self::Number => "a number, for example \"1200\"",
            Self::Share => "a share, for example \"45%\" or \"9 / 20\"",
        }
    }
}

/// What must hold.
#[derive(Debug)]
pub(super) struct Law {
    /// As a sentence: `the backlog is gone within a second`.
    pub(super) name: String,
    pub(super) that: Relation,
    /// The share of the asserted time that the generator may be late.
    pub(super) lag: f64,
    /// What is said where it is broken.
    pub(super) say: String,
    /// What to look at then.
    pub(super) open: String,
}

/// A value of the scenario that is drawn for every student.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Varied {
    pub(super) key: String,
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) step: f64,
    /// What stands behind the number; with one, the value is a text.
    #[serde(default)]
    pub(super) unit: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckText {
    #[serde(default)]
    mend: Vec<String>,
    figure: BTreeMap<String, FigureText>,
    #[serde(default)]
    given: BTreeMap<String, GivenText>,
    predict: Vec<PredictionText>,
    law: Vec<LawText>,
    #[serde(default)]
    vary: Vec<Varied>,
}

/// A formula alone, or with what it stands for.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum GivenText {
    Formula(String),
    Explained { is: String, formula: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PredictionText {
    key: String,
    ask: String,
    unit: AnswerUnit,
    truth: String,
    near: Option<f64>,
    figure: Option<String>,
    #[serde(default)]
    shows: Shows,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LawText {
    name: String,
    that: String,
    lag: Option<f64>,
    say: String,
    open: String,
}

impl Check {
    /// Reads `text`.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence with its place.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text: CheckText = toml::from_str(text).map_err(|error| error.to_string())?;
        let figure = |(name, text): (String, FigureText)| {
            let figure = LabFigure::of(text).map_err(|error| format!("figure {name}: {error}"))?;
            Ok::<_, String>((name, figure))
        };
        let formula =
            |place: String, text: &str| Formula::parse(text).map_err(|error| format!("{place}: {error}"));
        let given = text.given.into_iter().map(|(name, text)| {
            let (is, text) = match text {
                GivenText::Formula(text) => (None, text),
                GivenText::Explained { is, formula } => (Some(is), formula),
            };
            let formula = formula(format!("given {name}"), &text)?;
            Ok::<_, String>((name, Given { is, formula }))
        });
        let prediction = |text: PredictionText| {
            let place = format!("predict {}", text.key);
            let own = |text: &str| formula(place.clone(), text);
            Ok::<_, String>(Prediction {
                truth: own(&text.truth)?,
                figure: text.figure.as_deref().map(own).transpose()?,
                key: text.key,
                ask: text.ask,
                unit: text.unit,
                near: text.near.unwrap_or(NEAR),
                shows: text.shows,
            })
        };
        let law = |text: LawText| {
            let that =
                Relation::parse(&text.that).map_err(|error| format!("law `{}`: {error}", text.name))?;
            let lag = text.lag.unwrap_or(LAG);
            Ok::<_, String>(Law { name: text.name, that, lag, say: text.say, open: text.open })
        };
        let check = Self {
            mend: text.mend,
            figures: text.figure.into_iter().map(figure).collect::<Result<_, _>>()?,
            given: given.collect::<Result<_, _>>()?,
            predictions: text.predict.into_iter().map(prediction).collect::<Result<_, _>>()?,
            laws: text.law.into_iter().map(law).collect::<Result<_, _>>()?,
            varied: text.vary,
        };
        check.is_sound().map(|()| check)
    }

    /// Whether every name without a dot is that of one figure or formula.
    fn is_sound(&self) -> Result<(), String> {
        if let Some(twice) = self.given.keys().find(|name| self.figures.contains_key(*name)) {
            return Err(format!("`{twice}` is both a figure and a formula; give one another name"));
        }
        let truths = self.predictions.iter().map(|prediction| &prediction.truth);
        let shown = self.predictions.iter().filter_map(|prediction| prediction.figure.as_ref());
        let sides = self.laws.iter().flat_map(|law| [&law.that.left, &law.that.right]);
        let given = self.given.values().map(|given| &given.formula);
        for formula in given.chain(truths).chain(shown).chain(sides) {
            let unknown = formula.names().into_iter().find(|name| {
                !name.contains('.') && !self.figures.contains_key(*name) && !self.given.contains_key(*name)
            });
            if let Some(name) = unknown {
                return Err(format!("`{}`: there is no figure or formula `{name}`", formula.text()));
            }
        }
        Ok(())
    }

    /// The value of `formula` under `plan`. What rests on more than a plan, such as figures of a run, is `known`
    /// elsewhere.
    ///
    /// # Errors
    /// As [`Formula::evaluate`].
    pub(super) fn evaluate(
        &self,
        formula: &Formula,
        plan: &Plan,
        known: &Known<'_>,
    ) -> Result<Quantity, FormulaError> {
        formula.evaluate(&|name| self.named(name, plan, known, 0))
    }

    fn named(&self, name: &str, plan: &Plan, known: &Known<'_>, depth: u8) -> Result<Quantity, String> {
        if depth > DEEPEST {
            return Err(format!("`{name}` is defined by itself"));
        }
        let deeper = |formula: &Formula| {
            let found = formula.evaluate(&|name| self.named(name, plan, known, depth + 1));
            found.map_err(|error| error.message)
        };
        if let Some(given) = self.given.get(name) {
            return deeper(&given.formula);
        }
        if let Some(found) = known(name) {
            return found;
        }
        match name.strip_prefix("truth.") {
            Some(key) => {
                let asked = self.predictions.iter().find(|asked| asked.key == key);
                deeper(&asked.ok_or_else(|| format!("`{key}` is not asked"))?.truth)
            }
            None => plan::named(plan, name),
        }
    }

    /// The names of the figures that `formula` rests on, also by way of formulas that it names.
    pub(super) fn figures_in<'c>(&'c self, formula: &'c Formula) -> Vec<&'c LabFigure> {
        let (mut found, mut open, mut seen) = (Vec::new(), vec![formula], Vec::new());
        while let Some(formula) = open.pop() {
            for name in formula.names() {
                if seen.contains(&name) {
                    continue;
                }
                seen.push(name);
                found.extend(self.figures.get(name));
                open.extend(self.given.get(name).map(|given| &given.formula));
            }
        }
        found
    }
}
