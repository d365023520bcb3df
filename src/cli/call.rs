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

#[derive(Debug, clap::Args)]
pub(super) struct WhichRun {
    /// Which run: its id, scenario or directory [default: the only one running, if started in this directory]
    #[arg(long = "run", value_name = "ID|PATH")]
    pub(super) run: Option<String>,
}

/// The run that is meant: the one that is named, or the only one, if it was started `here`. `none` says what
/// it means that there is none at all.
///
/// # Errors
/// If it cannot be told which is meant.
pub(super) fn choose(
    present: Vec<Call>,
    wanted: Option<&str>,
    here: &Path,
    none: &str,
) -> Result<Call, CliError> {
    let list = || -> String {
        let line = |call: &Call| {
            let RunInfo { id, scenario, directory, pid, at_s, .. } = &call.run;
            format!("\n  {id}  {scenario}, {at_s:.0} s, process {pid}, {directory}")
        };
        present.iter().map(line).collect()
    };
    if present.is_empty() {
        return Err(CliError::failed(none));
    }
    let is_meant = |call: &&Call| wanted.is_none_or(|wanted| is_called(&call.run, wanted));
    match (present.iter().filter(is_meant).count(), wanted) {
        (1, None) if present.iter().any(|call| !is_same(&call.run.started_in, here)) => {
            let list = list();
            return Err(CliError::usage(format!(
                "the only running test was not started in this directory; name it with --run:{list}"
            )));
        }
        (1, _) => {}
        (0, Some(wanted)) => {
            return Err(CliError::usage(format!("no running test `{wanted}`; running:{}", list())));
        }
        _ => {
            return Err(CliError::usage(format!(
                "several tests are running; name one with --run:{}",
                list()
            )));
        }
    }
    let meant = present.into_iter().find(|call| is_meant(&call));
    meant.ok_or_else(|| CliError::failed("the run has ended"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str, directory: &str) -> Call {
        Call::silent(RunInfo {
            id: id.into(),
            directory: directory.into(),
            started_in: directory.into(),
            scenario: "s".into(),
            pid: 7,
            at_s: 1.0,
        })
    }

    #[test]
    fn the_only_run_is_meant_unless_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let both = || vec![call("one", path), call("two", "/nowhere")];
        let table = [
            (vec![], None, Err("nobody runs")),
            (vec![call("one", path)], None, Ok("one")),
            (
                vec![call("one", "/")],
                None,
                Err("the only running test was not started in this directory; name it with --run:\n  one"),
            ),
            (vec![call("one", "/nowhere")], None, Err("the only running test")),
            (vec![call("one", "/nowhere")], Some("one"), Ok("one")),
            (vec![call("one", path)], Some("two"), Err("no running test `two`; running:\n  one")),
            (both(), None, Err("several tests are running; name one with --run:\n  one")),
            (both(), Some("two"), Ok("two")),
            (both(), Some(path), Ok("one")),
            (both(), Some("three"), Err("no running test `three`")),
        ];
        for (present, wanted, expected) in table {
            match (choose(present, wanted, folder.path(), "nobody runs"), expected) {
                (Ok(call), Ok(expected)) => assert_eq!(call.run.id, expected),
                (Err(error), Err(expected)) => {
                    assert!(error.message.starts_with(expected), "{}", error.message);
                }
                (Ok(call), Err(expected)) => panic!("{} instead of {expected}", call.run.id),
                (Err(error), Ok(expected)) => panic!("{} instead of {expected}", error.message),
            }
        }
    }
}
