//! Where a run's readings go: the bundled reference system, or a service of the user's.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::certificate::Trust;
use super::part::Part;
use super::{RunError, bundled, certificate, control};
use crate::engine::{Scrutiny, scrutinies};
use crate::language::conjunction;
use crate::net::{ClientIdentity, TlsSettings};
use crate::protocol::control::FaultClient;
use crate::protocol::scrape::Scraper;
use crate::protocol::{Correlation, Endpoint, Settings, protocols};
use crate::record::{FleetId, Protocol, RunToken};
use crate::reference::Server;
use crate::results::FleetTarget;
use crate::scenario::{Fleet, Model, Plan, Scenario, Scrape};
use crate::service::Setup;
use crate::units::Secret;

/// How long a target may take to show that it is there.
const PROBE: Duration = Duration::from_secs(5);

/// The targets of a run, checked to be there.
#[derive(Debug)]
pub(crate) struct Targets {
    pub(crate) endpoints: Vec<Endpoint>,
    /// Address by protocol, for the manifest.
    pub(crate) urls: BTreeMap<String, String>,
    /// What every fleet sends, and where, for the manifest.
    pub(crate) fleets: Vec<FleetTarget>,
    /// The bundled reference system, where it is the target.
    pub(crate) server: Option<Server>,
    /// Whether all of them are on this machine.
    pub(crate) local: bool,
    /// What the user should know of them before the run.
    pub(crate) notes: Vec<String>,
    /// Where the service is broken on purpose, where the plan does that.
    pub(crate) broken_at: Option<Endpoint>,
    /// What is shown there.
    pub(crate) control_token: Option<Secret>,
    /// What fetches the bundled service's own figures, where they are wanted.
    pub(crate) metrics: Option<Scraper>,
}

impl Targets {
    /// Resolves the targets of `plan`, starting the bundled reference system if none is given, where that is asked for at `serve_on`.
    ///
    /// # Errors
    /// If only some of the protocols have a target, an address is wrong, nothing listens there, or the plan breaks a service
    /// that does not let itself be broken.
    pub(crate) fn prepare(
        given: &[(Protocol, String)],
        plan: &Plan,
        part: Part,
        serve_on: Option<SocketAddr>,
    ) -> Result<Self, RunError> {
        let scenario = plan.scenario();
        let breaks = part.shard().leads() && control::breaks_service(plan.faults());
        let wanted = spoken(scenario);
        let given = merged(given, scenario, &wanted)?;
        let mut control_token = scenario.control_token.clone();
        let mut trust = None;
        let (urls, server): (Vec<TargetAddress>, _) = if given.is_empty() {
            lonely(part)?;
            if let Some(misfit) = bundled::objection(scenario) {
                return Err(RunError::usage(misfit));
            }
            let faults = scenario.reference.faults || breaks;
            let mut setup = Setup { faults, ..scenario.reference.clone() };
            control_token = bundled::let_in(&mut setup.admission);
            let (server, made) = certificate::start(setup, serve_on)?;
            trust = made;
            let found = bundled::addresses(&server).into_iter().map(|(protocol, url)| TargetAddress {
                protocol,
                url,
                written: None,
            });
            (found.collect(), Some(server))
        } else if let Some(place) = serve_on {
            return Err(RunError::usage(format!(
                "--serve-on {place} is where the bundled reference system would be, and the run has targets of its own; \
                 take either out"
            )));
        } else {
            (given, None)
        };
        let mut endpoints = Vec::new();
        for protocol in &wanted {
            let Some(given) = urls.iter().find(|given| given.protocol == *protocol) else {
                return Err(RunError::usage(homeless(*protocol)));
            };
            let endpoint = match &given.written {
                Some(written) => Endpoint::resolve_as(*protocol, &given.url, written),
                None => Endpoint::resolve(*protocol, &given.url),
            };
            endpoints.push(endpoint.map_err(RunError::usage)?);
        }
        for endpoint in &mut endpoints {
            endpoint.probe(PROBE).map_err(RunError::failed)?;
        }
        secure_by(scenario, &mut endpoints, trust.as_ref())?;
        let mut notes = overridden(scenario, &endpoints);
        notes.extend(trusting(scenario, &endpoints));
        notes.extend(counted(plan));
        let owner = (server.as_ref(), trust.as_ref());
        let token = control_token.clone();
        let broken_at = if breaks { Some(breakable(scenario, owner, &endpoints, token)?) } else { None };
        if breaks && server.is_some() {
            notes.push("note: the bundled reference system accepts the service faults".into());
        }
        let page = |server| format!("live page of the bundled reference system: {}", bundled::page(server));
        notes.extend(server.as_ref().map(page));
        let metrics = bundled_metrics(scenario, owner, control_token.as_ref())?;
        notes.extend(unasked(scenario, server.is_some()));
        let local = endpoints.iter().all(|endpoint| is_local(endpoint.address().ip()));
        let urls = endpoints.iter().map(|e| (e.protocol().to_string(), address(scenario, e))).collect();
        let fleets = scenario.fleets.iter().filter_map(|fleet| route(fleet, &endpoints)).collect();
        Ok(Self { endpoints, urls, fleets, server, local, notes, broken_at, control_token, metrics })
    }

