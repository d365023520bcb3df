//! When a started build is ready to be driven, and whether its place is free before it starts.

use std::path::Path;
use std::time::Duration;

use super::build::TargetAddress;
use super::process::{POLL, Process};
use crate::cli::CliError;
use crate::clock::Monotonic;
use crate::protocol::{Endpoint, accepts, control};
use crate::record::Protocol;

/// How long one attempt to reach a build may take.
const ATTEMPT: Duration = Duration::from_secs(1);
/// Bytes at the beginning of its output that are searched for what it prints when it is ready.
const SEARCHED: u64 = 1 << 20;

/// What shows that a build is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Readiness {
    /// Its targets accept connections.
    Listening,
    /// This URL answers with success.
    Url(String),
    /// This address accepts connections.
    Port(String),
    /// It printed this.
    LogText(String),
}

impl Readiness {
    /// Reads what the user wrote, ports filled in.
    ///
    /// # Errors
    /// If it is none of the three.
    pub(super) fn parse(text: Option<&str>) -> Result<Self, CliError> {
        let Some(text) = text else { return Ok(Self::Listening) };
        let wrong = |why: &str| {
            CliError::usage(format!(
                "--ready {text}: {why}; write http://HOST:PORT/PATH, HOST:PORT or log:TEXT"
            ))
        };
        if let Some(printed) = text.strip_prefix("log:") {
            return if printed.is_empty() {
                Err(wrong("no text"))
            } else {
                Ok(Self::LogText(printed.to_owned()))
            };
        }
        if text.starts_with("http://") {
            Endpoint::control(text).map_err(|error| wrong(&error.to_string()))?;
            return Ok(Self::Url(text.to_owned()));
        }
        if text.contains("://") {
            return Err(wrong("the scheme is unknown"));
        }
        match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Self::Port(text.to_owned()))
            }
            _ => Err(wrong("neither a URL nor an address with a port")),
        }
    }

    /// Whether the build is ready now.
    fn is_met(&self, targets: &[TargetAddress], log: &Path) -> bool {
        match self {
            Self::Listening => targets.iter().all(|place| is_reached(place.protocol, &place.url)),
            Self::Url(url) => answers(url),
            Self::Port(address) => accepts(address, ATTEMPT),
            Self::LogText(text) => printed(log, text),
        }
    }

    /// Waits until the build is ready.
    ///
    /// # Errors
    /// If it ends, or is not ready in time; with its last lines.
    pub(super) fn wait(
        &self,
        process: &mut Process,
        targets: &[TargetAddress],
        log: &Path,
        patience: Duration,
        halted: impl Fn() -> bool,
    ) -> Result<(), String> {
        let clock = Monotonic::start();
        while !halted() {
            if let Some(status) = process.ended() {
                return Err(format!("ended ({status}) before it was ready; {}", process.last_lines()));
            }
            if self.is_met(targets, log) {
                return Ok(());
            }
            if Duration::from_nanos(clock.now().0) > patience {
                let wanted = self.wanted(targets);
                let last = process.last_lines();
                return Err(format!("was not ready after {:.1} s: {wanted}; {last}", patience.as_secs_f64()));
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn wanted(&self, targets: &[TargetAddress]) -> String {
        match self {
            Self::Listening => {
                let silent = targets.iter().find(|place| !is_reached(place.protocol, &place.url));
                let url = silent.map_or("its target", |place| place.shown.as_str());
                format!("nothing accepts connections at {url}")
            }
            Self::Url(url) => format!("{url} does not answer with success"),
            Self::Port(address) => format!("nothing accepts connections at {address}"),
            Self::LogText(text) => format!("it has not printed `{text}` in its first MiB"),
        }
    }
}

/// Makes sure that nobody listens where a build is about to: another one would be measured in its place.
///
/// # Errors
/// If somebody does.
pub(super) fn ensure_free(targets: &[TargetAddress]) -> Result<(), String> {
    match targets.iter().find(|place| is_reached(place.protocol, &place.url)) {
        Some(TargetAddress { shown, .. }) => Err(format!(
            "something listens at {shown} already and would be measured in its place: end it, or write {{port}} for a free port"
        )),
        None => Ok(()),
    }
}

fn is_reached(protocol: Protocol, url: &str) -> bool {
    Endpoint::resolve(protocol, url).and_then(|mut endpoint| endpoint.probe(ATTEMPT)).is_ok()
}

fn answers(url: &str) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.is_ok_and(|runtime| runtime.block_on(control::succeeds(url, ATTEMPT)))
}

fn printed(log: &Path, text: &str) -> bool {
    use std::io::Read;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(log).and_then(|file| file.take(SEARCHED).read_to_end(&mut bytes));
    read.is_ok() && String::from_utf8_lossy(&bytes).contains(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_readiness_is_read_or_refused() {
        for (text, readiness) in [
            ("http://127.0.0.1:1/health", Readiness::Url("http://127.0.0.1:1/health".into())),
            ("127.0.0.1:80", Readiness::Port("127.0.0.1:80".into())),
            ("[::1]:80", Readiness::Port("[::1]:80".into())),
            ("log:listening on", Readiness::LogText("listening on".into())),
        ] {
            assert_eq!(Readiness::parse(Some(text)).unwrap(), readiness, "{text}");
        }
        for text in ["", "log:", "https://x/", "localhost", "a:b", ":80", "127.0.0.1:99999"] {
            let error = Readiness::parse(Some(text)).unwrap_err().message;
            assert!(error.contains("HOST:PORT or log:TEXT"), "{text}: {error}");
        }
        assert_eq!(Readiness::parse(None).unwrap(), Readiness::Listening);
    }
}
