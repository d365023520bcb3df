//! What is forgotten in one instance and so in all of them.

use std::sync::Arc;

/// Something that the caches of all instances are to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::reference) enum CacheOrder {
    /// Every score.
    Flush,
    /// Every score of a model, by its place: it was replaced, and is in this version now.
    Version { model: usize, version: u32 },
    /// What was computed for a device, and its state.
    Device(Arc<str>),
}
