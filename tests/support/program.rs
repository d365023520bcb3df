//! The built binary: how tests start it, and what they find of its runs.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use squall::results::{Figures, SummaryRow};

/// The built binary in `folder`, with nothing to read.
pub(crate) fn squall(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    command
}

/// What it prints for a screen of so many columns. What a busy machine made invalid, and what breaks a budget, is printed all the same.
pub(crate) fn printed(folder: &Path, columns: usize, arguments: &[&str]) -> String {
    let output = squall(folder, arguments).env("COLUMNS", columns.to_string()).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 12 | 99)), "{arguments:?}: {}", text(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// All that it printed.
pub(crate) fn told(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The cells of a line of a table: columns are two spaces apart at least.
pub(crate) fn cells(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

/// A folder of its own with a scenario in it, in which runs look for one another.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn with(scenario: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("doors")).unwrap();
        std::fs::write(folder.path().join("s.toml"), scenario).unwrap();
        Self { folder }
    }

    pub(crate) fn squall(&self, arguments: &[&str]) -> Command {
        let mut command = squall(self.folder.path(), arguments);
        command.env("XDG_RUNTIME_DIR", self.path("doors")).env("TMPDIR", self.path("doors"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.squall(arguments).output().unwrap()
    }

    /// Starts it, to be looked at while it runs.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Child {
        self.squall(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The directory of the only run that was made here.
    pub(crate) fn only_run(&self) -> PathBuf {
        only_run(&self.path("results"))
    }
}

/// The directory of the only run under `out`.
pub(crate) fn only_run(out: &Path) -> PathBuf {
    only(&only(out))
}

fn only(folder: &Path) -> PathBuf {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(entries.len(), 1, "{}: {entries:?}", folder.display());
    entries[0].clone()
}

/// What happened in a run.
pub(crate) fn events(run: &Path) -> String {
    std::fs::read_to_string(run.join("events.csv")).unwrap()
}

/// The figures of all rows of a kind added up, as far as they count.
pub(crate) fn sum<'r>(rows: impl IntoIterator<Item = &'r SummaryRow>, kind: &str) -> Figures {
    let mut sum = Figures::default();
    for SummaryRow { figures, .. } in rows.into_iter().filter(|row| row.kind == kind && !row.is_headline()) {
        sum.planned += figures.planned;
        sum.ok += figures.ok;
        sum.error += figures.error;
        sum.error_tls += figures.error_tls;
        sum.timeout += figures.timeout;
        sum.lost += figures.lost;
        sum.dropped += figures.dropped;
        sum.resumed = Some(sum.resumed.unwrap_or(0) + figures.resumed.unwrap_or(0));
    }
    sum
}

/// All files under `folder`.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}

/// Whether `text` stands in the file at `path`.
pub(crate) fn holds(path: &Path, text: &str) -> bool {
    std::fs::read(path).unwrap().windows(text.len()).any(|window| window == text.as_bytes())
}

/// Whether the run in `folder` is under way: its first interval is written.
pub(crate) fn is_measured(folder: &Path) -> bool {
    std::fs::read_to_string(folder.join("intervals.csv")).is_ok_and(|table| table.lines().count() > 1)
}

/// The directory of the run that is under way among those in `runs`, once it is.
pub(crate) fn under_way(runs: &Path) -> PathBuf {
    let mut found = None;
    wait_until("a run has an interval", || {
        let runs = std::fs::read_dir(runs).into_iter().flatten().flatten();
        found = runs.map(|run| run.path()).find(|run| is_measured(run));
        found.is_some()
    });
    found.unwrap()
}

/// The whole answer of the bundled service to one request.
pub(crate) fn ask(address: impl ToSocketAddrs, method: &str, path: &str, body: &str) -> String {
    ask_with(address, method, path, "", body)
}

/// The same with header fields, each with the end of its line.
pub(crate) fn ask_with(
    address: impl ToSocketAddrs,
    method: &str,
    path: &str,
    fields: &str,
    body: &str,
) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Waits for what comes about in its own time; however long a busy machine takes, within minutes.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..12_000 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not come about that {what}");
}

/// Sends the signal of this name, such as `INT`, to one process.
#[cfg(unix)]
pub(crate) fn signal(process: u32, name: &str) {
    let arguments = [format!("-{name}"), process.to_string()];
    assert!(Command::new("kill").args(arguments).status().unwrap().success());
}
