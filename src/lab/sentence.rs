//! The sentences of a judgement: what was measured and what it had to be, and what the names of a formula are worth.

use super::check::Law;
use super::formula::{Formula, Quantity};
use super::judge::{Case, Notes};
use crate::budget::Unit;
use crate::language::conjunction;
use crate::record::Outcomes;
use crate::scenario::Fleet;
use crate::units::figure;

impl Case<'_> {
    /// What was measured, what it had to be, and how far off it is unless it `holds`.
    pub(super) fn sentence(
        &self,
        law: &Law,
        (left, at_least): (Quantity, bool),
        right: Quantity,
        holds: bool,
    ) -> String {
        if let Some(sentence) = self.comparison(law, (left, at_least), right) {
            return sentence;
        }
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

    /// The sentence of a law by which one figure is so many times another thing, or such a part of it.
    fn comparison(&self, law: &Law, (left, at_least): (Quantity, bool), right: Quantity) -> Option<String> {
        let figure = self.check.figures.get(law.that.left.text())?;
        let (number, name) = law.that.right.multiple()?;
        if !(law.that.sign.is_ceiling() || law.that.sign.is_floor()) || right.value <= 0.0 {
            return None;
        }
        let whole = Quantity { value: right.value / number, ..right };
        let part = Quantity::number(left.value / whole.value);
        let (part, bound) = if number > 1.0 && number.fract() < 1e-9 {
            (format!("{} times", part.show(false)), format!("{} times", Quantity::number(number).show(false)))
        } else {
            let bound = Quantity::number(number);
            (format!("{} of", part.show_beside(true, bound)), format!("{} of that", bound.show(true)))
        };
        let is_share = self.is_share(&law.that.left);
        let bounded = if at_least { "at least " } else { "" };
        Some(format!(
            "{} is {bounded}{}, which is {bounded}{part} {} ({}); needed: {}, or {}",
            figure.is,
            left.show_beside(is_share, right),
            self.words(name).unwrap_or_else(|| name.to_owned()),
            whole.show(is_share),
            law.that.sign.demand(&bound, is_share),
            self.reached(law, right, is_share),
        ))
    }

    /// The bound of a law that is reached; of counts that is a whole number.
    fn reached(&self, law: &Law, bound: Quantity, is_share: bool) -> String {
        let is_count =
            self.check.figures_in(&law.that.left).iter().all(|figure| figure.unit() == Unit::Count);
        let value = match law.that.sign {
            _ if !is_count => bound.value,
            sign if sign.is_floor() => bound.value.ceil(),
            _ => bound.value.floor(),
        };
        Quantity { value, ..bound }.show(is_share)
    }

    /// What became of the readings of every fleet, a sentence for each.
    pub(super) fn account(&self) -> Vec<String> {
        let fleets = self.plan.scenario().fleets.iter();
        let of = |fleet: &Fleet| {
            let rows = self.run.report.summary.iter();
            let own = rows.filter(|row| row.is_measured() && row.fleet == fleet.name);
            let (mut sum, mut timely) = (Outcomes::default(), None);
            for row in own {
                sum.add(&row.figures.outcomes());
                timely = row.figures.within_budget.map(|count| count + timely.unwrap_or(0));
            }
            (sum.planned > 0).then(|| told(fleet, &sum, timely))
        };
        fleets.filter_map(of).collect()
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
        if let Some(figure) = self.check.figures.get(formula.text()) {
            return figure.is.clone();
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

    /// What a name of the lab stands for.
    fn words(&self, name: &str) -> Option<String> {
        match (self.check.given.get(name), self.check.figures.get(name)) {
            (Some(given), _) => given.is.clone().or_else(|| Some(given.formula.text().to_owned())),
            (None, figure) => figure.map(|figure| figure.is.clone()),
        }
    }

    /// A name, what it stands for, and what it is worth.
    fn worth(&self, name: &str) -> String {
        let words = self.words(name).map(|words| format!(" ({words})")).unwrap_or_default();
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

/// What became of the readings of `fleet`, of which so many were `timely`.
fn told(fleet: &Fleet, sum: &Outcomes, timely: Option<u64>) -> String {
    let in_time = fleet.budget.zip(timely).map(|(budget, timely)| {
        let within = figure::round_time(budget.as_ns());
        format!(" ({} of them within {within})", figure::count(timely))
    });
    let answered = format!("{} answered{}", figure::count(sum.ok), in_time.unwrap_or_default());
    let others = [
        (sum.error, "failed"),
        (sum.timeout, "not answered within the time-out"),
        (sum.lost, "never answered"),
        (sum.dropped, "never left the device (its backlog was full)"),
    ];
    let others = others.into_iter().filter(|(count, _)| *count > 0);
    let others = others.map(|(count, words)| format!("{} {words}", figure::count(count)));
    let parts: Vec<_> =
        [answered, format!("{} refused", figure::count(sum.shed))].into_iter().chain(others).collect();
    format!("of `{}` came {}: {}", fleet.name, figure::count(sum.planned), parts.join(", "))
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
