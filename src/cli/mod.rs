//! The command line: one file per command, exit codes, and the only place where rooms are wired together.

#[cfg(unix)]
mod ab;
mod amendment;
mod args;
mod calibrate;
#[cfg(unix)]
mod call;
#[cfg(unix)]
mod capacity;
mod check;
#[cfg(unix)]
mod compare;
mod completion;
mod exit;
mod export;
#[cfg(unix)]
mod fault;
mod folder;
mod lab;
mod man;
mod merge;
mod metrics;
mod new;
mod node;
#[cfg(unix)]
mod phase;
mod proxy;
mod report;
mod request;
mod run;
mod schema;
#[cfg_attr(not(feature = "reference"), path = "score_absent.rs")]
mod score;
mod screen;
mod serve;
mod shard;
mod signal;
mod stored;
#[cfg(unix)]
mod trial;
mod url;
#[cfg_attr(not(all(unix, feature = "live")), path = "watch_absent.rs")]
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
pub use exit::Exit;

use crate::results::Report;
use crate::run::RunError;

/// Why a command ended without success, and how the process exits.
#[derive(Debug)]
struct CliError {
    exit: Exit,
    message: String,
}

impl CliError {
    fn new(exit: Exit, message: &dyn ToString) -> Self {
        Self { exit, message: message.to_string() }
    }

    /// A failure of the world: unreachable, in use, not writable.
    #[expect(clippy::needless_pass_by_value, reason = "made to be handed to `map_err`")]
    fn failed<M: ToString>(message: M) -> Self {
        Self::new(Exit::Failed, &message)
    }

    /// A failure of what was asked.
    #[expect(clippy::needless_pass_by_value, reason = "made to be handed to `map_err`")]
    fn usage<M: ToString>(message: M) -> Self {
        Self::new(Exit::Usage, &message)
    }
}

impl From<RunError> for CliError {
    fn from(error: RunError) -> Self {
        let exit = match error {
            RunError::Usage(_) => Exit::Usage,
            RunError::Failed(_) => Exit::Failed,
        };
        Self::new(exit, &error)
    }
}

/// What to say of a run in which nothing was answered, or a fleet was left out: why, where that is known.
fn unanswered(report: &Report) -> String {
    let any = report.headline().is_some_and(|row| row.figures.ok > 0);
    let silence = report.run.silences.first().filter(|_| any);
    let plain =
        silence.map_or("no reading of the measured phases was answered ok", |own| own.reason.as_str());
    let reasons = report.reasons();
    let mut failures = reasons.iter().filter(|sum| sum.is_failure());
    match failures.find(|sum| silence.is_none_or(|own| own.fleet == sum.fleet)) {
        Some(most) => format!("{plain}: {}", most.sentence()),
        None => format!("{plain}; is this the right target?"),
    }
}

/// Everything that went wrong, as one.
fn all(done: impl IntoIterator<Item = Result<(), CliError>>) -> Result<(), CliError> {
    let faults: Vec<_> = done.into_iter().filter_map(Result::err).map(|error| error.message).collect();
    if faults.is_empty() { Ok(()) } else { Err(CliError::failed(faults.join("\n       "))) }
}

/// How a command exits that came to `exit` by itself, and then reported it as `reported` says: what could not be
/// reported is an error, but no reason to hide how a run went.
fn settle(exit: Exit, reported: Result<(), CliError>) -> Result<Exit, CliError> {
    match reported {
        Ok(()) => Ok(exit),
        Err(error) if exit == Exit::Fine => Err(error),
        Err(error) => {
            say(&error);
            Ok(exit)
        }
    }
}

fn say(error: &CliError) {
    screen::note(&format!("error: {}", error.message.trim_end()));
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    signal::outlive_limits();
    run_with(std::env::args_os()).into()
}

/// Names first the command that a word was probably meant to be; clap names it last.
fn ranked(mut error: clap::Error) -> clap::Error {
    use clap::error::{ContextKind, ContextValue};
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    let word = word.clone();
    if let Some(ContextValue::Strings(meant)) = error.get(ContextKind::SuggestedSubcommand) {
        let mut meant = meant.clone();
        meant.sort_by_key(|command| strsim::osa_distance(&word, command));
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(meant));
    }
    error
}

/// Why the command that was asked for is not there; `None` on a system that has it, and for any other word.
fn absent(error: &clap::Error, is_unix: bool) -> Option<CliError> {
    use clap::error::{ContextKind, ContextValue};
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let why = match word.as_str() {
        "ab" | "capacity" | "compare" => "services are started and stopped as groups of processes",
        "fault" | "phase" => "runs are spoken to over a Unix socket",
        _ => return None,
    };
    (!is_unix).then(|| CliError::usage(format!("`squall {word}` is there on Linux and macOS alone: {why}")))
}

/// Runs `squall` with `arguments`, the program's name first.
fn run_with(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments = url::arranged(arguments);
    if let Some(misplaced) = url::misplaced(&arguments) {
        say(&misplaced);
        return misplaced.exit;
    }
    let args = match Args::try_parse_from(&arguments) {
        Ok(args) => args,
        Err(error) => {
            if let Some(meant) = url::meant(&arguments, &error) {
                say(&meant);
                return meant.exit;
            }
            if let Some(absent) = absent(&error, cfg!(unix)) {
                say(&absent);
                return absent.exit;
            }
            let error = ranked(error);
            // Help and version are errors to clap too, with exit code 0; a closed pipe leaves nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Fine };
        }
    };
    let ended = match &args.command {
        Command::Url(args) => url::url(args),
        Command::Run(args) => run::run(args),
        #[cfg(unix)]
        Command::Fault(args) => fault::fault(args),
        #[cfg(unix)]
        Command::Phase(args) => phase::phase(args),
        #[cfg(unix)]
        Command::Ab(args) => ab::ab(args),
        #[cfg(unix)]
        Command::Capacity(args) => capacity::capacity(args),
        #[cfg(unix)]
        Command::Compare(args) => compare::compare(args),
        Command::Watch(args) => watch::watch(args),
        Command::Report(args) => report::report(args),
        Command::Check(args) => check::check(args),
        Command::Merge(args) => merge::merge(args),
        Command::New(args) => new::new(args),
        Command::Schema(args) => schema::schema(args),
        Command::Serve(args) => serve::serve(args),
        Command::Proxy(args) => proxy::proxy(args),
        Command::Score(args) => score::score(args),
        Command::Lab(args) => lab::lab(args),
        Command::Calibrate(args) => calibrate::calibrate(args),
        Command::Completions(args) => completion::completions(args),
        Command::Man(args) => man::man(args),
    };
    ended.unwrap_or_else(|error| {
        say(&error);
        error.exit
    })
}

#[cfg(test)]
mod tests;
