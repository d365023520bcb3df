//! `squall serve` over TLS, as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// The bundled service on free ports; ends with this.
pub(super) struct Own {
    child: Child,
    /// Held open, for the service to print to.
    _out: BufReader<ChildStdout>,
    /// What it printed when it began.
    pub(super) said: String,
}

impl Own {
    /// Starts it in `folder`, where what it logs is left in `serve.log`.
    pub(super) fn start(folder: &Path, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
        command.args(["serve", "--http-port", "0", "--mqtt-port", "0", "--log", "json"]).args(more);
        command.stderr(std::fs::File::create(folder.join("serve.log")).unwrap());
        let mut child =
            command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while !said.contains("Ctrl-C stops it.") {
            let log = || std::fs::read_to_string(folder.join("serve.log")).unwrap();
            assert!(out.read_line(&mut said).unwrap() > 0, "{said} {}", log());
        }
        Self { child, _out: out, said }
    }

    /// Where it is reached by `protocol`, by the name that is in its certificate.
    pub(super) fn url(&self, protocol: &str) -> String {
        let mut lines = self.said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let url =
            lines.find_map(|words| (words.len() == 2 && words[0] == protocol).then(|| words[1].to_owned()));
        url.unwrap_or_else(|| panic!("{protocol}: {}", self.said)).replace("127.0.0.1", "localhost")
    }

    /// The port of `protocol`.
    pub(super) fn port(&self, protocol: &str) -> u16 {
        let url = self.url(protocol);
        let after = url.split("localhost:").nth(1).unwrap();
        after.split('/').next().unwrap().parse().unwrap()
    }

    /// Asks it to end, and waits until it has; whether that went well.
    pub(super) fn stop(mut self) -> bool {
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT).unwrap();
        self.child.wait().unwrap().success()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
