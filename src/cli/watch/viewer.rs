//! The live screen of a run that this process drives: a process of its own, which reads the run's files.

use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::Pid;

use crate::cli::CliError;
use crate::display::Style;
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
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    Ok(io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal() && !dumb)
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
        notes.into_iter().flatten().for_each(|note| say(&note));
    }
}

impl Observer for Notes {
    fn note(&self, text: &str) {
        let Ok(mut held) = self.held.lock() else { return };
        match held.as_mut() {
            Some(notes) if notes.len() < MOST_NOTES => notes.push(text.to_owned()),
            Some(_) => {}
            None => say(text),
        }
    }
}

fn say(text: &str) {
    // A closed stderr must not end a measurement.
    let _ = writeln!(io::stderr().lock(), "{}", Style::PLAIN.harmless(text));
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
        let program = std::env::current_exe().map_err(CliError::failed)?;
        let mut command = Command::new(program);
        command.arg("watch").arg(directory).arg("--of").arg(std::process::id().to_string());
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

    /// Waits until the screen has seen that the run has ended and has given the terminal back; ends it if it does not.
    fn close(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let mut waited = Duration::ZERO;
        while !thread.is_finished() && waited < PATIENCE {
            thread::sleep(LOOK);
            waited += LOOK;
        }
        if let (Some(process), false) = (self.process, thread.is_finished()) {
            // It may have ended in between.
            let _ = kill(process, Signal::SIGTERM);
        }
        // A thread that panicked has nothing more to give back.
        let _ = thread.join();
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.close();
    }
}

/// Waits for the end of the screen and puts the terminal back as it was, whatever the screen came to.
fn attend(mut child: Child, before: Option<&Termios>, notes: &Notes) {
    let ended = child.wait();
    if !ended.as_ref().is_ok_and(std::process::ExitStatus::success) {
        let mut out = io::stdout();
        // What a screen that was killed left behind.
        let _ = out.write_all(b"\x1b[?2026l\x1b[?1049l\x1b[?25h").and_then(|()| out.flush());
    }
    if let Some(before) = before {
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, before);
    }
    notes.release();
    if !ended.is_ok_and(|status| status.success()) {
        say("the live screen has failed; the run goes on");
    }
}

/// The process that serves the run as a page.
#[derive(Debug)]
pub(in crate::cli) struct PageServer {
    child: Child,
    listening: Option<JoinHandle<()>>,
}

impl PageServer {
    /// Starts it for the run in `directory`, which this process drives; what it says goes to `notes`.
    ///
    /// # Errors
    /// If this program cannot be started once more.
    pub(in crate::cli) fn start(
        directory: &Path,
        address: SocketAddr,
        notes: Arc<dyn Observer>,
    ) -> Result<Self, CliError> {
        let program = std::env::current_exe().map_err(CliError::failed)?;
        let mut command = Command::new(program);
        command.arg("watch").arg(directory).arg("--of").arg(std::process::id().to_string());
        command.arg("--live-on").arg(address.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
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
        let mut waited = Duration::ZERO;
        while matches!(self.child.try_wait(), Ok(None)) && waited < PATIENCE {
            thread::sleep(LOOK);
            waited += LOOK;
        }
        // Where it has ended there is nothing to kill, and nobody else has its number before it is waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.listening.take().map(JoinHandle::join);
    }
}
