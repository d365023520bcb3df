//! Faults as records name them, and the log of what was switched on and off.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::FleetId;
use crate::clock::Tick;

/// Index of a fault in [`Layout::faults`](super::Layout::faults).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FaultId(pub u16);

/// One fault, as far as records need to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultInfo {
    /// Name as the scenario writes it; free of commas, spaces and dots.
    pub name: String,
    /// `network`, `message`, `device`, `service` or `command`.
    pub layer: Cow<'static, str>,
    /// The kind, in the word the scenario uses.
    pub kind: Cow<'static, str>,
    /// Whether it cuts connections, which then have to be made again.
    pub cuts: bool,
    /// Whether it is counted how often it acts.
    pub counted: bool,
    /// Devices it hits; 0 where it does not act on single devices.
    pub devices: u32,
    /// The fleets whose devices it hits; empty: it does not act on single devices.
    pub fleets: Vec<FleetId>,
    /// Its planned activations in the order of time: start, and the first instant after it. Empty: only by hand.
    #[serde(rename = "spells")]
    pub activations: Vec<(Tick, Tick)>,
}

/// A fault was switched on or off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchEvent {
    /// Which.
    pub fault: FaultId,
    /// Which of its activations, from 0. Activations by hand count on after the planned ones.
    #[serde(rename = "turn")]
    pub occurrence: u32,
    /// On, or off.
    pub on: bool,
    /// When the plan wanted it; `None` if it was done by hand.
    pub planned: Option<Tick>,
    /// When it was done. Several workers log the same switch, each for its own devices.
    pub at: Tick,
    /// Devices of the logging worker that were concerned.
    pub devices: u32,
    /// With `off`: how often it acted in this activation, on the logging worker's devices (messages, connections), where that is
    /// counted.
    pub acted: u64,
    /// What went wrong, or what a command printed last.
    pub remark: Option<String>,
}

/// Switches that may wait to be read; further ones are counted and left out.
const MOST: usize = 65_536;

/// Where workers and the fault operator log switches, and the collector reads them. Off the hot path; clones share one log.
#[derive(Debug, Clone, Default)]
pub struct SwitchLog {
    held: Arc<Mutex<SwitchLogState>>,
}

#[derive(Debug, Default)]
struct SwitchLogState {
    switches: Vec<SwitchEvent>,
    omitted: u64,
}

impl SwitchLog {
    /// Adds a switch.
    pub fn note(&self, switch: SwitchEvent) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.switches.len() < MOST {
            held.switches.push(switch);
        } else {
            held.omitted += 1;
        }
    }

    /// Takes out the switches done before `until`, in the order they were done.
    pub fn take_before(&self, until: Tick) -> Vec<SwitchEvent> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut taken, kept): (Vec<_>, Vec<_>) =
            held.switches.drain(..).partition(|switch| switch.at < until);
        held.switches = kept;
        taken.sort_by_key(|switch| (switch.at, switch.fault, switch.occurrence, !switch.on));
        taken
    }

    /// Switches that were left out because nobody read the log.
    pub fn omitted(&self) -> u64 {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).omitted
    }
}

/// What a fleet expects of the service's delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeliveryGuarantee {
    /// No reading that was sent is lost: at-least-once, exactly-once.
    pub no_loss: bool,
    /// None has two effects: at-most-once, exactly-once.
    pub no_duplicates: bool,
    /// They come in the order they were sent.
    pub ordered: bool,
}