    /// Descriptors one device takes: its socket, and the other end of it where that is in this process too.
    pub(crate) const fn descriptors_per_device(&self) -> u64 {
        if self.server.is_some() { 2 } else { 1 }
    }

    /// Local addresses that connections come from, as text, where the run has a say in it.
    pub(crate) fn source_ips(&self) -> Vec<String> {
        let mut ips: Vec<IpAddr> =
            self.endpoints.iter().flat_map(|endpoint| endpoint.sources().iter().copied()).collect();
        ips.sort_unstable();
        ips.dedup();
        ips.iter().map(ToString::to_string).collect()
    }

    /// Worker threads when the user names no number: the target on this machine needs its share of the cores.
    pub(crate) fn default_workers(&self, cores: usize) -> usize {
        if self.local { (cores / 2).max(1) } else { cores }
    }
}

/// The path, or the topic, that a fleet has of its own, as it was written.
fn own_place(fleet: &Fleet) -> Option<&str> {
    let subscribes = fleet.model == Model::Subscriber;
    let heard = fleet.exchange.heard().filter(|_| subscribes);
    let pattern = heard.or_else(|| fleet.exchange.place());
    pattern.map(|pattern| pattern.written.written())
}

/// That fleets have no target although others do.
fn homeless(protocol: Protocol) -> String {
    let instead = if bundled::speaks(protocol) {
        ", or give no target at all to use the bundled reference system"
    } else {
        ""
    };
    format!(
        "the scenario has {protocol} fleets, but only other protocols have a target; add --target {protocol}=URL{instead}"
    )
}

/// What a fleet sends, and where.
fn route(fleet: &Fleet, endpoints: &[Endpoint]) -> Option<FleetTarget> {
    let endpoint = endpoints.iter().find(|endpoint| endpoint.protocol() == fleet.protocol)?;
    let subscribes = fleet.model == Model::Subscriber;
    let method = fleet.exchange.method(subscribes);
    let usual = fleet.exchange.usual_place().filter(|_| !subscribes);
    Some(FleetTarget {
        name: fleet.name.clone(),
        protocol: fleet.protocol.to_string(),
        method: method.map(str::to_owned),
        target: endpoint.shown_at(own_place(fleet).or(usual)),
        close: if subscribes { String::new() } else { fleet.close.name().to_owned() },
        remedy: endpoint.facts().remedy.map(str::to_owned),
        correlate: pointer(fleet),
        insecure: is_trusting(fleet, endpoint),
    })
}

/// Where a message names the reading that it answers, if a JSON pointer says so.
fn pointer(fleet: &Fleet) -> Option<String> {
    match fleet.exchange.settings(Settings::default()).correlation {
        Correlation::Pointer(pointer) => Some(pointer.into()),
        Correlation::Order | Correlation::Data | Correlation::Source { .. } => None,
    }
}

/// The address of a protocol's target; without a path that nobody wrote and no fleet uses.
fn address(scenario: &Scenario, endpoint: &Endpoint) -> String {
    let mut fleets = scenario.fleets.iter().filter(|fleet| fleet.protocol == endpoint.protocol());
    let unused = endpoint.facts().path.is_some() && fleets.all(|fleet| own_place(fleet).is_some());
    if unused && !endpoint.names_path() { endpoint.shown_at(Some("")) } else { endpoint.shown().to_owned() }
}

/// Notes on fleets whose own path takes the place of one that was written into the target's URL.
fn overridden(scenario: &Scenario, endpoints: &[Endpoint]) -> Vec<String> {
    let written = |fleet: &&Fleet| {
        endpoints.iter().any(|e| e.protocol() == fleet.protocol && e.facts().path.is_some() && e.names_path())
    };
    let note = |fleet: &Fleet| {
        let (place, route) = (own_place(fleet)?, route(fleet, endpoints)?);
        let endpoint = endpoints.iter().find(|endpoint| endpoint.protocol() == fleet.protocol)?;
        (endpoint.shown() != route.target).then(|| {
            format!(
                "note: fleet `{}` has the path {place} of its own, which takes the place of the one in the target {}",
                fleet.name,
                endpoint.shown()
            )
        })
    };
    scenario.fleets.iter().filter(written).filter_map(note).collect()
}

