//! Stored runs: the directory that is meant, and the newest of a folder.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{CliError, folder, screen};
use crate::results::{RunState, load_manifest};
use crate::units::plural;

/// Where runs go unless `--out` says otherwise.
pub(super) const RESULTS: &str = "results";

/// Runs named where the directory of several is given.
const MOST_NAMED: usize = 3;
/// Entries of a folder that are looked at.
const MOST_LOOKED_AT: usize = 10_000;
/// How the name of a run's directory begins: `2026-11-20T21-41-15Z`.
const STAMP: &str = "0000-00-00T00-00-00Z";

/// The directory of the run at `given`, which may be its manifest; where nothing is given, the newest run here, which is said.
///
/// # Errors
/// If `given` is the folder of several runs, or nothing is given and there is none.
pub(super) fn run(given: Option<&Path>) -> Result<PathBuf, CliError> {
    if let Some(path) = given {
        return run_directory(path).map(Path::to_owned);
    }
    let Some(newest) = beneath(Path::new(RESULTS)).into_iter().next() else {
        return Err(CliError::failed(format!(
            "there is no run under {RESULTS}/ here: give the directory of one, the one with run.json"
        )));
    };
    // What cannot be read is said where the run is.
    let state = load_manifest(&newest).map(|manifest| manifest.state).ok();
    let unfinished = state.filter(|state| *state != RunState::Complete);
    let state = unfinished.map_or_else(String::new, |state| format!(", {}", state.name()));
    screen::note(&format!("note: the newest run under {RESULTS}/: {}{state}", newest.display()));
    Ok(newest)
}

/// The directory of the run at `path`, which may be its manifest.
///
/// # Errors
/// If it is the folder of several.
pub(super) fn run_directory(path: &Path) -> Result<&Path, CliError> {
    if path.file_name().is_some_and(|name| name == "run.json") && path.is_file() {
        return Ok(folder::of(path));
    }
    if path.join("run.json").exists() {
        return Ok(path);
    }
    let runs = beneath(path);
    if runs.is_empty() {
        return Ok(path);
    }
    let named: Vec<_> = runs.iter().take(MOST_NAMED).map(|run| run.display().to_string()).collect();
    let more = if runs.len() > named.len() { ", …" } else { "" };
    let message = format!(
        "{} is not a run but holds {}: give one, {}{more}",
        path.display(),
        plural(runs.len() as u64, "run"),
        named.join(", ")
    );
    Err(CliError::failed(message))
}

/// The runs in `folder` and in the folders of it, one for each scenario; the newest first, by the instants that their
/// names begin with, and behind them those that are called otherwise.
pub(super) fn beneath(folder: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().take(MOST_LOOKED_AT).flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let (mut runs, scenarios): (Vec<PathBuf>, Vec<PathBuf>) =
        entries(folder).into_iter().partition(|entry| is_run(entry));
    runs.extend(scenarios.iter().flat_map(|scenario| entries(scenario)).filter(|entry| is_run(entry)));
    runs.sort_by_cached_key(|run| Reverse(age(run)));
    runs
}

fn is_run(path: &Path) -> bool {
    path.join("run.json").is_file()
}

/// What orders runs by age: the instant of the name, then, of the same second, the last change of the manifest, then the name.
fn age(run: &Path) -> (Option<String>, Option<SystemTime>, PathBuf) {
    let name = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stamp = name.get(..STAMP.len()).filter(|stamp| {
        let digit = |byte: u8| if byte.is_ascii_digit() { b'0' } else { byte };
        stamp.bytes().map(digit).eq(STAMP.bytes())
    });
    let changed = run.join("run.json").metadata().and_then(|manifest| manifest.modified()).ok();
    (stamp.map(str::to_owned), changed, run.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs_in(folder: &Path, names: &[&str]) {
        for name in names {
            fs::create_dir_all(folder.join(name)).unwrap();
            fs::write(folder.join(name).join("run.json"), "{}").unwrap();
        }
    }

    #[test]
    fn a_run_is_found_by_its_manifest_and_named_where_its_parent_is_given() {
        let out = tempfile::tempdir().unwrap();
        let stamps = ["2026-01-01T00-00-00Z", "2026-01-02T00-00-00Z-b", "2026-01-03T00-00-00Z", "first"];
        runs_in(out.path(), &stamps);
        let run = out.path().join(stamps[0]);
        for given in [run.clone(), run.join("run.json")] {
            assert_eq!(run_directory(&given).unwrap(), run);
        }
        let error = run_directory(out.path()).unwrap_err().message;
        let newest = out.path().join(stamps[2]).display().to_string();
        assert!(
            error.contains(&format!("holds 4 runs: give one, {newest}")) && error.ends_with('…'),
            "{error}"
        );
        let nowhere = out.path().join("e");
        assert_eq!(run_directory(&nowhere).unwrap(), nowhere);
    }

    #[test]
    fn runs_of_all_scenarios_are_in_the_order_of_their_age() {
        let out = tempfile::tempdir().unwrap();
        let (old, new) = ("b/2026-01-01T00-00-00Z", "a/2026-01-01T00-00-01Z-label");
        runs_in(out.path(), &["a/baseline", old, new, "c/pair/2026-02-01T00-00-00Z"]);
        assert_eq!(beneath(out.path()), [new, old, "a/baseline"].map(|name| out.path().join(name)));
        assert_eq!(beneath(&out.path().join("d")), [] as [PathBuf; 0]);
    }
}
