//! Texts of a lab whose figures follow from the plan, so that they are true of the numbers that a student has: every
//! `${formula}` in them is what the formula is worth.

use super::check::Check;
use super::formula::{Formula, Quantity};
use crate::scenario::{Overrides, Plan, Scenario};

/// The plan of a lab's scenario.
///
/// # Errors
/// If the lab itself is at fault, which a test excludes.
pub(super) fn plan(scenario: &str) -> Result<Plan, String> {
    let scenario = Scenario::parse("scenario.toml", scenario, &Overrides::default());
    Ok(Plan::new(scenario.map_err(|error| error.to_string())?))
}

/// `text` with every `${formula}` in it as `show` writes what the plan makes of it.
///
/// # Errors
/// If the lab itself is at fault, which a test excludes.
pub(super) fn filled(
    text: &str,
    check: &Check,
    plan: &Plan,
    show: impl Fn(Quantity) -> String,
) -> Result<String, String> {
    let mut parts = text.split("${");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (formula, rest) = part.split_once('}').ok_or_else(|| format!("`{part}`: `}}` is missing"))?;
        let formula = Formula::parse(formula).map_err(|error| error.to_string())?;
        out += &show(by_plan(&formula, check, plan)?);
        out += rest;
    }
    Ok(out)
}

/// What a formula gives by the plan alone, before there is a run.
///
/// # Errors
/// As [`Check::evaluate`].
pub(super) fn by_plan(formula: &Formula, check: &Check, plan: &Plan) -> Result<Quantity, String> {
    check.evaluate(formula, plan, &|_| None).map_err(|error| error.to_string())
}

/// A figure as sentences have it, without idle zeros: `5 ms`, `450/s`.
pub(super) fn in_a_sentence(quantity: Quantity) -> String {
    let text = quantity.show(false);
    match text.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}
