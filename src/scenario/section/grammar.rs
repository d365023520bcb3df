//! Whether the devices of the fleets can present what they are to: asked of the protocols, as their sessions ask.

use std::collections::HashMap;
use std::sync::Arc;

use super::auth;
use crate::clock::Tick;
use crate::fleet::{Device, RunFacts};
use crate::language::{Fields, Reporter, Text, quote};
use crate::protocol::{Hearing, Identity, Misfit, Rendering, Roster, Settings, driver};
use crate::record::{RunToken, Traced};
use crate::scenario::model::{Fleet, Model};
use crate::seed::Seed;

/// Devices of a fleet whose client identifiers are held against those of other fleets.
const COMPARED: u32 = 10_000;

/// Reports what the protocol of a fleet cannot carry, and what more than one device at a target would claim for itself.
pub(super) fn grammar(fleets: &[(Fleet, Fields)], report: &mut Reporter<'_>) {
    for (fleet, fields) in fleets {
        auth::presented(fleet, fields, report);
        let Some(own) = fields.table(fleet.protocol.name()) else { continue };
        let mut reported: Vec<&str> = Vec::new();
        for misfit in misfits(fleet) {
            if !reported.contains(&misfit.key) {
                reported.push(misfit.key);
                refuse(&own, &misfit, report);
            }
        }
    }
    claims(fleets, report);
}

/// What the first and the last device cannot present: between them lie names and numbers of all lengths.
fn misfits(fleet: &Fleet) -> Vec<Misfit> {
    let Some(driver) = driver(fleet.protocol) else { return Vec::new() };
    let format = &fleet.device_model.payload.format;
    let mut found = Vec::from_iter(fleet.exchange.unfit(format));
    let hearing = if fleet.model == Model::Subscriber {
        Hearing::Others(Roster(Arc::new(|_| None)))
    } else if fleet.heard_by().is_some() {
        Hearing::Relayed
    } else {
        Hearing::Own
    };
    let settings = Settings { close: fleet.close, hearing, ..Settings::default() };
    let settings = fleet.exchange.settings(settings);
    for index in [0, fleet.devices.saturating_sub(1)] {
        let device = device(fleet, index);
        let run = RunFacts { token: Some(RunToken::UNSET), ..RunFacts::default() };
        let trace = device.trace(Traced::Connection(1), run);
        let rendering = Rendering { device: &device, format, run: RunFacts::default() };
        let usual = Identity { trace, ..Identity::of(device.id()) };
        found.extend(driver.misfits(&settings, &fleet.exchange.identity(&rendering, usual)));
        let place = fleet.exchange.place().filter(|place| place.template.per_reading());
        for specimen in place.iter().flat_map(|place| place.template.specimens()) {
            let mut text = Vec::new();
            device.render(&specimen, None, RunFacts::default(), &mut text);
            found.extend(driver.misplaced(&String::from_utf8_lossy(&text)));
        }
    }
    found
}

fn device(fleet: &Fleet, index: u32) -> Device {
    Device::new(&fleet.device_model, index, Tick::ZERO, Seed(0))
}

/// Reports a misfit at its key, which may stand in a table of its own.
fn refuse(own: &Fields, misfit: &Misfit, report: &mut Reporter<'_>) {
    let (inner, key) = match misfit.key.split_once('.') {
        Some((table, key)) => (own.table(table), key),
        None => (None, misfit.key),
    };
    let fields = inner.as_ref().unwrap_or(own);
    let written = fields.text(key).filter(|text: &Text| !text.written().is_empty());
    let subject =
        written.map_or_else(|| misfit.subject.to_owned(), |text| format!("`{}`", quote(text.written())));
    fields.refuse(key, report, format!("{subject} {}", misfit.fault), misfit.help);
}

/// Reports client identifiers and the like that more than one device would have: the one that connects throws the other out.
fn claims(fleets: &[(Fleet, Fields)], report: &mut Reporter<'_>) {
    const HELP: &str = "name the device in it: {{device}}";
    let stated = |fleet: &Fleet| claim(fleet, 0).is_some_and(|(_, _, stated)| stated);
    if !fleets.iter().any(|(fleet, _)| stated(fleet)) {
        return;
    }
    let mut owners: HashMap<(&str, String), &str> = HashMap::new();
    // Those that state nothing have names of their own, which others may take from them.
    let (usual, given): (Vec<_>, Vec<_>) = fleets.iter().partition(|(fleet, _)| !stated(fleet));
    for (fleet, fields) in usual.into_iter().chain(given) {
        for index in 0..fleet.devices.min(COMPARED) {
            let Some((key, name, stated)) = claim(fleet, index).filter(|(_, name, _)| !name.is_empty())
            else {
                break;
            };
            let Some(owner) = owners.insert((fleet.protocol.name(), name), &fleet.name) else { continue };
            let Some(own) = fields.table(fleet.protocol.name()).filter(|_| stated) else { continue };
            let written = own.text(key).unwrap_or_default();
            let whose = if owner == fleet.name {
                "is that of more than one device".to_owned()
            } else {
                format!("is also that of a device of fleet `{owner}`")
            };
            let message =
                format!("`{}` {whose}, and a broker has one connection for each", quote(written.written()));
            own.refuse(key, report, message, HELP);
            break;
        }
    }
}

/// What device `index` would have for itself, the key that says it, and whether that was written.
fn claim(fleet: &Fleet, index: u32) -> Option<(&'static str, String, bool)> {
    let device = device(fleet, index);
    let rendering =
        Rendering { device: &device, format: &fleet.device_model.payload.format, run: RunFacts::default() };
    fleet.exchange.claim(&rendering)
}
