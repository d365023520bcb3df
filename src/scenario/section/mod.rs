//! The sections of a scenario: their tables of fields, and how checked fields become the model.

mod arrival;
mod auth;
mod backoff;
mod behaviour;
mod budget;
mod exchange;
mod fault;
mod fleet;
mod grammar;
mod guarantee;
mod pattern;
mod payload;
mod phase;
mod retry;
mod run;
mod scaling;
mod scrape;
mod signal;
mod subscriber;
mod target;
mod tls;
mod topic;
mod trace;

use super::amendment::Overrides;
use super::model::{Fleet, LoadProfile, Model, Phase, RunSettings, Scenario, Target};
use super::scrape::Scrape;
use crate::budget::Budget;
use crate::fault::Fault;
use crate::language::{
    FieldValue, Fields, Origin, Reporter, Section, Table, Text, Value, check, is_name, nearest, quote,
};
use crate::protocol::protocols;
use crate::service::{self, Setup};
use crate::units::{Secret, Span};
use std::fmt;
use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

pub(super) const NETWORK_FAULTS: &[&str] = fault::NETWORK;
pub(super) const INSECURE: &str = tls::INSECURE;

/// Every section, in the order documents list them.
pub(crate) fn all() -> &'static [&'static Section] {
    static ALL: LazyLock<Vec<&Section>> = LazyLock::new(|| {
        let mut all = vec![&run::SCENARIO, &run::RUN, &*target::TARGET];
        all.extend_from_slice(service::SECTIONS);
        all.extend([&phase::PHASE, &phase::LOAD, &*fleet::FLEET, &behaviour::BEHAVIOUR, &arrival::ARRIVAL]);
        all.extend([&tls::TLS, &auth::AUTH, &auth::SECRET, &trace::TRACE]);
        all.extend(protocols().flat_map(|facts| facts.sections));
        all.extend_from_slice(LOAD);
        all.extend([&*fault::FAULT, &fault::DELAY, &fault::LOSS, &*budget::BUDGET, &scrape::SCRAPE]);
        all
    });
    &ALL
}

/// What readings are.
static LOAD: &[&Section] = &[
    &payload::PAYLOAD,
    &payload::SIZE,
    &backoff::BACKOFF,
    &retry::RETRY,
    &signal::SIGNAL,
    &signal::ANOMALIES,
];

/// Tables at the top of a document, and how each is opened.
pub(super) const TOP: [(&str, &str); 9] = [
    ("scenario", "[scenario]"),
    ("run", "[run]"),
    ("target", "[target]"),
    ("reference", "[reference]"),
    ("phase", "[[phase]]"),
    ("fleet", "[fleet.NAME]"),
    ("fault", "[[fault]]"),
    ("budget", "[[budget]]"),
    ("scrape", "[[scrape]]"),
];

/// The section of the tables under the top key `key`: of one fleet, one fault.
pub(super) fn top(key: &str) -> Option<&'static Section> {
    let (_, title) = TOP.iter().find(|(name, _)| *name == key)?;
    all().iter().find(|section| section.title == *title).copied()
}

/// What a whole document says. Worth keeping only if the report stayed clean.
#[derive(Debug)]
pub(super) struct CheckedDocument {
    pub(super) name: String,
    pub(super) about: Option<String>,
    pub(super) seed: u64,
    pub(super) run: RunSettings,
    pub(super) target: Target,
    pub(super) control_token: Option<Secret>,
    pub(super) reference: Setup,
    pub(super) phases: Vec<Phase>,
    pub(super) fleets: Vec<Fleet>,
    /// Instants count from the first phase.
    pub(super) faults: Vec<Fault>,
    /// Every value of `[[fault]]` that is not a default, for the digest.
    pub(super) fault_canonical: String,
    /// No part of the digest: they judge what is sent, and do not change it.
    pub(super) budgets: Vec<Budget>,
    /// No part of the digest either: nothing that is measured depends on them.
    pub(super) scrapes: Vec<Scrape>,
    /// Every value of `[run]` that is not a default, for the digest.
    pub(super) canonical: String,
}

