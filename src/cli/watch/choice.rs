//! Which run is meant.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::args::WatchArgs;
use super::order::Orders;
use crate::cli::CliError;
use crate::cli::call::{Call, is_called, is_same, present};
use crate::cli::stored::{RESULTS, beneath, run_directory};

/// Stored runs that are named where none is under way.
const MOST_NAMED: usize = 5;

/// A run, and who takes orders for it.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) directory: PathBuf,
    pub(super) order: Option<Orders>,
}

/// The run that is named, or the newest one under way that was started here.
pub(super) fn choose(args: &WatchArgs) -> Result<Choice, CliError> {
    if let (Some(process), Some(run)) = (args.of, &args.run) {
        let directory = PathBuf::from(run);
        return Ok(Choice { order: Some(Orders::own(&directory, process)), directory });
    }
    let present = present();
    let Some(wanted) = &args.run else { return newest(&present, Path::new(".")) };
    let path = Path::new(wanted);
    if path.exists() {
        let directory = run_directory(path)?.to_owned();
        let call = present.iter().find(|call| is_same(&call.run.directory, &directory));
        return Ok(Choice { order: call.map(Orders::of), directory });
    }
    let mut meant: Vec<_> = present.iter().filter(|call| is_called(&call.run, wanted)).collect();
    match (meant.pop(), meant.is_empty()) {
        (Some(call), true) => Ok(Choice::under_way(call)),
        (Some(_), false) => Err(CliError::usage(format!(
            "several tests `{wanted}` are running; name one by its directory:{}",
            list(&present)
        ))),
        (None, _) => Err(CliError::usage(format!(
            "there is no directory `{wanted}`, and no running test is called so{}",
            if present.is_empty() { String::new() } else { format!("; running:{}", list(&present)) }
        ))),
    }
}

impl Choice {
    fn under_way(call: &Call) -> Self {
        Self { directory: PathBuf::from(&call.run.directory), order: Some(Orders::of(call)) }
    }
}

/// The newest run of those started `here`.
fn newest(present: &[Call], here: &Path) -> Result<Choice, CliError> {
    let own = present.iter().filter(|call| is_same(&call.run.started_in, here));
    if let Some(call) = own.min_by(|one, other| one.run.at_s.total_cmp(&other.run.at_s)) {
        return Ok(Choice::under_way(call));
    }
    let mut message = "no test that was started in this directory is running".to_owned();
    if !present.is_empty() {
        let _ = write!(message, "; name one of those running elsewhere:{}", list(present));
    }
    let stored = beneath(&here.join(RESULTS));
    if !stored.is_empty() {
        let plain = |run: &PathBuf| run.strip_prefix(".").unwrap_or(run).display().to_string();
        let named: Vec<_> =
            stored.iter().take(MOST_NAMED).map(|run| format!("\n  squall watch {}", plain(run))).collect();
        let _ = write!(message, "; replay a stored one, newest first:{}", named.concat());
    }
    Err(CliError::failed(message))
}

fn list(present: &[Call]) -> String {
    let line = |call: &Call| {
        let run = &call.run;
        format!("\n  {}  {}, {:.0} s, {}", run.id, run.scenario, run.at_s, run.directory)
    };
    present.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::control::protocol::RunInfo;

    fn call(id: &str, started_in: &Path, at_s: f64) -> Call {
        Call::silent(RunInfo {
            id: id.into(),
            directory: format!("/runs/{id}"),
            started_in: started_in.display().to_string(),
            scenario: "s".into(),
            pid: 7,
            at_s,
        })
    }

    #[test]
    fn the_newest_run_of_this_directory_is_meant_and_otherwise_all_there_are_named() {
        let here = tempfile::tempdir().unwrap();
        let elsewhere = Path::new("/");
        let running =
            [call("old", here.path(), 90.0), call("new", here.path(), 3.0), call("far", elsewhere, 1.0)];
        assert_eq!(newest(&running, here.path()).unwrap().directory, Path::new("/runs/new"));
        for name in ["2026-01-01T00-00-00Z", "2026-01-02T00-00-00Z"] {
            let run = here.path().join("results/s").join(name);
            std::fs::create_dir_all(&run).unwrap();
            std::fs::write(run.join("run.json"), "{}").unwrap();
        }
        let error = newest(&running[2..], here.path()).unwrap_err().message;
        let (far, first) = (error.find("far  s, 1 s, /runs/far"), error.find("2026-01-02"));
        assert!(far.is_some() && first < error.find("2026-01-01"), "{error}");
    }
}
