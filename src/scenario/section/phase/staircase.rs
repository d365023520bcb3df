//! Staircases: a phase whose load moves in steps stands for a phase per step, each with figures of its own.
//!
//! The steps are those phases, to the last bit: the plan and its digest are the same as if they had been written one by one.

use std::iter;

use super::MOST;
use crate::language::{Entry, FieldValue, Fields, Node, Origin, Reporter, Table, Value};
use crate::units::Span;

/// The word for it.
const STEPS: &str = "steps";

/// Characters of the name of a phase.
const LONGEST_NAME: usize = 64;

/// Steps are counted from numbers that have been rounded: this far from a whole number, they end where they should not.
const UNEVEN: f64 = 1e-6;

/// The steps of the loads of one phase, which begin and end together.
#[derive(Debug)]
pub(super) struct Staircase {
    hold: Span,
    count: usize,
    /// The levels of `load`, where it moves in steps.
    load: Option<Vec<f64>>,
    /// Those of fleets in `loads`.
    loads: Vec<(String, Vec<f64>)>,
}

/// The steps of one load.
#[derive(Debug, PartialEq)]
struct Steps {
    levels: Vec<f64>,
    hold: Span,
}

/// Whether any load of the phase is meant to move in steps.
pub(super) fn is_one(fields: &Fields) -> bool {
    // Of a shape that is misspelled nothing is known.
    loads(fields).iter().any(|(_, load)| load.word("shape").is_none_or(|shape| shape == STEPS))
}

/// The steps of a phase; `None` where its loads move in none, or something is wrong with them, which is reported.
pub(super) fn of(fields: &Fields, report: &mut Reporter<'_>) -> Option<Staircase> {
    let (stepped, other): (Vec<_>, Vec<_>) =
        loads(fields).into_iter().partition(|(_, load)| is_stepped(load));
    let read: Vec<_> =
        stepped.iter().map(|(fleet, load)| Some((fleet, load, steps(load, report)?))).collect();
    let read = read.into_iter().collect::<Option<Vec<_>>>()?;
    let (_, _, first) = read.first()?;
    let (count, hold) = (first.levels.len(), first.hold);
    let mut fits = true;
    for (_, load, steps) in &read {
        if (steps.levels.len(), steps.hold) != (count, hold) {
            let message =
                format!("{} steps of {} stand beside {count} of {hold}", steps.levels.len(), steps.hold);
            load.refuse("by", report, message, "steps of one phase begin and end together");
            fits = false;
        }
    }
    for (_, load) in other.iter().filter(|(_, load)| load.word("shape").is_some_and(|shape| shape != "flat"))
    {
        let message = "would begin anew with every step beside it";
        load.refuse("shape", report, message, "write a number here, or steps");
        fits = false;
    }
    fits &= lasts(fields, count, hold, report);
    let (mut load, mut loads) = (None, Vec::new());
    for (fleet, _, steps) in read {
        match fleet {
            Some(fleet) => loads.push((fleet.clone(), steps.levels)),
            None => load = Some(steps.levels),
        }
    }
    fits.then_some(Staircase { hold, count, load, loads })
}

impl Staircase {
    /// How many steps there are, at least 2.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// The table of step number `nth`, from 0, of the phase `name` that `table` describes, as if it had been written by itself.
    pub(super) fn step(&self, name: &str, nth: usize, table: &Table) -> Table {
        let mut step = table.clone();
        put(&mut step, "name", Value::Text(step_name(name, nth)));
        put(&mut step, "duration", Value::Text(format!("{}ns", self.hold.as_ns())));
        if let Some(levels) = &self.load {
            put(&mut step, "load", Value::Number(levels[nth]));
        }
        if let Some(Entry { node, .. }) = step.0.get_mut("loads")
            && let Value::Table(fleets) = &mut node.value
        {
            for (fleet, levels) in &self.loads {
                put(fleets, fleet, Value::Number(levels[nth]));
            }
        }
        step
    }
}

fn step_name(name: &str, nth: usize) -> String {
    format!("{name}-{}", nth + 1)
}

/// Puts `value` at `key`, as if it had been written where the key was.
fn put(table: &mut Table, key: &str, value: Value) {
    if let Some(entry) = table.0.get_mut(key) {
        entry.node.value = value;
    } else {
        let node = Node { value, origin: Origin::Whole };
        table.0.insert(key.to_owned(), Entry { key: Origin::Whole, node });
    }
}

