//! Session settings per fleet and an identity per device, derived from a scenario's requests and messages.

use std::sync::Arc;
use std::time::Duration;

use crate::fleet::{Device, Reading, RunFacts};
use crate::protocol::{Hearing, Identity, Rendering, Roster, Settings, TraceCarrier};
use crate::record::{FleetId, RunToken, TraceContext, Traced};
use crate::scenario::{Fleet, Model, Plan};

/// How often an idle connection is pinged, unless its protocol is told otherwise.
const PING_PERIOD: Duration = Duration::from_secs(30);

/// The fleet whose hearing closes the readings of `fleet`, where it is not the device itself.
pub(super) fn hearer(plan: &Plan, fleet: &Fleet) -> Option<FleetId> {
    let wanted = fleet.heard_by()?;
    let at = plan.scenario().fleets.iter().position(|other| other.name == wanted)?;
    Some(FleetId(at as u16))
}

/// What the devices of a fleet listen for besides answers to their own readings.
fn hearing(plan: &Arc<Plan>, fleet: &Fleet) -> Hearing {
    if fleet.model == Model::Subscriber {
        let plan = Arc::clone(plan);
        return Hearing::Others(Roster(Arc::new(move |device| plan.find(device))));
    }
    if hearer(plan, fleet).is_some() { Hearing::Relayed } else { Hearing::Own }
}

/// Whether what a fleet sends, or a subscriber hears of others, names the run.
fn names_run(plan: &Plan, fleet: &Fleet) -> bool {
    if fleet.model == Model::Subscriber {
        return plan.scenario().fleets.iter().any(|other| other.device_model.payload.names_run());
    }
    fleet.device_model.payload.names_run()
}

/// The session settings of a fleet in the run that `token` names.
pub(super) fn settings(plan: &Arc<Plan>, fleet: &Fleet, token: RunToken) -> Settings {
    let settings = Settings {
        close: fleet.close,
        keep_alive: PING_PERIOD,
        hearing: hearing(plan, fleet),
        run: names_run(plan, fleet).then_some(token),
        ..Settings::default()
    };
    fleet.exchange.settings(settings)
}

/// What a device of `fleet` says of itself when it connects.
pub(super) fn identity(fleet: &Fleet, device: &Device, run: RunFacts) -> Identity {
    let rendering = Rendering { device, format: &fleet.device_model.payload.format, run };
    fleet.identity(&rendering)
}

/// What a reading or a connection of a device is known by in the traces of the service, where a header field is to say it.
pub(super) fn trace(fleet: &Fleet, device: &Device, traced: Traced, run: RunFacts) -> Option<TraceContext> {
    let is_carried = match traced {
        Traced::Reading(_) => fleet.facts.trace == TraceCarrier::Request || fleet.exchange.traces_readings(),
        Traced::Connection(_) => fleet.facts.trace == TraceCarrier::Connection,
    };
    is_carried.then(|| device.trace(traced, run)).flatten()
}

/// Puts the request target or topic of this one reading into `out`; false where it is the same for all.
pub(super) fn address(
    fleet: &Fleet,
    device: &Device,
    reading: &Reading,
    run: RunFacts,
    out: &mut Vec<u8>,
) -> bool {
    let rendering = Rendering { device, format: &fleet.device_model.payload.format, run };
    rendering.place(fleet.exchange.place(), reading, out)
}
