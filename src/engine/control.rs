//! How a run is ended early from another thread.

use std::sync::Arc;

use tokio::sync::watch;

/// What the person at the keyboard wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Order {
    /// Go on.
    #[default]
    Run,
    /// Send no further reading; settle what is open, then end.
    Finish,
    /// End at once.
    Abort,
}

/// A handle on a run; clones speak to the same run. Orders only ever get stricter.
#[derive(Debug, Clone)]
pub struct Control {
    order: Arc<watch::Sender<Order>>,
}

impl Default for Control {
    fn default() -> Self {
        Self::new()
    }
}

impl Control {
    /// A control whose order is [`Order::Run`].
    pub fn new() -> Self {
        Self { order: Arc::new(watch::Sender::new(Order::Run)) }
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

    /// The present order.
    pub fn order(&self) -> Order {
        *self.order.borrow()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Order> {
        self.order.subscribe()
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
