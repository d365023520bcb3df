//! Reading a scenario: the only file access of this room, and the way from text to model.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::amendment::{self, Overrides};

use super::encoding;
use super::error::ScenarioError;
use super::model::{Scenario, Secrets};
use super::section::{self, CheckedDocument};
use crate::budget::Budget;
use crate::fault::Fault;
use crate::language::{
    self, Context, Diagnostic, Diagnostics, Environment, Location, Origin, Reporter, Table, quote,
};
use crate::seed::Seed;
use crate::service::Setup;

/// Kinds of faults that act on the network, whatever is spoken over it.
pub(crate) const NETWORK_FAULTS: &[&str] = section::NETWORK_FAULTS;
/// The word by which a fleet accepts whatever certificate a server presents.
pub(crate) const INSECURE: &str = section::INSECURE;
/// Largest scenario read, bytes.
const LARGEST: u64 = 1 << 20;
/// What to do where there is no scenario; true of squall wherever it is installed.
const ELSEWHERE: &str = "give the path of a scenario file; `squall new quickstart` writes one";
/// What a scenario is called, and how it is asked for.
const SCENARIO: (&str, &str) = ("scenario file", "scenario file; `squall new quickstart` writes one");

impl Scenario {
    /// Reads and checks the scenario in the file `path`, with `overrides` applied.
    ///
    /// # Errors
    /// If the file cannot be read, or with everything wrong in it at once.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Self, ScenarioError> {
        Self::parse(&path.display().to_string(), &read(path, SCENARIO)?, overrides)
    }

    /// Checks the scenario in `text`, which came from `source`, with `overrides` applied.
    ///
    /// # Errors
    /// With everything wrong in it at once.
    pub fn parse(source: &str, text: &str, overrides: &Overrides) -> Result<Self, ScenarioError> {
        let mut report = report(source, text, overrides);
        let checked = check(text, overrides, &mut report);
        let secrets = Secrets(report.context().revealed.borrow().iter().cloned().collect());
        match (checked, report.into_diagnostics(source)) {
            (Some(checked), None) => Ok(Self { secrets, ..model(checked, source, text, overrides) }),
            (_, Some(diagnostics)) => Err(diagnostics.into()),
            (None, None) => Err(ScenarioError::Unreadable {
                path: source.into(),
                reason: "nothing in it could be checked".into(),
                remedy: ELSEWHERE.into(),
            }),
        }
    }
}

/// Reads and checks how the reference system is to be set up: the section `[reference]` of the file `path`, if one is given,
/// with `overrides` applied. Other sections are passed over, so that any scenario will do.
///
/// # Errors
/// If the file cannot be read, or with everything wrong in that section at once.
pub(crate) fn load_setup(path: Option<&Path>, overrides: &Overrides) -> Result<Setup, ScenarioError> {
    let text = path.map_or(Ok(String::new()), |path| read(path, SCENARIO))?;
    let source = path.map_or_else(|| "the command line".to_owned(), |path| path.display().to_string());
    let mut report = report(&source, &text, overrides);
    let root = document(&text, overrides, &mut report);
    let setup = root.map(|root| section::setup(&root, &mut report)).unwrap_or_default();
    report.into_diagnostics(&source).map_or(Ok(setup), |diagnostics| Err(diagnostics.into()))
}

/// Reads and checks the `[[fault]]` tables of the file `path`; other sections are passed over. Their instants count from
/// wherever the caller begins.
///
/// # Errors
/// If the file cannot be read, or with everything wrong in those tables at once.
pub(crate) fn load_faults(path: &Path) -> Result<Vec<Fault>, ScenarioError> {
    faults(&path.display().to_string(), &read(path, ("file of faults", "file with [[fault]] tables"))?)
}

/// Reads and checks the `[[budget]]` tables of the file `path`, which holds nothing else and is for `scenario`.
///
/// # Errors
/// If the file cannot be read, or with everything wrong in it at once.
pub(crate) fn load_budgets(
    path: &Path,
    scenario: &Scenario,
    environment: Environment,
) -> Result<Vec<Budget>, ScenarioError> {
    let (source, text) = (
        path.display().to_string(),
        read(path, ("budget file", "budget file, which holds [[budget]] tables"))?,
    );
    let overrides = Overrides { environment, ..Overrides::default() };
    let mut report = report(&source, &text, &overrides);
    let root = document(&text, &overrides, &mut report);
    let budgets = root.map(|root| section::budgets(&root, scenario, &mut report)).unwrap_or_default();
    report.into_diagnostics(&source).map_or(Ok(budgets), |diagnostics| Err(diagnostics.into()))
}

