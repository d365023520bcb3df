//! `squall new`: a commented scenario to start from, for a chosen situation.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};

use super::args::NewArgs;
use super::exit::Exit;
use super::screen;
use super::{CliError, folder};
use crate::display::hanging;
use crate::language::{alternatives, nearest, quote};
use crate::protocol::protocols;

/// The purpose of those for a service that is not the bundled one.
const EXTERNAL: &str = "a service of your own";

/// A situation, and the scenario shipped for it.
struct Situation {
    purpose: &'static str,
    name: Cow<'static, str>,
    text: &'static str,
}

macro_rules! situations {
    ($($purpose:expr => $($name:literal),*;)*) => {
        &[$(($purpose, &[$(($name, include_str!(concat!("../../scenarios/", $name, ".toml")))),*])),*]
    };
}

/// Names and texts, by the purpose that a user would look under.
type Purposes = &'static [(&'static str, &'static [(&'static str, &'static str)])];

static SITUATIONS: Purposes = situations![
    "to begin with" => "quickstart", "steady", "poisson";
    "a gate in CI" => "ci", "ci-smoke";
    "how much it can take" => "capacity", "knee", "burst", "large-fleet", "mixed-protocols";
    "load as it comes" => "diurnal", "top-of-minute", "heavy-tail", "replay";
    "devices as they are" => "sleepy", "store-and-forward", "roll-out", "new-schema", "herd-reconnect", "reconnect-storm";
    "a bad network" => "bad-links", "partition", "half-open", "lost-verdicts", "qos", "slow-consumer";
    "devices that misbehave" => "broken-sensors", "two-models", "spike", "wrong-tokens";
    "real-time systems, and who waits for them" => "chat-room", "live-feed", "ticks", "live-scores", "notification-centre", "collaborative-edit",
        "push-and-pull";
    "a service in trouble" => "stall", "outage-that-stays", "outage-that-heals", "service-faults", "exec-pause", "by-hand";
    EXTERNAL => "external-tls", "external-ws-subscribers", "external-mqtt-subscribers";
];

/// All situations, those of one purpose together; the last are services of the user's, among them one per protocol.
fn situations() -> impl Iterator<Item = Situation> {
    let shipped = SITUATIONS.iter().flat_map(|(purpose, shipped)| {
        shipped.iter().map(move |(name, text)| Situation { purpose, name: Cow::Borrowed(name), text })
    });
    let external = protocols().map(|facts| Situation {
        purpose: EXTERNAL,
        name: format!("external-{}", facts.protocol).into(),
        text: facts.template,
    });
    shipped.chain(external)
}

/// The names of all situations.
fn names() -> &'static [String] {
    static NAMES: LazyLock<Vec<String>> =
        LazyLock::new(|| situations().map(|situation| situation.name.into_owned()).collect());
    &NAMES
}

/// Takes any word, for [`new()`] answers a misspelled one, and tells shells which situations there are.
#[derive(Debug, Clone)]
pub(super) struct SituationParser;

impl TypedValueParser for SituationParser {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(names().iter().map(|name| PossibleValue::new(name.as_str()))))
    }
}

/// Recordings that scenarios refer to, by the path they refer to them by.
static RECORDINGS: &[(&str, &str)] =
    &[("data/machine.csv", include_str!("../../scenarios/data/machine.csv"))];

/// Writes a starter, or lists what there is.
pub(super) fn new(args: &NewArgs) -> Result<Exit, CliError> {
    let Some(wanted) = &args.situation else { return list() };
    let Some(situation) = situations().find(|situation| situation.name == *wanted) else {
        return Err(unknown(wanted));
    };
    let path = args.file.clone().unwrap_or_else(|| PathBuf::from(format!("{wanted}.toml")));
    let name = name_of(&path)?;
    let text =
        situation.text.replacen(&format!("name = \"{}\"", situation.name), &format!("name = \"{name}\""), 1);
    write_new(&path, &text, false)?;
    for (recording, content) in RECORDINGS.iter().filter(|(recording, _)| text.contains(recording)) {
        let beside = path.parent().unwrap_or(Path::new("")).join(recording);
        // One that is there already may hold the user's own data.
        if !beside.exists() {
            write_new(&beside, content, false)?;
        }
    }
    say(&format!("{} is yours to change; next: squall check {}", path.display(), path.display()))
}

/// Makes sure that a file that is to be written is not there yet.
pub(super) fn absent(path: &Path) -> Result<(), CliError> {
    if path.exists() { Err(unwritten(path, &io::ErrorKind::AlreadyExists.into())) } else { Ok(()) }
}

/// Writes a file that must not be there yet; one that is secret can be read by its owner alone.
pub(super) fn write_new(path: &Path, text: &str, is_secret: bool) -> Result<(), CliError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if is_secret {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = is_secret;
    let made = folder::ensure(folder::of(path)).and_then(|()| options.open(path));
    made.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| unwritten(path, &error))
}

