//! Deliveries to one device of readings that another sent, which may belong to another worker.

use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::clock::Tick;
use crate::record::FleetId;

/// Deliveries on their way between two workers. What finds no room is counted, and makes the run invalid.
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

/// One worker's part in passing deliveries on.
#[derive(Debug)]
pub(super) struct DeliveryRouter {
    /// To every worker, by its index; its own is not used.
    pub(super) out: Vec<Sender<Delivery>>,
    pub(super) inbound: Receiver<Delivery>,
}

/// The routers of `count` workers.
pub(super) fn routers(count: usize) -> Vec<DeliveryRouter> {
    let (out, inbound): (Vec<_>, Vec<_>) = (0..count).map(|_| channel(BOUND)).unzip();
    inbound.into_iter().map(|inbound| DeliveryRouter { out: out.clone(), inbound }).collect()
}
