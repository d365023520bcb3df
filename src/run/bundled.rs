//! The bundled reference system as the target of a run: what it understands, and its cache's recorded keys.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;

use super::RunError;
use crate::fault::{Effect, ServiceFault};
use crate::fleet::Format;
use crate::record::Protocol;
use crate::reference::{Config, Server};
use crate::scenario::{Model, Scenario};
use crate::seed;
use crate::service::{Admission, Jwt, Kept, Right, Setup, Token, tokens_in};
use crate::units::{Secret, hex};

/// Bytes of a file of tokens.
const MOST_BYTES: u64 = 256 << 20;
/// Keys that are recorded.
const MOST_KEYS: usize = 1_000_000;

/// Why the bundled reference system cannot be the target of a scenario without one.
pub(crate) fn objection(scenario: &Scenario) -> Option<String> {
    unserved(scenario).or_else(|| misfit(scenario)).or_else(|| lonely(scenario))
}

/// What keeps the bundled reference system from understanding a fleet: it has a contract of its own.
fn misfit(scenario: &Scenario) -> Option<String> {
    scenario.fleets.iter().find_map(|fleet| {
        let (name, model) = (&fleet.name, &fleet.device_model);
        let template = matches!(model.payload.format, Format::Template(_));
        // What its alerts can be heard at are several paths; another is refused by it.
        if fleet.exchange.is_foreign() && fleet.model != Model::Subscriber {
            return Some(format!(
                "fleet `{name}` has a path or method of its own, which the bundled reference system does not serve; \
                 give a target with --target {0}=URL, or take it out",
                fleet.protocol
            ));
        }
        if fleet.tls.is_some() && scenario.reference.tls.is_none() {
            return Some(format!(
                "fleet `{name}` says how to shake hands, and the bundled reference system is reached without TLS; write tls = true \
                 under [reference], give a target with --target {}=URL, or take the tls table out",
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

/// A fault of one of several instances, where there is one.
fn lonely(scenario: &Scenario) -> Option<String> {
    let needs_others = |effect: &Effect| match effect {
        Effect::Service(ServiceFault::InstanceKill { .. }) => true,
        Effect::Service(fault) => fault.is_of_instances() && scenario.reference.cluster.is_none(),
        _ => false,
    };
    let fault = scenario.faults.iter().find(|fault| needs_others(&fault.effect))?;
    Some(format!(
        "fault `{}` is of several instances, and the bundled reference system of a run is one; start `squall serve --instances 2 --faults`, \
         and give its addresses with --target",
        fault.name
    ))
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
    crate::reference::addresses(&"", &"", false).iter().any(|(served, _)| *served == protocol)
}

/// Where the fleets find the reference system.
pub(crate) fn addresses(server: &Server) -> Vec<(Protocol, String)> {
    crate::reference::addresses(&server.http_addr(), &server.mqtt_addr(), server.is_tls()).into()
}

/// Where its page is found, and the rest of what it has to show below that.
pub(crate) fn page(server: &Server) -> String {
    let s = if server.is_tls() { "s" } else { "" };
    format!("http{s}://{}/", server.http_addr())
}

/// Starts the bundled reference system, its cache warmed where keys were recorded.
pub(crate) fn start(config: &Config) -> Result<Server, RunError> {
    let setup = Setup { admission: read(&config.setup.admission)?, ..config.setup.clone() };
    let server = Server::start(&Config { setup, ..config.clone() }).map_err(RunError::failed)?;
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

/// The same at an address that was asked for; MQTT is at the port behind it, or at a free one where that was asked for, too.
///
/// # Errors
/// If others than this machine could reach it, or a port is taken.
pub(crate) fn start_on(place: SocketAddr, config: Config) -> Result<Server, RunError> {
    let (bind, http_port) = (place.ip(), place.port());
    let refused = |what: &str| RunError::usage(format!("--serve-on {place}: {what}"));
    if !bind.to_canonical().is_loopback() {
        return Err(refused(
            "others than this machine could reach it; write 127.0.0.1:8080, or start `squall serve --bind` and give it as --target",
        ));
    }
    let mqtt_port = if http_port == 0 { Some(0) } else { http_port.checked_add(1) };
    let mqtt_port =
        mqtt_port.ok_or_else(|| refused("there is no port behind it for MQTT; write a lower one"))?;
    start(&Config { bind, http_port, mqtt_port, ..config }).map_err(|error| {
        // What is proposed there are flags of another command.
        let told = error.to_string();
        let what = told.split(';').next().unwrap_or_default();
        RunError::failed(format!("--serve-on {place}: {what}; write another port, or 0 for free ones"))
    })
}

/// `admission` with what is in its files.
fn read(admission: &Admission) -> Result<Admission, RunError> {
    let file = |key: &str, path: &Path| {
        // The path may hold what a variable stands for.
        let unreadable =
            |error: String| RunError::usage(format!("cannot read reference.admission.{key}: {error}"));
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text));
        read.map_err(|error| unreadable(error.to_string()))?;
        if text.len() as u64 > MOST_BYTES {
            Err(unreadable("it is larger than 256 MiB".into()))
        } else {
            Ok(text)
        }
    };
    let key = |key: &str, kept: &Option<Kept>| match kept {
        Some(Kept::File(path)) => {
            let text = file(key, path)?;
            Ok(Some(Kept::Here(Secret::new(text.trim_end_matches(['\r', '\n'])))))
        }
        kept => Ok(kept.clone()),
    };
    let jwt = Jwt {
        hs256: key("jwt.hs256", &admission.jwt.hs256)?,
        eddsa: key("jwt.eddsa", &admission.jwt.eddsa)?,
        ..admission.jwt
    };
    let mut tokens = admission.tokens.clone();
    if let Some(path) = &admission.tokens_file {
        let found = tokens_in(&file("tokens_file", path)?)
            .map_err(|fault| RunError::usage(format!("reference.admission.tokens_file, {fault}")))?;
        if found.is_empty() {
            let fault = "reference.admission.tokens_file has no row; add one, or take the key out";
            return Err(RunError::usage(fault));
        }
        tokens.extend(found);
    }
    Ok(Admission { tokens, tokens_file: None, jwt, ..admission.clone() })
}

/// Has a service that asks for tokens accept one more, by which its run orders faults. `None` where it asks for none.
pub(crate) fn let_in(admission: &mut Admission) -> Option<Secret> {
    if !admission.asks() {
        return None;
    }
    let bytes: Vec<u8> = (0..4).flat_map(|_| seed::unseeded().to_le_bytes()).collect();
    let text = hex(&bytes);
    let name = Some("run".to_owned());
    let token = Token { rights: vec![Right::Read, Right::Control], name, ..Token::of(&text) };
    admission.tokens.push(token);
    Some(Secret::new(text))
}

/// Writes the keys in the service's cache to a file, where they are to be recorded.
pub(crate) fn record(server: &Server, setup: &Setup) -> Result<(), RunError> {
    let Some(path) = &setup.cache.record else { return Ok(()) };
    let text = server.keys(MOST_KEYS).join("\n") + "\n";
    std::fs::write(path, text).map_err(|error| {
        RunError::failed(format!("cannot write the keys of reference.cache.record: {error}"))
    })
}
