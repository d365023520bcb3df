//! What is compared: two builds, each a command or something that runs already, and where they listen.

use std::path::Path;
use std::time::Duration;

use super::args::{Cpus, LaunchArgs};
use super::process::{Process, StopResult};
use super::readiness::{Readiness, ensure_free};
use crate::cli::CliError;
use crate::protocol::{Endpoint, free_ports};
use crate::record::Protocol;
use crate::scenario::Scenario;

/// Ports a command may be given.
const MOST_PORTS: usize = 9;

/// One of the two builds.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Build {
    pub(in crate::cli) label: String,
    command: Option<String>,
    /// Where it listens, ports not filled in.
    targets: Vec<TargetAddress>,
    ready: Option<String>,
    ready_within: Duration,
    stop_within: Duration,
    pins: Option<Cpus>,
}

/// Where a build listens for a protocol.
#[derive(Debug, Clone)]
pub(in crate::cli) struct TargetAddress {
    pub(in crate::cli) protocol: Protocol,
    pub(in crate::cli) url: String,
    /// What to show in its place: there may be secrets in it.
    pub(in crate::cli) shown: String,
    /// Whether the scenario says so: the generator reads it there.
    pub(in crate::cli) by_scenario: bool,
}

impl TargetAddress {
    fn new(protocol: Protocol, url: &str) -> Self {
        Self { protocol, url: url.to_owned(), shown: url.to_owned(), by_scenario: false }
    }

    fn filled(&self, ports: &[u16]) -> Self {
        Self { url: fill(&self.url, ports), shown: fill(&self.shown, ports), ..self.clone() }
    }
}

/// A build that is ready to be driven.
#[derive(Debug)]
pub(in crate::cli) struct RunningBuild {
    pub(in crate::cli) targets: Vec<TargetAddress>,
    process: Option<Process>,
    stop_within: Duration,
}

/// The name of port number `index` in commands and targets.
fn placeholder(index: usize) -> String {
    if index == 0 { "{port}".to_owned() } else { format!("{{port{}}}", index + 1) }
}

impl Build {
    /// A build that is started by `command`, or runs already at `urls`.
    pub(in crate::cli) fn new(
        label: &str,
        command: Option<&str>,
        urls: &[(Protocol, String)],
        (targets, launch): (&[(Protocol, String)], &LaunchArgs),
        scenario: &Scenario,
    ) -> Result<Self, CliError> {
        let spoken = crate::run::target::spoken(scenario);
        let targets =
            if command.is_none() { given(urls, &spoken)? } else { places(command, targets, scenario)? };
        let build = Self {
            label: label.to_owned(),
            command: command.map(str::to_owned),
            targets,
            ready: launch.ready.clone(),
            ready_within: launch.ready_within.as_duration(),
            stop_within: launch.stop_within.as_duration(),
            pins: launch.pin_target.clone(),
        };
        build.check()?;
        Ok(build)
    }

    /// The command that starts it; `None` if it ran already.
    pub(in crate::cli) fn command(&self) -> Option<&str> {
        self.command.as_deref()
    }

    /// Where it is driven, ports not filled in, as it may be shown.
    pub(in crate::cli) fn shown(&self) -> Vec<String> {
        self.targets.iter().map(|place| format!("{}={}", place.protocol, place.shown)).collect()
    }

    /// How many ports it wants: the highest placeholder that occurs.
    fn ports(&self) -> usize {
        let texts = || {
            let urls = self.targets.iter().map(|place| place.url.as_str());
            urls.chain(self.command.as_deref()).chain(self.ready.as_deref())
        };
        (0..MOST_PORTS)
            .rev()
            .find(|index| texts().any(|text| text.contains(&placeholder(*index))))
            .map_or(0, |i| i + 1)
    }

    /// What can be known to be wrong before anything is started.
    fn check(&self) -> Result<(), CliError> {
        let ports: Vec<u16> = (0..self.ports()).map(|index| 40_000 + index as u16).collect();
        for place in self.targets.iter().filter(|place| !place.by_scenario) {
            Endpoint::resolve(place.protocol, &fill(&place.url, &ports)).map_err(CliError::usage)?;
        }
        Readiness::parse(self.ready.as_deref().map(|text| fill(text, &ports)).as_deref())?;
        let Some(command) = &self.command else { return Ok(()) };
        for index in 0..self.ports() {
            let name = placeholder(index);
            let asked = self.targets.iter().find(|place| place.url.contains(&name));
            if let Some(TargetAddress { protocol, shown, .. }) = asked.filter(|_| !command.contains(&name)) {
                return Err(CliError::usage(format!(
                    "the target {protocol}={shown} has {name} in it, which the command of `{}` does not get: write {name} where it \
                     takes its port, or give --target {protocol}=URL with the port it listens on",
                    self.label
                )));
            }
        }
        Ok(())
    }

