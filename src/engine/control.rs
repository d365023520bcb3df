//! How a run is steered from another thread: ended early, and its faults switched by hand. What it leaves out of its plan stands in
//! its layout; here workers are told to look.

use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use crate::record::FaultId;

/// Switches that a worker may be behind with; beyond that it misses the oldest.
const SWITCHES: usize = 1_024;

/// An order of the user, or of a judgement of the run so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Order {
    /// Go on.
    #[default]
    Run,
    /// Send no further reading; settle what is open, then end.
    Finish,
    /// The same, but a run that is lost is not to wait for a service that does not answer: only briefly for what is open.
    Conclude,
    /// End at once.
    Abort,
}

/// A switch by hand of a fault that acts on devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultSwitch {
    /// Which.
    pub fault: FaultId,
    /// The number of the activation, for the log.
    pub occurrence: u32,
    /// On, or off.
    pub on: bool,
}

/// A handle on a run; clones speak to the same run. Orders only ever get stricter.
#[derive(Debug, Clone)]
pub struct Control {
    order: Arc<watch::Sender<Order>>,
    switches: broadcast::Sender<FaultSwitch>,
}

impl Default for Control {
    fn default() -> Self {
        Self::new()
    }
}

impl Control {
    /// A control whose order is [`Order::Run`].
    pub fn new() -> Self {
        Self { order: Arc::new(watch::Sender::new(Order::Run)), switches: broadcast::Sender::new(SWITCHES) }
    }

    /// Gives an order; one that is milder than the present order is ignored.
    pub fn give(&self, order: Order) {
        self.order.send_if_modified(|present| {
            let stricter = order > *present;
            if stricter {
                *present = order;
            }
            stricter
        });
    }

    /// Has every worker look up, and at what the run leaves out of its plan.
    pub(crate) fn nudge(&self) {
        self.order.send_modify(|_| ());
    }

    /// The present order.
    pub fn order(&self) -> Order {
        *self.order.borrow()
    }

    /// Has every worker switch a fault for its devices. Workers that have ended ignore it.
    pub fn pull(&self, switch: FaultSwitch) {
        // An error means that no worker is there.
        let _ = self.switches.send(switch);
    }

    /// Hears of every change of the order.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Order> {
        self.order.subscribe()
    }

    pub(super) fn switches(&self) -> broadcast::Receiver<FaultSwitch> {
        self.switches.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_only_get_stricter() {
        let control = Control::new();
        for (given, present) in [
            (Order::Finish, Order::Finish),
            (Order::Run, Order::Finish),
            (Order::Abort, Order::Abort),
            (Order::Finish, Order::Abort),
        ] {
            control.give(given);
            assert_eq!(control.order(), present);
        }
    }
}
