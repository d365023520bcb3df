//! Session settings per fleet and an identity per device, derived from a scenario's requests and messages.

use std::sync::Arc;
use std::time::Duration;

use crate::fleet::{Device, Reading, RunFacts};
use crate::protocol::{Hearing, Identity, Rendering, Roster, Settings};
use crate::record::FleetId;
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

/// The session settings of a fleet.
pub(super) fn settings(plan: &Arc<Plan>, fleet: &Fleet) -> Settings {
    let settings = Settings {
        close: fleet.close,
        keep_alive: PING_PERIOD,
        hearing: hearing(plan, fleet),
        ..Settings::default()
    };
    fleet.exchange.settings(settings)
}

/// What a device of `fleet` says of itself when it connects.
pub(super) fn identity(fleet: &Fleet, device: &Device, run: RunFacts) -> Identity {
    let rendering = Rendering { device, format: &fleet.device_model.payload.format, run };
    fleet.exchange.identity(&rendering, Identity::of(device.id()))
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
