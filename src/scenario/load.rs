//! Reading a scenario: the only file access of this room, and the way from text to model.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::amendment::{self, Overrides};
use super::document::{self, Table};
use super::model::Scenario;
use super::problem::{Origin, Report, ScenarioError};
use super::section::{self, Checked};
use super::world::World;
use crate::seed::Seed;
use crate::service::Setup;

/// Largest scenario read, bytes.
const LARGEST: u64 = 1 << 20;

impl Scenario {
    /// Reads and checks the scenario in the file `path`, with `overrides` applied.
    ///
    /// # Errors
    /// If the file cannot be read, or with everything wrong in it at once.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Self, ScenarioError> {
        Self::parse(&path.display().to_string(), &read(path)?, overrides)
    }

    /// Checks the scenario in `text`, which came from `source`, with `overrides` applied.
    ///
    /// # Errors
    /// With everything wrong in it at once.
    pub fn parse(source: &str, text: &str, overrides: &Overrides) -> Result<Self, ScenarioError> {
        let mut report = report(source, text, overrides);
        let checked = check(text, overrides, &mut report);
        match (checked, report.into_faults(source)) {
            (Some(checked), None) => Ok(model(checked, source, text, overrides)),
            (_, Some(faults)) => Err(faults.into()),
            (None, None) => Err(ScenarioError::Unreadable {
                path: source.into(),
                reason: "nothing in it could be checked".into(),
            }),
        }
    }
}

/// Reads and checks how the reference system is to be set up: the section `[reference]` of the file `path`, if one is given,
/// with `overrides` applied. Other sections are passed over, so that any scenario will do.
///
/// # Errors
/// If the file cannot be read, or with everything wrong in that section at once.
pub fn load_setup(path: Option<&Path>, overrides: &Overrides) -> Result<Setup, ScenarioError> {
    let text = path.map_or(Ok(String::new()), read)?;
    let source = path.map_or_else(|| "the command line".to_owned(), |path| path.display().to_string());
    let mut report = report(&source, &text, overrides);
    let root = document(&text, overrides, &mut report);
    let setup = root.map(|root| section::setup(&root, &mut report)).unwrap_or_default();
    report.into_faults(&source).map_or(Ok(setup), |faults| Err(faults.into()))
}

fn read(path: &Path) -> Result<String, ScenarioError> {
    let unreadable = |reason: String| ScenarioError::Unreadable { path: path.to_owned(), reason };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(plain(&error)))?;
    String::from_utf8(bytes)
        .map_err(|error| unreadable(format!("byte {} is not UTF-8 text", error.utf8_error().valid_up_to())))
}

fn report<'t>(source: &str, text: &'t str, overrides: &Overrides) -> Report<'t> {
    let directory = Path::new(source).parent().unwrap_or(Path::new("")).to_owned();
    let world = World { environment: overrides.environment.clone(), directory };
    Report::within(if text.len() as u64 > LARGEST { "" } else { text }, world)
}

fn check(text: &str, overrides: &Overrides, report: &mut Report<'_>) -> Option<Checked> {
    let root = document(text, overrides, report)?;
    let mut checked = section::document(&root, overrides.duration, report);
    if let Some(seed) = overrides.seed {
        checked.seed = seed.0;
    }
    Some(checked)
}

/// The tables of a text, amended.
fn document(text: &str, overrides: &Overrides, report: &mut Report<'_>) -> Option<Table> {
    if text.len() as u64 > LARGEST {
        report.add(&Origin::Whole, "", "is larger than 1 MiB", "is it a scenario? split it or shorten it");
        return None;
    }
    let mut root = document::read(text, report);
    if !report.is_clean() {
        return None;
    }
    amendment::apply(&mut root, overrides, report);
    Some(root)
}

fn model(checked: Checked, source: &str, text: &str, overrides: &Overrides) -> Scenario {
    Scenario {
        name: checked.name,
        about: checked.about,
        seed: Seed(checked.seed),
        source: source.to_owned(),
        text: text.to_owned(),
        overrides: overrides.words(),
        run: checked.run,
        target: checked.target,
        reference: checked.reference,
        phases: checked.phases,
        fleets: checked.fleets,
        canonical: checked.canonical,
    }
}

/// An I/O error in words, without the number behind them.
pub(super) fn plain(error: &std::io::Error) -> String {
    let words = error.to_string();
    words.split_once(" (os error").map_or(words.clone(), |(plain, _)| plain.to_owned())
}
