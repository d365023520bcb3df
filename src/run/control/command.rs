//! A shell command of the user's: runs in a process group of its own, has its output kept, and is killed when it takes too
//! long.

use std::fmt;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::sync::watch;

use super::output::Output;
use crate::engine::Order;
use crate::units::Span;

/// How long to wait for output after the command has ended: a process that it left behind may hold the pipe open.
const OUTPUT_GRACE: Duration = Duration::from_millis(50);

/// How long a killed command may take to vanish.
const KILL_GRACE: Duration = Duration::from_secs(2);

/// A command under way.
#[derive(Debug)]
pub(super) struct ShellCommand {
    child: tokio::process::Child,
    output: Output,
    timeout: Span,
    /// Elapses at the time-out.
    time: Pin<Box<tokio::time::Sleep>>,
}

/// How a command ended, and the last line it printed.
#[derive(Debug)]
pub(super) struct CommandResult {
    pub(super) how: CommandEnd,
    pub(super) last_line: String,
}

/// How a command ended.
#[derive(Debug)]
pub(super) enum CommandEnd {
    /// By itself.
    Finished(ExitStatus),
    /// It was killed after so long.
    TimedOut(Span),
    /// It was killed because the user would not wait.
    Cut,
    /// It never began.
    NotStarted(io::Error),
}

impl CommandResult {
    pub(super) const fn not_started(error: io::Error) -> Self {
        Self { how: CommandEnd::NotStarted(error), last_line: String::new() }
    }

    /// Whether it did what it should.
    pub(super) fn is_well(&self) -> bool {
        matches!(&self.how, CommandEnd::Finished(status) if status.success())
    }

    /// What to report about it; `None` if it succeeded silently.
    pub(super) fn remark(&self) -> Option<String> {
        (!self.is_well() || !self.last_line.is_empty()).then(|| self.to_string())
    }
}

impl fmt::Display for CommandResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.how {
            CommandEnd::Finished(status) if status.success() => return f.write_str(&self.last_line),
            CommandEnd::Finished(status) => write!(f, "{status}")?,
            CommandEnd::TimedOut(timeout) => write!(f, "killed after {timeout}")?,
            CommandEnd::Cut => f.write_str("killed, because the run was cut off")?,
            CommandEnd::NotStarted(error) => write!(f, "cannot be run: {error}")?,
        }
        if self.last_line.is_empty() { Ok(()) } else { write!(f, ": {}", self.last_line) }
    }
}

impl ShellCommand {
    /// Starts `script`, with its output going to the file `log`. Needs a tokio runtime with a local task set.
    ///
    /// # Errors
    /// If the shell cannot be started.
    #[cfg(unix)]
    pub(super) fn start(
        script: &str,
        timeout: Span,
        log: &Path,
        environment: &[(&str, &std::ffi::OsStr)],
    ) -> io::Result<Self> {
        let (from, into) = io::pipe()?;
        let mut command = tokio::process::Command::new("sh");
        command.arg("-c").arg(script).envs(environment.iter().copied());
        command.stdin(std::process::Stdio::null()).stdout(into.try_clone()?).stderr(into);
        // An interrupt at the terminal must not reach it, and a kill must reach all that it started.
        command.process_group(0);
        let child = command.spawn()?;
        // Its ends of the pipe are to be the only ones.
        drop(command);
        let output = Output::keep(from.into(), log)?;
        let time = Box::pin(tokio::time::sleep(timeout.as_duration()));
        Ok(Self { child, output, timeout, time })
    }

    #[cfg(not(unix))]
    pub(super) fn start(
        _script: &str,
        _timeout: Span,
        _log: &Path,
        _environment: &[(&str, &std::ffi::OsStr)],
    ) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "commands need a Unix shell"))
    }

    /// Waits for its end, for what is left of its time, or until the run is cut off where `orders` are heard.
    pub(super) async fn ended(&mut self, mut orders: Option<watch::Receiver<Order>>) -> CommandResult {
        let cut = async {
            let Some(orders) = &mut orders else { return std::future::pending().await };
            if orders.wait_for(|order| *order == Order::Abort).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let how = tokio::select! {
            status = self.child.wait() => status.map_or_else(CommandEnd::NotStarted, CommandEnd::Finished),
            () = &mut self.time => CommandEnd::TimedOut(self.timeout),
            () = cut => CommandEnd::Cut,
        };
        if matches!(how, CommandEnd::TimedOut(_) | CommandEnd::Cut) {
            self.kill().await;
        }
        let last_line = self.output.last_line(OUTPUT_GRACE).await;
        CommandResult { how, last_line }
    }

    /// Kills it with all that it started.
    #[cfg(unix)]
    async fn kill(&mut self) {
        use nix::sys::signal::{Signal, killpg};
        use nix::unistd::Pid;
        // Its number is its own for as long as nobody has waited for it.
        if let Some(group) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            // It may have ended at this very moment.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = tokio::time::timeout(KILL_GRACE, self.child.wait()).await;
    }

    #[cfg(not(unix))]
    async fn kill(&mut self) {
        let _ = tokio::time::timeout(KILL_GRACE, self.child.kill()).await;
    }
}
