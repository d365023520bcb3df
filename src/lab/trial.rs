//! A lab run as its author knows the outcome: broken, solved, and with its negative control. A lab whose
//! broken scenario passes, or whose solution fails, teaches nothing.

use super::catalogue::{Lab, Variant};
use super::check::AnswerUnit;
use super::folder::Assignment;
use super::formula::Quantity;
use super::{answer, student, template};

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
    let plan = template::plan(&given)?;
    let mut scenario = given;
    for (from, to) in &change.replace {
        if scenario.matches(from.as_str()).count() != 1 {
            return Err(format!("lab {}, {}: `{from}` does not stand in it once", lab.name, variant.word()));
        }
        scenario = scenario.replacen(from, &template::filled(to, &check, &plan, number)?, 1);
    }
    let mut values = change.answer;
    for asked in &check.predictions {
        if !values.contains_key(&asked.key) {
            values.insert(
                asked.key.clone(),
                written(template::by_plan(&asked.truth, &check, &plan)?, asked.unit),
            );
        }
    }
    Ok(Assignment::of(lab, student, scenario, answer::filled(&check, &values)))
}

/// A number as scenarios have it: what mends a lab may depend on the student's rates.
fn number(quantity: Quantity) -> String {
    format!("{:.4}", quantity.value)
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
