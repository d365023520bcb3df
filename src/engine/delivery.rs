//! Deliveries heard by one device of readings that another sent, which may belong to another worker.

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::worker::Worker;
use crate::clock::Tick;
use crate::record::{FleetId, Sink};

/// Deliveries on their way between two workers. What finds no room is counted, and makes the run invalid.
const BOUND: usize = 65_536;

/// A reading that a subscriber heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivery {
    /// Global index of the device that sent it.
    pub(super) sender: u32,
    pub(super) seq: u64,
    /// The fleet that heard it.
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

impl<S: Sink> Worker<S> {
    /// A device of this worker heard a reading: to the worker of the device that sent it.
    pub(super) fn hear(&self, heard: Delivery) {
        // Another shard's reading is that shard's business.
        let Some(owner) = self.share.owner(heard.sender) else { return };
        if owner == self.share.index {
            self.deliver(heard);
        } else if self.out.get(owner).is_none_or(|out| out.try_send(heard).is_err()) {
            self.unheard.set(self.unheard.get() + 1);
        }
    }

    /// A reading of a device of this worker was heard, for the first time or once more.
    pub(super) fn deliver(&self, heard: Delivery) {
        let Some(device) = self.devices.get(self.share.slot(heard.sender)) else { return };
        if self.hearers[usize::from(device.fleet.0)] != Some(heard.by) {
            return;
        }
        let sample = device.ledger.borrow_mut().deliver(heard.seq, heard.at);
        let Some(sample) = sample else { return };
        device.answered.set(device.answered.get() + 1);
        device.policy.stir(heard.at);
        if !device.linked.get() {
            device.ledger.borrow_mut().unblock(heard.at);
        }
        self.settle(device, &sample, None);
        device.wake();
    }
}