/// The loads of a phase, those of single fleets with their names.
fn loads(fields: &Fields) -> Vec<(Option<String>, Fields)> {
    let own = fields.table("load").map(|load| (None, load));
    let fleets = fields.map("loads").filter_map(|(fleet, _, found)| match found {
        FieldValue::Table(load) => Some((Some(fleet.to_owned()), load.clone())),
        _ => None,
    });
    own.into_iter().chain(fleets).collect()
}

fn is_stepped(load: &Fields) -> bool {
    load.word("shape") == Some(STEPS)
}

/// The steps of one load; `None` where something is wrong with them, which is reported.
fn steps(load: &Fields, report: &mut Reporter<'_>) -> Option<Steps> {
    if load.given("level").is_some() {
        load.refuse(
            "level",
            report,
            "does not apply to shape `steps`",
            "take this out: they begin at `from`",
        );
        return None;
    }
    if !["from", "to", "by", "hold"].into_iter().all(|key| load.has(key)) {
        return None;
    }
    let (from, to, by) = (load.number("from"), load.number("to"), load.number("by"));
    let (distance, height) = (rounded((to - from).abs()), by.abs());
    let count = distance / height;
    let whole = count.round();
    let refusal = if distance <= 0.0 {
        let help = "write where they lead, or a bare number for a load that stays";
        Some(("to", format!("steps from {from} to {to} lead nowhere"), help.to_owned()))
    } else if height <= 0.0 {
        Some((
            "by",
            format!("steps of 0 never lead from {from} to {to}"),
            "write how far apart two are".into(),
        ))
    } else if by < 0.0 && to > from {
        Some(("by", format!("steps of {by} lead away from {to}"), format!("write by = {height}")))
    } else if whole < 1.0 || (height - distance > UNEVEN * distance) {
        let message = format!("a step of {height} leads past {to}: from {from} it is {distance}");
        Some(("by", message, format!("write at most {distance}")))
    } else if (count - whole).abs() > UNEVEN * whole.max(1.0) {
        let nearest = level(from, to, height, count.floor());
        let message = format!("steps of {height} from {from} do not end at {to}");
        Some(("by", message, format!("write to = {nearest}, or a `by` that {distance} can be divided by")))
    } else if whole >= MOST as f64 {
        let help = format!("write a larger `by`: every step is a phase, and {MOST} are the most");
        Some(("by", format!("makes {} steps", whole + 1.0), help))
    } else {
        None
    };
    if let Some((key, message, help)) = refusal {
        load.refuse(key, report, message, help);
        return None;
    }
    let last = whole as u32;
    let between = (1..last).map(|nth| level(from, to, height, f64::from(nth)));
    let levels = iter::once(from).chain(between).chain(iter::once(to)).collect();
    Some(Steps { levels, hold: load.span("hold") })
}

/// The level `nth` steps of `height` from `from` on the way to `to`.
fn level(from: f64, to: f64, height: f64, nth: f64) -> f64 {
    rounded(from + (to - from).signum() * height * nth)
}

/// To 12 digits: three steps of 0.1 are 0.3, as a person writes it, and not 0.30000000000000004.
fn rounded(level: f64) -> f64 {
    format!("{level:.11e}").parse().unwrap_or(level)
}

/// Whether name and duration of the phase go with its steps; reported where not.
fn lasts(fields: &Fields, count: usize, hold: Span, report: &mut Reporter<'_>) -> bool {
    let mut fits = true;
    let name = fields.text("name").unwrap_or_default();
    let last = step_name(name.value(), count - 1);
    if last.len() > LONGEST_NAME {
        let message = format!("the last step would be called `{last}`, which is longer than {LONGEST_NAME}");
        fields.refuse("name", report, message, "choose a shorter name");
        fits = false;
    }
    let total = Span::from_ns(hold.as_ns().saturating_mul(count as u64));
    if let Some(stated) = fields.optional_span("duration").filter(|stated| *stated != total) {
        let message = format!("{count} steps of {hold} last {total}, not {stated}");
        fields.refuse("duration", report, message, "take this out: it follows from the steps");
        fits = false;
    }
    fits
}
