//! Speaking to tests that run on this machine, through their control sockets.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::CliError;
use crate::run::control::listener;
use crate::run::control::protocol::{FaultState, REPLY_BYTES, REQUEST_BYTES, Reply, Request, RunInfo};

/// How long a run may take to answer the first request.
const GREETING: Duration = Duration::from_secs(5);

/// A connection to a run, and who it is.
pub(super) struct Call {
    stream: BufReader<UnixStream>,
    pub(super) run: RunInfo,
    /// Its faults when it was called.
    pub(super) faults: Vec<FaultState>,
}

impl Call {
    /// Connects to a run; nothing if it has ended meanwhile.
    fn place(stream: UnixStream) -> Option<Self> {
        let run = RunInfo {
            id: String::new(),
            directory: String::new(),
            started_in: String::new(),
            scenario: String::new(),
            pid: 0,
            at_s: 0.0,
        };
        let mut call = Self { stream: BufReader::new(stream), run, faults: Vec::new() };
        let reply = call.ask(&Request::List, GREETING).ok()?;
        (call.run, call.faults) = (reply.run, reply.faults);
        Some(call)
    }

    /// Whether it has faults to switch.
    pub(super) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Asks, and waits for the reply.
    ///
    /// # Errors
    /// If the run has ended, or does not answer in time.
    pub(super) fn ask(&mut self, request: &Request, patience: Duration) -> io::Result<Reply> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        if line.len() > REQUEST_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no fault has so long a name"));
        }
        self.stream.get_ref().set_read_timeout(Some(patience))?;
        self.stream.get_ref().set_write_timeout(Some(GREETING))?;
        self.stream.get_mut().write_all(&line)?;
        let mut reply = Vec::new();
        (&mut self.stream).take(REPLY_BYTES as u64).read_until(b'\n', &mut reply)?;
        if reply.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_slice(&reply)?)
    }
}

/// What it means that a run did not answer.
pub(super) fn lost(run: &RunInfo, error: &io::Error) -> CliError {
    CliError::failed(match error.kind() {
        io::ErrorKind::UnexpectedEof => format!("run {} has ended", run.id),
        io::ErrorKind::InvalidInput => error.to_string(),
        _ => format!("run {} does not answer: {error}", run.id),
    })
}

/// All running tests of this user.
pub(super) fn present() -> Vec<Call> {
    listener::connect_all(&listener::places()).into_iter().filter_map(Call::place).collect()
}

/// Whether `wanted` is the run's name, its scenario's, or its directory.
pub(super) fn is_called(run: &RunInfo, wanted: &str) -> bool {
    run.id == wanted || run.scenario == wanted || is_same(&run.directory, Path::new(wanted))
}

/// Whether both are one directory, which exists.
pub(super) fn is_same(directory: &str, other: &Path) -> bool {
    other.canonicalize().is_ok_and(|other| Path::new(directory).canonicalize().is_ok_and(|own| own == other))
}

#[cfg(test)]
impl Call {
    /// One that nobody answers.
    pub(super) fn silent(run: RunInfo) -> Self {
        let (stream, _) = UnixStream::pair().unwrap();
        Self { stream: BufReader::new(stream), run, faults: Vec::new() }
    }
}
