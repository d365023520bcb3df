//! Counts what this machine ran out of while devices connected to an endpoint.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::record::ScarceResource;

/// How often there was no more of what. Touched only when a connection fails for that.
#[derive(Debug, Default)]
pub struct Scarcity([AtomicU64; ScarceResource::ALL.len()]);

impl Scarcity {
    /// Counts an error, if that is what it says.
    pub(super) fn note(&self, error: &io::Error) {
        let scarce = ScarceResource::of_io(error);
        for (what, count) in ScarceResource::ALL.iter().zip(&self.0) {
            if scarce == Some(*what) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How often, by what.
    pub fn counts(&self) -> impl Iterator<Item = (ScarceResource, u64)> {
        ScarceResource::ALL.into_iter().zip(self.0.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}
