//! A personal seed: a name changes rates and times, so that numbers cannot be copied. Formulas are worth what
//! the changed plan makes them.

use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::catalogue::Lab;
use super::check::{Check, Varied};
use super::template;
use crate::language::{Node, Origin, Reporter, Table, Value, read};
use crate::units::Span;

/// Characters of a student's name.
const LONGEST: usize = 60;

/// `name` as it counts: without blanks around it, and in small letters, so that nobody gets other numbers for
/// a capital.
///
/// # Errors
/// If nothing is left, or too much.
pub(crate) fn canonical(name: &str) -> Result<String, String> {
    let name = name.trim().to_lowercase();
    if name.is_empty() || name.chars().count() > LONGEST || name.chars().any(char::is_control) {
        return Err(format!("`--student` takes a name of 1 to {LONGEST} letters, for example --student ada"));
    }
    Ok(name)
}

/// The scenario of `lab` as `student` gets it: the lab's own where there is no student.
///
/// # Errors
/// If the lab itself is at fault, which a test excludes.
pub(super) fn scenario(lab: &Lab, check: &Check, student: Option<&str>) -> Result<String, String> {
    let mut text = lab.scenario.to_owned();
    let Some(student) = student else { return Ok(text) };
    let mut report = Reporter::new(lab.scenario);
    let root = read(lab.scenario, &mut report);
    let mut changes: Vec<(Range<usize>, String)> = Vec::new();
    for varied in &check.varied {
        let place = place(&root, &varied.key)
            .ok_or_else(|| format!("lab {}: vary: there is no `{}`", lab.name, varied.key))?;
        changes.push((place, drawn(lab.name, student, varied)));
    }
    // From the end, so that the places before stay where they are.
    changes.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
    for (place, value) in changes {
        text.replace_range(place, &value);
    }
    Ok(text)
}

/// A text of `lab`, such as its README, with the figures that `student` has.
///
/// # Errors
/// If the lab itself is at fault, which a test excludes.
pub(super) fn text(lab: &Lab, check: &Check, student: Option<&str>, text: &str) -> Result<String, String> {
    let plan = template::plan(&scenario(lab, check, student)?)?;
    template::filled(text, check, &plan, template::in_a_sentence)
}

/// The hint of `lab` of this depth, from 1 to [`super::HINTS`], with the figures that `student` has.
///
/// # Errors
/// If the lab itself is at fault, which a test excludes.
pub(crate) fn hint(lab: &Lab, depth: u8, student: Option<&str>) -> Result<String, String> {
    text(lab, &lab.check()?, student, lab.hint(depth).unwrap_or_default())
}

/// The value of `varied` that `student` gets, as it is written.
fn drawn(lab: &str, student: &str, varied: &Varied) -> String {
    let value = value(lab, student, varied);
    match varied.unit.as_str() {
        "" => value.to_string(),
        "s" => format!("\"{}\"", Span::from_secs_f64(value)),
        unit => format!("\"{value}{unit}\""),
    }
}

/// The value of `varied` that `student` gets, in its unit.
pub(super) fn value(lab: &str, student: &str, varied: &Varied) -> f64 {
    let steps = ((varied.to - varied.from) / varied.step).round().max(0.0) as u64;
    let hash = Sha256::digest(format!("squall lab 1\0{lab}\0{student}\0{}", varied.key).as_bytes());
    let number = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let step = number % (steps + 1);
    // Back to the decimals of the step: 2.3, not 2.3000000000000003.
    ((varied.from + varied.step * step as f64) * 1e6).round() / 1e6
}

/// Where the value of `key` stands in the text: `fleet.meters.devices`, `phase.day.duration`.
fn place(root: &Table, key: &str) -> Option<Range<usize>> {
    let mut table = root;
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        let node = &table.0.get(part)?.node;
        match &node.value {
            _ if parts.peek().is_none() => return text_of(node),
            Value::Table(inner) => table = inner,
            Value::List(items) => {
                let name = parts.next()?;
                table = items.iter().find_map(|item| named(item, name))?;
            }
            _ => return None,
        }
    }
    None
}

fn named<'n>(item: &'n Node, wanted: &str) -> Option<&'n Table> {
    let Value::Table(table) = &item.value else { return None };
    match &table.0.get("name")?.node.value {
        Value::Text(name) if name == wanted => Some(table),
        _ => None,
    }
}

fn text_of(node: &Node) -> Option<Range<usize>> {
    match &node.origin {
        Origin::Text(range) => Some(range.clone()),
        Origin::Given(_) | Origin::Whole => None,
    }
}
