//! `[[phase]]`: the measured phases, in the order of time, and how the load moves within them.

mod staircase;

use crate::language::{
    Field, FieldValue, Fields, Kind, Node, Origin, Reporter, Section, Table, Value, check,
};
use crate::scenario::model::{LoadProfile, Phase};
use crate::units::Span;
use std::collections::BTreeMap;

/// Phases of a scenario; indexes of 16 bits leave far more room, reports do not.
const MOST: usize = 256;

/// Names with a meaning of their own in reports.
const RESERVED: [&str; 4] = ["connect", "warm-up", "drain", "all"];

const LONGEST: Span = Span::from_ms(720 * 3_600_000);

/// Largest factor on a rate.
const MOST_LOAD: f64 = 1e6;

pub(super) static PHASE: Section = Section {
    title: "[[phase]]",
    about: "a measured phase; phases follow one another in the order of the file",
    by: None,
    fields: &[
        Field::required("name", Kind::Name, "names the phase in every report; unique"),
        Field::optional(
            "duration",
            Kind::Span(Span::from_ms(1), LONGEST),
            "how long it lasts; not needed with steps, whose `hold` says it",
        ),
        Field::with(
            "load",
            Kind::Short(&LOAD),
            "1",
            "factor on the rate of every open fleet; 0 sends nothing",
        ),
        Field::with(
            "loads",
            Kind::Map(&Kind::Short(&LOAD), "fleet"),
            "",
            "factors of single fleets, in place of `load`",
        ),
        Field::with(
            "rates",
            Kind::Map(&Kind::Rate(0.0, 1e5), "fleet"),
            "",
            "rates of single fleets, in place of their own and of `load`",
        ),
    ],
};

pub(super) static LOAD: Section = Section {
    title: "load = { … }",
    about: "how the load moves within a phase; a bare number stays as it is",
    by: Some("shape"),
    fields: &[
        Field::with(
            "level",
            Kind::Number(0.0, MOST_LOAD),
            "1",
            "the factor, at the beginning or between bursts",
        ),
        Field::with(
            "shape",
            Kind::Word(&["flat", "ramp", "sine", "bursts", "spike", "steps"]),
            "flat",
            "flat stays; ramp goes to another level; sine swings; bursts come again and again; spike rises and falls; \
             steps go from level to level, and each becomes a phase of its own: NAME-1, NAME-2, …",
        ),
        Field::required("from", Kind::Number(0.0, MOST_LOAD), "the level of the first step").only(&["steps"]),
        Field::required("to", Kind::Number(0.0, MOST_LOAD), "the level at the end, or of the last step")
            .only(&["ramp", "steps"]),
        Field::required(
            "by",
            Kind::Number(-MOST_LOAD, MOST_LOAD),
            "how far apart two steps are; whether they go up or down follows from `from` and `to`",
        )
        .only(&["steps"]),
        Field::required("hold", Kind::Span(Span::from_ms(1), LONGEST), "how long each step lasts")
            .only(&["steps"]),
        Field::with("amplitude", Kind::Number(0.0, 1.0), "0.5", "how far it swings, as a share of the level")
            .only(&["sine"]),
        Field::optional(
            "period",
            Kind::Span(Span::from_ms(1), LONGEST),
            "length of a swing; the phase's own length unless stated",
        )
        .only(&["sine"]),
        Field::required("peak", Kind::Number(0.0, MOST_LOAD), "the level of a burst, or of the spike's tip")
            .only(&["bursts", "spike"]),
        Field::required(
            "every",
            Kind::Span(Span::from_ms(1), LONGEST),
            "from the start of one burst to the start of the next; the first is at the beginning",
        )
        .only(&["bursts"]),
        Field::required("length", Kind::Span(Span::from_ms(1), LONGEST), "how long a burst lasts")
            .only(&["bursts"]),
    ],
};

/// A phase with what still refers to fleets by name.
#[derive(Debug)]
pub(super) struct PhaseDraft {
    pub(super) phase: Phase,
    pub(super) fields: Fields,
    /// Whether it says the same of fleets as the draft before: a further step of one staircase.
    pub(super) repeats: bool,
}

