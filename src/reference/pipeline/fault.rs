//! Faults on purpose, as far as they change what the queue and the workers do.

use std::sync::atomic::Ordering;

use serde_json::Value;

use super::{Operation, Pipeline};
use crate::clock::Tick;
use crate::fault::ServiceFault;
use crate::reference::fault::{Fault, FaultRegistry, Full, Order};
use crate::service::FaultKind;

impl Pipeline {
    /// What goes wrong on purpose.
    pub(in crate::reference) fn faults(&self) -> &FaultRegistry {
        &self.shared.faults
    }

    /// Switches a fault on, and tells of it.
    ///
    /// # Errors
    /// Why that cannot be.
    pub(in crate::reference) fn begin_fault(&self, order: Order) -> Result<Value, String> {
        let kind = order.kind;
        let needs_workers = matches!(kind, FaultKind::Stall | FaultKind::Crash | FaultKind::QueueShrink);
        let finds_some = kind == FaultKind::Crash && self.jobs.workers() > 0;
        if needs_workers && self.setup().workers.count == 0 && !finds_some {
            let reason = "readings are worked on where they come in (workers = 0): no worker and no queue";
            return Err(format!("`{}` can do nothing: {reason}", kind.name()));
        }
        self.demand_others(&order.effect)?;
        let acted = match order.effect {
            ServiceFault::Crash { workers } => {
                let most = workers as usize;
                self.pool.crash_at_once(most) + self.jobs.crash_at_once(most)
            }
            ServiceFault::CacheFlush => {
                self.shared.cache.clear();
                1
            }
            // Whoever asked for it kills this process, once it has the answer.
            ServiceFault::InstanceKill { .. } => 1,
            _ => 0,
        };
        let full = |Full| "64 faults are on, and more may not be; stop one of them".to_owned();
        let mut begun = self.faults().begin(order, self.now(), acted as u64).map_err(full)?;
        self.settle();
        if kind == FaultKind::Slow && self.setup().inference.is_free() {
            let note = "inferences cost nothing here, so there is nothing to slow down: set `inference.cost`";
            tracing::warn!("{note}");
            begun["note"] = note.into();
        }
        Ok(begun)
    }

    /// Whether there are other instances, if a fault is one of instances.
    ///
    /// # Errors
    /// Why it can do nothing.
    fn demand_others(&self, effect: &ServiceFault) -> Result<(), String> {
        let setup = self.setup();
        let (lacks, reason) = match effect {
            ServiceFault::InstanceKill { .. } => {
                (!setup.supervised, "nobody stands before this instance who could kill it")
            }
            ServiceFault::BusDelay { .. } | ServiceFault::BusPartition { .. } => {
                (setup.cluster.is_none(), "this instance has no others that it hears of")
            }
            _ => (false, ""),
        };
        if lacks {
            return Err(format!(
                "it can do nothing: {reason}; start several with squall serve --instances 2"
            ));
        }
        Ok(())
    }

    /// Switches a fault off, if there is one of this name.
    pub(in crate::reference) fn end_fault(&self, name: &str) -> Option<Fault> {
        let ended = self.faults().end(name);
        self.settle();
        ended
    }

    /// Switches all faults off; gives those that were on.
    pub(in crate::reference) fn end_all_faults(&self) -> Vec<Fault> {
        let ended = self.faults().end_all();
        self.settle();
        ended
    }

    /// Switches those off whose time is up; gives when the next one's is.
    pub(in crate::reference) fn expire_faults(&self) -> Option<Tick> {
        let (any, next) = self.faults().expire(self.now());
        if any {
            self.settle();
        }
        next
    }

    /// Brings queue and workers in line with what was asked for and what goes wrong.
    pub(super) fn settle(&self) {
        let capacity = self.capacity.load(Ordering::Relaxed);
        self.queue.resize(self.faults().capacity().map_or(capacity, |least| least.min(capacity)));
        self.queue.pause(self.operation() == Operation::Paused || self.faults().is_on(FaultKind::Stall));
    }

    /// Counts a reading that finds the queue full which would have found room had nobody shrunk it.
    pub(super) fn blame_a_shrunken_queue(&self) {
        let is_shrunken = self.faults().is_on(FaultKind::QueueShrink);
        if is_shrunken && self.queue.waiting().iter().sum::<usize>() < self.capacity.load(Ordering::Relaxed) {
            self.faults().strikes(FaultKind::QueueShrink);
        }
    }
}
