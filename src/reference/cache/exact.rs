//! Answers by their exact vector, with an age.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use crate::clock::Tick;
use crate::reference::model::Key;
use crate::service::Cache as Setup;
use crate::units::Span;

/// An answer and how long it may be served. Times are nanoseconds on the service's clock, so that tests need not sleep.
#[derive(Debug, Clone, Copy)]
struct CacheEntry {
    score: f64,
    fresh_until: u64,
    device: u64,
}

/// How an answer stands to its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// Within it.
    Fresh,
    /// Past it, and still served.
    Stale,
}

/// Answers by their exact vector.
#[derive(Debug)]
pub(super) struct ExactCache {
    // Every reading is looked up here, so its hash is a quick one, seeded at start.
    kept: Cache<Key, CacheEntry, UnitWeighter, RandomState>,
    /// Longest age, nanoseconds.
    ttl: u64,
    jitter: f64,
    stale: u64,
    hasher: RandomState,
}

impl ExactCache {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            kept: Cache::with(
                setup.capacity,
                setup.capacity as u64,
                UnitWeighter,
                RandomState::default(),
                DefaultLifecycle::default(),
            ),
            ttl: setup.ttl.map_or(u64::MAX, Span::as_ns),
            jitter: setup.jitter.clamp(0.0, 1.0),
            stale: setup.stale.as_ns(),
            hasher: RandomState::default(),
        }
    }

    pub(super) fn get(&self, key: &Key, now: Tick) -> Option<(f64, Freshness)> {
        let CacheEntry { score, fresh_until, .. } = self.kept.get(key)?;
        if now.0 < fresh_until {
            Some((score, Freshness::Fresh))
        } else if now.0 - fresh_until < self.stale {
            Some((score, Freshness::Stale))
        } else {
            None
        }
    }

    pub(super) fn insert(&self, key: Key, score: f64, now: Tick, device: u64) {
        // Where in its jitter an answer lies follows from its key and the moment; nothing needs a generator here.
        let share = (self.hasher.hash_one((key, now.0)) >> 11) as f64 / (1_u64 << 53) as f64;
        let age = if self.ttl == u64::MAX {
            self.ttl
        } else {
            (self.ttl as f64 * (1.0 - self.jitter * share)) as u64
        };
        self.kept.insert(key, CacheEntry { score, fresh_until: now.0.saturating_add(age), device });
    }

    pub(super) fn clear(&self) -> usize {
        let count = self.kept.len();
        self.kept.clear();
        count
    }

    pub(super) fn forget(&self, device: u64) -> usize {
        let before = self.kept.len();
        self.kept.retain(|_, kept| kept.device != device);
        before.saturating_sub(self.kept.len())
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn keys(&self, most: usize) -> Vec<Key> {
        self.kept.iter().take(most).map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::detector::Vector;

    fn key(level: i8) -> Key {
        Key { vector: Vector { margins: [level, 0, 0], excess: 0, resolution: 16 }, model: 0, version: 1 }
    }

    #[test]
    fn an_answer_is_fresh_then_stale_then_gone() {
        let setup = Setup {
            ttl: Some(Span::from_ms(1_000)),
            jitter: 0.0,
            stale: Span::from_ms(500),
            ..Setup::default()
        };
        let exact = ExactCache::new(&setup);
        exact.insert(key(1), 2.5, Tick(0), 7);
        for (ms, found) in [
            (0, Some(Freshness::Fresh)),
            (999, Some(Freshness::Fresh)),
            (1_000, Some(Freshness::Stale)),
            (1_499, Some(Freshness::Stale)),
            (1_500, None),
        ] {
            let freshness = exact.get(&key(1), Tick(ms * 1_000_000)).map(|(_, freshness)| freshness);
            assert_eq!(freshness, found, "{ms} ms");
        }
        assert!(exact.get(&key(2), Tick(0)).is_none());
    }

    #[test]
    fn jitter_spreads_the_ages_of_answers_of_one_moment() {
        let setup = Setup { ttl: Some(Span::from_ms(1_000)), jitter: 0.5, ..Setup::default() };
        let exact = ExactCache::new(&setup);
        (-100..100).for_each(|level| exact.insert(key(level), 0.0, Tick(0), 0));
        let fresh = |ms: u64| {
            (-100..100).filter(|level| exact.get(&key(*level), Tick(ms * 1_000_000)).is_some()).count()
        };
        assert_eq!([fresh(499), fresh(1_000)], [200, 0]);
        assert!((60..140).contains(&fresh(750)), "half of them at half of the jitter: {}", fresh(750));
    }

    #[test]
    fn answers_are_forgotten_by_device_or_altogether() {
        let exact = ExactCache::new(&Setup::default());
        (0..10).for_each(|level| exact.insert(key(level), 0.0, Tick(0), u64::from(level > 6)));
        assert_eq!((exact.forget(1), exact.len(), exact.keys(4).len()), (3, 7, 4));
        assert_eq!((exact.clear(), exact.len()), (7, 0));
    }
}
