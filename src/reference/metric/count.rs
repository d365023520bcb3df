//! Figures that go up, or up and down, shared by threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A count that only grows. On a cache line of its own, so that threads that count different things do not wait for one another.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(in crate::reference) struct Counter(AtomicU64);

impl Counter {
    pub(in crate::reference) fn inc(&self) {
        self.inc_by(1);
    }

    pub(in crate::reference) fn inc_by(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(in crate::reference) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A count of what is there now.
#[derive(Debug, Clone, Default)]
pub(in crate::reference) struct Gauge(Arc<AtomicI64>);

impl Gauge {
    pub(in crate::reference) fn inc(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::reference) fn dec(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(in crate::reference) fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}