pub(super) fn phases(root: &Table, report: &mut Reporter<'_>) -> Vec<PhaseDraft> {
    let example = "add a phase: [[phase]] with name = \"steady\" and duration = \"30s\"";
    let Some(entry) = root.0.get("phase") else {
        report.add(&Origin::Whole, "phase", "there is no phase", example);
        return Vec::new();
    };
    let Value::List(items) = &entry.node.value else {
        let found = entry.node.value.described();
        let message = format!("expected a list of tables, found {found}");
        report.add(&entry.key, "phase", message, "open every phase with two brackets: [[phase]]");
        return Vec::new();
    };
    if items.is_empty() {
        report.add(&entry.node.origin, "phase", "there is no phase", example);
    }
    if items.len() > MOST {
        let message = format!("{} phases are too many", items.len());
        report.add(&entry.node.origin, "phase", message, format!("keep to {MOST} phases"));
        return Vec::new();
    }
    let mut phases: Vec<PhaseDraft> = Vec::with_capacity(items.len());
    for (nth, item) in items.iter().enumerate() {
        let Value::Table(table) = &item.value else {
            let found = item.value.described();
            report.add(&item.origin, "phase", format!("expected a table, found {found}"), example);
            continue;
        };
        admit(drafts(nth, item, table, report), &mut phases, report);
        if phases.len() > MOST {
            let message = format!("with every step of a staircase there are more than {MOST} phases");
            report.add(&item.origin, "phase", message, format!("keep to {MOST} phases"));
            return Vec::new();
        }
    }
    phases
}

/// Adds a phase, or the steps of one, to those before, and reports a name that cannot be had.
fn admit(drafts: Vec<PhaseDraft>, phases: &mut Vec<PhaseDraft>, report: &mut Reporter<'_>) {
    if let Some(PhaseDraft { phase, fields, .. }) = drafts.first() {
        let own = drafts.iter().map(|draft| &draft.phase.name);
        let names: Vec<&String> = phase.staircase.iter().chain(own).filter(|name| !name.is_empty()).collect();
        if let Some(name) = names.iter().find(|name| RESERVED.contains(&name.as_str())) {
            let message = format!("`{name}` is a name squall uses itself");
            fields.refuse("name", report, message, "choose another name");
        }
        let taken = |name: &str| phases.iter().any(|other| other.phase.goes_by(name));
        if let Some(name) = names.iter().find(|name| taken(name)) {
            let message = format!("there is a phase `{name}` already");
            fields.refuse("name", report, message, "give every phase its own name");
        }
    }
    phases.extend(drafts);
}

/// The phase that `table` describes, or one for each step of its load.
fn drafts(nth: usize, item: &Node, table: &Table, report: &mut Reporter<'_>) -> Vec<PhaseDraft> {
    let path = match table.0.get("name").map(|entry| &entry.node.value) {
        Some(Value::Text(name)) => format!("phase.{name}"),
        _ => format!("phase[{}]", nth + 1),
    };
    let fields = check(&PHASE, table, &path, &item.origin, report);
    if !staircase::is_one(&fields) {
        fields.require("duration", report);
    }
    let name = fields.text("name").unwrap_or_default().value().to_owned();
    let Some(staircase) = staircase::of(&fields, report).filter(|_| !name.is_empty()) else {
        return vec![draft(fields, None, report)];
    };
    // What is wrong with the table has been reported, once for all steps.
    let mut quiet = report.aside();
    let steps = (0..staircase.count()).map(|nth| {
        let fields = check(&PHASE, &staircase.step(&name, nth, table), &path, &item.origin, &mut quiet);
        PhaseDraft { repeats: nth > 0, ..draft(fields, Some(name.clone()), &mut quiet) }
    });
    steps.collect()
}

fn draft(fields: Fields, staircase: Option<String>, report: &mut Reporter<'_>) -> PhaseDraft {
    let name = fields.text("name").unwrap_or_default().value().to_owned();
    let duration = fields.span("duration");
    let load = fields.table("load").map_or(LoadProfile::Flat(1.0), |load| load_profile(&load, report));
    let mut loads = BTreeMap::new();
    for (fleet, _, found) in fields.map("loads") {
        if let FieldValue::Table(load) = found {
            loads.insert(fleet.to_owned(), load_profile(load, report));
        }
    }
    let mut canonical = String::new();
    fields.canonical("phase", &mut canonical);
    PhaseDraft { phase: Phase { name, staircase, duration, load, loads, canonical }, fields, repeats: false }
}

fn load_profile(load: &Fields, report: &mut Reporter<'_>) -> LoadProfile {
    let level = load.number("level");
    match load.word("shape") {
        Some("ramp") => LoadProfile::Ramp { from: level, to: load.number("to") },
        Some("sine") => {
            let period = load.optional_span("period");
            LoadProfile::Sine { mean: level, amplitude: load.number("amplitude"), period }
        }
        Some("bursts") => {
            let (every, length) = (load.span("every"), load.span("length"));
            if length > every && load.has("every") && load.has("length") {
                let message = format!("a burst of {length} is longer than the {every} to the next");
                load.refuse("length", report, message, "shorten `length` or lengthen `every`");
            }
            LoadProfile::Bursts { base: level, peak: load.number("peak"), every, length }
        }
        Some("spike") => LoadProfile::Spike { base: level, peak: load.number("peak") },
        _ => LoadProfile::Flat(level),
    }
}
