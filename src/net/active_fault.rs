//! A fault that is on for a device, and which of its connections that concerns.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::toxic::{Key, Spec};
use crate::clock::Tick;
use crate::fault::{Direction, Effect, Fault, ToxicKind};

/// A fault that is on for a device.
#[derive(Debug, Clone)]
pub struct ActiveFault {
    /// The fault.
    pub fault: Arc<Fault>,
    /// Its place in the plan's list.
    pub number: u16,
    /// Which of its activations.
    pub occurrence: u32,
    /// When it reached the device.
    pub since: Tick,
    /// How often it acted, over all devices that share this.
    pub tally: Rc<Cell<u64>>,
}

/// Which connection of its device this is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    /// Its number within the device.
    pub(super) number: u32,
    /// When it was begun.
    pub(super) born: Tick,
}

/// The toxics of `active` that hit the connection, and their directions.
pub(super) fn specs(active: &[ActiveFault], origin: Origin) -> impl Iterator<Item = (Direction, Spec<'_>)> {
    active.iter().flat_map(move |front| {
        let toxics = match &front.fault.effect {
            Effect::Network(toxics) => toxics.as_slice(),
            _ => &[],
        };
        let early = origin.born < front.since;
        toxics.iter().enumerate().filter_map(move |(index, toxic)| {
            let spared = early && (front.fault.new_only || toxic.kind == ToxicKind::Hang);
            let key = Key { fault: front.number, occurrence: front.occurrence, toxic: index };
            let spec = Spec { key, kind: &toxic.kind, tally: &front.tally, name: &front.fault.name };
            (!spared).then_some((toxic.direction, spec))
        })
    })
}

/// Whether what the device sends on this connection does not reach its peer at present.
pub(super) fn mutes(active: &[ActiveFault], origin: Origin) -> bool {
    specs(active, origin).any(|(way, spec)| {
        way.covers(Direction::Up)
            && matches!(spec.kind, ToxicKind::Partition | ToxicKind::Blackhole | ToxicKind::Hang)
    })
}
