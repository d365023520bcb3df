//! The sections of a scenario: their tables of fields, and how checked fields become the model.

mod fleet;
mod phase;
mod run;
mod signal;
mod target;

use super::check::{Fields, check};
use super::document::{Table, Value};
use super::field::Section;
use super::model::{Fleet, Phase, ReferenceSettings, RunSettings, Target};
use super::problem::{Origin, Report, nearest};

/// Every section, in the order documents list them.
pub static ALL: &[&Section] = &[
    &run::SCENARIO,
    &run::RUN,
    &target::TARGET,
    &target::REFERENCE,
    &phase::PHASE,
    &fleet::FLEET,
    &fleet::BACKOFF,
    &signal::SIGNAL,
    &signal::ANOMALIES,
];

/// Tables at the top of a document, and how each is opened.
const TOP: [(&str, &str); 6] = [
    ("scenario", "[scenario]"),
    ("run", "[run]"),
    ("target", "[target]"),
    ("reference", "[reference]"),
    ("phase", "[[phase]]"),
    ("fleet", "[fleet.NAME]"),
];

/// What a whole document says. Worth keeping only if the report stayed clean.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) name: String,
    pub(super) about: Option<String>,
    pub(super) seed: u64,
    pub(super) run: RunSettings,
    pub(super) target: Target,
    pub(super) reference: ReferenceSettings,
    pub(super) phases: Vec<Phase>,
    pub(super) fleets: Vec<Fleet>,
}

/// Checks a whole document.
pub(super) fn document(root: &Table, report: &mut Report<'_>) -> Checked {
    for (key, entry) in &root.0 {
        if TOP.iter().all(|(name, _)| name != key) {
            let known = TOP.map(|(_, title)| title).join(", ");
            let help = match nearest(key, TOP.map(|(name, _)| name)) {
                Some(meant) => {
                    let title =
                        TOP.iter().find(|(name, _)| *name == meant).map_or(meant, |(_, title)| *title);
                    format!("did you mean {title}?")
                }
                None => format!("known sections: {known}"),
            };
            report.add(&entry.key, key, "unknown section", help);
        }
    }
    let scenario = single(root, "scenario", &run::SCENARIO, report);
    let run = single(root, "run", &run::RUN, report);
    let target = single(root, "target", &target::TARGET, report);
    let reference = single(root, "reference", &target::REFERENCE, report);
    Checked {
        name: scenario.text("name").unwrap_or_default(),
        about: scenario.text("about"),
        seed: scenario.integer("seed"),
        run: run::settings(&run),
        target: target::target(&target),
        reference: target::reference(&reference),
        phases: phase::phases(root, report),
        fleets: fleet::fleets(root, report),
    }
}

fn single(root: &Table, key: &str, section: &'static Section, report: &mut Report<'_>) -> Fields {
    let empty = Table::default();
    let Some(entry) = root.0.get(key) else {
        return check(section, &empty, key, &Origin::Whole, report);
    };
    if let Value::Table(table) = &entry.node.value {
        return check(section, table, key, &entry.node.origin, report);
    }
    let found = entry.node.value.described();
    let help = format!("open it with {} on a line of its own", section.title);
    report.add(&entry.key, key, format!("expected a table, found {found}"), help);
    // Its own fault is reported: what is missing inside it need not be.
    check(section, &empty, key, &Origin::Whole, &mut Report::new(""))
}
