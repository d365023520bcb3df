//! What is remembered of the models' answers: exactly, and of similar vectors; with ages, and one inference for all who wait.

mod exact;
mod semantic;
mod single_flight;

use std::sync::atomic::{AtomicU32, Ordering};

use self::exact::{ExactCache, Freshness};
use self::semantic::SemanticCache;
pub(super) use self::single_flight::{Leader, SingleFlight};
use super::model::{Key, MODELS};
use crate::clock::Tick;
use crate::service::Cache as Setup;

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    /// The same vector.
    Exact,
    /// The same vector, past its age: it is being computed anew.
    Stale,
    /// A similar vector.
    Semantic,
    /// The same vector, in the tier that instances share.
    Shared,
    /// An inference that another reading had asked for.
    Coalesced,
    /// An inference of its own.
    Miss,
}

impl Tier {
    /// The word on the wire and in metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Stale => "stale",
            Self::Semantic => "semantic",
            Self::Shared => "shared",
            Self::Coalesced => "coalesced",
            Self::Miss => "miss",
        }
    }
}

/// An answer that was remembered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CachedScore {
    pub(super) score: f64,
    pub(super) tier: Tier,
}

/// The cache, shared by all workers.
#[derive(Debug)]
pub(super) struct Cache {
    exact: Option<ExactCache>,
    semantic: Option<SemanticCache>,
    /// The version of each model: part of every key.
    versions: [AtomicU32; MODELS.len()],
}

impl Cache {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            exact: (setup.capacity > 0).then(|| ExactCache::new(setup)),
            semantic: setup.semantic.map(SemanticCache::new),
            versions: std::array::from_fn(|_| AtomicU32::new(1)),
        }
    }

    /// Whether anything is remembered at all.
    pub(super) const fn is_on(&self) -> bool {
        self.exact.is_some() || self.semantic.is_some()
    }

    /// The version of a model now.
    pub(super) fn version(&self, model: usize) -> u32 {
        self.versions[model].load(Ordering::Relaxed)
    }

    /// Replaces a model: none of its answers so far is served any more.
    pub(super) fn raise_version(&self, model: usize) -> u32 {
        self.versions[model].fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Replaces a model as another instance did, unless it is in that version.
    pub(super) fn raise_version_to(&self, model: usize, version: u32) {
        if let Some(known) = self.versions.get(model) {
            known.fetch_max(version, Ordering::Relaxed);
        }
    }

    /// What is remembered for a key.
    pub(super) fn get(&self, key: &Key, now: Tick) -> Option<CachedScore> {
        if let Some((score, freshness)) = self.exact.as_ref().and_then(|exact| exact.get(key, now)) {
            let tier = if freshness == Freshness::Fresh { Tier::Exact } else { Tier::Stale };
            return Some(CachedScore { score, tier });
        }
        let score = self.semantic.as_ref()?.nearest(key)?;
        Some(CachedScore { score, tier: Tier::Semantic })
    }

    /// Remembers an answer. `device` is the number of the device it was computed for.
    pub(super) fn insert(&self, key: Key, score: f64, now: Tick, device: u64) {
        if let Some(exact) = &self.exact {
            exact.insert(key, score, now, device);
        }
        if let Some(semantic) = &self.semantic {
            semantic.insert(key, score);
        }
    }

    /// Forgets everything; gives how many answers that were.
    pub(super) fn clear(&self) -> usize {
        if let Some(semantic) = &self.semantic {
            semantic.clear();
        }
        self.exact.as_ref().map_or(0, ExactCache::clear)
    }

    /// Forgets what was computed for one device; gives how many answers that were.
    pub(super) fn forget(&self, device: u64) -> usize {
        if let Some(semantic) = &self.semantic {
            // It keeps no origins: similar answers are cheap to come by again.
            semantic.clear();
        }
        self.exact.as_ref().map_or(0, |exact| exact.forget(device))
    }

    /// Answers remembered exactly.
    pub(super) fn len(&self) -> usize {
        self.exact.as_ref().map_or(0, ExactCache::len)
    }

    /// Up to `most` keys that are remembered, to warm another cache with.
    pub(super) fn keys(&self, most: usize) -> Vec<Key> {
        self.exact.as_ref().map_or_else(Vec::new, |exact| exact.keys(most))
    }
}