/// Checks a whole document; of `overrides`, what the phases are to last together, and the factor on the load, are applied here.
pub(super) fn document(root: &Table, overrides: &Overrides, report: &mut Reporter<'_>) -> CheckedDocument {
    let load = overrides.load.unwrap_or(1.0);
    unknown_sections(root, report);
    let scenario = single(root, "scenario", &run::SCENARIO, report);
    let run = single(root, "run", &run::RUN, report);
    let target = single(root, "target", &target::TARGET, report);
    let reference = single(root, "reference", &service::REFERENCE, report);
    let mut phases = phase::phases(root, report);
    if let Some(duration) = overrides.duration {
        scale(phases.iter_mut().map(|draft| &mut draft.phase), duration, report);
    }
    let settings = run::settings(&run);
    let frame = frame(&settings, &target, &phases, load);
    let fleets = fleet::fleets(root, frame, report);
    let mut canonical = String::new();
    run.canonical("run", &mut canonical);
    subscriber::subscribers(&fleets, report);
    pattern::patterns(&fleets, report);
    grammar::grammar(&fleets, report);
    let measured = Span::from_ns(phases.iter().map(|draft| draft.phase.duration.as_ns()).sum());
    let faults = fault::faults(
        root,
        &fault::FaultContext { fleets: &fleets, all_sound: all_sound(root, &fleets), measured },
        report,
    );
    let budgets = budget::budgets(
        root,
        &budget::BudgetContext {
            fleets: fleets.iter().map(|(fleet, _)| fleet).collect(),
            all_sound: all_sound(root, &fleets),
            phases: budget::names(root, "phase"),
            steps: steps(phases.iter().map(|draft| &draft.phase)),
            warm_up: settings.warm_up > Span::ZERO,
            faults: budget::names(root, "fault"),
        },
        report,
    );
    CheckedDocument {
        name: scenario.text("name").unwrap_or_default().value().to_owned(),
        about: scenario.text("about").map(|about: Text| about.written().to_owned()),
        seed: scenario.integer("seed"),
        run: settings,
        target: target::target(&target),
        control_token: target::control_token(&target, report),
        reference: Setup::from_fields(&reference, report),
        phases: phases.into_iter().map(|draft| addressed(draft, &fleets, load, report)).collect(),
        fleets: fleets.into_iter().map(|(fleet, _)| fleet).collect(),
        faults: faults.faults,
        fault_canonical: faults.canonical,
        budgets,
        scrapes: scrape::scrapes(root, report),
        canonical,
    }
}

/// Checks the section of the reference system alone.
pub(super) fn setup(root: &Table, report: &mut Reporter<'_>) -> Setup {
    let fields = single(root, "reference", &service::REFERENCE, report);
    Setup::from_fields(&fields, report)
}

/// Whether every fleet of the document could be checked: of others nothing is known, not even whether they are fleets.
fn all_sound(root: &Table, fleets: &[(Fleet, Fields)]) -> bool {
    match root.0.get("fleet").map(|entry| &entry.node.value) {
        Some(Value::Table(table)) => {
            table.0.len() == fleets.len() && table.0.keys().all(|name| is_name(name))
        }
        _ => false,
    }
}

/// Checks the faults of a document alone: what they say of fleets is not looked at, and their instants count from nothing.
pub(super) fn faults(root: &Table, report: &mut Reporter<'_>) -> Vec<Fault> {
    let frame = fault::FaultContext { fleets: &[], all_sound: false, measured: fault::LONGEST };
    fault::faults(root, &frame, report).faults
}

/// Checks the budgets of a document of nothing else, which are for `scenario`.
pub(super) fn budgets(root: &Table, scenario: &Scenario, report: &mut Reporter<'_>) -> Vec<Budget> {
    for (key, entry) in root.0.iter().filter(|(key, _)| *key != "budget") {
        let help = "a file of budgets has [[budget]] tables only";
        report.add(&entry.key, key, "does not belong here", help);
    }
    if !root.0.contains_key("budget") {
        let example = "add one: [[budget]] with p99 = \"<250ms\"";
        report.add(&Origin::Whole, "budget", "there is no budget", example);
    }
    let frame = budget::BudgetContext {
        fleets: scenario.fleets.iter().collect(),
        all_sound: true,
        phases: written(&scenario.phases),
        steps: steps(&scenario.phases),
        warm_up: scenario.run.warm_up > Span::ZERO,
        faults: scenario.faults.iter().map(|fault| fault.name.as_str()).collect(),
    };
    budget::budgets(root, &frame, report)
}

/// The phases as the file has them: of steps, the phase that they are of.
fn written(phases: &[Phase]) -> Vec<&str> {
    let mut names: Vec<&str> =
        phases.iter().map(|phase| phase.staircase.as_ref().unwrap_or(&phase.name).as_str()).collect();
    names.dedup();
    names
}

/// Every phase that is a step, behind the phase of the file that it is of.
fn steps<'p>(phases: impl IntoIterator<Item = &'p Phase>) -> Vec<(&'p str, &'p str)> {
    let step = |phase: &'p Phase| Some((phase.staircase.as_deref()?, phase.name.as_str()));
    phases.into_iter().filter_map(step).collect()
}

