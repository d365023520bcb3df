//! `squall new`: a commented scenario to start from, for a chosen situation.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::args::NewArgs;
use super::exit::Exit;
use super::screen;
use super::{CliError, folder};
use crate::protocol::protocols;

/// A situation, and the scenario shipped for it.
struct Situation {
    name: Cow<'static, str>,
    text: &'static str,
}

macro_rules! situations {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../scenarios/", $name, ".toml")))),*]
    };
}

static SITUATIONS: &[(&str, &str)] = situations![
    "quickstart",
    "ci-smoke",
    "ci",
    "steady",
    "poisson",
    "burst",
    "heavy-tail",
    "diurnal",
    "top-of-minute",
    "herd-reconnect",
    "store-and-forward",
    "sleepy",
    "roll-out",
    "replay",
    "mixed-protocols",
    "large-fleet",
    "bad-links",
    "partition",
    "half-open",
    "lost-verdicts",
    "qos",
    "reconnect-storm",
    "slow-consumer",
    "spike",
    "stall",
    "service-faults",
    "broken-sensors",
    "by-hand",
    "exec-pause",
    "wrong-tokens",
    "external-tls",
];

/// All situations; the last are services of the user's: one over TLS, and one per protocol.
fn situations() -> impl Iterator<Item = Situation> {
    let external = protocols()
        .map(|facts| Situation { name: format!("external-{}", facts.protocol).into(), text: facts.template });
    SITUATIONS.iter().map(|(name, text)| Situation { name: Cow::Borrowed(name), text }).chain(external)
}

/// Recordings that scenarios refer to, by the path they refer to them by.
static RECORDINGS: &[(&str, &str)] =
    &[("data/machine.csv", include_str!("../../scenarios/data/machine.csv"))];

/// Writes a starter, or lists what there is.
pub(super) fn new(args: &NewArgs) -> Result<Exit, CliError> {
    let Some(wanted) = &args.situation else { return list() };
    let Some(situation) = situations().find(|situation| situation.name == *wanted) else {
        let names: Vec<_> = situations().map(|situation| situation.name).collect();
        return Err(CliError::usage(format!(
            "unknown situation `{wanted}`; known are: {}",
            names.join(", ")
        )));
    };
    let path = args.file.clone().unwrap_or_else(|| PathBuf::from(format!("{wanted}.toml")));
    let name = name_of(&path)?;
    let text =
        situation.text.replacen(&format!("name = \"{}\"", situation.name), &format!("name = \"{name}\""), 1);
    write_new(&path, &text)?;
    for (recording, content) in RECORDINGS.iter().filter(|(recording, _)| text.contains(recording)) {
        let beside = path.parent().unwrap_or(Path::new("")).join(recording);
        // One that is there already may hold the user's own data.
        if !beside.exists() {
            write_new(&beside, content)?;
        }
    }
    say(&format!("{} is yours to change; next: squall check {}", path.display(), path.display()))
}

/// Writes a file that must not be there yet.
fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let made = folder::ensure(folder::of(path));
    let written = made.and_then(|()| OpenOptions::new().write(true).create_new(true).open(path));
    written.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        let remedy = if error.kind() == io::ErrorKind::AlreadyExists {
            "it is there already; give another name, or move it away"
        } else {
            "give a path that can be written"
        };
        CliError::failed(format!("cannot write {}: {error}; {remedy}", path.display()))
    })
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

fn list() -> Result<Exit, CliError> {
    let widest = situations().map(|situation| situation.name.len()).max().unwrap_or(0);
    let mut text = String::from("squall new SITUATION [FILE] writes a commented scenario for:\n");
    for Situation { name, text: scenario } in situations() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<widest$}  {}", about(scenario));
    }
    say(text.trim_end())
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
    fn a_file_names_its_scenario() {
        for (path, name) in [("load.toml", "load"), ("a/My Load_2.toml", "my-load-2"), ("x", "x")] {
            assert_eq!(name_of(Path::new(path)).unwrap(), name);
        }
        assert!(name_of(Path::new("é.toml")).is_err());
    }
}
