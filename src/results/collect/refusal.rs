//! Notices that every device of a fleet has been refused for good, so that going on proves nothing.

use super::total::Totals;
use crate::clock::Tick;
use crate::record::PhaseRole;

/// A fleet of which every device has been refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its name.
    pub fleet: String,
    /// How many devices it has.
    pub devices: u32,
    /// What the peer said.
    pub reason: String,
}

impl Refused {
    /// What to tell a person.
    pub fn sentence(&self) -> String {
        let Self { fleet, devices, reason } = self;
        let all = if *devices == 1 { "the one device".to_owned() } else { format!("all {devices} devices") };
        let were = if *devices == 1 { "was" } else { "were" };
        format!("{all} of fleet {fleet} {were} refused: {reason}")
    }
}

/// Watches connections for refusals.
#[derive(Debug, Default)]
pub(crate) struct RefusalWatch {
    /// Devices by fleet; `None` where refusals are expected.
    devices: Vec<Option<u32>>,
    is_reported: bool,
}

impl RefusalWatch {
    pub(crate) fn new(devices: Vec<Option<u32>>) -> Self {
        Self { devices, is_reported: false }
    }

    /// The first fleet that has not connected once, and of which every device has been refused for good, once in a run and not
    /// before the connect phase is over.
    pub(crate) fn judge(&mut self, now: Tick, totals: &Totals) -> Option<Refused> {
        let layout = totals.layout();
        let connecting =
            layout.phases.iter().any(|phase| phase.role == PhaseRole::Connect && now < layout.ends(phase));
        if self.is_reported || connecting {
            return None;
        }
        let hopeless = |(fleet, devices): (usize, &Option<u32>)| {
            let devices = devices.filter(|devices| *devices > 0)?;
            if totals.refusals().refused(fleet) < u64::from(devices) || totals.connected(fleet) > 0 {
                return None;
            }
            let reason = totals.refusals().refusal(fleet)?.sentence.to_string();
            Some(Refused { fleet: layout.fleets.get(fleet)?.name.clone(), devices, reason })
        };
        let found = self.devices.iter().enumerate().find_map(hopeless);
        self.is_reported = found.is_some();
        found
    }
}
