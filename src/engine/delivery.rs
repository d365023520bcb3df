//! Deliveries to devices of readings that others sent, which may belong to another worker.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::consumer::{ConsumerFleet, Pairing, Scrutiny, scrutinies};
use super::device::Device;
use super::origin::Origins;
use super::quiescence::Quiescence;
use super::share::Share;
use crate::clock::Tick;
use crate::record::FleetId;
use crate::scenario::Plan;

/// Notices on their way between two workers. What finds no room is counted, and makes the run invalid.
const BOUND: usize = 65_536;

/// A reading that was delivered to a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivery {
    /// Global index of the device that sent it.
    pub(super) sender: u32,
    pub(super) seq: u64,
    /// Global index of the device that heard it.
    pub(super) subscriber: u32,
    /// The fleet it was delivered to.
    pub(super) by: FleetId,
    /// When it was decoded: passing it on adds nothing to its time.
    pub(super) at: Tick,
}

/// What one worker tells another.
#[derive(Debug, Clone, Copy)]
pub(super) enum Notice {
    /// A reading of a device of that worker, which ends by being heard.
    Delivered(Delivery),
    /// A reading of which the first device of fleet `by` has heard: the others are to hear of it too.
    Published { by: FleetId, sender: u32, seq: u64, intended: Tick },
    /// A reading of a device of that worker: one of fleet `by`, which shares a subscription, has heard of it.
    Claimed { by: FleetId, sender: u32, seq: u64 },
}

/// What leads from one worker to the others.
#[derive(Debug)]
pub(super) struct Wires {
    /// To every worker, by its index; its own is not used.
    pub(super) out: Vec<Sender<Notice>>,
    /// When readings came due, where anybody hears of those of others.
    pub(super) origins: Option<Arc<Origins>>,
    /// When all have settled everything.
    pub(super) quiescence: Quiescence,
}

/// One worker's part in passing deliveries on.
#[derive(Debug)]
pub(super) struct DeliveryRouter {
    pub(super) wires: Wires,
    pub(super) inbound: Receiver<Notice>,
}

/// The routers of `count` workers.
pub(super) fn routers(plan: &Plan, count: usize) -> Vec<DeliveryRouter> {
    let origins = Origins::of(plan).map(Arc::new);
    let (out, inbound): (Vec<_>, Vec<_>) = (0..count).map(|_| channel(BOUND)).unzip();
    let routers = inbound.into_iter().zip(Quiescence::among(count)).map(|(inbound, quiescence)| {
        let wires = Wires { out: out.clone(), origins: origins.clone(), quiescence };
        DeliveryRouter { wires, inbound }
    });
    routers.collect()
}

/// Whom each device of fleet `by` is to hear.
fn pairing(plan: &Plan, by: FleetId, share: Share) -> Option<Pairing> {
    let senders = plan.heard_by(by).first().copied()?;
    Some(Pairing { share, senders: plan.first(senders), consumers: plan.first(by) })
}

/// The fleets that only hear, as far as `devices`, which are one worker's, are of them.
pub(super) fn consumers(plan: &Plan, devices: &[Rc<Device>], share: Share) -> Vec<ConsumerFleet> {
    let scrutinies = scrutinies(plan);
    let own = devices.chunk_by(|one, other| one.fleet == other.fleet).filter_map(|chunk| {
        let (first, number) = (chunk.first()?, usize::from(chunk.first()?.fleet.0));
        let scrutiny = scrutinies[number]?;
        let nth = scrutinies[..number].iter().flatten().count() as u32;
        let timeout_ns = plan.fleet(first.fleet).timeout.as_ns();
        let pairing = (scrutiny == Scrutiny::Pairs).then(|| pairing(plan, first.fleet, share)).flatten();
        let consumers =
            ConsumerFleet::new((first.fleet, nth), (first.slot, chunk.len()), timeout_ns, scrutiny);
        Some(consumers.paired(pairing))
    });
    own.collect()
}
