//! A build under test: started as a fresh process, waited for, and stopped with all that it started.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::args::Cpus;
use super::pin;
use crate::clock::Monotonic;

/// How often a process is looked at.
pub(super) const POLL: Duration = Duration::from_millis(20);
/// How long a killed process may take to vanish.
const KILL_GRACE: Duration = Duration::from_secs(5);
/// The end of what a process printed that messages quote.
const LAST_LINES: usize = 12;
const LAST_BYTES: u64 = 4_096;

/// A process under way in a group of its own, what it prints going to a file.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
    /// Whether nobody of its group is left.
    gone: bool,
}

/// How a process was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum StopResult {
    /// It ended on SIGTERM.
    Ended,
    /// It had to be killed.
    Killed,
    /// It was dead already.
    Dead(ExitStatus),
}

impl Process {
    /// Has the shell run `script`.
    ///
    /// # Errors
    /// If the file cannot be written or the shell not be started.
    pub(super) fn shell(script: &str, log: &Path, cpus: Option<&Cpus>) -> io::Result<Self> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(script);
        let file = File::create(log)?;
        command.stdout(file.try_clone()?).stderr(file);
        Self::start(command, log, cpus)
    }

    /// Starts `command`, whose streams go where it says.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(super) fn start(mut command: Command, log: &Path, cpus: Option<&Cpus>) -> io::Result<Self> {
        // An interrupt at the terminal must not reach it by itself, and a signal must reach all that it started.
        command.stdin(Stdio::null()).process_group(0);
        let child = pin::start(cpus, || command.spawn())?;
        Ok(Self { child, log: log.to_owned(), ended: None, gone: false })
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Sends `signal` to it and all that it started.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(group) = self.group().filter(|_| !self.gone) {
            // It may have ended at this very moment.
            let _ = killpg(group, signal);
        }
    }

    /// Stops it with all that it started: SIGTERM, and SIGKILL to what is left after `patience`.
    pub(super) fn stop(mut self, patience: Duration) -> StopResult {
        let dead = self.ended();
        self.signal(Signal::SIGTERM);
        let gone = self.gone_within(patience);
        if !gone {
            self.signal(Signal::SIGKILL);
            // The next build wants the ports.
            let _ = self.gone_within(KILL_GRACE);
        }
        match dead {
            Some(status) => StopResult::Dead(status),
            None if gone => StopResult::Ended,
            None => StopResult::Killed,
        }
    }

    /// Waits for the end of the last process of its group for at most `patience`.
    fn gone_within(&mut self, patience: Duration) -> bool {
        let clock = Monotonic::start();
        loop {
            // Its number is its own for as long as somebody of the group is there.
            let alive = self.ended().is_none() || self.group().is_some_and(is_alive);
            if !alive {
                self.gone = true;
                return true;
            }
            if Duration::from_nanos(clock.now().0) >= patience {
                return false;
            }
            thread::sleep(POLL);
        }
    }

    fn group(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().map(Pid::from_raw)
    }

    /// The last lines of what it printed, indented.
    pub(super) fn last_lines(&self) -> String {
        last_lines(&self.log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.gone {
            self.signal(Signal::SIGKILL);
            let _ = self.gone_within(KILL_GRACE);
        }
    }
}

/// Whether a process of the group still does something: one that has ended holds no port, however long its parent takes to
/// hear of it.
fn is_alive(group: Pid) -> bool {
    killpg(group, None).is_ok() && members(group).is_none_or(|states| states.iter().any(|state| state != "Z"))
}

/// The states of the processes of a group; `None` where the system does not tell.
fn members(group: Pid) -> Option<Vec<String>> {
    let mut states = Vec::new();
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name in brackets may hold anything; then come state, parent and group (proc_pid_stat(5)).
        let mut fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace()).into_iter().flatten();
        if let (Some(state), Some(own)) = (fields.next(), fields.nth(1))
            && own == group.to_string()
        {
            states.push(state.to_owned());
        }
    }
    (!states.is_empty()).then_some(states)
}

/// The last lines of the file `log`, indented; a word of its own where there are none.
pub(super) fn last_lines(log: &Path) -> String {
    let text = tail(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return format!("it printed nothing ({})", log.display());
    }
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    format!("its last lines ({}):\n    {}", log.display(), last.join("\n    "))
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LAST_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LAST_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_stopped_with_all_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let (log, left) = (folder.path().join("log"), folder.path().join("left"));
        // The shell ends at once; what it started takes its time to say good-bye.
        let child =
            "trap 'sleep 0.3; echo bye > \"$LEFT\"; exit' TERM; echo up; while :; do sleep 0.05; done";
        let quoted = child.replace('\'', r"'\''");
        let script = format!("export LEFT='{}'; trap 'exit 0' TERM; sh -c '{quoted}' & wait", left.display());
        let process = Process::shell(&script, &log, None).unwrap();
        while !tail(&log).unwrap().contains("up") {
            thread::sleep(POLL);
        }
        let group = process.group().unwrap();
        assert_eq!(process.stop(Duration::from_secs(60)), StopResult::Ended);
        assert_eq!(std::fs::read_to_string(&left).unwrap(), "bye\n");
        assert!(!is_alive(group));
    }

    #[test]
    fn one_that_will_not_end_is_killed_and_a_dead_one_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let stubborn =
            Process::shell("trap '' TERM; echo up; while :; do sleep 1; done", &log, None).unwrap();
        while !tail(&log).unwrap().contains("up") {
            thread::sleep(POLL);
        }
        assert_eq!(stubborn.stop(Duration::from_millis(50)), StopResult::Killed);
        let mut dead = Process::shell("echo no port >&2; exit 3", &log, None).unwrap();
        let status = loop {
            if let Some(status) = dead.ended() {
                break status;
            }
            thread::sleep(POLL);
        };
        assert_eq!(status.code(), Some(3));
        assert!(dead.last_lines().ends_with("\n    no port"), "{}", dead.last_lines());
        assert_eq!(dead.stop(Duration::ZERO), StopResult::Dead(status));
    }
}