/// Every shard would start a bundled reference system of its own.
fn lonely(part: Part) -> Result<(), RunError> {
    match part.asked.filter(|shard| shard.of() > 1) {
        Some(shard) => Err(RunError::usage(format!(
            "--shard {shard}: all shards need one target, and none is given: add --target PROTOCOL=URL (squall serve --bind IP \
             starts the bundled reference system for them)"
        ))),
        None => Ok(()),
    }
}

/// Where the service is broken: its HTTP listener, which serves `WebSocket` too.
///
/// # Errors
/// If a service of the user's has none, or does not let itself be broken.
fn breakable(
    scenario: &Scenario,
    (server, trust): (Option<&Server>, Option<&Trust>),
    endpoints: &[Endpoint],
    token: Option<Secret>,
) -> Result<Endpoint, RunError> {
    if let Some(server) = server {
        return of_bundled(scenario, (server, trust), "");
    }
    let endpoint = endpoints.iter().find(|endpoint| endpoint.facts().speaks_http).ok_or_else(|| {
        let spoken: Vec<_> = endpoints.iter().map(|endpoint| endpoint.facts().word()).collect();
        RunError::usage(format!(
            "the scenario has service faults, which go to the target over HTTP, and its fleets speak only {}: write faults \
             of kind exec, or give no target to use the bundled reference system",
            conjunction(&spoken)
        ))
    })?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::failed)?;
    let offered = FaultClient::at(endpoint, RunToken::UNSET)
        .map(|client| runtime.block_on(async move { client.showing(token).offered().await }));
    offered
        .flatten()
        .map_err(|error| RunError::failed(format!("the scenario has service faults, and {error}")))?;
    Ok(endpoint.clone())
}

/// The page at `path` of the bundled service, reached as the first fleet reaches it.
fn of_bundled(
    scenario: &Scenario,
    (server, trust): (&Server, Option<&Trust>),
    path: &str,
) -> Result<Endpoint, RunError> {
    let page = bundled::page(server) + path;
    let mut endpoint = Endpoint::control(&page).map_err(RunError::failed)?;
    if let Some(fleet) = scenario.fleets.first() {
        let (settings, identities) = handshake(fleet, trust, 1)?;
        endpoint.secure(FleetId(0), &settings, identities.into()).map_err(RunError::failed)?;
    }
    Ok(endpoint)
}

/// What fetches the bundled service's own figures, where it is the target and the scenario wants them.
fn bundled_metrics(
    scenario: &Scenario,
    (server, trust): (Option<&Server>, Option<&Trust>),
    token: Option<&Secret>,
) -> Result<Option<Scraper>, RunError> {
    let Some(server) = server.filter(|_| scenario.scrapes.iter().any(Scrape::is_bundled)) else {
        return Ok(None);
    };
    Ok(Some(Scraper::of(of_bundled(scenario, (server, trust), "metrics")?, token)))
}

/// Notes on sources of figures that this run does not ask.
fn unasked(scenario: &Scenario, bundled: bool) -> Vec<String> {
    let unasked = scenario.scrapes.iter().filter(|scrape| !bundled && scrape.is_bundled());
    let note = |scrape: &Scrape| {
        format!(
            "note: [[scrape]] `{}` is of the bundled service, which is not the target: it is left out",
            scrape.name
        )
    };
    unasked.map(note).collect()
}

/// Prepares how the fleets of `scenario` shake hands with those of `endpoints` that are reached over TLS.
///
/// # Errors
/// If that cannot be done, or a fleet says how and its target is reached without TLS.
pub fn secure(scenario: &Scenario, endpoints: &mut [Endpoint]) -> Result<(), RunError> {
    secure_by(scenario, endpoints, None)
}

/// The same; with the bundled system as far as `trust` says it, unless the fleets do.
fn secure_by(scenario: &Scenario, endpoints: &mut [Endpoint], trust: Option<&Trust>) -> Result<(), RunError> {
    let any = endpoints.iter().any(Endpoint::is_tls);
    for (fleet, id) in scenario.fleets.iter().zip((0..).map(FleetId)) {
        let Some(endpoint) = endpoints.iter_mut().find(|endpoint| endpoint.protocol() == fleet.protocol)
        else {
            continue;
        };
        if let Some(tls) = fleet.tls.as_ref().filter(|tls| !endpoint.is_tls() && (tls.own || !any)) {
            return Err(RunError::usage(plain(&fleet.name, tls.own, endpoint)));
        }
        if !endpoint.is_tls() {
            continue;
        }
        let (settings, identities) = handshake(fleet, trust, fleet.devices)?;
        endpoint.secure(id, &settings, identities.into()).map_err(RunError::usage)?;
    }
    Ok(())
}

