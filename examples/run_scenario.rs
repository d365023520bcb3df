//! Runs a scenario against the bundled reference system, with progress on standard error.
//!
//! ```sh
//! cargo run --release --example run_scenario -- scenarios/quickstart.toml
//! ```

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use squall::{IntervalReport, Observer, Overrides, Plan, Run, Scenario, Settings};

struct Progress;

impl Observer for Progress {
    fn interval(&self, report: &IntervalReport) {
        let (planned, ok) = (report.total.planned_so_far, report.total.ok_so_far);
        let _ = writeln!(io::stderr(), "{}: {ok} of {planned} readings answered", report.end);
    }
}

/// Runs the scenario in the file `scenario`; gives the directory of the run's files under `out`.
pub(crate) fn run(scenario: &Path, overrides: &Overrides, out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let plan = Plan::new(Scenario::load(scenario, overrides)?);
    let settings = Settings { out: out.to_owned(), ..Settings::default() };
    // Without targets, here and in the scenario, the bundled reference system is started on free ports.
    let handle = Run::prepare(plan, &[], settings)?.start(vec![Arc::new(Progress)])?;
    let finished = handle.wait()?;
    Ok(finished.directory().to_owned())
}

fn main() -> Result<(), Box<dyn Error>> {
    let scenario = std::env::args().nth(1).unwrap_or_else(|| "scenarios/quickstart.toml".to_owned());
    let directory = run(Path::new(&scenario), &Overrides::default(), Path::new("results"))?;
    Ok(writeln!(io::stdout(), "{}", directory.display())?)
}
