//! `answer.toml`: what a student predicts before the run, and why.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::check::{AnswerUnit, Check, Prediction};
use super::formula::{Dimension, Formula, Quantity};
use crate::language::{Diagnostics, Node, Reporter, Value, nearest, quote, read};
use crate::units::hex;

/// The key of the student's own words.
const WHY: &str = "why";

/// What a student says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answers {
    /// By the key of the prediction.
    pub(super) values: BTreeMap<String, Quantity>,
    /// In the student's own words.
    pub(super) why: String,
}

/// The answer file as it is handed out.
pub(super) fn blank(check: &Check) -> String {
    let mut text = String::from(
        "# Write down what you expect before you run: between the quotes, a value with its unit, or a formula of such\n\
         # values, for example \"1 / 2\" or \"20/s * 3s\". What you write here goes into the run before it begins. You may\n\
         # change it for a later run; what you said at the first one is kept, and counts. A wrong prediction is no failure.\n",
    );
    for prediction in &check.predictions {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n# {}\n# {}\n", prediction.ask, prediction.unit.example());
        let _ = writeln!(text, "{} = \"\"", prediction.key);
    }
    let _ = write!(text, "\n# Why, in a sentence of your own.\n{WHY} = \"\"\n");
    text
}

/// The answer file with `values` for its keys.
pub(super) fn filled(check: &Check, values: &BTreeMap<String, String>) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let line = |prediction: &Prediction| {
        let value = values.get(&prediction.key).map(String::as_str).unwrap_or_default();
        format!("{} = {}\n", prediction.key, quoted(value))
    };
    let lines: String = check.predictions.iter().map(line).collect();
    lines + WHY + " = \"as the lab says\"\n"
}

/// SHA-256 of the file, in hexadecimal.
pub(super) fn fingerprint(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

impl Answers {
    /// Reads the answer file `text`, which came from `source`.
    ///
    /// # Errors
    /// With every blank, and everything else that is wrong in it.
    pub(crate) fn read(source: &str, text: &str, check: &Check) -> Result<Self, Diagnostics> {
        let mut report = Reporter::new(text);
        let root = read(text, &mut report);
        let mut values = BTreeMap::new();
        let mut why = String::new();
        if report.is_clean() {
            for prediction in &check.predictions {
                let key = prediction.key.as_str();
                let node = root.0.get(key).map(|entry| &entry.node);
                if let Some(value) = answered(node, key, prediction, &mut report) {
                    values.insert(key.to_owned(), value);
                }
            }
            match root.0.get(WHY).map(|entry| &entry.node) {
                Some(Node { value: Value::Text(text), .. }) if !text.trim().is_empty() => {
                    text.trim().clone_into(&mut why);
                }
                node => refuse_blank(node, WHY, "a sentence of your own", &mut report),
            }
            let keys = || check.predictions.iter().map(|prediction| prediction.key.as_str()).chain([WHY]);
            for (key, entry) in root.0.iter().filter(|(key, _)| keys().all(|known| known != *key)) {
                let help = match nearest(key, keys()) {
                    Some(meant) => format!("did you mean `{}`?", quote(meant)),
                    None => format!("the lab asks for: {}", keys().collect::<Vec<_>>().join(", ")),
                };
                report.add(&entry.key, key, "is not asked", help);
            }
        }
        report.into_diagnostics(source).map_or(Ok(Self { values, why }), Err)
    }
}

fn refuse_blank(node: Option<&Node>, key: &str, example: &str, report: &mut Reporter<'_>) {
    let help = format!("write what you expect before you run: {example}");
    match node {
        Some(node) => report.add(&node.origin, key, "is still blank", help),
        None => report.add(&crate::language::Origin::Whole, key, "is missing", help),
    }
}

/// The answer in `node`, or what is wrong with it in `report`.
fn answered(
    node: Option<&Node>,
    key: &str,
    prediction: &Prediction,
    report: &mut Reporter<'_>,
) -> Option<Quantity> {
    let example = prediction.unit.example();
    let help = || format!("write {example}");
    let mut said = String::new();
    let found = match node.map(|node| &node.value) {
        Some(Value::Text(text)) if !text.trim().is_empty() => {
            text.trim().clone_into(&mut said);
            quantity(text)
        }
        Some(Value::Integer(number)) => {
            said = number.to_string();
            Ok(Quantity::number(*number as f64))
        }
        Some(Value::Number(number)) => {
            said = number.to_string();
            Ok(Quantity::number(*number))
        }
        None | Some(Value::Text(_)) => {
            refuse_blank(node, key, example, report);
            return None;
        }
        Some(other) => Err(format!("is {}", other.described())),
    };
    let origin = node.map(|node| node.origin.clone())?;
    match found {
        Ok(found) if found.dimension == prediction.unit.dimension() => {
            if prediction.unit != AnswerUnit::Share || found.value <= 1.0 || said.contains('%') {
                return Some(found);
            }
            let meant = said.parse::<f64>().ok().filter(|number| *number <= 100.0);
            let help = meant.map_or_else(help, |_| format!("did you mean \"{said}%\"?"));
            report.add(&origin, key, format!("{} is {}", quote(&said), found.show(true)), help);
        }
        Ok(found) if found.dimension == Dimension::NUMBER => {
            report.add(&origin, key, "has no unit", help());
        }
        Ok(found) => report.add(&origin, key, format!("is {}", found.dimension.described()), help()),
        Err(message) => report.add(&origin, key, message, help()),
    }
    None
}

/// The quantity in `text`, which names nothing: a formula, or a figure as judgements print it.
pub(super) fn quantity(text: &str) -> Result<Quantity, String> {
    let nothing = |name: &str| Err(format!("`{name}` is not a number"));
    let text = as_typed(text.trim());
    let parsed = Formula::parse(&text).and_then(|formula| formula.evaluate(&nothing));
    parsed.map_err(|error| error.message)
}

/// `text` without what makes a printed figure easy to read, which formulas have no place for: the commas of `1,020` and
/// the blank of `19.0 ms`. What is not one figure alone stays as it is.
fn as_typed(text: &str) -> String {
    let end = text.find(|letter: char| !(letter.is_ascii_digit() || matches!(letter, ',' | '.')));
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let mut groups = number.split('.').next().unwrap_or_default().split(',');
    let first = groups.next().unwrap_or_default();
    let is_grouped = (1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3);
    let number = if is_grouped { number.replace(',', "") } else { number.to_owned() };
    let word = unit.trim_start();
    let is_unit = !word.is_empty() && word.chars().all(char::is_alphabetic);
    number + if is_unit { word } else { unit }
}