    /// Starts it, if it is to be started, and waits until it is ready. What it prints goes to the file `log`.
    ///
    /// # Errors
    /// If it cannot be started, dies, or is not ready in time; with its last lines.
    pub(in crate::cli) fn start(
        &self,
        log: &Path,
        halted: impl Fn() -> bool,
    ) -> Result<RunningBuild, String> {
        let named = |what: String| format!("build `{}` {what}", self.label);
        let ports =
            free_ports(self.ports()).map_err(|error| named(format!("finds no free port: {error}")))?;
        let targets: Vec<_> = self.targets.iter().map(|place| place.filled(&ports)).collect();
        let stop_within = self.stop_within;
        let Some(command) = &self.command else {
            return Ok(RunningBuild { targets, process: None, stop_within });
        };
        ensure_free(&targets).map_err(|what| named(format!("is not started: {what}")))?;
        let mut process = Process::shell(&fill(command, &ports), log, self.pins.as_ref())
            .map_err(|error| named(format!("cannot be started: {error}")))?;
        let ready = self.ready.as_deref().map(|text| fill(text, &ports));
        let readiness = Readiness::parse(ready.as_deref()).map_err(|error| error.message)?;
        if let Err(what) = readiness.wait(&mut process, &targets, log, self.ready_within, halted) {
            process.stop(stop_within);
            return Err(named(what));
        }
        Ok(RunningBuild { targets, process: Some(process), stop_within })
    }
}

impl RunningBuild {
    /// How it died, if it has.
    pub(in crate::cli) fn dead(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.ended().is_some())
    }

    /// Stops it, if it was started.
    ///
    /// # Errors
    /// If it had died meanwhile; with its last lines.
    pub(in crate::cli) fn stop(self) -> Result<Option<StopResult>, String> {
        let Some(process) = self.process else { return Ok(None) };
        let last = process.last_lines();
        match process.stop(self.stop_within) {
            StopResult::Dead(status) => Err(format!("ended during the run ({status}); {last}")),
            stopped => Ok(Some(stopped)),
        }
    }
}

fn fill(text: &str, ports: &[u16]) -> String {
    let zip = ports.iter().enumerate();
    zip.fold(text.to_owned(), |text, (index, port)| text.replace(&placeholder(index), &port.to_string()))
}

/// Where builds listen that run already.
fn given(urls: &[(Protocol, String)], spoken: &[Protocol]) -> Result<Vec<TargetAddress>, CliError> {
    for protocol in spoken {
        match urls.iter().filter(|(own, _)| own == protocol).count() {
            1 => {}
            0 => {
                return Err(CliError::usage(format!(
                    "the scenario has {protocol} fleets: give --a-url and --b-url {protocol}=URL too"
                )));
            }
            _ => {
                return Err(CliError::usage(format!(
                    "a build has one URL for {protocol}, and here are several"
                )));
            }
        }
    }
    match urls.iter().find(|(protocol, _)| !spoken.contains(protocol)) {
        Some((protocol, _)) => Err(CliError::usage(format!("no fleet of the scenario speaks {protocol}"))),
        None => Ok(urls.iter().map(|(protocol, url)| TargetAddress::new(*protocol, url)).collect()),
    }
}

/// Where a command listens: by --target, by the scenario, or as `squall serve` would.
pub(in crate::cli) fn places(
    command: Option<&str>,
    targets: &[(Protocol, String)],
    scenario: &Scenario,
) -> Result<Vec<TargetAddress>, CliError> {
    let spoken = crate::run::target::spoken(scenario);
    if let Some((protocol, _)) = targets.iter().find(|(own, _)| !spoken.contains(own)) {
        return Err(CliError::usage(format!(
            "--target {protocol}=…: no fleet of the scenario speaks {protocol}"
        )));
    }
    let place = |protocol| {
        let mut asked = targets.iter().filter(|(own, _)| *own == protocol);
        let place = match (asked.next(), asked.next()) {
            (Some(_), Some(_)) => {
                return Err(CliError::usage(format!(
                    "--target {protocol}=… is given twice; a protocol has one target"
                )));
            }
            (Some((_, url)), None) => Some(TargetAddress::new(protocol, url)),
            (None, _) => by_scenario(protocol, scenario).or_else(|| bundled(protocol, command)),
        };
        place.ok_or_else(|| {
            CliError::usage(format!(
                "it is not known where the builds listen for {protocol}: give --target {protocol}=URL, with {{port}} in it and in \
                 the commands for a port that is free"
            ))
        })
    };
    spoken.into_iter().map(place).collect()
}

fn by_scenario(protocol: Protocol, scenario: &Scenario) -> Option<TargetAddress> {
    let address = scenario.target.of(protocol)?;
    let (url, shown) = (address.value().to_owned(), address.written().to_owned());
    Some(TargetAddress { protocol, url, shown, by_scenario: true })
}

/// Where `squall serve` listens, if the command takes the port for it.
fn bundled(protocol: Protocol, command: Option<&str>) -> Option<TargetAddress> {
    let served = crate::reference::addresses(&"127.0.0.1:{port}", &"127.0.0.1:{port2}", false);
    let (_, url) = served.into_iter().find(|(served, _)| *served == protocol)?;
    let port = if url.contains("{port}") { "{port}" } else { "{port2}" };
    command.filter(|command| command.contains(port)).map(|_| TargetAddress::new(protocol, &url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_filled_in_by_name() {
        assert_eq!(fill("x --http {port} --mqtt {port2} {port}", &[80, 81]), "x --http 80 --mqtt 81 80");
        assert_eq!(fill("no port", &[80]), "no port");
        assert_eq!(placeholder(0), "{port}");
        assert_eq!(placeholder(8), "{port9}");
    }
}