/// Reads and checks faults stated in a line each: `latency,delay=100ms,share=0.5`. A value is TOML if it parses as TOML, else a
/// text as it stands. Each is named by its kind and its place, unless it has a `name`.
///
/// # Errors
/// With everything wrong in them at once.
pub(crate) fn inline_faults(lines: &[String]) -> Result<Vec<Fault>, ScenarioError> {
    let mut text = String::new();
    if let Some(line) = lines.iter().find(|line| parts(line).iter().any(|part| part.is_empty())) {
        return Err(incomplete(line));
    }
    for (nth, line) in lines.iter().enumerate() {
        let mut parts = parts(line).into_iter();
        let kind = parts.next().unwrap_or_default();
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "[[fault]]\nkind = {}", quoted(kind));
        let pairs: Vec<(&str, &str)> = parts.map(|part| part.split_once('=').unwrap_or((part, ""))).collect();
        if pairs.iter().all(|(key, _)| key.trim() != "name") {
            let _ = writeln!(text, "name = {}", quoted(&format!("{kind}-{}", nth + 1)));
        }
        for (key, value) in pairs {
            let (key, value) = (key.trim(), value.trim());
            let is_toml = toml::from_str::<toml::Table>(&format!("v = {value}")).is_ok();
            let value = if is_toml { value.to_owned() } else { quoted(value) };
            let key = if is_bare(key) { key.to_owned() } else { quoted(key) };
            let _ = writeln!(text, "{key} = {value}");
        }
    }
    faults("--fault", &text)
}

/// A fault on the command line with nothing before, between or behind its commas.
fn incomplete(line: &str) -> ScenarioError {
    let message = if line.trim().is_empty() { "is empty" } else { "has an empty part" };
    let problem = Diagnostic {
        location: Location::Given(format!("--fault {}", quote(line))),
        key: String::new(),
        message: message.to_owned(),
        help: "write KIND[,KEY=VALUE]..., for example latency,delay=100ms".to_owned(),
    };
    Diagnostics { file: "--fault".to_owned(), problems: vec![problem], omitted: 0 }.into()
}

fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// The parts of a line between commas that stand outside brackets and quotes.
fn parts(line: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut from) = (0_i32, false, 0);
    let mut parts = Vec::new();
    for (at, letter) in line.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            '{' | '[' if !quoted => depth += 1,
            '}' | ']' if !quoted => depth -= 1,
            ',' if !quoted && depth <= 0 => {
                parts.push(line[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(line[from..].trim());
    parts
}

fn faults(source: &str, text: &str) -> Result<Vec<Fault>, ScenarioError> {
    let overrides = Overrides::default();
    let mut report = report(source, text, &overrides);
    let root = document(text, &overrides, &mut report);
    let faults = root.map(|root| section::faults(&root, &mut report)).unwrap_or_default();
    report.into_diagnostics(source).map_or(Ok(faults), |diagnostics| Err(diagnostics.into()))
}

/// The text of the file at `path`, which is to be `what`: in a word, and as it is asked for where there is none.
fn read(path: &Path, (word, what): (&str, &str)) -> Result<String, ScenarioError> {
    let unreadable = |(reason, remedy)| ScenarioError::Unreadable { path: path.to_owned(), reason, remedy };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable((plain(&error), format!("give the path of a {what}"))))?;
    encoding::text(bytes, word).map_err(unreadable)
}

fn report<'t>(source: &str, text: &'t str, overrides: &Overrides) -> Reporter<'t> {
    let directory = Path::new(source).parent().unwrap_or(Path::new("")).to_owned();
    let context = Context {
        environment: overrides.environment.clone(),
        directory,
        sections: section::all(),
        ..Context::default()
    };
    Reporter::within(if text.len() as u64 > LARGEST { "" } else { text }, context)
}

fn check(text: &str, overrides: &Overrides, report: &mut Reporter<'_>) -> Option<CheckedDocument> {
    let root = document(text, overrides, report)?;
    let mut checked = section::document(&root, overrides, report);
    if let Some(seed) = overrides.seed {
        checked.seed = seed.0;
    }
    Some(checked)
}

/// The tables of a text, amended.
fn document(text: &str, overrides: &Overrides, report: &mut Reporter<'_>) -> Option<Table> {
    if text.len() as u64 > LARGEST {
        report.add(&Origin::Whole, "", "is larger than 1 MiB", "is it a scenario? split it or shorten it");
        return None;
    }
    let mut root = language::read(text, report);
    if !report.is_clean() {
        return None;
    }
    amendment::apply(&mut root, overrides, report);
    Some(root)
}

fn model(checked: CheckedDocument, source: &str, text: &str, overrides: &Overrides) -> Scenario {
    Scenario {
        name: checked.name,
        about: checked.about,
        seed: Seed(checked.seed),
        source: source.to_owned(),
        text: language::veiled(text),
        overrides: overrides.words(),
        run: checked.run,
        target: checked.target,
        control_token: checked.control_token,
        reference: checked.reference,
        phases: checked.phases,
        fleets: checked.fleets,
        faults: checked.faults,
        budgets: checked.budgets,
        scrapes: checked.scrapes,
        fault_canonical: checked.fault_canonical,
        canonical: checked.canonical,
        secrets: Secrets::default(),
    }
}

/// An I/O error in words, without the number behind them.
pub(super) fn plain(error: &std::io::Error) -> String {
    let words = error.to_string();
    words.split_once(" (os error").map_or(words.clone(), |(plain, _)| plain.to_owned())
}
