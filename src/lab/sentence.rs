//! The sentences of a judgement: what was measured and what it had to be, and what the names of a formula are worth.

use super::check::Law;
use super::formula::{Formula, Quantity};
use super::judge::{Case, Notes};
use crate::budget::Unit;
use crate::language::conjunction;

impl Case<'_> {
    /// What was measured, what it had to be, and how far off it is unless it `holds`.
    pub(super) fn sentence(
        &self,
        law: &Law,
        (left, at_least): (Quantity, bool),
        right: Quantity,
        holds: bool,
    ) -> String {
        let is_share = self.is_share(&law.that.left)
            || (self.is_share(&law.that.right) && law.that.left.names().is_empty());
        let bound = right.show(is_share);
        let bound = match law.that.right.names().as_slice() {
            [] => bound,
            _ => format!("{bound} ({})", self.explained(&law.that.right)),
        };
        let demand = law.that.sign.demand(&bound, is_share);
        let bounded = if at_least { "at least " } else { "" };
        // A part of a share would be taken for so many hundredths of the whole.
        let gap = if holds || is_share { String::new() } else { gap(left, right) };
        format!(
            "{} is {bounded}{}; needed: {demand}{gap}",
            self.subject(&law.that.left),
            left.show_beside(is_share, right)
        )
    }

    /// Whether a formula is a share: all its figures are.
    fn is_share(&self, formula: &Formula) -> bool {
        let figures = self.check.figures_in(formula);
        !figures.is_empty() && figures.iter().all(|figure| figure.unit() == Unit::Share)
    }

    /// What a formula is of, in words where it is a figure.
    pub(super) fn subject(&self, formula: &Formula) -> String {
        let names = formula.names();
        let figure = match names.as_slice() {
            [name] if *name == formula.text() => self.check.figures.get(*name),
            _ => None,
        };
        figure.map_or_else(|| formula.text().to_owned(), |figure| figure.is.clone())
    }

    /// A formula with what its names stand for and are worth: `rho * service, where rho (the share …) is 0.914 and …`. A
    /// name alone is what it stands for.
    pub(super) fn explained(&self, formula: &Formula) -> String {
        let mut formula = formula;
        while let Some(given) = self.check.given.get(formula.text()) {
            formula = &given.formula;
        }
        let mut told: Vec<String> = Vec::new();
        for name in formula.names().into_iter().filter(|name| *name != formula.text()) {
            let worth = self.worth(name);
            if !told.contains(&worth) {
                told.push(worth);
            }
        }
        match told.as_slice() {
            [] => formula.text().to_owned(),
            _ => format!("{}, where {}", formula.text(), conjunction(&told)),
        }
    }

    /// A name, what it stands for, and what it is worth.
    fn worth(&self, name: &str) -> String {
        let given = self.check.given.get(name);
        let words = match (given, self.check.figures.get(name)) {
            (Some(given), _) => given.is.clone().or_else(|| Some(given.formula.text().to_owned())),
            (None, Some(figure)) => Some(figure.is.clone()),
            (None, None) => None,
        };
        let words = words.map(|words| format!(" ({words})")).unwrap_or_default();
        let parsed = Formula::parse(name).map_err(|error| error.message);
        let value = parsed.and_then(|formula| {
            let found = self.value(&formula, &mut Notes::default())?;
            Ok(found.show(self.is_share(&formula)))
        });
        match value {
            Ok(value) => format!("{name}{words} is {value}"),
            Err(_) => format!("{name}{words} is not known"),
        }
    }
}

/// By how much a figure misses its bound.
fn gap(left: Quantity, right: Quantity) -> String {
    let times = left.value / right.value;
    if !times.is_finite() || times < 0.0 {
        return String::new();
    }
    if times >= 2.0 {
        return format!(": {} times that", Quantity::number(times).show(false));
    }
    let (share, word) = if times >= 1.0 { (times - 1.0, "too much") } else { (1.0 - times, "too little") };
    format!(": {} {word}", Quantity::number(share).show(true))
}
