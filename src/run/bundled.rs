//! The bundled reference system as the target of a run: what it understands, and its cache's recorded keys.

use super::RunError;
use crate::fleet::Format;
use crate::record::Protocol;
use crate::reference::{Config, Server};
use crate::scenario::Scenario;
use crate::service::Setup;

/// Keys that are recorded.
const MOST_KEYS: usize = 1_000_000;

/// What keeps the bundled reference system from understanding a fleet: it has a contract of its own.
pub(crate) fn misfit(scenario: &Scenario) -> Option<String> {
    scenario.fleets.iter().find_map(|fleet| {
        let (name, model) = (&fleet.name, &fleet.device_model);
        let template = matches!(model.payload.format, Format::Template(_));
        if fleet.exchange.is_foreign() {
            return Some(format!(
                "fleet `{name}` has a path or method of its own, which the bundled reference system does not serve; \
                 give a target with --target {0}=URL, or take it out",
                fleet.protocol
            ));
        }
        if fleet.tls.is_some() {
            return Some(format!(
                "fleet `{name}` says how to shake hands, and the bundled reference system is reached without TLS; give a target \
                 with --target {}=URL, or take the tls table out",
                fleet.protocol
            ));
        }
        let silent = !template && model.channels.iter().all(|channel| &*channel.name != "value");
        silent.then(|| {
            format!(
                "fleet `{name}` has no channel `value`, which the bundled reference system reads; name one so, or give \
                 a target with --target {}=URL",
                fleet.protocol
            )
        })
    })
}

/// A fleet that nothing of squall's own can answer, where the scenario has no target for it.
pub(crate) fn unserved(scenario: &Scenario) -> Option<String> {
    let mut fleets = scenario.fleets.iter().filter(|fleet| scenario.target.of(fleet.protocol).is_none());
    let fleet = fleets.find(|fleet| !speaks(fleet.protocol))?;
    Some(format!(
        "fleet `{name}` speaks {protocol}, which the bundled reference system does not; write its address under [target]: \
         {protocol} = \"{example}\", or give it with --target {protocol}=URL",
        name = fleet.name,
        protocol = fleet.protocol,
        example = fleet.facts.example
    ))
}

/// Whether the reference system has an endpoint for `protocol`.
pub(crate) fn speaks(protocol: Protocol) -> bool {
    crate::reference::addresses(&"", &"").iter().any(|(served, _)| *served == protocol)
}

/// Where the fleets find the reference system.
pub(crate) fn addresses(server: &Server) -> Vec<(Protocol, String)> {
    crate::reference::addresses(&server.http_addr(), &server.mqtt_addr()).into()
}

/// Starts the bundled reference system, its cache warmed where keys were recorded.
pub(crate) fn start(config: &Config) -> Result<Server, RunError> {
    let server = Server::start(config).map_err(RunError::failed)?;
    if let Some(path) = &config.setup.cache.warm {
        // The path may hold what a variable stands for.
        let shown = "reference.cache.warm";
        let text = std::fs::read_to_string(path)
            .map_err(|error| RunError::usage(format!("cannot read the recorded keys of {shown}: {error}")))?;
        server.warm(text.lines()).map_err(|line| {
            RunError::usage(format!(
                "{shown}: `{line}` is not a key; record keys with reference.cache.record"
            ))
        })?;
    }
    Ok(server)
}

/// Writes the keys in the service's cache to a file, where they are to be recorded.
pub(crate) fn record(server: &Server, setup: &Setup) -> Result<(), RunError> {
    let Some(path) = &setup.cache.record else { return Ok(()) };
    let text = server.keys(MOST_KEYS).join("\n") + "\n";
    std::fs::write(path, text).map_err(|error| {
        RunError::failed(format!("cannot write the keys of reference.cache.record: {error}"))
    })
}
