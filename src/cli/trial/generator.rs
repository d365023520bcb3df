//! One run of the generator against one build, in a process of its own: memory, sockets and timers begin fresh every time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use serde::Deserialize;

use super::args::GeneratorArgs;
use super::build::TargetAddress;
use super::process::{POLL, Process, last_lines};
use crate::cli::amendment::OverrideArgs;
use crate::cli::exit::Exit;

/// What is driven, and what is to be written where.
pub(in crate::cli) struct RunRequest<'a> {
    pub(in crate::cli) scenario: &'a Path,
    pub(in crate::cli) targets: &'a [TargetAddress],
    pub(in crate::cli) seed: u64,
    /// What is changed about it; the seed apart.
    pub(in crate::cli) overrides: &'a OverrideArgs,
    /// Further budgets.
    pub(in crate::cli) budget: Option<&'a Path>,
    pub(in crate::cli) label: &'a str,
    /// Directory under which the run's own is made.
    pub(in crate::cli) out: &'a Path,
    /// Where the report and what else is printed go, without extension.
    pub(in crate::cli) log: &'a Path,
}

/// How a run ended.
#[derive(Debug)]
pub(in crate::cli) enum RunResult {
    /// Its directory is evidence.
    Done(PathBuf),
    /// The generator calls its own figures invalid.
    Invalid(PathBuf),
    /// It was interrupted.
    Interrupted,
    /// It could not be done: what it said.
    Failed(String),
}

/// What is read of the report.
#[derive(Deserialize)]
struct ReportHead {
    directory: PathBuf,
}

/// Runs the generator; `interrupts` is how often the user has interrupted so far, and `dead` whether the build has died
/// meanwhile, which ends the run early.
pub(in crate::cli) fn run(
    request: &RunRequest<'_>,
    args: &GeneratorArgs,
    interrupts: impl Fn() -> u32,
    mut dead: impl FnMut() -> bool,
) -> RunResult {
    let (report, log) = (request.log.with_extension("json"), request.log.with_extension("log"));
    let command = match command(request, args, &report, &log) {
        Ok(command) => command,
        Err(error) => return RunResult::Failed(format!("the generator cannot be started: {error}")),
    };
    let mut process = match Process::start(command, &log, args.pin_generator.as_ref()) {
        Ok(process) => process,
        Err(error) => return RunResult::Failed(format!("the generator cannot be started: {error}")),
    };
    let mut passed_on = 0;
    let status = loop {
        if let Some(status) = process.ended() {
            break status;
        }
        // It hears no interrupt at the terminal itself: it would hear this one twice.
        if interrupts() > passed_on || passed_on == 0 && dead() {
            passed_on += 1;
            process.signal(Signal::SIGINT);
        }
        std::thread::sleep(POLL);
    };
    let directory = File::open(&report)
        .ok()
        .and_then(|file| serde_json::from_reader::<_, ReportHead>(std::io::BufReader::new(file)).ok())
        .map(|printed| printed.directory);
    let is = |exit: Exit| status.code() == Some(i32::from(exit.code()));
    match directory {
        _ if interrupts() > 0 => RunResult::Interrupted,
        Some(directory) if is(Exit::Invalid) => RunResult::Invalid(directory),
        // A service that answers nothing, breaks promises or budgets is evidence all the same.
        Some(directory) if is(Exit::Fine) || is(Exit::Failed) || is(Exit::Budget) => {
            RunResult::Done(directory)
        }
        _ => RunResult::Failed(format!("the generator ended ({status}); {}", last_lines(&log))),
    }
}

fn command(
    request: &RunRequest<'_>,
    args: &GeneratorArgs,
    report: &Path,
    log: &Path,
) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("run").arg(request.scenario).args(["--quiet", "--json"]);
    command.arg("--out").arg(request.out).arg(format!("--label={}", request.label));
    command.arg("--seed").arg(request.seed.to_string());
    for place in request.targets.iter().filter(|place| !place.by_scenario) {
        command.arg("--target").arg(format!("{}={}", place.protocol, place.url));
    }
    if let Some(duration) = request.overrides.duration {
        command.arg("--duration").arg(duration.to_string());
    }
    if let Some(load) = request.overrides.load {
        command.arg("--load").arg(load.to_string());
    }
    for set in &request.overrides.set {
        command.arg("--set").arg(set);
    }
    if let Some(budget) = request.budget {
        command.arg("--budget").arg(budget);
    }
    if let Some(workers) = args.workers {
        command.arg("--workers").arg(workers.to_string());
    }
    command.stdout(File::create(report)?).stderr(File::create(log)?);
    Ok(command)
}