/// Why a new file could not be written, and what to do about it.
fn unwritten(path: &Path, error: &io::Error) -> CliError {
    let remedy = if error.kind() == io::ErrorKind::AlreadyExists {
        "it is there already; give another name, or move it away"
    } else {
        "give a path that can be written"
    };
    CliError::failed(format!("cannot write {}: {error}; {remedy}", path.display()))
}

/// The name of a scenario in the file `path`.
fn name_of(path: &Path) -> Result<String, CliError> {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String =
        stem.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' }).collect();
    let name = name.trim_matches('-').chars().take(64).collect::<String>();
    if name.is_empty() {
        return Err(CliError::usage(format!(
            "`{}` gives no name for a scenario; write for example load.toml",
            path.display()
        )));
    }
    Ok(name)
}

/// Of a situation that there is not, the ones that were probably meant, else all.
fn unknown(wanted: &str) -> CliError {
    let names = names();
    // A file to write is given behind the situation.
    let word = wanted.strip_suffix(".toml").unwrap_or(wanted);
    let mut meant: Vec<&str> = nearest(word, names.iter().map(String::as_str)).into_iter().collect();
    if meant.is_empty() {
        let parts = |name: &&str| name.split('-').any(|part| part == word);
        meant = names.iter().map(String::as_str).filter(parts).collect();
    }
    let shown = quote(wanted);
    CliError::usage(if meant.is_empty() {
        format!("unknown situation `{shown}`; known are: {}", names.join(", "))
    } else {
        let meant: Vec<_> = meant.iter().map(|name| format!("`{name}`")).collect();
        format!("unknown situation `{shown}`; did you mean {}? `squall new` lists all", alternatives(&meant))
    })
}

fn list() -> Result<Exit, CliError> {
    say(&listing(screen::width(screen::USUAL)))
}

/// All situations and what they are about, in lines of at most `width` columns.
fn listing(width: usize) -> String {
    let widest = situations().map(|situation| situation.name.len()).max().unwrap_or(0);
    let mut text = String::from("squall new SITUATION [FILE] writes a commented scenario for:\n");
    let mut last = "";
    for Situation { purpose, name, text: scenario } in situations() {
        // Writing to a String cannot fail.
        if purpose != last {
            let _ = writeln!(text, "\n{purpose}");
        }
        for line in hanging(&format!("  {name:<widest$}  "), about(scenario), width) {
            let _ = writeln!(text, "{line}");
        }
        last = purpose;
    }
    text.trim_end().to_owned()
}

/// What a scenario says it is about.
fn about(scenario: &str) -> &str {
    let line = scenario.lines().find_map(|line| line.strip_prefix("about = \""));
    line.and_then(|line| line.split('"').next()).unwrap_or_default()
}

fn say(text: &str) -> Result<Exit, CliError> {
    screen::print(&format!("{text}\n"))?;
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_scenario_is_a_situation_and_says_what_it_is_about() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let shipped = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        for path in shipped.filter(|path| path.extension().is_some_and(|extension| extension == "toml")) {
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let situation = situations().find(|situation| situation.name == stem);
            let situation = situation.unwrap_or_else(|| panic!("{stem} is not a situation"));
            assert!(!about(situation.text).is_empty(), "{stem}");
            assert!(situation.text.contains(&format!("\nname = \"{stem}\"\n")), "{stem}");
        }
    }

    #[test]
    fn every_situation_is_named_once_and_each_purpose_is_in_one_place() {
        let mut purposes: Vec<_> = situations().map(|situation| situation.purpose).collect();
        purposes.dedup();
        let names = names().iter().map(String::as_str).collect();
        for (all, what) in [(names, "name"), (purposes, "purpose")] {
            let all: Vec<&str> = all;
            let mut distinct = all.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), all.len(), "a {what} is there twice: {all:?}");
        }
    }

    #[test]
    fn a_misspelled_situation_names_the_one_that_was_meant() {
        for (wanted, help) in [
            ("bursts", "did you mean `burst`? `squall new` lists all"),
            ("burst.toml", "did you mean `burst`? `squall new` lists all"),
            ("quikstart", "did you mean `quickstart`? `squall new` lists all"),
            ("storm", "did you mean `reconnect-storm`? `squall new` lists all"),
            ("reconnect", "did you mean `herd-reconnect` or `reconnect-storm`? `squall new` lists all"),
            ("apocalypse", "known are: quickstart, steady"),
        ] {
            let message = unknown(wanted).message;
            assert!(message.contains(help), "{message}");
        }
    }

    #[test]
    fn the_list_fits_the_screen_and_leaves_no_word_out() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for width in [80, 100, 160] {
            let text = listing(width);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
            assert_eq!(words(&text), words(&listing(1_000)), "{width}");
        }
    }

    #[test]
    fn a_file_names_its_scenario() {
        for (path, name) in [("load.toml", "load"), ("a/My Load_2.toml", "my-load-2"), ("x", "x")] {
            assert_eq!(name_of(Path::new(path)).unwrap(), name);
        }
        assert!(name_of(Path::new("é.toml")).is_err());
    }
}
