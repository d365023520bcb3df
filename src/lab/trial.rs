//! A lab run as its author knows the outcome: broken, solved, and with its negative control. A lab whose
//! broken scenario passes, or whose solution fails, teaches nothing.

use std::fmt::Write as _;

use super::catalogue::{Lab, Variant};
use super::check::{AnswerUnit, Check};
use super::folder::Assignment;
use super::formula::{Formula, Quantity};
use super::{answer, student};
use crate::scenario::{Overrides, Plan, Scenario};

/// What is needed to run `variant` of `lab`, with the rates of `student` and the answers that its formulas
/// give.
///
/// # Errors
/// If the lab itself is at fault, which a test excludes.
pub(crate) fn trial(
    lab: &'static Lab,
    variant: Variant,
    student: Option<&str>,
) -> Result<Assignment, String> {
    let (check, change) = (lab.check()?, lab.change(variant)?);
    let given = student::scenario(lab, &check, student)?;
    let plan = Scenario::parse("scenario.toml", &given, &Overrides::default());
    let plan = Plan::new(plan.map_err(|error| error.to_string())?);
    let mut scenario = given;
    for (from, to) in &change.replace {
        if scenario.matches(from.as_str()).count() != 1 {
            return Err(format!("lab {}, {}: `{from}` does not stand in it once", lab.name, variant.word()));
        }
        scenario = scenario.replacen(from, &evaluated(to, &check, &plan)?, 1);
    }
    let mut values = change.answer;
    for asked in &check.predictions {
        if !values.contains_key(&asked.key) {
            values.insert(asked.key.clone(), written(by_plan(&asked.truth, &check, &plan)?, asked.unit));
        }
    }
    Ok(Assignment::of(lab, student, scenario, answer::filled(&check, &values)))
}

/// `text` with every `${formula}` in it as the number that the plan makes of it: what mends a lab may depend
/// on the student's rates.
fn evaluated(text: &str, check: &Check, plan: &Plan) -> Result<String, String> {
    let mut parts = text.split("${");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (formula, rest) = part.split_once('}').ok_or_else(|| format!("`{part}`: `}}` is missing"))?;
        let formula = Formula::parse(formula).map_err(|error| error.to_string())?;
        let value = by_plan(&formula, check, plan)?.value;
        // Writing to a String cannot fail.
        let _ = write!(out, "{value:.4}{rest}");
    }
    Ok(out)
}

/// What a formula gives by the plan alone, before there is a run.
fn by_plan(formula: &Formula, check: &Check, plan: &Plan) -> Result<Quantity, String> {
    check.evaluate(formula, plan, &|_| None).map_err(|error| error.to_string())
}

/// A quantity as an answer is written.
fn written(quantity: Quantity, unit: AnswerUnit) -> String {
    let value = quantity.value;
    match unit {
        AnswerUnit::Time => format!("{value:.6}s"),
        AnswerUnit::Rate => format!("{value:.6}/s"),
        AnswerUnit::Number => format!("{value:.6}"),
        AnswerUnit::Share => format!("{:.6}%", value * 100.0),
    }
}
