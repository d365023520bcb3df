//! The live screen of a run that this process drives: a process of its own, which reads the run's files.

use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::Pid;

use super::terminal::restore;
pub(in crate::cli) use super::web::Door;
use crate::cli::CliError;
use crate::cli::screen::note;
use crate::run::Observer;

/// How long the screen may take to see that the run has ended.
const PATIENCE: Duration = Duration::from_secs(3);
/// So often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(20);
/// Notes that wait for the terminal.
const MOST_NOTES: usize = 200;

/// Whether the screen can be shown: it reads keys and needs a terminal to draw on.
///
/// # Errors
/// If this build has no screen.
#[expect(clippy::unnecessary_wraps, reason = "a build without the screen fails here")]
pub(in crate::cli) fn has_terminal() -> Result<bool, CliError> {
    Ok(super::has_terminal() && io::stderr().is_terminal())
}

/// The notes of a run: told at once, or, while the screen has the terminal, when it gives that back.
#[derive(Debug, Default)]
pub(in crate::cli) struct Notes {
    /// `None` while nobody has the terminal.
    held: Mutex<Option<Vec<String>>>,
}

impl Notes {
    fn hold(&self) {
        if let Ok(mut held) = self.held.lock() {
            held.get_or_insert_default();
        }
    }

    fn release(&self) {
        let notes = self.held.lock().ok().and_then(|mut held| held.take());
        notes.into_iter().flatten().for_each(|text| note(&text));
    }
}

impl Observer for Notes {
    fn note(&self, text: &str) {
        let Ok(mut held) = self.held.lock() else { return };
        match held.as_mut() {
            Some(notes) if notes.len() < MOST_NOTES => notes.push(text.to_owned()),
            Some(_) => {}
            None => note(text),
        }
    }
}

/// This program once more, which is to watch the run in `directory` that this process drives.
fn watcher(directory: &Path) -> Result<Command, CliError> {
    let mut command = Command::new(std::env::current_exe().map_err(CliError::failed)?);
    command.arg("watch").arg(directory).arg("--of").arg(std::process::id().to_string());
    Ok(command)
}

/// Waits until `has_ended`, as long as there is patience; says whether it has.
fn wait_until(mut has_ended: impl FnMut() -> bool) -> bool {
    let mut waited = Duration::ZERO;
    while !has_ended() {
        if waited >= PATIENCE {
            return false;
        }
        thread::sleep(LOOK);
        waited += LOOK;
    }
    true
}

/// The screen's process.
#[derive(Debug)]
pub(in crate::cli) struct Viewer {
    process: Option<Pid>,
    thread: Option<JoinHandle<()>>,
}

impl Viewer {
    /// Starts the screen of the run in `directory`, which this process drives.
    ///
    /// # Errors
    /// If this program cannot be started once more.
    pub(in crate::cli) fn start(directory: &Path, notes: &Arc<Notes>) -> Result<Self, CliError> {
        let before = tcgetattr(io::stdin()).ok();
        let mut command = watcher(directory)?;
        notes.hold();
        let child = command.spawn().map_err(|error| {
            notes.release();
            CliError::failed(format!("cannot start the live screen: {error}"))
        })?;
        let process = i32::try_from(child.id()).ok().map(Pid::from_raw);
        let notes = Arc::clone(notes);
        let body = move || attend(child, before.as_ref(), &notes);
        let thread =
            thread::Builder::new().name("squall-viewer".into()).spawn(body).map_err(CliError::failed)?;
        Ok(Self { process, thread: Some(thread) })
    }
}

impl Drop for Viewer {
    /// Waits until the screen has seen that the run has ended and has given the terminal back; ends it if it does
    /// not.
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if !wait_until(|| thread.is_finished())
            && let Some(process) = self.process
        {
            // It may have ended in between.
            let _ = kill(process, Signal::SIGTERM);
        }
        // A thread that panicked has nothing more to give back.
        let _ = thread.join();
    }
}

/// Waits for the end of the screen and puts the terminal back as it was, whatever the screen came to.
fn attend(mut child: Child, before: Option<&Termios>, notes: &Notes) {
    let failed = !child.wait().is_ok_and(|status| status.success());
    if failed {
        // What a screen that was killed left behind.
        restore();
    }
    if let Some(before) = before {
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, before);
    }
    notes.release();
    if failed {
        note("the live screen has failed; the run goes on");
    }
}

/// The process that serves the run as a page.
#[derive(Debug)]
pub(in crate::cli) struct PageServer {
    child: Child,
    listening: Option<JoinHandle<()>>,
}

impl PageServer {
    /// Starts it for the run in `directory`, which this process drives, behind `door`; what it says goes to `notes`.
    ///
    /// # Errors
    /// If this program cannot be started once more.
    pub(in crate::cli) fn start(
        directory: &Path,
        door: Door,
        notes: Arc<dyn Observer>,
    ) -> Result<Self, CliError> {
        let mut command = watcher(directory)?;
        command.arg("--live-on").arg(door.address().map_err(CliError::failed)?.to_string());
        command.stdin(door.handed_down()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(CliError::failed)?;
        let said = child.stderr.take();
        let body = move || {
            let lines = said.into_iter().flat_map(|said| BufReader::new(said).lines().map_while(Result::ok));
            lines.for_each(|line| notes.note(&line));
        };
        let listening =
            thread::Builder::new().name("squall-page".into()).spawn(body).map_err(CliError::failed)?;
        Ok(Self { child, listening: Some(listening) })
    }
}

impl Drop for PageServer {
    fn drop(&mut self) {
        wait_until(|| !matches!(self.child.try_wait(), Ok(None)));
        // Where it has ended there is nothing to kill, and nobody else has its number before it is waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.listening.take().map(JoinHandle::join);
    }
}