fn unknown_sections(root: &Table, report: &mut Reporter<'_>) {
    for (key, entry) in &root.0 {
        if TOP.iter().all(|(name, _)| name != key) {
            let known = TOP.map(|(_, title)| title).join(", ");
            let help = match nearest(key, TOP.map(|(name, _)| name)) {
                Some(meant) => {
                    if !root.0.contains_key(meant) {
                        report.excuse(meant);
                    }
                    let title =
                        TOP.iter().find(|(name, _)| *name == meant).map_or(meant, |(_, title)| *title);
                    format!("did you mean {title}?")
                }
                None => format!("known sections: {known}"),
            };
            report.add(&entry.key, key, "unknown section", help);
        }
    }
}

fn single(root: &Table, key: &str, section: &'static Section, report: &mut Reporter<'_>) -> Fields {
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
    check(section, &empty, key, &Origin::Whole, &mut Reporter::new(""))
}

fn frame<'f>(
    run: &'f RunSettings,
    target: &'f Fields,
    phases: &[phase::PhaseDraft],
    load: f64,
) -> fleet::FleetContext<'f> {
    let courses = |phase: &Phase| {
        std::iter::once(phase.load)
            .chain(phase.loads.values().copied())
            .map(LoadProfile::peak)
            .fold(1.0, f64::max)
    };
    let measured: u64 = phases.iter().map(|draft| draft.phase.duration.as_ns()).sum();
    let passed: f64 =
        phases.iter().map(|draft| draft.phase.duration.as_ns() as f64 * courses(&draft.phase)).sum();
    let horizon_ns = run.warm_up.as_ns() as f64 + passed;
    fleet::FleetContext { run, target, measured: Span::from_ns(measured), horizon_ns, load }
}

/// The phase with its factors for single fleets, once the fleets are known; their rates are `load` times those that they state.
fn addressed(
    draft: phase::PhaseDraft,
    fleets: &[(Fleet, Fields)],
    load: f64,
    report: &mut Reporter<'_>,
) -> Phase {
    let phase::PhaseDraft { mut phase, fields, repeats } = draft;
    let mut aside = report.aside();
    let report = if repeats { &mut aside } else { report };
    for key in ["loads", "rates"] {
        for (name, origin, found) in fields.map(key) {
            let path = format!("{}.{key}.{}", fields.path, quote(name));
            let Some((fleet, _)) = fleets.iter().find(|(fleet, _)| fleet.name == name) else {
                let names: Vec<&str> = fleets.iter().map(|(fleet, _)| fleet.name.as_str()).collect();
                let help = match nearest(name, names.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("there are: {}", quote(&names.join(", "))),
                };
                report.add(origin, &path, format!("there is no fleet `{}`", quote(name)), help);
                continue;
            };
            let Model::Open { rate, recorded_rate, .. } = &fleet.model else {
                let message = "only an open fleet has a rate that can be changed";
                report.add(origin, &path, message, "take this out");
                continue;
            };
            let FieldValue::Rate(wanted) = found else { continue };
            if recorded_rate.is_some() || rate.as_per_second() <= 0.0 {
                report.add(origin, &path, "the fleet's rate is recorded", "use `loads` to scale it");
            } else if phase.loads.contains_key(name) {
                report.add(origin, &path, "the fleet stands under `loads` too", "keep one of the two");
            } else {
                let factor = wanted.as_per_second() * load / rate.as_per_second();
                phase.loads.insert(name.to_owned(), LoadProfile::Flat(factor));
            }
        }
    }
    phase
}

/// Makes the phases last `total` together, each in proportion; the edges are rounded, not the lengths, so that the
/// total is exact.
fn scale<'p>(phases: impl Iterator<Item = &'p mut Phase>, total: Span, report: &mut Reporter<'_>) {
    let phases: Vec<_> = phases.collect();
    let before: u128 = phases.iter().map(|phase| u128::from(phase.duration.as_ns())).sum();
    if before == 0 {
        return;
    }
    let (mut passed, mut edge) = (0_u128, 0_u64);
    for phase in phases {
        passed += u128::from(phase.duration.as_ns());
        let next = (passed * u128::from(total.as_ns()) / before) as u64;
        phase.duration = Span::from_ns(next - edge);
        edge = next;
        if phase.duration < Span::from_ms(1) || phase.duration > Span::from_ms(720 * 3_600_000) {
            let message = format!("phase `{}` would last {}", phase.name, phase.duration);
            let origin = Origin::Given(format!("--duration {total}").into());
            report.add(&origin, "", message, "a phase lasts from 1ms to 720h");
        }
    }
}

/// The beginning of the SHA-256 of recorded numbers, in hexadecimal: what a digest says of a recording.
#[derive(Debug, Default)]
struct Fingerprint(Sha256);

impl Fingerprint {
    fn add(&mut self, value: f64) {
        self.0.update(value.to_bits().to_le_bytes());
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::units::hex(&self.0.clone().finalize()[..16]))
    }
}
