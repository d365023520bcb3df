//! `[[phase]]`: the measured phases, in the order of time.

use crate::scenario::check::check;
use crate::scenario::document::{Table, Value};
use crate::scenario::field::{Field, Kind, Need, Section};
use crate::scenario::model::Phase;
use crate::scenario::problem::{Origin, Report};
use crate::units::Span;

/// Phases of a scenario; indexes of 16 bits leave far more room, reports do not.
const MOST: usize = 256;

/// Names with a meaning of their own in reports.
const RESERVED: [&str; 4] = ["connect", "warm-up", "drain", "all"];

pub(super) static PHASE: Section = Section {
    title: "[[phase]]",
    about: "a measured phase; phases follow one another in the order of the file",
    fields: &[
        Field {
            name: "name",
            kind: Kind::Name,
            need: Need::Required,
            about: "names the phase in every report; unique",
        },
        Field {
            name: "duration",
            kind: Kind::Span(Span::from_ms(1), Span::from_ms(720 * 3_600_000)),
            need: Need::Required,
            about: "how long it lasts",
        },
        Field {
            name: "load",
            kind: Kind::Number(0.0, 1e6),
            need: Need::Default("1"),
            about: "factor on the rate of every open fleet; 0 sends nothing",
        },
    ],
};

pub(super) fn phases(root: &Table, report: &mut Report<'_>) -> Vec<Phase> {
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
    let mut phases: Vec<Phase> = Vec::with_capacity(items.len());
    for (nth, item) in items.iter().enumerate() {
        let Value::Table(table) = &item.value else {
            let found = item.value.described();
            report.add(&item.origin, "phase", format!("expected a table, found {found}"), example);
            continue;
        };
        let path = match table.0.get("name").map(|entry| &entry.node.value) {
            Some(Value::Text(name)) => format!("phase.{name}"),
            _ => format!("phase[{}]", nth + 1),
        };
        let fields = check(&PHASE, table, &path, &item.origin, report);
        let name = fields.text("name").unwrap_or_default();
        if RESERVED.contains(&name.as_str()) {
            fields.refuse(
                "name",
                report,
                format!("`{name}` is a name squall uses itself"),
                "choose another name",
            );
        }
        if !name.is_empty() && phases.iter().any(|phase| phase.name == name) {
            fields.refuse(
                "name",
                report,
                format!("there is a phase `{name}` already"),
                "give every phase its own name",
            );
        }
        phases.push(Phase { name, duration: fields.span("duration"), load: fields.number("load") });
    }
    phases
}