/// How the devices of a fleet shake hands, and what its first `devices` show where they have nothing of their own; the first of them
/// stands for the fleet where it breaks the service.
fn handshake(
    fleet: &Fleet,
    trust: Option<&Trust>,
    devices: u32,
) -> Result<(TlsSettings, Vec<ClientIdentity>), RunError> {
    let own = fleet.tls.as_deref();
    let mut settings = own.map(|tls| tls.settings.clone()).unwrap_or_default();
    if settings.authorities.is_none() {
        settings.authorities = trust.map(Trust::authorities);
    }
    let identities = match (own.and_then(|tls| tls.identities.of(0)), trust) {
        (Some(first), _) => vec![first.clone()],
        (None, Some(trust)) => trust.identities(&fleet.name, devices)?,
        (None, None) => Vec::new(),
    };
    Ok((settings, identities))
}

/// What is wrong with a table on TLS whose target is reached without it.
fn plain(fleet: &str, own: bool, endpoint: &Endpoint) -> String {
    let table = if own { format!("[fleet.{fleet}.tls]") } else { "[target.tls]".to_owned() };
    let scheme = endpoint.facts().target.tls_schemes.first().copied().unwrap_or_default();
    format!(
        "{table} says how to shake hands, and the target {endpoint} is reached without TLS: give it a URL that begins with \
         {scheme}://, or take the table out"
    )
}

/// Whether a fleet accepts any certificate of its target.
fn is_trusting(fleet: &Fleet, endpoint: &Endpoint) -> bool {
    endpoint.is_tls() && fleet.tls.as_ref().is_some_and(|tls| tls.settings.insecure)
}

/// Notes on the fleets that do.
fn trusting(scenario: &Scenario, endpoints: &[Endpoint]) -> Vec<String> {
    let routes = scenario.fleets.iter().filter_map(|fleet| route(fleet, endpoints));
    routes.filter_map(|fleet| Some(format!("note: {}", fleet.insecurity()?))).collect()
}

/// Notes on fleets of subscribers that are too large, beside those that send, to be audited.
fn counted(plan: &Plan) -> Vec<String> {
    let fleets = plan.scenario().fleets.iter().zip(scrutinies(plan));
    let counted = fleets.filter(|(_, scrutiny)| *scrutiny == Some(Scrutiny::Counted));
    let note = |(fleet, _): (&Fleet, _)| {
        format!(
            "note: deliveries to fleet `{}` are counted and timed, and not audited: there are too many pairs of subscriber and device",
            fleet.name
        )
    };
    counted.map(note).collect()
}

fn is_local(ip: IpAddr) -> bool {
    ip.is_loopback()
}

/// The protocols the fleets speak, in their usual order.
pub(crate) fn spoken(scenario: &Scenario) -> Vec<Protocol> {
    let speaks = |protocol: &Protocol| scenario.fleets.iter().any(|fleet| fleet.protocol == *protocol);
    protocols().map(|facts| facts.protocol).filter(speaks).collect()
}

/// The address of a target, given on the command line or in the scenario.
#[derive(Debug)]
struct TargetAddress {
    protocol: Protocol,
    url: String,
    /// As it was written, where environment variables are in it: they may be secrets.
    written: Option<String>,
}

/// The addresses the user gave, on the command line first.
fn merged(
    given: &[(Protocol, String)],
    scenario: &Scenario,
    wanted: &[Protocol],
) -> Result<Vec<TargetAddress>, RunError> {
    let mut urls: Vec<TargetAddress> = Vec::new();
    for (protocol, url) in given {
        if urls.iter().any(|given| given.protocol == *protocol) {
            return Err(RunError::usage(format!(
                "--target {protocol}=… is given twice; a protocol has one target"
            )));
        }
        if !wanted.contains(protocol) {
            return Err(RunError::usage(format!(
                "--target {protocol}=…: no fleet of the scenario speaks {protocol}"
            )));
        }
        urls.push(TargetAddress { protocol: *protocol, url: url.clone(), written: None });
    }
    for protocol in wanted.iter().copied() {
        if urls.iter().any(|given| given.protocol == protocol) {
            continue;
        }
        if let Some(address) = scenario.target.of(protocol) {
            let written = address.is_secret().then(|| address.written().to_owned());
            urls.push(TargetAddress { protocol, url: address.value().to_owned(), written });
        }
    }
    Ok(urls)
}
